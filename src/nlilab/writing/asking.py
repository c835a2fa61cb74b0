"""Asking a model for many answers and, where one cannot be read, for another sample of it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from nlilab.core.errors import UserError
from nlilab.llm.answers import Unanswered, Unreadable
from nlilab.llm.errors import ProviderError
from nlilab.llm.request import Request, Response
from nlilab.llm.writer import Writer, text_of

SAMPLES_APART = 100_000  # between the attempts at one item: apart from the samples that a plan asks for

log = logging.getLogger(__name__)
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

    `answer` is None where there was none, but a failure of the provider; `unanswered` if it is one that passes.
    """

    place: int
    attempt: int
    reason: str
    answer: Response | None
    final: bool
    unanswered: bool = False


class HolesLeft(UserError):
    """A step stops: more of its requests than llm.holes allows found no answer, by the failure of a provider."""

    def __init__(self, count: int, asked: int, first: str) -> None:
        super().__init__(count, asked, first)
        self.count, self.asked, self.first = count, asked, first

    def __str__(self) -> str:
        return (
            f"{self.count} of {self.asked} requests stayed unanswered when their attempts were used up, the first one "
            f"{self.first}; all other answers are kept: `dvc repro` asks for these alone when it is run again, or set "
            "llm.holes to the share of requests that may stay unanswered"
        )


class Holes:
    """Puts the end of a step off until the rest of it has been asked for, too."""

    def __init__(self) -> None:
        self._left: list[HolesLeft] = []

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Go on after this block where it leaves holes."""
        try:
            yield
        except HolesLeft as error:
            self._left.append(error)

    def stop(self) -> None:
        """Stop if any block has left some."""
        if self._left:
            counts = (sum(error.count for error in self._left), sum(error.asked for error in self._left))
            raise HolesLeft(*counts, self._left[0].first)


def stop_at_holes(writer: Writer, unanswered: Sequence[str], asked: int) -> None:
    """Raise HolesLeft if more of the `asked` requests are unanswered, with these reasons, than the writer allows."""
    if unanswered and len(unanswered) / asked > writer.client.holes:
        raise HolesLeft(len(unanswered), asked, f"to {writer.name}: {unanswered[0]}")
    if unanswered:
        log.warning("%d of %d requests to %s stayed unanswered: %s", len(unanswered), asked, writer.name, unanswered[0])


def texts_of(writer: Writer, answers: Sequence[Response | ProviderError]) -> list[str | Unreadable]:
    """The text of every answer, or why there is none; HolesLeft where too many did not come."""
    texts: list[str | Unreadable] = []
    for answer in answers:
        try:
            texts.append(text_of(answer))
        except Unreadable as error:
            texts.append(error)
    stop_at_holes(writer, [str(text) for text in texts if isinstance(text, Unanswered)], len(texts))
    return texts


def ask_until_read(
    items: Sequence[Item],
    request: Callable[[Item, int], Request],
    read: Callable[[str], Value],
    ask: Callable[[list[Request]], list[Response | ProviderError]],
    attempts: int,
) -> tuple[dict[int, Read[Value]], list[Failed]]:
    """Ask for each item, and at most `attempts` times in all for one whose answer `read` finds `Unreadable`.

    `request(item, further)` is the item's request with its sample raised by `further`: the same prompt asked for the
    same sample again would only bring the same answer out of the store. An item whose provider failed until the
    client gave up is not asked for again: its answer is still to come. Returns what was read by the item's place, and
    every failed attempt; a place is either among the former, or its last failure is final.
    """
    found: dict[int, Read[Value]] = {}
    failed: list[Failed] = []
    due = list(range(len(items)))
    given_up: set[int] = set()
    for attempt in range(attempts):
        requests = [request(items[place], SAMPLES_APART * attempt) for place in due]
        for place, asked, answer in zip(due, requests, ask(requests), strict=True):
            try:
                value = read(text_of(answer))
            except Unreadable as reason:
                unread = answer if isinstance(answer, Response) else None
                lost = isinstance(reason, Unanswered)
                given_up |= {place} if lost or attempt == attempts - 1 else set()
                failed.append(Failed(place, attempt, str(reason), unread, place in given_up, lost))
            else:
                assert isinstance(answer, Response)
                found[place] = Read(value, asked, answer)
        due = [place for place in due if place not in found and place not in given_up]
        if not due:
            break
    return found, failed
