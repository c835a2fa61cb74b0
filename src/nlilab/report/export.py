"""Tables as folders that `datasets.load_dataset` opens: data files by split, and the card that names their labels."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nlilab.core.errors import UserError
from nlilab.core.files import beside, remove, whole, write_text
from nlilab.report.cards.data import dataset_card
from nlilab.report.cards.sets import Shared

FORMATS = ("parquet", "jsonl")


def export(shared: Shared, out: Path, suffix: str = "parquet", force: bool = False) -> None:
    """Write the set to the folder `out`, whole or not at all; `force` replaces what an earlier export left there.

    Labels stand in the files by name; the card makes `load_dataset` number them in the task's order.
    """
    out = out.resolve()
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: name a folder")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise UserError(f"{out} is not empty: name another folder, or replace it by --force")
    if force and out.is_dir() and any(out.iterdir()) and not _exported(out):
        raise UserError(f"{out} holds more than an export (README.md and data/): --force replaces nothing else")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(out)
    try:
        (temporary / "data").mkdir(parents=True)
        for split, part in shared.splits.items():
            _write(part, temporary / "data" / f"{split}.{suffix}")
        write_text(temporary / "README.md", dataset_card(shared, suffix))
        remove(out)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exported(folder: Path) -> bool:
    """Whether the folder holds just what an export writes."""
    return {path.name for path in folder.iterdir()} <= {"README.md", "data"}


def _write(part: pa.Table, path: Path) -> None:
    with whole(path) as temporary:
        if path.suffix == ".parquet":
            pq.write_table(part, temporary, compression="zstd")
        else:
            part.to_pandas().to_json(temporary, orient="records", lines=True, force_ascii=False, double_precision=15)
