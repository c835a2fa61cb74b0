"""The command `nlilab`: what is not a pipeline stage (checking, presets, pinning, the table; others have files)."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
import yaml

from nlilab.cli import presets
from nlilab.cli.grade import app as grade_app
from nlilab.cli.llm import app as llm_app
from nlilab.cli.new import app as new_app
from nlilab.cli.plan import app as plan_app
from nlilab.cli.share import app as share_app
from nlilab.core.command import guarded
from nlilab.core.errors import UserError
from nlilab.core.files import remove, write_text
from nlilab.core.params import CONF, PARAMS, conf_entry, read_yaml

app = typer.Typer(
    help="Does this training data make a small language model robust? The pipeline itself runs by `dvc repro`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (new_app, plan_app, llm_app, grade_app, share_app):
    app.add_typer(part)


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="a preset; none checks params.yaml as it stands")] = None,
) -> None:
    """Check params.yaml (or a preset, applied to it), conf/ and the task before anything runs: a line for each mistake.

    Each mistake names its remedy.
    """
    from nlilab.cli.checking import mistakes

    if name is None:
        top, conf = read_yaml(PARAMS), {file: read_yaml(CONF / f"{file}.yaml") for file in presets.FILES}
    else:
        top, conf = presets.applied(name)
    place = str(presets.PRESETS / f"{name}.yaml") if name else str(PARAMS)
    if wrong := [line.replace(str(PARAMS), place) for line in mistakes(top, conf)]:
        raise UserError("\n".join(wrong))
    print(f"{place} is sound: {len(top['models'])} models x {len(top['seeds'])} seeds on {', '.join(top['suites'])}")


@app.command()
def preset(
    name: Annotated[str | None, typer.Argument(help="a file of presets/, without .yaml; none lists them")] = None,
) -> None:
    """Print an experiment as flags: dvc exp run $(nlilab preset real-nli)"""
    if name is None:
        for item in presets.known():
            print(f"{item:24} {presets.described(item)}")
        return
    print(" ".join(f"-S {flag}" for flag in presets.flags(name)))


@app.command()
def pin(name: Annotated[str, typer.Argument(help="an entry of conf/datasets.yaml")]) -> None:
    """Print what to write into a dataset's entry: the sha256 (path, url, local) or the hub's present revision."""
    from nlilab.datasets.entries import Dataset
    from nlilab.datasets.places import pin as pin_dataset

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
    from nlilab.report.contents import contents
    from nlilab.report.facts import load
    from nlilab.report.terminal import print_report

    print_report(contents(load(Path("metrics"))), Path("reports/report.html"))


def main() -> None:
    """Entry point of the command."""
    guarded(app)


if __name__ == "__main__":
    main()
