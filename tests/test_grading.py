"""Human judgement: the sample, the files of grades, the server on loopback, and the agreement of graders."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from nlilab.core.errors import UserError
from nlilab.core.files import write_table
from nlilab.grading.agreement import Table, agreement, kappa, raw, spearman
from nlilab.grading.sample import corrected_tables, draw, open_sample, still_there
from nlilab.grading.server import serve
from nlilab.grading.store import Choice, Field, Grades, Mark, Row, Undone, marks, read_rows
from nlilab.stages.agreement import main as agreement_stage
from nlilab.tasks.definition import load_task

ROOT = Path(__file__).parent.parent
TOKEN = "secret"
LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture(autouse=True)
def project(workplace: Path) -> Path:
    """An empty project of its own: locks lie beneath the present folder."""
    return workplace


def corrected(generator: str, rows: int = 60) -> pd.DataFrame:
    """A table after correction: of every ten rows one is relabelled; the very last is dropped."""
    table = pd.DataFrame(
        {
            "id": [f"{generator}-{number}" for number in range(rows)],
            "premise": [f"Premise {number // 3} of {generator}." for number in range(rows)],
            "hypothesis": [f"Hypothesis {number}." for number in range(rows)],
            "generator": generator,
            "label": [LABELS[number % 3] for number in range(rows)],
        }
    )
    table["corrected_label"] = [LABELS[0] if number % 10 == 1 else LABELS[number % 3] for number in range(rows)]
    table["verdict"] = np.where(table["label"] == table["corrected_label"], "kept", "relabelled")
    table.loc[rows - 1, ["corrected_label", "verdict"]] = [None, "dropped"]
    return table


def row(name: str, group: str, constrained: str, fixed: str | None, weight: float = 1.0, task: str = "nli") -> Row:
    """A row of a sample."""
    return Row(
        id=name,
        row=name,
        set=f"{task}/g",
        task=task,
        title="a task",
        fields=[Field(name="premise", text=group), Field(name="hypothesis", text=name)],
        labels=[Choice(name=label, means="...") for label in load_task(task).labels],
        generator="g",
        constrained_label=constrained,
        corrected_label=fixed,
        verdict="kept",
        group=group,
        weight=weight,
    )


def written(folder: Path, *rows: Row) -> dict[str, Row]:
    """The rows as the sample of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row in rows))
    return read_rows(folder)


def two_rows(folder: Path) -> dict[str, Row]:
    """The least sample that serves."""
    return written(folder, row("one", "p", "neutral", "neutral"), row("two", "q", "neutral", "entailment"))


# --- the sample


def test_every_stratum_is_drawn_by_its_share_and_stands_for_its_rows() -> None:
    tables = {"nli/ann": corrected("ann"), "nli/bob": corrected("bob", 9)}
    rows = draw(tables, 0.2, 0)
    drawn = pd.DataFrame([{**row.model_dump(), "label": row.constrained_label} for row in rows])
    for name, table in tables.items():
        sizes = table.groupby(["label", "verdict"]).size()
        own = drawn[drawn["set"] == name].groupby(["label", "verdict"])
        assert own.size().to_dict() == {key: max(1, int(0.2 * size + 0.5)) for key, size in sizes.items()}
        assert own["weight"].sum().round(5).to_dict() == sizes.to_dict()
    assert rows == draw(tables, 0.2, 0) != draw(tables, 0.2, 1)
    order = drawn["set"].tolist()
    assert order != sorted(order) and order != sorted(order, reverse=True)


def test_a_sample_is_frozen(project: Path) -> None:
    folder, data = project / "data/grades/default", project / "data"
    write_table(data / "labelled/nli/ann.parquet", corrected("ann"))
    with pytest.raises(UserError, match=r"nli/bob\.parquet is missing: run `dvc repro correct`"):
        corrected_tables(data, ["nli/bob"])
    first = open_sample(folder, lambda: corrected_tables(data, ["nli/ann"]))
    assert still_there(first.values(), data) == (len(first), len(first))
    before = (folder / "rows.jsonl").read_bytes()
    changed = corrected("ann")
    changed.loc[changed["id"] == next(iter(first.values())).row, "hypothesis"] = "Something else."
    changed["corrected_label"] = "neutral"
    write_table(data / "labelled/nli/ann.parquet", changed)
    assert open_sample(folder, dict) == first and (folder / "rows.jsonl").read_bytes() == before
    texts, labels = still_there(first.values(), data)
    assert texts == len(first) - 1 and labels < texts
    with pytest.raises(UserError, match=r"was drawn with --share 0.2, got 0.5: leave --share out"):
        open_sample(folder, dict, share=0.5)
    assert len(open_sample(folder, lambda: corrected_tables(data, ["nli/ann"]), 0.5, redraw=True)) > len(first)
    Grades(folder, "ann", read_rows(folder)).append(Mark(id=next(iter(read_rows(folder))), grade="A", label="neutral"))
    with pytest.raises(UserError, match=r"holds the grades of ann, .* another name"):
        open_sample(folder, lambda: corrected_tables(data, ["nli/ann"]), redraw=True)


# --- the files of grades


def test_a_later_mark_supersedes_and_an_undone_row_has_none(project: Path) -> None:
    grades = Grades(project, "ann", two_rows(project))
    one = Mark(id="one", grade="A", label="neutral", note="ü \u202e\u2028\n<b>")
    for event in (one, Mark(id="two", grade="B", label="invalid"), Mark(id="one", grade="D", label="neutral")):
        grades.append(event)
    assert [(mark.id, mark.grade) for mark in marks(grades.events()).values()] == [("two", "B"), ("one", "D")]
    grades.append(Undone(id="one", undone=True))
    assert list(marks(grades.events())) == ["two"] and grades.events()[0] == one
    assert grades.path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("cut", [1, 30, 53])
def test_a_line_that_a_crash_cut_short_costs_that_line_alone(project: Path, cut: int) -> None:
    grades = Grades(project, "ann", two_rows(project))
    mark = Mark(id="one", grade="A", label="neutral", note="fünf")
    for _ in range(2):
        grades.append(mark)
    whole = grades.path.read_bytes()
    grades.path.write_bytes(whole[: len(whole) // 2 + cut])
    told: list[str] = []
    assert grades.events(told.append) == [mark]
    grades.append(Mark(id="two", grade="B", label="neutral"))
    assert [event.id for event in grades.events(told.append)] == ["one", "two"]
    assert len(told) == 2 and all(line.startswith(f"{grades.path}:2: a crash cut") for line in told)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("<<<<<<< HEAD", r":2: not a line of grades; mend or delete it \(after a merge: keep the lines of both sides"),
        ('{"id": "x", "grade": "A", "label": "neutral"}', ":2: no row of the sample has the id 'x'"),
        ('{"id": "one", "grade": "E", "label": "neutral"}', ":2.grade: got 'E', input should be 'A', 'B', 'C' or 'D'"),
        ('{"id": "one", "grade": "A", "label": "yes"}', ":2: unknown label 'yes'; expected one of entailment, neutral"),
        ('{"id": "one"}', ":2.grade: is missing"),
    ],
)
def test_a_line_that_is_wrong_is_named(project: Path, line: str, said: str) -> None:
    grades = Grades(project, "ann", two_rows(project))
    grades.append(Mark(id="one", grade="A", label="neutral"))
    with grades.path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=f"ann.jsonl{said}"):
        grades.events()


@pytest.mark.parametrize("name", ["../ann", "Ann", "", "rows", "a" * 61, "ann\n"])
def test_a_grader_is_called_by_a_file_name(project: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"the grader .*(is no file name|use another name)"):
        Grades(project, name, {})


def test_a_broken_sample_is_named(project: Path) -> None:
    with pytest.raises(UserError, match=r"rows\.jsonl is missing: `git checkout"):
        read_rows(project)
    two_rows(project)
    with (project / "rows.jsonl").open("a") as file:
        file.write('{"id": 3}\n')
    with pytest.raises(UserError, match=r"rows\.jsonl:3"):
        read_rows(project)


# --- the server


class Client:
    """A browser's part: the cookie, and the origin of its page."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Origin"] = self.address
        assert self.session.get(f"{self.address}/", params={"token": TOKEN}).status_code == 200

    def post(self, event: Any, grader: str = "ann", seen: int = 0) -> requests.Response:
        """Send a mark."""
        return self.session.post(f"{self.address}/events", json=event, params={"grader": grader, "seen": str(seen)})


@contextmanager
def serving(folder: Path, rows: dict[str, Row], grader: str | None = None) -> Iterator[Client]:
    """A running server."""
    server = serve(folder, rows, grader, TOKEN)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Client(server.port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_only_the_page_itself_gets_an_answer(project: Path) -> None:
    mark = {"id": "one", "grade": "A", "label": "neutral", "note": ""}
    with serving(project, two_rows(project)) as client:
        address, port = client.address, client.address.rpartition(":")[2]
        for path in ("", "/rows?grader=ann", "/?token=guess", "/page.js"):
            assert requests.get(f"{address}{path}").status_code == 403
        for host, status in ((f"localhost:{port}", 200), ("evil.example", 403), (f"evil.example:{port}", 403)):
            cookie = f"nlilab-{port}={TOKEN}"
            got = requests.get(f"{address}/page.js", headers={"Host": host, "Cookie": cookie})
            assert got.status_code == status, host
        for origin in ("http://evil.example", "null", None, f"http://localhost:{port}"):
            headers = {"Origin": origin}
            got = client.session.post(f"{address}/events?grader=ann", json=mark, headers=headers)
            assert (got.status_code, got.text) == (403, "only the grading page itself may send marks")
        got = client.session.get(f"{address}/?token={TOKEN}")
        assert "default-src 'self'" in got.headers["Content-Security-Policy"]
        assert got.headers["X-Frame-Options"] == "DENY" and got.headers["Cache-Control"] == "no-store"
        assert "HttpOnly" in got.headers["Set-Cookie"] and "SameSite=Strict" in got.headers["Set-Cookie"]
        assert not (project / "ann.jsonl").exists()
        assert client.post(mark).json() == {"events": [mark], "seen": 1}


def test_what_is_sent_tells_neither_writer_nor_labels(project: Path) -> None:
    rows = {found.id: found for found in draw({"nli/ann": corrected("ann")}, 0.5, 0)}
    with serving(project, rows) as client:
        orders = []
        for grader in ("bob", "cy"):
            sent = client.session.get(f"{client.address}/rows?grader={grader}").json()["rows"]
            assert {name for row in sent for name in row} == {"id", "title", "fields", "labels"}
            orders.append([row["id"] for row in sent])
        assert sorted(orders[0]) == sorted(rows) and orders[0] != orders[1] and set(orders[0]) == set(orders[1])


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"id": "one", "grade": "A", "label": "yes"}, "unknown label 'yes'"),
        ({"id": "one", "grade": "F", "label": "neutral"}, "grade: got 'F'"),
        ({"id": "none", "undone": True}, "no row of the sample has the id 'none'"),
        ([], "this mark: "),
    ],
)
def test_a_bad_mark_is_refused_with_a_reason(project: Path, event: Any, said: str) -> None:
    with serving(project, two_rows(project)) as client:
        got = client.post(event)
        assert got.status_code == 400 and said in got.text and got.headers["Content-Type"].startswith("text/plain")
        bad = client.post({"id": "one", "grade": "A", "label": "neutral"}, grader="../ann")
        assert bad.status_code == 400 and "is no file name" in bad.text
    assert not list(project.glob("ann*"))


def test_two_servers_and_many_threads_on_one_file_lose_nothing(project: Path) -> None:
    rows = two_rows(project)
    with serving(project, rows, "ann") as first, serving(project, rows, "ann") as second:

        def mark(client: Client, name: str) -> None:
            for number in range(10):
                event = {"id": "one", "grade": "A", "label": "neutral", "note": f"{name}{number}" + "x" * 5000}
                assert Client(int(client.address.rpartition(":")[2])).post(event).status_code == 200

        threads = [threading.Thread(target=mark, args=(client, name)) for client in (first, second) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert second.post({"id": "two", "undone": True}, seen=99).json()["seen"] == 41
    notes = [event.note.rstrip("x") for event in Grades(project, "ann", rows).events() if isinstance(event, Mark)]
    assert sorted(notes) == sorted(2 * [f"{name}{number}" for name in "ab" for number in range(10)])


def test_a_port_in_use_is_named(project: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match=r"--port \d+ cannot be had .*in use.*: leave it out"):
            serve(project, {}, None, TOKEN, other.getsockname()[1])


# A shell may start what runs in the background with Ctrl-C ignored.
GRADE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
GRADE += "from nlilab.cli.grade import app; from nlilab.core.command import guarded; guarded(app)"


@contextmanager
def command(project: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], list[str], str]]:
    """A running `nlilab grade`: the process, what it printed, its address with the token."""
    arguments = [sys.executable, "-c", GRADE, *options, "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(arguments, cwd=project, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines: list[str] = []
        while not (lines and "Ctrl-C" in lines[-1]):
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        try:
            yield process, lines, re.findall(r"http://\S+", "".join(lines))[0]
        finally:
            process.kill()


def test_a_killed_command_loses_no_mark_that_it_confirmed(project: Path) -> None:
    write_table(project / "data/labelled/nli/grammar.parquet", corrected("grammar"))
    (project / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    folder = project / "data/grades/default"
    confirmed: list[str] = []
    with command(project, "ann") as (process, lines, address):
        assert "rows drawn of nli/grammar" in lines[0] and "ann: 0 of" in lines[1]
        origin = address.partition("/?")[0]
        session = requests.Session()
        session.trust_env = False
        session.get(address)

        def grade() -> None:
            for name in read_rows(folder):
                event = {"id": name, "grade": "B", "label": "neutral"}
                try:
                    session.post(f"{origin}/events", json=event, headers={"Origin": origin}).raise_for_status()
                except requests.ConnectionError:
                    return
                confirmed.append(name)
                if len(confirmed) == 5:
                    enough.set()

        enough = threading.Event()
        thread = threading.Thread(target=grade)
        thread.start()
        assert enough.wait(10)
        process.send_signal(signal.SIGKILL)
        thread.join()
    standing = marks(Grades(folder, "ann", read_rows(folder)).events())
    assert len(confirmed) >= 5 and set(confirmed) <= set(standing)
    with command(project, "ann") as (process, lines, address):
        assert "frozen; data/labelled still holds" in lines[0] and lines[1].startswith(f"ann: {len(standing)} of")
        process.send_signal(signal.SIGINT)
        assert "dvc repro agreement" in process.communicate(timeout=10)[0] and process.returncode == 0


# --- agreement


def table(cells: list[list[int]]) -> Table:
    """A table of rows that are each a cluster of their own."""
    pairs = [(one, other) for one, line in enumerate(cells) for other, n in enumerate(line) for _ in range(n)]
    first, second = np.array(pairs).T
    return Table(np.zeros_like(first), first, second, [str(number) for number in range(len(pairs))])


def test_kappa_of_a_hand_computed_table() -> None:
    found = table([[20, 5], [10, 15]])  # right on 35 of 50; by chance on (25 x 30 + 25 x 20) / 50 = 25
    assert found.estimate(kappa)["value"] == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert found.estimate(raw)["value"] == pytest.approx(0.7)
    width = 1.96 * (0.7 * 0.3 / 50) ** 0.5
    assert found.estimate(raw)["low"] == pytest.approx(0.7 - width, abs=0.03)
    assert found.estimate(raw)["high"] == pytest.approx(0.7 + width, abs=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_the_statistics_are_those_of_the_libraries(seed: int) -> None:
    random = np.random.default_rng(seed)
    first = random.integers(0, 4, 60)
    second = np.where(random.random(60) < 0.6, first, random.integers(0, 4, 60))
    found = Table(np.zeros_like(first), first, second, [str(number) for number in range(60)]).whole
    assert kappa(found) == pytest.approx(cohen_kappa_score(first, second))
    assert kappa(found, quadratic=True) == pytest.approx(cohen_kappa_score(first, second, weights="quadratic"))
    assert spearman(found) == pytest.approx(spearmanr(first, second).statistic)


def test_two_tasks_do_not_agree_by_being_two() -> None:
    """Within each task the graders agree as chance would have it, so kappa is 0; pooled labels would say 0.33."""
    found = [(task, one, other) for task in (0, 1) for one in (0, 1) for other in (0, 1)]
    stratum, first, second = np.array(found).T
    apart = Table(stratum, first, second, [str(number) for number in range(8)])
    assert apart.estimate(kappa)["value"] == 0
    assert cohen_kappa_score(stratum * 2 + first, stratum * 2 + second) == pytest.approx(1 / 3)


def test_rows_of_one_premise_are_drawn_together() -> None:
    first, second = np.array([0, 1, 1, 0, 1, 0]), np.array([0, 1, 0, 0, 0, 0])
    once = Table(np.zeros_like(first), first, second, list("abcdef"))
    four = [np.repeat(side, 4) for side in (first, second)]
    doubled = Table(np.zeros_like(four[0]), *four, [name for name in "abcdef" for _ in range(4)])
    assert once.estimate(kappa) == doubled.estimate(kappa) and once.estimate(raw) == doubled.estimate(raw)


def test_what_is_not_defined_is_null() -> None:
    same = table([[0, 0], [0, 7]])
    assert same.estimate(kappa) is None and same.estimate(spearman) is None
    assert same.estimate(raw) == {"value": 1, "low": 1, "high": 1}
    one_premise = Table(np.zeros(3, int), np.array([0, 1, 1]), np.array([0, 1, 0]), ["p"] * 3)
    assert one_premise.estimate(raw) is None


def test_with_no_grades_there_is_nothing_to_say(project: Path) -> None:
    empty = {"rows": 0, "samples": {}, "graders": {}, "pairs": [], "generators": {}}
    assert agreement(project / "data/grades", pytest.fail) == empty
    two_rows(project / "data/grades/default")
    found = agreement(project / "data/grades", pytest.fail)
    assert found == {**empty, "rows": 2, "samples": {"default": {"rows": 2, "graded": 0, "sets": {"nli/g": 2}}}}


def judged(folder: Path, marks_of: dict[str, str]) -> None:
    """Grades like `ann: "one:A:neutral two:B:invalid"`."""
    rows = read_rows(folder)
    for grader, said in marks_of.items():
        for word in said.split():
            name, grade, label = word.split(":")
            Grades(folder, grader, rows).append(Mark.model_validate({"id": name, "grade": grade, "label": label}))


def test_right_before_and_after_correction_by_hand(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project / "data/grades/default"
    written(
        folder,
        row("one", "p", "neutral", "neutral", 6),
        row("two", "q", "neutral", "entailment", 2),
        row("three", "r", "contradiction", None, 1),  # dropped
        row("four", "s", "entailment", "entailment", 1),  # nobody has graded it
    )
    judged(
        folder,
        {
            "ann": "one:A:neutral two:B:entailment three:D:invalid",
            "bob": "one:B:neutral two:B:neutral",
        },
    )
    out = project / "metrics/agreement.json"
    agreement_stage(project / "data/grades", out)
    assert "4 rows in 1 samples, graded by ann, bob" in capsys.readouterr().out
    found, before = json.loads(out.read_text()), out.read_bytes()
    agreement_stage(project / "data/grades", out)
    assert out.read_bytes() == before
    assert found["graders"]["ann"] == {"graded": 3, "grades": {"A": 1, "B": 1, "C": 0, "D": 1}}
    [pair] = found["pairs"]
    assert pair["graders"] == ["ann", "bob"] and pair["rows"] == 2
    assert pair["grade"]["raw"]["value"] == 0.5 and pair["label"]["raw"]["value"] == 0.5
    made = found["generators"]["nli/g"]
    # before: one is right (6), two by one grader of two (1), three not; after: one (6), two (1) of 8 that stay
    assert (made["rows"], made["rows_after"]) == (3, 2) and made["grades"] == {"A": 1, "B": 3, "C": 0, "D": 1}
    assert made["before"]["right"]["value"] == pytest.approx(7 / 9, abs=1e-6)
    assert made["after"]["right"]["value"] == pytest.approx(7 / 8)
    assert made["difference"]["value"] == pytest.approx(7 / 8 - 7 / 9, abs=1e-6)
    assert made["difference"]["low"] < made["difference"]["value"] < made["difference"]["high"]
    assert made["pairs"]["value"] == pair["grade"]["kappa"]["value"]


def test_graders_of_two_samples_and_tasks_meet(project: Path) -> None:
    copa = [row(f"c{n}", f"c{n}", "choice1", "choice1", task="copa") for n in range(4)]
    written(project / "grades/one", *copa, *(row(f"n{n}", f"n{n}", "neutral", "entailment") for n in range(4)))
    written(project / "grades/two", row("n0", "n0", "neutral", "entailment"))
    copas = "c0:A:choice1 c1:A:choice1 c2:B:choice2 c3:C:choice2"
    judged(project / "grades/one", {"ann": f"{copas} n0:A:entailment n1:B:neutral", "bob": f"{copas} n1:B:neutral"})
    judged(project / "grades/two", {"ann": "n0:D:invalid", "bob": "n0:D:invalid", "cy": "n0:A:neutral"})
    found = agreement(project / "grades", pytest.fail)
    assert [(pair["graders"], pair["rows"]) for pair in found["pairs"]] == [
        (["ann", "bob"], 6),
        (["ann", "cy"], 1),
        (["bob", "cy"], 1),
    ]
    assert found["pairs"][0]["grade"]["weighted_kappa"]["value"] == 1 and found["pairs"][1]["grade"]["kappa"] is None
    assert found["generators"]["copa/g"]["before"]["right"]["value"] == 0.5
    assert found["samples"]["one"] == {"rows": 8, "graded": 6, "sets": {"copa/g": 4, "nli/g": 4}}


def test_a_torn_line_is_told_by_the_stage(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project / "grades/default"
    two_rows(folder)
    judged(folder, {"ann": "one:A:neutral"})
    with (folder / "ann.jsonl").open("a") as file:
        file.write('{"grade": "A", "id"')
    agreement_stage(project / "grades", project / "out.json")
    assert "warning: " in (said := capsys.readouterr().err) and "ann.jsonl:2: a crash cut" in said
