"""What can go wrong with one call, as a typed value, and what follows from it."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum

from nlilab.llm.request import writable


class ErrorKind(StrEnum):
    """Why a call gave no answer."""

    AUTH = "auth"
    QUOTA = "quota"
    BAD_REQUEST = "bad_request"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    TRANSPORT = "transport"
    UNPARSEABLE = "unparseable"


STOPS_THE_RUN = frozenset({ErrorKind.AUTH, ErrorKind.QUOTA})  # every other request would meet the same wall
RETRIES = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.OVERLOADED, ErrorKind.TIMEOUT, ErrorKind.TRANSPORT})

# A 429 can mean "slower" or "pay first": only the code in its body tells; 400 and 403 hide the same news.
QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_error", "billing_hard_limit_reached", "billing_not_active"}
    | {"contract_spend_limit_reached", "enforced_spend_limit_reached", "linked_organization_spend_limit_reached"}
)
QUOTA_WORDS = "credit balance is too low"  # Anthropic has sent this one as a plain invalid_request_error
REFUSAL_CODES = frozenset({"content_filter", "content_policy_violation"})

# Any other 4xx is a bad request, any other 5xx (529 too) an overloaded server.
STATUS_KINDS = {
    401: ErrorKind.AUTH,
    402: ErrorKind.QUOTA,
    403: ErrorKind.AUTH,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.OVERLOADED,  # of two calls that met; 425: one that came too early. Both pass
    425: ErrorKind.OVERLOADED,
    429: ErrorKind.RATE_LIMITED,
    504: ErrorKind.TIMEOUT,
}

MESSAGE_CHARACTERS = 400


class ProviderError(Exception):
    """One call that gave no answer.

    `retry_after` is what the server asked for, in seconds. `charged` says that the provider may have worked and may
    bill for it (a call that broke off, a body that could not be read): a budget counts the most it can have cost.
    """

    def __init__(self, kind: ErrorKind, message: str, retry_after: float | None = None, charged: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = writable(message)
        self.retry_after = retry_after
        self.charged = charged

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def from_status(status: int, codes: frozenset[str], message: str, headers: Mapping[str, str]) -> ProviderError:
    """The error that an HTTP status, the codes in its body and its headers mean."""
    kind = STATUS_KINDS.get(status, ErrorKind.OVERLOADED if status >= 500 else ErrorKind.BAD_REQUEST)
    if codes & QUOTA_CODES or QUOTA_WORDS in message:
        kind = ErrorKind.QUOTA
    elif codes & REFUSAL_CODES:
        kind = ErrorKind.REFUSED
    return ProviderError(kind, f"HTTP {status}: {message[:MESSAGE_CHARACTERS]}", retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the Retry-After header (a number or a date, RFC 9110 section 10.2.3), if it says so.

    A date is measured against the server's own Date header: the clock of this machine may be wrong.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        now = parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else time.time()
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None
