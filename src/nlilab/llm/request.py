"""What is asked of a language model and what came back: the values that the store keeps."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

KEY_VERSION = 1
# One for all keys: json.dumps would build one for each.
ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

# What is not part of a request's identity, and why.
EXCLUDED_FROM_KEY = {
    "meta": "never reaches the wire: provenance, and the embedded generator's cue",
    "parameters.max_tokens": "only cuts an answer off, and a cut-off answer is never served again: "
    "raising it must not lose the finished ones",
    "parameters.max_completion_tokens": "the same under another name",
}
LIMITS = ("max_tokens", "max_completion_tokens")  # as servers call the longest answer that is wanted


Identity = tuple[str, str, str | None]  # provider, model, base_url


@dataclass(frozen=True)
class Request:
    """One call: everything in it but what EXCLUDED_FROM_KEY names changes the answer and so the key.

    `parameters` holds the provider's own options (temperature, max_tokens, stop, seed, schema ...);
    `sample` tells apart several answers to one prompt; `meta` holds what filled the prompt (task, step,
    label, context, the fields' texts).
    """

    provider: str
    model: str
    messages: tuple[tuple[str, str], ...]  # (role, content)
    base_url: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sample: int = 0
    meta: Mapping[str, str] = field(default_factory=dict, compare=False)

    @cached_property
    def key(self) -> str:
        """SHA-256 (64 hexadecimal digits) of versioned canonical JSON."""
        identity = {
            "version": KEY_VERSION,
            "provider": self.provider,
            "model": self.model,
            "messages": self.messages,
            "base_url": self.base_url,
            "parameters": {k: v for k, v in self.parameters.items() if f"parameters.{k}" not in EXCLUDED_FROM_KEY},
            "sample": self.sample,
        }
        return hashlib.sha256(canonical(identity).encode()).hexdigest()

    def written(self) -> str:
        """What was asked as JSON: messages, parameters, sample."""
        return json.dumps({"messages": self.messages, "parameters": dict(self.parameters), "sample": self.sample})

    @property
    def identity(self) -> Identity:
        """Whom it asks."""
        return (self.provider, self.model, self.base_url)

    @cached_property
    def max_tokens(self) -> int | None:
        """The longest answer that is wanted, in the provider's tokens; None where the provider decides.

        Under whichever name, in `extra_body` too; of several the largest: which one a server heeds is its own affair.
        """
        extra = self.parameters.get("extra_body")
        places = [self.parameters, extra] if isinstance(extra, Mapping) else [self.parameters]
        given = [place[name] for place in places for name in LIMITS if isinstance(place.get(name), int)]
        return max(given, default=None)


def without_system(messages: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The messages with what the system says put before the user's first turn, for models that know no such role."""
    told = [content for role, content in messages if role == "system"]
    rest = [(role, content) for role, content in messages if role != "system"]
    place = next((place for place, (role, _) in enumerate(rest) if role == "user"), None)
    if place is None:
        return [("user", "\n\n".join(told)), *rest]
    return [*rest[:place], ("user", "\n\n".join([*told, rest[place][1]])), *rest[place + 1 :]]


def canonical(value: Any) -> str:
    """One JSON text for one value: sorted keys, no spaces."""
    return ENCODER.encode(value)


class Finish(StrEnum):
    """How an answer ended; only `stop` is ever served again from the store."""

    STOP = "stop"
    LENGTH = "length"
    REFUSED = "refused"
    EMPTY = "empty"


@dataclass(frozen=True)
class Response:
    """The raw answer as it came back; it is parsed later and elsewhere, so a parser's fix costs nothing."""

    key: str
    text: str
    finish: Finish
    model: str  # as the provider returned it
    input_tokens: int = 0  # all of them, cached ones included
    output_tokens: int = 0
    cache_read_tokens: int = 0  # of the input: served from the provider's prompt cache, at a lower price
    cache_write_tokens: int = 0  # of the input: written into it, at a higher one
    # Which of "input" and "output" the provider did not count: these two numbers are then estimates (money.measured).
    untold: frozenset[str] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", writable(self.text))

    def fits(self, request: Request) -> bool:
        """Whether it is no longer than the request allows: with that limit it would have been cut."""
        return request.max_tokens is None or self.output_tokens <= request.max_tokens


def writable(text: str) -> str:
    """The text without halves of surrogate pairs (an emoji that was cut): they can be neither sent nor stored."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
