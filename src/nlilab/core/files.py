"""Reading and writing the project's files: whole or not at all, the same bytes for the same content."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from nlilab.core.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
EXPERIMENTS = ".dvc/tmp/exps"  # below it DVC copies a project for an experiment in a folder of its own
HALF = re.compile(r"\\u[dD][89a-fA-F]")  # a JSON escape of half a surrogate pair, which may have its other half or not


def home() -> Path:
    """The project's own folder, "" where that is the current one.

    An experiment of `dvc exp run --temp` or of the queue runs in a copy of the project below .dvc/tmp/exps, which goes
    away with it; what is to outlive it lies in the project that it was made from.
    """
    here = Path.cwd()
    copy = next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)
    before, inside, _ = f"{copy}/".partition(f"/{EXPERIMENTS}/")
    if inside:
        return Path(before) / here.relative_to(copy)
    root = Path(os.environ.get("DVC_ROOT") or copy)  # DVC names the project to an experiment's stages
    if copy.is_relative_to((root / EXPERIMENTS).resolve()):  # where .dvc/tmp is a link to another disk
        return root / here.relative_to(copy)
    return Path()


def cache() -> Path:
    """Where lies what may be shared between runs and made again: the project's `.cache`, or where NLILAB_CACHE says.

    One for all experiments of a project: what one has bought or fetched is there for the others.
    """
    return home() / Path(os.environ.get("NLILAB_CACHE") or ".cache").expanduser()


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it onto `path` only if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    try:
        with full_disk_told(path, temporary):
            temporary.touch(
                exist_ok=False
            )  # unlike a temporary file of the library it has the rights that umask leaves
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """A hidden path in the same folder that nothing has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


@contextmanager
def full_disk_told(path: Path, half: Path) -> Iterator[None]:
    """Where the disk is full while `path` is written, remove `half`, what there is of it, and say so in a sentence."""
    try:
        yield
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None  # safetensors has an error of its own
        if number not in FULL and not any(f"(os error {full})" in str(error) for full in FULL):
            raise
        remove(half)
        raise UserError(
            f"disk full while writing {path}: nothing half-written was left; "
            "free some space and run the same command again"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, two spaces and a newline at the end."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a parquet file whose bytes depend on the table alone."""
    with whole(path) as temporary:
        arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
        pq.write_table(arrow, temporary, compression="zstd")


def read_table(path: Path) -> pd.DataFrame:
    """Read a parquet file that a stage wrote."""
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro`, or `dvc pull` where a remote holds it")
    try:
        table: pd.DataFrame = pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{path} is damaged or no parquet file ({error}): delete it and run `dvc repro`, or `dvc pull` where a "
            "remote holds it; if it comes back damaged, DVC's cache holds it so: `dvc repro --force` its stage"
        ) from error
    return table


def read_json(path: Path) -> Any:
    """Read one JSON file; a broken one names its place."""
    return parse_json(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read UTF-8 text without its byte-order mark; a missing or binary file is the user's to mend."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing") from error
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise UserError(f"{path} is not a UTF-8 text file: {error}") from error


def parse_json(text: str, place: str) -> Any:
    """Parse JSON and name the place (file, or file:line) of what is broken."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: not valid JSON ({error.msg} at column {error.colno})") from error
    if HALF.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):04x}"
            raise UserError(
                f"{place}: {half} is half a surrogate pair and no character; write both halves, or the character itself"
            ) from error
    return value


class _OnceLoader(yaml.SafeLoader):
    """Safe YAML in which a key stands once in a mapping; PyYAML itself takes the later one without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in first:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands twice, in lines {first[name]} and {line}: keep one",
                    problem_mark=key.start_mark,
                )
            first[name] = line
        return node


def parse_yaml(text: str, place: str) -> Any:
    """Parse YAML and name the line of what is broken, a key that stands twice included."""
    try:
        return yaml.load(text, Loader=_OnceLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{place}{line}: not valid YAML ({getattr(error, 'problem', None) or error})") from error


def read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file:line, object) for every line but blank ones; lines end at a newline alone, not at U+2028."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            place = f"{path}:{number}"
            value = parse_json(line, place)
            if not isinstance(value, dict):
                raise UserError(f"{place}: expected a JSON object, got {type(value).__name__}")
            yield place, value


def remove(path: Path) -> None:
    """Remove a file or a folder, whichever it is, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tell_strays(folder: Path, expected: set[str]) -> None:
    """Say which files are of arms, seeds or models that params.yaml does not name: stages read by name, so none counts.

    They are told all the same, since a stage that depends on their folder looks changed in a clone that lacks them.
    """
    there = folder.iterdir() if folder.is_dir() else ()
    strays = sorted(path.name for path in there if path.name not in expected and not path.name.startswith("."))
    if strays:
        print(
            f"note: {folder} holds {', '.join(strays)}, which params.yaml does not name; they do not count, and "
            "`make prune` removes such leftovers of models, seeds and arms"
        )


def digest(*parts: object) -> str:
    """A stable 12-digit hexadecimal id of the parts, in order."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:12]
