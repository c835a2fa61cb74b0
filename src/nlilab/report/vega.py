"""Vega-Lite: the layers that the report's plots are made of, drawn to SVG while it is written; no script, no network.

Colours are Okabe & Ito's, told apart by the colour-blind. The page sets them for light and dark, so a plot names them
(`var(--blue)`), and text and grid take the page's own colour (`currentColor`). Names are never cut.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import vl_convert

from nlilab.report.tables import Said

ROW, TWO_LINES = 22, 30  # pixels for each row of a dot plot, and where a name takes two lines
PALETTE = {
    **{"blue": "#0072b2", "orange": "#e69f00", "green": "#009e73", "vermillion": "#d55e00"},
    **{"purple": "#cc79a7", "sky": "#56b4e9", "grey": "#8a8a8a"},
}
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, GREY = HUES = tuple(f"var(--{name})" for name in PALETTE)
# In the order in which labels and sets take them; the page has the hues as .hue0, .hue1 ..., and MARKS in its keys.
SHAPES = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "triangle-right")
MARKS = ("●", "◆", "■", "▲", "✚", "▼", "▶")
TEXT = "currentColor"
SHARES = "format(datum.value * 100, '.3~g')"  # an axis of shares in percent

Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]

CONFIG: Spec = {
    "aria": False,
    "background": None,
    "font": "Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {
        **{"domain": False, "ticks": False, "gridColor": TEXT, "gridOpacity": 0.14, "labelColor": TEXT},
        **{"titleColor": TEXT, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
        **{"labelLimit": 0, "titleLimit": 0, "labelPadding": 6},
    },
    "axisX": {"labelOpacity": 0.75, "titleOpacity": 0.75, "labelOverlap": True},
    "legend": {"labelLimit": 0, "titleLimit": 0},
    "header": {"labelLimit": 0, "titleLimit": 0},
    "title": {"color": TEXT, "subtitleColor": TEXT, "fontSize": 12, "anchor": "start", "limit": 0, "frame": "group"},
    "text": {"color": TEXT, "fontSize": 11, "limit": 0},
    "point": {"filled": True, "size": 70, "opacity": 1},
    "rule": {"strokeWidth": 2.5},
}


def draw(spec: Mapping[str, Any]) -> str:
    """A specification as SVG that stands within the page; Vega escapes the text of the data."""
    svg: str = vl_convert.vegalite_to_svg({**spec, "config": CONFIG})
    for namespace in (' xmlns="http://www.w3.org/2000/svg"', ' xmlns:xlink="http://www.w3.org/1999/xlink"'):
        svg = svg.replace(namespace, "", 1)
    return svg


def picture(spec: Mapping[str, Any]) -> str:
    """A specification as an SVG file of its own, in black on white."""
    svg: str = vl_convert.vegalite_to_svg({**spec, "padding": 16, "config": {**CONFIG, "background": "#ffffff"}})
    for name, colour in PALETTE.items():
        svg = svg.replace(f"var(--{name})", colour)
    return svg.replace(TEXT, "#1c1e21")


def layered(rows: Iterable[Mapping[str, Any]], width: int, height: Any, layers: Sequence[Spec], **more: Any) -> Spec:
    """Layers over the same rows."""
    return {"data": {"values": list(rows)}, "width": width, "height": height, "layer": list(layers), **more}


def named_rows(rows: Rows, width: int, layers: Sequence[Spec]) -> Spec:
    """Layers over named rows: the names (`y`) on the left, one row each, in the order of the data."""
    order = list(dict.fromkeys(row["y"] for row in rows))
    two = any("\n" in name for name in order)
    axis = {"grid": False, "labelExpr": "split(datum.label, '\\n')", "labelLineHeight": 12}
    # The first of two lines stands above the middle of its row.
    axis |= {"labelOffset": -6} if two else {}
    y: Spec = {"field": "y", "type": "nominal", "sort": order, "title": None, "scale": {"domain": order}, "axis": axis}
    # A layer that draws across all rows (a rule at a value) has no y.
    placed = [
        one if "datum" in one["encoding"]["x"] else {**one, "encoding": {"y": y, **one["encoding"]}} for one in layers
    ]
    return layered(rows, width, {"step": TWO_LINES if two else ROW}, placed)


def scaled(field: str, domain: Sequence[float], shares: bool = True, sign: bool = False, **axis: Any) -> Spec:
    """The encoding of a number, or of a share that is shown in percent (or in signed points)."""
    label = {"labelExpr": f"(datum.value > 0 ? '+' : '') + {SHARES}" if sign else SHARES} if shares else {}
    shown = {"title": None, "grid": True, "tickCount": 5, **label, **axis}
    scale = {"domain": list(domain), "nice": False, "zero": False}
    return {"field": field, "type": "quantitative", "scale": scale, "axis": shown}


def scale(field: str, values: Mapping[str, Any]) -> Spec:
    """A name's colour or shape; the key stands beside the plot, so there is no legend."""
    held = {"domain": list(values), "range": list(values.values())}
    return {"field": field, "type": "nominal", "scale": held, "legend": None}


def cycled(field: str, names: Sequence[str], values: Sequence[Any]) -> Spec:
    """A value for each name, from the beginning again where they run out."""
    return scale(field, dict(zip(names, cycle(values), strict=False)))


def looks(field: str, names: Sequence[str]) -> Spec:
    """A colour and a shape for each name."""
    return {"color": cycled(field, names, HUES), "shape": cycled(field, names, SHAPES)}


def layer(mark: str, x: Spec, rows: Rows | None = None, encoding: Spec | None = None, **look: Any) -> Spec:
    """One mark at `x`, over rows of its own where it has some."""
    own = {} if rows is None else {"data": {"values": list(rows)}}
    return {**own, "mark": {"type": mark, **look}, "encoding": {"x": x, **(encoding or {})}}


def spans(
    x: Spec,
    ends: tuple[str, str] = ("low", "high"),
    rows: Rows | None = None,
    encoding: Spec | None = None,
    **look: Any,
) -> Spec:
    """A line (or another mark) from one field to another."""
    within = {"x2": {"field": ends[1]}, **(encoding or {})}
    return layer(look.pop("mark", "rule"), {**x, "field": ends[0]}, rows, within, **look)


def dots(rows: Rows, x: Spec, width: int, look: Spec | str, behind: Sequence[Spec] = (), span: bool = True) -> Spec:
    """A dot for each row, with its interval and, where rows have one, their `text`; other layers behind them.

    `look` is a colour for all, or encodings by channel.
    """
    look = {"color": {"value": look}} if isinstance(look, str) else look
    line = spans(x, encoding={key: own for key, own in look.items() if key != "shape"})
    beside = [values_beside(width)] if "text" in rows[0] else []
    return named_rows(rows, width, [*behind, *([line] if span else []), layer("point", x, None, look), *beside])


def values_beside(width: int, rows: Rows | None = None) -> Spec:
    """The numbers themselves (`text`), in a column right of the plot."""
    return layer("text", {"value": width}, rows, {"text": {"field": "text"}}, align="left", dx=8)


def rule_at(value: float, x: Spec) -> Spec:
    """A dashed line through all rows."""
    held = {key: part for key, part in x.items() if key != "field"} | {"datum": value}
    return layer("rule", held, strokeDash=[3, 3], strokeWidth=1, color=TEXT, opacity=0.5)


def zero() -> Spec:
    """A line through all rows at nothing, drawn once."""
    return layer("rule", {"datum": 0}, [{}], strokeWidth=1, color=TEXT, opacity=0.6)


def key(names: Sequence[str]) -> list[Said]:
    """Which mark and colour is whose."""
    return [Said(f"{MARKS[n % len(MARKS)]} {name}", f"hue{n % len(HUES)}") for n, name in enumerate(names)]
