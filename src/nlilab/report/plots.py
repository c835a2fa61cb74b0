"""The report's plots, one small plot for each suite: they flow side by side or under each other.

Colours are Okabe & Ito's, told apart by the colour-blind; page.css sets them for light and dark, so here they are
names, and text and grid take the page's own colour (`currentColor`).
"""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from nlilab.report.facts import Facts
from nlilab.report.pairs import BETTER, INCONCLUSIVE, WORSE, Pair
from nlilab.report.vega import Rows, Spec, across, draw, named_rows, rule_at, scale, values_beside
from nlilab.report.words import percent, points

BLUE, ORANGE, GREEN, VERMILLION, GREY = (f"var(--{name})" for name in ("blue", "orange", "green", "vermillion", "grey"))
VERDICT_COLOURS = {BETTER: BLUE, WORSE: VERMILLION, INCONCLUSIVE: GREY}
VERDICT_SHAPES = {BETTER: "triangle-up", WORSE: "triangle-down", INCONCLUSIVE: "circle"}
GOLD_COLOURS = [BLUE, ORANGE, GREEN]
GOLD_SHAPES = ["circle", "diamond", "square"]

CURVE_POINTS = 100  # longer loss curves are averaged down to this many
ONE_LINE = 28  # characters of two models' names that fit on one line
CELL, LETTER = 68, 7  # pixels of a column of a matrix, and of a letter of its name


def accuracy(facts: Facts, suite: str) -> Markup:
    """Each reader's accuracy: interval, mean, the seeds as ticks; dashed: always the most frequent label."""
    found, most = facts.accuracy[suite], facts.majority(suite)
    name = {model: named(facts, model, suite) for model in found}
    rows = [{"y": name[model], **value, "text": percent(value["mean"])} for model, value in found.items()]
    seeds = [{"y": name[model], "x": seed} for model, value in found.items() for seed in value["seeds"]]
    x = across("low", _accuracy_domain(facts))
    return draw(
        named_rows(
            rows,
            190,
            [
                *([] if most is None else [rule_at(most, x)]),
                {
                    "data": {"values": seeds},
                    "mark": {"type": "tick", "color": BLUE, "opacity": 0.45, "thickness": 1, "size": 11},
                    "encoding": {"x": {**x, "field": "x"}},
                },
                {
                    "mark": {"type": "rule", "strokeWidth": 2.5, "color": BLUE},
                    "encoding": {"x": x, "x2": {"field": "high"}},
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 70, "color": BLUE, "opacity": 1},
                    "encoding": {"x": {**x, "field": "mean"}},
                },
                values_beside(190),
            ],
        )
    )


def named(facts: Facts, model: str, suite: str) -> str:
    """A model's name in a plot, with the dagger that the caption explains where it was trained on the suite's rows."""
    return f"{model} †" if (model, suite) in facts.attacking.contaminated else model


def _pair_name(facts: Facts, pair: Pair, sign: str) -> str:
    """Two models on one line, or all pairs on two lines where one would be cut."""
    wide = any(len(other.model) + len(other.baseline) > ONE_LINE for other in facts.pairs)
    model, baseline = named(facts, pair.model, pair.suite), named(facts, pair.baseline, pair.suite)
    return f"{model}{chr(10) if wide else ' '}{sign} {baseline}"


def _accuracy_domain(facts: Facts) -> list[float]:
    """One scale for all suites, in whole tenths, so that they compare."""
    values = [value[key] for models in facts.accuracy.values() for value in models.values() for key in ("low", "high")]
    values += [most for suite in facts.run.suites if (most := facts.majority(suite)) is not None]
    return [max(0.0, int(min(values) * 10) / 10), min(1.0, -int(-max(values) * 10 // 1) / 10)]


def differences(facts: Facts, suite: str) -> Markup:
    """Each pair's difference with its interval, marked by verdict; the grey band is what could not be detected."""
    rows = [
        {
            "y": _pair_name(facts, pair, "−"),
            "x": pair.difference,
            "low": pair.low,
            "high": pair.high,
            "band": -pair.detectable,
            "band2": pair.detectable,
            "verdict": pair.verdict,
            "text": points(pair.difference),
        }
        for pair in facts.of_suite(suite)
    ]
    limit = max(max(abs(pair.low), abs(pair.high), pair.detectable) for pair in facts.pairs) * 1.05
    x = across("x", [-limit, limit], percent_points=True)
    colour = scale("verdict", VERDICT_COLOURS)
    return draw(
        named_rows(
            rows,
            165,
            [
                {
                    "mark": {"type": "bar", "height": 14, "color": GREY, "opacity": 0.22},
                    "encoding": {"x": {**x, "field": "band"}, "x2": {"field": "band2"}},
                },
                {"mark": {"type": "rule", "color": "currentColor", "opacity": 0.6}, "encoding": {"x": {"datum": 0}}},
                {
                    "mark": {"type": "rule", "strokeWidth": 2.5},
                    "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": colour},
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 75, "opacity": 1},
                    "encoding": {"x": x, "color": colour, "shape": scale("verdict", VERDICT_SHAPES)},
                },
                values_beside(165),
            ],
        )
    )


def transitions(facts: Facts, suite: str) -> Markup:
    """What changes from the baseline to the model, in shares of all rows x seeds.

    Right of zero stands what the baseline had wrong (fixed + remaining), left what the model broke (introduced).
    """
    rows: list[dict[str, Any]] = []
    for pair in facts.of_suite(suite):
        change = pair.changes
        share = {name: getattr(change, name) / change.decisions for name in ("fixed", "remaining", "introduced")}
        spans = {
            "introduced": (-share["introduced"], 0.0),
            "fixed": (0.0, share["fixed"]),
            "remaining": (share["fixed"], share["fixed"] + share["remaining"]),
        }
        rows += [
            {"y": _pair_name(facts, pair, "←"), "from": start, "to": end, "kind": kind}
            for kind, (start, end) in spans.items()
        ]
    every = [pair.changes for pair in facts.pairs if pair.changes.decisions]
    low = -max(change.introduced / change.decisions for change in every)
    high = max(change.wrong_before / change.decisions for change in every)
    x = across("from", [low, high])
    colour = scale("kind", {"introduced": VERMILLION, "fixed": GREEN, "remaining": GREY})
    pale = {"condition": {"test": "datum.kind === 'remaining'", "value": 0.35}, "value": 1}
    bars = {
        "mark": {"type": "bar", "height": 13},
        "encoding": {"x": x, "x2": {"field": "to"}, "color": colour, "opacity": pale},
    }
    zero = {"mark": {"type": "rule", "color": "currentColor", "opacity": 0.6}, "encoding": {"x": {"datum": 0}}}
    return draw(named_rows(rows, 200, [bars, zero]))


def cells(facts: Facts, suite: str, heuristic: str, labels: list[str]) -> Markup:
    """One heuristic: accuracy where the gold label is entailment, and where it is not; far apart means a bias."""
    name = {model: named(facts, model, suite) for model in facts.readers(suite)}
    rows: list[dict[str, Any]] = [
        {"y": name[model], "x": value, "gold": label}
        for model in name
        for label in labels
        if (value := facts.mean(suite, model, "cells", f"{heuristic}/{label}")) is not None
    ]
    span = [
        {"y": name[model], "low": min(values), "high": max(values)}
        for model in name
        if (values := [row["x"] for row in rows if row["y"] == name[model]])
    ]
    x = across("x", [0, 1])
    return draw(
        named_rows(
            rows,
            200,
            [
                rule_at(0.5, x),
                {
                    "data": {"values": span},
                    "mark": {"type": "rule", "strokeWidth": 2, "color": GREY},
                    "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}},
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
                    "encoding": {
                        "x": x,
                        "color": scale("gold", dict(zip(labels, GOLD_COLOURS, strict=False))),
                        "shape": scale("gold", dict(zip(labels, GOLD_SHAPES, strict=False))),
                    },
                },
            ],
        )
    )


def flips(matrix: Mapping[str, Mapping[str, int]]) -> Markup:
    """Constrained label (rows) x label after correction (columns); the shade is the share of the row."""
    rows = [
        {"y": label, "x": outcome, "rows": count, "share": count / max(1, sum(outcomes.values()))}
        for label, outcomes in matrix.items()
        for outcome, count in outcomes.items()
    ]
    y: Spec = {"field": "y", "type": "nominal", "sort": None, "title": None}
    x: Spec = {"field": "x", "type": "nominal", "sort": None, "title": None}
    step = max([CELL, *(LETTER * len(str(row["x"])) for row in rows)])
    x["axis"] = {"orient": "top", "labelAngle": 0, "labelLimit": step, "labelOverlap": False}
    shade: Spec = {"field": "share", "type": "quantitative", "legend": None}
    shade["scale"] = {"domain": [0, 1], "range": [0.04, 0.6]}
    return draw(
        {
            "data": {"values": rows},
            "width": {"step": step},
            "height": {"step": 30},
            "encoding": {"x": x, "y": y},
            "layer": [
                {"mark": {"type": "rect", "color": BLUE}, "encoding": {"opacity": shade}},
                {"mark": "text", "encoding": {"text": {"field": "rows", "type": "quantitative", "format": ","}}},
            ],
        }
    )


def losses(facts: Facts, model: str) -> Markup:
    """The training loss of one model, a line for each seed; all models on one scale."""
    curves = {(name, seed): curve(run["losses"]) for name, runs in facts.training.items() for seed, run in runs.items()}
    every = [point for points_ in curves.values() for point in points_]
    rows = [{**point, "seed": str(seed)} for (name, seed), found in curves.items() if name == model for point in found]
    return draw(
        {
            "data": {"values": rows},
            "width": 270,
            "height": 90,
            "mark": {"type": "line", "color": BLUE, "strokeWidth": 1.4, "opacity": 0.65},
            "encoding": {
                "x": across("step", [0, max(point["step"] for point in every)], axis={"tickCount": 4, "title": "step"}),
                "y": {
                    "field": "loss",
                    "type": "quantitative",
                    "scale": {"domain": [0, max(point["loss"] for point in every)]},
                    "axis": {"tickCount": 3, "title": "loss (nats)"},
                },
                "detail": {"field": "seed"},
            },
        }
    )


def curve(points_: Rows) -> list[dict[str, float]]:
    """At most `CURVE_POINTS` points: neighbours are averaged, and stand at the last one's step."""
    width = -(-len(points_) // CURVE_POINTS) if points_ else 1
    parts = [points_[start : start + width] for start in range(0, len(points_), width)]
    return [
        {"step": part[-1]["step"], "loss": round(sum(point["loss"] for point in part) / len(part), 6)} for part in parts
    ]
