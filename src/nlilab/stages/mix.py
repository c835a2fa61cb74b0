"""Stage mix: build an arm's training table from curated sources, and certify its balance."""

from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import read_table, write_json, write_table
from nlilab.core.params import run_settings, section
from nlilab.core.schema import task_of
from nlilab.curation.mix import Mixtures, certificate, mix, reading_of
from nlilab.tasks.definition import load_task


def main(arm: str, curated: Path, out: Path, reading: Path, metrics: Path) -> None:
    """Write an arm's training rows, how its models read, and the certificate that makes arms comparable."""
    run_ = run_settings()
    mixtures = section("mixtures", Mixtures)
    mixtures.check_sources(arm, run_.sets)
    mixture = mixtures.get(arm)
    sources = {name: read_table(curated / f"{name}.parquet") for name in mixture.sources}
    tasks = {name: load_task(name) for name in set(map(task_of, sources.values()))}
    table, read = mix(arm, mixture, sources, tasks), reading_of(mixture, sources, tasks)
    write_table(out, table)
    write_json(reading, read.model_dump())
    certified = certificate(table, mixture, read)
    write_json(metrics, certified)
    print(f"{arm}: {certified['rows']} rows {certified['labels']} from {certified['sources']}")


if __name__ == "__main__":
    run(main)
