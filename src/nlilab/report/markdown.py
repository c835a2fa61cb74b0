"""report.md: the comparison as GitHub Markdown."""

import html
import re
from collections.abc import Iterable, Sequence

from nlilab.report import gallery
from nlilab.report.attacks import Bounds, Stand
from nlilab.report.facts import Facts
from nlilab.report.hardening import change, findings, whole_percent
from nlilab.report.pairs import Pair
from nlilab.report.words import MARKS, confidence_words, judged, limits, p_value, percent, plain, points, sentence

PAIRS = 5  # examples of perturbed pairs
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
        lines += [f"## Pairs (points of accuracy, {level} interval)", "", *_pairs(facts.pairs), ""]
    if facts.attacking.attacks:
        lines += _under_attack(facts)
    lines += ["## What this cannot show", "", *(f"- {_text(limit)}" for limit in limits(facts))]
    return "\n".join(lines) + "\n"


def _accuracy(facts: Facts, suite: str, model: str) -> str:
    value = facts.accuracy[suite][model]
    shown = f"{percent(value['mean'])} ({percent(value['low'])} to {percent(value['high'])})"
    return shown + _tainted(facts, model, suite)


def _tainted(facts: Facts, model: str, suite: str) -> str:
    return ", contaminated" if (model, suite) in facts.attacking.contaminated else ""


def _under_attack(facts: Facts) -> list[str]:
    found, level = facts.attacking, confidence_words(facts.confidence)
    said = findings(found, facts.confidence, len(facts.run.seeds))
    lines = [
        "## Under attack",
        "",
        *(f"- {_text(finding.text)}" for finding in said),
        *(f"- {_text(text)}" for text in judged(facts)),
        "",
        f"### Accuracy under attack (%, {level} interval; –: not attacked)",
        "",
        *_table(
            ["model", *(attack.place for attack in found.attacks)],
            (
                [model]
                + [
                    _share(stand.attacked) + _tainted(facts, model, attack.place)
                    if (stand := attack.stands.get(model))
                    else "–"
                    for attack in found.attacks
                ]
                for model in facts.run.models
            ),
        ),
        "",
        f"### What attacks take and hardening wins back (%, {level} interval)",
        "",
        *_table(
            [
                "attack",
                "model",
                "clean",
                "lost, points",
                "success",
                "success, judged",
                "won back",
                "clean change, points",
            ],
            (
                [
                    attack.place + (" (a control)" if found.control(attack.recipe) else ""),
                    model + _tainted(facts, model, attack.place),
                    _share(stand.clean),
                    _points(stand.lost),
                    *(percent(found.outcome(attack, model, key)) for key in ("success", "success_judged")),
                    *_hardened(stand),
                ]
                for attack in found.attacks
                for model, stand in attack.stands.items()
            ),
        ),
        "",
    ]
    if found.pairs:
        lines += [f"### Pairs under attack (points of accuracy, {level} interval)", "", *_pairs(found.pairs), ""]
    if found.gallery:
        lines += ["### Examples", "", *_examples(facts), ""]
    return lines


def _hardened(stand: Stand) -> list[str]:
    if not stand.base or stand.clean_cost is None:
        return ["–", "–"]
    won = stand.won_back
    shown = (
        f"{whole_percent(won.value)} ({whole_percent(won.low)} to {whole_percent(won.high)})"
        if won
        else "nothing lost for sure"
    )
    return [shown, _points(change(stand.clean_cost), signed=True)]


def _share(bounds: Bounds) -> str:
    return f"{percent(bounds.value)} ({percent(bounds.low)} to {percent(bounds.high)})"


def _points(bounds: Bounds, signed: bool = False) -> str:
    return f"{(points if signed else plain)(bounds.value)} ({plain(bounds.low)} to {plain(bounds.high)})"


def _examples(facts: Facts) -> list[str]:
    head = [
        "attack",
        "victim",
        "premise",
        "hypothesis, perturbed",
        "was",
        "label",
        "before",
        "after",
        "judge: the label",
    ]
    rows = []
    for pair in gallery.sample(facts.attacking.gallery, PAIRS):
        outcome = [f"{label} {percent(share)} %" for label, share in map(gallery.said, (pair["before"], pair["after"]))]
        was = ", ".join(found[2] for found in pair["changes"])
        tainted = _tainted(facts, pair["victim"], pair["suite"])
        rows.append(
            [_text(f"{pair['suite']}@{pair['recipe']}"), _text(pair["victim"] + tainted), _text(pair["premise"])]
            + [gallery.marked_markdown(pair, _text)]
            + [_text(value) for value in (was, pair["label"], *outcome, gallery.opinion(pair))]
        )
    return _lines(head, rows)


def _pairs(pairs: Sequence[Pair]) -> list[str]:
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
            for pair in pairs
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return _lines([_text(cell) for cell in head], ([_text(cell) for cell in row] for row in rows))


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of cells that are Markdown already."""
    return ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows]]


def _text(value: str) -> str:
    """Text of the data as text: one line, no HTML, no Markdown, not too long."""
    short = value if len(value) <= LIMIT else value[:LIMIT] + " …"
    flat = " ".join("".join(letter for letter in short if letter.isprintable() or letter.isspace()).split())
    return re.sub(r"([\\`*_~\[\]|])", r"\\\1", html.escape(flat, quote=False))
