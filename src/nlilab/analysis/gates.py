"""Gates: what a set must keep before anything is trained on it, and what to do where it does not.

No set may lie in a suite. What one side gives away, and how labels are spread, is held against generators alone: human
sets are what they are.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from nlilab.core.params import Settings
from nlilab.core.seen import Bases, Suites, shared

Share = Annotated[float, Field(ge=0, le=1)]

REMEDIES = {
    "hypothesis_only": "its hypotheses tell their label (artefacts.pmi names the words): change the prompts or the "
    "generator",
    "leakage": "suites have rows of it (see leakage): curate it against every suite in use",
    "balance": "its labels are lopsided: set curate.label_ratio, or generate more of the rare label",
}


class GateSettings(Settings):
    """The section `gate`: limits that a set must keep before anything is trained on it; null: no limit.

    `hypothesis_only` and `balance` hold for what generators wrote, `leakage` for all, `seen` for the bases of arms.
    """

    hypothesis_only: Share | None = Field(
        default=None, description="highest share that is right from the hypothesis alone (human SNLI: 0.67)"
    )
    leakage: Annotated[int, Field(ge=0)] | None = Field(default=0, description="most rows that a suite (nearly) has")
    balance: Share | None = Field(default=0.2, description="how far a label's share may lie from equal shares")
    seen: Literal["allow", "refuse"] = Field(
        default="allow",
        description="refuse: no arm may start from a base that was tuned on training pairs of a suite's set, or of the "
        "set from whose sentences a suite was made (conf/models.yaml, conf/datasets.yaml)",
    )


def check(analyses: Mapping[str, Any], limits: GateSettings) -> list[dict[str, Any]]:
    """Hold the analyses of sets, by name, to the limits; a gate without limit is listed and passed.

    A value that could not be measured (null: too few rows for a hypothesis-only classifier) passes no limit.
    """
    found = []
    for name in sorted(analyses):
        for gate, value in measured(analyses[name]).items():
            limit = getattr(limits, gate)
            passed = limit is None or (value is not None and value <= limit)
            found.append({"set": name, "gate": gate, "limit": limit, "value": value, "passed": passed})
    return found


def measured(analysis: Mapping[str, Any]) -> dict[str, float | int | None]:
    """The value of each gate that the set is held to.

    `hypothesis_only`: accuracy at the largest size; `leakage`: rows found by exact, 8-gram and near match, added up
    over suites; `balance`: how far the label's share that is furthest off lies from equal shares.
    """
    largest = max(analysis["artefacts"]["sizes"].values(), key=lambda size: int(size["rows"]))
    accuracy = largest["hypothesis_only"]
    labels = analysis["labels"]
    leaks = sum(suite[kind] for suite in analysis["leakage"].values() for kind in ("exact", "grams", "near"))
    if not analysis["origin"]:
        return {"leakage": leaks}
    return {
        "hypothesis_only": accuracy and accuracy["value"],
        "leakage": leaks,
        "balance": round(max(abs(rows / analysis["rows"] - 1 / len(labels)) for rows in labels.values()), 6),
    }


def violations(checked: Sequence[Mapping[str, Any]]) -> str:
    """All gates that are not passed, in one line: set, gate, value, limit and remedy; nothing where all are passed."""
    return "; ".join(
        f"{one['set']}: {one['gate']} is {'unknown' if one['value'] is None else format(one['value'], '.4g')}, over "
        f"gate.{one['gate']} {one['limit']:g}: {REMEDIES[one['gate']]}, or raise the limit (null: none)"
        for one in checked
        if not one["passed"]
    )


def seen_before(starts: Mapping[str, Sequence[str]], suites: Suites, known: Bases) -> str:
    """The bases of arms (`starts`: base -> arms) that have seen a suite's set, in one line with the remedy."""
    out = []
    for model, arms in starts.items():
        name, base = known.find(model)
        if base and (found := shared(base, suites, known.families)):
            out.append(
                f"the base {name} of {', '.join(arms)} was tuned on training pairs of {found}, and gate.seen refuses "
                "that: start from another base (conf/models.yaml knows some), judge on other suites, or set gate.seen "
                "to allow"
            )
    return "; ".join(out)
