"""Stage analyze: diversity, artefacts, entities and leakage of one dataset, every figure with its interval."""

from pathlib import Path

from nlilab.analysis.describe import Beside, describe
from nlilab.analysis.embeddings import embedder
from nlilab.analysis.settings import AnalyzeSettings
from nlilab.core.command import run
from nlilab.core.files import read_table, write_json
from nlilab.core.params import run_settings, section
from nlilab.curation.curate import CurateSettings
from nlilab.tasks.reading import read_reading


def main(name: str, data: Path, metrics: Path) -> None:
    """Describe the set `name` (curated/nli/grammar, suites/handwritten: its place in `data`) beside the suites."""
    run_ = run_settings()
    settings, curation = section("analyze", AnalyzeSettings), section("curate", CurateSettings)
    table = read_table(data / f"{name}.parquet")
    held = {suite: read_table(data / "suites" / f"{suite}.parquet") for suite in run_.suites}
    beside = Beside(held, settings.references, curation.leakage_containment, curation.leakage_jaccard)
    kind, _, rest = name.partition("/")
    labels = read_reading(data / "labelled" / f"{rest}.json").labels if kind == "curated" else []
    found = describe(name, table, beside, settings, embedder(settings.embedder), labels)
    write_json(metrics, found)
    print(f"{name}: {found['rows']} rows described")


if __name__ == "__main__":
    run(main)
