"""Stages analyze, analyze-suites: diversity, artefacts, entities and leakage, every figure with its interval."""

from pathlib import Path
from typing import Annotated

import typer

from nlilab.analysis.describe import Beside, describe
from nlilab.analysis.embeddings import embedder
from nlilab.analysis.settings import AnalyzeSettings
from nlilab.core.command import run
from nlilab.core.files import read_table, write_json
from nlilab.core.params import run_settings, section
from nlilab.curation.curate import CurateSettings
from nlilab.tasks.reading import read_reading


def main(
    data: Path, metrics: Path, name: Annotated[str | None, typer.Argument(help="nli/grammar; else all suites")] = None
) -> None:
    """Describe a curated set or, where none is named, every suite; all of them beside the suites."""
    run_, kind = run_settings(), "curated" if name else "suites"
    settings, curation = section("analyze", AnalyzeSettings), section("curate", CurateSettings)
    held = {suite: read_table(data / "suites" / f"{suite}.parquet") for suite in run_.suites}
    beside = Beside(held, settings.references, curation.leakage_containment, curation.leakage_jaccard)
    embed = embedder(settings.embedder)
    for table in [name] if name else run_.suites:
        labels = read_reading(data / "labelled" / f"{table}.json").labels if name else []
        rows = read_table(data / kind / f"{table}.parquet")
        found = describe(f"{kind}/{table}", rows, beside, settings, embed, labels)
        write_json(metrics / kind / f"{table}.json", found)
        print(f"{kind}/{table}: {found['rows']} rows described")


if __name__ == "__main__":
    run(main)
