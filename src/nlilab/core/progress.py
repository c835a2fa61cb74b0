"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY_S = 5.0

Report = Callable[..., None]  # report(done, total, note="")


@contextmanager
def progress(what: str, unit: str = "rows") -> Iterator[Report]:
    """Give a function to call with (done, total, note); it shows the rate and the time that remains."""
    if sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None, note="")

            def show(done: float, total: float, note: str = "") -> None:
                bar.update(task, completed=done, total=total, note=note)

            yield show
        return
    start = shown = time.monotonic()

    def say(done: float, total: float, note: str = "") -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < PLAIN_EVERY_S or not done:
            return
        shown = now
        rate = done / (now - start)
        left = (total - done) / rate if rate else 0
        print(
            f"{what}: {done:.0f}/{total:.0f} {unit}, {rate:.1f}/s, {left:.0f} s left {note}",
            file=sys.stderr,
            flush=True,
        )

    yield say
