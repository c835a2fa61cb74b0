"""Anthropic's Messages API and Message Batches, by its SDK."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import anthropic
import httpx2
from anthropic.types import Message
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from nlilab.llm.batch import BatchState, Outcome
from nlilab.llm.errors import ErrorKind, ProviderError, from_status
from nlilab.llm.keys import api_key, redacted
from nlilab.llm.request import Finish, Request, Response

ADDRESS = "https://api.anthropic.com"
CONNECT_SECONDS = 10.0  # the client limits the whole call; this one stops a dead address sooner
SILENCE_SECONDS = 300.0  # nothing limits the whole of an upload or a download, only its pauses
MAX_TOKENS = 4096  # the API asks for a limit; this one where the generator sets none
PAGE = 100

FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.REFUSED,
}
# A batch tells the errors of its calls without the status that they have online; an unknown one may pass.
ERROR_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
UNKNOWN_STATUS = 500

NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
UNREADABLE = (ValueError, AttributeError, TypeError)
FAILURES = (anthropic.AnthropicError, httpx2.RequestError, *UNREADABLE)  # httpx2's own where a download breaks off


class Anthropic:
    """One Claude model; API version 2026-10-21 knows no temperature, top_p or top_k and refuses them."""

    batch = 1
    parameters = frozenset({"max_tokens", "stop", "schema", "effort", "thinking"})
    most_in_a_batch = 100_000
    most_bytes_in_a_batch = 240_000_000  # the API takes 256 MB, its frame around the lines included

    def __init__(self, model: str, base_url: str | None = None) -> None:
        self.model = model
        self._key = api_key("anthropic", model)
        # The address is always given: one from the environment would not be part of a request's key.
        self._sdk = anthropic.AsyncAnthropic(
            api_key=self._key,
            base_url=base_url or ADDRESS,
            max_retries=0,
            timeout=anthropic.Timeout(None, connect=CONNECT_SECONDS),
        )
        self._batches = self._sdk.with_options(
            timeout=anthropic.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        ).messages.batches

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def answer(self, requests: Sequence[Request]) -> list[Response | ProviderError]:
        """One answer for the one request."""
        return [await self._answer(request) for request in requests]

    async def _answer(self, request: Request) -> Response | ProviderError:
        arguments = _arguments(request)
        try:
            return _response(request.key, await self._sdk.messages.create(**arguments))
        except FAILURES as error:
            return self._failure(error, spends=True)

    async def check(self) -> None:
        """Ask the endpoint for this model. Raises ProviderError, BAD_REQUEST where it knows none of this name."""
        with self._told(spends=False):
            try:
                found = await self._sdk.models.retrieve(self.model)
            except anthropic.NotFoundError:  # some servers list their models and retrieve none
                listed = (await self._sdk.models.list()).data
                if self.model not in {model.id for model in listed}:
                    raise
            else:
                _named(found.id)

    def line(self, request: Request) -> dict[str, Any]:
        """The request as one line of the provider's own JSONL."""
        return {"custom_id": request.key, "params": _arguments(request)}

    def read(self, line: Mapping[str, Any]) -> tuple[str, Outcome]:
        """One line of a results file: key and outcome. Raises ProviderError where the line has no key."""
        with self._told(spends=False):
            return self._read(MessageBatchIndividualResponse.construct(**line))

    async def submit(self, requests: Sequence[Request], token: str) -> str:
        """Send a batch; returns its name. Raises ProviderError, `charged` where there may be a batch all the same."""
        with self._told(spends=True):
            lines = cast(Any, [self.line(request) for request in requests])
            return _state(await self._batches.create(requests=lines)).name

    async def state(self, name: str) -> BatchState:
        """How far a batch is. Raises ProviderError."""
        with self._told(spends=False):
            return _state(await self._batches.retrieve(name))

    async def recent(self) -> list[BatchState]:
        """The workspace's newest batches, newest first. Raises ProviderError."""
        with self._told(spends=False):
            return [_state(batch) for batch in (await self._batches.list(limit=PAGE)).data]

    async def results(self, name: str) -> AsyncIterator[tuple[str, Outcome]]:
        """All results of an ended batch, in any order. Raises ProviderError."""
        with self._told(spends=False):
            entries = await self._batches.results(name)
            try:
                async for entry in entries:
                    yield self._read(entry)
            finally:
                await entries.close()

    def _read(self, entry: MessageBatchIndividualResponse) -> tuple[str, Outcome]:
        key, result = _named(entry.custom_id), entry.result
        try:
            if result.type == "succeeded":
                return key, _response(key, result.message)
            if result.type == "errored":
                told = result.error.error
                code = (getattr(told, "details", None) or {}).get("error_code")
                return key, self._refusal(ERROR_STATUS.get(told.type, UNKNOWN_STATUS), told.type, code, told.message)
            if result.type in ("canceled", "expired"):
                return key, None
            raise ValueError(f"result of type {result.type!r}")
        except UNREADABLE as error:
            return key, self._failure(error, spends=True)

    @contextmanager
    def _told(self, spends: bool) -> Iterator[None]:
        """What goes wrong inside is raised as a ProviderError; `spends`: whether the call can cost anything."""
        try:
            yield
        except FAILURES as error:
            raise self._failure(error, spends) from None  # a server may have quoted the key in what is left out here

    def _failure(self, error: Exception, spends: bool) -> ProviderError:
        if isinstance(error, anthropic.APIStatusError):
            text = error.api_message or error.message
            return self._refusal(error.status_code, error.type, error.error_code, text, error.response.headers)
        if isinstance(error, anthropic.APIConnectionError | httpx2.RequestError):
            cause = error.__cause__ or error
            sent = not isinstance(cause, NOT_SENT)
            if isinstance(cause, httpx2.TimeoutException):
                late = f"no answer within {SILENCE_SECONDS:g} s" if sent else f"no connection in {CONNECT_SECONDS:g} s"
                return ProviderError(ErrorKind.TIMEOUT, late, charged=spends and sent)
            said = redacted(f"{error} {cause!r}", self._key)
            return ProviderError(ErrorKind.TRANSPORT, said, charged=spends and sent)
        said = redacted(f"not what the Messages API sends: {error}", self._key)
        return ProviderError(ErrorKind.UNPARSEABLE, said, charged=spends)

    def _refusal(
        self, status: int, kind: str | None, code: str | None, message: str, headers: Mapping[str, str] | None = None
    ) -> ProviderError:
        codes = frozenset(name for name in (kind, code) if name)
        return from_status(status, codes, redacted(message, self._key), headers or {})


def _arguments(request: Request) -> dict[str, Any]:
    given = request.parameters
    arguments: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens or MAX_TOKENS,
        "messages": [{"role": role, "content": content} for role, content in request.messages if role != "system"],
    }
    if system := "\n\n".join(content for role, content in request.messages if role == "system"):
        # All that the requests of a step share: the first pays a little more, the others far less.
        arguments["system"] = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
    if stop := given.get("stop"):
        arguments["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if "thinking" in given:
        arguments["thinking"] = given["thinking"]
    output: dict[str, Any] = {}
    if "schema" in given:
        output["format"] = {"type": "json_schema", "schema": given["schema"]}
    if "effort" in given:
        output["effort"] = given["effort"]
    return arguments | ({"output_config": output} if output else {})


def _response(key: str, message: Message) -> Response:
    """The message as a Response; UNREADABLE where the body is none."""
    text = "".join(block.text for block in message.content if block.type == "text")
    finish = FINISHES.get(message.stop_reason or "")
    if finish is None:
        raise ValueError(f"stop_reason {message.stop_reason!r}, expected one of {', '.join(FINISHES)}")
    if finish is Finish.STOP and not text.strip():
        finish = Finish.EMPTY
    usage = message.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    asked = usage.input_tokens + read + written
    return Response(key, text, finish, message.model, asked, usage.output_tokens, read, written)


def _state(batch: MessageBatch) -> BatchState:
    """The batch as a BatchState, without a token: the API keeps nothing of ours; UNREADABLE where the body is none."""
    counts = batch.request_counts
    over = counts.succeeded + counts.errored + counts.canceled + counts.expired
    return BatchState(_named(batch.id), batch.processing_status == "ended", over + counts.processing, over)


def _named(name: object) -> str:
    """The SDK checks no body: a name that is none would be looked for in vain later."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"a name was expected, got {name!r}")
    return name
