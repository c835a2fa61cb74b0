"""How a stage runs as a command: one line per user's mistake, one process per output, no orphans."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import typer
from filelock import FileLock, Timeout

from nlilab.core.errors import UserError
from nlilab.core.files import digest

LOCKS = Path(".cache/locks")  # of this workspace: a stage in an experiment's own folder writes other files


def run(stage: Callable[..., None]) -> None:
    """Run a stage's typed function as a command; a `UserError` prints as one line and exits with 1."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(stage)
    guarded(lambda: _alone(app))


def guarded(action: Callable[[], Any]) -> None:
    """Do it; print a user's mistake without a traceback."""
    try:
        action()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on", file=sys.stderr)
        sys.exit(130)


def _alone(app: typer.Typer) -> None:
    """Hold this command line's lock while the stage runs; die when the pipeline's process dies.

    A killed `dvc` leaves its stage running; a second `dvc repro` would start the same stage beside it.
    """
    if "DVC_ROOT" in os.environ:
        threading.Thread(target=_die_with_parents, args=(_ancestors(),), daemon=True).start()
    lock = FileLock(LOCKS / f"{digest(*sys.argv)}.lock")
    try:
        LOCKS.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        print("another process is running this very stage; waiting for it to end ...", file=sys.stderr, flush=True)
        lock.acquire()
    except OSError as error:
        raise UserError(
            f"{LOCKS.absolute()} cannot be locked ({error}): stages need a project folder that can be written to, on a "
            "disk that knows file locks (some network disks do not)"
        ) from error
    with lock:
        app()


def _ancestors() -> list[psutil.Process]:
    """The processes from our parent up to DVC: a shell may stand between, and what started DVC may well end."""
    chain: list[psutil.Process] = []
    for process in psutil.Process().parents():
        chain.append(process)
        if any(Path(word).name == "dvc" for word in process.cmdline()):
            return chain
    raise UserError("the pipeline that started this stage has ended; run `dvc repro` again")


def _die_with_parents(ancestors: list[psutil.Process]) -> None:
    while all(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in ancestors):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
