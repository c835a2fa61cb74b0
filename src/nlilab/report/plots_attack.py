"""The plot of a suite under attack: each victim's accuracy on the same rows as they were, and as perturbed."""

from dataclasses import asdict

from markupsafe import Markup

from nlilab.report.attacks import Attack
from nlilab.report.facts import Facts
from nlilab.report.plots import BLUE, GREY, VERMILLION, named
from nlilab.report.vega import across, draw, named_rows, scale, values_beside

COLOURS = {"clean": BLUE, "attacked": VERMILLION}
SHAPES = {"clean": "circle", "attacked": "diamond"}


def attacked(facts: Facts, attack: Attack) -> Markup:
    """Clean and attacked accuracy with their intervals, by model; the grey line between is what the attack takes."""
    rows = [
        {
            "y": named(facts, model, attack.place),
            "kind": kind,
            **asdict(bounds),
        }
        for model, stand in attack.stands.items()
        for kind, bounds in (("clean", stand.clean), ("attacked", stand.attacked))
    ]
    beside = [
        {
            "y": named(facts, model, attack.place),
            "clean": stand.clean.value,
            "attacked": stand.attacked.value,
            "text": f"{100 * stand.clean.value:.1f} → {100 * stand.attacked.value:.1f}",
        }
        for model, stand in attack.stands.items()
    ]
    x = across("value", _domain(facts))
    colour = scale("kind", COLOURS)
    return draw(
        named_rows(
            rows,
            220,
            [
                {
                    "data": {"values": beside},
                    "mark": {"type": "rule", "strokeWidth": 1.5, "color": GREY, "strokeDash": [2, 2]},
                    "encoding": {"x": {**x, "field": "attacked"}, "x2": {"field": "clean"}},
                },
                {
                    "mark": {"type": "rule", "strokeWidth": 2.5, "opacity": 0.75},
                    "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": colour},
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 75, "opacity": 1},
                    "encoding": {"x": x, "color": colour, "shape": scale("kind", SHAPES)},
                },
                {"data": {"values": beside}, **values_beside(220)},
            ],
        )
    )


def _domain(facts: Facts) -> list[float]:
    """One scale for all attacks, in whole tenths, so that they compare."""
    bounds = [
        value
        for attack in facts.attacking.attacks
        for stand in attack.stands.values()
        for shown in (stand.clean, stand.attacked)
        for value in (shown.low, shown.high)
    ]
    return [int(min(bounds) * 10) / 10, min(1.0, -int(-max(bounds) * 10 // 1) / 10)]
