"""Anthropic's Messages API and Message Batches, by its SDK."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from inspect import signature
from typing import Any, cast

import anthropic
from anthropic.resources.messages import AsyncMessages
from anthropic.types import Message
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from nlilab.llm.batch import BatchState, Outcome
from nlilab.llm.errors import ProviderError, from_status
from nlilab.llm.keys import api_key, redacted
from nlilab.llm.providers.sdk import (
    CONNECT_SECONDS,
    PAGE,
    SILENCE_SECONDS,
    UNREADABLE,
    SdkProvider,
    connections,
    counts,
    named,
    tokens,
)
from nlilab.llm.request import Finish, Request, Response

ADDRESS = "https://api.anthropic.com"
MAX_TOKENS = 4096  # the API asks for a limit; this one where the generator sets none

# What is ours to say, or would make of a call another one than one text at the table's price.
RESERVED = frozenset(
    {"messages", "model", "system", "stream", "timeout", "extra_headers", "extra_query"}
    | {"service_tier", "speed", "inference_geo", "workspace_id", "user_profile_id"}
)
OWN = frozenset({"max_tokens", "stop", "schema", "effort", "thinking"})
FURTHER = frozenset(signature(AsyncMessages.create).parameters) - RESERVED - OWN - {"self"}

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


log = logging.getLogger(__name__)


class Anthropic(SdkProvider):
    """One Claude model; API version 2026-10-21 knows no temperature, top_p or top_k and refuses them."""

    protocol = "the Messages API"
    sdk_error, connection_error = anthropic.AnthropicError, anthropic.APIConnectionError
    not_found = anthropic.NotFoundError
    parameters, further, reserved = OWN, FURTHER, RESERVED
    most_in_a_batch = 100_000
    most_bytes_in_a_batch = 240_000_000  # the API takes 256 MB, its frame around the lines included

    def __init__(self, model: str, base_url: str | None = None) -> None:
        key = api_key("anthropic", model)
        # The address is always given: one from the environment would not be part of a request's key.
        sdk = anthropic.AsyncAnthropic(
            api_key=key,
            base_url=base_url or ADDRESS,
            http_client=connections(anthropic.DefaultAsyncHttpxClient, base_url or ADDRESS, f"anthropic/{model}"),
            max_retries=0,
            timeout=anthropic.Timeout(None, connect=CONNECT_SECONDS),
        )
        super().__init__(model, key, sdk)
        self._batches = sdk.with_options(
            timeout=anthropic.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        ).messages.batches

    async def _call(self, request: Request) -> Response:
        return _response(request.key, await self._sdk.messages.create(**_arguments(request)))

    def line(self, request: Request) -> dict[str, Any]:
        """The request as one line of the provider's own JSONL."""
        params = _arguments(request)
        params |= params.pop("extra_body", None) or {}  # as the SDK does online
        return {"custom_id": request.key, "params": params}

    def read(self, line: Mapping[str, Any]) -> tuple[str, Outcome]:
        """One line of a results file: key and outcome. Raises ProviderError where the line has no key."""
        with self._told(spends=False):
            entry = MessageBatchIndividualResponse.construct(**line)
        return self._named(entry)

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
                    try:
                        yield self._named(entry)
                    except ProviderError as error:  # the other lines are paid for, too
                        log.warning("a result in %s cannot be used: %s", name, error)
            finally:
                await entries.close()

    def _named(self, entry: MessageBatchIndividualResponse) -> tuple[str, Outcome]:
        with self._told(spends=False):
            return self._read(entry)

    def _read(self, entry: MessageBatchIndividualResponse) -> tuple[str, Outcome]:
        key, result = named(entry.custom_id), entry.result
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

    def _status_error(self, error: Any) -> ProviderError | None:
        if not isinstance(error, anthropic.APIStatusError):
            return None
        text = error.api_message or error.message
        return self._refusal(error.status_code, error.type, error.error_code, text, error.response.headers)

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
    arguments |= {name: given[name] for name in sorted(FURTHER) if name in given}
    if system := "\n\n".join(content for role, content in request.messages if role == "system"):
        # All that the requests of a step share: the first pays a little more, the others far less.
        arguments["system"] = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
    if stop := given.get("stop"):
        arguments["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if "thinking" in given:
        arguments["thinking"] = given["thinking"]
    output: dict[str, Any] = dict(given.get("output_config") or {})
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
    plain, read, written, given = (
        getattr(usage, name, None)
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    )
    asked = tokens(plain) + tokens(read) + tokens(written) if plain is not None else None
    spoken = sum(len(getattr(block, "thinking", None) or "") for block in message.content) + len(text)
    return Response(key, text, finish, message.model, **counts(asked, given, read, written, spoken))


def _state(batch: MessageBatch) -> BatchState:
    """The batch as a BatchState, without a token: the API keeps nothing of ours; UNREADABLE where the body is none."""
    counts = batch.request_counts
    over = counts.succeeded + counts.errored + counts.canceled + counts.expired
    return BatchState(named(batch.id), batch.processing_status == "ended", over + counts.processing, over)
