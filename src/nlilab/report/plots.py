"""The report's plots of models as Vega-Lite, one small plot for each suite; all suites share one scale, to compare."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nlilab.report import vega as v
from nlilab.report.facts import Facts
from nlilab.report.numbers import confidence_words, counted, percent, points, whole
from nlilab.report.records import VERDICTS, Attack, Pair
from nlilab.report.tables import Plot

CURVE_POINTS = 100  # longer loss curves are averaged down to this many
ONE_LINE = 28  # characters of two models' names that fit on one line
CELL, LETTER = 68, 7  # pixels of a column of a matrix, and of a letter of its name
ATTACKED = {"clean": (v.BLUE, "circle"), "attacked": (v.VERMILLION, "diamond")}
CHANGES = {"introduced": v.VERMILLION, "fixed": v.GREEN, "remaining": v.GREY}


def named(facts: Facts, model: str, suite: str) -> str:
    """A model's name in a plot, with the dagger that the caption explains where it was trained on the suite's rows."""
    return f"{model} †" if facts.tainted(model, suite) else model


def _tenths(values: Iterable[float]) -> list[float]:
    """A scale in whole tenths that holds all values."""
    held = list(values)
    return [max(0.0, int(min(held) * 10) / 10), min(1.0, -int(-max(held) * 10 // 1) / 10)]


def accuracy(facts: Facts, suite: str, width: int = 190) -> Plot:
    """Each reader's accuracy: interval, mean, the seeds as ticks; dashed: always the most frequent label."""
    found, most = facts.accuracy[suite], facts.majority(suite)
    rows = [{"y": named(facts, m, suite), **value, "text": percent(value["mean"])} for m, value in found.items()]
    seeds = [{"y": named(facts, m, suite), "x": seed} for m, value in found.items() for seed in value["seeds"]]
    ends = [value[key] for models in facts.accuracy.values() for value in models.values() for key in ("low", "high")]
    majorities = [one for other in facts.run.suites if (one := facts.majority(other))]
    x = v.scaled("mean", _tenths([*ends, *majorities]))
    ticks = v.layer("tick", {**x, "field": "x"}, seeds, color=v.BLUE, opacity=0.45, thickness=1, size=11)
    behind = [*([] if most is None else [v.rule_at(most, x)]), ticks]
    judged = f"{whole(facts.judged(suite))} {'questions' if suite in facts.candidates else 'rows'}"
    return Plot(suite, v.dots(rows, x, width, v.BLUE, behind), judged)


def results(facts: Facts) -> v.Spec:
    """One picture of the run: the accuracy of every model on every suite."""
    level = confidence_words(facts.confidence)
    subtitle = [
        f"Dot: mean over the seeds. Line: {level} interval. Thin ticks: single seeds.",
        "Dashed: always the suite's most frequent label.",
        *(["†: trained on perturbed rows of the suite (contaminated)."] if facts.contaminated else []),
    ]
    drawn = {suite: accuracy(facts, suite, 330) for suite in facts.run.suites}
    suites = [
        {**plot.spec, "title": {"text": suite, "subtitle": f"{facts.task_of[suite]}, {plot.note}"}}
        for suite, plot in drawn.items()
    ]
    title = {"text": "Accuracy in %", "subtitle": subtitle, "fontSize": 14, "frame": "bounds", "offset": 14}
    return {"title": title, "columns": 2 if len(suites) > 4 else 1, "spacing": 18, "concat": suites}


def _pair_name(facts: Facts, pair: Pair, sign: str) -> str:
    """Two models on one line, or all pairs on two lines where one would be too long."""
    wide = any(len(other.model) + len(other.baseline) > ONE_LINE for other in facts.pairs)
    model, baseline = named(facts, pair.model, pair.suite), named(facts, pair.baseline, pair.suite)
    return f"{model}{chr(10) if wide else ' '}{sign} {baseline}"


def differences(facts: Facts, suite: str) -> Plot:
    """Each pair's difference with its interval, marked by verdict; the grey band is what could not be detected."""
    rows = [
        {"y": _pair_name(facts, pair, "−"), "x": pair.difference, "low": pair.low, "high": pair.high}
        | {"band": -pair.detectable, "band2": pair.detectable, "verdict": pair.verdict}
        | {"text": points(pair.difference)}
        for pair in facts.of_suite(suite)
    ]
    limit = max(max(abs(pair.low), abs(pair.high), pair.detectable) for pair in facts.pairs) * 1.05
    x = v.scaled("x", [-limit, limit], sign=True)
    colour = v.scale("verdict", {name: f"var(--{one.colour})" for name, one in VERDICTS.items()})
    shape = v.scale("verdict", {name: one.shape for name, one in VERDICTS.items()})
    band = v.spans(x, ("band", "band2"), mark="bar", height=14, color=v.GREY, opacity=0.22)
    return Plot(suite, v.dots(rows, x, 165, {"color": colour, "shape": shape}, [band, v.zero()]))


def transitions(facts: Facts, suite: str) -> Plot:
    """What changes from the baseline to the model, in shares of all rows x seeds.

    Right of zero stands what the baseline had wrong (fixed + remaining), left what the model broke (introduced).
    """
    rows: list[dict[str, Any]] = []
    for pair in facts.of_suite(suite):
        change, y = pair.changes, _pair_name(facts, pair, "←")
        ends = {"introduced": (-change.introduced, 0), "fixed": (0, change.fixed)}
        ends["remaining"] = (change.fixed, change.wrong_before)
        rows += [
            {"y": y, "kind": kind, "from": start / change.decisions, "to": end / change.decisions}
            for kind, (start, end) in ends.items()
        ]
    every = [pair.changes for pair in facts.pairs if pair.changes.decisions]
    low = -max(change.introduced / change.decisions for change in every)
    x = v.scaled("from", [low, max(change.wrong_before / change.decisions for change in every)])
    pale = {"condition": {"test": "datum.kind === 'remaining'", "value": 0.35}, "value": 1}
    look = {"color": v.scale("kind", CHANGES), "opacity": pale}
    bars = v.spans(x, ("from", "to"), mark="bar", height=13, encoding=look)
    return Plot(suite, v.named_rows(rows, 200, [bars, v.zero()]))


def cells(facts: Facts, suite: str, heuristic: str, labels: Sequence[str]) -> Plot:
    """One heuristic: accuracy where the gold label is entailment, and where it is not; far apart means a bias."""
    rows, apart = [], []
    for model in facts.readers(suite):
        found = {label: facts.mean(suite, model, "cells", f"{heuristic}/{label}") for label in labels}
        held = {label: value for label, value in found.items() if value is not None}
        y = {"y": named(facts, model, suite)}
        rows += [{**y, "x": value, "gold": label} for label, value in held.items()]
        apart += [{**y, "low": min(held.values()), "high": max(held.values())}] if held else []
    x = v.scaled("x", [0, 1])
    between = v.spans(x, rows=apart, strokeWidth=2, color=v.GREY)
    drawn = v.dots(rows, x, 200, v.looks("gold", labels), [v.rule_at(0.5, x), between], span=False)
    return Plot(heuristic, drawn, tainted=facts.any_tainted(suite))


def attacked(facts: Facts, attack: Attack) -> Plot:
    """Clean and attacked accuracy with their intervals, by model; the grey line between is what the attack takes."""
    rows, beside = [], []
    for model, stand in attack.stands.items():
        y = {"y": named(facts, model, attack.place)}
        rows += [{**y, "kind": kind, **getattr(stand, kind).model_dump()} for kind in ATTACKED]
        text = f"{percent(stand.clean.value)} → {percent(stand.attacked.value)}"
        beside.append({**y, "clean": stand.clean.value, "attacked": stand.attacked.value, "text": text})
    every = [getattr(stand, kind) for one in facts.attacks for stand in one.stands.values() for kind in ATTACKED]
    x = v.scaled("value", _tenths(end for bounds in every for end in (bounds.low, bounds.high)))
    colour, shape = (v.scale("kind", {kind: look[n] for kind, look in ATTACKED.items()}) for n in (0, 1))
    taken = v.spans(x, ("attacked", "clean"), beside, strokeWidth=1.5, color=v.GREY, strokeDash=[2, 2])
    drawn = v.dots(rows, x, 220, {"color": colour, "shape": shape}, [taken, v.values_beside(220, beside)])
    tainted, title = facts.any_tainted(attack.place), f"{attack.suite} under {attack.recipe}"
    return Plot(title, drawn, f"{whole(attack.rows)} rows", tainted)


def flip_rows(matrix: Mapping[str, Mapping[str, int]]) -> Iterator[dict[str, Any]]:
    """Rows by the label that was asked for and the label after correction, with their share of the former."""
    for label, outcomes in matrix.items():
        for outcome, count in outcomes.items():
            share = count / max(1, sum(outcomes.values()))
            yield {"constrained": label, "corrected": outcome, "rows": count, "share": share}


def flips(source: str, found: Mapping[str, Any]) -> Plot:
    """Constrained label (rows) x label after correction (columns); the shade is the share of the row."""
    rows, verdicts = list(flip_rows(found["matrix"])), found["verdicts"]
    names: v.Spec = {"type": "nominal", "sort": None, "title": None}
    x = {**names, "field": "corrected", "axis": {"orient": "top", "labelAngle": 0, "labelOverlap": False}}
    shade = {
        "field": "share",
        "type": "quantitative",
        "legend": None,
        "scale": {"domain": [0, 1], "range": [0.04, 0.6]},
    }
    count = {"field": "rows", "type": "quantitative", "format": ","}
    layers = [v.layer("rect", x, None, {"opacity": shade}, color=v.BLUE), v.layer("text", x, None, {"text": count})]
    width: Any = {"step": max([CELL, *(LETTER * len(row["corrected"]) for row in rows)])}
    note = (
        f"{whole(found['rows'])} rows, {percent(found['flip_rate'])} % relabelled, {whole(verdicts['dropped'])} "
        f"dropped, {whole(verdicts['unjudged'])} not judged"
    )
    y = {"y": {**names, "field": "constrained"}}
    return Plot(source, v.layered(rows, width, {"step": 30}, layers, encoding=y), note)


def losses(facts: Facts, model: str) -> Plot:
    """The training loss of one model, a line for each seed; all models on one scale."""
    every = [one for runs in facts.training.values() for run in runs.values() for one in curve(run["losses"])]
    seeds = facts.training[model]
    rows = [{**one, "seed": str(seed)} for seed, run in seeds.items() for one in curve(run["losses"])]
    x, y = (
        v.scaled(axis, [0, max(one[axis] for one in every)], shares=False, tickCount=ticks, title=title)
        for axis, ticks, title in (("step", 4, "step"), ("loss", 3, "loss (nats)"))
    )
    line = v.layer("line", x, None, {"y": y, "detail": {"field": "seed"}}, color=v.BLUE, strokeWidth=1.4, opacity=0.65)
    return Plot(model, v.layered(rows, 270, 90, [line]), counted(len(seeds), "seed"))


def curve(found: v.Rows) -> list[dict[str, float]]:
    """At most `CURVE_POINTS` points: neighbours are averaged, and stand at the last one's step."""
    width = -(-len(found) // CURVE_POINTS) or 1
    parts = [found[start : start + width] for start in range(0, len(found), width)]
    return [
        {"step": part[-1]["step"], "loss": round(sum(point["loss"] for point in part) / len(part), 6)} for part in parts
    ]
