"""Recordings: the answers that a pipeline used, as a sorted file that travels through git or a DVC remote."""

import json
import mmap
from collections.abc import Iterable
from pathlib import Path

from nlilab.core.errors import UserError
from nlilab.core.files import write_text
from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.request import Finish, Response

RECORDINGS = Path("data/recordings")
KEY = slice(len('{"key": "'), len('{"key": "') + 64)  # where a line's key stands, in bytes


def recording_path(generator: str) -> Path:
    """Where a generator's recording lies."""
    return RECORDINGS / f"{generator}.jsonl"


class Recording:
    """One JSONL file, sorted by key and read by binary search in the mapped file: memory stays flat."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text: mmap.mmap | bytes = b""
        self._file = path.open("rb")
        if path.stat().st_size:
            self._text = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._check()

    def find(self, key: str) -> Response | ProviderError | None:
        """The recorded answer or failure."""
        wanted, text = key.encode(), self._text
        low, high = 0, len(text)
        while low < high:
            start = text.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = text.find(b"\n", start) + 1 or high
            here = text[start:end][KEY]
            if here == wanted:
                return _read(text[start:end])
            if here < wanted:
                low = end
            else:
                high = start
        return None

    def close(self) -> None:
        """Let go of the file."""
        if isinstance(self._text, mmap.mmap):
            self._text.close()
        self._file.close()

    def _check(self) -> None:
        """Refuse a file that a merge or an editor has put out of order: look-ups would miss what it holds."""
        before = b""
        for number, line in enumerate(iter(self._file.readline, b""), start=1):
            key = line[KEY]
            if not line.startswith(b'{"key": "') or len(key) != 64 or not line.endswith(b"}\n"):
                raise UserError(
                    f"{self.path}:{number}: not a line of a recording; run `nlilab record` to write it anew"
                )
            if key <= before:
                raise UserError(f"{self.path}:{number}: not in order of keys; `LC_ALL=C sort -u -o` it onto itself")
            before = key


def write_recording(path: Path, answers: Iterable[tuple[str, Response | ProviderError]]) -> int:
    """Write (key, answer) sorted by key, the same bytes for the same answers; returns how many."""
    lines = sorted({key: _written(key, answer) for key, answer in answers}.values())
    write_text(path, "".join(lines))
    return len(lines)


def _written(key: str, answer: Response | ProviderError) -> str:
    if isinstance(answer, ProviderError):
        value: dict[str, object] = {"key": key, "error": str(answer.kind), "message": answer.message}
    else:
        value = {
            "key": key,
            "finish": str(answer.finish),
            "text": answer.text,
            "model": answer.model,
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
        }
    return json.dumps(value, ensure_ascii=False) + "\n"


def _read(line: bytes) -> Response | ProviderError:
    value = json.loads(line)
    if "error" in value:
        return ProviderError(ErrorKind(value["error"]), value["message"])
    counts = (value["input_tokens"], value["output_tokens"])
    return Response(value["key"], value["text"], Finish(value["finish"]), value["model"], *counts)
