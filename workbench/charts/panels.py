"""The parts that pictures are built from: panels on a shared time axis and the lines in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh
import pandas as pd
from bokeh.models import NumeralTickFormatter

from workbench.charts.theme import DOWN, LINES, MUTED

# Options are checked against the current backend, which is none until one is chosen.
BACKEND = "bokeh"
hv.Store.set_current_backend(BACKEND)

PERCENT, FINE_PERCENT, MONEY, SHORT = "0%", "0.0%", "0,0", "0a"
"""How ticks are written; ``SHORT`` in thousands and millions."""

TOOLS = ["xwheel_zoom", "xpan", "reset", "save"]


def line(values: pd.Series, label: str, color: str, axis: str) -> hv.Curve:
    """Draw a series over time, shape (n,), with a legend entry.

    ``axis`` names the quantity: HoloViews links the vertical axes of panels that show the same one.
    """
    frame = pd.DataFrame({"time": values.index, axis: values.to_numpy()})
    return hv.Curve(frame, "time", axis, label=label).opts(color=color, line_width=1.5)


def lines(series: dict[str, pd.Series], axis: str) -> list[hv.Curve]:
    """Draw several series of one quantity, each in the next color."""
    return [line(values, name, LINES[i % len(LINES)], axis) for i, (name, values) in enumerate(series.items())]


def panel(parts: Sequence[Any], height: int, ylabel: str, *, title: str = "", **options: Any) -> hv.Overlay:
    """Lay elements over each other in one panel as wide as its place.

    Parameters
    ----------
    parts : sequence of holoviews elements
    height : int
        Pixels.
    ylabel, title : str
    options
        Further options of the overlay.
    """
    chosen = {
        "responsive": True,
        "height": height,
        "min_height": height,
        "xlabel": "",
        "ylabel": ylabel,
        "title": title,
        "show_grid": True,
        "default_tools": TOOLS,
        "active_tools": ["xpan"],
        "legend_position": "top_left",
        "legend_cols": 4,
        "legend_opts": {"border_line_alpha": 0, "background_fill_alpha": 0, "padding": 2, "spacing": 14},
        "autorange": "y",
        # Room above for the legend.
        "padding": (0.01, (0.08, 0.2)),
        "yticks": max(3, height // 50),
        **options,
    }
    return hv.Overlay(list(parts)).opts(**chosen)


def drawdown_panel(drawdown: Mapping[str, pd.Series], height: int, **options: Any) -> hv.Overlay:
    """Draw returns from the running peak, by label: the first filled, the others as lines behind it."""
    (name, depth), *rest = drawdown.items()
    shades = [line(values, label, MUTED, "drawdown") for label, values in rest]
    table = pd.DataFrame({"time": depth.index, "drawdown": depth.to_numpy()})
    area = hv.Area(table, "time", "drawdown", label=name)
    filled = area.opts(color=DOWN, fill_alpha=0.3, line_color=DOWN, backend=BACKEND)
    chosen = {"yformatter": ticks(PERCENT), "show_legend": False, **options}
    return panel([*shades, filled], height, "drawdown", **chosen)


def ticks(form: str) -> NumeralTickFormatter:
    """Return a formatter of its own for a picture: Bokeh refuses one that another page has."""
    return NumeralTickFormatter(format=form)


def stack(panels: Sequence[hv.Overlay]) -> hv.Layout:
    """Put panels below each other; they share the time axis and one toolbar."""
    bare = [part.opts(xaxis="bare") for part in panels[:-1]]
    layout = hv.Layout([*bare, panels[-1]]).cols(1)
    return layout.opts(shared_axes=True, sizing_mode="stretch_width")
