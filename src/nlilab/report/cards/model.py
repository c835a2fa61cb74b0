"""The card of a model: what it was made of, what it got right on which suite, and how sure that is."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nlilab.core.errors import UserError
from nlilab.core.files import read_json
from nlilab.core.params import PARAMS, Run, nearest, read_yaml
from nlilab.core.seen import load_bases, notes, started
from nlilab.model.settings import train_settings
from nlilab.report.cards.lock import Made, made, scrubbed
from nlilab.report.cards.origin import METRICS, OWN, THEIRS, found, identifiers, licence_of
from nlilab.report.cards.render import rendered
from nlilab.report.cards.sets import bare
from nlilab.report.numbers import confidence_words, listed, size
from nlilab.tasks.definition import load_task

HUB = re.compile(r"^[\w.-]+/[\w.-]+$")


@dataclass(frozen=True)
class Result:
    """Accuracy on a suite, or on a suite under attack (suite@recipe): shares, over all seeds."""

    suite: str
    task: str
    origin: str
    rows: int | None
    mean: float
    low: float
    high: float
    seeds: Sequence[float]
    majority: float | None
    contaminated: bool


@dataclass(frozen=True)
class Trained:
    """What a model was trained on: the arm's certificate, and a licence for each source."""

    arm: str
    certificate: Mapping[str, Any]
    licences: Mapping[str, str]

    @property
    def sources(self) -> list[tuple[str, int, str]]:
        """(source, rows, licence)."""
        return [(name, rows, self.licences[name]) for name, rows in self.certificate["sources"].items()]


def model_card(name: str, run: Run) -> str:
    """The card of a model that params.yaml names: one recipe, trained with every seed."""
    if name not in run.models:
        raise UserError(f"no model {name!r}{nearest(name, run.models)}; params.yaml names {', '.join(run.models)}")
    path = METRICS / "comparison.json"
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro` first")
    comparison, settings = read_json(path), train_settings(read_yaml(PARAMS), run.arms_of(name)[0])
    trained = [_trained(arm, run) for arm in run.arms_of(name)]
    results = list(_results(name, comparison, run))
    base, licence = bare(settings.model), _base_licence(settings.model)
    sizes = {model: size(count) for model, count in comparison.get("parameters", {}).items() if count}
    licences = [licence, *(terms for part in trained for terms in part.licences.values())]
    folders = {seed: made(f"models/{name}/{seed}") for seed in run.seeds}
    body = rendered(
        "model.md.j2",
        name=name,
        base=base,
        revision=settings.revision,
        size=sizes.get(name),
        licence=licence,
        run=run,
        trained=trained,
        labels=_labels(trained),
        how=_how(name, run),
        steps=comparison["steps"].get(name),
        results=results,
        level=confidence_words(comparison["confidence"]),
        settings=yaml.safe_dump(scrubbed(settings.model_dump(exclude_none=True)), sort_keys=True),
        max_length=settings.max_length,
        limits=[*_seen(name, results, run), *_limits(base, trained, results, run), *_others(name, sizes)],
        folders=folders,
        params=_params(folders),
    )
    return f"---\n{_front(name, settings.model, licences, results, comparison['confidence'], run)}\n---\n\n{body}"


def _front(
    name: str, base: str, licences: Sequence[str], results: Sequence[Result], confidence: float, run: Run
) -> str:
    """The YAML that the hub reads, with our accuracies as its model index."""
    from huggingface_hub import EvalResult, ModelCardData

    terms = identifiers(licences)
    hub = HUB.match(base) and not Path(base).is_dir()
    data = ModelCardData(
        language="en",
        license=terms if isinstance(terms, str) else "other",
        license_name=None if isinstance(terms, str) else "several-see-below",
        library_name="transformers",
        pipeline_tag="text-classification",
        base_model=base if hub else None,
        tags=["nlilab", *(["synthetic"] if OWN in licences[1:] or THEIRS in licences[1:] else [])],
        metrics=["accuracy"],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="text-classification",
                task_name=f"{result.task}, text classification",
                dataset_type=result.suite,
                dataset_name=result.suite,
                metric_type="accuracy",
                metric_name=f"accuracy, mean over {len(run.seeds)} seeds ({confidence_words(confidence)} interval "
                f"{result.low:.4f} to {result.high:.4f}{', contaminated' if result.contaminated else ''})",
                metric_value=round(result.mean, 4),
            )
            for result in results
        ]
        or None,
    )
    return str(data)


def _how(name: str, run: Run) -> str:
    """What was done beyond training on one arm."""
    if name in run.harden.made():
        arm, recipe = run.harden.made()[name]
        how = f"{run.harden.how}, {run.harden.steps} steps, {run.harden.ratio:g} adversarial rows for each clean one"
        return f"Trained on {arm}, then hardened against {recipe} ({how})"
    arms = run.arms_of(name)
    return f"Trained on {arms[0]}" + (f", then {run.two_step.steps} steps on {arms[1]}" if len(arms) > 1 else "")


def _trained(arm: str, run: Run) -> Trained:
    certificate = found(METRICS / "arms" / f"{arm}.json")
    if certificate is None:
        raise UserError(f"{METRICS / 'arms' / arm}.json is missing: run `dvc repro` first")
    return Trained(arm, certificate, {source: licence_of(source) for source in certificate["sources"]})


def _base_licence(model: str) -> str:
    """What the card that lies with the base model says, else conf/models.yaml; the hub is not asked."""
    from huggingface_hub import ModelCard

    _, base = load_bases().find(model)
    known = base.licence if base else None
    if model.startswith("package:"):
        from nlilab.model.checkpoint import resolve

        model = resolve(model)
    card = Path(model) / "README.md"
    named = ModelCard.load(card, ignore_metadata_errors=True).data.get("license") if card.is_file() else None
    return str(named or known or "see the base model's card")


def _results(name: str, comparison: Mapping[str, Any], run: Run) -> Iterator[Result]:
    """The model's accuracies, of suites in the order of params.yaml, then under attack."""
    places = [*run.suites, *(place for place in comparison["accuracy"] if place not in run.suites)]
    scores = found(METRICS / "scores.json") or {}
    contaminated = {tuple(pair) for pair in comparison.get("contaminated", [])}
    for place in places:
        entry = comparison["accuracy"].get(place, {}).get(name)
        if entry is None:
            continue
        suite = place.partition("@")[0]
        card = read_json(METRICS / "suites" / f"{suite}.json")
        attacked = comparison.get("attacks", {}).get(place, {})
        yield Result(
            suite=place,
            task=card["task"],
            origin=f"{card['source']}; {card['licence']}",
            rows=attacked.get("rows") if "@" in place else card["rows"],
            mean=entry["mean"],
            low=entry["low"],
            high=entry["high"],
            seeds=entry["seeds"],
            majority=scores.get(suite, {}).get("majority") if "@" not in place else None,
            contaminated=(name, place) in contaminated,
        )


def _seen(name: str, results: Sequence[Result], run: Run) -> list[str]:
    """Whether the base was tuned on sets of the suites before."""
    judged = [result.suite for result in results if "@" not in result.suite]
    cards = {suite: read_json(METRICS / "suites" / f"{suite}.json") for suite in judged}
    return notes(started([name], run, read_yaml(PARAMS)), cards, load_bases())


def _labels(trained: Sequence[Trained]) -> list[str]:
    """The labels that the model answers with, in the order of its tasks."""
    tasks = dict.fromkeys(task for part in trained for task in part.certificate["tasks"])
    return list(dict.fromkeys(label for task in tasks for label in load_task(task).labels))


def _limits(base: str, trained: Sequence[Trained], results: Sequence[Result], run: Run) -> list[str]:
    """What the figures cannot show."""
    seeds = f"{len(run.seeds)} training seeds" if len(run.seeds) > 1 else "One training seed"
    out = [
        f"{seeds}: how much trainings of this recipe vary is poorly known.",
        f"It started from {base}; what helps a model of this size need not help a larger one.",
        "It answers what its training rows let it answer. It was made to compare training data, not for use.",
    ]
    chance = [r.suite for r in results if r.majority is not None and r.low <= r.majority]
    if chance:
        out.append(f"{listed(chance)}: not surely better than always giving the most frequent label.")
    if any(result.contaminated for result in results):
        out.append(
            "Contaminated: hardened on perturbed rows of the very rows reported, so nothing follows for new ones."
        )
    if any(part.certificate["shuffled"] for part in trained):
        out.append("Its training labels were shuffled: it is a control and means nothing by what it says.")
    if any(OWN in part.licences.values() for part in trained):
        out.append("Rows of the embedded grammar are no language model's: they say nothing of how such data would do.")
    return out


def _others(name: str, sizes: Mapping[str, str]) -> list[str]:
    """That models of the same run are of another size, where they are."""
    others = [f"{model} ({said})" for model, said in sizes.items() if said != sizes.get(name, said)]
    unequal = "models of the same run have another number of parameters"
    return [f"{listed(others)}: {unequal}, so a difference from them is not of training rows alone."] if others else []


def _params(folders: Mapping[int, Made | None]) -> str:
    """The parameters of all stages upstream, the same for every seed."""
    traced = next((one for one in folders.values() if one), None)
    return yaml.safe_dump(dict(traced.params), sort_keys=True, width=1000) if traced else ""
