"""Anthropic's Messages API, by its SDK."""

from collections.abc import Sequence
from typing import Any

import anthropic

from nlilab.llm.errors import ErrorKind, ProviderError, from_status
from nlilab.llm.keys import api_key, redacted
from nlilab.llm.request import Finish, Request, Response

ADDRESS = "https://api.anthropic.com"
CONNECT_SECONDS = 10.0  # the client limits the whole call; this one stops a dead address sooner
MAX_TOKENS = 4096  # the API asks for a limit; this one where the generator sets none

FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.REFUSED,
}


class Anthropic:
    """One Claude model; API version 2026-10-21 knows no temperature, top_p or top_k and refuses them."""

    batch = 1
    parameters = frozenset({"max_tokens", "stop", "schema", "effort", "thinking"})

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

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def answer(self, requests: Sequence[Request]) -> list[Response | ProviderError]:
        """One answer for the one request."""
        return [await self._answer(request) for request in requests]

    async def _answer(self, request: Request) -> Response | ProviderError:
        arguments = _arguments(request)
        try:
            return _response(request, await self._sdk.messages.create(**arguments))
        except anthropic.APIStatusError as error:
            codes = frozenset(code for code in (error.type, error.error_code) if code)
            text = redacted(error.api_message or error.message, self._key)
            return from_status(error.status_code, codes, text, error.response.headers)
        except anthropic.APITimeoutError:
            return ProviderError(ErrorKind.TIMEOUT, f"no connection within {CONNECT_SECONDS:g} s")
        except anthropic.APIConnectionError as error:
            return ProviderError(ErrorKind.TRANSPORT, redacted(f"{error} {error.__cause__!r}", self._key))
        except (ValueError, AttributeError, TypeError) as error:
            return ProviderError(ErrorKind.UNPARSEABLE, redacted(f"not a message: {error}", self._key))


def _arguments(request: Request) -> dict[str, Any]:
    given = request.parameters
    arguments: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens or MAX_TOKENS,
        "messages": [{"role": role, "content": content} for role, content in request.messages if role != "system"],
    }
    if system := [content for role, content in request.messages if role == "system"]:
        arguments["system"] = "\n\n".join(system)
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


def _response(request: Request, message: anthropic.types.Message) -> Response:
    """The message as a Response; ValueError, AttributeError or TypeError where the body is none."""
    text = "".join(block.text for block in message.content if block.type == "text")
    finish = FINISHES.get(message.stop_reason or "")
    if finish is None:
        raise ValueError(f"stop_reason {message.stop_reason!r}, expected one of {', '.join(FINISHES)}")
    if finish is Finish.STOP and not text.strip():
        finish = Finish.EMPTY
    usage = message.usage
    cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return Response(request.key, text, finish, message.model, usage.input_tokens + cached, usage.output_tokens)
