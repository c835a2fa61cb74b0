"""Buying through the providers' batch APIs, at half price, behind a write-ahead log.

intent -> submitted -> imported. What is to be sent is written down before it is sent, so that whatever a crash leaves
behind is found again: by our token where the provider keeps one (OpenAI), else among the batches that it did not have
before (Anthropic), confirmed by the ids of its results. Answers are joined by id, never by position. No step looks at
a clock.
"""

import asyncio
import itertools
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, Protocol, TypeVar

from filelock import FileLock

from nlilab.core.errors import UserError
from nlilab.llm.errors import RETRIES, STOPS_THE_RUN, ErrorKind, ProviderError
from nlilab.llm.money import BATCH_SHARE, Budget, Tariff, measured, run_name
from nlilab.llm.request import Identity, Request, Response
from nlilab.llm.store import Store, row

FIRST_POLL, LONGEST_POLL = 1.0, 60.0  # seconds between two looks at a batch
IMPORTED_AT_ONCE = 500
REFUSALS = frozenset({ErrorKind.AUTH, ErrorKind.QUOTA, ErrorKind.BAD_REQUEST, ErrorKind.RATE_LIMITED})
NEVER = "the batch ended without working on it"

INTENT, SUBMITTED, IMPORTED, VOID, EXPORTED = "intent", "submitted", "imported", "void", "exported"
T = TypeVar("T")
P = ParamSpec("P")
Outcome = Response | ProviderError | None  # None: never worked on (expired, cancelled), so not billed


@dataclass(frozen=True)
class BatchState:
    """A batch as its provider sees it; `failed` says why one that was refused as a whole has no results."""

    name: str
    ended: bool
    total: int
    done: int
    token: str | None = None
    failed: ProviderError | None = None


class BatchProvider(Protocol):
    """What a provider with a batch API has beside `answer`."""

    most_in_a_batch: int
    most_bytes_in_a_batch: int

    def line(self, request: Request) -> dict[str, Any]:
        """The request as one line of the provider's own JSONL, `custom_id` = key."""
        ...

    def read(self, line: Mapping[str, Any]) -> tuple[str, Outcome]:
        """One line of the provider's results: key and outcome."""
        ...

    async def submit(self, requests: Sequence[Request], token: str) -> str:
        """Send a batch; returns the provider's name for it. Raises ProviderError."""
        ...

    async def state(self, name: str) -> BatchState:
        """How far a batch is. Raises ProviderError."""
        ...

    async def recent(self) -> list[BatchState]:
        """The account's batches, newest first. Raises ProviderError."""
        ...

    def results(self, name: str) -> AsyncIterator[tuple[str, Outcome]]:
        """All results of an ended batch, in any order. Raises ProviderError."""
        ...


@dataclass
class Job:
    """One request to buy and the places in the window that its answer fills."""

    request: Request
    places: list[int]


class Asker(Protocol):
    """What buying needs to know of the client."""

    store: Store
    attempts: int
    batch_wait: float

    def tariff(self, request: Request) -> Tariff:
        """What the request's generator costs."""
        ...


class Run(Protocol):
    """One run of the client, whose jobs are bought: its budget, its patience and its tally."""

    budget: Budget

    @property
    def client(self) -> Asker:
        """Whose run it is."""
        ...

    def settle(self, job: Job, answer: Response | ProviderError, last: bool) -> bool:
        """Give the answer its places; False where the request is to be asked again."""
        ...

    async def pause(self, attempt: int, asked: float) -> None:
        """Wait before the next attempt."""
        ...

    def kept(self) -> str:
        """What a message says of the answers of a run that stops."""
        ...

    def broke(self, request: Request, most: float) -> str:
        """The message of a run that its budget stops."""
        ...

    def stop_message(self, provider: str, model: str, error: ProviderError) -> str:
        """The message of a run that a refused key or a used-up quota stops."""
        ...


@dataclass(frozen=True)
class Batch:
    """One row of the write-ahead log."""

    id: int
    state: str
    name: str | None
    token: str
    known: frozenset[str]
    run: str


class Log:
    """The write-ahead log of one generator's batches, in the answer store."""

    def __init__(self, store: Store, identity: Identity) -> None:
        self.store = store
        self.identity = identity

    def open(self) -> list[Batch]:
        """Batches that are not over: intended or submitted."""
        return self._batches(INTENT, SUBMITTED)

    def _batches(self, *states: str) -> list[Batch]:
        query = (
            "SELECT id, state, batch, token, known, run FROM batches WHERE provider = ? AND model = ? "
            f"AND base_url IS ? AND state IN ({','.join('?' * len(states))}) ORDER BY id"
        )
        values = (*self.identity, *states)
        rows = self.store.use(lambda connection: connection.execute(query, values).fetchall())
        return [
            Batch(i, state, name, token, frozenset(json.loads(known)), run)
            for i, state, name, token, known, run in rows
        ]

    def intend(self, requests: Sequence[Request], known: Sequence[str], token: str) -> int:
        """Write down what is about to be sent; returns the log's number."""
        return self._write(requests, INTENT, known, token, None)

    def note_exported(self, requests: Sequence[Request]) -> None:
        """Write down what somebody else will send, so that its results can be joined."""
        token = secrets.token_hex(8)
        self._write(requests, EXPORTED, [], token, f"file-{token}")

    def _write(
        self, requests: Sequence[Request], state: str, known: Sequence[str], token: str, name: str | None
    ) -> int:
        provider, model, address = self.identity

        def insert(connection: Any) -> int:
            now = int(time.time())
            values = (now, provider, address, model, state, token, json.dumps(list(known)), run_name(), name)
            batch = connection.execute(
                "INSERT INTO batches (at, provider, base_url, model, state, token, known, run, batch) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
            items = [(batch, request.key, _item(request)) for request in requests]
            connection.executemany("INSERT INTO batch_items (batch, key, request) VALUES (?, ?, ?)", items)
            return int(batch)

        return self.store.change(insert)

    def mark(self, batch: int, state: str, name: str | None = None) -> None:
        """Move a batch on; its provider's name stays unless another is given."""
        self.store.change(
            lambda connection: connection.execute(
                "UPDATE batches SET state = ?, batch = COALESCE(?, batch) WHERE id = ?", (state, name, batch)
            )
        )

    def disown(self, batch: Batch) -> None:
        """What was taken for this batch is somebody else's: look for another."""
        known = json.dumps(sorted({*batch.known, str(batch.name)}))
        self.store.change(
            lambda connection: connection.execute(
                "UPDATE batches SET state = ?, batch = NULL, known = ? WHERE id = ?", (INTENT, known, batch.id)
            )
        )

    def attached(self) -> set[str]:
        """The providers' names that the log knows already."""
        query = "SELECT batch FROM batches WHERE batch IS NOT NULL"
        return {name for (name,) in self.store.use(lambda connection: connection.execute(query).fetchall())}

    def keys(self, batch: int) -> set[str]:
        """The keys of a batch."""
        query = "SELECT key FROM batch_items WHERE batch = ?"
        return {key for (key,) in self.store.use(lambda connection: connection.execute(query, (batch,)).fetchall())}

    def pending(self) -> set[str]:
        """The keys of all open batches."""
        return {key for batch in self.open() for key in self.keys(batch.id)}

    def requests(self, batch: int, keys: Sequence[str]) -> dict[str, Request]:
        """The requests behind these keys."""
        query = f"SELECT key, request FROM batch_items WHERE batch = ? AND key IN ({','.join('?' * len(keys))})"
        rows = self.store.use(lambda connection: connection.execute(query, (batch, *keys)).fetchall())
        provider, model, address = self.identity
        found = {}
        for key, text in rows:
            value = json.loads(text)
            messages = tuple((role, content) for role, content in value["messages"])
            found[key] = Request(
                provider, model, messages, address, value["parameters"], value["sample"], value["meta"]
            )
        return found

    def import_results(
        self, batch: Batch, results: Mapping[str, Outcome], tariff: Tariff
    ) -> tuple[dict[str, Outcome], float]:
        """Keep the results of one batch; what is there already (a crash, another process) stays.

        Returns the results, with estimates of what their provider did not count, and the dollars of the new ones.
        """
        requests = self.requests(batch.id, list(results))
        told = {
            key: measured(requests[key], outcome) if isinstance(outcome, Response) and key in requests else outcome
            for key, outcome in results.items()
        }
        rows = []
        for key, outcome in told.items():
            if outcome is not None and key in requests:
                bill = replace(tariff.bill(requests[key], outcome, batch.name), run=batch.run)
                rows.append(((key, isinstance(outcome, Response)), row(requests[key], outcome, bill), bill.dollars))

        def insert(connection: Any) -> float:
            marks = ",".join("?" * len(rows))
            there = connection.execute(
                f"SELECT key, error IS NULL FROM answers WHERE batch = ? AND key IN ({marks})",
                (batch.name, *(key for (key, _), *_ in rows)),
            )
            have = {(key, bool(answered)) for key, answered in there}
            have |= {(key, False) for key, _ in have}  # an answer may follow a failure, but none of them an answer
            fresh = [(values, dollars) for what, values, dollars in rows if what not in have]
            self.store.insert(connection, [values for values, _ in fresh])
            return sum(dollars for _, dollars in fresh)

        return told, self.store.change(insert)

    def import_exported(self, outcomes: Mapping[str, Outcome], tariff: Tariff) -> tuple[int, list[str]]:
        """Keep results that came by hand: (how many are new, the keys that no export of ours asked)."""
        unknown = set(outcomes)
        before = self._count()
        for batch in reversed(self._batches(EXPORTED)):
            own = self.keys(batch.id) & unknown
            for part in _parts({key: outcomes[key] for key in own}):
                self.import_results(batch, part, tariff)
            unknown -= own
        return self._count() - before, sorted(unknown)

    def _count(self) -> int:
        return int(self.store.use(lambda connection: connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0]))


async def buy(run: Run, provider: BatchProvider, jobs: list[Job]) -> None:
    """Get every job an answer, or an error that stays; raises a UserError while a batch is pending."""
    client = run.client
    first = jobs[0].request
    log, tariff = Log(client.store, first.identity), client.tariff(first)
    due: dict[str, list[Job]] = {}
    for job in jobs:  # jobs that differ in max_tokens alone share a key: the longest limit serves them all
        due.setdefault(job.request.key, []).append(job)
    deadline = asyncio.get_running_loop().time() + client.batch_wait
    tries: Counter[str] = Counter()
    while due:
        for key, outcome in (await _round(run, provider, log, tariff, due, deadline)).items():
            if key not in due:
                continue
            tries[key] += 1
            last = tries[key] >= client.attempts
            answer = ProviderError(ErrorKind.TIMEOUT, NEVER) if outcome is None else outcome
            due[key] = [job for job in due[key] if not run.settle(job, answer, last)]
            if not due[key]:
                del due[key]


async def _round(
    run: Run,
    provider: BatchProvider,
    log: Log,
    tariff: Tariff,
    due: "dict[str, list[Job]]",
    deadline: float,
) -> dict[str, Outcome]:
    """Send what no open batch holds, wait for those that hold what is due, and import them."""
    reserved: dict[int, float] = {}
    try:
        with alone(log.store):
            await _patiently(run, reattach, provider, log)
            # Another process may have bought some of them since we looked.
            held = log.store.find(due)
            outcomes: dict[str, Outcome] = {
                key: held[key] for key in held if all(held[key].fits(job.request) for job in due[key])
            }
            pending = log.pending() | outcomes.keys()
            fresh = [
                max((job.request for job in waiting), key=_limit) for key, waiting in due.items() if key not in pending
            ]
            short = await _send(run, provider, log, tariff, fresh, reserved)
        wanted = [batch for batch in log.open() if not log.keys(batch.id).isdisjoint(due)]
        if short and not wanted and not outcomes:
            raise UserError(run.broke(short, tariff.most(short) * BATCH_SHARE))
        while wanted:
            outcomes |= await _wait(run, provider, log, tariff, wanted, deadline, reserved)
            wanted = [batch for batch in log.open() if not log.keys(batch.id).isdisjoint(due.keys() - outcomes.keys())]
            if any(batch.state == INTENT for batch in wanted):
                with alone(log.store):
                    await _patiently(run, reattach, provider, log)
                wanted = [batch for batch in wanted if batch.id in {b.id for b in log.open()}]
        return outcomes
    except ProviderError as error:
        raise UserError(_refused(run, log, error)) from error
    finally:
        for most in reserved.values():
            await run.budget.settle(most, 0.0)


async def _patiently(run: Run, ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """What may pass is tried again; only for what buys nothing."""
    for attempt in itertools.count(1):
        try:
            return await ask(*args, **kwargs)
        except ProviderError as error:
            if error.kind not in RETRIES or attempt >= run.client.attempts:
                raise
            await run.pause(attempt, error.retry_after or 0.0)
    raise AssertionError


async def reattach(provider: BatchProvider, log: Log) -> None:
    """Find the batch of every intent that a crash left without a name, or write the intent off.

    Nobody else is submitting while this runs, so an intent without a name is a crash's.
    """
    lost = [batch for batch in log.open() if batch.state == INTENT]
    if not lost:
        return
    recent = await provider.recent()
    for batch in lost:
        taken = log.attached() | batch.known
        size = len(log.keys(batch.id))
        ours = [
            state
            for state in recent
            if state.name not in taken
            and (state.token == batch.token if state.token is not None else state.total == size)
        ]
        if ours:
            log.mark(batch.id, SUBMITTED, ours[-1].name)
        else:
            log.mark(batch.id, VOID)


async def _send(
    run: Run,
    provider: BatchProvider,
    log: Log,
    tariff: Tariff,
    requests: Sequence[Request],
    reserved: dict[int, float],
) -> Request | None:
    """Submit them in batches within the provider's limits and the budget; the first that the budget left out."""
    for chunk in chunks(provider, requests):
        fitting: list[Request] = []
        most = 0.0
        for request in chunk:
            one = tariff.most(request) * BATCH_SHARE if run.budget.limit is not None else 0.0
            if not run.budget.fits(most + one):
                break
            fitting.append(request)
            most += one
        if fitting:
            known = await _patiently(run, provider.recent)
            await run.budget.reserve(most)
            reserved[await submit(provider, log, fitting, known)] = most
        if len(fitting) < len(chunk):
            return chunk[len(fitting)]
    return None


async def submit(provider: BatchProvider, log: Log, requests: Sequence[Request], known: Sequence[BatchState]) -> int:
    """Write the intent down, send it, write its name down; returns the log's number. `known` is `recent` before it."""
    token = secrets.token_hex(8)
    number = log.intend(requests, [state.name for state in known], token)
    try:
        name = await provider.submit(requests, token)
    except ProviderError as error:
        if error.kind in REFUSALS:  # nothing is under way; of anything else `reattach` finds out
            log.mark(number, VOID)
        raise
    log.mark(number, SUBMITTED, name)
    return number


async def _wait(
    run: Run,
    provider: BatchProvider,
    log: Log,
    tariff: Tariff,
    wanted: Sequence[Batch],
    deadline: float,
    reserved: dict[int, float],
) -> dict[str, Outcome]:
    """Poll until one of the batches has ended, and import all that have."""
    loop = asyncio.get_running_loop()
    pause = FIRST_POLL
    while True:
        states = [(b, await _patiently(run, provider.state, str(b.name))) for b in wanted]
        if any(state.ended for _, state in states):
            break
        if loop.time() >= deadline:
            raise UserError(_pending(states))
        await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
        pause = min(LONGEST_POLL, pause * 1.5)
    outcomes: dict[str, Outcome] = {}
    for batch, state in states:
        if state.ended:
            found, dollars = await _patiently(run, import_batch, provider, log, tariff, batch, state)
            own = dollars if batch.run == run_name() else 0.0
            await run.budget.settle(reserved.pop(batch.id, None), own)
            outcomes |= found
    return outcomes


async def import_batch(
    provider: BatchProvider, log: Log, tariff: Tariff, batch: Batch, state: BatchState
) -> tuple[dict[str, Outcome], float]:
    """Bring an ended batch's results into the store: (outcome by key, dollars); one that is not ours is disowned."""
    if state.failed is not None:
        log.mark(batch.id, VOID)
        raise state.failed
    keys, strangers, dollars = log.keys(batch.id), 0, 0.0
    outcomes: dict[str, Outcome] = {}
    async for key, outcome in provider.results(str(batch.name)):
        if key in keys:
            outcomes[key] = outcome
        else:
            strangers += 1
    for part in _parts(outcomes):
        told, paid = log.import_results(batch, part, tariff)
        outcomes |= told
        dollars += paid
    if strangers and not outcomes:
        log.disown(batch)
    else:
        log.mark(batch.id, IMPORTED)
        outcomes |= dict.fromkeys(keys - outcomes.keys())  # what has no result counts as an attempt, too
    return outcomes, dollars


def chunks(provider: BatchProvider, requests: Sequence[Request]) -> Iterator[list[Request]]:
    """Requests in batches within the provider's limits."""
    chunk: list[Request] = []
    size = 0
    for request in requests:
        own = len(json.dumps(provider.line(request))) + 1
        if chunk and (len(chunk) >= provider.most_in_a_batch or size + own > provider.most_bytes_in_a_batch):
            yield chunk
            chunk, size = [], 0
        chunk.append(request)
        size += own
    if chunk:
        yield chunk


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """One process at a time looks for orphans and submits."""
    with FileLock(f"{store.path}.batch.lock", thread_local=False):
        yield


def _parts(outcomes: Mapping[str, Outcome]) -> Iterator[dict[str, Outcome]]:
    """IMPORTED_AT_ONCE of them at a time."""
    listed = list(outcomes.items())
    for start in range(0, len(listed), IMPORTED_AT_ONCE):
        yield dict(listed[start : start + IMPORTED_AT_ONCE])


def _item(request: Request) -> str:
    return json.dumps({**json.loads(request.written()), "meta": dict(request.meta)})


def _limit(request: Request) -> int:
    return request.max_tokens or 2**62


def _pending(states: Sequence[tuple[Batch, BatchState]]) -> str:
    told = ", ".join(f"{state.name} ({state.done} of {state.total} done)" for _, state in states)
    return (
        f"batch pending: {told}; nothing is lost: run the same command again to go on "
        "(`nlilab batch status` tells how far it is, llm.batch_wait_s is how long a stage waits)"
    )


def _refused(run: Run, log: Log, error: ProviderError) -> str:
    provider, model, _ = log.identity
    if error.kind in STOPS_THE_RUN:
        return run.stop_message(provider, model, error)
    return f"{provider}/{model}: the batch API answered {error}; {run.kept()}: run the same command again to go on"
