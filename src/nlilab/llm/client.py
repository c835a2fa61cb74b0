"""The client: store first, then live calls with bounded concurrency and retries, the same for every provider."""

import asyncio
import contextlib
import importlib
import itertools
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from nlilab.errors import UserError
from nlilab.llm.errors import RETRIES, STOPS_THE_RUN, ErrorKind, ProviderError
from nlilab.llm.keys import KEY_VARIABLES
from nlilab.llm.request import Request, Response
from nlilab.llm.store import Store

# Imported only when something must be asked: an SDK takes seconds to import.
PROVIDERS: dict[str, str] = {
    "anthropic": "nlilab.llm.providers.anthropic:Anthropic",
    "openai": "nlilab.llm.providers.openai:OpenAI",
    "transformers": "nlilab.llm.providers.transformers:Transformers",
    "grammar": "nlilab.llm.providers.grammar:Grammar",
}
LOCAL = frozenset({"transformers", "grammar"})  # no network: kept from run to run, and no time limit on a slow machine

FIRST_WAIT = 0.5  # seconds before the first retry, doubled for each one after
LONGEST_WAIT = 120.0  # a server that asks for a longer pause gets none: its request fails and says so
GRACE = 10.0  # seconds that calls under way get to land once the run has to stop: they are paid for
GIVE_UP_AFTER = 16  # requests in a row that used up all their attempts, with no answer between

STOP_REMEDY = {
    ErrorKind.AUTH: "the key was refused; check {variable} and the account's rights",
    ErrorKind.QUOTA: "the account's quota or credit is used up; top it up or raise the limit",
}

Answer = Response | ProviderError


class Provider(Protocol):
    """One model behind one call; `batch` is how many requests a call may take.

    Beside these a provider may have `parameters` (what a request may set: anything else is a UserError before
    anything is sent) and an async `close`, called at the end of a run.
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

    def request(
        self, messages: Iterable[tuple[str, str]], sample: int = 0, meta: Mapping[str, str] | None = None
    ) -> Request:
        """The request that asks this generator; `messages` are (role, content)."""
        address = self.base_url.rstrip("/") if self.base_url else None
        told = tuple((role, _writable(content)) for role, content in messages)
        return Request(self.provider, self.model, told, address, dict(self.parameters), sample, dict(meta or {}))


class Client:
    """Asks any mixture of generators: `concurrency` calls at once, each `attempts` times and `timeout` s at most."""

    def __init__(self, store: Store, concurrency: int = 16, attempts: int = 5, timeout: float = 300.0) -> None:
        self.store = store
        self.concurrency = concurrency
        self.attempts = attempts
        self.timeout = timeout
        self._local: dict[tuple[str, str, str | None], Provider] = {}

    def run(self, requests: Iterable[Request], on_progress: Callable[[Progress], None] | None = None) -> list[Answer]:
        """One answer or error for each request, in order; a refused key or a used-up quota is a UserError."""
        return asyncio.run(_Run(self, list(requests), on_progress).go())

    def provider(self, request: Request) -> Provider:
        """The provider that answers this request: a new one, or the local one that is already loaded."""
        identity = (request.provider, request.model, request.base_url)
        if identity in self._local:
            return self._local[identity]
        module, name = PROVIDERS[request.provider].split(":")
        provider = cast(Provider, getattr(importlib.import_module(module), name)(request.model, request.base_url))
        if request.provider in LOCAL:
            self._local[identity] = provider
        return provider


@dataclass
class _Job:
    """One request to buy and the places in the run that its answer fills."""

    request: Request
    places: list[int]


class _Run:
    """One call of Client.run: its answers, its tally, and whether it has to stop."""

    def __init__(self, client: Client, requests: list[Request], on_progress: Callable[[Progress], None] | None) -> None:
        self.client = client
        self.requests = requests
        self.report = on_progress or (lambda progress: None)
        self.answers: list[Answer | None] = [None] * len(requests)
        self.progress = Progress(total=len(requests))
        self.stopping = asyncio.Event()
        self.exhausted_in_a_row = 0

    async def go(self) -> list[Answer]:
        jobs = self._serve_hits()
        if jobs:
            await self._buy(jobs)
        return cast(list[Answer], self.answers)

    def _serve_hits(self) -> list[_Job]:
        """Fill in what the store holds; group what is left, the same request once."""
        found = self.client.store.find(self.requests)
        hits = 0
        jobs: dict[tuple[str, int | None], _Job] = {}
        for place, request in enumerate(self.requests):
            known = found.get(request.key)
            if known and (request.max_tokens is None or known.output_tokens <= request.max_tokens):
                self.answers[place] = known
                hits += 1
            else:
                jobs.setdefault((request.key, request.max_tokens), _Job(request, [])).places.append(place)
        self._count(hits=hits)
        return list(jobs.values())

    async def _buy(self, jobs: list[_Job]) -> None:
        by_provider: dict[tuple[str, str, str | None], list[_Job]] = {}
        for job in jobs:
            of = (job.request.provider, job.request.model, job.request.base_url)
            by_provider.setdefault(of, []).append(job)
        providers: list[Provider] = []
        calls: list[tuple[Provider, list[_Job]]] = []
        try:
            for wanted in by_provider.values():
                provider = self.client.provider(wanted[0].request)
                providers.append(provider)
                _refuse_unknown(provider, [job.request for job in wanted])
                calls += [(provider, wanted[i : i + provider.batch]) for i in range(0, len(wanted), provider.batch)]
            await self._work_through(calls)
        finally:
            await self.client.store.flush()
            for provider in providers:
                if (close := getattr(provider, "close", None)) is not None:
                    await close()

    async def _work_through(self, calls: list[tuple[Provider, list[_Job]]]) -> None:
        """Serve every call; at the first error that stops the run, let those under way land and raise it."""
        waiting = iter(calls)
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
            await asyncio.gather(*workers, return_exceptions=True)
        for worker in done:
            worker.result()

    async def _work(self, waiting: Iterator[tuple[Provider, list[_Job]]]) -> None:
        for provider, jobs in waiting:
            await self._serve(provider, jobs)
            if self.stopping.is_set():
                return

    async def _serve(self, provider: Provider, jobs: list[_Job]) -> None:
        """Ask until every job has an answer or an error that stays."""
        for attempt in itertools.count(1):
            answers = await self._ask(provider, [job.request for job in jobs])
            pairs = list(zip(jobs, answers, strict=True))
            # On disk before it counts; the commits of one batch travel together. A lone one is awaited as it is: a task
            # of its own would leave the connection idle for a moment, and the pool looks at every idle one each time.
            commits = [self.client.store.commit(job.request, answer) for job, answer in pairs]
            await (commits[0] if len(commits) == 1 else asyncio.gather(*commits))
            again = [job for job, answer in pairs if not self._settle(job, answer, attempt)]
            if not again:
                return
            asked = [answer.retry_after or 0.0 for answer in answers if isinstance(answer, ProviderError)]
            self._count(retried=len(again))
            await self._pause(attempt, max(asked))
            if self.stopping.is_set():
                return
            jobs = again

    async def _ask(self, provider: Provider, requests: list[Request]) -> list[Answer]:
        limit = None if requests[0].provider in LOCAL else self.client.timeout
        try:
            async with asyncio.timeout(limit):
                answers = await provider.answer(requests)
        except TimeoutError:
            return [ProviderError(ErrorKind.TIMEOUT, f"no answer within {limit:g} s") for _ in requests]
        return [replace(a, text=_writable(a.text)) if isinstance(a, Response) else a for a in answers]

    def _settle(self, job: _Job, answer: Answer, attempt: int) -> bool:
        """Give the answer its places; False where the request is to be asked again."""
        if isinstance(answer, Response):
            self.exhausted_in_a_row = 0
            self._count(bought=1, hits=len(job.places) - 1)
        else:
            worth_it = answer.kind in RETRIES and (answer.retry_after or 0.0) <= LONGEST_WAIT
            if worth_it and attempt < self.client.attempts and not self.stopping.is_set():
                return False
            self._stop_if_hopeless(job.request, answer)
            self._count(failed=len(job.places))
        for place in job.places:
            self.answers[place] = answer
        return True

    def _stop_if_hopeless(self, request: Request, error: ProviderError) -> None:
        name = f"{request.provider}/{request.model}"
        kept = f"the {self.progress.bought} answers bought in this run are kept in {self.client.store.path}"
        if error.kind in STOPS_THE_RUN:
            variable = KEY_VARIABLES.get(request.provider, "")
            raise UserError(f"{name}: {STOP_REMEDY[error.kind].format(variable=variable)} ({error.message}); {kept}")
        self.exhausted_in_a_row += error.kind in RETRIES
        if self.exhausted_in_a_row >= GIVE_UP_AFTER:
            raise UserError(
                f"{name}: {GIVE_UP_AFTER} requests in a row failed {self.client.attempts} times each, the last with "
                f"{error}; {kept}: see to the server or the connection, then run the same command again"
            )

    async def _pause(self, attempt: int, asked: float) -> None:
        """Wait before the next attempt: exponential with jitter, never less than the server asked, cut by a stop."""
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
        if asked:
            wait = max(wait, asked * random.uniform(1.0, 1.1))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), wait)

    def _count(self, hits: int = 0, bought: int = 0, failed: int = 0, retried: int = 0) -> None:
        now = self.progress
        hits, bought, failed = now.hits + hits, now.bought + bought, now.failed + failed
        self.progress = Progress(hits + bought + failed, now.total, hits, bought, failed, now.retried + retried)
        self.report(self.progress)


def _refuse_unknown(provider: Provider, requests: Sequence[Request]) -> None:
    allowed: Collection[str] | None = getattr(provider, "parameters", None)  # None: the provider looks for itself
    for request in requests:
        unknown = sorted(set(request.parameters) - set(allowed)) if allowed is not None else []
        if unknown:
            raise UserError(
                f"generator {request.provider}/{request.model}: unknown parameter {', '.join(unknown)}; "
                f"{request.provider} takes {', '.join(sorted(allowed or ()))}"
            )


def _writable(text: str) -> str:
    # Half of a surrogate pair (an emoji that was cut) is no UTF-8: it can be neither sent nor stored.
    return text.encode("utf-8", errors="replace").decode("utf-8")
