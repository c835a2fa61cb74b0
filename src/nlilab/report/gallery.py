"""Perturbed pairs as people read them: changed words marked, predictions before and after."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from markupsafe import Markup, escape

from nlilab.report.pairs import rank

Piece = tuple[str, str | None]  # text, and what stood there where it was changed ("" is a deletion's text)


def pieces(hypothesis: str, changes: list[list[Any]]) -> Iterator[Piece]:
    """The hypothesis in parts: unchanged ones, and changed ones with the words that they replace."""
    last = 0
    for start, end, was in sorted(changes, key=lambda change: (change[0], change[1])):
        yield hypothesis[last:start], None
        if start == end and start > 0 and not hypothesis[start - 1].isspace():
            yield " ", None
        yield hypothesis[start:end], str(was)
        if start == end and end < len(hypothesis) and not hypothesis[end].isspace():
            yield " ", None
        last = end
    yield hypothesis[last:], None


def marked(pair: Mapping[str, Any]) -> Markup:
    """The hypothesis with its changes in <mark>; a deleted word stands struck out where it was."""
    changed, deleted = Markup("<mark>{}</mark>").format, Markup("<mark><del>{}</del></mark>").format
    return Markup(_join(pair, escape, changed, deleted))


def marked_markdown(pair: Mapping[str, Any], text: Callable[[str], str]) -> str:
    """The same in Markdown; `text` makes plain text safe."""

    def flat(value: str) -> str:
        # Blanks at a part's edges are lost in `text`, and must stay: they part words.
        inner = text(value)
        if not inner:
            return " " if value else ""
        return f"{' ' if value[0].isspace() else ''}{inner}{' ' if value[-1].isspace() else ''}"

    return _join(pair, flat, lambda new: f"**{text(new)}**", lambda was: f"~~{text(was)}~~")


def said(probabilities: Mapping[str, float]) -> tuple[str, float]:
    """The label predicted, and its probability."""
    label = max(sorted(probabilities, key=rank), key=lambda name: probabilities[name])
    return label, probabilities[label]


def opinion(pair: Mapping[str, Any]) -> str:
    """What the judge says of the perturbed pair."""
    return {True: "still holds", False: "no longer holds", None: "not asked"}[pair["judge_agrees"]]


def sample(gallery: list[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """So many pairs: the first of every victim under every attack, then the second ones."""
    places: dict[tuple[str, str, str], int] = {}
    turns = []
    for pair in gallery:
        key = (pair["suite"], pair["recipe"], pair["victim"])
        places[key] = places.get(key, -1) + 1
        turns.append(places[key])
    order = sorted(range(len(gallery)), key=lambda index: turns[index])
    return [gallery[index] for index in order[:count]]


def _join(
    pair: Mapping[str, Any],
    plain: Callable[[str], str],
    changed: Callable[[str], str],
    deleted: Callable[[str], str],
) -> str:
    out = []
    for text, was in pieces(pair["hypothesis"], pair["changes"]):
        if was is None:
            out.append(plain(text))
        else:
            out.append(changed(text) if text else deleted(was))
    return "".join(out)
