"""The report's plots of models as Vega-Lite, one small plot for each suite; all suites share one scale, to compare."""

from collections.abc import Iterable, Mapping
from typing import Any

from nlilab.report import vega as v
from nlilab.report.facts import Facts
from nlilab.report.numbers import confidence_words, percent, points, whole
from nlilab.report.records import VERDICTS, Attack, Pair

CURVE_POINTS = 100  # longer loss curves are averaged down to this many
ONE_LINE = 28  # characters of two models' names that fit on one line
CELL, LETTER = 68, 7  # pixels of a column of a matrix, and of a letter of its name
VERDICT_COLOURS = {name: f"var(--{verdict.colour})" for name, verdict in VERDICTS.items()}
VERDICT_SHAPES = {name: verdict.shape for name, verdict in VERDICTS.items()}
ATTACKED = {"clean": (v.BLUE, "circle"), "attacked": (v.VERMILLION, "diamond")}


def accuracy(facts: Facts, suite: str, width: int = 190) -> v.Spec:
    """Each reader's accuracy: interval, mean, the seeds as ticks; dashed: always the most frequent label."""
    found, most = facts.accuracy[suite], facts.majority(suite)
    name = {model: named(facts, model, suite) for model in found}
    rows = [{"y": name[model], **value, "text": percent(value["mean"])} for model, value in found.items()]
    seeds = [{"y": name[model], "x": seed} for model, value in found.items() for seed in value["seeds"]]
    ends = [value[key] for models in facts.accuracy.values() for value in models.values() for key in ("low", "high")]
    x = v.across("mean", _tenths([*ends, *(one for other in facts.run.suites if (one := facts.majority(other)))]))
    layers = [
        *([] if most is None else [v.rule_at(most, x)]),
        v.layer("tick", {**x, "field": "x"}, seeds, color=v.BLUE, opacity=0.45, thickness=1, size=11),
        v.spans(x, color=v.BLUE),
        v.dots(x, color=v.BLUE, size=70),
        v.values_beside(width),
    ]
    return v.named_rows(rows, width, layers)


def results(facts: Facts) -> v.Spec:
    """One picture of the run: the accuracy of every model on every suite."""
    level = confidence_words(facts.confidence)
    subtitle = [
        f"Dot: mean over the seeds. Line: {level} interval. Thin ticks: single seeds.",
        "Dashed: always the suite's most frequent label.",
    ]
    if facts.contaminated:
        subtitle.append("†: trained on perturbed rows of the suite (contaminated).")
    suites = [
        {
            **accuracy(facts, suite, 330),
            "title": {"text": suite, "subtitle": f"{facts.task_of[suite]}, {judged(facts, suite)}"},
        }
        for suite in facts.run.suites
    ]
    title = {"text": "Accuracy in %", "subtitle": subtitle, "fontSize": 14, "frame": "bounds", "offset": 14}
    return {"title": title, "columns": 2 if len(suites) > 4 else 1, "spacing": 18, "concat": suites}


def judged(facts: Facts, suite: str) -> str:
    """How many answers accuracy counts, in words."""
    return f"{whole(facts.judged(suite))} {'questions' if suite in facts.candidates else 'rows'}"


def named(facts: Facts, model: str, suite: str) -> str:
    """A model's name in a plot, with the dagger that the caption explains where it was trained on the suite's rows."""
    return f"{model} †" if facts.tainted(model, suite) else model


def _tenths(values: Iterable[float]) -> list[float]:
    """A scale in whole tenths that holds all values."""
    held = list(values)
    return [max(0.0, int(min(held) * 10) / 10), min(1.0, -int(-max(held) * 10 // 1) / 10)]


def _pair_name(facts: Facts, pair: Pair, sign: str) -> str:
    """Two models on one line, or all pairs on two lines where one would be too long."""
    wide = any(len(other.model) + len(other.baseline) > ONE_LINE for other in facts.pairs)
    model, baseline = named(facts, pair.model, pair.suite), named(facts, pair.baseline, pair.suite)
    return f"{model}{chr(10) if wide else ' '}{sign} {baseline}"


def differences(facts: Facts, suite: str) -> v.Spec:
    """Each pair's difference with its interval, marked by verdict; the grey band is what could not be detected."""
    rows = [
        {"y": _pair_name(facts, pair, "−"), "x": pair.difference, "low": pair.low, "high": pair.high}
        | {"band": -pair.detectable, "band2": pair.detectable, "verdict": pair.verdict}
        | {"text": points(pair.difference)}
        for pair in facts.of_suite(suite)
    ]
    limit = max(max(abs(pair.low), abs(pair.high), pair.detectable) for pair in facts.pairs) * 1.05
    x = v.across("x", [-limit, limit], sign=True)
    colour = {"color": v.scale("verdict", VERDICT_COLOURS)}
    layers = [
        v.spans(x, ("band", "band2"), mark="bar", height=14, color=v.GREY, opacity=0.22),
        v.zero(),
        v.spans(x, encoding=colour),
        v.dots(x, {**colour, "shape": v.scale("verdict", VERDICT_SHAPES)}),
        v.values_beside(165),
    ]
    return v.named_rows(rows, 165, layers)


def transitions(facts: Facts, suite: str) -> v.Spec:
    """What changes from the baseline to the model, in shares of all rows x seeds.

    Right of zero stands what the baseline had wrong (fixed + remaining), left what the model broke (introduced).
    """
    rows: list[dict[str, Any]] = []
    for pair in facts.of_suite(suite):
        fixed, remaining, introduced = (
            count / pair.changes.decisions
            for count in (pair.changes.fixed, pair.changes.remaining, pair.changes.introduced)
        )
        ends = {"introduced": (-introduced, 0.0), "fixed": (0.0, fixed), "remaining": (fixed, fixed + remaining)}
        rows += [
            {"y": _pair_name(facts, pair, "←"), "from": start, "to": end, "kind": kind}
            for kind, (start, end) in ends.items()
        ]
    every = [pair.changes for pair in facts.pairs if pair.changes.decisions]
    low = -max(change.introduced / change.decisions for change in every)
    x = v.across("from", [low, max(change.wrong_before / change.decisions for change in every)])
    colour = v.scale("kind", {"introduced": v.VERMILLION, "fixed": v.GREEN, "remaining": v.GREY})
    pale = {"condition": {"test": "datum.kind === 'remaining'", "value": 0.35}, "value": 1}
    bars = v.spans(x, ("from", "to"), mark="bar", height=13, encoding={"color": colour, "opacity": pale})
    return v.named_rows(rows, 200, [bars, v.zero()])


def cells(facts: Facts, suite: str, heuristic: str, labels: list[str]) -> v.Spec:
    """One heuristic: accuracy where the gold label is entailment, and where it is not; far apart means a bias."""
    name = {model: named(facts, model, suite) for model in facts.readers(suite)}
    found = {
        model: {
            label: value
            for label in labels
            if (value := facts.mean(suite, model, "cells", f"{heuristic}/{label}")) is not None
        }
        for model in name
    }
    rows = [{"y": name[m], "x": x, "gold": label} for m, held in found.items() for label, x in held.items()]
    apart = [{"y": name[m], "low": min(held.values()), "high": max(held.values())} for m, held in found.items() if held]
    x = v.across("x", [0, 1])
    look = {"color": v.scale("gold", v.cycled(labels, v.HUES)), "shape": v.scale("gold", v.cycled(labels, v.SHAPES))}
    return v.named_rows(
        rows, 200, [v.rule_at(0.5, x), v.spans(x, rows=apart, strokeWidth=2, color=v.GREY), v.dots(x, look)]
    )


def attacked(facts: Facts, attack: Attack) -> v.Spec:
    """Clean and attacked accuracy with their intervals, by model; the grey line between is what the attack takes."""
    name = {model: named(facts, model, attack.place) for model in attack.stands}
    rows = [
        {"y": name[model], "kind": kind, **getattr(stand, kind).model_dump()}
        for model, stand in attack.stands.items()
        for kind in ATTACKED
    ]
    beside = [
        {"y": name[model], "clean": stand.clean.value, "attacked": stand.attacked.value}
        | {"text": f"{percent(stand.clean.value)} → {percent(stand.attacked.value)}"}
        for model, stand in attack.stands.items()
    ]
    every = [getattr(stand, kind) for one in facts.attacks for stand in one.stands.values() for kind in ATTACKED]
    x = v.across("value", _tenths(end for bounds in every for end in (bounds.low, bounds.high)))
    colour, shape = (v.scale("kind", {kind: look[n] for kind, look in ATTACKED.items()}) for n in (0, 1))
    layers = [
        v.spans(x, ("attacked", "clean"), beside, strokeWidth=1.5, color=v.GREY, strokeDash=[2, 2]),
        v.spans(x, encoding={"color": colour}, opacity=0.75),
        v.dots(x, {"color": colour, "shape": shape}),
        v.values_beside(220, beside),
    ]
    return v.named_rows(rows, 220, layers)


def flips(matrix: Mapping[str, Mapping[str, int]]) -> v.Spec:
    """Constrained label (rows) x label after correction (columns); the shade is the share of the row."""
    rows = [
        {"y": label, "x": outcome, "rows": count, "share": count / max(1, sum(outcomes.values()))}
        for label, outcomes in matrix.items()
        for outcome, count in outcomes.items()
    ]
    x: v.Spec = {"field": "x", "type": "nominal", "sort": None, "title": None}
    y = {**x, "field": "y"}
    x["axis"] = {"orient": "top", "labelAngle": 0, "labelOverlap": False}
    shade: v.Spec = {"field": "share", "type": "quantitative", "legend": None}
    shade["scale"] = {"domain": [0, 1], "range": [0.04, 0.6]}
    count = {"text": {"field": "rows", "type": "quantitative", "format": ","}}
    return {
        "data": {"values": rows},
        "width": {"step": max([CELL, *(LETTER * len(str(row["x"])) for row in rows)])},
        "height": {"step": 30},
        "encoding": {"y": y},
        "layer": [v.layer("rect", x, None, {"opacity": shade}, color=v.BLUE), v.layer("text", x, None, count)],
    }


def losses(facts: Facts, model: str) -> v.Spec:
    """The training loss of one model, a line for each seed; all models on one scale."""
    every = [one for runs in facts.training.values() for run in runs.values() for one in curve(run["losses"])]
    rows = [{**one, "seed": str(seed)} for seed, run in facts.training[model].items() for one in curve(run["losses"])]
    x = v.across("step", [0, max(one["step"] for one in every)], axis={"tickCount": 4, "title": "step"})
    y: v.Spec = {"field": "loss", "type": "quantitative", "scale": {"domain": [0, max(one["loss"] for one in every)]}}
    y["axis"] = {"tickCount": 3, "title": "loss (nats)"}
    line = v.layer("line", x, None, {"y": y, "detail": {"field": "seed"}}, color=v.BLUE, strokeWidth=1.4, opacity=0.65)
    return {"data": {"values": rows}, "width": 270, "height": 90, **line}


def curve(found: v.Rows) -> list[dict[str, float]]:
    """At most `CURVE_POINTS` points: neighbours are averaged, and stand at the last one's step."""
    width = -(-len(found) // CURVE_POINTS) if found else 1
    parts = [found[start : start + width] for start in range(0, len(found), width)]
    return [
        {"step": part[-1]["step"], "loss": round(sum(point["loss"] for point in part) / len(part), 6)} for part in parts
    ]
