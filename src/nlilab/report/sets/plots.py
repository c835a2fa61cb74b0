"""The plots of a data set, beside TarGEN's Figures 3 to 8: likeness, overlap, PVI, cartography, entities."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from nlilab.report.plots import BLUE, GREEN, GREY, ORANGE, VERMILLION
from nlilab.report.sets.dataset import ALL, DataSet
from nlilab.report.vega import Spec, across, draw, named_rows, scale, values_beside

# Okabe & Ito's, in the order in which labels and sets take them; page.css has the same as .hue0, .hue1 ...
HUES = (BLUE, ORANGE, GREEN, VERMILLION, "var(--purple)", "var(--sky)", GREY)
SHAPES = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "triangle-right")
DASHES: tuple[list[int], ...] = ([1, 0], [5, 2], [2, 2], [7, 2, 2, 2], [1, 3], [9, 3], [4, 4])
WIDTH, HEIGHT = 250, 110
TYPES, NAMES = 3, 10  # entity types whose names are drawn, and how many of each
LETTERS = 30  # of a name


def likeness(one: DataSet, field: str) -> Markup:
    """Cosines of pairs of a field's sentences, by label; the grey area is all of them (TarGEN, Figure 3)."""
    found = {label: one.cosine(field, label)["histogram"] for label in one.labels if one.cosine(field, label)}
    every = one.cosine(field)["histogram"]
    return _histogram(every["edges"], {label: part["share"] for label, part in found.items()}, "cosine", every["share"])


def overlap(one: DataSet) -> Markup:
    """Which share of the hypothesis' words stands in the premise, by label."""
    found = one.analysis["artefacts"]["overlap"]
    shares = {label: found[label]["histogram"]["share"] for label in one.labels if label in found}
    edges = next(iter(found.values()))["histogram"]["edges"]
    return _histogram(edges, shares, "share of the hypothesis' words")


def pvi(one: DataSet) -> Markup:
    """Pointwise V-information of the rows of each label, in bits, as far as rows reach (TarGEN, Figures 5 and 6)."""
    edges, counts = one.difficulty["pvi"]["edges"], one.difficulty["pvi"]["counts"]
    held = [place for place in range(len(edges) - 1) if edges[place] == 0 or any(own[place] for own in counts.values())]
    first, last = held[0], held[-1] + 1
    shares = {
        label: [count / max(1, sum(counts[label])) for count in counts[label][first:last]]
        for label in one.labels
        if label in counts
    }
    return _histogram(edges[first : last + 1], shares, "PVI, bits")


def cartography(one: DataSet) -> Markup:
    """Each row by how sure of its label a model becomes while it learns, and how much that changes."""
    labels = one.difficulty["labels"]
    rows = [{"x": x, "y": y, "label": labels[int(label)]} for x, y, _, label in one.difficulty["cartography"]["points"]]
    most = max([0.1, *(row["x"] for row in rows)])
    return draw(
        {
            "data": {"values": rows},
            "width": WIDTH,
            "height": 200,
            "mark": {"type": "point", "filled": True, "size": 22, "opacity": 0.6},
            "encoding": {
                "x": across("x", [0, most], axis={"tickCount": 4, "title": "variability"}),
                "y": _upward("y", [0, 1], "confidence in the label"),
                "color": scale("label", hues(one.labels)),
                "shape": scale("label", dict(zip(one.labels, _cycled(SHAPES, one.labels), strict=True))),
            },
        }
    )


def rates(one: DataSet, reference: DataSet | None) -> Markup:
    """Entities for each 1,000 words, beside those of the reference."""
    other = reference.entities() if reference else {}
    rows = [
        {
            "y": kind,
            "of": of,
            "x": found["per_1000"]["value"],
            **{end: found["per_1000"][end] for end in ("low", "high")},
        }
        for of, types in (("own", one.entities()), ("reference", other))
        for kind, found in types.items()
    ]
    x = across("x", [0, max(row["high"] for row in rows)], axis={"tickCount": 4})
    colour = scale("of", {"own": BLUE, "reference": GREY})
    shape = scale("of", {"own": "circle", "reference": "diamond"})
    place = {"yOffset": {"field": "of", "type": "nominal"}}  # the set above, the reference below, within a row
    layers = [
        {"mark": {"type": "rule", "strokeWidth": 2.5}, "encoding": {**_ends(x, colour), **place}},
        {"mark": _POINT, "encoding": {"x": x, "color": colour, "shape": shape, **place}},
    ]
    return draw(named_rows(rows, 200, layers) | {"height": {"step": 26, "for": "position"}})


def distances(one: DataSet) -> Markup:
    """How far the entities lie from the reference's, and (tick) how far chance alone would set them apart."""
    found = one.analysis["entities"]["jsd"]
    rows = [
        {"y": "all types" if kind == "types" else kind, "x": jsd["value"], "text": f"{jsd['value']:.2f}"}
        | {key: jsd[key] for key in ("low", "high", "chance")}
        for kind, jsd in found.items()
        if jsd.get("value") is not None
    ]
    x = across("x", [0, 1], axis={"tickCount": 5})
    tick = {"type": "tick", "color": VERMILLION, "thickness": 2, "size": 13}
    return draw(
        named_rows(
            rows,
            200,
            [
                {"mark": {"type": "rule", "strokeWidth": 2.5, "color": BLUE}, "encoding": _ends(x)},
                {"mark": {**_POINT, "color": BLUE}, "encoding": {"x": x}},
                {"mark": tick, "encoding": {"x": {**x, "field": "chance"}}},
                values_beside(200),
            ],
        )
    )


def names(one: DataSet, reference: DataSet | None, kind: str) -> Markup:
    """A type's most frequent entities, in shares of its mentions; ticks: the reference (TarGEN, Figures 4, 7, 8)."""
    other = dict(_short(reference.entities().get(kind, {}).get("top", []))) if reference else {}
    top = _short(one.entities()[kind]["top"][:NAMES])
    rows = [{"y": name, "x": share, "text": f"{100 * share:.0f}"} for name, share in top]
    beside = [{"y": name, "x": other[name]} for name, _ in top if name in other]
    x = across("x", [0, max(max(share, other.get(name, 0.0)) for name, share in top)])
    tick = {"type": "tick", "color": "currentColor", "thickness": 2, "size": 13}
    layers: list[Spec] = [
        {"mark": {"type": "bar", "height": 11, "color": BLUE, "opacity": 0.75}, "encoding": {"x": x}},
        {"data": {"values": beside}, "mark": tick, "encoding": {"x": x}},
        values_beside(150),
    ]
    return draw(named_rows(rows, 150, layers))


def drawn_types(one: DataSet) -> list[str]:
    """The types whose names are drawn: those with the most mentions, five or more."""
    return [kind for kind, found in one.entities().items() if found["mentions"] >= 5 and found["top"]][:TYPES]


def alone(sets: Sequence[DataSet], published: Sequence[float]) -> Markup:
    """What the hypothesis alone gives away as rows grow, a line for each set; dotted: its most frequent label.

    `published`: figures of other sets, as dashed lines.
    """
    rows = [
        {"set": one.name, "rows": found["rows"], "majority": found["majority"], **found["hypothesis_only"]}
        for one in sets
        for found in one.analysis["artefacts"]["sizes"].values()
    ]
    x: Spec = {
        "field": "rows",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 12},
        "axis": {"title": "rows", "tickCount": 4, "format": "~s"},
    }
    low = min(min(row["low"], row["majority"]) for row in rows)
    y = _upward("value", [max(0.0, low - 0.05), 1], "right, %", percent=True)
    colour = scale("set", dict(zip([one.name for one in sets], _cycled(HUES, sets), strict=True)))
    shape = scale("set", dict(zip([one.name for one in sets], _cycled(SHAPES, sets), strict=True)))
    held = {key: part for key, part in y.items() if key != "field"}
    rule: Spec = {"type": "rule", "strokeDash": [3, 3], "color": "currentColor", "opacity": 0.6}
    return draw(
        {
            "data": {"values": rows},
            "width": 330,
            "height": 190,
            "layer": [
                *(
                    {"data": {"values": [{}]}, "mark": rule, "encoding": {"y": {**held, "datum": value}}}
                    for value in published
                ),
                {
                    "mark": {"type": "line", "strokeDash": [1, 3], "opacity": 0.8},
                    "encoding": {"x": x, "y": {**y, "field": "majority"}, "color": colour},
                },
                {"mark": {"type": "line", "strokeWidth": 1.6}, "encoding": {"x": x, "y": y, "color": colour}},
                {
                    "mark": {"type": "rule", "strokeWidth": 2},
                    "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
                },
                {"mark": _POINT, "encoding": {"x": x, "y": y, "color": colour, "shape": shape}},
            ],
        }
    )


def hues(labels: Sequence[str]) -> dict[str, str]:
    """The colour of each label."""
    return dict(zip(labels, _cycled(HUES, labels), strict=True))


_POINT: Spec = {"type": "point", "filled": True, "size": 65, "opacity": 1}


def _histogram(
    edges: Sequence[float], shares: Mapping[str, Sequence[float]], title: str, every: Sequence[float] = ()
) -> Markup:
    """Shares by bin, a stepped line for each label; `every`: a grey area behind them."""
    steps = [row for label, share in shares.items() for row in _steps(edges, share, label)]
    highest = max([*every, *(value for share in shares.values() for value in share), 0.01])
    x = across("x", [edges[0], edges[-1]], axis={"tickCount": 5, "title": title})
    y = _upward("y", [0, highest], "% of the pairs" if title == "cosine" else "% of the rows", percent=True)
    dash = scale("label", dict(zip(shares, _cycled(DASHES, list(shares)), strict=True)))
    area: Spec = {
        "data": {"values": _steps(edges, every, ALL)},
        "mark": {"type": "area", "color": GREY, "opacity": 0.25, "interpolate": "step-after"},
        "encoding": {"x": x, "y": y},
    }
    zero: Spec = {
        "data": {"values": [{}]},  # one rule, not one for each row of the data
        "mark": {"type": "rule", "opacity": 0.5, "color": "currentColor"},
        "encoding": {"x": {"datum": 0}},
    }
    line: Spec = {
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.6},
        "encoding": {"x": x, "y": y, "color": scale("label", hues(list(shares))), "strokeDash": dash},
    }
    layers = [*([area] if every else []), *([zero] if edges[0] < 0 else []), line]
    return draw({"data": {"values": steps}, "width": WIDTH, "height": HEIGHT, "layer": layers})


def _steps(edges: Sequence[float], shares: Sequence[float], label: str) -> list[dict[str, Any]]:
    """A bin's share at its left edge, and the last one once more at the right end."""
    return [
        {"x": edge, "y": share, "label": label}
        for edge, share in zip(edges, [*shares, *shares[-1:]], strict=bool(shares))
    ]


def _upward(field: str, domain: list[float], title: str, percent: bool = False) -> Spec:
    axis: Spec = {"tickCount": 3, "title": title} | (
        {"labelExpr": "format(datum.value * 100, '.3~g')"} if percent else {}
    )
    return {"field": field, "type": "quantitative", "scale": {"domain": domain, "nice": False}, "axis": axis}


def _ends(x: Spec, colour: Spec | None = None) -> Spec:
    found: Spec = {"x": {**x, "field": "low"}, "x2": {"field": "high"}}
    return found | ({"color": colour} if colour else {})


def _short(top: Sequence[Sequence[Any]]) -> list[tuple[str, float]]:
    """Names that fit beside a plot."""
    return [(name if len(name) <= LETTERS else f"{name[:LETTERS]}…", share) for name, share in top]


def _cycled(values: Sequence[Any], over: Sequence[Any]) -> list[Any]:
    return [values[number % len(values)] for number in range(len(over))]
