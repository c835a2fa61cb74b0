"""How accurate the models are: on every suite and under attack, on both sides of heuristics, in slices and classes."""

from collections.abc import Iterable, Iterator, Sequence

from nlilab.core.seen import load_bases, notes, started
from nlilab.report import plots
from nlilab.report import tables as t
from nlilab.report.facts import Facts
from nlilab.report.numbers import percent, three, whole
from nlilab.report.records import grouped, mean_of, spread
from nlilab.report.texts import base_cell, by_suite, lines, model_cell, raw, say, suite_cell, suite_heads, table
from nlilab.report.vega import key

OF_A_LABEL = ("precision", "recall", "f1")
VULNERABLE = "vulnerable"
SUBCASES = 60  # a suite with more groups than this has no table of subcases


def accuracy(facts: Facts) -> t.Section:
    """Models x suites with plots, under attack too, and what else suites measure."""
    run = facts.run
    rows = [t.row(base_cell(facts, m), *(_mean(facts, suite, m) for suite in run.suites)) for m in run.models]
    most = t.row("most frequent label", *(percent(facts.majority(suite)) for suite in run.suites), rule=True)
    under = [t.Column(attack.suite, note=attack.recipe) for attack in facts.attacks]
    parts = [
        say("accuracy drawn", facts, where="page"),
        by_suite(facts, run.suites, plots.accuracy),
        table("accuracy", facts, [*rows, most], suite_heads(facts, run.suites)),
        lines(*(one["said"] for one in facts.learnt.values()), where="everywhere"),
        lines(*notes(started(run.models, run, facts.params), facts.suites, load_bases()), where="everywhere"),
        table(
            "accuracy under attack", facts, ([m, *_attacked(facts, m)] for m in (run.models if under else ())), under
        ),
        table("vulnerable code", facts, (found[:2] + found[3:] for found in _labels(facts, VULNERABLE))),
        *_further(facts),
        table("seeds", facts, _seeds(facts)),
        say("contaminated", facts, where="terminal"),
    ]
    return t.Section("accuracy", "Accuracy", parts)


def _mean(facts: Facts, suite: str, model: str) -> t.Cell:
    """A model's accuracy on a suite; empty where it does not read it."""
    found = facts.accuracy[suite].get(model, {})
    return t.estimate(found | {"value": found.get("mean")}, strong=True, tainted=facts.tainted(model, suite))


def _attacked(facts: Facts, model: str) -> Iterator[t.Cell]:
    """A model's accuracy under each attack; empty where it was not attacked."""
    for attack in facts.attacks:
        found = getattr(attack.stands.get(model), "attacked", None)
        yield t.estimate(found, strong=True, tainted=facts.tainted(model, attack.place))


def _read(facts: Facts, suites: Iterable[str]) -> Iterator[tuple[str, str, list[t.Value]]]:
    """Every suite with every model that reads it, and the cells that name both."""
    for suite in suites:
        for model in facts.readers(suite):
            yield suite, model, [suite_cell(facts, suite), model_cell(facts, model, suite)]


def _labels(facts: Facts, *only: str) -> Iterator[list[t.Value]]:
    """Rows, predictions, precision, recall and F1 of each label of a suite, or of some labels."""
    for suite, model, named in _read(facts, facts.run.suites):
        for label in facts.keys(suite, "classes"):
            if not only or label in only:
                rows, alarms, *found = (
                    facts.mean(suite, model, "classes", label, key) for key in ("rows", "predicted", *OF_A_LABEL)
                )
                # Of no alarms none can be right.
                found[0] = found[0] if alarms else None
                yield [*named, label, whole(rows), whole(alarms), *map(t.shade, found)]


def _further(facts: Facts) -> list[t.Part]:
    """The suites by the measures that they have; suites with accuracy alone are left out."""
    known: dict[str, tuple[str, str]] = raw("further measures")

    def has(suite: str) -> tuple[str, ...]:
        return tuple(name for name in known if any(_range(facts, suite, m, name) for m in facts.readers(suite)))

    kinds = {names: suites for names, suites in grouped(facts.run.suites, has).items() if names}
    if not kinds:
        return []
    occur = {name for names in kinds for name in names}
    first = {suite: next(iter(facts.suites[suite]["labels"])) for suite in facts.run.suites}
    auc = [f"{suite}: {first[suite]}" for names, own in kinds.items() if "auc" in names for suite in own]
    out: list[t.Part] = [
        lines("Further measures", kind="h3"),
        say("further", facts, kind="caption", auc=auc),
        lines(*(f"{name}: {said}" for measure, (name, said) in known.items() if measure in occur), kind="list"),
    ]
    for names, suites in kinds.items():
        rows = [[*named, *(_range(facts, s, m, name) for name in names)] for s, m, named in _read(facts, suites)]
        out.append(table("by suite and model", facts, rows, t.heads(*(known[name][0] for name in names))))
    return out


def _range(facts: Facts, suite: str, model: str, measure: str) -> t.Cell | None:
    seeds = facts.scores[suite]["models"][model]
    each = [mean_of({seed: scored}, *measure.split("/")) for seed, scored in seeds.items()]
    held = [value for value in each if value is not None]
    return t.estimate(spread(held)) if held else None


def _seeds(facts: Facts) -> Iterator[list[t.Value]]:
    for suite, model, named in _read(facts, facts.run.suites):
        found = facts.accuracy[suite][model]
        macro, loss, error = (facts.mean(suite, model, name) for name in ("macro_f1", "loss", "calibration_error"))
        seeds = " · ".join(map(percent, found["seeds"]))
        yield [*named, seeds, percent(found["seed_sd"]), percent(macro), three(loss), percent(error)]


def cells(facts: Facts) -> t.Section:
    """Heuristics suites: accuracy where a heuristic points to the right label, and where it misleads."""
    parts = [part for suite in facts.run.suites if facts.cells(suite) for part in _heuristics(facts, suite)]
    lead = [say("heuristics")] if parts else []
    return t.Section("cells", "Heuristics: both sides of each", [*lead, *parts], "Heuristics")


def _heuristics(facts: Facts, suite: str) -> list[t.Part]:
    found, models = facts.cells(suite), facts.readers(suite)
    columns = [t.Column(label, name) for name, own in found.items() for label in own]
    places = [f"{column.group}/{column.name}" for column in columns]
    rows = [
        [model_cell(facts, m, suite), *(t.shade(facts.mean(suite, m, "cells", place)) for place in places)]
        for m in models
    ]
    names = sorted(facts.keys(suite, "subcases"))
    deep = ([one, *(t.shade(facts.mean(suite, m, "subcases", one)) for m in models)] for one in names)
    heads = [t.Column(m, note="contaminated" if facts.tainted(m, suite) else "") for m in models]
    return [
        lines(suite, kind="h3"),
        t.Text(key(list(dict.fromkeys(column.name for column in columns))), "key", where="page"),
        t.Plots([plots.cells(facts, suite, name, own) for name, own in found.items()]),
        table("cells", facts, rows, columns),
        table("subcases", facts, deep if len(names) <= SUBCASES else [], heads, suite=suite),
    ]


def slices(facts: Facts) -> t.Section:
    """Accuracy within slices; differences within slices and classes; measures of each label."""
    parts = [say("slices"), say("slices shown", facts, kind="caption")]
    sliced = [
        table("by slice", facts, (row for suite in suites for row in _sliced(facts, suite, models)), t.heads(*models))
        for models, suites in facts.alike().items()
    ]
    within = (
        [
            suite_cell(facts, pair.suite),
            t.Cell(f"{pair.model} − {pair.baseline}", tainted=pair.contaminated),
            *(name, whole(part.rows), t.signed(part.difference, part)),
        ]
        for pair in facts.pairs
        for name, part in (*pair.classes.items(), *pair.slices.items())
    )
    more = [table("parts", facts, within), table("classes", facts, _labels(facts))]
    return t.Section("slices", "Slices and classes", [*parts, *sliced, *more])


def _sliced(facts: Facts, suite: str, models: Sequence[str]) -> Iterator[list[t.Value]]:
    tainted = {model: facts.tainted(model, suite) for model in models}
    found = facts.accuracy[suite]
    every = (t.Cell(percent(found[model]["mean"]), strong=True, tainted=own) for model, own in tainted.items())
    yield [suite_cell(facts, suite), "all", whole(facts.judged(suite)), *every]
    for name in facts.keys(suite, "slices"):
        rows = facts.mean(suite, models[0], "slices", name, "rows")
        shares = (facts.mean(suite, model, "slices", name, "accuracy") for model in models)
        cells_ = (t.shade(share, tainted=own) for share, own in zip(shares, tainted.values(), strict=True))
        yield [suite_cell(facts, suite), name, whole(rows), *cells_]
