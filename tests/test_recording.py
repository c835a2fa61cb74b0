"""Recordings: sorted files that a clone without keys replays, byte for byte."""

import hashlib
from pathlib import Path

import pytest

from nlilab.core.errors import UserError
from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.recording import Recording, write_recording
from nlilab.llm.request import Finish, Response


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def answer(number: int) -> Response | ProviderError:
    if number % 7 == 0:
        return ProviderError(ErrorKind.REFUSED, "no\u2028way")
    finish = Finish.LENGTH if number % 5 == 0 else Finish.STOP
    return Response(key(number), f'text {number} ü\n\u2028 \\ "' * (number % 4), finish, "m-1", number, 3)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_what_is_written_is_found_and_nothing_else(tmp_path: Path, count: int) -> None:
    path = tmp_path / "r.jsonl"
    assert write_recording(path, ((key(n), answer(n)) for n in range(count))) == count
    recording = Recording(path)
    for number in range(count):
        found, expected = recording.find(key(number)), answer(number)
        assert str(found) == str(expected) and type(found) is type(expected)
    assert [recording.find(key(number)) for number in range(count, count + 50)] == [None] * 50
    recording.close()


def test_the_same_answers_in_any_order_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    write_recording(one, ((key(n), answer(n)) for n in range(40)))
    write_recording(two, ((key(n), answer(n)) for n in (*reversed(range(40)), 3, 3)))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [lines[1], lines[0], *lines[2:]], "r.jsonl:2: not in order of keys"),
        (lambda lines: [lines[0], *lines], "r.jsonl:2: not in order of keys"),
        (lambda lines: [lines[0], "<<<<<<< HEAD\n", *lines[1:]], "r.jsonl:2: not a line of a recording"),
        (lambda lines: [*lines[:-1], lines[-1][:-9]], "r.jsonl:9: not a line of a recording"),
    ],
)
def test_a_file_that_a_merge_has_broken_is_refused_with_its_line(tmp_path: Path, change: object, said: str) -> None:
    path = tmp_path / "r.jsonl"
    write_recording(path, ((key(n), answer(n)) for n in range(9)))
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))  # type: ignore[operator]
    with pytest.raises(UserError, match=said):
        Recording(path)
