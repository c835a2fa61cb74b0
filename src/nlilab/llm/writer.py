"""From a name in conf/generators.yaml to a generator that can be asked."""

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nlilab.core.params import Name, Settings, conf_entry, section
from nlilab.core.progress import Report
from nlilab.llm.answers import Unanswered, Unreadable
from nlilab.llm.client import EMBEDDED, LOCAL, Client, Generator, Progress
from nlilab.llm.errors import RETRIES, ProviderError
from nlilab.llm.money import FREE, Price, Tariff, tariff
from nlilab.llm.recording import Recording, recording_path
from nlilab.llm.request import Finish, Request, Response
from nlilab.llm.store import Store

UNANSWERED = "unanswered"  # how the reason of a row begins that has no answer but failures which pass

EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")

Strategy = Literal["targen", "zero-shot", "attributes", "few-shot"]


class LlmSettings(Settings):
    """How requests travel and what they may cost; nothing here changes an answer, so no stage depends on it."""

    mode: Literal["auto", "replay", "live"] = Field(
        "auto", description="auto: recordings, store, then calls; replay: never calls; live: passes recordings over"
    )
    transport: Literal["online", "batch"] = Field("online", description="batch: half price, within a day")
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    timeout_s: Annotated[float, Field(gt=0)] = 60
    batch_wait_s: Annotated[float, Field(ge=0)] = 600
    holes: Annotated[float, Field(ge=0, le=1, description="share of a step's requests that may stay unanswered")] = 0.0
    budget_usd: Annotated[float | None, Field(gt=0)] = None
    allow_unpriced: bool = False


class GeneratorEntry(Settings):
    """An entry of conf/generators.yaml."""

    provider: Literal["grammar", "anthropic", "openai", "transformers"]
    model: str
    base_url: str | None = None
    structured: bool = False  # ask the provider for answers constrained to the JSON schema
    strategy: Strategy = "targen"  # nlilab.writing.strategies: how it is asked for instances
    prompts: Name | None = None  # another wording of step 3: tasks/<task>/generate/<prompts>
    price: Price | None = None  # where conf/prices.yaml has none, or another
    parameters: dict[str, Any] = {}

    @model_validator(mode="after")
    def _numbers_are_no_texts(self) -> Self:
        for name, value in self.parameters.items():
            if isinstance(value, str) and EXPONENT.fullmatch(value):
                raise ValueError(
                    f"parameters.{name}: {value} is a text in YAML, which wants a point in such a number, and servers "
                    f"may pass it over: write {float(value)!r}"
                )
        return self


@dataclass(frozen=True)
class Writer:
    """A generator ready to be asked: the client, what is asked for, and whether it takes a schema."""

    name: str
    client: Client
    generator: Generator
    structured: bool

    def request(
        self, messages: tuple[tuple[str, str], ...], schema: dict[str, Any], sample: int, meta: dict[str, str]
    ) -> Request:
        """A request to this generator; the schema is part of it only where answers are constrained to it."""
        request = self.generator.request(messages, sample=sample, meta={**meta, "generator": self.name})
        return replace(request, parameters={**request.parameters, "schema": schema}) if self.structured else request

    def cost(self, answer: Response) -> float | None:
        """What an answer cost in dollars at the online list price; None where nobody knows the price."""
        known = self.client.tariffs.get(self.generator.identity)
        return round(known.price.of(answer), 9) if known and known.price else None

    def ask(self, requests: list[Request], report: Report | None = None) -> list[Response | ProviderError]:
        """Every answer in the order of the requests."""

        def show(state: Progress) -> None:
            if report:
                report(state.done, state.total, f"({state.hits} held, {state.bought} asked, {state.failed} failed)")

        return self.client.run(requests, show)


def text_of(answer: Response | ProviderError) -> str:
    """The text of a whole answer; a failed, cut or refused one is unreadable, one that never came is unanswered."""
    if isinstance(answer, ProviderError):
        if answer.kind in RETRIES:
            raise Unanswered(f"{UNANSWERED}: {answer}")
        raise Unreadable(str(answer))
    if answer.finish is not Finish.STOP:
        reasons = {Finish.LENGTH: "the answer was cut at max_tokens", Finish.REFUSED: "the model refused"}
        raise Unreadable(reasons.get(answer.finish, "the answer is empty"))
    return answer.text


def open_generator(name: str) -> tuple[Generator, GeneratorEntry]:
    """The generator that conf/generators.yaml defines under `name`."""
    entry = conf_entry("generators", name, GeneratorEntry)
    parameters = entry.parameters
    if entry.provider == EMBEDDED:
        from nlilab.llm import grammar

        parameters = {**parameters, "version": grammar.version()}
    return Generator(entry.provider, entry.model, entry.base_url, parameters), entry


def tariff_of(name: str, entry: GeneratorEntry, settings: LlmSettings) -> Tariff:
    """What the generator costs; a UserError where nobody knows."""
    if entry.provider in LOCAL and entry.price is None:
        return FREE
    return tariff(name, entry.provider, entry.model, entry.base_url, entry.price, settings.allow_unpriced)


def open_client(settings: LlmSettings) -> Client:
    """A client that works by these settings, on the shared store."""
    return Client(
        Store(),
        settings.concurrency,
        settings.attempts,
        settings.timeout_s,
        mode=settings.mode,
        transport=settings.transport,
        batch_wait=settings.batch_wait_s,
        budget=settings.budget_usd,
        holes=settings.holes,
    )


def join(client: Client, name: str, settings: LlmSettings) -> Writer:
    """The generator of this name at this client: with its price, and its recording where there is one."""
    generator, entry = open_generator(name)
    client.tariffs[generator.identity] = tariff_of(name, entry, settings)
    if (path := recording_path(name)).is_file() and name not in client.recordings:
        client.recordings[name] = Recording(path)
    return Writer(name, client, generator, entry.structured)


def open_writer(name: str) -> Writer:
    """The generator that conf/generators.yaml defines under `name`, with the shared store behind it."""
    settings = section("llm", LlmSettings)
    return join(open_client(settings), name, settings)
