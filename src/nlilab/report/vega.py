"""Vega-Lite, drawn to inline SVG while the report is written: the page needs no script and no network."""

from collections.abc import Mapping, Sequence
from typing import Any

import vl_convert
from markupsafe import Markup

ROW = 22  # pixels for each row of a dot plot
LABEL = 170  # pixels for a row's name before it is cut
TWO_LINES = 30  # pixels, where a name takes two lines

Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]

CONFIG: Spec = {
    "aria": False,
    "background": None,
    "font": "Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "gridColor": "currentColor",
        "gridOpacity": 0.14,
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelLimit": LABEL,
        "labelPadding": 6,
    },
    "axisX": {"labelOpacity": 0.75, "titleOpacity": 0.75, "labelOverlap": True},
    "text": {"color": "currentColor", "fontSize": 11},
}


def draw(spec: Spec) -> Markup:
    """Render a Vega-Lite specification to inline SVG; Vega escapes the text of the data."""
    svg: str = vl_convert.vegalite_to_svg({**spec, "config": CONFIG})
    for namespace in (' xmlns="http://www.w3.org/2000/svg"', ' xmlns:xlink="http://www.w3.org/1999/xlink"'):
        svg = svg.replace(namespace, "", 1)
    return Markup(svg)


def named_rows(rows: Rows, width: int, layers: list[Spec]) -> Spec:
    """Layers over named rows: the names on the left, one row each, in the order of the data."""
    order = list(dict.fromkeys(row["y"] for row in rows))
    y: Spec = {"field": "y", "type": "nominal", "sort": order, "title": None, "scale": {"domain": order}}
    y["axis"] = {"grid": False, "labelExpr": "split(datum.label, '\\n')", "labelLineHeight": 12}
    step = ROW
    if any("\n" in name for name in order):
        step = TWO_LINES
        y["axis"]["labelOffset"] = -6  # the first of two lines stands above the middle of its row
    # A layer that draws across all rows (a rule at a value) has no y.
    placed = [
        layer if "datum" in layer["encoding"]["x"] else {**layer, "encoding": {"y": y, **layer["encoding"]}}
        for layer in layers
    ]
    return {"data": {"values": list(rows)}, "width": width, "height": {"step": step}, "layer": placed}


def across(field: str, domain: list[float], percent_points: bool = False, axis: Spec | None = None) -> Spec:
    """The horizontal encoding of a share, shown in percent (or in signed points)."""
    sign = "datum.value > 0 ? '+' : ''" if percent_points else "''"
    shares: Spec = {"labelExpr": f"({sign}) + format(datum.value * 100, '.3~g')", "tickCount": 5}
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"domain": domain, "nice": False, "zero": False},
        "axis": {"title": None, "grid": True, **(shares if axis is None else axis)},
    }


def values_beside(width: int) -> Spec:
    """The numbers themselves, in a column right of the plot."""
    mark = {"type": "text", "align": "left", "dx": 8}
    return {"mark": mark, "encoding": {"x": {"value": width}, "text": {"field": "text"}}}


def rule_at(value: float, x: Spec) -> Spec:
    """A dashed line through all rows."""
    encoding = {"x": {key: part for key, part in x.items() if key != "field"} | {"datum": value}}
    return {
        "mark": {"type": "rule", "strokeDash": [3, 3], "color": "currentColor", "opacity": 0.5},
        "encoding": encoding,
    }


def scale(field: str, values: Mapping[str, Any]) -> Spec:
    """A name's colour or shape; the key stands in the page, so there is no legend."""
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(values), "range": list(values.values())},
        "legend": None,
    }
