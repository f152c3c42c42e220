"""The picture of a sweep over two parameters."""

from __future__ import annotations

from typing import Any, Literal

import holoviews as hv
import numpy as np
import pandas as pd
import xarray as xr
from holoviews.plotting.util import polylinear_gradient

from workbench.charts.panels import BACKEND
from workbench.charts.theme import DIVERGING
from workbench.core.errors import InputError, UnknownNameError

Best = Literal["highest", "lowest"]


def heat_map(sweep: xr.Dataset, statistic: str, symbol: str | None = None, best: Best | None = "highest") -> hv.Overlay:
    """Draw one statistic of a sweep over its two parameters.

    Parameters
    ----------
    sweep : xarray.Dataset
        A sweep with two parameters that have several values.
    statistic : str
        Its name, such as ``"sharpe"``.
    symbol : str, optional
        The symbol; the mean over all where ``None``.
    best : {"highest", "lowest"}, optional
        Which end is the better one; no point is marked where ``None``.

    Returns
    -------
    holoviews.Overlay
        The map, and a ring around the best point.

    Raises
    ------
    UnknownNameError, InputError
        For an unknown statistic or symbol, another number of parameters, or a statistic that is nowhere finite.
    """
    if statistic not in sweep:
        raise UnknownNameError("statistic", statistic, [str(name) for name in sweep.data_vars])
    symbols = [str(name) for name in sweep["symbol"].to_numpy()]
    if symbol is not None and symbol not in symbols:
        raise UnknownNameError("symbol", symbol, symbols, where="the sweep")
    finite = sweep[statistic].where(np.isfinite(sweep[statistic]))
    values = finite.mean("symbol") if symbol is None else finite.sel(symbol=symbol)
    if len(values.dims) != 2:
        raise InputError(f"a heat map needs two parameters with several values; this sweep has {len(values.dims)}")
    x, y = (str(name) for name in values.dims)
    table = values.to_series().rename(statistic).reset_index().dropna()
    if table.empty:
        raise InputError(f"{statistic!r} is nowhere finite in this sweep; draw another statistic")
    whose = symbol or ("mean of " + ", ".join(symbols) if len(symbols) > 1 else symbols[0])
    parts = [_grid(table, x, y, statistic)]
    title = f"{statistic}, {whose}"
    if best:
        point = table.sort_values(statistic, ascending=best == "lowest").head(1)
        value, across, up = (point[name].item() for name in (statistic, x, y))
        title += f" · best {value:.2f} at {x} {across}, {y} {up}"
        ring = hv.Points(point, [x, y], [])
        look = {"marker": "circle", "size": 14, "fill_alpha": 0, "line_color": "#14202b", "line_width": 2}
        parts.append(ring.opts(**look, backend=BACKEND))
    # Without tools, so that a wheel over the picture scrolls the page.
    tools: dict[str, Any] = {"toolbar": None, "default_tools": [], "active_tools": []}
    size = {"responsive": True, "height": 380, "min_height": 380}
    return hv.Overlay(parts).opts(title=title, padding=0, **size, **tools, backend=BACKEND)


def _grid(table: pd.DataFrame, x: str, y: str, statistic: str) -> hv.HeatMap:
    limit = float(table[statistic].abs().max())
    colors = polylinear_gradient(list(DIVERGING), 255)
    grid = hv.HeatMap(table, [x, y], statistic)
    shown = {"colorbar": True, "tools": ["hover"], "line_color": None, "padding": 0}
    return grid.opts(cmap=colors, clim=(-limit, limit), **shown, backend=BACKEND)
