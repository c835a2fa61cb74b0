"""OpenAI's chat completions, by its SDK: OpenAI itself, or any server that speaks the protocol (`base_url`)."""

from collections.abc import Sequence
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from nlilab.llm.errors import ErrorKind, ProviderError, from_status
from nlilab.llm.keys import api_key, redacted
from nlilab.llm.request import Finish, Request, Response

ADDRESS = "https://api.openai.com/v1"
CONNECT_SECONDS = 10.0  # the client limits the whole call; this one stops a dead address sooner
NO_KEY = "none"  # the SDK sends some key always; a server of one's own mostly looks at none

FINISHES = {"stop": Finish.STOP, "length": Finish.LENGTH, "content_filter": Finish.REFUSED}
AS_THEY_ARE = ("temperature", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort")


class OpenAI:
    """One model behind the chat completions protocol."""

    batch = 1
    parameters = frozenset({*AS_THEY_ARE, "max_tokens", "schema"})

    def __init__(self, model: str, base_url: str | None = None) -> None:
        self.model = model
        self._key = api_key("openai", model, required=base_url is None)
        # The address is always given: one from the environment would not be part of a request's key.
        self._sdk = openai.AsyncOpenAI(
            api_key=self._key or NO_KEY,
            base_url=base_url or ADDRESS,
            max_retries=0,
            timeout=openai.Timeout(None, connect=CONNECT_SECONDS),
        )
        # Only OpenAI has renamed the limit; vLLM, Ollama and llama.cpp all know the old name.
        self._limit = "max_tokens" if base_url else "max_completion_tokens"

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def answer(self, requests: Sequence[Request]) -> list[Response | ProviderError]:
        """One answer for the one request."""
        return [await self._answer(request) for request in requests]

    async def _answer(self, request: Request) -> Response | ProviderError:
        arguments = self._arguments(request)
        try:
            return _response(request, await self._sdk.chat.completions.create(**arguments))
        except openai.APIStatusError as error:
            codes = frozenset(code for code in (error.code, error.type) if code)
            return from_status(error.status_code, codes, redacted(_said(error), self._key), error.response.headers)
        except openai.APITimeoutError:
            return ProviderError(ErrorKind.TIMEOUT, f"no connection within {CONNECT_SECONDS:g} s")
        except openai.APIConnectionError as error:
            return ProviderError(ErrorKind.TRANSPORT, redacted(f"{error} {error.__cause__!r}", self._key))
        except (ValueError, AttributeError, TypeError, IndexError) as error:
            return ProviderError(ErrorKind.UNPARSEABLE, redacted(f"not a completion: {error}", self._key))

    def _arguments(self, request: Request) -> dict[str, Any]:
        given = request.parameters
        arguments: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": role, "content": content} for role, content in request.messages],
        }
        arguments |= {name: given[name] for name in AS_THEY_ARE if name in given}
        if request.max_tokens is not None:
            arguments[self._limit] = request.max_tokens
        if "schema" in given:
            form = {"name": "answer", "schema": given["schema"], "strict": True}
            arguments["response_format"] = {"type": "json_schema", "json_schema": form}
        return arguments


def _said(error: openai.APIStatusError) -> str:
    said = error.body.get("message") if isinstance(error.body, dict) else None
    return str(said or error.message)


def _response(request: Request, completion: ChatCompletion) -> Response:
    """The completion as a Response; ValueError, AttributeError, TypeError or IndexError where the body is none."""
    choice = completion.choices[0]
    text, refusal = choice.message.content or "", choice.message.refusal
    finish = FINISHES.get(choice.finish_reason)
    if finish is None:
        raise ValueError(f"finish_reason {choice.finish_reason!r}, expected one of {', '.join(FINISHES)}")
    if refusal:
        text, finish = refusal, Finish.REFUSED
    elif finish is Finish.STOP and not text.strip():
        finish = Finish.EMPTY
    usage = completion.usage
    counted = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
    return Response(request.key, text, finish, completion.model, *counted)
