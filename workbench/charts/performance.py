"""The picture of a backtest."""

from __future__ import annotations

from collections.abc import Mapping

import holoviews as hv
import pandas as pd
import xarray as xr

from workbench.charts.candles import prices
from workbench.charts.panels import MONEY, drawdown_panel, line, panel, stack, ticks
from workbench.charts.theme import ACCENT, DOWN, MUTED, UP
from workbench.core.frames import own_bars


def backtest_picture(
    bars: xr.Dataset,
    symbol: str,
    trades: pd.DataFrame,
    equity: Mapping[str, pd.Series],
    drawdown: Mapping[str, pd.Series],
) -> hv.Layout:
    """Draw prices with entries and exits, equity against the benchmark, and drawdowns.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars.
    symbol : str
        The symbol whose prices and trades are drawn.
    trades : pandas.DataFrame
        Round trips with ``symbol direction entry_time entry_price exit_time exit_price status``.
    equity, drawdown : mapping of str to pandas.Series
        Strategy first, then the benchmark: value in the bars' currency, and return from the running peak; by label.

    Returns
    -------
    holoviews.Layout
        One column; the panels share the time axis.
    """
    frame = own_bars(bars, symbol)
    own = trades[trades["symbol"] == symbol]
    top = panel([*prices(frame, bars), *_markers(own)], 320, "price", title=f"{symbol}: entries and exits")
    (name, value), *rest = equity.items()
    curves = [line(series, label, MUTED, "equity") for label, series in rest]
    middle = panel(
        [*curves, line(value, name, ACCENT, "equity")],
        180,
        f"equity, {bars.attrs['currency']}",
        yformatter=ticks(MONEY),
    )
    return stack([top, middle, drawdown_panel(drawdown, 120)])


def _markers(trades: pd.DataFrame) -> list[hv.Points]:
    """Return entries and exits as triangles, at their fill prices."""
    closed = trades[trades["status"] == "closed"]
    groups = [
        ("entry", trades, "entry", UP, "triangle"),
        ("exit", closed, "exit", DOWN, "inverted_triangle"),
    ]
    marks = []
    for label, rows, end, color, marker in groups:
        if rows.empty:
            continue
        table = pd.DataFrame({"time": rows[f"{end}_time"], "value": rows[f"{end}_price"], "side": rows["direction"]})
        points = hv.Points(table, ["time", "value"], "side", label=label)
        tips = [(label, "@time{%F}"), ("price", "@value{0,0.00}"), ("side", "@side")]
        marks.append(
            points.opts(
                color=color,
                marker=marker,
                size=9,
                line_color="white",
                line_width=0.8,
                tools=["hover"],
                hover_tooltips=tips,
                hover_formatters={"@time": "datetime"},
            )
        )
    return marks
