"""Stage curate: duplicates, leakage against every suite in use, balance, split; every reject with its reason."""

from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import digest, read_table, write_json, write_table
from nlilab.core.params import run_settings, section
from nlilab.core.progress import progress
from nlilab.curation.curate import CurateSettings, curate


def main(
    name: str,
    rows: Path,
    suites: Path,
    out: Path,
    rejects: Path,
    metrics: Path,
) -> None:
    """Curate one set of labelled rows, written or human."""
    run_ = run_settings()
    table = read_table(rows)
    # The label that balance looks at is the one that training will mostly use.
    label = "label" if "corrected_label" not in table else "balance_label"
    if label == "balance_label":
        table = table.assign(
            balance_label=table["corrected_label"].where(table["corrected_label"].notna(), table["label"])
        )
    held = {name: read_table(suites / f"{name}.parquet") for name in run_.suites}
    with progress(f"curate {name}") as report:
        settings = section("curate", CurateSettings)
        found = curate(table, held, settings, label, report)
    kept = found.kept.drop(columns="balance_label", errors="ignore")
    write_table(out, kept.assign(group=[digest(premise) for premise in kept["premise"]]))
    write_table(rejects, found.rejects.drop(columns="balance_label", errors="ignore"))
    write_json(
        metrics,
        {
            "rows_in": len(table),
            "rows_out": len(found.kept),
            "rejects": found.counts,
            "splits": {
                str(split): int(count) for split, count in found.kept["split"].value_counts().sort_index().items()
            },
        },
    )
    print(f"{name}: {len(table)} rows in, {len(found.kept)} out, {len(found.rejects)} rejected {found.counts}")


if __name__ == "__main__":
    run(main)
