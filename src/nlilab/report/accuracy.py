"""How accurate the models are: on every suite and under attack, on both sides of heuristics, in slices and classes."""

from collections.abc import Callable, Iterable, Mapping

from nlilab.report import plots
from nlilab.report import tables as t
from nlilab.report.facts import Facts
from nlilab.report.naming import by_suite, counted, level, model_cell, suite_cell, suite_heads
from nlilab.report.numbers import listed, percent, three, whole
from nlilab.report.records import Attack, mean_of, spread
from nlilab.report.vega import key

# The measure's place in scores.json, its name, and what it is.
FURTHER = {
    "auc": ("AUC", "area under the ROC curve of the suite's first label; 50 is chance, whatever the labels' shares"),
    "binary/argmax_then_map": (
        "two-way, argmax",
        "entailment or not, said by the likeliest of the three labels: accuracy",
    ),
    "binary/prob_sum": ("two-way, sum", "entailment or not, said by whether its probability is over half: accuracy"),
    "f1a": ("F1a", "F1 of the label true over all options"),
    "f1m": ("F1m", "F1 of the label true in each question, averaged over the questions"),
    "em": (
        "EM",
        "share of questions answered in full: every option right, or the candidate picked word for word right",
    ),
    "f1": ("F1", "words that the candidate picked shares with the nearest right answer"),
    "rouge_l": ("Rouge-L", "longest common sequence of words of the candidate picked and the nearest right answer"),
    "gender_parity": ("parity", "share of pairs, alike but for a pronoun's gender, that get the same answer"),
}
OF_A_LABEL = ("precision", "recall", "f1")
VULNERABLE = "vulnerable"
SUBCASES = 60  # a suite with more groups than this has no table of subcases


def _contaminated(facts: Facts) -> t.Text:
    """Which models were trained on perturbed rows of which suites; elsewhere their figures are labelled."""
    found = [f"{model} on {suite}" for model, suite in sorted(facts.contaminated) if suite in facts.run.suites]
    said = f"contaminated (trained on perturbed rows of the suite): {', '.join(found)}" if found else ""
    return t.say(said, where=t.TERMINAL)


def accuracy(facts: Facts) -> t.Section:
    """Models x suites with plots, under attack too, and what else suites measure."""
    run = facts.run
    unread = " An en dash: the model does not read the suite." if len(facts.alike()) > 1 else ""
    none = f" (none where one of several candidates is picked: {listed(facts.candidates)})" if facts.candidates else ""
    lead = (
        f"Dot: mean over the seeds, in %. Line: {level(facts)} over seeds and rows. Thin ticks: single seeds. Dashed: "
        f"always giving the suite's most frequent label{none}. All suites share one scale."
    )
    lines = [t.row(model, *(mean(facts, suite, model) for suite in run.suites)) for model in run.models]
    most = t.row("most frequent label", *(t.Cell(percent(facts.majority(suite))) for suite in run.suites), rule=True)
    columns = [*t.left("model"), *suite_heads(facts, run.suites)]
    caption = f"Accuracy in %, mean over seeds, with its {level(facts)}.{unread}"
    parts = [
        t.say(lead, where=t.PAGE),
        by_suite(facts, run.suites, plots.accuracy, lambda suite: plots.judged(facts, suite)),
        t.Table(columns, [*lines, most], caption=caption, where=t.EVERYWHERE),
        t.say(*(one["said"] for one in facts.learnt.values()), where=t.EVERYWHERE),
        _attacked(facts),
        _detected(facts),
        *_further(facts),
        _seeds(facts),
        _contaminated(facts),
    ]
    return t.Section("accuracy", "Accuracy", t.drop(parts))


def mean(facts: Facts, suite: str, model: str) -> t.Cell | None:
    """A model's accuracy on a suite, or None where it does not read it."""
    found = facts.accuracy[suite].get(model)
    bounds = found and {"value": found["mean"], "low": found["low"], "high": found["high"]}
    return t.estimate(bounds, strong=True, tainted=facts.tainted(model, suite)) if bounds else None


def _attacked(facts: Facts) -> t.Table:
    def cell(model: str, attack: Attack) -> t.Cell | None:
        tainted = facts.tainted(model, attack.place)
        stand = attack.stands.get(model)
        return t.estimate(stand.attacked, strong=True, tainted=tainted) if stand else None

    lines = [t.row(model, *(cell(model, attack) for attack in facts.attacks)) for model in facts.run.models]
    columns = [*t.left("model"), *(t.Column(attack.suite, note=attack.recipe) for attack in facts.attacks)]
    caption = "Under attack, on a sample of the suite's rows; an en dash: not attacked."
    return t.Table(columns, lines if facts.attacks else [], caption=caption)


def per_model(
    facts: Facts, suites: Iterable[str], values: Callable[[str, str], Iterable[t.Cell | str | None]]
) -> list[t.Row]:
    """A row for each model that reads a suite, suite by suite."""
    return [
        t.row(suite_cell(facts, suite), model_cell(facts, model, suite), *values(suite, model))
        for suite in suites
        for model in facts.readers(suite)
    ]


def _detected(facts: Facts) -> t.Table:
    suites = [suite for suite in facts.run.suites if VULNERABLE in facts.labels(suite)]

    def values(suite: str, model: str) -> Iterable[t.Cell | str]:
        alarms, *found = (facts.mean(suite, model, "classes", VULNERABLE, m) for m in ("predicted", *OF_A_LABEL))
        # No precision where a model never gives the alarm.
        shown = [found[0] if alarms else None, *found[1:]]
        rows = facts.suites[suite]["labels"][VULNERABLE]
        return [whole(rows), whole(alarms), *(t.shade(value, strong=True) for value in shown)]

    caption = (
        "In %, means over seeds. Precision: of the alarms, how many are right; recall: of the vulnerable rows, how "
        "many are found; F1: the harmonic mean of both."
    )
    columns = [*t.left("suite", "model"), *t.heads("vulnerable rows", "alarms", "precision", "recall", "F1")]
    return t.Table(columns, per_model(facts, suites, values), "Vulnerable code found", caption, merge=1)


def _further(facts: Facts) -> list[t.Part]:
    """The suites by the measures that they have; suites with accuracy alone are left out."""
    kinds: dict[tuple[str, ...], list[str]] = {}
    for suite in facts.run.suites:
        has = [name for name in FURTHER if any(_range(facts, suite, model, name) for model in facts.readers(suite))]
        kinds.setdefault(tuple(has), []).append(suite)
    kinds.pop((), None)
    occur = {name for names in kinds for name in names}
    said = [f"{name}: {text}" for measure, (name, text) in FURTHER.items() if measure in occur]
    of = [f"{suite}: {facts.labels(suite)[0]}" for names, own in kinds.items() if "auc" in names for suite in own]
    caption = f"In %, mean over seeds; beside it their range.{counted(facts, 'AUC')}"
    whose = f"AUC of {'; '.join(of)}." if of else ""
    out: list[t.Part] = [t.say("Further measures", kind="h3"), t.say(caption, whose, kind="caption")]
    out.append(t.say(*said, kind="list"))
    for names, suites in kinds.items():

        def values(suite: str, model: str, names: Iterable[str] = names) -> Iterable[t.Cell | None]:
            return [_range(facts, suite, model, name) for name in names]

        columns = [*t.left("suite", "model"), *t.heads(*(FURTHER[name][0] for name in names))]
        out.append(t.Table(columns, per_model(facts, suites, values), merge=1))
    return out if kinds else []


def _range(facts: Facts, suite: str, model: str, measure: str) -> t.Cell | None:
    seeds = facts.scores[suite]["models"][model]
    each = [mean_of({seed: scored}, *measure.split("/")) for seed, scored in seeds.items()]
    held = [value for value in each if value is not None]
    return t.estimate(spread(held)) if held else None


def _seeds(facts: Facts) -> t.Table:
    def values(suite: str, model: str) -> Iterable[str]:
        found = facts.accuracy[suite][model]
        macro, loss, error = (facts.mean(suite, model, name) for name in ("macro_f1", "loss", "calibration_error"))
        seeds = " · ".join(map(percent, found["seeds"]))
        return [seeds, percent(found["seed_sd"]), percent(macro), three(loss), percent(error)]

    columns = t.heads("accuracy by seed, %", "deviation of seeds, points", "macro-F1, %", "loss, nats")
    caption = (
        "Means over seeds. Loss: mean negative log-likelihood of the gold label, in nats. Calibration error: expected, "
        f"15 bins, in points; 0 is best.{counted(facts, 'All but accuracy')}"
    )
    rows = per_model(facts, facts.run.suites, values)
    columns = [*t.left("suite", "model"), *columns, *t.heads("calibration error, points")]
    return t.Table(columns, rows, "Seeds, macro-F1, loss and calibration", caption, merge=1, folded=True, where=t.PAGE)


def cells(facts: Facts) -> t.Section:
    """Heuristics suites: accuracy where a heuristic points to the right label, and where it misleads."""
    lead = (
        "Accuracy in %, where the heuristic points to the right label (entailment) and where it misleads (the other "
        "label). A model that follows the heuristic has the two far apart; one that only leans to another label moves "
        "them together. Only both high is robust. Dashed: 50 %."
    )
    suites = [suite for suite in facts.run.suites if facts.cells(suite)]
    parts = [t.say(lead if suites else ""), *(part for suite in suites for part in _heuristics(facts, suite))]
    return t.Section("cells", "Heuristics: both sides of each", t.drop(parts), "Heuristics")


def _heuristics(facts: Facts, suite: str) -> list[t.Part]:
    found, models = facts.cells(suite), facts.readers(suite)
    tainted = any(place == suite for _, place in facts.contaminated)
    drawn = [t.Plot(name, plots.cells(facts, suite, name, own), tainted=tainted) for name, own in found.items()]
    columns = [t.Column(label, name) for name, own in found.items() for label in own]
    places = [f"{column.group}/{column.name}" for column in columns]
    lines = [
        t.row(model_cell(facts, m, suite), *(t.shade(facts.mean(suite, m, "cells", place)) for place in places))
        for m in models
    ]
    names = sorted(facts.keys(suite, "subcases"))
    deep = [t.row(one, *(t.shade(facts.mean(suite, m, "subcases", one)) for m in models)) for one in names]
    heads = [t.Column(m, note="contaminated" if facts.tainted(m, suite) else "") for m in models]
    deep = deep if len(deep) <= SUBCASES else []
    return [
        t.say(suite, kind="h3"),
        t.Text(key(list(dict.fromkeys(column.name for column in columns))), "key", where=t.PAGE),
        t.Plots(drawn),
        t.Table([*t.left("model"), *columns], lines),
        t.Table([*t.left("subcase"), *heads], deep, f"Subcases of {suite}", folded=True, where=t.PAGE),
    ]


def slices(facts: Facts) -> t.Section:
    """Accuracy within slices; differences within slices and classes; measures of each label."""
    lead = "Rows with a negation, with an ambiguous word, or with a long sentence. Slices are described, not tested."
    caption = f"Accuracy in %, mean over seeds.{counted(facts, 'Slices')}"
    parts: list[t.Part | None] = [t.say(lead), t.say(caption, kind="caption")]
    for models, suites in facts.alike().items():
        lines = [line for suite in suites for line in _sliced(facts, suite, models)]
        parts.append(t.Table([*t.left("suite", "slice"), *t.heads("rows", *models)], lines, merge=1))
    return t.Section("slices", "Slices and classes", t.drop([*parts, _parts(facts), _classes(facts)]))


def _sliced(facts: Facts, suite: str, models: Iterable[str]) -> list[t.Row]:
    tainted = {model: facts.tainted(model, suite) for model in models}
    found = facts.accuracy[suite]
    every = (t.Cell(percent(found[model]["mean"]), strong=True, tainted=own) for model, own in tainted.items())
    lines = [t.row(suite_cell(facts, suite), "all", whole(facts.judged(suite)), *every)]
    for name in facts.keys(suite, "slices"):
        rows = facts.mean(suite, next(iter(tainted)), "slices", name, "rows")
        shares = (
            t.shade(facts.mean(suite, model, "slices", name, "accuracy"), tainted=own) for model, own in tainted.items()
        )
        lines.append(t.row(suite_cell(facts, suite), name, whole(rows), *shares))
    return lines


def _parts(facts: Facts) -> t.Table:
    lines = [
        t.row(
            suite_cell(facts, pair.suite),
            t.Cell(f"{pair.model} − {pair.baseline}", tainted=pair.contaminated),
            *(name, whole(part.rows), t.signed(part.difference, part)),
        )
        for pair in facts.pairs
        for name, part in (*pair.classes.items(), *pair.slices.items())
    ]
    columns = [*t.left("suite", "model − baseline", "part"), *t.heads("rows", "difference")]
    caption = f"model − baseline, in points, with {level(facts)}; not corrected for their number, and no verdicts."
    return t.Table(
        columns, lines, "Differences within slices and gold classes", caption, merge=2, folded=True, where=t.PAGE
    )


def _classes(facts: Facts) -> t.Table:
    def scores(suite: str, model: str, label: str) -> Mapping[str, float | None]:
        return {key: facts.mean(suite, model, "classes", label, key) for key in ("rows", "predicted", *OF_A_LABEL)}

    lines = [
        t.row(
            *(suite_cell(facts, suite), model_cell(facts, model, suite), label),
            *(whole(found[key]) for key in ("rows", "predicted")),
            *(t.shade(found[key]) for key in OF_A_LABEL),
        )
        for suite in facts.run.suites
        for model in facts.readers(suite)
        for label in facts.keys(suite, "classes")
        if (found := scores(suite, model, label))
    ]
    columns = [*t.left("suite", "model", "label"), *t.heads("rows", "predicted, mean", "precision", "recall", "F1")]
    caption = f"In %, mean over seeds.{counted(facts, 'Labels')}"
    return t.Table(
        columns, lines, "Precision, recall and F1 of each label", caption, merge=2, folded=True, where=t.PAGE
    )
