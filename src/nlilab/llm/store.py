"""The answer store: every paid-for answer and every failure, durable before it counts."""

import asyncio
import itertools
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from nlilab.core.errors import UserError
from nlilab.core.files import cache
from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.request import Finish, Request, Response

VERSION = 2
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
# What version 2 knows beside: whose money it was, and the write-ahead log of the batch APIs.
MONEY = """
ALTER TABLE answers ADD COLUMN cache_read_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE answers ADD COLUMN cache_write_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE answers ADD COLUMN dollars REAL NOT NULL DEFAULT 0;      -- at the price of `prices`
ALTER TABLE answers ADD COLUMN assumed INTEGER NOT NULL DEFAULT 0;   -- 1: by estimate, or a broken call's most
ALTER TABLE answers ADD COLUMN prices TEXT;    -- the date of the price table; NULL where the model has no price
ALTER TABLE answers ADD COLUMN run TEXT;       -- one `dvc repro`, or one process outside of it
ALTER TABLE answers ADD COLUMN batch TEXT;     -- the provider's batch that it came from
CREATE INDEX answers_by_key ON answers (key);
CREATE INDEX answers_by_run ON answers (run) WHERE dollars > 0;
CREATE TABLE uses (           -- what each asking found: the cache hits of the ledger
    at INTEGER NOT NULL,
    run TEXT NOT NULL,
    generator TEXT NOT NULL,
    step TEXT NOT NULL,
    asked INTEGER NOT NULL,
    held INTEGER NOT NULL
);
CREATE TABLE batches (        -- intent -> submitted -> imported | void
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    provider TEXT NOT NULL,
    base_url TEXT,
    model TEXT NOT NULL,
    state TEXT NOT NULL,
    token TEXT NOT NULL,      -- ours, sent along where the provider takes it
    known TEXT NOT NULL,      -- JSON: the provider's batches before ours; an orphan is none of them
    batch TEXT,               -- the provider's name for it
    run TEXT NOT NULL
);
CREATE TABLE batch_items (
    batch INTEGER NOT NULL REFERENCES batches (id),
    key TEXT NOT NULL,
    request TEXT NOT NULL,    -- JSON: what rebuilds the request
    PRIMARY KEY (batch, key)
) WITHOUT ROWID;
CREATE INDEX items_by_key ON batch_items (key);
"""
COLUMNS = (
    *("at", "key", "provider", "base_url", "asked", "request", "meta"),
    *("finish", "text", "model", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("error", "message", "dollars", "assumed", "prices", "run", "batch"),
)
INSERT = f"INSERT INTO answers ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"

log = logging.getLogger(__name__)
Row = tuple[str | int | float | None, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Bill:
    """What one answer cost, by estimate or at most if `assumed`, and which run and batch it belongs to."""

    dollars: float = 0.0
    assumed: bool = False
    prices: str | None = None
    run: str | None = None
    batch: str | None = None


def default_path() -> Path:
    """`.cache/llm/store.sqlite`; NLILAB_CACHE moves `.cache`."""
    return cache() / "llm" / "store.sqlite"


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

    def find(self, keys: Iterable[str]) -> dict[str, Response]:
        """The latest finished answer by key, for those that have one."""
        wanted = list(dict.fromkeys(keys))
        return self.use(lambda connection: _select(connection, wanted))

    def evidence(self, keys: Iterable[str]) -> dict[str, Response | ProviderError]:
        """The same, and where no answer finished, the latest that came instead: cut, refused, empty or failed."""
        wanted = list(dict.fromkeys(keys))
        finished = self.find(wanted)
        rest = [key for key in wanted if key not in finished]
        return {**self.use(lambda connection: _select_evidence(connection, rest)), **finished}

    def commit(self, request: Request, answer: Response | ProviderError, bill: Bill) -> asyncio.Future[None]:
        """Done once the answer is on disk; what arrives during one commit shares the next one."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row(request, answer, bill), future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        return future

    async def flush(self) -> None:
        """Return once nothing waits to be written; for a run that ends before its answers were taken."""
        if self._writer is not None and not self._writer.done():
            await asyncio.shield(self._writer)

    def write(self, rows: Sequence[Row]) -> None:
        """Commit the rows together."""
        self.change(lambda connection: self.insert(connection, rows))

    @staticmethod
    def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Put the rows in, within a transaction of the caller's."""
        connection.executemany(INSERT, rows)

    def change(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run it as one transaction: on disk when this returns, or not at all."""

        def transaction(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = operation(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

        return self.use(transaction)

    def note_uses(self, run: str, uses: Sequence[tuple[str, str, int, int]]) -> None:
        """Put into the ledger what was asked for: (generator, step, asked, held) each."""
        now = int(time.time())
        self.change(
            lambda connection: connection.executemany(
                "INSERT INTO uses (at, run, generator, step, asked, held) VALUES (?, ?, ?, ?, ?, ?)",
                [(now, run, *use) for use in uses],
            )
        )

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

    def use(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run it on the connection; where the file proves damaged, set that aside and run it again on a new one."""
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
        if version > VERSION:
            raise UserError(f"{path}: store version {version}, expected {VERSION}: move it away or update nlilab")
        if version < VERSION:
            steps = (SCHEMA if version == 0 else "") + MONEY
            connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
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


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), KEYS_PER_QUERY):
        yield keys[start : start + KEYS_PER_QUERY]


_ANSWER = "key, text, finish, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens"


def _select(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Response]:
    found: dict[str, Response] = {}
    for some in _parts(keys):
        rows = connection.execute(
            f"SELECT {_ANSWER} FROM answers WHERE finish = 'stop' AND key IN ({','.join('?' * len(some))}) ORDER BY id",
            some,
        )
        for key, text, _, *counts in rows:
            found[key] = Response(key, text, Finish.STOP, *counts)
    return found


def _select_evidence(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Response | ProviderError]:
    found: dict[str, Response | ProviderError] = {}
    for some in _parts(keys):
        rows = connection.execute(
            f"SELECT {_ANSWER}, error, message FROM answers WHERE key IN ({','.join('?' * len(some))}) ORDER BY id",
            some,
        )
        for key, text, finish, *counts, error, message in rows:
            failed = error is not None
            found[key] = (
                ProviderError(ErrorKind(error), message) if failed else Response(key, text, Finish(finish), *counts)
            )
    return found


def row(request: Request, answer: Response | ProviderError, bill: Bill) -> Row:
    """The answer as a row of the store."""
    first = (int(time.time()), request.key, request.provider, request.base_url, request.model)
    about = (request.written(), json.dumps(dict(request.meta)))
    paid = (bill.dollars, int(bill.assumed), bill.prices, bill.run, bill.batch)
    if isinstance(answer, ProviderError):
        return (*first, *about, None, None, None, 0, 0, 0, 0, str(answer.kind), answer.message, *paid)
    counts = (answer.input_tokens, answer.output_tokens, answer.cache_read_tokens, answer.cache_write_tokens)
    return (*first, *about, str(answer.finish), answer.text, answer.model, *counts, None, None, *paid)
