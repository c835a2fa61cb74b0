"""The formats of data files: a table of the rows as they stand there; what is broken is named by file and line."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from nlilab.core.errors import UserError
from nlilab.core.files import parse_yaml, read_jsonl, read_text
from nlilab.datasets import superglue, templates


def read_rows(file: Path, form: str, name: str) -> pd.DataFrame:
    """The rows of a dataset's file in one of the `READERS`' formats; a file without any is refused."""
    try:
        rows = READERS[form](file)
    except (KeyError, TypeError) as error:
        raise UserError(f"{name}: {file} is no {form} file (it lacks {error}); correct `format`") from error
    if rows.empty:
        raise UserError(f"{name}: {file} is empty: it has no row; get the whole file, or name another")
    return rows


def _jsonl(file: Path) -> pd.DataFrame:
    # As objects: a null in a column would make every 0 of it 0.0, and round large ids.
    return pd.DataFrame([row for _, row in _complete(read_jsonl(file))], dtype=object)


def _complete(lines: Iterable[tuple[str, dict[str, Any]]]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Refuse a line whose keys differ from the first one's: a missing field would become a silent NaN."""
    first: set[str] | None = None
    for place, row in lines:
        first = first or set(row)
        if missing := first - set(row):
            raise UserError(f"{place}: lacks {', '.join(sorted(missing))}, which the first line has")
        yield place, row


def _hans(file: Path) -> pd.DataFrame:
    """The official HANS file (McCoy et al. 2019): tab-separated, with heuristic and subcase."""
    names = {"gold_label": "label", "sentence1": "premise", "sentence2": "hypothesis", "pairID": "id"}
    return _tsv(file).rename(columns=names)


def _tsv(file: Path) -> pd.DataFrame:
    """Fields between tabs, quotes as they stand; every line has as many as the first one names."""
    first, *lines = read_text(file).split("\n")
    names = first.split("\t")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{file}:1: the column {', '.join(twice)} stands twice; name each once")
    rows = []
    for number, line in enumerate(lines, start=2):
        if not line.strip(" "):
            continue
        fields = line.split("\t")
        if len(fields) != len(names):
            raise UserError(
                f"{file}:{number}: {len(fields)} fields, but the first line names {len(names)} ({', '.join(names)}): "
                "a tab too many or too few, or no tab-separated file"
            )
        rows.append(fields)
    return pd.DataFrame(rows, columns=names)


def _parquet(file: Path) -> pd.DataFrame:
    try:
        table: pd.DataFrame = pq.read_table(file).to_pandas(integer_object_nulls=True)  # as `_jsonl`
        return table
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a parquet file ({error})") from error


def _templates(file: Path) -> pd.DataFrame:
    return pd.DataFrame(templates.expand(parse_yaml(read_text(file), str(file))))


FLAT: dict[str, Callable[[Path], pd.DataFrame]] = {
    "jsonl": _jsonl,
    "parquet": _parquet,
    "tsv": _tsv,
    "hans": _hans,
    "templates": _templates,
}
READERS = FLAT | superglue.READERS
