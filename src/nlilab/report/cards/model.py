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
from nlilab.report.cards.lock import as_yaml, made, scrubbed
from nlilab.report.cards.origin import METRICS, OWN, THEIRS, found, identifiers, licence_of
from nlilab.report.cards.render import rendered
from nlilab.report.cards.sets import bare
from nlilab.report.numbers import confidence_words, size
from nlilab.tasks.definition import load_task

HUB = re.compile(r"^[\w.-]+/[\w.-]+$")


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
    licence = _base_licence(settings.model)
    sizes = {model: size(count) for model, count in comparison.get("parameters", {}).items() if count}
    licences = [licence, *(terms for part in trained for terms in part.licences.values())]
    folders = {seed: made(f"models/{name}/{seed}") for seed in run.seeds}
    tasks = dict.fromkeys(task for part in trained for task in part.certificate["tasks"])
    level = f"{confidence_words(comparison['confidence'])} interval"
    body = rendered(
        "model.md.j2",
        name=name,
        base=bare(settings.model),
        revision=settings.revision,
        size=sizes.get(name),
        others=[f"{model} ({said})" for model, said in sizes.items() if said != sizes.get(name, said)],
        seen=_seen(name, results, run),
        licence=licence,
        run=run,
        trained=trained,
        labels=list(dict.fromkeys(label for task in tasks for label in load_task(task).labels)),
        how=_how(name, run),
        steps=comparison["steps"].get(name),
        results=results,
        level=level,
        settings=yaml.safe_dump(scrubbed(settings.model_dump(exclude_none=True)), sort_keys=True),
        max_length=settings.max_length,
        grammar=OWN in licences[1:],
        folders=folders,
        params=as_yaml(next(filter(None, folders.values()), None)),
    )
    return f"---\n{_front(name, settings.model, licences, results, level)}\n---\n\n{body}"


def _front(name: str, base: str, licences: Sequence[str], results: Sequence[Mapping[str, Any]], level: str) -> str:
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
                task_name=f"{one['task']}, text classification",
                dataset_type=one["suite"],
                dataset_name=one["suite"],
                metric_type="accuracy",
                metric_name=f"accuracy, mean over {len(one['seeds'])} seeds ({level} {one['low']:.4f} to "
                f"{one['high']:.4f}{', contaminated' if one['contaminated'] else ''})",
                metric_value=round(one["mean"], 4),
            )
            for one in results
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


def _results(name: str, comparison: Mapping[str, Any], run: Run) -> Iterator[dict[str, Any]]:
    """The model's accuracies (shares, over all seeds), of suites in the order of params.yaml, then under attack."""
    accuracy, scores = comparison["accuracy"], found(METRICS / "scores.json") or {}
    for place in dict.fromkeys([*run.suites, *accuracy]):
        if entry := accuracy.get(place, {}).get(name):
            suite, _, attacked = place.partition("@")
            card = read_json(METRICS / "suites" / f"{suite}.json")
            yield {key: entry[key] for key in ("mean", "low", "high", "seeds")} | {
                "suite": place,
                "task": card["task"],
                "origin": f"{card['source']}; {card['licence']}",
                "rows": comparison.get("attacks", {}).get(place, {}).get("rows") if attacked else card["rows"],
                "majority": None if attacked else scores.get(suite, {}).get("majority"),
                "contaminated": [name, place] in comparison.get("contaminated", []),
            }


def _seen(name: str, results: Sequence[Mapping[str, Any]], run: Run) -> list[str]:
    """Whether the base was tuned on sets of the suites before."""
    judged = [result["suite"] for result in results if "@" not in result["suite"]]
    cards = {suite: read_json(METRICS / "suites" / f"{suite}.json") for suite in judged}
    return notes(started([name], run, read_yaml(PARAMS)), cards, load_bases())
