"""The part of the command `nlilab` that writes a preset of one's own."""

import shlex
import sys
from re import fullmatch
from typing import Annotated, Any

import typer

from nlilab.cli.composing import ARMS, Wish, compose, render
from nlilab.cli.presets import PRESETS
from nlilab.core.errors import UserError
from nlilab.core.files import write_text
from nlilab.core.params import PARAMS, read_yaml

app = typer.Typer()
KINDS = "; ".join(f"{kind}: {means}" for kind, means in ARMS.items())
NOTHING = "none"
NAME = r"[a-z0-9][a-z0-9_.-]*"


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="what the preset is called: presets/NAME.yaml")],
    generators: Annotated[
        str, typer.Option(help="who writes, of conf/generators.yaml; `none` for human rows alone")
    ] = "",
    datasets: Annotated[str, typer.Option(help="human training data, of conf/datasets.yaml")] = "",
    suites: Annotated[str, typer.Option(help="what models are judged on, of conf/datasets.yaml")] = "",
    arms: Annotated[
        str, typer.Option(help=f"what is compared. {KINDS}. Without: raw, corrected; human with --datasets")
    ] = "",
    tasks: Annotated[str, typer.Option(help="what is written: folders of tasks/")] = "",
    rows: Annotated[int, typer.Option(min=1, help="rows of each arm; the plan grows with them")] = 900,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="trainings of each arm; without: as many as params.yaml has")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="optimiser steps of each training; without: those of params.yaml")
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="what is trained: hub ids, folders; of several each arm once; without: that of params.yaml"),
    ] = "",
    judge: Annotated[str, typer.Option(help="who corrects labels: a generator, or `self` for the writer itself")] = "",
    attack: Annotated[bool, typer.Option(help="attack and harden one arm as well")] = False,
    budget: Annotated[
        float | None, typer.Option(min=0, help="dollars that one run may spend on paid generators; without: no cap")
    ] = None,
    description: Annotated[str, typer.Option(help="what the preset says it is")] = "",
    force: Annotated[bool, typer.Option(help="overwrite a preset of that name")] = False,
) -> None:
    """Write a preset that compares training sets: presets/NAME.yaml, complete, to be read and edited.

    Names stand in lists with commas. What is not said is as in params.yaml.

    \b
    How far are two generators from 900 human rows, before and after correction?
      nlilab new first --generators grammar,claude --datasets snli-dev --rows 900
      nlilab check first
      dvc exp run $(nlilab preset first)
    """
    place, top = PRESETS / f"{name}.yaml", read_yaml(PARAMS)
    if not fullmatch(NAME, name):
        raise UserError(f"{name!r} is no name for a preset: small letters, digits, and . _ - after the first")
    if place.exists() and not force:
        raise UserError(f"{place} is there already; choose another name, or overwrite it by --force")
    written, human = _names("generators", generators, top), _names("datasets", datasets, {"datasets": []})
    usual = [*(["raw", "corrected"] if written else []), *(["human"] if human else [])]
    wish = Wish(
        tasks=_names("tasks", tasks, top),
        generators=written,
        datasets=human,
        suites=_names("suites", suites, top),
        arms=_names("arms", arms, {"arms": usual}),
        rows=rows,
        seeds=seeds or len(top["seeds"]),
        steps=steps or top["train"]["steps"],
        models=_names("model", model, {"model": [top["train"]["model"]]}),
        judge=judge or None,
        attack=attack,
        budget=budget,
    )
    params = compose(wish, top)
    told = description or f"{', '.join([*written, *human])}: {', '.join(wish.arms)} at {rows} rows each"
    write_text(place, render(told, f"Written by: {shlex.join(['nlilab', *sys.argv[1:]])}", params))
    print(f"wrote {place}: {len(params['models'])} models x {len(params['seeds'])} seeds. Next:")
    print(f"  nlilab check {name}\n  dvc exp run $(nlilab preset {name})")


def _names(option: str, text: str, top: dict[str, Any]) -> list[str]:
    """The names of a list with commas, each once; without a text those of params.yaml; `none` for nothing."""
    names = [part.strip() for part in text.split(",") if part.strip()] if text else list(top[option])
    if names == [NOTHING]:
        return []
    if len(set(names)) != len(names):
        raise UserError(f"--{option}: a name stands twice in {', '.join(names)}; name each once")
    return names
