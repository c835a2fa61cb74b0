"""The files of data/grades/<sample>: rows.jsonl is the frozen sample, <grader>.jsonl what one grader marked, in order.

A grader's file only ever grows. A later mark of a row supersedes the earlier one; an undone row has none. A line is on
disk before it counts, and a crash in the middle of a line costs that line alone.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from nlilab.core.command import LOCKS
from nlilab.core.errors import UserError
from nlilab.core.files import digest, parse_json, read_jsonl
from nlilab.core.params import Settings, validate

GRADES = {
    "A": ("excellent", "fluent and sensible, and without a doubt one label fits"),
    "B": ("good", "a small flaw of language or sense, but the label is clear"),
    "C": ("fair", "awkward, or a second label could be defended"),
    "D": ("poor", "broken, senseless or beside the task"),
}
INVALID = "invalid"  # the mark of a row that no label fits, by the name under which a judge drops one
ROWS = "rows"  # the name of the sample's own file, so of no grader
NAME_LENGTH = 60
FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
TORN = b" <torn by a crash>"  # how a line ends that a crash cut short


class Field(Settings):
    """A text of a row, by its name in the task."""

    name: str
    text: str


class Choice(Settings):
    """A label that a grader can mark."""

    name: str
    means: str


class Row(Settings):
    """A row of a sample as it was when it was drawn.

    `row` is its id in the table of `set` (task/generator), `group` the digest of its premise, and `weight` the number
    of rows that it stands for: those of its stratum over those drawn of it.
    """

    id: str
    row: str
    set: str
    task: str
    title: str
    fields: list[Field]
    labels: list[Choice]
    generator: str
    constrained_label: str
    corrected_label: str | None
    verdict: str
    group: str
    weight: float


class Mark(Settings):
    """What a grader says of a row: how good it is, and which label is right."""

    id: str
    grade: Literal["A", "B", "C", "D"]
    label: str
    note: str = ""


class Undone(Settings):
    """A grader takes back the mark of a row."""

    id: str
    undone: Literal[True]


Event = Mark | Undone
Rows = Mapping[str, Row]


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder of grades; it lies outside of data/grades, which git and DVC read."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCKS / f"grades-{digest(path.resolve())}.lock"):
        yield


def check_name(name: str, what: str) -> str:
    """The name, if it is fit for a file of data/grades."""
    if not FILE_NAME.fullmatch(name):
        raise UserError(f"{what} {name[:NAME_LENGTH]!r} is no file name: use a-z, 0-9, dot, dash and underscore")
    if name == ROWS or len(name) > NAME_LENGTH:
        raise UserError(
            f"{what} {name[:NAME_LENGTH]!r}: use another name, of at most {NAME_LENGTH} letters and not {ROWS!r}"
        )
    return name


def read_rows(folder: Path) -> dict[str, Row]:
    """The rows of a sample by id, in the sample's order."""
    path = folder / f"{ROWS}.jsonl"
    if not path.is_file():
        raise UserError(f"{path} is missing: `git checkout {path}` brings it back; grades mean nothing without it")
    rows: dict[str, Row] = {}
    for place, value in read_jsonl(path):
        row = validate(value, Row, place)
        if row.id in rows:
            raise UserError(f"{place}: id {row.id!r} stands twice; `git checkout {path}` restores the sample")
        rows[row.id] = row
    return rows


def graders(folder: Path) -> list[str]:
    """The names of those who have a file in a sample."""
    return sorted(path.stem for path in folder.glob("*.jsonl") if path.stem != ROWS)


def marks(events: Sequence[Event]) -> dict[str, Mark]:
    """What stands in the end, by row, in the order in which it was given."""
    standing: dict[str, Mark] = {}
    for event in events:
        standing.pop(event.id, None)
        if isinstance(event, Mark):
            standing[event.id] = event
    return standing


def read_event(value: Any, rows: Rows, place: str) -> Event:
    """A mark or its undoing, checked against the sample; `place` begins the error."""
    kind: type[Event] = Undone if isinstance(value, dict) and "undone" in value else Mark
    event = validate(value, kind, place)
    if event.id not in rows:
        raise UserError(f"{place}: no row of the sample has the id {event.id[:NAME_LENGTH]!r}")
    known = [*(label.name for label in rows[event.id].labels), INVALID]
    if isinstance(event, Mark) and event.label not in known:
        raise UserError(f"{place}: unknown label {event.label[:NAME_LENGTH]!r}; expected one of {', '.join(known)}")
    return event


class Grades:
    """One grader's file, for several threads and processes at once."""

    def __init__(self, folder: Path, grader: str, rows: Rows) -> None:
        self.path = folder / f"{check_name(grader, 'the grader')}.jsonl"
        self._rows = rows

    def events(self, warn: Callable[[str], None] = lambda line: None) -> list[Event]:
        """All marks and undoings, oldest first; a line that a crash cut short is told to `warn` and left out."""
        with alone(self.path):
            content = self.path.read_bytes() if self.path.is_file() else b""
        *whole, rest = content.split(b"\n")
        found: list[Event] = []
        for number, line in enumerate([*whole, rest] if rest else whole, start=1):
            place = f"{self.path}:{number}"
            if line.endswith(TORN) or number > len(whole):
                warn(f"{place}: a crash cut this line short; it is left out, and every other one counts")
            elif line.strip():
                found.append(read_event(_parsed(line, place), self._rows, place))
        return found

    def append(self, event: Event) -> None:
        """Add it as one line, on disk (fsync) when this returns.

        Raises:
            OSError: nothing was saved; what a full disk cut short does no harm.
        """
        line = json.dumps(event.model_dump(), ensure_ascii=False, sort_keys=True).encode("utf-8", "replace") + b"\n"
        with alone(self.path):
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                end = os.lseek(file, 0, os.SEEK_END)
                if end and os.pread(file, 1, end - 1) != b"\n":
                    os.write(file, TORN + b"\n")
                if os.write(file, line) < len(line):
                    raise OSError(f"{self.path}: the disk is full")
                os.fsync(file)
            finally:
                os.close(file)


def _parsed(line: bytes, place: str) -> Any:
    try:
        return parse_json(line.decode("utf-8"), place)
    except (UserError, UnicodeDecodeError) as error:
        raise UserError(
            f"{place}: not a line of grades; mend or delete it (after a merge: keep the lines of both sides)"
        ) from error
