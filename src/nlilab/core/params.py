"""Typed reading of params.yaml and conf/*.yaml: unknown keys, wrong types and impossible values fail by name."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from nlilab.core.errors import UserError
from nlilab.core.files import parse_yaml, read_text

PARAMS = Path("params.yaml")
CONF = Path("conf")

WORD = "[a-z0-9][a-z0-9_-]*"


def _dotless(name: Any) -> Any:
    """Refuse a dot, which DVC takes for a step into a mapping: it would look for the name in vain."""
    if isinstance(name, str) and "." in name and re.fullmatch(r"[a-z0-9][a-z0-9_./-]*", name):
        raise ValueError(
            f"got {name!r}: names hold no dot, since DVC reads it as a step into a mapping; write "
            f"{name.replace('.', '-')!r} (a generator's `model` may have dots)"
        )
    return name


Name = Annotated[str, BeforeValidator(_dotless), Field(pattern=f"^{WORD}$", description="a name fit for a path")]
SetName = Annotated[
    str, BeforeValidator(_dotless), Field(pattern=f"^{WORD}(/{WORD})?$", description="task/generator, or a dataset")
]

Seed = Annotated[int, Field(ge=0, lt=2**32, description="NumPy takes no other")]


class Settings(BaseModel):
    """A section of params.yaml: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TwoStep(Settings):
    """Two-step fine-tuning: every model of `starts` goes on with every arm of `arms`, named start-then-arm."""

    steps: Annotated[int, Field(ge=1)] = 100
    starts: list[Name] = []
    arms: list[Name] = []

    def made(self) -> dict[str, tuple[str, str]]:
        """The models that these pairs make: name -> (start, arm)."""
        return {f"{start}-then-{arm}": (start, arm) for start in self.starts for arm in self.arms}


class Harden(Settings):
    """Hardening: every arm of `arms` against every recipe of `against`, named arm-vs-recipe.

    `how`: go on from the arm's model for `steps` optimiser steps, or retrain for train.steps from the beginning.
    """

    how: Literal["continue", "retrain"] = "continue"
    steps: Annotated[int, Field(ge=1)] = 100
    ratio: Annotated[float, Field(gt=0, description="adversarial rows for each clean row")] = 1.0
    arms: list[Name] = []
    against: list[Name] = []

    def made(self) -> dict[str, tuple[str, str]]:
        """The models that these pairs make: name -> (arm, recipe)."""
        return {f"{arm}-vs-{recipe}": (arm, recipe) for arm in self.arms for recipe in self.against}


class Run(Settings):
    """The top of params.yaml: what takes part in this run."""

    tasks: Annotated[list[Name], Field(min_length=1)]
    generators: list[Name]
    datasets: list[Name] = []
    sets: list[SetName]
    suites: Annotated[list[Name], Field(min_length=1)]
    arms: Annotated[list[Name], Field(min_length=1)]
    two_step: TwoStep = TwoStep()
    harden: Harden = Harden()
    models: Annotated[list[Name], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]

    def written(self) -> list[str]:
        """The sources that generators write: task/generator."""
        return sources_of(self.tasks, self.generators, [])

    def labelled(self) -> list[str]:
        """What could be trained on: what generators write (task/generator), and human datasets."""
        return sources_of(self.tasks, self.generators, self.datasets)

    def arms_of(self, model: str) -> list[str]:
        """The arms whose rows a model saw, in the order in which it saw them; it starts from the base of the first."""
        if model in self.harden.made():
            return [self.harden.made()[model][0]]
        return list(self.two_step.made().get(model, (model,)))

    def curated(self) -> list[str]:
        """The places of the sets beneath data/: curated/task/generator, curated/dataset."""
        return [f"curated/{name}" for name in self.sets]

    def trainings(self) -> set[str]:
        """The names of the files in metrics/training."""
        return {f"{model}-{seed}.json" for model in self.models for seed in self.seeds}


def sources_of(tasks: Iterable[str], generators: Sequence[str], datasets: Iterable[str]) -> list[str]:
    """What may be trained on: what generators write, as task/generator, and human datasets."""
    return [*(f"{task}/{generator}" for task in tasks for generator in generators), *datasets]


# Which typed model reads which section. Named as text: a stage imports no settings but its own.
SECTIONS = {
    "fetch": "nlilab.datasets.entries:FetchSettings",
    "plan": "nlilab.writing.targen:PlanSettings",
    "generate": "nlilab.writing.targen:GenerateSettings",
    "llm": "nlilab.llm.writer:LlmSettings",
    "correct": "nlilab.writing.correct:CorrectSettings",
    "curate": "nlilab.curation.curate:CurateSettings",
    "analyze": "nlilab.analysis.settings:AnalyzeSettings",
    "gate": "nlilab.analysis.gates:GateSettings",
    "difficulty": "nlilab.analysis.settings:DifficultySettings",
    "mixtures": "nlilab.curation.mix:Mixtures",
    "attack": "nlilab.attack.recipes:AttackSettings",
    "train": "nlilab.model.settings:TrainSettings",
    "predict": "nlilab.model.settings:PredictSettings",
    "score": "nlilab.verdict.suites:ScoreSettings",
    "compare": "nlilab.verdict.compare:CompareSettings",
}

Model = TypeVar("Model", bound=BaseModel)


def section(name: str, model: type[Model], path: Path = PARAMS) -> Model:
    """Read one section of params.yaml as `model`."""
    return section_of(_top(path), name, model, str(path))


def section_of(top: Mapping[str, Any], name: str, model: type[Model], place: str = str(PARAMS)) -> Model:
    """One section of parameters that are read already, as `model`."""
    return validate(top.get(name, {}), model, f"{place}: {name}")


def run_settings(path: Path = PARAMS) -> Run:
    """Read what takes part in this run, and check that `models` is just what arms, two_step and harden make."""
    return run_of(_top(path), str(path))


def run_of(top: Mapping[str, Any], path: str = str(PARAMS)) -> Run:
    """What takes part by parameters that are read already, checked as `run_settings` does."""
    run = validate({key: value for key, value in top.items() if key not in SECTIONS}, Run, path)
    for field in ("tasks", "generators", "datasets", "sets", "suites", "arms", "models", "seeds"):
        values = getattr(run, field)
        if len(set(values)) != len(values):
            raise UserError(f"{path}: {field}: a name stands twice in {values}; name each once")
    made = [*run.arms, *run.two_step.made(), *run.harden.made()]
    for name in run.models:
        if name not in made:
            known = name in (top.get("mixtures") or {})  # a name that arms lacks or misspells is right where it stands
            hint = f"; mixtures has it: name it in arms, as {name!r}" if known else nearest(name, made)
            raise UserError(f"{path}: models: nothing makes {name!r}; arms, two_step and harden make {made}{hint}")
    return run


def check_sets(run: Run, path: Path = PARAMS) -> None:
    """Refuse a set that is neither written nor a dataset of this run."""
    made = run.labelled()
    for name in run.sets:
        if name not in made:
            raise UserError(
                f"{path}: sets: nothing makes {name!r}; tasks x generators and datasets make "
                f"{', '.join(made)}{nearest(name, made)}"
            )


def conf_entry(file: str, name: str, model: type[Model], folder: Path = CONF) -> Model:
    """Read the entry `name` of conf/<file>.yaml as `model`."""
    path = folder / f"{file}.yaml"
    return entry_of(read_yaml(path), file, name, model, str(path))


def entry_of(entries: Mapping[str, Any], file: str, name: str, model: type[Model], path: str) -> Model:
    """The entry `name` of a file of conf/ that is read already, as `model`."""
    if name not in entries:
        raise UserError(
            f"unknown {file.removesuffix('s')} {name!r}: {path} has {', '.join(sorted(entries))}"
            f"{nearest(name, entries)}"
        )
    return validate(entries[name], model, f"{path}: {name}")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; what is broken is named with its line."""
    if path == PARAMS and not path.exists():
        raise UserError(f"{path} is missing in {Path.cwd()}: run this in the project's own folder")
    value = parse_yaml(read_text(path), str(path))
    if not isinstance(value, dict):
        got = "an empty file" if value is None else type(value).__name__
        raise UserError(f"{path}: expected names with values, got {got}")
    return value


def validate(value: Any, model: type[Model], place: str) -> Model:
    """Turn a plain value into `model`; the error names the key's path, what was got and what is allowed."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise UserError("; ".join(_explain(detail, model, place) for detail in error.errors())) from error


def nearest(name: str, known: Any) -> str:
    """A hint that names what was probably meant, or nothing."""
    close = difflib.get_close_matches(name, [str(item) for item in known], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _top(path: Path) -> dict[str, Any]:
    top = read_yaml(path)
    check_keys(top, str(path))
    return top


def check_keys(top: Mapping[str, Any], place: str = str(PARAMS)) -> None:
    """Refuse a parameter that no section and no field of `Run` is called."""
    known = [*SECTIONS, *Run.model_fields]
    for key in top:
        if key not in known:
            raise UserError(f"{place}: unknown parameter {key!r}{nearest(str(key), known)}; known: {', '.join(known)}")


def _explain(detail: Any, model: type[BaseModel], place: str) -> str:
    keys = [str(key) for key in detail["loc"]]
    where = f"{place}.{'.'.join(keys)}" if keys else place
    if detail["type"] == "extra_forbidden":
        known = _known_keys(model, keys[:-1])
        return f"{where}: unknown parameter{nearest(keys[-1], known)}; known: {', '.join(known)}"
    if detail["type"] == "missing":
        return f"{where}: is missing"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":  # a validator of ours, which says itself what it got
        return f"{where}: {message}"
    return f"{where}: got {detail['input']!r}, {message[0].lower()}{message[1:]}"


def _known_keys(model: type[BaseModel], keys: list[str]) -> list[str]:
    for key in keys:
        field = model.model_fields.get(key)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]
