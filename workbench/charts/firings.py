"""Where alert rules fire: the bars around one firing, and years of them with the messages that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import xarray as xr

from workbench.charts.candles import ADJUSTED, prices
from workbench.charts.panels import BACKEND, line, lines, panel, stack, ticks
from workbench.charts.patterns import pattern_marks
from workbench.charts.theme import ACCENT, INK, LINES, MUTED
from workbench.core.frames import own_bars

MARK = LINES[1]
"""Apart from the colors of the candles, which the marks lie over."""

ROW = 24
"""Pixels for a symbol in a picture of many."""

_LEVELS = (MARK, LINES[2], LINES[3], LINES[4], LINES[5])


def moment_picture(
    bars: xr.Dataset,
    symbol: str,
    fired: pd.Timestamp,
    over: Mapping[str, pd.Series],
    below: Mapping[str, Mapping[str, pd.Series]],
    *,
    patterns: pd.DataFrame | None = None,
) -> hv.Layout:
    """Draw the bars around a firing: the candles with a line down at it, and what the rule looked at.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars as they are shown, the one that fired among them.
    symbol : str
    fired : pandas.Timestamp
        When it fired, UTC without a zone.
    over : mapping of str to pandas.Series
        Lines over the prices by label, indexed by any times.
    below : mapping of str to mapping
        For each further panel, by what its axis says, its lines by label.
    patterns : pandas.DataFrame, optional
        What is drawn over the candles; see ``workbench.charts.patterns.pattern_marks``.

    Returns
    -------
    holoviews.Layout
        One column; the panels share the time axis.
    """
    frame = own_bars(bars, symbol)
    title = f"{symbol} · {bars.attrs['currency']} · {ADJUSTED[bars.attrs['adjustment']]}"
    levels = [
        line(values, label, _LEVELS[place % len(_LEVELS)], "price")
        for place, (label, values) in enumerate(over.items())
    ]
    at = frame["close"][:fired]
    mark = _points([fired], at.tail(1), "price", "fired") if len(at) else []
    shapes = [] if patterns is None else pattern_marks(patterns, symbol, frame)
    top = [_down(fired), *prices(frame, bars), *levels, *shapes, *mark]
    parts = [panel(top, 330, "price", title=title)]
    for unit, members in below.items():
        curves = lines({label: values.dropna() for label, values in members.items()}, unit)
        parts.append(panel([_down(fired), *curves], 150, unit, padding=(0.01, (0.08, 0.4))))
    return stack(parts)


def rehearsal_picture(
    close: pd.Series, levels: Mapping[str, pd.Series], firings: pd.DataFrame, monthly: pd.Series, title: str
) -> hv.Layout:
    """Draw years of one symbol with what would have fired, and the messages of each month below.

    Parameters
    ----------
    close : pandas.Series
        What is drawn as the main line, by time, shape (n_bars,).
    levels : mapping of str to pandas.Series
        What it is compared with, in the same unit, by label.
    firings : pandas.DataFrame
        ``time found told`` for each; ``told`` says whether a message told of it.
    monthly : pandas.Series
        Messages by the first day of each month.
    title : str

    Returns
    -------
    holoviews.Layout
    """
    curves = [line(close, str(close.name), INK, "value")]
    colors = LINES[2:]
    curves += [
        line(values, name, colors[place % len(colors)], "value") for place, (name, values) in enumerate(levels.items())
    ]
    marks = []
    for told, label in ((True, "told"), (False, "held back")):
        rows = firings[firings["told"] == told]
        marks += _points(
            rows["time"], close.reindex(rows["time"], method="ffill"), "value", label, told=told, rows=rows
        )
    top = panel([*curves, *marks], 300, str(close.name), title=title)
    return stack([top, _months(monthly)])


def rows_picture(firings: pd.DataFrame, symbols: list[str], monthly: pd.Series, title: str) -> hv.Layout:
    """Draw many symbols' firings, a row for each, and the messages of each month below.

    Parameters
    ----------
    firings : pandas.DataFrame
        ``time symbol found told``.
    symbols : list of str
        From above.
    monthly : pandas.Series
        Messages by the first day of each month.
    title : str
    """
    place = {symbol: len(symbols) - 1 - row for row, symbol in enumerate(symbols)}
    marks = []
    for told, label in ((True, "told"), (False, "held back")):
        rows = firings[firings["told"] == told]
        marks += _points(rows["time"], rows["symbol"].map(place), "row", label, told=told, rows=rows)
    height = 80 + ROW * len(symbols)
    names = [(at, symbol) for symbol, at in place.items()]
    top = panel(marks, height, "", title=title, yticks=names, ylim=(-0.6, len(symbols) + 0.2), autorange=None)
    return stack([top, _months(monthly)])


def _down(time: pd.Timestamp) -> hv.VLines:
    """Return a line from top to bottom."""
    drawn = hv.VLines([time.to_datetime64()], kdims=["time"])
    return drawn.opts(color=MARK, line_width=1.5, line_dash="dashed", alpha=0.9, backend=BACKEND)


def _points(
    times: Any, values: Any, axis: str, label: str, *, told: bool = True, rows: pd.DataFrame | None = None
) -> list[hv.Points]:
    """Return marks, filled where they were told; none where there are no times, which would draw an empty legend."""
    if not len(times):
        return []
    found = [""] * len(times) if rows is None else rows["found"].to_numpy()
    table = pd.DataFrame({"time": np.asarray(times), axis: np.asarray(values, dtype=float), "found": found})
    look = {"color": MARK, "size": 11, "line_color": "white", "line_width": 0.8}
    quiet = {"fill_color": None, "line_color": MUTED, "line_width": 1.5, "size": 9}
    tips = [(label, "@time{%F %H:%M}"), ("", "@found")]
    points = hv.Points(table, ["time", axis], "found", label=label)
    return [
        points.opts(
            marker="diamond",
            tools=["hover"],
            hover_tooltips=tips,
            hover_formatters={"@time": "datetime"},
            backend=BACKEND,
            **(look if told else quiet),
        )
    ]


def _months(monthly: pd.Series) -> hv.Overlay:
    """Draw the messages of each month."""
    starts = pd.DatetimeIndex(monthly.index)
    ends = starts + pd.offsets.MonthBegin(1)
    gap = np.timedelta64(2, "D")
    counts = monthly.to_numpy()
    columns = {
        "time": starts.to_numpy() + gap,
        "floor": np.zeros(len(monthly)),
        "time_end": ends.to_numpy() - gap,
        "messages": counts,
        "month": [f"{start:%B %Y}" for start in starts],
    }
    drawn = hv.Rectangles(columns, ["time", "floor", "time_end", "messages"], ["month"])
    bars = drawn.opts(
        color=ACCENT,
        line_color=None,
        alpha=0.8,
        tools=["hover"],
        hover_tooltips=[("", "@month"), ("messages", "@messages{0,0}")],
        backend=BACKEND,
    )
    most = max(4.0, float(counts.max(initial=0)) * 1.15)
    look = {"ylim": (0, most), "autorange": None, "show_legend": False, "yformatter": ticks("0,0"), "yticks": 3}
    return panel([bars], 140, "messages", title="Messages by month", **look)
