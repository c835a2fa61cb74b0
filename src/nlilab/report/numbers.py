"""Figures as text: shares, points, counts, sums of money; a typographic minus, an en dash where there is nothing."""

from collections.abc import Sequence
from functools import partial

NONE = "–"


def decimals(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals."""
    if value is None:
        return NONE
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text


tenth, three = partial(decimals, digits=1), partial(decimals, digits=3)


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage, without the sign %."""
    return NONE if value is None else decimals(100 * value, digits)


def points(value: float) -> str:
    """A difference of shares as signed percentage points with one decimal."""
    text = f"{100 * abs(value):.1f}"
    return f"±{text}" if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def plain(value: float) -> str:
    """A bound of an interval in points: a sign only where it is below zero."""
    return points(value).removeprefix("+").removeprefix("±")


def p_value(value: float) -> str:
    """A p value with three decimals, never zero."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def whole(value: float | None) -> str:
    """A count with thin spaces between thousands."""
    return NONE if value is None else f"{round(value):,}".replace(",", "\u202f")


def size(parameters: int) -> str:
    """A number of parameters: 22.7 million."""
    for least, unit, name in ((1e9, 1e9, "billion"), (1e5, 1e6, "million")):
        if parameters >= least:
            return f"{parameters / unit:.1f} {name}"
    return whole(parameters)


def dollars(value: float | None) -> str:
    """A sum of money with three significant digits at least; `free` for nothing, `not known` where nobody knows."""
    if not value:
        return "not known" if value is None else "free"
    return f"${value:,.2f}" if value >= 1 else f"${value:.3g}"


def confidence_words(confidence: float) -> str:
    """`95 %`, for the name of an interval."""
    return f"{100 * confidence:g} %"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c; nothing for none."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def counted(count: int, what: str) -> str:
    """`1 model`, `2 models`."""
    return f"{whole(count)} {what}{'' if count == 1 else 's'}"
