"""Datasets: formats, labels by name, pins, and every bad input as one clear line; the hub is a server on loopback."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from nlilab.core.errors import UserError
from nlilab.core.files import read_jsonl, sha256
from nlilab.core.params import validate
from nlilab.datasets.sources import Dataset, fetch, pin

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


def test_the_real_files_load_as_the_preset_names_them(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = yaml.safe_load((ROOT / "presets/real-nli.yaml").read_text())["datasets"]
    for name, entry in entries.items():
        path = real_data / Path(entry["path"]).name
        found = fetch(name, validate({**entry, "path": str(path)}, Dataset, name))
        assert len(found) > 100 and found["id"].is_unique


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
        ([], "no rows|no column"),
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


def test_parquet_and_tsv_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\x00\xff\xfe")
    with pytest.raises(UserError, match="not a parquet file"):
        fetch("toy", dataset(path, format="parquet"))
    pd.DataFrame(GOOD).to_parquet(tmp_path / "good")
    assert len(fetch("toy", dataset(tmp_path / "good", format="parquet"))) == 2
