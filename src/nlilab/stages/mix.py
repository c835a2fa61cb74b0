"""Stage mix: build an arm's training table from curated sources, and certify its balance."""

from pathlib import Path

from nlilab.command import run
from nlilab.errors import UserError
from nlilab.files import read_table, write_json, write_table
from nlilab.mix import Mixtures, certificate, mix
from nlilab.params import nearest, run_settings, section
from nlilab.task import load_task


def main(arm: str, curated: Path, out: Path, metrics: Path) -> None:
    """Write an arm's training rows and the certificate that makes arms comparable."""
    run_ = run_settings()
    mixture = section("mixtures", Mixtures).get(arm)
    known = [*run_.generators, *run_.datasets]
    for name in mixture.sources:
        if name not in known:
            raise UserError(
                f"params.yaml: mixtures.{arm}.sources: {name!r} takes no part in this run{nearest(name, known)}; "
                f"add it to generators or datasets (now: {', '.join(known)})"
            )
    labels = load_task(run_.task).labels
    table = mix(arm, mixture, {name: read_table(curated / f"{name}.parquet") for name in mixture.sources}, labels)
    write_table(out, table)
    certified = certificate(table, mixture, labels)
    write_json(metrics, certified)
    print(f"{arm}: {certified['rows']} rows {certified['labels']} from {certified['sources']}")


if __name__ == "__main__":
    run(main)
