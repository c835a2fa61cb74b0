"""What the providers behind an SDK share: connections, silence, errors as typed values, and no key in any message."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

import httpx2

from nlilab.core.errors import UserError
from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.keys import redacted
from nlilab.llm.money import estimated_tokens
from nlilab.llm.request import Request, Response

CONNECT_SECONDS = 10.0  # the client limits the whole call; this one stops a dead address sooner
SILENCE_SECONDS = 300.0  # nothing limits the whole of a batch's upload or download, only its pauses
PAGE = 100  # batches looked at
MOST_TOKENS = 1e12  # a larger number is none of tokens

NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
UNREADABLE = (ValueError, AttributeError, TypeError, LookupError)  # the SDKs check no body


ENVIRONMENT = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")  # httpx2 reads it

UNLIMITED = httpx2.Limits(max_connections=None)  # the client itself bounds its calls


def connections(kind: Callable[..., Any], address: str, who: str) -> Any:
    """An SDK's own HTTP client, for one address. Raises UserError where the environment names no usable proxy.

    A loopback address is asked directly: a proxy would look for the server on its own machine.
    """
    if _is_loopback(address):
        return kind(transport=httpx2.AsyncHTTPTransport(trust_env=False, limits=UNLIMITED))
    try:
        return kind()
    except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
        own = [name for name in ENVIRONMENT if os.environ.get(name) or os.environ.get(name.lower())]
        raise UserError(
            f"generator {who}: the proxy or the certificates of the environment cannot be used ({error}); correct or "
            f"unset {', '.join(own)} (a proxy is http://host:port; NO_PROXY holds names without brackets)"
        ) from error


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class SdkProvider(ABC):
    """One model at one address. A subclass sends and reads; `_status_error` says what an HTTP status means."""

    batch = 1
    protocol: ClassVar[str]  # what an unreadable body should have been
    sdk_error: ClassVar[type[Exception]]
    connection_error: ClassVar[type[Exception]]
    not_found: ClassVar[type[Exception]]

    def __init__(self, model: str, key: str, sdk: Any) -> None:
        self.model = model
        self._key = key
        self._sdk = sdk

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def answer(self, requests: Sequence[Request]) -> list[Response | ProviderError]:
        """One answer for the one request."""
        return [await self._answer(request) for request in requests]

    async def _answer(self, request: Request) -> Response | ProviderError:
        try:
            return await self._call(request)
        except self._failures() as error:
            return self._failure(error, spends=True)

    @abstractmethod
    async def _call(self, request: Request) -> Response | ProviderError:
        """The answer; whatever the SDK raises is told apart by the caller."""

    async def check(self) -> None:
        """Ask the endpoint for this model. Raises ProviderError, BAD_REQUEST where it knows none of this name."""
        with self._told(spends=False):
            try:
                found = await self._sdk.models.retrieve(self.model)
            except self.not_found:  # some servers list their models and retrieve none
                if self.model not in {model.id for model in (await self._sdk.models.list()).data}:
                    raise
            else:
                named(found.id)

    def _failures(self) -> tuple[type[Exception], ...]:
        return (self.sdk_error, httpx2.RequestError, *UNREADABLE)  # httpx2's own where a download breaks off

    @abstractmethod
    def _status_error(self, error: Any) -> ProviderError | None:
        """The error that an answer with an HTTP status is; None for any other."""

    @contextmanager
    def _told(self, spends: bool) -> Iterator[None]:
        """What goes wrong inside is raised as a ProviderError; `spends`: whether the call can cost anything."""
        try:
            yield
        except self._failures() as error:
            raise self._failure(error, spends) from None  # a server may have quoted the key in what is left out here

    def _failure(self, error: Exception, spends: bool) -> ProviderError:
        if (refused := self._status_error(error)) is not None:
            return refused
        if isinstance(error, (self.connection_error, httpx2.RequestError)):
            cause = error.__cause__ or error
            sent = not isinstance(cause, NOT_SENT)
            if isinstance(cause, httpx2.TimeoutException):
                late = f"no answer within {SILENCE_SECONDS:g} s" if sent else f"no connection in {CONNECT_SECONDS:g} s"
                return ProviderError(ErrorKind.TIMEOUT, late, charged=spends and sent)
            said = redacted(f"{error} {cause!r}", self._key)
            return ProviderError(ErrorKind.TRANSPORT, said, charged=spends and sent)
        said = redacted(f"not what {self.protocol} sends: {error}", self._key)
        return ProviderError(ErrorKind.UNPARSEABLE, said, charged=spends)


def counts(asked: object, given: object, read: object, written: object, spoken: int) -> dict[str, Any]:
    """The fields of a Response that count tokens, from what a server says of them.

    Servers leave `usage` out, or hold null or 0 in it. What is not counted is named in `untold`, and the output is
    estimated from `spoken`, the characters that came (thoughts included): no answer passes for a free one.
    """
    lacking = {"input": not tokens(asked), "output": not tokens(given) and (given != 0 or spoken > 0)}
    whole = tokens(asked) or tokens(read) + tokens(written)  # the cached ones are part of it
    cached = min(tokens(read), whole)
    return {
        "input_tokens": tokens(asked),
        "output_tokens": estimated_tokens(spoken) if lacking["output"] else tokens(given),
        "cache_read_tokens": cached,
        "cache_write_tokens": min(tokens(written), whole - cached),
        "untold": frozenset(name for name, is_lacking in lacking.items() if is_lacking),
    }


def tokens(told: object) -> int:
    """A number of tokens as a server tells it; 0 for what is none."""
    number = isinstance(told, (int, float)) and not isinstance(told, bool)
    return int(cast(float, told)) if number and 0 < cast(float, told) < MOST_TOKENS else 0


def named(name: object) -> str:
    """The SDKs check no body: a name that is none would be looked for in vain later."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"a name was expected, got {name!r}")
    return name
