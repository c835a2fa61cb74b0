"""Stage gate: hold every set that may be trained on to the limits; what is over one stops the pipeline here."""

from pathlib import Path

from nlilab.analysis.gates import GateSettings, check, violations
from nlilab.core.command import run
from nlilab.core.errors import UserError
from nlilab.core.files import read_json, write_json
from nlilab.core.params import run_settings, section


def main(analyses: Path, metrics: Path) -> None:
    """Write what was checked; refuse, and name every violation, where a limit is not kept."""
    held = {name: read_json(analyses / f"{name}.json") for name in run_settings().curated()}
    checked = check(held, section("gate", GateSettings))
    write_json(metrics, {"checked": checked})
    if said := violations(checked):
        raise UserError(said)
    print(f"{len(checked)} gates passed")


if __name__ == "__main__":
    run(main)
