"""Pairs of models: verdicts in sentences, differences with their intervals, and the tests behind them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from nlilab.report import plots, words
from nlilab.report import tables as t
from nlilab.report.facts import Facts
from nlilab.report.naming import by_suite, level, suite_cell, suite_heads
from nlilab.report.numbers import listed, p_value, percent, points, whole
from nlilab.report.records import VERDICTS, Changes, Pair, Verdict, plainly


def verdicts(facts: Facts) -> t.Section:
    """The sentences, with a table of differences for each group of tasks, and what hardening wins back."""
    own = words.won_back(facts)
    parts = [
        *_sentences(facts),
        t.say("What hardening wins back, and what it costs" if own else "", kind="h3"),
        t.Text(own, "findings", where=t.EVERYWHERE),
        t.Text(words.against_controls(facts), "findings"),
    ]
    return t.Section("verdicts", "Verdicts", t.drop(parts))


def _told(facts: Facts) -> list[tuple[str, Verdict]]:
    """The verdicts that occur, in their order."""
    found = {pair.verdict for pair in facts.pairs}
    return [(name, verdict) for name, verdict in VERDICTS.items() if name in found]


def _sentences(facts: Facts) -> list[t.Part]:
    if not facts.pairs:
        one = "One model only. There is nothing to compare it with: name a second one in `models` of params.yaml."
        other = "No two models read the same suite: there is nothing to compare."
        return [t.say(one if len(facts.run.models) == 1 else other)]
    marks = ", ".join(f"{verdict.mark} {plainly(name)}" for name, verdict in _told(facts))
    attacked = ", those under attack included" if facts.attacked_pairs else ""
    caption = (
        f"Difference in accuracy, in points, between two models: {marks}; below it the {level(facts)}. Verdicts hold "
        f"after correction for all {facts.family} comparisons{attacked}; equivalent, not worse and not better are said "
        f"of a margin of {percent(facts.margin)} points."
    )
    out: list[t.Part] = []
    groups = facts.matchups_by_task()
    for tasks, matchups in groups.items():
        suites = [suite for suite in facts.run.suites if any(pair.suite == suite for held in matchups for pair in held)]
        table = matrix(suite_heads(facts, suites), suites, matchups, "Differences with their intervals", caption)
        said = [
            t.Said(words.sentence(held, facts.confidence, len(facts.run.suites)), words.tone(held)) for held in matchups
        ]
        out += [t.say(", ".join(tasks), kind="h3")] if len(groups) > 1 else []
        out += [t.Text(said, "findings", where=t.EVERYWHERE), replace(table, folded=len(groups) > 1)]
    return out


def matrix(
    columns: Sequence[t.Column], places: Sequence[str], matchups: Iterable[Sequence[Pair]], title: str, caption: str
) -> t.Table:
    """Two models x places: the difference with its verdict and interval."""
    lines = []
    for held in matchups:
        found = {pair.suite: pair for pair in held}
        unequal = "".join(f"; ≠ {key} (unequal {said})" for key, said in held[0].unequal.items())
        note = f"against {held[0].baseline}{unequal}{'; one training seed' if held[0].seeds < 2 else ''}"
        cells_ = (_difference(found[place]) if place in found else None for place in places)
        lines.append(t.row(t.Cell(held[0].model, note=note), *cells_))
    return t.Table([*t.left("model against baseline"), *columns], lines, title, caption, where=t.PAGE)


def _difference(pair: Pair) -> t.Cell:
    """A pair's difference, marked by its verdict."""
    text = f"{VERDICTS[pair.verdict].mark} {points(pair.difference)}"
    found = t.signed(pair.difference, pair, strong=True, tone=pair.verdict, tainted=pair.contaminated)
    return replace(found, text=text)


def pairs(facts: Facts) -> t.Section:
    """Differences and what changes row by row as plots; the tests of every pair as a table."""
    lead = (
        f"Each difference is model − baseline, in points of accuracy, with its {level(facts)}. Grey band: differences "
        "too small for this experiment to find (least detectable effect at 80 % power, after correction)."
    )
    change = (
        "In % of all rows, over all seeds. Right of zero: what the baseline had wrong, of which the model fixed a "
        "part. Left: what the baseline had right and the model broke. Fixed minus introduced is the difference "
        "in accuracy."
    )
    changes = [t.Said(f"■ {name}", name) for name in ("introduced", "fixed", "remaining")]
    compared = [suite for suite in facts.run.suites if facts.of_suite(suite)]
    parts: list[t.Part | None] = [
        t.say(lead, where=t.PAGE),
        t.Text([t.Said(f"{verdict.key} {plainly(name)}", name) for name, verdict in _told(facts)], "key", where=t.PAGE),
        by_suite(facts, compared, plots.differences),
        t.say("What changes, row by row", kind="h3", where=t.PAGE),
        t.say(change, where=t.PAGE),
        t.Text(changes, "key", where=t.PAGE),
        by_suite(facts, compared, plots.transitions),
        tests(facts, facts.pairs, "Tests, reasons and counts of every pair"),
    ]
    return t.Section("pairs", "Pairs of models", t.drop(parts) if facts.pairs else [], "Pairs")


def tests(facts: Facts, found: Iterable[Pair], title: str) -> t.Table:
    """Every pair with its verdict, why, and what the tests say."""
    lines = [
        t.row(
            suite_cell(facts, pair.suite) if pair.suite in facts.suites else pair.suite,
            t.Cell(f"{pair.model} − {pair.baseline}", tainted=pair.contaminated),
            t.Cell(f"{VERDICTS[pair.verdict].mark} {plainly(pair.verdict)}", tone=pair.verdict),
            f"{pair.reason}{f'; unequal {listed([*pair.unequal.values()])}' if pair.unequal else ''}",
            t.signed(pair.difference, pair),
            *(
                percent(pair.detectable),
                p_value(pair.p),
                p_value(pair.p_corrected),
                " · ".join(map(p_value, pair.mcnemar)),
            ),
            *of_before(pair.changes),
        )
        for pair in found
    ]
    columns = [*t.left("suite", "model − baseline", "verdict"), t.Column("reason", kind="wide")]
    columns += t.heads("difference", "detectable", "p", "p, corrected", "McNemar p by seed")
    columns += t.heads("fixed, of wrong before", "introduced, of right before")
    caption = (
        f"Points of accuracy with their {level(facts)}. p: of no difference, over seeds and rows; corrected "
        f"for {facts.family} comparisons; McNemar: exact, one for each seed (rows alone, outside the verdict). "
        "Detectable: the least difference that this experiment would find. Fixed is counted of what the baseline had "
        "wrong, introduced of what it had right."
    )
    return t.Table(columns, lines, title, caption, merge=1, folded=True)


def of_before(change: Changes) -> list[str]:
    """What was fixed of what was wrong, and introduced of what was right."""
    both = ((change.fixed, change.wrong_before), (change.introduced, change.right_before))
    shares = (f" ({percent(part / before)} %)" if before else "" for part, before in both)
    return [f"{whole(part)} of {whole(before)}{share}" for (part, before), share in zip(both, shares, strict=True)]
