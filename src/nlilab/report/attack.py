"""What attacks do, and what hardening changes: accuracy under attack, slices, transfer, published figures, examples."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nlilab.report import beside, plots, words
from nlilab.report import tables as t
from nlilab.report.facts import Facts, Hardened
from nlilab.report.naming import level, model_cell
from nlilab.report.numbers import percent, plain, points, whole
from nlilab.report.records import Attack, Pair, between, mean_of, rank
from nlilab.report.verdicts import matrix, of_before, tests

EXAMPLES = 5  # perturbed pairs where there is no room for all
MEASURES = ("precision", "recall", "f1")
OPINIONS = {True: "still holds", False: "no longer holds", None: "not asked"}


def section(facts: Facts) -> t.Section:
    """Everything about attacks; empty where nothing was attacked."""
    if not facts.attacks:
        return t.Section("attack", "Under attack", [])
    refused = " A perturbation that the judge refuses does not count: the victim's answer to the untouched row stands"
    refused = f"{refused} for it." if facts.attack.validate_rows else ""
    recipes = [
        f"{name}{' (a control)' if facts.control(name) else ''}: {one['paper']}" for name, one in facts.recipes.items()
    ]
    tainted = {place for _, place in facts.contaminated}
    drawn = [
        t.Plot(f"{a.suite} under {a.recipe}", plots.attacked(facts, a), f"{whole(a.rows)} rows", a.place in tainted)
        for a in facts.attacks
    ]
    key = [t.Said(f"{mark} {name}", name) for mark, name in (("●", "clean"), ("◆", "attacked"))]
    places = [attack.place for attack in facts.attacks]
    columns = [t.Column(attack.suite, note=attack.recipe) for attack in facts.attacks]
    caption = (
        f"Difference in accuracy, in points, each model on the rows perturbed against itself; below it the "
        f"{level(facts)}. Verdicts are corrected for all {facts.family} comparisons."
    )
    parts: list[t.Part | None] = [
        t.say(
            "A sample of the suite's rows, their hypotheses perturbed anew against each victim, each of its seeds for "
            f"itself. Clean: the same rows as they were.{refused}"
        ),
        t.say(*recipes, kind="list"),
        t.say(
            "Controls do not ask the gradient which word to take: random takes any, lowest the one that seems to "
            "matter least, unchanged perturbs nothing. What a control takes or wins back is no merit of the gradient."
        ),
        t.Text(key, "key", where=t.PAGE),
        t.Plots(drawn),
        _taken(facts),
        t.say(*words.judged(facts)),
        matrix(columns, places, facts.attacked_matchups(), "Pairs of models under attack", caption),
        tests(facts, facts.attacked_pairs, "Tests of every pair under attack"),
        *_slices(facts),
        _transfer(facts),
        _made(facts),
        *(part for document in facts.documents.values() if document.recipe for part in _published(facts, document)),
        *_examples(facts),
    ]
    return t.Section("attack", "Under attack", t.drop(parts))


def _place(facts: Facts, attack: Attack) -> t.Cell:
    return t.Cell(attack.suite, note=f"{attack.recipe}{', a control' if facts.control(attack.recipe) else ''}")


def _taken(facts: Facts) -> t.Table:
    lines = []
    for attack in facts.attacks:
        for model, stand in attack.stands.items():
            won = t.Cell("nothing taken for sure") if stand.base else t.Cell()
            if stand.won_back:
                won = t.estimate(stand.won_back, lambda share: percent(share, 0))
            success, judged, kept, untouched = (
                percent(facts.outcome(attack, model, key))
                for key in ("success", "success_judged", "kept", "kept_originals")
            )
            change = t.signed(stand.change.value, stand.change) if stand.change else None
            lines.append(
                t.row(
                    *(_place(facts, attack), model_cell(facts, model, attack.place), t.estimate(stand.clean)),
                    *(t.estimate(stand.attacked, strong=True), t.estimate(stand.lost, plain), won, change),
                    *(success, judged, t.Cell(kept, note=f"of {untouched}")),
                )
            )
    names = ("clean", "attacked", "lost, points", "won back", "clean change, points", "success", "success, judged")
    caption = (
        f"In %, means over seeds, with {level(facts)}s over seeds and rows. Success: of the rows that were right "
        "before, the share that is wrong after; judged: only where the judge still finds the label. Label kept: the "
        f"share of rows in which the judge ({facts.attack.judge}) finds the label in the perturbed row, and beside it "
        "in the row as it was, the most that this judge can see. Won back: the part of its base's loss that a hardened "
        "model does not lose; clean change: its accuracy on the untouched rows less its base's, in points."
    )
    return t.Table([*t.left("attack", "model"), *t.heads(*names, "label kept")], lines, caption=caption, merge=1)


def _from_bases(facts: Facts) -> Iterator[tuple[Hardened, Attack, str, Pair, Mapping[str, Any]]]:
    """Every hardened model against its base where both were attacked, on clean rows of a suite and under each attack.

    Yields what rows are besides: `clean`, or the recipe; and the scores of both.
    """
    for one in facts.hardened.values():
        both = [attack for attack in facts.attacks if {one.model, one.base} <= {*attack.stands}]
        for number, attack in enumerate(both):
            after = facts.outcomes[attack.place]["scores"]["after"]
            places = [(attack.recipe, facts.attacked_pairs, attack.place, after)]
            if attack.suite not in {earlier.suite for earlier in both[:number]}:
                places.insert(0, ("clean", facts.pairs, attack.suite, facts.scores[attack.suite]["models"]))
            for kind, pairs, place, scores in places:
                if pair := between(pairs, place, one.model, one.base):
                    yield one, attack, kind, pair, scores


def _slices(facts: Facts) -> list[t.Table]:
    counts, classes = [], []
    for one, attack, kind, pair, scores in _from_bases(facts):
        suite = t.Cell(attack.suite, tainted=facts.tainted(one.model, attack.suite))
        for name, part in pair.slices.items():
            if (change := part.changes) is None:
                continue
            named: list[t.Cell | str] = [t.Cell(one.model, note=f"against {one.base}"), suite, kind, name]
            before, counted = change.wrong_before, (change.fixed, change.introduced, change.remaining)
            net = f"{points((change.introduced - change.fixed) / before)} %" if before else None
            shares = " / ".join(percent(count / change.errors) for count in counted) if change.errors else None
            counts.append(t.row(*named, whole(part.rows), *of_before(change), net, whole(change.remaining), shares))
            first = next(iter(scores[pair.model].values()))
            for label in first["slices"].get(name, {}).get("classes", {}):
                path = ("slices", name, "classes", label)
                models = (pair.baseline, pair.model)
                values = (t.shade(mean_of(scores[m], *path, measure)) for measure in MEASURES for m in models)
                classes.append(t.row(*named, label, *values))
    names = t.left("model", "suite", "rows are", "slice")
    columns = t.heads(
        "rows", "fixed, of wrong before", "introduced, of right before", "net, of wrong before", "remaining"
    )
    columns += t.heads("shares as published: fixed / introduced / remaining")
    said = (
        "Clean: all rows of the suite; attacked: the sample. Counted over all seeds; slices are described, not tested. "
        "Net: how many more errors (or fewer) there are, of those before. The last column divides by fixed + "
        "introduced + remaining, as the published report does; an introduced error is none of the errors before, so "
        "these shares do not say what part of them was fixed."
    )
    measures = [t.Column(when, name) for name in ("precision", "recall", "F1") for when in ("before", "after")]
    title = "Precision, recall and F1 of each label in each slice, before and after hardening"
    note = "In %, means over seeds; before: the base."
    return [
        t.Table([*names, *columns], counts, "Slices: hardened models and their bases", said, merge=1),
        t.Table([*names, *t.left("label"), *measures], classes, title, note, merge=4, folded=True, where=t.PAGE),
    ]


def _transfer(facts: Facts) -> t.Table:
    lines = []
    for attack in facts.attacks:
        for victim in attack.stands:
            found = facts.outcomes[attack.place]["transfer"][victim]
            shares = (
                t.shade(found[reader], strong=reader == victim, tainted=facts.tainted(reader, attack.place))
                for reader in facts.attack.readers
            )
            lines.append(t.row(_place(facts, attack), victim, *shares))
    counts = " Here, and in the share of successes, every perturbation counts." if facts.attack.validate_rows else ""
    caption = (
        "Accuracy in %, means over seeds. Rows: whom the sample was perturbed against; columns: who reads it (of the "
        f"same seed).{counts}"
    )
    columns = [*t.left("attack", "perturbed against"), *t.heads(*facts.attack.readers)]
    return t.Table(columns, lines, "Transfer", caption, merge=1)


def _made(facts: Facts) -> t.Table:
    lines = []
    for model, found in facts.made.items():
        clean = found["protocol"] == "clean"
        rows = "training" if clean else t.Cell("the suites (as published: contaminated)", tone="worse")
        counts = (whole(mean_of(found["seeds"], key)) for key in ("rows", "made", "unperturbed"))
        kept = (percent(mean_of(found["seeds"], key)) for key in ("holds", "holds_on_originals"))
        lines.append(t.row(model, rows, found["judge"], *counts, *kept))
    drops = " Rows that the judge refuses are dropped." if facts.attack.validate_rows else ""
    caption = (
        "Means over seeds. Label kept: the share of rows in which the judge finds the label, perturbed and untouched, "
        f"in %.{drops}"
    )
    columns = t.left("model", "rows from", "judge") + t.heads("rows picked", "used", "could not be perturbed")
    columns += t.heads("label kept, perturbed", "label kept, untouched")
    return t.Table(columns, lines, "Adversarial training rows", caption)


def _published(facts: Facts, document: Any) -> list[t.Part]:
    """The document's figures and ours, what they are of, and what is wrong with them."""
    return [
        t.say("Beside published figures", kind="h3"),
        t.say(
            f"{document.document} ({document.source}): {document.model}, {document.data}. Ours are other models, data "
            "and rows: set beside each other, not compared."
        ),
        beside.under_attack(facts, document),
        t.say(
            "Ours: accuracy and loss on the attacked sample, as it was and as perturbed; shares over all rows of the "
            "suite.",
            kind="caption",
        ),
        *beside.defects(document),
    ]


def _examples(facts: Facts) -> list[t.Part]:
    """Pairs that an attack turned: all of them by victim, or a few."""
    if not facts.gallery:
        return []
    lead = (
        "Pairs of which the victim (one seed) had the label before and lost it after, the surest first. Marked: what "
        "the attack put in; struck out: what it deleted."
    )
    victims = sorted({pair["victim"] for pair in facts.gallery})
    tables = []
    for number, victim in enumerate(victims):
        own = [pair for pair in facts.gallery if pair["victim"] == victim]
        title = f"{victim}: {words.counted(len(own), 'pair')}"
        tables.append(
            _turned(facts, own, title, f"turned-{number + 1}", folded=True if number else "open", where=t.PAGE)
        )
    few = _turned(facts, sample(facts.gallery, EXAMPLES), "", "", where=t.MARKDOWN)
    return [t.say("Examples", kind="h3"), t.say(lead), *tables, few]


def _turned(facts: Facts, found: Sequence[Mapping[str, Any]], title: str, slug: str, **more: Any) -> t.Table:
    several = not title
    labels = sorted({pair["label"] for pair in found}, key=rank)
    columns = [*t.left("attack"), *(t.left("victim") if several else [])]
    columns += [t.Column(name, kind="wide") for name in ("premise", "hypothesis, perturbed")]
    columns += [t.Column("was", kind="text"), t.Column("label", kind="name", choices=labels)]
    return t.Table(
        [*columns, *t.left("before", "after", "judge: the label")],
        list(_pairs(facts, found, several)),
        title,
        slug=slug,
        **more,
    )


def _pairs(facts: Facts, found: Iterable[Mapping[str, Any]], several: bool) -> Iterator[t.Row]:
    for pair in found:
        outcome = [f"{label} {percent(share)} %" for label, share in map(_surest, (pair["before"], pair["after"]))]
        place = t.Cell(pair["suite"], note=pair["recipe"], tainted=facts.tainted(pair["victim"], pair["suite"]))
        marked = t.Cell(pair["hypothesis"], pieces=list(pieces(pair["hypothesis"], pair["changes"])))
        was = "\n".join(change[2] for change in pair["changes"])
        said = (pair["premise"], marked, was, pair["label"], *outcome, OPINIONS[pair["judge_agrees"]])
        yield t.row(place, *([pair["victim"]] if several else []), *said)


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
    places: dict[tuple[str, str, str], int] = {}
    turns = []
    for pair in gallery:
        key = (pair["suite"], pair["recipe"], pair["victim"])
        places[key] = places.get(key, -1) + 1
        turns.append(places[key])
    order = sorted(range(len(gallery)), key=lambda index: turns[index])
    return [gallery[index] for index in order[:count]]
