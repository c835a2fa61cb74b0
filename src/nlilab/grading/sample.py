"""Which rows people grade: a stratified share of every corrected table, drawn once (TarGEN section 5: 20 %)."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nlilab.core.errors import UserError
from nlilab.core.files import digest, read_json, read_table, write_json, write_text
from nlilab.core.params import Settings, validate
from nlilab.grading.store import ROWS, Choice, Field, Row, alone, graders, read_rows
from nlilab.tasks.definition import Task, load_task

SHARE, SEED = 0.2, 0
DRAWING = "sample.json"


class Drawing(Settings):
    """How a sample was drawn (sample.json)."""

    share: float
    seed: int
    sets: list[str]


def draw(tables: Mapping[str, pd.DataFrame], share: float, seed: int) -> list[Row]:
    """Draw `share` of each stratum, at least one row of it, and shuffle all.

    Args:
        tables: corrected tables by their name task/generator.

    A stratum is a table x a constrained label x a verdict of self-correction (kept, relabelled, dropped, unjudged).
    Both the choice and the order go by hashes of ids, so a row that is added moves no other.
    """
    rows: list[Row] = []
    for name, table in tables.items():
        task = load_task(name.split("/")[0])
        ranked = table.assign(rank=[digest("grade", seed, name, row) for row in table["id"]]).sort_values("rank")
        for _, stratum in ranked.groupby(["label", "verdict"]):
            count = max(1, math.floor(share * len(stratum) + 0.5))
            weight = round(len(stratum) / count, 6)
            rows += [_frozen(name, task, record, weight) for record in stratum.head(count).to_dict("records")]
    return sorted(rows, key=lambda row: digest("order", seed, row.id))


def _frozen(name: str, task: Task, record: Mapping[Any, Any], weight: float) -> Row:
    return Row(
        id=digest(name, record["id"]),
        row=str(record["id"]),
        set=name,
        task=task.name,
        title=task.file.title,
        fields=[Field(name=field, text=str(record[field])) for field in task.file.fields],
        labels=[Choice(name=label, means=found.means) for label, found in task.file.labels.items()],
        generator=str(record["generator"]),
        constrained_label=str(record["label"]),
        corrected_label=_label(record["corrected_label"]),
        verdict=str(record["verdict"]),
        group=digest(task.pair(record)["premise"]),
        weight=weight,
    )


def _label(value: Any) -> str | None:
    """A corrected label; null where correction dropped the row or could not judge it."""
    return value if isinstance(value, str) else None


def open_sample(
    folder: Path,
    tables: Callable[[], Mapping[str, pd.DataFrame]],
    share: float | None = None,
    seed: int | None = None,
    redraw: bool = False,
) -> dict[str, Row]:
    """The rows of the sample in `folder` by id: those that lie there, or where none lie newly drawn ones of `tables`.

    Raises:
        UserError: `share` or `seed` is not what the sample was drawn with, or it is to be redrawn after it was graded.
    """
    with alone(folder):
        if (folder / f"{ROWS}.jsonl").is_file() and not redraw:
            _check_same(folder, share, seed)
            return read_rows(folder)
        if names := graders(folder):
            raise UserError(
                f"{folder} holds the grades of {', '.join(names)}, which belong to its rows: "
                "draw other rows under another name (--sample NAME), or delete these files first"
            )
        share = SHARE if share is None else share
        if not 0 < share <= 1:
            raise UserError(f"--share: got {share}, expected more than 0 and at most 1 (0.2: a fifth of all rows)")
        seed, found = SEED if seed is None else seed, tables()
        rows = draw(found, share, seed)
        write_json(folder / DRAWING, Drawing(share=share, seed=seed, sets=list(found)).model_dump())
        lines = (json.dumps(row.model_dump(), ensure_ascii=False, sort_keys=True) for row in rows)
        write_text(folder / f"{ROWS}.jsonl", "".join(f"{line}\n" for line in lines))
        return {row.id: row for row in rows}


def _check_same(folder: Path, share: float | None, seed: int | None) -> None:
    path = folder / DRAWING
    drawn = validate(read_json(path), Drawing, str(path))
    for option, asked, had in (("share", share, drawn.share), ("seed", seed, drawn.seed)):
        if asked is not None and asked != had:
            raise UserError(
                f"the sample in {folder} was drawn with --{option} {had:g}, got {asked:g}: leave --{option} out, "
                "or draw another sample (--sample NAME), or, as long as nobody has graded, this one anew (--redraw)"
            )


def corrected_tables(data: Path, sets: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The tables of step 4 beneath `data`/labelled, by their name task/generator."""
    for name in sets:
        if not (path := data / "labelled" / f"{name}.parquet").is_file():
            raise UserError(f"{path} is missing: run `dvc repro correct` first, or name other --sets")
    return {name: read_table(data / "labelled" / f"{name}.parquet") for name in sets}


def still_there(rows: Iterable[Row], data: Path) -> tuple[int, int]:
    """How many rows of a sample the tables beneath `data` still hold: with their texts; with their labels as well."""
    every = list(rows)
    texts = labels = 0
    for name in {row.set for row in every}:
        path = data / "labelled" / f"{name}.parquet"
        table = read_table(path).set_index("id") if path.is_file() else pd.DataFrame()
        for row in every:
            if row.set != name or row.row not in table.index:
                continue
            now = table.loc[row.row]
            if all(str(now.get(field.name)) == field.text for field in row.fields):
                texts += 1
                now_labelled = (now["label"], _label(now["corrected_label"]))
                labels += now_labelled == (row.constrained_label, row.corrected_label)
    return texts, labels
