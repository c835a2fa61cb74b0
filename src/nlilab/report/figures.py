"""Figures with their intervals as text: a share, a count, a number with so many decimals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nlilab.report.words import percent, plain, whole

How = Literal["percent", "points", "count", "one", "two", "three"]
DECIMALS = {"one": 1, "two": 2, "three": 3}


@dataclass(frozen=True)
class Figure:
    """A figure and the ends of its interval, as text; no ends where it has none."""

    value: str
    low: str = ""
    high: str = ""

    def __str__(self) -> str:
        return f"{self.value} ({self.low} to {self.high})" if self.low else self.value


NONE = Figure("–")


def decimals(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals and a typographic minus; an en dash where there is none."""
    if value is None:
        return "–"
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text


def figure(found: Any, how: How = "percent") -> Figure:
    """An estimate (value, low, high), a plain number, or nothing."""
    if found is None:
        return NONE
    said = _how(how)
    if not isinstance(found, Mapping):
        return Figure(said(found))
    if found.get("value") is None:
        return NONE
    return Figure(*(said(found[key]) for key in ("value", "low", "high")))


def dollars(value: float | None) -> str:
    """A sum of money with three significant digits at least; `free` for nothing, `not known` where nobody knows."""
    if value is None:
        return "not known"
    if not value:
        return "free"
    return f"${value:,.2f}" if value >= 1 else f"${value:.3g}"


def _how(how: How) -> Callable[[float], str]:
    if how == "percent":
        return percent
    if how == "points":
        return plain
    if how == "count":
        return lambda value: whole(round(value))
    return lambda value: decimals(value, DECIMALS[how])
