"""What the page shows of data sets, costs, people and licences."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from nlilab.report.cost import costs
from nlilab.report.facts import Facts, base_of
from nlilab.report.figures import decimals, dollars, figure
from nlilab.report.judgement import GRADES, agreed, judged_by_people, written_by
from nlilab.report.sets import plots as draw
from nlilab.report.sets.dataset import FIELDS, DataSet
from nlilab.report.sets.findings import gate_limit, gate_name, gate_value, said_of
from nlilab.report.sets.side import VIEWS, side_by_side
from nlilab.report.words import by_grammar, percent

MARKS = ("●", "◆", "■", "▲", "✚", "▼", "▶")  # the shapes of draw.SHAPES
FILTERS = {"figure": figure, "decimals": decimals, "dollars": dollars}


def of_sets(facts: Facts) -> dict[str, Any]:
    """What the templates ask for, by name."""
    return {
        "beside_sets": side_by_side(facts.sets, facts.documents.values()),
        "drawn_sets": _drawn(facts),
        "said_of": said_of,
        "gate_name": gate_name,
        "gate_value": gate_value,
        "gate_limit": gate_limit,
        "views": VIEWS,
        "shapes": MARKS,
        "hues": len(draw.HUES),
        "candidate": candidate,
        "costs": costs(facts.corrections, facts.curation),
        "people": {
            "said": judged_by_people(facts.agreement),
            "generators": written_by(facts.agreement),
            "grades": GRADES,
            "published": agreed(facts.documents.values()),
        },
        "by_grammar": by_grammar,
        "base": base_of(facts.params),
    }


def candidate(row: Mapping[str, Any]) -> str:
    """Why a row should be reread."""
    found = [name for name, holds in (("PVI below 0", row["pvi"] < 0), ("flagged", row["flagged"])) if holds]
    return ", ".join(found) or "no"


def _drawn(facts: Facts) -> dict[str, Any]:
    """The plots of all sets as inline SVG."""
    analysed = [one for one in facts.sets.values() if one.analysis]
    tasks = dict.fromkeys(one.task for one in analysed)
    published = [
        found
        for document in facts.documents.values()
        for found in document.analyses
        if found.measure == "hypothesis_only"
    ]
    return {
        "alone": {
            task: draw.alone(
                [one for one in analysed if one.task == task], [one.value for one in published if one.task == task]
            )
            for task in tasks
        },
        "published": {
            task: [f"{one.name}, {percent(one.value)} %" for one in published if one.task == task]
            for task in {one.task for one in published}
        },
        "cards": {name: _card(facts, one) for name, one in facts.sets.items()},
    }


def _card(facts: Facts, one: DataSet) -> dict[str, Any]:
    """The plots of one set; what it lacks is empty."""
    reference = facts.sets.get(one.analysis.get("entities", {}).get("reference") or "")
    reference = reference if reference and reference.analysis else None
    found = one.entities()
    distances = one.analysis.get("entities", {}).get("jsd", {}).values()
    drawn: dict[str, Markup | Mapping[str, Markup] | bool] = {
        "reference": reference is not None,
        "likeness": {field: draw.likeness(one, field) for field in FIELDS if one.cosine(field)},
        "overlap": draw.overlap(one) if one.analysis.get("artefacts", {}).get("overlap") else Markup(""),
        "pvi": draw.pvi(one) if one.difficulty else Markup(""),
        "cartography": draw.cartography(one) if one.difficulty else Markup(""),
        "rates": draw.rates(one, reference) if found else Markup(""),
        "distances": draw.distances(one) if any(jsd.get("value") is not None for jsd in distances) else Markup(""),
        "names": {kind: draw.names(one, reference, kind) for kind in draw.drawn_types(one)},
    }
    return drawn
