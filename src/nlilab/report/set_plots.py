"""The plots of a data set, beside TarGEN's Figures 3 to 8: likeness, overlap, PVI, cartography, entities."""

from collections.abc import Mapping, Sequence
from typing import Any

from nlilab.report import vega as v
from nlilab.report.numbers import decimals, percent
from nlilab.report.sets import ALL, DataSet

DASHES: tuple[list[int], ...] = ([1, 0], [5, 2], [2, 2], [7, 2, 2, 2], [1, 3], [9, 3], [4, 4])
WIDTH, HEIGHT = 250, 110
TYPES, NAMES = 3, 10  # entity types whose names are drawn, and how many of each
LETTERS = 30  # of an entity's name, which may be any text


def likeness(one: DataSet, field: str) -> v.Spec:
    """Cosines of pairs of a field's sentences, by label; the grey area is all of them (TarGEN, Figure 3)."""
    found = {label: one.cosine(field, label) for label in (ALL, *one.labels)}
    shares = {label: part["histogram"]["share"] for label, part in found.items() if part}
    every = shares.pop(ALL)
    return _histogram(found[ALL]["histogram"]["edges"], shares, "cosine", every)


def overlap(one: DataSet) -> v.Spec:
    """Which share of the hypothesis' words stands in the premise, by label."""
    found = one.found("artefacts", "overlap")
    shares = {label: found[label]["histogram"]["share"] for label in one.labels if label in found}
    return _histogram(next(iter(found.values()))["histogram"]["edges"], shares, "share of the hypothesis' words")


def pvi(one: DataSet) -> v.Spec:
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


def cartography(one: DataSet) -> v.Spec:
    """Each row by how sure of its label a model becomes while it learns, and how much that changes."""
    labels = one.difficulty["labels"]
    rows = [{"x": x, "y": y, "label": labels[int(label)]} for x, y, _, label in one.difficulty["cartography"]["points"]]
    x = v.across("x", [0, max([0.1, *(row["x"] for row in rows)])], axis={"tickCount": 4, "title": "variability"})
    look = {"y": v.upward("y", [0, 1], "confidence in the label"), **_looks("label", one.labels)}
    return {"data": {"values": rows}, "width": WIDTH, "height": 200, **v.dots(x, look, size=22, opacity=0.6)}


def rates(one: DataSet, reference: DataSet | None) -> v.Spec:
    """Entities for each 1,000 words, beside those of the reference."""
    sources = {"own": one.entities(), "reference": reference.entities() if reference else {}}
    rows = [
        {"y": kind, "of": of, "x": found["per_1000"]["value"], **found["per_1000"]}
        for of, types in sources.items()
        for kind, found in types.items()
    ]
    x = v.across("x", [0, max(row["high"] for row in rows)], axis={"tickCount": 4})
    # The set above, the reference below, within a row.
    look = {"color": v.scale("of", {"own": v.BLUE, "reference": v.GREY}), "yOffset": {"field": "of", "type": "nominal"}}
    shape = v.scale("of", {"own": "circle", "reference": "diamond"})
    layers = [v.spans(x, encoding=look), v.dots(x, {**look, "shape": shape}, size=65)]
    return v.named_rows(rows, 200, layers) | {"height": {"step": 26, "for": "position"}}


def distances(one: DataSet) -> v.Spec:
    """How far the entities lie from the reference's, and (tick) how far chance alone would set them apart."""
    rows = [
        {"y": "all types" if kind == "types" else kind, **jsd, "x": jsd["value"], "text": decimals(jsd["value"])}
        for kind, jsd in one.found("entities", "jsd").items()
        if jsd.get("value") is not None
    ]
    x = v.across("x", [0, 1], axis={"tickCount": 5})
    chance = v.layer("tick", {**x, "field": "chance"}, color=v.VERMILLION, thickness=2, size=13)
    return v.named_rows(
        rows, 200, [v.spans(x, color=v.BLUE), v.dots(x, color=v.BLUE, size=65), chance, v.values_beside(200)]
    )


def names(one: DataSet, reference: DataSet | None, kind: str) -> v.Spec:
    """A type's most frequent entities, in shares of its mentions; ticks: the reference (TarGEN, Figures 4, 7, 8)."""
    other = dict(_short(reference.entities().get(kind, {}).get("top", []))) if reference else {}
    top = _short(one.entities()[kind]["top"][:NAMES])
    rows = [{"y": name, "x": share, "text": percent(share, 0)} for name, share in top]
    beside = [{"y": name, "x": other[name]} for name, _ in top if name in other]
    x = v.across("x", [0, max(max(share, other.get(name, 0.0)) for name, share in top)])
    bars = v.layer("bar", x, height=11, color=v.BLUE, opacity=0.75)
    ticks = v.layer("tick", x, beside, color=v.TEXT, thickness=2, size=13)
    return v.named_rows(rows, 150, [bars, ticks, v.values_beside(150)])


def drawn_types(one: DataSet) -> list[str]:
    """The types whose names are drawn: those with the most mentions, five or more."""
    return [kind for kind, found in one.entities().items() if found["mentions"] >= 5 and found["top"]][:TYPES]


def alone(sets: Sequence[DataSet], published: Sequence[float]) -> v.Spec:
    """What the hypothesis alone gives away as rows grow, a line for each set; dotted: its most frequent label.

    `published`: figures of other sets, as dashed lines.
    """
    rows = [
        {"set": one.name, "rows": found["rows"], "majority": found["majority"], **found["hypothesis_only"]}
        for one in sets
        for found in one.analysis["artefacts"]["sizes"].values()
    ]
    logs = {"type": "log", "nice": False, "padding": 12}
    x: v.Spec = {"field": "rows", "type": "quantitative", "scale": logs}
    x["axis"] = {"title": "rows", "tickCount": 4, "format": "~s"}
    low = min(min(row["low"], row["majority"]) for row in rows)
    y = v.upward("value", [max(0.0, low - 0.05), 1], "right, %", percent=True)
    looks = _looks("set", [one.name for one in sets])
    colour = {"color": looks["color"]}
    held = {key: part for key, part in y.items() if key != "field"}
    dashed: v.Spec = {"type": "rule", "strokeDash": [3, 3], "color": v.TEXT, "opacity": 0.6}
    rules = [
        {"data": {"values": [{}]}, "mark": dashed, "encoding": {"y": {**held, "datum": value}}} for value in published
    ]
    layers = [
        *rules,
        v.layer("line", x, None, {"y": {**y, "field": "majority"}, **colour}, strokeDash=[1, 3], opacity=0.8),
        v.layer("line", x, None, {"y": y, **colour}, strokeWidth=1.6),
        v.layer("rule", x, None, {"y": {**y, "field": "low"}, "y2": {"field": "high"}, **colour}, strokeWidth=2),
        v.dots(x, {"y": y, **looks}, size=65),
    ]
    return {"data": {"values": rows}, "width": 330, "height": 190, "layer": layers}


def _looks(field: str, names_: Sequence[str]) -> v.Spec:
    return {"color": v.scale(field, v.cycled(names_, v.HUES)), "shape": v.scale(field, v.cycled(names_, v.SHAPES))}


def _histogram(
    edges: Sequence[float], shares: Mapping[str, Sequence[float]], title: str, every: Sequence[float] = ()
) -> v.Spec:
    """Shares by bin, a stepped line for each label; `every`: a grey area behind them."""
    steps = [one for label, share in shares.items() for one in _steps(edges, share, label)]
    highest = max([*every, *(value for share in shares.values() for value in share), 0.01])
    x = v.across("x", [edges[0], edges[-1]], axis={"tickCount": 5, "title": title})
    y = {"y": v.upward("y", [0, highest], "% of the pairs" if title == "cosine" else "% of the rows", percent=True)}
    labels = list(shares)
    looks = {
        "color": v.scale("label", v.cycled(labels, v.HUES)),
        "strokeDash": v.scale("label", v.cycled(labels, DASHES)),
    }
    area = v.layer("area", x, _steps(edges, every, ALL), y, color=v.GREY, opacity=0.25, interpolate="step-after")
    line = v.layer("line", x, None, {**y, **looks}, interpolate="step-after", strokeWidth=1.6)
    layers = [*([area] if every else []), *([v.zero()] if edges[0] < 0 else []), line]
    return {"data": {"values": steps}, "width": WIDTH, "height": HEIGHT, "layer": layers}


def _steps(edges: Sequence[float], shares: Sequence[float], label: str) -> list[dict[str, Any]]:
    """A bin's share at its left edge, and the last one once more at the right end."""
    held = [*shares, *shares[-1:]]
    return [{"x": x, "y": share, "label": label} for x, share in zip(edges, held, strict=bool(shares))]


def _short(top: Sequence[Sequence[Any]]) -> list[tuple[str, float]]:
    """Names that fit beside a plot."""
    return [(name if len(name) <= LETTERS else f"{name[:LETTERS]}…", share) for name, share in top]
