"""The client: recordings, then the store, then calls; bounded, patient and within the budget for every provider."""

import asyncio
import contextlib
import importlib
import itertools
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from filelock import FileLock, Timeout

from nlilab.core.errors import UserError
from nlilab.core.files import digest
from nlilab.llm.batch import Job, buy
from nlilab.llm.errors import RETRIES, STOPS_THE_RUN, ErrorKind, ProviderError
from nlilab.llm.keys import KEY_VARIABLES
from nlilab.llm.money import Budget, Tariff, measured, run_name, spent_in
from nlilab.llm.recording import Recording, recording_path
from nlilab.llm.request import LIMITS, Finish, Identity, Request, Response, writable
from nlilab.llm.store import Store
from nlilab.llm.throttle import Throttle

# Imported only when something must be asked: an SDK takes seconds to import.
PROVIDERS: dict[str, str] = {
    "anthropic": "nlilab.llm.providers.anthropic:Anthropic",
    "openai": "nlilab.llm.providers.openai:OpenAI",
    "transformers": "nlilab.llm.providers.transformers:Transformers",
    "grammar": "nlilab.llm.providers.grammar:Grammar",
}
EMBEDDED = "grammar"  # costs nothing and answers the same everywhere: asked even in a replay
LOCAL = frozenset({"transformers", EMBEDDED})  # no network: kept from run to run, and no time limit on a slow machine

FIRST_WAIT = 0.5  # seconds before the first retry, doubled for each one after
LONGEST_WAIT = 120.0  # a server that asks for a longer pause gets none: its request fails and says so
GRACE = 10.0  # seconds that calls under way get to land once the run has to stop: they are paid for
LANDING = 4  # one call in so many may free its slot while its answer is on the way to the disk
GIVE_UP_AFTER = 16  # requests in a row that used up all their attempts, with no answer between
PATIENCE = 4  # rate limits cost nothing and pass: they may be met this many times as often as other failures
LOCK_POLL = 0.1  # seconds between two looks whether another process has done with a generator
WINDOW = 8192  # requests taken at a time: memory does not grow with the length of a run

STOP_REMEDY = {
    ErrorKind.AUTH: "the key was refused; check {variable} and the account's rights",
    ErrorKind.QUOTA: "the account's quota or credit is used up; top it up or raise the limit",
}

log = logging.getLogger(__name__)
Answer = Response | ProviderError
Mode = Literal["auto", "replay", "live"]
Transport = Literal["online", "batch"]


class Provider(Protocol):
    """One model behind one call; `batch` is how many requests a call may take.

    Beside these a provider may have `parameters` (what a request may set; with `further`, what its SDK takes, too:
    anything else is a UserError before anything is sent), `reserved` (what `extra_body` may not set, either) and an
    async `close`, called at the end of a run.
    """

    batch: int

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer for each request, in order."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a run is: done = hits + bought + failed; `retried` counts the attempts that failed and were repeated."""

    done: int = 0
    total: int = 0
    hits: int = 0
    bought: int = 0
    failed: int = 0
    retried: int = 0


@dataclass(frozen=True)
class Generator:
    """Whom to ask and how: what the configuration names."""

    provider: str
    model: str
    base_url: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.provider not in PROVIDERS:
            raise UserError(f"unknown provider {self.provider!r}: expected one of {', '.join(PROVIDERS)}")

    @property
    def identity(self) -> Identity:
        """What all its requests have in common."""
        return (self.provider, self.model, self.base_url.rstrip("/") if self.base_url else None)

    def request(
        self, messages: Iterable[tuple[str, str]], sample: int = 0, meta: Mapping[str, str] | None = None
    ) -> Request:
        """The request that asks this generator; `messages` are (role, content)."""
        _, _, address = self.identity
        told = tuple((role, writable(content)) for role, content in messages)
        return Request(self.provider, self.model, told, address, dict(self.parameters), sample, dict(meta or {}))


class Client:
    """Asks any mixture of generators: `concurrency` calls at once, each `attempts` times and `timeout` s at most.

    `mode`: auto looks into recordings, then the store, then calls; replay never calls; live passes recordings over.
    `transport`: batch sends what is missing through the provider's batch API and waits at most `batch_wait` seconds.
    `holes` is the share of requests that may stay unanswered: a server that answers fewer is not given up.
    `budget` is in dollars for the whole run; `tariffs` are by provider, model and address, `recordings` by generator.
    """

    def __init__(
        self,
        store: Store,
        concurrency: int = 16,
        attempts: int = 5,
        timeout: float = 300.0,
        *,
        mode: Mode = "auto",
        transport: Transport = "online",
        batch_wait: float = 0.0,
        budget: float | None = None,
        holes: float = 0.0,
    ) -> None:
        self.store = store
        self.concurrency = concurrency
        self.attempts = attempts
        self.timeout = timeout
        self.mode = mode
        self.transport = transport
        self.batch_wait = batch_wait
        self.budget = budget
        self.holes = holes
        self.tariffs: dict[Identity, Tariff] = {}
        self.recordings: dict[str, Recording] = {}
        self._local: dict[Identity, Provider] = {}

    def run(self, requests: Iterable[Request], on_progress: Callable[[Progress], None] | None = None) -> list[Answer]:
        """One answer or error for each request, in order; a refused key or a used-up quota is a UserError."""
        listed = list(requests)
        return list(self.stream(listed, on_progress, len(listed)))

    def stream(
        self,
        requests: Iterable[Request],
        on_progress: Callable[[Progress], None] | None = None,
        total: int = 0,
    ) -> Iterator[Answer]:
        """The same for any number of requests, of which WINDOW are held at a time."""
        waiting = iter(requests)
        with asyncio.Runner() as runner:
            state = _Run(self, Progress(total=total), on_progress)
            try:
                while window := list(itertools.islice(waiting, WINDOW)):
                    yield from runner.run(state.serve(window))
            finally:
                runner.run(state.close())

    def held(self, requests: Iterable[Request]) -> dict[str, Answer]:
        """What recordings and the store hold, by key; failures are answers in a replay alone."""
        found: dict[str, Answer] = {}
        rest: list[str] = []
        for request in requests:
            recording = None if self.mode == "live" else self.recordings.get(request.meta.get("generator", ""))
            known = recording.find(request.key) if recording else None
            if known is not None and (self.mode == "replay" or _whole(known)):
                found[request.key] = known
            else:
                rest.append(request.key)
        return found | (self.store.evidence(rest) if self.mode == "replay" else self.store.find(rest))

    def tariff(self, request: Request) -> Tariff:
        """What the request's generator costs."""
        return self.tariffs.get(request.identity, NO_TARIFF)

    def provider(self, request: Request) -> Provider:
        """The provider that answers this request: a new one, or the local one that is already loaded."""
        name = request.identity
        if name in self._local:
            return self._local[name]
        module, kind = PROVIDERS[request.provider].split(":")
        provider = cast(Provider, getattr(importlib.import_module(module), kind)(request.model, request.base_url))
        if request.provider in LOCAL:
            self._local[name] = provider
        return provider


NO_TARIFF = Tariff(None)


@dataclass(frozen=True)
class _Call:
    provider: Provider
    throttle: Throttle
    jobs: list[Job]


class _Run:
    """One run of the client: its windows' answers, its tally, its budget, and whether it has to stop."""

    def __init__(self, client: Client, start: Progress, on_progress: Callable[[Progress], None] | None) -> None:
        self.client = client
        self.report = on_progress or (lambda progress: None)
        self.progress = start
        self.answers: list[Answer | None] = []
        self.stopping = asyncio.Event()
        self.landing: set[asyncio.Future[Any]] = set()  # answers on their way to the disk
        self.broken: BaseException | None = None  # why they did not get there
        self.exhausted_in_a_row = 0
        self.unstarted = 0  # online calls that nobody has begun
        self.budget = Budget(client.budget, spent_in(client.store, run_name()) if client.budget is not None else 0.0)
        self.providers: dict[Identity, tuple[Provider, Throttle]] = {}

    async def serve(self, requests: list[Request]) -> list[Answer]:
        """One answer for each request of a window."""
        self.answers = [None] * len(requests)
        jobs = self._serve_held(requests)
        if jobs:
            missed = [job.request for job in jobs if job.request.provider != EMBEDDED]
            if self.client.mode == "replay" and missed:
                raise UserError(_miss(missed[0], len(missed), self.client))
            await self._buy(jobs)
        return cast(list[Answer], self.answers)

    async def close(self) -> None:
        """Let what was answered reach the disk, and close the connections."""
        await self.client.store.flush()
        for provider, _ in self.providers.values():
            if (close := getattr(provider, "close", None)) is not None:
                await close()

    def _serve_held(self, requests: list[Request]) -> list[Job]:
        """Fill in what is held; group what is left, the same request once."""
        found = self.client.held(requests)
        hits = 0
        jobs: dict[tuple[str, int | None], Job] = {}
        uses: Counter[tuple[str, str]] = Counter()
        hit_uses: Counter[tuple[str, str]] = Counter()
        for place, request in enumerate(requests):
            known = found.get(request.key)
            who = (request.meta.get("generator", request.model), request.meta.get("step", ""))
            uses[who] += 1
            if known is not None and _fits(known, request):
                self.answers[place] = known
                hits += 1
                hit_uses[who] += 1
            else:
                jobs.setdefault((request.key, request.max_tokens), Job(request, [])).places.append(place)
        self.client.store.note_uses(run_name(), [(*who, count, hit_uses[who]) for who, count in uses.items()])
        self.count(hits=hits)
        return list(jobs.values())

    async def _buy(self, jobs: list[Job]) -> None:
        by_provider: dict[Identity, list[Job]] = {}
        for job in jobs:
            by_provider.setdefault(job.request.identity, []).append(job)
        for name, wanted in by_provider.items():
            self._check(name, wanted)
        online: dict[Identity, list[Job]] = {}
        for name, wanted in by_provider.items():
            if self.client.transport == "batch" and name[0] not in LOCAL:
                await buy(self, cast(Any, self.providers[name][0]), wanted)
            else:
                online[name] = wanted
        async with self._alone(name for name in online if name[0] not in LOCAL):
            calls: list[_Call] = []
            for name, wanted in online.items():
                provider, throttle = self.providers[name]
                left, size = self._still_missing(wanted), provider.batch
                calls += [_Call(provider, throttle, left[i : i + size]) for i in range(0, len(left), size)]
            await self._work_through(calls)

    @contextlib.asynccontextmanager
    async def _alone(self, names: Iterable[Identity]) -> AsyncIterator[None]:
        """One process at a time buys online from a generator: two would buy the same answers."""
        with contextlib.ExitStack() as held:
            for name in sorted(names, key=str):
                lock = FileLock(f"{self.client.store.path}.{digest(*map(str, name))[:16]}.lock", thread_local=False)
                told = False
                while not lock.is_locked:
                    try:
                        held.enter_context(lock.acquire(timeout=0))
                    except Timeout:
                        if not told:
                            log.warning("another process is asking %s/%s: waiting for its answers", *name[:2])
                        told = True
                        await asyncio.sleep(LOCK_POLL)
            yield

    def _still_missing(self, jobs: list[Job]) -> list[Job]:
        """Without those that another process has bought since we looked."""
        found = self.client.store.find(job.request.key for job in jobs)
        left = []
        for job in jobs:
            known = found.get(job.request.key)
            if known is None or not _fits(known, job.request):
                left.append(job)
                continue
            self.count(hits=len(job.places))
            for place in job.places:
                self.answers[place] = known
        return left

    def _check(self, name: Identity, jobs: list[Job]) -> None:
        """Whatever is wrong with the generator, said before anything is sent to anyone."""
        if name not in self.providers:
            self.providers[name] = (self.client.provider(jobs[0].request), Throttle(self.client.concurrency))
        _refuse_unknown(self.providers[name][0], [job.request for job in jobs])
        unlimited = name[0] == "openai" and any(job.request.max_tokens is None for job in jobs)
        if self.client.budget is not None and unlimited and self.client.tariff(jobs[0].request).price:
            raise UserError(
                f"generator {name[0]}/{name[1]}: llm.budget_usd needs to know how long an answer can get; set "
                "max_tokens (or max_completion_tokens) in the generator's parameters"
            )

    async def _work_through(self, calls: list[_Call]) -> None:
        """Serve every call; at the first error that stops the run, let those under way land and raise it."""
        if not calls:
            return
        waiting, self.unstarted = iter(calls), len(calls)
        count = min(self.client.concurrency, len(calls))
        workers = [asyncio.create_task(self._work(waiting)) for _ in range(count)]
        try:
            done, pending = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            if pending:
                self.stopping.set()
                await asyncio.wait(pending, timeout=GRACE)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, *self.landing, return_exceptions=True)
            await asyncio.sleep(0)  # the last ones are told
        for worker in done:
            worker.result()
        if self.broken is not None:
            raise self.broken

    async def _work(self, waiting: Iterator[_Call]) -> None:
        for call in waiting:
            self.unstarted -= 1
            await self._serve(call, call.jobs)
            if self.stopping.is_set():
                return

    async def _serve(self, call: _Call, jobs: list[Job]) -> None:
        """Ask until every job has an answer or an error that stays."""
        met: Counter[bool] = Counter()  # failures: rate limits, others
        while True:
            asked_once = await self._ask_once(call, jobs)
            if asked_once is None:
                return
            answers, written = asked_once
            room = len(self.landing) * LANDING < self.client.concurrency
            if room and all(isinstance(answer, Response) for answer in answers):
                self._land(jobs, answers, written)
                return
            await written
            pairs = list(zip(jobs, answers, strict=True))
            limited = any(_is(answer, ErrorKind.RATE_LIMITED) for answer in answers)
            met[limited] += 1
            last = met[limited] >= self.client.attempts * (PATIENCE if limited else 1)
            again = [job for job, answer in pairs if not self.settle(job, answer, last)]
            if not again:
                return
            asked = [answer.retry_after or 0.0 for answer in answers if isinstance(answer, ProviderError)]
            self.count(retried=len(again))
            await self.pause(met[limited], max(asked))
            if self.stopping.is_set():
                return
            jobs = again

    def _land(self, jobs: list[Job], answers: list[Answer], written: asyncio.Future[Any]) -> None:
        """Let good answers count as soon as they are on disk, without keeping the next call waiting for that."""

        def landed(done: asyncio.Future[Any]) -> None:
            self.landing.discard(done)
            if (error := done.exception()) is not None:
                self.broken = error
                self.stopping.set()
                return
            for job, answer in zip(jobs, answers, strict=True):
                self.settle(job, answer, True)

        self.landing.add(written)
        written.add_done_callback(landed)

    async def _ask_once(self, call: _Call, jobs: list[Job]) -> tuple[list[Answer], asyncio.Future[Any]] | None:
        """One call, paid for and on its way to the disk; None where the run stopped before it was sent."""
        requests = [job.request for job in jobs]
        tariff = self.client.tariff(requests[0])
        most = sum(map(tariff.most, requests)) if self.budget.limit is not None else 0.0
        mark = await call.throttle.enter()
        try:
            if self.stopping.is_set():
                return None
            if not await self.budget.reserve(most):
                raise UserError(self.broke(requests[0], most))
            dollars = most
            try:
                pairs = zip(requests, await self._ask(call.provider, requests), strict=True)
                answers = [measured(r, answer) if isinstance(answer, Response) else answer for r, answer in pairs]
                bills = [tariff.bill(request, answer) for request, answer in zip(requests, answers, strict=True)]
                dollars = sum(bill.dollars for bill in bills)
                commits = [self.client.store.commit(*one) for one in zip(requests, answers, bills, strict=True)]
            finally:
                await self.budget.settle(most, dollars)
        finally:
            call.throttle.leave()
        for answer in answers:
            if _is(answer, ErrorKind.RATE_LIMITED):
                call.throttle.cut(mark, min(LONGEST_WAIT, cast(ProviderError, answer).retry_after or 0.0))
            elif isinstance(answer, Response):
                call.throttle.grow()
        return answers, commits[0] if len(commits) == 1 else asyncio.gather(*commits)

    async def _ask(self, provider: Provider, requests: list[Request]) -> list[Answer]:
        limit = None if requests[0].provider in LOCAL else self.client.timeout
        try:
            async with asyncio.timeout(limit):
                return await provider.answer(requests)
        except TimeoutError:
            late = f"no answer within {limit:g} s"
            return [ProviderError(ErrorKind.TIMEOUT, late, charged=True) for _ in requests]

    def settle(self, job: Job, answer: Answer, last: bool) -> bool:
        """Give the answer its places; False where the request is to be asked again."""
        if isinstance(answer, Response):
            self.exhausted_in_a_row = 0
            self.count(bought=1, hits=len(job.places) - 1)
        else:
            worth_it = answer.kind in RETRIES and (answer.retry_after or 0.0) <= LONGEST_WAIT
            if worth_it and not last and not self.stopping.is_set():
                return False
            self._stop_if_hopeless(job.request, answer)
            self.count(failed=len(job.places))
        for place in job.places:
            self.answers[place] = answer
        return True

    def kept(self) -> str:
        """What a message says of the answers of a run that stops."""
        return f"the {self.progress.bought} answers bought in this run are kept in {self.client.store.path}"

    def broke(self, request: Request, most: float) -> str:
        """The message of a run that its budget stops."""
        return (
            f"llm.budget_usd: {self.budget.spent:.4f} of {self.budget.limit:g} dollars are spent, and the next call of "
            f"{request.provider}/{request.model} can cost {most:.4f}; {self.kept()}: raise llm.budget_usd, or run "
            "the same command again to go on with a new budget (`nlilab cost` says what is missing)"
        )

    def stop_message(self, provider: str, model: str, error: ProviderError) -> str:
        """The message of a run that a refused key or a used-up quota stops."""
        remedy = STOP_REMEDY[error.kind].format(variable=KEY_VARIABLES.get(provider, ""))
        return f"{provider}/{model}: {remedy} ({error.message}); {self.kept()}"

    def _stop_if_hopeless(self, request: Request, error: ProviderError) -> None:
        name = f"{request.provider}/{request.model}"
        if error.kind in STOPS_THE_RUN:
            raise UserError(self.stop_message(request.provider, request.model, error))
        self.exhausted_in_a_row += error.kind in RETRIES
        allowed = self.progress.failed < self.client.holes * self.progress.total
        if self.exhausted_in_a_row >= GIVE_UP_AFTER and self.unstarted and not allowed:
            raise UserError(
                f"{name}: {GIVE_UP_AFTER} requests in a row used up their attempts, the last with {error}; "
                f"{self.kept()}: see to the server or the connection, then run the same command again"
            )

    async def pause(self, attempt: int, asked: float) -> None:
        """Wait before the next attempt: exponential with jitter, never less than the server asked, cut by a stop."""
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
        if asked:
            wait = max(wait, asked * random.uniform(1.0, 1.1))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), wait)

    def count(self, hits: int = 0, bought: int = 0, failed: int = 0, retried: int = 0) -> None:
        """Add to the tally and tell it."""
        now = self.progress
        hits, bought, failed = now.hits + hits, now.bought + bought, now.failed + failed
        done = hits + bought + failed
        self.progress = Progress(done, max(now.total, done), hits, bought, failed, now.retried + retried)
        self.report(self.progress)


def _is(answer: Answer, kind: ErrorKind) -> bool:
    return isinstance(answer, ProviderError) and answer.kind is kind


def _whole(answer: Answer) -> bool:
    return isinstance(answer, Response) and answer.finish is Finish.STOP


def _fits(known: Answer, request: Request) -> bool:
    """Evidence of a replay stands as it is; a finished answer must fit the limit."""
    return not _whole(known) or cast(Response, known).fits(request)


def _miss(request: Request, count: int, client: Client) -> str:
    generator = request.meta.get("generator", f"{request.provider}/{request.model}")
    about = ", ".join(f"{name} {request.meta[name]!r}" for name in ("step", "label", "context") if name in request.meta)
    recording = client.recordings.get(generator)
    where = str(recording.path) if recording else f"{recording_path(generator)} (missing)"
    return (
        f"llm.mode is replay, and {count} of the requests to {generator} are neither in {where} nor in "
        f"{client.store.path}, the first {request.key[:16]} ({about}); set llm.mode to auto to ask for them, then "
        "`nlilab record` to keep them; or `dvc pull` where a remote holds the recording"
    )


def _refuse_unknown(provider: Provider, requests: Sequence[Request]) -> None:
    allowed: Collection[str] | None = getattr(provider, "parameters", None)  # None: the provider looks for itself
    if allowed is None:
        return
    further: Collection[str] = getattr(provider, "further", ())
    for request in requests:
        who, extra = f"generator {request.provider}/{request.model}", request.parameters.get("extra_body", {})
        unknown = sorted(set(request.parameters) - {*allowed, *further})
        if unknown:
            beside = f"; its calls also take {', '.join(sorted(further))}" if further else ""
            raise UserError(
                f"{who}: unknown parameter {', '.join(unknown)}; {request.provider} takes "
                f"{', '.join(sorted(allowed))}{beside}"
            )
        if not isinstance(extra, Mapping):
            raise UserError(f"{who}: extra_body: got {extra!r}, expected names with values")
        if ours := sorted(set(extra) & set(getattr(provider, "reserved", ()))):
            raise UserError(f"{who}: extra_body: {', '.join(ours)} cannot be set there; leave it out")
        for name in LIMITS:
            for limit in (request.parameters.get(name), extra.get(name)):
                if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                    raise UserError(f"{who}: {name}: got {limit!r}, expected a number of tokens")
