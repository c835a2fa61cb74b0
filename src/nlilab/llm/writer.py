"""From a name in conf/generators.yaml to a generator that can be asked."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from nlilab.answers import Unreadable
from nlilab.llm.client import Client, Generator, Progress
from nlilab.llm.errors import ProviderError
from nlilab.llm.request import Finish, Request, Response
from nlilab.llm.store import Store, default_path
from nlilab.params import Settings, conf_entry, section

Report = Callable[..., None]


class LlmSettings(Settings):
    """How requests travel; nothing here changes an answer, so no stage depends on it."""

    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    timeout_s: Annotated[float, Field(gt=0)] = 60


class GeneratorEntry(Settings):
    """An entry of conf/generators.yaml."""

    provider: Literal["grammar", "anthropic", "openai", "transformers"]
    model: str
    base_url: str | None = None
    structured: bool = False  # ask the provider for answers constrained to the JSON schema
    parameters: dict[str, Any] = {}


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
        request = self.generator.request(messages, sample=sample, meta=meta)
        return replace(request, parameters={**request.parameters, "schema": schema}) if self.structured else request

    def ask(self, requests: list[Request], report: Report | None = None) -> list[Response | ProviderError]:
        """Every answer in the order of the requests."""

        def show(state: Progress) -> None:
            if report:
                report(state.done, state.total, f"({state.hits} held, {state.bought} asked, {state.failed} failed)")

        return self.client.run(requests, show)


def text_of(answer: Response | ProviderError) -> str:
    """The text of a whole answer; a failed, cut or refused one is unreadable, with its reason."""
    if isinstance(answer, ProviderError):
        raise Unreadable(f"{answer.kind}: {answer}")
    if answer.finish is not Finish.STOP:
        reasons = {Finish.LENGTH: "the answer was cut at max_tokens", Finish.REFUSED: "the model refused"}
        raise Unreadable(reasons.get(answer.finish, "the answer is empty"))
    return answer.text


def open_writer(name: str) -> Writer:
    """The generator that conf/generators.yaml defines under `name`, with the shared store behind it."""
    entry = conf_entry("generators", name, GeneratorEntry)
    llm = section("llm", LlmSettings)
    client = Client(Store(default_path()), llm.concurrency, llm.attempts, llm.timeout_s)
    parameters = entry.parameters
    if entry.provider == "grammar":
        from nlilab import grammar

        parameters = {**parameters, "version": grammar.version()}
    generator = Generator(entry.provider, entry.model, entry.base_url, parameters)
    return Writer(name, client, generator, entry.structured)
