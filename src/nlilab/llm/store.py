"""The answer store: every paid-for answer and every failure, durable before it counts."""

import asyncio
import itertools
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from nlilab.errors import UserError
from nlilab.llm.errors import ProviderError
from nlilab.llm.request import Finish, Request, Response

VERSION = 1
BUSY_SECONDS = 60.0  # how long one process waits for another's commit
KEYS_PER_QUERY = 500

# Several rows may share a key: a truncated answer, a failed attempt and the finished answer are all evidence.
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,      -- seconds since 1970
    key TEXT NOT NULL,
    provider TEXT NOT NULL,
    base_url TEXT,
    asked TEXT NOT NULL,      -- the model that was asked for
    request TEXT NOT NULL,    -- JSON: messages, parameters, sample
    meta TEXT NOT NULL,       -- JSON: what the request was for
    finish TEXT,              -- a Finish; NULL where the call failed
    text TEXT,
    model TEXT,               -- as the provider returned it
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    error TEXT,               -- an ErrorKind; NULL where an answer came
    message TEXT
);
CREATE INDEX IF NOT EXISTS finished ON answers (key) WHERE finish = 'stop';
"""
INSERT = """
INSERT INTO answers (at, key, provider, base_url, asked, request, meta,
                     finish, text, model, input_tokens, output_tokens, error, message)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

log = logging.getLogger(__name__)
Row = tuple[str | int | None, ...]
T = TypeVar("T")


def default_path() -> Path:
    """`.cache/llm/store.sqlite`; NLILAB_CACHE moves `.cache`."""
    return Path(os.environ.get("NLILAB_CACHE") or ".cache") / "llm" / "store.sqlite"


class Store:
    """SQLite in WAL mode, for several processes at once; a commit is on disk (fsync) when it returns."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = default_path() if path is None else path
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.path.parent}: cannot be made ({error}): NLILAB_CACHE moves it") from error
        self._connection = self._open()

    def find(self, requests: Iterable[Request]) -> dict[str, Response]:
        """The latest finished answer by key, for those requests that have one."""
        keys = list({request.key for request in requests})
        return self._guarded(lambda connection: _select(connection, keys))

    async def commit(self, request: Request, answer: Response | ProviderError) -> None:
        """Return once the answer is on disk; what arrives during one commit shares the next one."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((_row(request, answer), future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        await future

    async def flush(self) -> None:
        """Return once nothing waits to be written; for a run that ends before its answers were taken."""
        if self._writer is not None and not self._writer.done():
            await asyncio.shield(self._writer)

    def write(self, rows: Sequence[Row]) -> None:
        """Commit the rows together."""

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(INSERT, rows)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

        self._guarded(insert)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self.write, [row for row, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for _, future in batch:
                    if not future.done():
                        future.set_result(None)

    def _guarded(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run it; where the file proves damaged, set that aside and run it again on a new one."""
        try:
            try:
                return operation(self._connection)
            except sqlite3.DatabaseError as error:
                if not _damage(error):
                    raise
                self._connection.close()
                self._connection = self._open(suspect=True)
                return operation(self._connection)
        except sqlite3.OperationalError as error:
            raise UserError(f"{self.path}: the answer store failed ({error}): is the disk full or read-only?") from None

    def _open(self, suspect: bool = False) -> sqlite3.Connection:
        """A connection to a sound store, made if need be; one process at a time looks and sets aside."""
        try:
            with FileLock(f"{self.path}.lock", timeout=BUSY_SECONDS):
                try:
                    return _connect(self.path, suspect)
                except sqlite3.DatabaseError as error:
                    if not _damage(error):
                        raise
                    _set_aside(self.path, error)
                return _connect(self.path, suspect=False)
        except (sqlite3.OperationalError, OSError) as error:
            raise UserError(
                f"{self.path}: the answer store cannot be opened ({error}): NLILAB_CACHE names another place"
            ) from error


def _connect(path: Path, suspect: bool) -> sqlite3.Connection:
    # The writer thread and the caller's thread take turns; SQLite itself is built to be shared.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if suspect and (report := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"malformed: {report}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise UserError(f"{path}: store version {version}, expected {VERSION}: move it away or update nlilab")
        if version == 0:
            connection.executescript(SCHEMA + f"PRAGMA user_version = {VERSION};")
        connection.execute("SELECT id FROM answers LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is broken: SQLITE_CORRUPT, SQLITE_NOTADB, or a file of something else's tables."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    return type(error) is sqlite3.DatabaseError and code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _set_aside(path: Path, error: sqlite3.DatabaseError) -> None:
    number = next(n for n in itertools.count(1) if not Path(f"{path}.damaged-{n}").exists())
    aside = f"{path}.damaged-{number}"
    for suffix in ("", "-wal", "-shm"):  # together, so that SQLite's own .recover can still read them
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.rename(f"{aside}{suffix}")
    log.warning(
        "%s is damaged (%s): moved to %s, and a new answer store begins; `sqlite3 %s .recover` may save what it held",
        *(path, error, aside, aside),
    )


def _select(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Response]:
    found: dict[str, Response] = {}
    for start in range(0, len(keys), KEYS_PER_QUERY):
        some = keys[start : start + KEYS_PER_QUERY]
        rows = connection.execute(
            "SELECT key, text, model, input_tokens, output_tokens FROM answers "
            f"WHERE finish = 'stop' AND key IN ({','.join('?' * len(some))}) ORDER BY id",
            some,
        )
        for key, text, model, taken, given in rows:
            found[key] = Response(key, text, Finish.STOP, model, taken, given)
    return found


def _row(request: Request, answer: Response | ProviderError) -> Row:
    asked = {"messages": request.messages, "parameters": dict(request.parameters), "sample": request.sample}
    first = (int(time.time()), request.key, request.provider, request.base_url, request.model)
    about = (json.dumps(asked), json.dumps(dict(request.meta)))
    if isinstance(answer, ProviderError):
        return (*first, *about, None, None, None, 0, 0, str(answer.kind), answer.message)
    came = (str(answer.finish), answer.text, answer.model, answer.input_tokens, answer.output_tokens)
    return (*first, *about, *came, None, None)
