"""Datasets: formats, labels by name, pins, and every bad input as one clear line; the hub is a server on loopback."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nlilab.core.errors import UserError
from nlilab.core.files import read_json, read_jsonl, read_table, sha256, write_table
from nlilab.core.params import validate
from nlilab.core.schema import THREE_WAY, TWO_WAY
from nlilab.datasets.entries import Dataset
from nlilab.datasets.places import folder, locate, pin
from nlilab.datasets.sources import fetch
from nlilab.tasks.reading import Reading, as_read, scheme_of
from nlilab.verdict.suites import Answers, guard, score, slices

ROOT = Path(__file__).parent.parent
GOOD = [
    {"id": "a", "premise": "A dog ran.", "hypothesis": "It moved.", "label": "entailment"},
    {"id": "b", "premise": "A dog ran.", "hypothesis": "It slept.", "label": "contradiction"},
]


def dataset(path: Path, **more: object) -> Dataset:
    entry = {"path": str(path), "sha256": sha256(path), "format": "jsonl", "licence": "x", "source": "y", **more}
    return validate(entry, Dataset, "toy")


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_get_groups_and_labels_by_name(tmp_path: Path) -> None:
    rows = [{"s1": "A dog ran.", "s2": f"H{gold}", "gold": gold} for gold in (0, 1, 2, -1)]
    entry = dataset(
        lines(tmp_path / "toy.jsonl", rows),
        columns={"premise": "s1", "hypothesis": "s2", "label": "gold"},
        labels={"0": "entailment", "1": "neutral", "2": "contradiction"},
        drop=["-1"],
    )
    found = fetch("toy", entry)
    assert found["label"].tolist() == ["entailment", "neutral", "contradiction"]
    assert found["id"].tolist() == ["toy-0", "toy-1", "toy-2"]
    assert found["group"].nunique() == 1 and (found["cell"] == "").all()


def test_the_real_hans_file_has_its_cells(real_data: Path) -> None:
    entry = dataset(real_data / "hans_sample.txt", format="hans", scheme="two-way", group="subcase")
    found = fetch("hans", entry)
    assert len(found) == 6000 and found["group"].nunique() == 30
    assert found.groupby(["cell", "label"]).size().tolist() == [1000] * 6


def test_the_real_files_load_as_their_entries_say(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLILAB_DATASETS", str(real_data.parent))
    entries = yaml.safe_load((ROOT / "conf/datasets.yaml").read_text())
    sizes = {}
    for name in (name for name, entry in entries.items() if "local" in entry):
        found = fetch(name, validate(entries[name], Dataset, name))
        assert found["id"].is_unique
        sizes[name] = len(found)
    assert sizes == {
        **{"snli-dev": 9842, "snli-test": 4911, "anli-r1-dev": 1000, "anli-r2-dev": 1000, "hans": 6000, "cad": 6664},
        **{"monli-neg": 200, "negation-snli": 1500, "superglue-boolq": 600, "superglue-cb": 28, "superglue-rte": 138},
        **{"superglue-wic": 250, "superglue-wsc": 52},
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**GOOD[0], "label": "yes"}], "unknown label 'yes' at row 1; expected one of entailment, neutral"),
        ([GOOD[0], {**GOOD[1], "id": "a"}], "id 'a' stands twice .row 2."),
        ([GOOD[0], {**GOOD[1], "id": ""}], "1 rows with an empty id, first at row 2"),
        ([GOOD[0], {**GOOD[1], "premise": "  "}], "1 rows with an empty premise, first at row 2"),
        ([GOOD[0], {**GOOD[1], "hypothesis": None}], "1 rows with an empty hypothesis, first at row 2"),
        ([GOOD[0], {"id": "b", "premise": "x", "label": "neutral"}], r"toy.jsonl:2: lacks hypothesis"),
        ([{"id": "a", "text": "x", "label": "neutral"}], "no column premise, hypothesis; it has id, text, label"),
        ([{"id": "a", "premise": "x", "hypothesis": "y"}], "no column 'label'"),
        ([], "toy.jsonl is empty"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list[dict], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fetch("toy", dataset(lines(tmp_path / "toy.jsonl", rows)))


def test_a_broken_line_is_named_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "toy.jsonl"
    path.write_text(json.dumps(GOOD[0]) + '\n{"id": "b", \n')
    with pytest.raises(UserError, match=r"toy\.jsonl:2: not valid JSON"):
        fetch("toy", dataset(path))
    path.write_text("[1]\n")
    with pytest.raises(UserError, match=r"toy\.jsonl:1: expected a JSON object, got list"):
        list(read_jsonl(path))


def test_places_and_pins_are_checked(tmp_path: Path) -> None:
    path = lines(tmp_path / "toy.jsonl", GOOD)
    with pytest.raises(UserError, match=r"has sha256 [0-9a-f]{64}, expected 00; get the right file"):
        fetch("toy", dataset(path, sha256="00"))
    with pytest.raises(UserError, match=rf"is not pinned; add `sha256: {sha256(path)}`"):
        fetch("toy", dataset(path, sha256=None))
    with pytest.raises(UserError, match=r"no file nowhere\.jsonl"):
        fetch("toy", dataset(path).model_copy(update={"path": "nowhere.jsonl"}))
    with pytest.raises(UserError, match="name exactly one of path, url and hub"):
        dataset(path, url="http://localhost/x")
    with pytest.raises(UserError, match="no column 'topic' to group by"):
        fetch("toy", dataset(path, group="topic"))
    assert pin("toy", dataset(path)) == {"sha256": sha256(path)}


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub's protocol as a pinned file needs, and a plain file server beside it."""

    content = b""

    def _answer(self, body: bytes) -> None:
        if self.path == f"/datasets/some/nli/resolve/{COMMIT}/test.jsonl" or self.path == "/plain.jsonl":
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha1(self.content).hexdigest()}"')
            self.send_header("Content-Length", str(len(self.content)))
        elif self.path.startswith("/api/datasets/some/nli"):
            body = json.dumps({"id": "some/nli", "sha": COMMIT, "siblings": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        else:
            body = b""
            self.send_response(404)
            self.send_header("X-Error-Code", "RevisionNotFound")
            self.send_header("Content-Length", "0")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer(self.content)

    def do_HEAD(self) -> None:
        self._answer(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import huggingface_hub.constants as constants

    Hub.content = "".join(json.dumps(row) + "\n" for row in GOOD).encode()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    yield url
    server.shutdown()


def on_hub(**more: object) -> Dataset:
    entry = {"hub": "some/nli", "file": "test.jsonl", "format": "jsonl", "licence": "x", "source": "y", **more}
    return validate(entry, Dataset, "toy")


def test_a_pinned_hub_file_is_fetched_and_a_wrong_revision_named(hub: str) -> None:
    assert fetch("toy", on_hub(revision=COMMIT))["id"].tolist() == ["a", "b"]
    with pytest.raises(UserError, match=r"the hub gave no some/nli \(file test.jsonl, revision ffff\)"):
        fetch("toy", on_hub(revision="ffff"))
    with pytest.raises(UserError, match="is not pinned; run `nlilab pin toy`"):
        fetch("toy", on_hub())


def test_an_unreachable_hub_is_one_line(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    closed = "http://127.0.0.1:9"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", closed + "/{repo_id}/resolve/{revision}/{filename}")
    with pytest.raises(UserError, match=r"the hub gave no some/nli.*check the network"):
        fetch("toy", on_hub(revision=COMMIT, hub="some/nli"))


def test_a_url_is_downloaded_once_and_verified(hub: str) -> None:
    digest = hashlib.sha256(Hub.content).hexdigest()
    entry = {"url": f"{hub}/plain.jsonl", "sha256": digest, "format": "jsonl", "licence": "x", "source": "y"}
    assert len(fetch("toy", validate(entry, Dataset, "toy"))) == 2
    Hub.content = b"changed"
    assert len(fetch("toy", validate(entry, Dataset, "toy"))) == 2
    with pytest.raises(UserError, match="cannot download"):
        fetch("toy", validate({**entry, "url": f"{hub}/missing.jsonl"}, Dataset, "toy"))


def test_every_shipped_entry_is_sound() -> None:
    for name, entry in yaml.safe_load((ROOT / "conf/datasets.yaml").read_text()).items():
        validate(entry, Dataset, name)


def entry_of(**more: object) -> Dataset:
    return validate({"format": "jsonl", "licence": "x", "source": "y"} | more, Dataset, "toy")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's, named by the environment; and no downloads."""
    home = tmp_path / "own"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLILAB_DATASETS", str(home))
    return home


def test_a_file_of_the_users_folder_stands_in_for_the_hub_as_it_says(own: Path) -> None:
    theirs = [{"premise": "A dog ran.", "hypothesis": f"H{gold}", "gold": gold} for gold in ("e", "n", "?")]
    path = lines(own / "toy.jsonl", theirs)
    said = {"columns": {"label": "gold"}, "labels": {"e": "entailment", "n": "neutral"}, "drop": ["?"]}
    local = {"file": "toy.jsonl", "sha256": sha256(path), "format": "jsonl", "part": "a third", **said}
    entry = entry_of(hub="some/nli", file="x.parquet", format="parquet", columns={"id": "uid"}, local=local)
    assert fetch("toy", entry)["label"].tolist() == ["entailment", "neutral"]
    assert locate("toy", entry).part == "a third"
    assert pin("toy", entry) == {"local": f"{{file: toy.jsonl, sha256: {sha256(path)}}}"}
    wrong = entry_of(hub="some/nli", file="x.parquet", local={**local, "sha256": "00"})
    with pytest.raises(UserError, match=rf"toy.jsonl has sha256 {sha256(path)}, expected 00"):
        fetch("toy", wrong)


def test_an_official_file_in_the_users_folder_will_do(own: Path) -> None:
    path = own / "some/nli/data/test.jsonl"
    path.parent.mkdir(parents=True)
    lines(path, GOOD)
    assert len(fetch("toy", entry_of(hub="some/nli", file="data/test.jsonl"))) == 2
    with pytest.raises(UserError, match=r"has sha256 .* expected 00"):
        fetch("toy", entry_of(hub="some/nli", file="data/test.jsonl", sha256="00"))
    (own / "toy").mkdir()
    lines(own / "toy/rows.jsonl", GOOD)
    entry = entry_of(url="http://127.0.0.1:9/rows.jsonl", sha256=sha256(own / "toy/rows.jsonl"))
    assert len(fetch("toy", entry)) == 2 and locate("toy", entry).part is None


OFFICIAL = {  # the first lines as the authors' repositories have them
    "cad/train.tsv": "sentence1\tsentence2\tgold_label\nA man rides.\tA man rides.\tentailment\n",
    "negation-snli/SNLI.txt": "index\tText\tHypothesis\tgold_label\r\n0\tA girl is not asleep.\tShe is.\tneutral\r\n",
    "monli-neg/nmonli_test.jsonl": '{"sentence1": "he does not own a dog", "sentence2": "he does not own a mammal", '
    '"gold_label": "neutral", "depth": 4, "sentence1_lex": "dog", "sentence2_lex": "mammal"}',
    "hans/heuristics_evaluation_set.txt": "gold_label\tsentence1\tsentence2\tpairID\theuristic\tsubcase\ttemplate\n"
    "non-entailment\tA .\tB .\tex0\tlexical_overlap\tln_subject/object_swap\ttemp1\n",
}


def test_the_official_files_fit_their_entries(own: Path) -> None:
    entries = yaml.safe_load((ROOT / "conf/datasets.yaml").read_text())
    labels = {}
    for place, text in OFFICIAL.items():
        name = place.partition("/")[0]
        (own / name).mkdir()
        (own / place).write_bytes(text.encode())
        labels[name] = fetch(name, validate(entries[name], Dataset, name))["label"].tolist()
    both = ["non-entailment"]
    assert labels == {"cad": ["entailment"], "negation-snli": ["neutral"], "monli-neg": both, "hans": both}


def test_the_folder_may_stand_in_the_parameters_and_the_environment_wins(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = own.parent / "other"
    other.mkdir()
    (own.parent / "params.yaml").write_text("fetch: {folder: other}\n")
    assert folder() == own
    monkeypatch.delenv("NLILAB_DATASETS")
    assert folder() == other
    (own.parent / "params.yaml").write_text("fetch: {folder: elsewhere}\n")
    with pytest.raises(UserError, match=r"params.yaml: fetch.folder: no folder elsewhere"):
        folder()
    (own.parent / "params.yaml").write_text("fetch: {folder: null}\n")
    assert folder() is None


def test_without_a_network_all_missing_files_of_the_run_are_named_at_once(own: Path) -> None:
    closed = "http://127.0.0.1:9"
    here = lines(own / "here.jsonl", GOOD)
    entries = {
        "one": {"url": f"{closed}/{'a' * 40}/one.tsv", "format": "tsv"},
        "two": {"hub": "some/nli", "file": "two.parquet", "revision": "ab", "format": "parquet"},
        "here": {"url": f"{closed}/here", "local": {"file": "here.jsonl", "sha256": sha256(here)}, "format": "jsonl"},
        "unused": {"url": f"{closed}/unused", "format": "jsonl"},
    }
    entries["two"]["local"] = {"file": "nli/two.jsonl", "sha256": "22", "part": "half"}
    conf = {name: entry | {"licence": "x", "source": "Somebody 2020"} for name, entry in entries.items()}
    (own.parent / "conf").mkdir()
    (own.parent / "conf/datasets.yaml").write_text(yaml.safe_dump(conf))
    (own.parent / "params.yaml").write_text("datasets: [one]\nsuites: [two, here, unknown]\n")
    with pytest.raises(UserError) as caught:
        fetch("one", validate(conf["one"], Dataset, "one"))
    first, head, *rest = str(caught.value).split("\n")
    assert first.startswith("one: cannot download") and "NLILAB_DATASETS" in head and str(own) in head
    assert rest == [
        f"  one: one/one.tsv, from {closed}/{'a' * 40}/one.tsv",
        "  two: some/nli/two.parquet, from https://huggingface.co/datasets/some/nli/resolve/ab/two.parquet; "
        "or nli/two.jsonl (sha256 22), of Somebody 2020, half",
    ]


def test_a_url_is_pinned_by_its_sha256_or_by_a_commit_in_it(hub: str) -> None:
    with pytest.raises(UserError, match="is not pinned; add `sha256"):
        fetch("toy", entry_of(url=f"{hub}/plain.jsonl"))
    assert len(fetch("toy", entry_of(url=f"{hub}/datasets/some/nli/resolve/{COMMIT}/test.jsonl"))) == 2


def test_the_stage_says_what_is_only_a_part(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nlilab.stages.fetch import main

    path = lines(own / "toy.jsonl", GOOD)
    local = {"file": "toy.jsonl", "sha256": sha256(path), "part": "2 of 9 rows"}
    entry = {"url": "http://127.0.0.1:9/x", "format": "jsonl", "licence": "x", "source": "Y 2020", "local": local}
    (own.parent / "conf").mkdir()
    (own.parent / "conf/datasets.yaml").write_text(yaml.safe_dump({"toy": entry}))
    main(own.parent / "tables", own.parent / "cards", "toy")
    assert "toy.jsonl is only a part of the official set: 2 of 9 rows" in capsys.readouterr().out
    assert read_json(own.parent / "cards/toy.json")["source"] == "Y 2020 (only a part: 2 of 9 rows)"


@pytest.mark.parametrize("form", ["jsonl", "tsv", "hans", "parquet"])
def test_an_empty_file_is_called_empty(tmp_path: Path, form: str) -> None:
    path = tmp_path / "toy"
    pd.DataFrame(columns=list(GOOD[0])).to_parquet(path) if form == "parquet" else path.write_text("")
    with pytest.raises(UserError, match="toy is empty: it has no row"):
        fetch("toy", dataset(path, format=form))
    if form in ("tsv", "hans"):
        path.write_text("\t".join(GOOD[0]) + "\n")
        with pytest.raises(UserError, match="toy is empty: it has no row"):
            fetch("toy", dataset(path, format=form))


def tabbed(*rows: list[str], end: str = "\n") -> str:
    return "".join("\t".join(row) + end for row in [list(GOOD[0]), *rows])


@pytest.mark.parametrize("form", ["jsonl", "tsv", "hans"])
def test_a_byte_order_mark_is_passed_over(tmp_path: Path, form: str) -> None:
    rows = tabbed(*([str(value) for value in row.values()] for row in GOOD))
    text = "".join(json.dumps(row) + "\n" for row in GOOD) if form == "jsonl" else rows
    (tmp_path / "toy").write_text("\ufeff" + text)
    assert fetch("toy", dataset(tmp_path / "toy", format=form))["id"].tolist() == ["a", "b"]


def test_a_tsv_row_has_as_many_fields_as_the_header(tmp_path: Path) -> None:
    path = tmp_path / "toy.tsv"
    good = ["a", 'He said "go', "He spoke.", "entailment"]
    path.write_text(tabbed(good, end="\r\n") + "\n")
    assert fetch("toy", dataset(path, format="tsv"))["premise"].tolist() == ['He said "go']
    for bad, count in (([*good, "more"], 5), (good[:3], 3)):
        path.write_text(tabbed(good, ["b", *bad[1:]]))
        with pytest.raises(UserError, match=rf"toy\.tsv:3: {count} fields, but the first line names 4 .id, premise"):
            fetch("toy", dataset(path, format="tsv"))
    path.write_text("id\tpremise\tpremise\n1\ta\tb\n")
    with pytest.raises(UserError, match=r"toy\.tsv:1: the column premise stands twice"):
        fetch("toy", dataset(path, format="tsv"))


def test_blank_lines_and_line_separators_of_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "toy.jsonl"
    odd = {**GOOD[1], "premise": "A dog\u2028ran."}
    path.write_text("\n" + json.dumps(GOOD[0]) + "\n\n  \n" + json.dumps(odd, ensure_ascii=False) + "\n\n")
    assert fetch("toy", dataset(path))["premise"].tolist() == ["A dog ran.", "A dog\u2028ran."]


def test_half_a_surrogate_pair_is_named_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "toy.jsonl"
    whole = json.dumps({**GOOD[0], "premise": "A \U0001f600 ran."})
    path.write_text(whole + "\n" + json.dumps(GOOD[1]).replace("A dog", "A \\ud83d") + "\n")
    assert "\\ud83d\\ude00" in whole
    with pytest.raises(UserError, match=r"toy\.jsonl:2: \\ud83d is half a surrogate pair") as caught:
        fetch("toy", dataset(path))
    assert "\n" not in str(caught.value)


def test_a_two_way_suite_of_one_class_keeps_its_scheme(tmp_path: Path) -> None:
    """It is read by a two-way model, and a three-way model's answers are collapsed on it."""
    rows = fetch("toy", dataset(lines(tmp_path / "toy.jsonl", [GOOD[0], {**GOOD[0], "id": "b"}]), scheme="two-way"))
    assert scheme_of(rows) == TWO_WAY
    write_table(tmp_path / "toy.parquet", pd.concat([rows.assign(suite="toy"), rows.drop(columns="scheme")]))
    assert scheme_of(read_table(tmp_path / "toy.parquet")) == TWO_WAY
    read = as_read(rows, Reading(tasks={"rte": list(TWO_WAY)}))
    assert read is not None and set(read["task"]) == {"rte"}
    answers = Answers(np.array([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2]]), THREE_WAY)
    found = score(rows, answers, slices(rows, 20))
    assert found["accuracy"] == 0.5 and set(found["classes"]) == set(TWO_WAY)
    assert guard(rows, {"m": answers})["declared"] == 0.5


def test_parquet_and_tsv_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\x00\xff\xfe")
    with pytest.raises(UserError, match="not a parquet file"):
        fetch("toy", dataset(path, format="parquet"))
    pd.DataFrame(GOOD).to_parquet(tmp_path / "good")
    assert len(fetch("toy", dataset(tmp_path / "good", format="parquet"))) == 2
