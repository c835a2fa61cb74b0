"""The plots of a data set, beside TarGEN's Figures 3 to 8: likeness, overlap, PVI, cartography, entities."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlilab.report import vega as v
from nlilab.report.numbers import decimals, percent, three, whole
from nlilab.report.published import Analysed
from nlilab.report.sets import ALL, FIELDS, DataSet
from nlilab.report.tables import Plot, Said

DASHES: tuple[list[int], ...] = ([1, 0], [5, 2], [2, 2], [7, 2, 2, 2], [1, 3], [9, 3], [4, 4])
WIDTH, HEIGHT = 250, 110
TYPES, NAMES = 3, 10  # entity types whose names are drawn, and how many of each
LETTERS = 30  # of an entity's name, which may be any text
REGIONS = ("easy", "ambiguous", "hard")


@dataclass(frozen=True)
class Histogram:
    """Shares of rows (or of pairs of sentences) by bin, for each label, and over all of them where that is known."""

    kind: str  # cosine, overlap or pvi
    part: str  # of the pair
    title: str
    note: str
    edges: Sequence[float]
    shares: Mapping[str, Sequence[float]]


def histograms(one: DataSet) -> Iterator[Histogram]:
    """Cosines (TarGEN, Figure 3), the overlap of hypothesis and premise, PVI (Figures 5 and 6), as far as analysed."""
    for field, name in FIELDS.items():
        if found := one.found("semantic", field):
            shares = {at: found[at]["histogram"]["share"] for at in (ALL, *one.labels) if at in found}
            note = f"mean cosine {three(found[ALL]['cosine']['value'])}"
            edges = found[ALL]["histogram"]["edges"]
            yield Histogram("cosine", field, f"Likeness of two {name}", note, edges, shares)
    if found := one.found("artefacts", "overlap"):
        shares = {label: found[label]["histogram"]["share"] for label in one.labels if label in found}
        edges = next(iter(found.values()))["histogram"]["edges"]
        title = "Words of the hypothesis that stand in the premise"
        yield Histogram("overlap", "pair", title, "", edges, shares)
    if hard := one.difficulty:
        counts = hard["pvi"]["counts"]
        shares = {at: [n / max(1, sum(counts[at])) for n in counts[at]] for at in one.labels if at in counts}
        note = f"below 0: {percent(hard['negative'])} %"
        yield Histogram("pvi", "pair", "Pointwise V-information", note, hard["pvi"]["edges"], shares)


def of_set(one: DataSet) -> Iterator[Plot]:
    """What the analyses drew of a set."""
    for found in histograms(one):
        yield Plot(found.title, _stepped(found), found.note)
    if one.difficulty:
        regions = one.difficulty["cartography"]["regions"]
        yield Plot("Data map", _cartography(one), ", ".join(f"{whole(regions[name])} {name}" for name in REGIONS))


def _stepped(found: Histogram) -> v.Spec:
    """A stepped line for each label, as far as rows reach and to zero; a grey area behind them for all."""
    reached = [n for n in range(len(found.edges) - 1) if any(share[n] for share in found.shares.values())]
    if found.kind == "pvi":
        reached += [n for n, edge in enumerate(found.edges[:-1]) if edge == 0]
        first, last = min(reached), max(reached) + 1
    else:
        first, last = 0, len(found.edges) - 1
    edges = found.edges[first : last + 1]
    title = {"cosine": "cosine", "overlap": "share of the hypothesis' words", "pvi": "PVI, bits"}[found.kind]
    unit = "% of the pairs" if found.kind == "cosine" else "% of the rows"
    # A bin's share at its left edge, and the last one once more at the right end.
    rows = {
        label: [
            {"x": x, "y": y, "label": label} for x, y in zip(edges, [*share[first:last], share[last - 1]], strict=True)
        ]
        for label, share in found.shares.items()
    }
    every, labels = rows.pop(ALL, []), [label for label in rows if label != ALL]
    highest = max([0.01, *(max(share) for share in found.shares.values())])
    x = v.scaled("x", [edges[0], edges[-1]], shares=False, title=title)
    y = {"y": v.scaled("y", [0, highest], tickCount=3, title=unit)}
    look = {"color": v.cycled("label", labels, v.HUES), "strokeDash": v.cycled("label", labels, DASHES)}
    area = v.layer("area", x, every, y, color=v.GREY, opacity=0.25, interpolate="step-after")
    line = v.layer("line", x, None, {**y, **look}, interpolate="step-after", strokeWidth=1.6)
    layers = [*([area] if every else []), *([v.zero()] if edges[0] < 0 else []), line]
    return v.layered((row for own in rows.values() for row in own), WIDTH, HEIGHT, layers)


def _cartography(one: DataSet) -> v.Spec:
    """Each row by how sure of its label a model becomes while it learns, and how much that changes."""
    labels = one.difficulty["labels"]
    rows = [{"x": x, "y": y, "label": labels[int(label)]} for x, y, _, label in one.difficulty["cartography"]["points"]]
    x = v.scaled("x", [0, max([0.1, *(row["x"] for row in rows)])], shares=False, tickCount=4, title="variability")
    y = v.scaled("y", [0, 1], shares=False, tickCount=3, title="confidence in the label")
    points = v.layer("point", x, None, {"y": y, **v.looks("label", one.labels)}, size=22, opacity=0.6)
    return v.layered(rows, WIDTH, 200, [points])


def of_entities(one: DataSet, reference: DataSet | None) -> Iterator[Plot]:
    """How often types of entities occur, how far they lie from the reference, and the most frequent ones."""
    if not (types := one.entities()):
        return
    both = [Said("● this set", "hue0"), *([Said("◆ reference", "remaining")] if reference else [])]
    yield Plot("For each 1\u202f000 words", _rates(one, reference), key=both)
    if any(jsd.get("value") is not None for jsd in one.found("entities", "jsd").values()):
        yield Plot("Distance from the reference, JSD", _distances(one), key=[Said("❘ chance", "introduced")])
    tick = "; ❘ reference" if reference else ""
    for kind in [kind for kind, found in types.items() if found["mentions"] >= 5 and found["top"]][:TYPES]:
        note = f"in % of its {whole(types[kind]['mentions'])} mentions{tick}"
        yield Plot(kind, _names(one, reference, kind), note)


def _rates(one: DataSet, reference: DataSet | None) -> v.Spec:
    """Entities for each 1,000 words, beside those of the reference."""
    sources = {"own": one.entities(), "reference": reference.entities() if reference else {}}
    rows = [
        {"y": kind, "of": of, **found["per_1000"]} for of, types in sources.items() for kind, found in types.items()
    ]
    x = v.scaled("value", [0, max(row["high"] for row in rows)], shares=False, tickCount=4)
    colour, shape = ({"own": v.BLUE, "reference": v.GREY}, {"own": "circle", "reference": "diamond"})
    look = {"color": v.scale("of", colour), "shape": v.scale("of", shape)}
    # The set above, the reference below, within a row.
    look["yOffset"] = {"field": "of", "type": "nominal"}
    return v.dots(rows, x, 200, look) | {"height": {"step": 26, "for": "position"}}


def _distances(one: DataSet) -> v.Spec:
    """How far the entities lie from the reference's, and (tick) how far chance alone would set them apart."""
    rows = [
        {"y": "all types" if kind == "types" else kind, **jsd, "text": decimals(jsd["value"])}
        for kind, jsd in one.found("entities", "jsd").items()
        if jsd.get("value") is not None
    ]
    x = v.scaled("value", [0, 1], shares=False)
    chance = v.layer("tick", {**x, "field": "chance"}, color=v.VERMILLION, thickness=2, size=13)
    return v.dots(rows, x, 200, v.BLUE, [chance])


def _names(one: DataSet, reference: DataSet | None, kind: str) -> v.Spec:
    """A type's most frequent entities, in shares of its mentions; ticks: the reference (TarGEN, Figures 4, 7, 8)."""
    other = _short(reference.entities().get(kind, {}).get("top", [])) if reference else {}
    top = _short(one.entities()[kind]["top"][:NAMES])
    rows = [{"y": name, "x": share, "text": percent(share, 0)} for name, share in top.items()]
    beside = [{"y": name, "x": other[name]} for name in top if name in other]
    x = v.scaled("x", [0, max(max(share, other.get(name, 0.0)) for name, share in top.items())])
    bars = v.layer("bar", x, height=11, color=v.BLUE, opacity=0.75)
    ticks = v.layer("tick", x, beside, color=v.TEXT, thickness=2, size=13)
    return v.named_rows(rows, 150, [bars, ticks, v.values_beside(150)])


def _short(top: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Names that fit beside a plot."""
    return {name if len(name) <= LETTERS else f"{name[:LETTERS]}…": share for name, share in top}


def alone(sets: Sequence[DataSet], published: Sequence[Analysed]) -> Plot:
    """What the hypothesis alone gives away as rows grow, a line for each set; dotted: its most frequent label.

    `published`: figures of other sets, as dashed lines.
    """
    rows = [
        {"set": one.name, "rows": found["rows"], "majority": found["majority"], **found["hypothesis_only"]}
        for one in sets
        for found in one.analysis["artefacts"]["sizes"].values()
    ]
    axis = {"title": "rows", "tickCount": 4, "format": "~s"}
    x: v.Spec = {"field": "rows", "type": "quantitative", "axis": axis}
    x["scale"] = {"type": "log", "nice": False, "padding": 12}
    low = min(min(row["low"], row["majority"]) for row in rows)
    y = v.scaled("value", [max(0.0, low - 0.05), 1], tickCount=3, title="right, %")
    look = v.looks("set", [one.name for one in sets])
    colour = {"color": look["color"]}
    held = {key: part for key, part in y.items() if key != "field"}
    dashed: v.Spec = {"type": "rule", "strokeDash": [3, 3], "strokeWidth": 1, "color": v.TEXT, "opacity": 0.6}
    layers = [
        *({"data": {"values": [{}]}, "mark": dashed, "encoding": {"y": {**held, "datum": p.value}}} for p in published),
        v.layer("line", x, None, {"y": {**y, "field": "majority"}, **colour}, strokeDash=[1, 3], opacity=0.8),
        v.layer("line", x, None, {"y": y, **colour}, strokeWidth=1.6),
        v.layer("rule", x, None, {"y": {**y, "field": "low"}, "y2": {"field": "high"}, **colour}, strokeWidth=2),
        v.layer("point", x, None, {"y": y, **look}),
    ]
    key = v.key([one.name for one in sets])
    return Plot("Hypothesis alone, by rows", v.layered(rows, 330, 190, layers), key=key)
