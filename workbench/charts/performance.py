"""Pictures of a backtest and of a sweep."""

from __future__ import annotations

from collections.abc import Mapping

import holoviews as hv
import numpy as np
import pandas as pd
import xarray as xr
from bokeh.models import NumeralTickFormatter
from holoviews.plotting.util import polylinear_gradient

from workbench.charts.candles import prices
from workbench.charts.panels import line, panel, stack
from workbench.charts.theme import ACCENT, DIVERGING, DOWN, MUTED, UP
from workbench.core.errors import InputError, UnknownNameError
from workbench.core.frames import per_symbol

PERCENT = NumeralTickFormatter(format="0%")
MONEY = NumeralTickFormatter(format="0,0")


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
    frame = dict(per_symbol(bars.sel(symbol=[symbol])))[symbol]
    own = trades[trades["symbol"] == symbol]
    top = panel([*prices(frame, bars), *_markers(own)], 320, "price", title=f"{symbol}: entries and exits")
    (name, value), *rest = equity.items()
    curves = [line(series, label, MUTED, "equity") for label, series in rest]
    middle = panel(
        [*curves, line(value, name, ACCENT, "equity")], 180, f"equity, {bars.attrs['currency']}", yformatter=MONEY
    )
    (name, depth), *rest = drawdown.items()
    shades = [line(series, label, MUTED, "drawdown") for label, series in rest]
    area = hv.Area(pd.DataFrame({"time": depth.index, "drawdown": depth.to_numpy()}), "time", "drawdown", label=name)
    filled = area.opts(color=DOWN, fill_alpha=0.3, line_color=DOWN)
    return stack([top, middle, panel([*shades, filled], 120, "drawdown", yformatter=PERCENT, show_legend=False)])


def heat_map(sweep: xr.Dataset, statistic: str, symbol: str | None = None) -> hv.Overlay:
    """Draw one statistic of a sweep over its two parameters.

    Parameters
    ----------
    sweep : xarray.Dataset
        A sweep with two parameters that have several values.
    statistic : str
        Its name, such as ``"sharpe"``.
    symbol : str, optional
        The symbol; the mean over all where ``None``.

    Returns
    -------
    holoviews.Overlay
        The map, and a ring around its best point.

    Raises
    ------
    UnknownNameError, InputError
        For an unknown statistic or symbol, or another number of parameters.
    """
    if statistic not in sweep:
        raise UnknownNameError("statistic", statistic, [str(name) for name in sweep.data_vars])
    symbols = [str(name) for name in sweep["symbol"].to_numpy()]
    if symbol is not None and symbol not in symbols:
        raise UnknownNameError("symbol", symbol, symbols, where="the sweep")
    values = sweep[statistic].mean("symbol") if symbol is None else sweep[statistic].sel(symbol=symbol)
    if len(values.dims) != 2:
        raise InputError(f"a heat map needs two parameters with several values; this sweep has {len(values.dims)}")
    x, y = (str(name) for name in values.dims)
    table = values.to_series().rename(statistic).reset_index()
    whose = symbol or ("mean of " + ", ".join(symbols) if len(symbols) > 1 else symbols[0])
    limit = float(np.nanmax(np.abs(values.to_numpy())))
    grid = hv.HeatMap(table.dropna(), [x, y], statistic).opts(
        cmap=polylinear_gradient(list(DIVERGING), 255),
        clim=(-limit, limit),
        colorbar=True,
        tools=["hover"],
        line_color=None,
        padding=0,
    )
    best = table.loc[[table[statistic].idxmax()]]
    ring = hv.Points(best, [x, y]).opts(marker="circle", size=14, fill_alpha=0, line_color="#14202b", line_width=2)
    found = best.iloc[0]
    title = f"{statistic}, {whose} · best {found[statistic]:.2f} at {x} {found[x]:g}, {y} {found[y]:g}"
    chosen = {
        "responsive": True,
        "height": 380,
        "min_height": 380,
        "title": title,
        "toolbar": None,
        # A wheel over the picture scrolls the page.
        "default_tools": [],
        "active_tools": [],
        "padding": 0,
    }
    return hv.Overlay([grid, ring]).opts(**chosen)


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
