"""The equity of every cell of a small grid: what tells how much of a sweep's best is luck."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from workbench.backtest.run import require_fill
from workbench.backtest.strategy import Strategy
from workbench.backtest.sweeps.blocks import Block
from workbench.backtest.sweeps.compiled import CompiledWork
from workbench.backtest.sweeps.grid import Grid, read_grid
from workbench.backtest.sweeps.simulated import SimulatedWork
from workbench.backtest.sweeps.sweep import work_for
from workbench.backtest.terms import Terms
from workbench.core.errors import ParameterError
from workbench.core.frames import require_fields

BYTES = 2**30
"""Memory that all paths together may take."""


def cell_equity(bars: xr.Dataset, strategy: Strategy, grid: Mapping[str, Any], terms: Terms) -> xr.DataArray:
    """Return the value of each cell's account at each close, in units of its starting cash.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    strategy, grid, terms
        As in ``workbench.backtest.sweeps.sweep.sweep``.

    Returns
    -------
    xarray.DataArray
        Over the grid's parameters (those with one value, too), ``symbol`` and ``time``. 1 before a symbol's first bar;
        its last value where it has no bar. NaN throughout for a cell that the sweep leaves NaN.

    Raises
    ------
    ParameterError
        Also where the paths would take more than ``BYTES``.
    UnknownNameError, InputError, StrategyError
        As in ``sweep``.
    """
    require_fill(bars, terms)
    require_fields(bars, strategy.fields, f"strategy {strategy.name!r}")
    points = read_grid(strategy, grid, bars.sizes["symbol"])
    points.first_valid()
    work = work_for(bars, strategy, points, terms)
    shape = (points.size, len(work.columns), bars.sizes["time"])
    if (needed := 8 * np.prod(shape, dtype=float)) > BYTES:
        raise ParameterError(
            f"{points.size:,} points x {shape[1]:,} symbols x {shape[2]:,} bars take {needed / 2**30:,.1f} GiB as "
            f"paths, more than {BYTES / 2**30:g} GiB; give fewer values, symbols or bars"
        )
    equity = np.full(shape, np.nan)
    for block in work.blocks():
        _follow(work, block, bars, equity[block.first : block.last, block.begin : block.end])
    return _array(equity / terms.cash, points, work.columns, bars)


def _follow(work: CompiledWork | SimulatedWork, block: Block, bars: xr.Dataset, equity: np.ndarray) -> None:
    """Write a block's paths, shape (n_points, n_columns, n_bars), in money."""
    if isinstance(work, SimulatedWork):
        times = bars.indexes["time"]
        for place, column, account in work.accounts(block):
            filled = account.equity.reindex(times).ffill().fillna(work.terms.cash)
            equity[place, column] = filled.to_numpy()
        return
    close = bars["close"].transpose("time", "symbol").to_numpy()
    for column, paths in enumerate(work.equity(block)):
        last = np.cumsum(~np.isnan(close[:, block.begin + column]))
        known = ~np.isnan(paths).all(axis=1)
        begun = np.concatenate([np.full((len(paths), 1), work.terms.cash), paths], axis=1)
        equity[known, column] = begun[known][:, last]


def _array(equity: np.ndarray, grid: Grid, columns: list[str], bars: xr.Dataset) -> xr.DataArray:
    coords = {**grid.axes, "symbol": np.asarray(columns, dtype=object), "time": bars["time"].to_numpy()}
    dims = (*grid.axes, "symbol", "time")
    return xr.DataArray(equity.reshape(*grid.shape, *equity.shape[1:]), coords=coords, dims=dims, name="equity")
