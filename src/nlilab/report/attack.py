"""What attacks do, and what hardening changes: accuracy under attack, slices, transfer, published figures, examples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nlilab.report import beside, plots, words
from nlilab.report import tables as t
from nlilab.report.facts import Facts
from nlilab.report.numbers import counted, percent, plain, points, whole
from nlilab.report.records import Attack, Pair, between, grouped, matchups_of, mean_of, rank
from nlilab.report.texts import lines, model_cell, say, table
from nlilab.report.verdicts import matrix, of_before, tests

EXAMPLES = 5  # perturbed pairs where there is no room for all
MEASURES = {"precision": "precision", "recall": "recall", "f1": "F1"}
OPINIONS = {True: "still holds", False: "no longer holds", None: "not asked"}


def section(facts: Facts) -> t.Section:
    """Everything about attacks; empty where nothing was attacked."""
    if not facts.attacks:
        return t.Section("attack", "Under attack", [])
    recipes = (
        f"{name}{' (a control)' if facts.control(name) else ''}: {one['paper']}" for name, one in facts.recipes.items()
    )
    key = [t.Said(f"{mark} {name}", name) for mark, name in (("●", "clean"), ("◆", "attacked"))]
    places = [attack.place for attack in facts.attacks]
    columns = [t.Column(attack.suite, note=attack.recipe) for attack in facts.attacks]
    before_after = [t.Column(when, name) for name in MEASURES.values() for when in ("before", "after")]
    sliced, classes = _sliced(facts)
    parts = [
        say("attacks", facts),
        lines(*recipes, kind="list"),
        say("controls"),
        t.Text(key, "key", where="page"),
        t.Plots([plots.attacked(facts, attack) for attack in facts.attacks]),
        table("taken", facts, _taken(facts)),
        lines(*words.judged(facts)),
        matrix("differences under attack", facts, places, columns, matchups_of(facts.attacked_pairs)),
        tests(facts, facts.attacked_pairs, "Tests of every pair under attack"),
        table("sliced", facts, sliced),
        table("sliced classes", facts, classes, before_after),
        table("transfer", facts, _transfer(facts), t.heads(*facts.attack.readers)),
        table("adversarial rows", facts, _made(facts)),
        *(part for document in facts.documents.values() if document.recipe for part in _published(facts, document)),
        *(_examples(facts) if facts.gallery else []),
    ]
    return t.Section("attack", "Under attack", parts)


def _place(facts: Facts, attack: Attack) -> t.Cell:
    return t.Cell(attack.suite, note=f"{attack.recipe}{', a control' if facts.control(attack.recipe) else ''}")


def _taken(facts: Facts) -> Iterator[list[t.Value]]:
    for attack in facts.attacks:
        for model, stand in attack.stands.items():
            won = t.Cell("nothing taken for sure") if stand.base else None
            if stand.won_back:
                won = t.estimate(stand.won_back, lambda share: percent(share, 0))
            outcome = ("success", "success_judged", "kept", "kept_originals")
            success, judged, kept, untouched = (percent(facts.outcome(attack, model, key)) for key in outcome)
            yield [
                *(_place(facts, attack), model_cell(facts, model, attack.place), t.estimate(stand.clean)),
                *(t.estimate(stand.attacked, strong=True), t.estimate(stand.lost, plain), won),
                t.signed(stand.change.value, stand.change) if stand.change else None,
                *(success, judged, t.Cell(kept, note=f"of {untouched}")),
            ]


def _from_bases(facts: Facts) -> Iterator[tuple[list[t.Value], Pair, Mapping[str, Any]]]:
    """Every hardened model against its base where both were attacked, on clean rows of a suite and under each attack.

    Yields the cells that name both, the suite and the rows (`clean`, or the recipe), the pair, and the scores of both.
    """
    for one in facts.hardened.values():
        both = [attack for attack in facts.attacks if {one.model, one.base} <= {*attack.stands}]
        for suite, attacks in grouped(both, lambda attack: attack.suite).items():
            at = t.Cell(suite, tainted=facts.tainted(one.model, suite))
            named: list[t.Value] = [t.Cell(one.model, note=f"against {one.base}"), at]
            if pair := between(facts.pairs, suite, one.model, one.base):
                yield [*named, "clean"], pair, facts.scores[suite]["models"]
            for attack in attacks:
                if pair := between(facts.attacked_pairs, attack.place, one.model, one.base):
                    yield [*named, attack.recipe], pair, facts.outcomes[attack.place]["scores"]["after"]


def _sliced(facts: Facts) -> tuple[list[list[t.Value]], list[list[t.Value]]]:
    """What changes in each slice, and the measures of its labels before and after."""
    counts: list[list[t.Value]] = []
    classes: list[list[t.Value]] = []
    for named, pair, scores in _from_bases(facts):
        first, models = next(iter(scores[pair.model].values())), (pair.baseline, pair.model)
        for name, part in pair.slices.items():
            if change := part.changes:
                before = change.wrong_before
                net = f"{points((change.introduced - change.fixed) / before)} %" if before else None
                of = (whole(part.rows), *of_before(change), net, whole(change.remaining), change.shares)
                counts.append([*named, name, *of])
                for label in first["slices"].get(name, {}).get("classes", {}):
                    path = ("slices", name, "classes", label)
                    values = (t.shade(mean_of(scores[m], *path, measure)) for measure in MEASURES for m in models)
                    classes.append([*named, name, label, *values])
    return counts, classes


def _transfer(facts: Facts) -> Iterator[list[t.Value]]:
    for attack in facts.attacks:
        for victim in attack.stands:
            found = facts.outcomes[attack.place]["transfer"][victim]
            shares = (
                t.shade(found[reader], strong=reader == victim, tainted=facts.tainted(reader, attack.place))
                for reader in facts.attack.readers
            )
            yield [_place(facts, attack), victim, *shares]


def _made(facts: Facts) -> Iterator[list[t.Value]]:
    for model, found in facts.made.items():
        clean = found["protocol"] == "clean"
        rows = "training" if clean else t.Cell("the suites (as published: contaminated)", tone="worse")
        counts = (whole(mean_of(found["seeds"], key)) for key in ("rows", "made", "unperturbed"))
        kept = (percent(mean_of(found["seeds"], key)) for key in ("holds", "holds_on_originals"))
        yield [model, rows, found["judge"], *counts, *kept]


def _published(facts: Facts, document: Any) -> list[t.Part]:
    """The document's figures and ours, what they are of, and what is wrong with them."""
    return [
        lines("Beside published figures", kind="h3"),
        say("published attack", document=document),
        beside.under_attack(facts, document),
        say("ours under attack", kind="caption"),
        *beside.defects(document),
    ]


def _examples(facts: Facts) -> Iterator[t.Part]:
    """Pairs that an attack turned: all of them by victim, or a few."""
    yield from (lines("Examples", kind="h3"), say("examples"))
    victims = grouped(sorted(facts.gallery, key=lambda pair: str(pair["victim"])), lambda pair: str(pair["victim"]))
    for number, (victim, own) in enumerate(victims.items()):
        rows = ([place, *cells] for place, _, *cells in (_turned(facts, pair) for pair in own))
        found = table("turned", facts, rows, title=f"{victim}: {counted(len(own), 'pair')}", number=number + 1)
        yield replace(found, folded=True if number else "open")
    yield table("turned, some", facts, (_turned(facts, pair) for pair in sample(facts.gallery, EXAMPLES)))


def _turned(facts: Facts, pair: Mapping[str, Any]) -> list[t.Value]:
    outcome = [f"{label} {percent(share)} %" for label, share in map(_surest, (pair["before"], pair["after"]))]
    place = t.Cell(pair["suite"], note=pair["recipe"], tainted=facts.tainted(pair["victim"], pair["suite"]))
    marked = t.Cell(pair["hypothesis"], pieces=list(pieces(pair["hypothesis"], pair["changes"])))
    was = "\n".join(change[2] for change in pair["changes"])
    return [
        place,
        pair["victim"],
        pair["premise"],
        marked,
        was,
        pair["label"],
        *outcome,
        OPINIONS[pair["judge_agrees"]],
    ]


def pieces(hypothesis: str, changes: Sequence[Sequence[Any]]) -> Iterator[t.Piece]:
    """The hypothesis in parts: unchanged ones, and changed ones with the words that they replace."""
    last = 0
    for start, end, was in sorted(changes, key=lambda change: (change[0], change[1])):
        yield hypothesis[last:start], None
        if start == end and start > 0 and not hypothesis[start - 1].isspace():
            yield " ", None
        yield hypothesis[start:end], str(was)
        if start == end and end < len(hypothesis) and not hypothesis[end].isspace():
            yield " ", None
        last = end
    yield hypothesis[last:], None


def _surest(probabilities: Mapping[str, float]) -> tuple[str, float]:
    label = max(sorted(probabilities, key=rank), key=lambda name: probabilities[name])
    return label, probabilities[label]


def sample(gallery: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """So many pairs: the first of every victim under every attack, then the second ones."""
    groups = grouped(gallery, lambda pair: (pair["suite"], pair["recipe"], pair["victim"])).values()
    turns = [(turn, pair) for own in groups for turn, pair in enumerate(own)]
    return [pair for _, pair in sorted(turns, key=lambda found: found[0])[:count]]
