"""A backtest for every point of a parameter grid.

A strategy that is told in crosses runs compiled (see ``fused``): each line is computed once, a point leaves its
statistics only, and threads share the points. Any other strategy runs point by point through the engine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from tqdm.auto import tqdm

from workbench.analytics.signals import line
from workbench.backtest.costs import Terms
from workbench.backtest.engine import simulate
from workbench.backtest.run import require_fill
from workbench.backtest.statistics import NAMES, statistics
from workbench.backtest.strategies import Strategy
from workbench.core.calendar import periods_per_year
from workbench.core.errors import ParameterError
from workbench.core.frames import per_symbol

CHUNK = 256
"""Points that a thread takes at once: short enough for a progress bar and an interrupt."""

LINES_BYTES = 128 * 2**20
"""Memory for the lines of a compiled sweep."""

Points = Sequence[Mapping[str, Any]]
Found = Iterator[tuple[int, int, NDArray[np.float64]]]
"""The first point, the symbol's column, and statistics of shape (n, 12) for the points from there on."""


def sweep(bars: xr.Dataset, strategy: Strategy, grid: Mapping[str, Any], terms: Terms, *, progress: bool) -> xr.Dataset:
    """Run a strategy over a grid of parameters, each symbol on its own.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    strategy : Strategy
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
    places, points = _valid(strategy, [dict(zip(axes, point, strict=True)) for point in product(*axes.values())])
    cells = np.full((int(np.prod([len(axis) for axis in axes.values()])), bars.sizes["symbol"], len(NAMES)), np.nan)
    runner = _compiled if strategy.crosses else _simulated
    total = len(points) * bars.sizes["symbol"]
    with tqdm(total=total, desc=strategy.name, unit="backtest", disable=not progress) as bar:
        for first, column, figures in runner(bars, strategy, points, terms):
            cells[places[first : first + len(figures)], column] = figures
            bar.update(len(figures))
    return _dataset(cells, axes, bars, {"strategy": strategy.name, **terms.to_dict()})


def _axis(name: str, values: Any) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    axis = list(values)
    if not axis:
        raise ParameterError(f"the grid has no values for {name!r}; give at least one")
    return axis


def _valid(strategy: Strategy, points: Points) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """Return the places of the points whose parameters go together, and all of their parameters."""
    places, values, fault = [], [], None
    for place, point in enumerate(points):
        try:
            values.append(strategy.validate(point))
            places.append(place)
        except ParameterError as error:
            fault = fault or error
    if fault and not values:
        raise ParameterError(f"no point of the grid is valid; the first says: {fault}")
    return np.array(places, dtype=np.int64), values


def _compiled(bars: xr.Dataset, strategy: Strategy, points: Points, terms: Terms) -> Found:
    from workbench.backtest.fused import run_points

    assert strategy.crosses is not None  # noqa: S101 - chosen by the caller
    rules = [strategy.crosses(**point) for point in points]
    places = {spec: place for place, spec in enumerate(dict.fromkeys(spec for rule in rules for spec in rule))}
    indices = np.array([[places[spec] for spec in rule] for rule in rules], dtype=np.int64)
    money = np.array([terms.costs.commission, terms.costs.slippage, terms.cash])
    periods, both = periods_per_year(bars.attrs["interval"], bars.attrs["calendar"]), terms.direction == "both"
    # As many symbols at once as their lines fit into the memory that is allowed.
    at_once = max(1, LINES_BYTES // (len(places) * bars.sizes["time"] * 8))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for begin in range(0, bars.sizes["symbol"], at_once):
            part = bars.isel(symbol=slice(begin, begin + at_once))
            lines = np.stack([line(part, spec).to_numpy() for spec in places])
            for column, (_, frame) in enumerate(per_symbol(part)):
                own = np.ascontiguousarray(lines[:, part.indexes["time"].isin(frame.index), column])
                fill = frame["open" if terms.fill == "next_open" else "close"].to_numpy()
                prices = fill, frame["close"].to_numpy()
                work = {
                    first: threads.submit(
                        run_points, *prices, own, indices[first : first + CHUNK], money, periods, both
                    )
                    for first in range(0, len(indices), CHUNK)
                }
                for first, figures in work.items():
                    yield first, begin + column, figures.result()


def _simulated(bars: xr.Dataset, strategy: Strategy, points: Points, terms: Terms) -> Found:
    frames, periods = dict(per_symbol(bars)), periods_per_year(bars.attrs["interval"], bars.attrs["calendar"])
    for place, values in enumerate(points):
        signals = strategy.signals(bars, **values)
        entry, leave = signals["entry"].to_pandas(), signals["exit"].to_pandas()
        for column, (symbol, frame) in enumerate(frames.items()):
            account = simulate(frame, entry.loc[frame.index, symbol], leave.loc[frame.index, symbol], terms)
            held = account.holding.to_frame()
            found = statistics(account.equity, terms.cash, held, account.traded, account.trades, periods)
            yield place, column, np.array([[found[name] for name in NAMES]])


def _dataset(
    cells: NDArray[np.float64], axes: Mapping[str, list[Any]], bars: xr.Dataset, attrs: Mapping[str, Any]
) -> xr.Dataset:
    dims = (*axes, "symbol")
    shape = (*(len(values) for values in axes.values()), bars.sizes["symbol"])
    variables = {name: (dims, cells[..., place].reshape(shape)) for place, name in enumerate(NAMES)}
    single = [name for name, values in axes.items() if len(values) == 1]
    kept = {"dataset": bars.attrs["dataset"], "version": bars.attrs["version"], "adjustment": bars.attrs["adjustment"]}
    coords = {**axes, "symbol": bars["symbol"].to_numpy()}
    return xr.Dataset(variables, coords=coords, attrs={**attrs, **kept}).squeeze(single)
