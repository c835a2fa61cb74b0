"""report.md: the comparison as GitHub Markdown."""

from collections.abc import Sequence

from nlilab.report import gallery
from nlilab.report.attacks import Bounds, Stand
from nlilab.report.facts import Facts
from nlilab.report.further import FURTHER, Seeds, detected, detecting, explained, further
from nlilab.report.gfm import formatted, safe, table
from nlilab.report.hardening import change, findings, whole_percent
from nlilab.report.judgement import judged_by_people
from nlilab.report.markdown_published import published_tables
from nlilab.report.pairs import Pair
from nlilab.report.sets.findings import COMPACT, compact, said_of
from nlilab.report.words import MARKS, confidence_words, judged, limits, p_value, percent, plain, points, sentence

PAIRS = 5  # examples of perturbed pairs


def markdown(facts: Facts) -> str:
    """The sentences, models x suites with mean and interval, the pairs with their verdicts, published tables."""
    run = facts.run
    level = confidence_words(facts.confidence)
    said = [sentence(pairs, facts.confidence, len(run.suites)) for pairs in facts.matchups()]
    nothing = "One model only." if len(run.models) == 1 else "No two models read the same suite."
    unread = "" if len(facts.alike()) == 1 else "; –: not read"
    lines = [
        "# Does this training data make the model robust?",
        "",
        f"{len(run.models)} models, {len(run.seeds)} seeds, {len(run.suites)} suites.",
        "",
        "## Verdicts",
        "",
        *([f"- {safe(line)}" for line in said] or [nothing]),
        "",
        f"## Accuracy (%, mean over seeds, {level} interval{unread})",
        "",
        *table(
            ["model", *(_titled(facts, suite) for suite in run.suites)],
            (
                *([model, *(_accuracy(facts, suite, model) for suite in run.suites)] for model in run.models),
                ["most frequent label", *(percent(facts.majority(suite)) for suite in run.suites)],
            ),
        ),
        "",
        *_detected(facts),
        *_further(facts),
    ]
    if facts.pairs:
        lines += [f"## Pairs (points of accuracy, {level} interval)", "", *_pairs(facts.pairs), ""]
    lines += _sets(facts)
    lines += published_tables(facts)
    if facts.attacking.attacks:
        lines += _under_attack(facts)
    people = judged_by_people(facts.agreement)
    lines += ["## Human judgement", "", *(f"- {safe(text)}" for text in people), ""]
    lines += ["## What this cannot show", "", *(f"- {safe(limit)}" for limit in limits(facts))]
    return "\n".join(lines) + "\n"


def _sets(facts: Facts) -> list[str]:
    """One line for each data set, and what matters most about it."""
    if not facts.sets:
        return []
    at, lines = compact(facts.sets)
    said = [f"- {safe(f'{one.name}: {found.text}')}" for one in facts.sets.values() for found in said_of(one)]
    rows = ([name, *map(str, figures)] for name, figures in lines)
    return [f"## Data sets ({at})", "", *table(["set", *COMPACT], rows), "", *said, ""]


def _titled(facts: Facts, suite: str) -> str:
    """A suite's name, with its task where there are several."""
    return f"{suite} ({facts.suites[suite]['task']})" if len(facts.tasks) > 1 else suite


def _accuracy(facts: Facts, suite: str, model: str) -> str:
    if model not in facts.accuracy[suite]:
        return "–"
    value = facts.accuracy[suite][model]
    shown = f"{percent(value['mean'])} ({percent(value['low'])} to {percent(value['high'])})"
    return shown + _tainted(facts, model, suite)


def _detected(facts: Facts) -> list[str]:
    rows = [
        [_titled(facts, suite), model + _tainted(facts, model, suite), *map(percent, detected(facts, suite, model))]
        for suite in detecting(facts)
        for model in facts.readers(suite)
    ]
    head = ["suite", "model", "precision", "recall", "F1"]
    return ["## Vulnerable code found (%, means over seeds)", "", *table(head, rows), ""] if rows else []


def _further(facts: Facts) -> list[str]:
    found = further(facts)
    out = ["## Further measures (%, mean and range of the seeds)", ""] if found else []
    out += [f"- {name}: {text}" for name, text in explained(found)]
    for one in found:
        head = ["suite", "model", *(FURTHER[measure][0] for measure in one.measures)]
        rows = [
            [_titled(facts, suite), model + _tainted(facts, model, suite), *map(_range, values)]
            for suite, held in one.suites.items()
            for model, values in held
        ]
        out += ["", *table(head, rows)]
    return [*out, ""] if found else []


def _range(seeds: Seeds | None) -> str:
    return "–" if seeds is None else f"{percent(seeds.mean)} ({percent(seeds.low)} to {percent(seeds.high)})"


def _tainted(facts: Facts, model: str, suite: str) -> str:
    return ", contaminated" if (model, suite) in facts.attacking.contaminated else ""


def _under_attack(facts: Facts) -> list[str]:
    found, level = facts.attacking, confidence_words(facts.confidence)
    said = findings(found, facts.confidence, len(facts.run.seeds))
    lines = [
        "## Under attack",
        "",
        *(f"- {safe(finding.text)}" for finding in said),
        *(f"- {safe(text)}" for text in judged(facts)),
        "",
        f"### Accuracy under attack (%, {level} interval; –: not attacked)",
        "",
        *table(
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
        *table(
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
            [safe(f"{pair['suite']}@{pair['recipe']}"), safe(pair["victim"] + tainted), safe(pair["premise"])]
            + [gallery.marked_markdown(pair, safe)]
            + [safe(value) for value in (was, pair["label"], *outcome, gallery.opinion(pair))]
        )
    return formatted(head, rows)


def _pairs(pairs: Sequence[Pair]) -> list[str]:
    head = ["model", "baseline", "suite", "difference", "interval", "p (Holm)", "detectable", "verdict", "reason"]
    return table(
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
