"""OpenAI's chat completions and batches, by its SDK: OpenAI itself, or any server that speaks the protocol."""

import json
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any, Final

import openai
from openai.resources.chat.completions import AsyncCompletions
from openai.types import Batch, BatchError
from openai.types.chat import ChatCompletion

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
)
from nlilab.llm.request import LIMITS, Finish, Request, Response, without_system

ADDRESS = "https://api.openai.com/v1"
NO_KEY = "none"  # the SDK sends some key always; a server of one's own mostly looks at none
ENDPOINT: Final = "/v1/chat/completions"
TOKEN = "nlilab"  # the entry of a batch's metadata

FINISHES = {"stop": Finish.STOP, "length": Finish.LENGTH, "content_filter": Finish.REFUSED}
FINISHES |= {"eos_token": Finish.STOP, "stop_sequence": Finish.STOP}  # of text-generation-inference
FINISHES |= {"model_length": Finish.LENGTH}  # of Mistral
AS_THEY_ARE = ("temperature", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort")
# What is ours to say, or would make of a call more than one text at the table's price.
RESERVED = frozenset(
    {"messages", "model", "n", "stream", "stream_options", "timeout", "extra_headers", "extra_query"}
    | {"audio", "modalities", "service_tier", "web_search_options", "moderation"}
)
FURTHER = frozenset(signature(AsyncCompletions.create).parameters) - RESERVED - {"self", *AS_THEY_ARE, *LIMITS}

ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
NEVER_WORKED_ON = frozenset({"batch_expired", "batch_cancelled"})
# Errors of batches that have no status of their own; any other one is a bad request.
ERROR_STATUS = {"request_timeout": 504, "token_limit_exceeded": 429}
UNKNOWN_STATUS = 400
NO_SYSTEM = re.compile(r"system (role|message)s?|roles must alternate", re.IGNORECASE)
ROUTED_STATUS = 502  # of an error that came with the status 200 and names no other


log = logging.getLogger(__name__)


class OpenAI(SdkProvider):
    """One model behind the chat completions protocol."""

    protocol = "the chat completions protocol"
    sdk_error, connection_error = openai.OpenAIError, openai.APIConnectionError
    not_found = openai.NotFoundError
    parameters = frozenset({*AS_THEY_ARE, *LIMITS, "schema"})
    further, reserved = FURTHER, RESERVED
    most_in_a_batch = 50_000
    most_bytes_in_a_batch = 190_000_000  # the API takes 200 MB

    def __init__(self, model: str, base_url: str | None = None) -> None:
        key = api_key("openai", model, required=base_url is None)
        # The address is always given: one from the environment would not be part of a request's key.
        sdk = openai.AsyncOpenAI(
            api_key=key or NO_KEY,
            base_url=base_url or ADDRESS,
            http_client=connections(openai.DefaultAsyncHttpxClient, base_url or ADDRESS, f"openai/{model}"),
            max_retries=0,
            timeout=openai.Timeout(None, connect=CONNECT_SECONDS),
        )
        super().__init__(model, key, sdk)
        self._patient = sdk.with_options(timeout=openai.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS))
        # Only OpenAI has renamed max_tokens; vLLM, Ollama and llama.cpp all know the old name.
        self._limit = "max_tokens" if base_url else "max_completion_tokens"

    async def _call(self, request: Request) -> Response | ProviderError:
        arguments = self._arguments(request)
        try:
            completion = await self._sdk.chat.completions.create(**arguments)
        except openai.BadRequestError as error:  # of a server whose model's chat template knows no system role
            if not (NO_SYSTEM.search(error.message) and any(role == "system" for role, _ in request.messages)):
                raise
            merged = self._arguments(replace(request, messages=tuple(without_system(request.messages))))
            completion = await self._sdk.chat.completions.create(**merged)
        return self._read(request.key, completion)

    def line(self, request: Request) -> dict[str, Any]:
        """The request as one line of the provider's own JSONL."""
        body = self._arguments(request)
        body |= body.pop("extra_body", None) or {}  # as the SDK does online
        return {"custom_id": request.key, "method": "POST", "url": ENDPOINT, "body": body}

    def read(self, line: Mapping[str, Any]) -> tuple[str, Outcome]:
        """One line of an output or error file: key and outcome. Raises ProviderError where the line has no key."""
        with self._told(spends=False):
            key = named(line["custom_id"])
        try:
            return key, self._outcome(key, line)
        except UNREADABLE as error:
            return key, self._failure(error, spends=True)

    async def submit(self, requests: Sequence[Request], token: str) -> str:
        """Send a batch; returns its name. Raises ProviderError, `charged` where there may be a batch all the same."""
        lines = "".join(json.dumps(self.line(request)) + "\n" for request in requests)
        with self._told(spends=False):
            sent = await self._patient.files.create(file=(f"{TOKEN}-{token}.jsonl", lines.encode()), purpose="batch")
            file = named(sent.id)
        with self._told(spends=True):
            batch = await self._patient.batches.create(
                input_file_id=file, endpoint=ENDPOINT, completion_window="24h", metadata={TOKEN: token}
            )
            return self._state(batch).name

    async def state(self, name: str) -> BatchState:
        """How far a batch is. Raises ProviderError."""
        with self._told(spends=False):
            return self._state(await self._patient.batches.retrieve(name))

    async def recent(self) -> list[BatchState]:
        """The project's newest batches, newest first. Raises ProviderError."""
        with self._told(spends=False):
            return [self._state(batch) for batch in (await self._patient.batches.list(limit=PAGE)).data]

    async def results(self, name: str) -> AsyncIterator[tuple[str, Outcome]]:
        """All results of an ended batch, in any order. Raises ProviderError."""
        with self._told(spends=False):
            batch = await self._patient.batches.retrieve(name)
            for file in filter(None, (batch.output_file_id, batch.error_file_id)):
                async with self._patient.files.with_streaming_response.content(file) as content:
                    async for line in _lines(content.iter_bytes()):
                        try:
                            yield self.read(json.loads(line))
                        except (ProviderError, json.JSONDecodeError) as error:  # the other lines are paid for, too
                            log.warning("a result in %s cannot be used: %s", name, error)

    def _arguments(self, request: Request) -> dict[str, Any]:
        given = request.parameters
        arguments: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": role, "content": content} for role, content in request.messages],
        }
        arguments |= {name: given[name] for name in (*AS_THEY_ARE, *sorted(FURTHER)) if name in given}
        if given.get("max_tokens") is not None:
            arguments[self._limit] = given["max_tokens"]
        if given.get("max_completion_tokens") is not None:
            arguments["max_completion_tokens"] = given["max_completion_tokens"]
        if "schema" in given:
            form = {"name": "answer", "schema": given["schema"], "strict": True}
            arguments["response_format"] = {"type": "json_schema", "json_schema": form}
        return arguments

    def _outcome(self, key: str, line: Mapping[str, Any]) -> Outcome:
        error, answer = line.get("error") or {}, line.get("response")
        if error.get("code") in NEVER_WORKED_ON:
            return None
        if not answer:
            return self._refusal(ERROR_STATUS.get(error["code"], UNKNOWN_STATUS), error)
        status, body = answer["status_code"], answer["body"]
        if status == 200:
            return self._read(key, ChatCompletion.construct(**body))  # as lenient as the SDK is online
        return self._refusal(status, body.get("error", body) if isinstance(body, Mapping) else body)

    def _read(self, key: str, completion: ChatCompletion) -> Response | ProviderError:
        """The answer; routers in front of other servers send their errors, too, with the status 200."""
        told = getattr(completion, "error", None)
        if not told or completion.choices:
            return _response(key, completion)
        code = told.get("code") if isinstance(told, Mapping) else None
        return self._refusal(code if isinstance(code, int) and 400 <= code < 600 else ROUTED_STATUS, told)

    def _state(self, batch: Batch) -> BatchState:
        """The batch as a BatchState; "" is the token of somebody else's; UNREADABLE where the body is none."""
        failed = None
        if batch.status == "failed":
            reasons = (batch.errors and batch.errors.data) or [BatchError(message="it gives no reason")]
            told = reasons[0].to_dict()
            failed = self._refusal(ERROR_STATUS.get(str(told.get("code")), UNKNOWN_STATUS), told)
        counts = batch.request_counts
        total, done = (counts.total, counts.completed + counts.failed) if counts else (0, 0)
        token = (batch.metadata or {}).get(TOKEN, "")
        return BatchState(named(batch.id), batch.status in ENDED, total, done, token, failed)

    def _status_error(self, error: Any) -> ProviderError | None:
        if not isinstance(error, openai.APIStatusError):
            return None
        return self._refusal(error.status_code, error.body or error.message, error.response.headers)

    def _refusal(self, status: int, told: object, headers: Mapping[str, str] | None = None) -> ProviderError:
        """`told` is the error object of a body, or whatever else a server sent."""
        fields = told if isinstance(told, Mapping) else {}
        codes = frozenset(str(fields[name]) for name in ("code", "type") if fields.get(name))
        return from_status(status, codes, redacted(str(fields.get("message") or told), self._key), headers or {})


def _response(key: str, completion: ChatCompletion) -> Response:
    """The completion as a Response; UNREADABLE where the body is none."""
    choice = completion.choices[0]
    text, refusal, thought = _said(choice.message)
    finish = FINISHES.get(choice.finish_reason)
    if finish is None:
        raise ValueError(f"finish_reason {choice.finish_reason!r}, expected one of {', '.join(FINISHES)}")
    spoken = len(text) + len(refusal) + thought
    if refusal:
        text, finish = refusal, Finish.REFUSED
    elif finish is Finish.STOP and not text.strip():
        finish = Finish.EMPTY
    usage = completion.usage
    asked, given = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
    read = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
    return Response(key, text, finish, completion.model, **counts(asked, given, read, 0, spoken))


def _said(message: Any) -> tuple[str, str, int]:
    """The text, the refusal, and how long the thoughts are: some servers send all of them as parts of the content."""
    content = message.content
    parts = [content] if isinstance(content, (str, Mapping)) else content or []
    text, refusal = "", message.refusal or ""
    thoughts = [getattr(message, name, None) or "" for name in ("reasoning_content", "reasoning")]
    for part in parts:
        if isinstance(part, str):
            text += part
        elif (kind := part.get("type", "text")) in ("text", "output_text"):
            text += part["text"]
        elif kind == "refusal":
            refusal += part["refusal"]
        else:
            thoughts.append(part)
    return text, refusal, sum(len(str(thought)) for thought in thoughts)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a file; httpx2 would also cut at U+2028 and the like, which may stand inside of JSON."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in filter(bytes.strip, whole):
            yield line
    if rest.strip():
        yield rest
