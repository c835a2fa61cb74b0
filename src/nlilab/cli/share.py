"""The part of the command `nlilab` that is about sharing: a card on the screen or in a file, a folder for the hub."""

from pathlib import Path
from typing import Annotated

import typer

from nlilab.core.errors import UserError
from nlilab.core.files import write_text
from nlilab.core.params import nearest, run_settings

app = typer.Typer()


@app.command()
def card(
    name: Annotated[str, typer.Argument(help="a set (curated/nli/grammar, suites/x, arms/x) or a model (models/x, x)")],
    out: Annotated[Path | None, typer.Option(help="a file to write instead of printing")] = None,
) -> None:
    """Print the Hugging Face card of a set or of a model, from the files that the pipeline wrote."""
    from nlilab.report.cards.data import dataset_card
    from nlilab.report.cards.model import model_card
    from nlilab.report.cards.sets import load_set, sets_of

    run = run_settings()
    model, known = name.removeprefix("models/"), sets_of(run)
    if model in run.models:
        text = model_card(model, run)
    elif name in known:
        text = dataset_card(load_set(name, run))
    else:
        every = [*known, *(f"models/{model}" for model in run.models)]
        raise UserError(f"no set or model {name!r}{nearest(name, every)}; params.yaml names {', '.join(every)}")
    if out is not None and out.is_dir():
        raise UserError(f"--out: {out} is a folder: name a file, {out / 'README.md'} say")
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
        print(f"wrote {out}")


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="a set: curated/nli/grammar, suites/x, arms/x, ...")],
    out: Annotated[Path, typer.Argument(help="the folder to write")],
    suffix: Annotated[str, typer.Option("--format", help="parquet or jsonl")] = "parquet",
    force: Annotated[bool, typer.Option(help="replace an earlier export")] = False,
) -> None:
    """Write a folder that `datasets.load_dataset` opens: data files by split, and the card."""
    from nlilab.report.cards.sets import load_set
    from nlilab.report.export import FORMATS
    from nlilab.report.export import export as write

    if suffix not in FORMATS:
        raise UserError(f"--format: unknown {suffix!r}{nearest(suffix, FORMATS)}; known: {', '.join(FORMATS)}")
    shared = load_set(name, run_settings())
    write(shared, out, suffix, force)
    counts = ", ".join(f"{part.num_rows} {split}" for split, part in shared.splits.items())
    print(f'wrote {len(shared.rows)} rows ({counts}) to {out}: datasets.load_dataset("{out}") opens it')
