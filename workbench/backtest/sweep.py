"""A backtest for every point of a parameter grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from workbench.backtest.costs import Terms
from workbench.backtest.engine import simulate
from workbench.backtest.run import require_fill
from workbench.backtest.statistics import NAMES, statistics
from workbench.backtest.strategies import Strategy
from workbench.core.calendar import periods_per_year
from workbench.core.errors import ParameterError
from workbench.core.frames import per_symbol


def sweep(bars: xr.Dataset, strategy: Strategy, grid: Mapping[str, Any], terms: Terms, *, progress: bool) -> xr.Dataset:
    """Run a strategy over a grid of parameters, each symbol on its own.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    grid : mapping
        A value or an iterable of values for each parameter; parameters not named keep their default.
    terms : Terms
        Cash, costs, direction, fill; every symbol has the whole of the cash.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        Each statistic as a variable over the parameters with several values and ``symbol``, in the grid's order. A
        point whose parameters do not go together (such as fast >= slow) is NaN.

    Raises
    ------
    UnknownNameError, ParameterError
        For a parameter that the strategy does not have, an empty axis, a value that is never valid, or a grid without
        any valid point.
    """
    require_fill(bars, terms)
    axes = {name: [strategy.typed({name: value})[name] for value in _axis(name, given)] for name, given in grid.items()}
    points = list(product(*axes.values()))
    cells = {name: np.full((len(points), bars.sizes["symbol"]), np.nan) for name in NAMES}
    frames = dict(per_symbol(bars))
    periods = periods_per_year(bars.attrs["interval"])
    faults: list[ParameterError] = []
    for row, point in enumerate(tqdm(points, desc=strategy.name, unit="point", disable=not progress)):
        try:
            values = strategy.validate(dict(zip(axes, point, strict=True)))
        except ParameterError as error:
            faults.append(error)
            continue
        signals = strategy.signals(bars, **values)
        entry, leave = signals["entry"].to_pandas(), signals["exit"].to_pandas()
        for column, (symbol, frame) in enumerate(frames.items()):
            account = simulate(frame, entry.loc[frame.index, symbol], leave.loc[frame.index, symbol], terms)
            held = account.holding.to_frame()
            found = statistics(account.equity, terms.cash, held, account.traded, account.trades, periods)
            for name, value in found.items():
                cells[name][row, column] = value
    if len(faults) == len(points):
        raise ParameterError(f"no point of the grid is valid; the first says: {faults[0]}")
    return _dataset(cells, axes, bars, {"strategy": strategy.name, **terms.to_dict()})


def _axis(name: str, values: Any) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    axis = list(values)
    if not axis:
        raise ParameterError(f"the grid has no values for {name!r}; give at least one")
    return axis


def _dataset(
    cells: Mapping[str, np.ndarray], axes: Mapping[str, list[Any]], bars: xr.Dataset, attrs: Mapping[str, Any]
) -> xr.Dataset:
    dims = (*axes, "symbol")
    shape = (*(len(values) for values in axes.values()), bars.sizes["symbol"])
    variables = {name: (dims, values.reshape(shape)) for name, values in cells.items()}
    single = [name for name, values in axes.items() if len(values) == 1]
    kept = {"dataset": bars.attrs["dataset"], "version": bars.attrs["version"], "adjustment": bars.attrs["adjustment"]}
    coords = {**axes, "symbol": bars["symbol"].to_numpy()}
    return xr.Dataset(variables, coords=coords, attrs={**attrs, **kept}).squeeze(single)
