"""What base models have seen before they come here: the facts of conf/models.yaml, held against a run's suites."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from nlilab.core.bases import training_of
from nlilab.core.params import CONF, Name, Run, Settings, nearest, read_yaml, validate

MODELS = CONF / "models.yaml"
Suites = Mapping[str, Mapping[str, Any]]  # name -> with `family` and `derived`, as metrics/suites and the entries say


class Base(Settings):
    """A pretrained model: other names of its weights, its terms and size, the families of sets that it was tuned on.

    `seen` is empty where its makers name its data and no such set is among them; None where they do not say.
    """

    also: list[str] = []
    licence: str | None
    millions: Annotated[float, Field(gt=0, description="millions of parameters")] | None
    seen: list[Name] | None
    source: str


class Bases(Settings):
    """conf/models.yaml: families of sets by the name that people know, and models by their first name."""

    families: dict[Name, str]
    models: dict[str, Base]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = [name for first, base in self.models.items() for name in (first, *base.also)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"models: {name!r} stands twice; name the same weights once")
        for first, base in self.models.items():
            for family in base.seen or []:
                if family not in self.families:
                    raise ValueError(
                        f"models.{first}.seen: {family!r} is none of families{nearest(family, self.families)}"
                    )
        return self

    def find(self, model: str) -> tuple[str, Base | None]:
        """A base as params.yaml names it: its first name, and what is known; of an unknown folder its last part."""
        for first, base in self.models.items():
            if model in (first, *base.also):
                return first, base
        return Path(model).name if Path(model).is_absolute() else model, None


def load_bases(path: Path = MODELS) -> Bases:
    """Read conf/models.yaml."""
    return validate(read_yaml(path), Bases, str(path))


def started(models: Iterable[str], run: Run, params: Mapping[str, Any]) -> dict[str, list[str]]:
    """Bases with those of the models that start from each: hardened ones and second steps as their first arm does."""
    found: dict[str, list[str]] = {}
    for model in models:
        found.setdefault(training_of(params, run.arms_of(model)[0])["model"], []).append(model)
    return found


def shared(base: Base, suites: Suites, families: Mapping[str, str]) -> str:
    """Which suites are of sets that the base was tuned on, or made from their sentences; nothing where none is."""
    said = []
    for family in base.seen or []:
        own, derived = (
            [name for name, one in suites.items() if one.get("family") == family and bool(one.get("derived")) == made]
            for made in (False, True)
        )
        parts = [f"of it: {', '.join(own)}"] if own else []
        parts += [f"made from its sentences: {', '.join(derived)}"] if derived else []
        said += [f"{families[family]} ({'; '.join(parts)})"] if parts else []
    return ", ".join(said)


def unknown(name: str, base: Base | None) -> str:
    """Why it is not known what a base has seen; nothing where it is."""
    if base is None:
        return f"Not known what the base {name} has seen: {MODELS} has no entry for it."
    return f"Not known what the base {name} has seen: its makers do not say." if base.seen is None else ""


def notes(starts: Mapping[str, Sequence[str]], suites: Suites, known: Bases) -> list[str]:
    """What a reader must know of the bases beside figures on these suites, a sentence for each base at most."""
    out = []
    for model, names in starts.items():
        name, base = known.find(model)
        found = shared(base, suites, known.families) if base else ""
        whose = f" (of {', '.join(names)})" if len(starts) > 1 else ""
        if found:
            out.append(
                f"The base {name}{whose} was itself tuned on training pairs of {found}: accuracy there also shows what "
                "it brought along."
            )
        elif why := unknown(name, base):
            out.append(why)
    return out
