"""Asking a model for many answers and, where one cannot be read, for another sample of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from nlilab.llm.answers import Unreadable
from nlilab.llm.errors import ProviderError
from nlilab.llm.request import Request, Response
from nlilab.llm.writer import text_of

SAMPLES_APART = 100_000  # between the attempts at one item: apart from the samples that a plan asks for

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Read(Generic[Value]):
    """What an item's answer says, the request that it answers, and the answer itself."""

    value: Value
    request: Request
    answer: Response

    @property
    def model(self) -> str:
        """The model that gave it."""
        return self.answer.model


@dataclass(frozen=True)
class Failed:
    """An attempt (the first is 0) at the item in `place` whose answer could not be read; `final` if it was the last.

    `answer` is None where there was none, but a failure of the provider.
    """

    place: int
    attempt: int
    reason: str
    answer: Response | None
    final: bool


def ask_until_read(
    items: Sequence[Item],
    request: Callable[[Item, int], Request],
    read: Callable[[str], Value],
    ask: Callable[[list[Request]], list[Response | ProviderError]],
    attempts: int,
) -> tuple[dict[int, Read[Value]], list[Failed]]:
    """Ask for each item, and at most `attempts` times in all for one whose answer `read` finds `Unreadable`.

    `request(item, further)` is the item's request with its sample raised by `further`: the same prompt asked for the
    same sample again would only bring the same answer out of the store. Returns what was read by the item's place, and
    every failed attempt; a place is either among the former or has one failure for each attempt, the last one final.
    """
    found: dict[int, Read[Value]] = {}
    failed: list[Failed] = []
    due = list(range(len(items)))
    for attempt in range(attempts):
        requests = [request(items[place], SAMPLES_APART * attempt) for place in due]
        for place, asked, answer in zip(due, requests, ask(requests), strict=True):
            try:
                value = read(text_of(answer))
            except Unreadable as reason:
                unread = answer if isinstance(answer, Response) else None
                failed.append(Failed(place, attempt, str(reason), unread, final=attempt == attempts - 1))
            else:
                assert isinstance(answer, Response)
                found[place] = Read(value, asked, answer)
        due = [place for place in due if place not in found]
        if not due:
            break
    return found, failed
