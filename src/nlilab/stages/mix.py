"""Stage mix: build an arm's training table from curated sources, and certify its balance."""

from pathlib import Path

from nlilab.command import run
from nlilab.files import read_table, write_json, write_table
from nlilab.mix import Mixtures, certificate, mix
from nlilab.params import run_settings, section
from nlilab.task import load_task


def main(arm: str, curated: Path, out: Path, metrics: Path) -> None:
    """Write an arm's training rows and the certificate that makes arms comparable."""
    run_ = run_settings()
    mixtures = section("mixtures", Mixtures)
    mixtures.check_sources(arm, [*run_.generators, *run_.datasets])
    mixture = mixtures.get(arm)
    labels = load_task(run_.task).labels
    table = mix(arm, mixture, {name: read_table(curated / f"{name}.parquet") for name in mixture.sources}, labels)
    write_table(out, table)
    certified = certificate(table, mixture, labels)
    write_json(metrics, certified)
    print(f"{arm}: {certified['rows']} rows {certified['labels']} from {certified['sources']}")


if __name__ == "__main__":
    run(main)
