"""What answers cost: one dated table of prices, the bill of a call, and a cap that a run cannot pass."""

import asyncio
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import psutil
from pydantic import Field

from nlilab.core.errors import UserError
from nlilab.core.params import CONF, Settings, read_yaml, validate
from nlilab.llm.errors import ProviderError
from nlilab.llm.request import Finish, Request, Response
from nlilab.llm.store import Bill, Store

PRICES = CONF / "prices.yaml"
MILLION = 1_000_000
BATCH_SHARE = 0.5  # what both providers charge for a call of a batch
OVERHEAD_TOKENS = 64  # roles, separators and the like, beyond the texts themselves
CHARACTERS_PER_TOKEN = 4.0  # of English, for estimates; a cap counts bytes instead, of which a token has at least one
DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$")
DOLLARS = Annotated[float, Field(ge=0)]


class Price(Settings):
    """Dollars for a million tokens; the cached ones cost what plain input costs where the table says nothing."""

    input: DOLLARS
    output: DOLLARS
    cache_read: DOLLARS | None = None
    cache_write: DOLLARS | None = None

    def of(self, answer: Response) -> float:
        """What an answer of the online API cost."""
        read, written = answer.cache_read_tokens, answer.cache_write_tokens
        plain = answer.input_tokens - read - written
        cached = read * _or(self.cache_read, self.input) + written * _or(self.cache_write, self.input)
        return (plain * self.input + cached + answer.output_tokens * self.output) / MILLION

    def at_most(self, request: Request, longest: int) -> float:
        """More than the request can cost with an answer of `longest` tokens."""
        dearest = max(self.input, _or(self.cache_read, 0.0), _or(self.cache_write, 0.0))
        return (_bytes(request) * dearest + longest * self.output) / MILLION


class PriceTable(Settings):
    """conf/prices.yaml: provider -> model (a dated version has its model's price) -> price."""

    as_of: date
    prices: dict[str, dict[str, Price]]


@dataclass(frozen=True)
class Tariff:
    """The price of one generator, and the date that it was noted; without a price, None."""

    price: Price | None
    as_of: str | None = None

    def bill(self, request: Request, answer: Response | ProviderError, batch: str | None = None) -> Bill:
        """What this answer cost, by estimate where its tokens were not counted; of a call that broke off, the most."""
        run = run_name()
        if self.price is None:
            return Bill(run=run, batch=batch)
        share = BATCH_SHARE if batch else 1.0
        if isinstance(answer, Response):
            dollars = self.price.of(answer)
            if answer.untold:
                dollars = min(dollars, self.most(request))
            return Bill(dollars * share, bool(answer.untold), self.as_of, run, batch)
        dollars = self.most(request) * share if answer.charged else 0.0
        return Bill(dollars, answer.charged, self.as_of, run, batch)

    def most(self, request: Request) -> float:
        """More than the request can cost online; 0 without a price."""
        return self.price.at_most(request, longest_answer(request)) if self.price else 0.0


FREE = Tariff(Price(input=0, output=0))

# Where a request sets no limit: what Anthropic's provider sets then; for the others a guess, used in estimates alone.
LONGEST_ANSWER = 4096


def longest_answer(request: Request) -> int:
    """The tokens that the answer may have at most."""
    return request.max_tokens or LONGEST_ANSWER


def price_table(path: Path | None = None) -> PriceTable:
    """Read conf/prices.yaml."""
    path = path or PRICES
    return validate(read_yaml(path), PriceTable, str(path))


def tariff(name: str, provider: str, model: str, base_url: str | None, own: Price | None, allow: bool) -> Tariff:
    """The price of a generator: its own entry's, else the table's; none is refused unless unpriced ones are allowed.

    The table holds for the providers' own addresses; another server has the price of its entry (0 for one's own).
    """
    table = price_table()
    if own is not None:
        return Tariff(own, "conf/generators.yaml")
    known = table.prices.get(provider, {}) if base_url is None else {}
    undated = DATED.sub("", model)
    if price := known.get(model) or known.get(undated):
        return Tariff(price, str(table.as_of))
    if allow:
        return Tariff(None)
    where = f"at {base_url}" if base_url else f"in {PRICES} ({', '.join(known) or 'none'} of {provider})"
    raise UserError(
        f"generator {name}: no price for {provider}/{model} {where}; add `price: {{input: ..., output: ...}}` (dollars "
        "for a million tokens, 0 for a server of your own) to its entry in conf/generators.yaml, or set "
        "llm.allow_unpriced: true"
    )


class Budget:
    """What one run may still spend: a call is let through only if the most it can cost fits beside those under way."""

    def __init__(self, limit: float | None, spent: float) -> None:
        self.limit = limit
        self.spent = spent
        self._reserved: list[float] = []  # the most that each call under way can cost
        self._changed = asyncio.Condition()

    def fits(self, most: float) -> bool:
        """Whether a call of at most this cost can be let through now."""
        return self.limit is None or self.spent + math.fsum(self._reserved) + most <= self.limit

    async def reserve(self, most: float) -> bool:
        """Wait until the call fits; False where it never will."""
        if self.limit is None:
            return True
        async with self._changed:
            while not self.fits(most):
                if not self._reserved:
                    return False
                await self._changed.wait()
            self._reserved.append(most)
        return True

    async def settle(self, most: float | None, dollars: float) -> None:
        """The call that had reserved `most` (None: nothing) cost `dollars`."""
        self.spent += dollars
        if self.limit is None or most is None:
            return
        async with self._changed:
            self._reserved.remove(most)
            self._changed.notify_all()


def spent_in(store: Store, run: str) -> float:
    """Dollars that this run has spent so far, in all its processes."""
    query = "SELECT COALESCE(SUM(dollars), 0) FROM answers WHERE run = ? AND dollars > 0"
    return float(store.use(lambda connection: connection.execute(query, (run,)).fetchone()[0]))


@cache
def run_name() -> str:
    """One name for all stages of one `dvc repro`; outside of DVC, one for each process."""
    own = psutil.Process()
    chain = own.parents() if "DVC_ROOT" in os.environ else []
    pipeline = [p for p in chain if any(Path(word).name == "dvc" for word in _command_line(p))]
    process = pipeline[0] if pipeline else own
    # Since the start of the machine: by the clock a process begins at another time once the clock is put right.
    return f"{process.pid}-{process.create_time() - psutil.boot_time():.2f}"


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def measured(request: Request, answer: Response) -> Response:
    """The answer with estimates of what its provider did not count, which leave it no longer than was allowed."""
    if not answer.untold:
        return answer
    asked, given = answer.input_tokens, answer.output_tokens
    if "input" in answer.untold:
        asked = max(estimated_tokens(characters(request)), answer.cache_read_tokens + answer.cache_write_tokens)
    if "output" in answer.untold and request.max_tokens:  # else the provider's estimate, from all that came
        given = request.max_tokens if answer.finish is Finish.LENGTH else min(given, request.max_tokens)
    return replace(answer, input_tokens=asked, output_tokens=given)


def estimated_tokens(text_length: int) -> int:
    """Roughly the tokens of an English text with this many characters."""
    return int(text_length / CHARACTERS_PER_TOKEN) + 1


def characters(request: Request) -> int:
    """The length of all that is sent."""
    return sum(len(content) for _, content in request.messages) + len(_structures(request.parameters))


def _bytes(request: Request) -> int:
    texts = [content for _, content in request.messages] + [_structures(request.parameters)]
    return sum(len(text.encode()) + OVERHEAD_TOKENS for text in texts)


def _structures(parameters: Mapping[str, Any]) -> str:
    """What a model reads beside the messages: the schema, tools, and what else is no plain value."""
    lists = (value if isinstance(value, list) else [value] for value in parameters.values())
    return "".join(str(part) for parts in lists for part in parts if isinstance(part, Mapping))


def _or(price: float | None, otherwise: float) -> float:
    return otherwise if price is None else price
