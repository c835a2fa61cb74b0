"""The command `nlilab grade`: people grade a sample of what was written, on a page of their own machine."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from nlilab.core.errors import UserError
from nlilab.core.params import run_settings

DATA = Path("data")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def grade(
    grader: Annotated[str | None, typer.Argument(help="who grades, such as ann; none: the page asks")] = None,
    sample: Annotated[str, typer.Option(help="the folder of data/grades; another name is another sample")] = "default",
    share: Annotated[float | None, typer.Option(help="of each stratum of a new sample (0.2)")] = None,
    seed: Annotated[int | None, typer.Option(help="of a new sample: which rows are drawn (0)")] = None,
    sets: Annotated[list[str] | None, typer.Option(help="task/generator, once for each (all of params.yaml)")] = None,
    redraw: Annotated[bool, typer.Option("--redraw", help="draw the sample anew, as long as nobody graded")] = False,
    port: Annotated[int, typer.Option(help="0: a free one", min=0, max=65535)] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="print the address alone")] = False,
) -> None:
    """Grade a sample of the written rows A to D and mark their right labels, on a web page of this machine alone.

    The sample, a fifth of every corrected table by label and verdict, is drawn once and frozen in data/grades.

    Every grader sees all of it, in an order of their own, and neither who wrote a row nor its labels.

    Each mark is a line of data/grades/SAMPLE/GRADER.jsonl, on disk before the page goes on: stop and resume at will.

    Share the folder by git. `dvc repro agreement` then says how far graders agree, and how often labels are right.
    """
    import secrets
    import webbrowser

    from nlilab.grading.sample import corrected_tables, open_sample, still_there
    from nlilab.grading.server import HOST, serve
    from nlilab.grading.store import ROWS, Grades, check_name, graders, marks

    folder = DATA / "grades" / check_name(sample, "--sample")
    if grader is not None:
        check_name(grader, "the grader")
    resumed = (folder / f"{ROWS}.jsonl").is_file() and not redraw
    if resumed and sets:
        raise UserError(f"{folder} is drawn already: --sets is for a new sample (--sample NAME, or --redraw)")
    chosen = sets or ([] if resumed else run_settings().written())
    rows = open_sample(folder, lambda: corrected_tables(DATA, chosen), share, seed, redraw)
    if resumed:
        texts, labels = still_there(rows.values(), DATA)
        print(f"{folder}: {len(rows)} rows, frozen; data/labelled still holds {texts} of them, {labels} labelled alike")
    else:
        print(f"{folder}: {len(rows)} rows drawn of {', '.join(chosen)}; `git add {folder}` before others grade them")
    for name in sorted({*graders(folder), *filter(None, [grader])}):
        done = marks(Grades(folder, name, rows).events(lambda line: print(f"warning: {line}", file=sys.stderr)))
        print(f"{name}: {len(done)} of {len(rows)} graded")
    token = secrets.token_urlsafe()
    server = serve(folder, rows, grader, token, port)
    address = f"http://{HOST}:{server.port}/?token={token}"
    with suppress(KeyboardInterrupt):
        print(f"grade at {address}\nwho has this address can grade, on this machine alone; Ctrl-C ends it", flush=True)
        if not no_browser:
            webbrowser.open(address)
        server.serve_forever()
    print(f"\nevery mark is in {folder}. Next: `git add {folder}`, then `dvc repro agreement`")
