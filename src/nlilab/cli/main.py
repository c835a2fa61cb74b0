"""The command `nlilab`: what is not a pipeline stage (checking, presets, pinning, the table; cli_llm.py has more)."""

import json
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from nlilab.cli.grade import app as grade_app
from nlilab.cli.llm import app as llm_app
from nlilab.cli.share import app as share_app
from nlilab.core.command import guarded
from nlilab.core.errors import UserError
from nlilab.core.files import remove, write_text
from nlilab.core.params import CONF, PARAMS, SECTIONS, check_sets, conf_entry, nearest, read_yaml, run_settings, section

PRESETS = Path("presets")

app = typer.Typer(
    help="Does this training data make a small language model robust? The pipeline itself runs by `dvc repro`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (llm_app, grade_app, share_app):
    app.add_typer(part)


@app.command()
def check() -> None:
    """Check params.yaml, conf/ and the task before anything runs: each mistake is one line that names its remedy."""
    from nlilab.analysis.settings import AnalyzeSettings
    from nlilab.attack.recipes import NOBODY, AttackSettings, check_attack
    from nlilab.curation.mix import Mixtures
    from nlilab.datasets.sources import Dataset
    from nlilab.llm.writer import GeneratorEntry
    from nlilab.model.settings import load_freelb
    from nlilab.tasks.definition import check_match, load_task
    from nlilab.writing.correct import SELF

    run, sections = run_settings(), read_yaml(PARAMS)
    for name, place in SECTIONS.items():
        module, model = place.split(":")
        section(name, getattr(import_module(module), model))
    for task in run.tasks:
        listed, wanted = load_task(task).contexts.items, sections["plan"]["contexts"]
        if listed and len(listed) < wanted:
            raise UserError(
                f"{PARAMS}: plan.contexts: got {wanted}, but the task {task!r} lists {len(listed)}; lower it"
            )
    for generator in (*run.generators, sections["plan"]["generator"]):
        if generator == SELF:
            raise UserError(f"{PARAMS}: {SELF!r} is a name for correct.judge alone; name who writes")
        entry = conf_entry("generators", generator, GeneratorEntry)
        for task in run.tasks if entry.prompts else []:
            load_task(task, prompts=entry.prompts)
    if (judge := sections["correct"]["judge"]) != SELF:
        conf_entry("generators", judge, GeneratorEntry)
    for dataset in (*run.datasets, *run.suites):
        found = conf_entry("datasets", dataset, Dataset)
        check_match(f"conf/datasets.yaml: {dataset}", load_task(found.task), found.columns, found.label_names)
    for reference in section("analyze", AnalyzeSettings).references:
        conf_entry("datasets", reference, Dataset)
    check_sets(run)
    mixtures = section("mixtures", Mixtures)
    for arm in run.arms:
        mixtures.check_sources(arm, run.sets)
    for arm in (*run.two_step.arms, *run.harden.arms):
        if arm in mixtures.root and mixtures.get(arm).untuned:
            raise UserError(
                f"{PARAMS}: {arm!r} is untuned and has no rows: it can neither be hardened nor a second step"
            )
    for arm in (*run.two_step.starts, *run.two_step.arms):
        if arm not in run.arms:
            raise UserError(f"{PARAMS}: two_step: {arm!r} is not one of arms{nearest(arm, run.arms)}")
    attack = section("attack", AttackSettings)
    check_attack(run, attack)
    for recipe in run.harden.against:
        load_freelb(recipe)
    if attack.judge_generator != NOBODY:
        conf_entry("generators", attack.judge_generator, GeneratorEntry)
    print(f"params.yaml is sound: {len(run.models)} models x {len(run.seeds)} seeds on {', '.join(run.suites)}")


@app.command()
def preset(
    name: Annotated[str | None, typer.Argument(help="a file of presets/, without .yaml; none lists them")] = None,
) -> None:
    """Print a published experiment as flags: dvc exp run $(nlilab preset real-nli)"""
    known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if name is None:
        for item in known:
            print(f"{item:20} {read_yaml(PRESETS / f'{item}.yaml').get('description', '')}")
        return
    if name not in known:
        raise UserError(f"unknown preset {name!r}: {PRESETS} has {', '.join(known)}{nearest(name, known)}")
    content = read_yaml(PRESETS / f"{name}.yaml")
    params = content.get("params", {})
    flags = [f"++{key}={value}" for key, value in _overrides(_for_each_task(params, params.get("tasks", [])))]
    shared = read_yaml(PRESETS / f"{content['files_of']}.yaml") if "files_of" in content else {}
    for file in ("datasets", "generators"):
        entries = (shared.get(file) or {}) | (content.get(file) or {})
        flags += [f"{CONF}/{file}.yaml:++{key}={_plain(value)}" for key, value in entries.items()]
    for flag in flags:
        if any(letter.isspace() for letter in flag):
            raise UserError(f"{PRESETS}/{name}.yaml: {flag!r} has a space, which a shell would split; write it without")
    print(" ".join(f"-S {flag}" for flag in flags))


@app.command()
def pin(name: Annotated[str, typer.Argument(help="an entry of conf/datasets.yaml")]) -> None:
    """Print the sha256 (path, url) or the hub's present revision to write into a dataset's entry."""
    from nlilab.datasets.sources import Dataset
    from nlilab.datasets.sources import pin as pin_dataset

    for key, value in pin_dataset(name, conf_entry("datasets", name, Dataset)).items():
        print(f"  {key}: {value}")


@app.command()
def prune() -> None:
    """Remove what stages that no longer exist left behind (outputs, and entries in dvc.lock); nothing else."""
    from dvc.repo import Repo

    lock = Path("dvc.lock")
    if not lock.is_file():
        return
    with Repo() as repo:
        stages = {stage.addressing for stage in repo.index.stages}
        made = {str(Path(out.fs_path).relative_to(repo.root_dir)) for stage in repo.index.stages for out in stage.outs}
    content = read_yaml(lock)
    strays = {name: entry for name, entry in content["stages"].items() if name not in stages}
    for name, entry in strays.items():
        del content["stages"][name]
        for out in entry.get("outs", []):
            if out["path"] not in made:
                remove(Path(out["path"]))
                with suppress(OSError):  # the folder of a model that is gone, once it is empty
                    Path(out["path"]).parent.rmdir()
                print(f"removed {out['path']} of {name}")
    if strays:
        write_text(lock, yaml.safe_dump(content, sort_keys=False, width=1000))


@app.command()
def table() -> None:
    """Print the comparison of the last run, and where its report lies."""
    from nlilab.report import print_table

    print_table(Path("metrics"), Path("reports"))


def _for_each_task(value: Any, tasks: list[str]) -> Any:
    """What holds `{task}` once for every task; a key or an item that stands there in full comes before such a one."""
    if isinstance(value, dict):
        spread = {
            key.replace("{task}", task): _for_each_task(_named(inner, task), tasks)
            for key, inner in value.items()
            for task in (tasks if "{task}" in key else [""])
        }
        return spread | {key: _for_each_task(inner, tasks) for key, inner in value.items() if "{task}" not in key}
    if isinstance(value, list):
        return list(
            dict.fromkeys(
                item.replace("{task}", task) if isinstance(item, str) else item
                for item in value
                for task in (tasks if isinstance(item, str) and "{task}" in item else [""])
            )
        )
    return value


def _named(value: Any, task: str) -> Any:
    """The value with the task's name where `{task}` stands."""
    if isinstance(value, dict):
        return {_named(key, task): _named(inner, task) for key, inner in value.items()}
    return value.replace("{task}", task) if isinstance(value, str) and task else value


def _overrides(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted keys with values in the syntax of `-S`; a mapping of plain values under `mixtures` is one value."""
    out = []
    for key, value in values.items():
        if isinstance(value, dict) and prefix != "mixtures.":
            out += _overrides(value, f"{prefix}{key}.")
        else:
            out.append((f"{prefix}{key}", _plain(value)))
    return out


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_plain(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_plain, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def main() -> None:
    """Entry point of the command."""
    guarded(app)


if __name__ == "__main__":
    main()
