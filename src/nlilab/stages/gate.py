"""Stage gate: hold sets and the bases of arms to the limits; what is over one stops the pipeline here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlilab.analysis.gates import GateSettings, check, seen_before, violations
from nlilab.core.command import run
from nlilab.core.errors import UserError
from nlilab.core.files import read_json, write_json
from nlilab.core.params import PARAMS, Run, read_yaml, run_settings, section
from nlilab.core.seen import load_bases, started, unknown


def main(analyses: Path, suites: Path, metrics: Path) -> None:
    """Write what was checked; refuse, and name every violation, where a limit is not kept."""
    run_, limits = run_settings(), section("gate", GateSettings)
    held = {name: read_json(analyses / f"{name}.json") for name in run_.curated()}
    checked = check(held, limits)
    write_json(metrics, {"checked": checked})
    cards = {name: read_json(suites / f"{name}.json") for name in run_.suites} if limits.seen == "refuse" else {}
    said = [violations(checked), _seen(run_, cards) if cards else ""]
    if any(said):
        raise UserError("; ".join(filter(None, said)))
    print(f"{len(checked)} gates passed")


def _seen(run_: Run, cards: Mapping[str, Any]) -> str:
    """What is wrong with the bases of arms; of one that is not known it is only told."""
    starts, known = started(run_.arms, run_, read_yaml(PARAMS)), load_bases()
    for why in filter(None, (unknown(*known.find(model)) for model in starts)):
        print(f"note: {why} gate.seen cannot tell.")
    return seen_before(starts, cards, known)


if __name__ == "__main__":
    run(main)
