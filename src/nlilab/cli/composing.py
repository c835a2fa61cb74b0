"""A comparison as a newcomer wishes it, composed into a preset: arms at equal rows, a plan that can yield them."""

import json
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlilab.core.errors import UserError
from nlilab.core.params import conf_entry, nearest, sources_of
from nlilab.datasets.entries import Dataset
from nlilab.llm.client import EMBEDDED, LOCAL
from nlilab.llm.writer import GeneratorEntry
from nlilab.tasks.definition import load_task

ARMS = {  # kind -> what its rows are; per generator, per human dataset, or per pair of both
    "raw": "a generator's rows under the label that was asked for",
    "corrected": "the same after a judge corrected the labels",
    "shuffled": "a control: corrected labels in random order, so that they mean nothing",
    "human": "rows of a human dataset",
    "mixed": "half human, half corrected rows",
}
WRITTEN, CORRECTED = ("raw", "corrected", "shuffled", "mixed"), ("corrected", "shuffled", "mixed")
HEADROOM = 1.6  # rows that are written for each one that is drawn: what correction, curation and the dev share take
PER_CONTEXT = 80  # seeds beyond which a language model repeats itself: then it writes more contexts
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")  # a text that YAML takes for itself without quotes
TASK = "{task}"
WIDTH = 118

COMMENTS = {
    "sets": "what may be trained on: task/generator, or a human dataset",
    "suites": "what every model is judged on",
    "arms": "training tables at equal rows; defined under mixtures",
    "models": "what is predicted, scored and compared",
    "plan": f"writes {HEADROOM:g} times the rows that an arm draws",
    "correct": "method none where no arm asks for corrected labels",
    "harden": "empty: nothing is hardened",
    "attack": "empty: nothing is attacked",
    "train": "equal optimiser steps for every arm",
}


@dataclass(frozen=True)
class Wish:
    """What `nlilab new` was asked for; None and empty leave it to params.yaml."""

    tasks: Sequence[str]
    generators: Sequence[str]
    datasets: Sequence[str]
    suites: Sequence[str]
    arms: Sequence[str]
    rows: int
    seeds: int
    steps: int
    models: Sequence[str]
    judge: str | None = None
    attack: bool = False
    budget: float | None = None


def compose(wish: Wish, top: Mapping[str, Any]) -> dict[str, Any]:
    """The `params` of the preset: overrides of `top`, which has the rest. Raises UserError for what cannot be."""
    writers = {name: conf_entry("generators", name, GeneratorEntry) for name in wish.generators}
    humans = {name: conf_entry("datasets", name, Dataset) for name in wish.datasets}
    for name in wish.suites:
        conf_entry("datasets", name, Dataset)
    _check_arms(wish)
    mixtures = _on_each_base(_mixtures(wish, humans), wish.models)
    for arm, mixture in mixtures.items():
        if top["mixtures"].get(arm, mixture) != mixture:  # DVC would merge the two into one
            raise UserError(f"params.yaml: mixtures has another {arm!r} already; rename or remove it there")
    arms = list(mixtures)
    out: dict[str, Any] = {"tasks": [*wish.tasks], "generators": [*wish.generators], "datasets": [*wish.datasets]}
    out |= {"sets": sources_of(wish.tasks, wish.generators, wish.datasets)}
    out |= {"suites": [*wish.suites], "arms": arms, "two_step": {"starts": [], "arms": []}}
    out |= _attacked(wish, arms, top) if wish.attack else {"harden": {"arms": [], "against": []}, "models": arms}
    out |= {"seeds": list(range(1, wish.seeds + 1)), "plan": _plan(wish, writers, top)}
    out |= {"correct": _correct(wish, writers, top), "mixtures": mixtures}
    out.setdefault("attack", {"suites": [], "recipes": [], "victims": [], "readers": []})
    out["train"] = {"model": wish.models[0], "steps": wish.steps}
    return out | ({"llm": {"budget_usd": wish.budget}} if wish.budget is not None else {})


def paid(names: Sequence[str]) -> list[str]:
    """Those of the generators whose answers cost money."""
    entries = {name: conf_entry("generators", name, GeneratorEntry) for name in names}
    free = {name for name, entry in entries.items() if entry.price and not entry.price.input and not entry.price.output}
    return [name for name, entry in entries.items() if entry.provider not in LOCAL and name not in free]


def render(description: str, command: str, params: Mapping[str, Any]) -> str:
    """The preset as YAML that people read and edit."""
    lines = [f"description: {json.dumps(description, ensure_ascii=False)}"]
    lines += textwrap.wrap(command, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
    if (bought := paid(params["generators"])) and "llm" not in params:
        lines.append(
            f"# Not free: {', '.join(bought)}. -S llm.budget_usd=5 caps a run; `nlilab ledger` tells what was paid."
        )
    lines.append("# Values hold no spaces: a shell splits the flags of `nlilab preset` at spaces.")
    lines.append("params:")
    for key, value in params.items():
        comment = _comment(key, value)
        note = f"  # {comment}" if comment else ""
        if isinstance(value, dict) and (key == "mixtures" or (key in ("harden", "attack") and any(value.values()))):
            lines += [f"  {key}:{note}", *(f"    {_flow(name)}: {_flow(inner)}" for name, inner in value.items())]
        elif isinstance(value, list) and len(_flow(value)) > WIDTH - 40:
            lines += [f"  {key}:{note}", *(f"    - {_flow(item)}" for item in value)]
        else:
            lines.append(f"  {key}: {_flow(value)}{note}")
    return "\n".join(lines) + "\n"


def _comment(key: str, value: Any) -> str:
    """What a line of the preset says beside its value, where that needs saying."""
    if key in ("harden", "attack") and any(value.values()):
        return ""
    if key == "correct" and value["method"] != "none":
        return ""
    return COMMENTS.get(key, "") if key != "plan" or "contexts" in value else ""


def _check_arms(wish: Wish) -> None:
    """Refuse kinds of arms that there are not, or that lack what they are made of."""
    for kind in wish.arms:
        if kind not in ARMS:
            raise UserError(f"--arms: unknown kind {kind!r}{nearest(kind, ARMS)}; there are {', '.join(ARMS)}")
        if kind in WRITTEN and not wish.generators:
            raise UserError(f"--arms: {kind} is {ARMS[kind]}: name who writes by --generators")
        if kind in ("human", "mixed") and not wish.datasets:
            raise UserError(f"--arms: {kind} is {ARMS[kind]}: name a dataset by --datasets")
    for task in wish.tasks:
        count = len(load_task(task).labels)
        if wish.rows < 2 * count:
            raise UserError(f"--rows: got {wish.rows}, expected at least {2 * count}: {task} has {count} labels")


def _mixtures(wish: Wish, humans: Mapping[str, Dataset]) -> dict[str, Any]:
    """The arms by name, all with the same number of rows; with several tasks an arm for each of them."""
    task, prefix = (wish.tasks[0], "") if len(wish.tasks) == 1 else (TASK, f"{TASK}-")
    found: dict[str, Any] = {}
    for writer in wish.generators:
        source = {f"{task}/{writer}": wish.rows}
        own = {
            "raw": {"sources": source, "labels": "constrained"},
            "corrected": {"sources": source, "labels": "corrected"},
            "shuffled": {"sources": source, "labels": "corrected", "shuffle": True},
        }
        found |= {f"{prefix}{writer}-{kind}": mixture for kind, mixture in own.items() if kind in wish.arms}
    if "human" in wish.arms:
        found |= {name: {"sources": {name: wish.rows}} for name in wish.datasets}
    for name, entry in humans.items() if "mixed" in wish.arms else []:
        of = entry.task if entry.task in wish.tasks else wish.tasks[0]
        for writer in wish.generators:
            sources = {name: wish.rows - wish.rows // 2, f"{of}/{writer}": wish.rows // 2}
            found[f"{name}-with-{writer}"] = {"sources": sources, "labels": "corrected"}
    return found


def _on_each_base(mixtures: dict[str, Any], models: Sequence[str]) -> dict[str, Any]:
    """The arms once for each base, named after it where there are several."""
    if len(models) == 1:
        return mixtures
    names = [re.sub("[^a-z0-9]+", "-", re.split("[/:]", model.rstrip("/"))[-1].lower()).strip("-") for model in models]
    if len({*names, ""}) <= len(names):
        raise UserError(f"--model: {', '.join(models)} would be called {', '.join(names)}: name bases that differ")
    return {
        f"{TASK}-{name}-{arm.removeprefix(f'{TASK}-')}" if arm.startswith(TASK) else f"{name}-{arm}": mixture
        | {"model": model}
        for arm, mixture in mixtures.items()
        for name, model in zip(names, models, strict=True)
    }


def _plan(wish: Wish, writers: Mapping[str, GeneratorEntry], top: Mapping[str, Any]) -> dict[str, Any]:
    """Who writes contexts and seeds, and how many: the embedded grammar where it takes part, for it needs its own."""
    plan, samples = top["plan"], top["generate"].get("samples", 1)
    author = plan["generator"] if plan["generator"] in writers or not writers else next(iter(writers))
    author = next((name for name, entry in writers.items() if entry.provider == EMBEDDED), author)
    if not writers:
        return {"generator": author}
    tasks = [load_task(task) for task in wish.tasks]
    kept = HEADROOM * 0.9 / (1 - top["curate"].get("dev_share", 0.1))
    seeds = max(math.ceil(wish.rows * kept / len(task.labels) / samples) for task in tasks)
    contexts = plan["contexts"]
    if writers[author].provider != EMBEDDED:  # which has a few dozen settings at most
        contexts = max(contexts, math.ceil(seeds / PER_CONTEXT))
    contexts = min([contexts, *(len(task.contexts.items) for task in tasks if task.contexts.items)])
    return {"generator": author, "contexts": contexts, "seeds_per_context": math.ceil(seeds / contexts)}


def _correct(wish: Wish, writers: Mapping[str, GeneratorEntry], top: Mapping[str, Any]) -> dict[str, Any]:
    """How labels are corrected, and who judges: no embedded grammar where others write, since it knows only its own."""
    correct = top["correct"]
    if not set(wish.arms) & set(CORRECTED):
        return {"method": "none"}
    judge = wish.judge or correct["judge"]
    others = [name for name, entry in writers.items() if entry.provider != EMBEDDED]
    if wish.judge is None and others and conf_entry("generators", judge, GeneratorEntry).provider == EMBEDDED:
        judge = judge if judge == "self" else others[0]
    elif judge != "self":
        conf_entry("generators", judge, GeneratorEntry)
    return {"method": correct["method"] if correct["method"] != "none" else "llm", "judge": judge}


def _attacked(wish: Wish, arms: list[str], top: Mapping[str, Any]) -> dict[str, Any]:
    """One arm hardened against the gradient's mask and attacked before and after; another arm judges."""
    if len(wish.tasks) > 1:
        raise UserError(f"--attack: attacks one task at a time, got {', '.join(wish.tasks)}")
    able = [arm for arm in arms if not arm.endswith("-shuffled")]
    victim = next((arm for arm in able if arm.endswith("-corrected")), able[0] if able else "")
    judge = next((arm for arm in able if arm != victim), None)
    if judge is None:
        raise UserError(f"--attack: needs two arms, one that is attacked and one that judges; got {', '.join(arms)}")
    recipes, harden = ["gradient-mask", "random-mask"], top["harden"]
    hardened = f"{victim}-vs-{recipes[0]}"
    return {
        "harden": {"arms": [victim], "against": recipes[:1], "how": "continue", "steps": harden.get("steps", 100)},
        "models": [*arms, hardened],
        "attack": {
            "suites": [wish.suites[0]],
            "recipes": recipes,
            "victims": [victim, hardened],
            "readers": [judge, victim, hardened],
            "judge": judge,
        },
    }


def _flow(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    plain = (
        isinstance(value, str)
        and PLAIN.fullmatch(value)
        and value.lower() not in ("true", "false", "null", "yes", "no", "on", "off")
    )
    return str(value) if plain else json.dumps(value)
