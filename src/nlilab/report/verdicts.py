"""Pairs of models: verdicts in sentences, differences with their intervals, and the tests behind them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from nlilab.report import plots, words
from nlilab.report import tables as t
from nlilab.report.facts import Facts
from nlilab.report.numbers import listed, p_value, percent, points, whole
from nlilab.report.records import VERDICTS, Changes, Pair, Verdict, plainly
from nlilab.report.texts import by_suite, lines, say, suite_cell, suite_heads, table


def verdicts(facts: Facts) -> t.Section:
    """The sentences, with a table of differences for each group of tasks, and what hardening wins back."""
    own = words.won_back(facts)
    parts = [
        *_sentences(facts),
        *([lines("What hardening wins back, and what it costs", kind="h3")] if own else []),
        t.Text(own, "findings", where="everywhere"),
        t.Text(words.against_controls(facts), "findings"),
    ]
    return t.Section("verdicts", "Verdicts", parts)


def _sentences(facts: Facts) -> Iterator[t.Part]:
    if not facts.pairs:
        yield say("nothing to compare", facts)
    groups = facts.matchups_by_task()
    for tasks, matchups in groups.items():
        suites = [suite for suite in facts.run.suites if any(pair.suite == suite for held in matchups for pair in held)]
        said = [
            t.Said(words.sentence(held, facts.confidence, len(facts.run.suites)), words.tone(held)) for held in matchups
        ]
        if len(groups) > 1:
            yield lines(", ".join(tasks), kind="h3")
        yield t.Text(said, "findings", where="everywhere")
        found = matrix("differences", facts, suites, suite_heads(facts, suites), matchups)
        yield replace(found, folded=len(groups) > 1)


def _told(facts: Facts) -> list[tuple[str, Verdict]]:
    """The verdicts that occur, in their order."""
    found = {pair.verdict for pair in facts.pairs}
    return [(name, verdict) for name, verdict in VERDICTS.items() if name in found]


def matrix(
    key: str, facts: Facts, places: Sequence[str], columns: Sequence[t.Column], matchups: Iterable[Sequence[Pair]]
) -> t.Table:
    """Two models x places: the difference with its verdict and interval."""
    rows = []
    for held in matchups:
        found = {pair.suite: pair for pair in held}
        unequal = "".join(f"; ≠ {key} (unequal {said})" for key, said in held[0].unequal.items())
        note = f"against {held[0].baseline}{unequal}{'; one training seed' if held[0].seeds < 2 else ''}"
        cells = (_difference(found[place]) if place in found else None for place in places)
        rows.append([t.Cell(held[0].model, note=note), *cells])
    marks = ", ".join(f"{verdict.mark} {plainly(name)}" for name, verdict in _told(facts))
    return table(key, facts, rows, columns, marks=marks)


def _difference(pair: Pair) -> t.Cell:
    """A pair's difference, marked by its verdict."""
    text = f"{VERDICTS[pair.verdict].mark} {points(pair.difference)}"
    found = t.signed(pair.difference, pair, strong=True, tone=pair.verdict, tainted=pair.contaminated)
    return replace(found, text=text)


def pairs(facts: Facts) -> t.Section:
    """Differences and what changes row by row as plots; the tests of every pair as a table."""
    key = [t.Said(f"{verdict.key} {plainly(name)}", name) for name, verdict in _told(facts)]
    changes = [t.Said(f"■ {name}", name) for name in ("introduced", "fixed", "remaining")]
    compared = [suite for suite in facts.run.suites if facts.of_suite(suite)]
    parts: list[t.Part] = [
        say("differences drawn", facts, where="page"),
        t.Text(key, "key", where="page"),
        by_suite(facts, compared, plots.differences),
        lines("What changes, row by row", kind="h3", where="page"),
        say("changes drawn", where="page"),
        t.Text(changes, "key", where="page"),
        by_suite(facts, compared, plots.transitions),
        tests(facts, facts.pairs, "Tests, reasons and counts of every pair"),
    ]
    return t.Section("pairs", "Pairs of models", parts if facts.pairs else [], "Pairs")


def tests(facts: Facts, found: Iterable[Pair], title: str) -> t.Table:
    """Every pair with its verdict, why, and what the tests say."""
    rows = (
        [
            suite_cell(facts, pair.suite),
            t.Cell(f"{pair.model} − {pair.baseline}", tainted=pair.contaminated),
            t.Cell(f"{VERDICTS[pair.verdict].mark} {plainly(pair.verdict)}", tone=pair.verdict),
            f"{pair.reason}{f'; unequal {listed([*pair.unequal.values()])}' if pair.unequal else ''}",
            t.signed(pair.difference, pair),
            *(percent(pair.detectable), p_value(pair.p), p_value(pair.p_corrected)),
            " · ".join(map(p_value, pair.mcnemar)),
            *of_before(pair.changes),
        ]
        for pair in found
    )
    return table("tests", facts, rows, title=title)


def of_before(change: Changes) -> list[str]:
    """What was fixed of what was wrong, and introduced of what was right."""
    both = ((change.fixed, change.wrong_before), (change.introduced, change.right_before))
    shares = (f" ({percent(part / before)} %)" if before else "" for part, before in both)
    return [f"{whole(part)} of {whole(before)}{share}" for (part, before), share in zip(both, shares, strict=True)]
