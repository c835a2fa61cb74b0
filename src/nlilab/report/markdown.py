"""report.md: the comparison as GitHub Markdown."""

import html
import re
from collections.abc import Iterable, Sequence

from nlilab.report.facts import Facts
from nlilab.report.words import MARKS, confidence_words, limits, p_value, percent, plain, points, sentence

LIMIT = 2000  # characters: a table is no place for a longer text


def markdown(facts: Facts) -> str:
    """Models x suites with mean and interval, then the sentences and the pairs with their verdicts."""
    run = facts.run
    level = confidence_words(facts.confidence)
    lines = [
        "# Does this training data make the model robust?",
        "",
        f"{len(run.models)} models, {len(run.seeds)} seeds, {len(run.suites)} suites.",
        "",
        "## Verdicts",
        "",
        *([f"- {_text(sentence(pairs, facts.confidence))}" for pairs in facts.matchups()] or ["One model only."]),
        "",
        f"## Accuracy (%, mean over seeds, {level} interval)",
        "",
        *_table(
            ["model", *run.suites],
            ([model, *(_accuracy(facts, suite, model) for suite in run.suites)] for model in run.models),
        ),
        "",
    ]
    if facts.pairs:
        lines += [f"## Pairs (points of accuracy, {level} interval)", "", *_pairs(facts), ""]
    lines += ["## What this cannot show", "", *(f"- {_text(limit)}" for limit in limits(facts))]
    return "\n".join(lines) + "\n"


def _accuracy(facts: Facts, suite: str, model: str) -> str:
    value = facts.accuracy[suite][model]
    return f"{percent(value['mean'])} ({percent(value['low'])} to {percent(value['high'])})"


def _pairs(facts: Facts) -> list[str]:
    head = ["model", "baseline", "suite", "difference", "interval", "p (Holm)", "detectable", "verdict", "reason"]
    return _table(
        head,
        (
            [
                pair.model,
                pair.baseline,
                pair.suite,
                points(pair.difference),
                f"{plain(pair.low)} to {plain(pair.high)}",
                p_value(pair.p_holm),
                percent(pair.detectable),
                f"{MARKS[pair.verdict]} {pair.verdict}",
                pair.reason + ("" if pair.equal_steps else "; unequal steps"),
            ]
            for pair in facts.pairs
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell if cell == "---" else _text(cell) for cell in line) + " |" for line in lines]


def _text(value: str) -> str:
    """Text of the data as text: one line, no HTML, no Markdown, not too long."""
    short = value if len(value) <= LIMIT else value[:LIMIT] + " …"
    flat = " ".join("".join(letter for letter in short if letter.isprintable() or letter.isspace()).split())
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(flat, quote=False))
