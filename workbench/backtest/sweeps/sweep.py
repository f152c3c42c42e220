"""A backtest for every point of a parameter grid.

A strategy that is told in crosses runs compiled on plain terms (see ``compiled``); any other point by point through the
engine (see ``simulated``). Either way it is done in blocks, in bounded memory; a block leaves its statistics only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from workbench.analytics.lines import crossings
from workbench.backtest.run import require_fill
from workbench.backtest.statistics import NAMES
from workbench.backtest.strategy import Crosses, Strategy
from workbench.backtest.sweeps.blocks import Block, Done, Figures, Work, here
from workbench.backtest.sweeps.cluster import there
from workbench.backtest.sweeps.compiled import CompiledWork, crosses_at
from workbench.backtest.sweeps.fingerprint import fingerprint
from workbench.backtest.sweeps.grid import Grid, read_grid
from workbench.backtest.sweeps.kept import KeptBlocks
from workbench.backtest.sweeps.simulated import SimulatedWork, shares_an_account, signals_at
from workbench.backtest.terms import Terms
from workbench.core.errors import InputError, StrategyError
from workbench.core.frames import require_fields

_OWN = "workbench.backtest.strategies."


def sweep(
    bars: xr.Dataset,
    strategy: Strategy,
    grid: Mapping[str, Any],
    terms: Terms,
    *,
    progress: bool,
    folder: Path | None = None,
    cluster: Any = None,
) -> xr.Dataset:
    """Run a strategy over a grid of parameters, each symbol on its own.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    strategy : Strategy
    grid : mapping
        A value or an iterable of values for each parameter; parameters not named keep their default.
    terms : Terms
        Cash, costs, direction, fill, sizing, stops; every symbol has the whole of the cash.
    progress : bool
        Show a progress bar.
    folder : Path, optional
        Where a sweep of more than one full block keeps those that are finished until all are: one that was stopped
        goes on where it was.
    cluster : dask.distributed cluster or client, optional
        Where to compute; threads of this machine where ``None``.

    Returns
    -------
    xarray.Dataset
        Each statistic as a variable over the parameters with several values and ``symbol``, in the grid's order; a
        parameter with one value is a coordinate without an axis, those that the grid does not name are in
        ``attrs["parameters"]``, as JSON. Where symbols share an account (a strategy of weights, ``terms.shared``)
        ``symbol`` is the single ``"basket"``. A cell is NaN where the parameters do not go together (such as
        fast >= slow), or where the symbol has too few bars for the rule to say anything.

    Raises
    ------
    UnknownNameError, ParameterError
        For a parameter that the strategy does not have, an empty axis, a value that is never valid or given twice, a
        grid without any valid point, or one of more than ``grid.CELLS`` cells.
    InputError
        If the dataset lacks a field that the fill, the stops or the strategy needs, or has too few bars for every
        point.
    StrategyError
        If the strategy fails at a point; the point is named. Also if its ``crosses`` tell something else than its rule,
        for the symbol with the most bars at the first valid point; the workbench's own strategies are not looked at.
    StoreError
        If ``folder`` cannot be written to.
    """
    require_fill(bars, terms)
    require_fields(bars, strategy.fields, f"strategy {strategy.name!r}")
    points = read_grid(strategy, grid, bars.sizes["symbol"])
    points.first_valid()
    work = work_for(bars, strategy, points, terms)
    blocks, total = work.blocks(), points.size * len(work.columns)
    kept = KeptBlocks(folder, fingerprint(bars, strategy, points, terms)) if folder and total > work.most else None
    cells = np.full((len(NAMES), points.size, len(work.columns)), np.nan)
    with tqdm(total=total, desc=strategy.name, unit="backtest", unit_scale=True, disable=not progress) as bar:
        for block, figures in _done(work, blocks, kept, cluster):
            cells[:, block.first : block.last, block.begin : block.end] = figures
            bar.update(block.cells)
    if kept:
        kept.remove()
    if np.isnan(cells[NAMES.index("total_return")]).all():
        count = int(bars["close"].notnull().sum("time").max())
        raise InputError(
            f"{count:,} bars are too few for any point of the grid of strategy {strategy.name!r}; give a longer range"
        )
    return _dataset(cells, points, work.columns, bars, {"strategy": strategy.name, **terms.to_dict()})


def work_for(bars: xr.Dataset, strategy: Strategy, grid: Grid, terms: Terms) -> CompiledWork | SimulatedWork:
    """Return how a sweep is done: compiled where the strategy and the terms allow it, else through the engine.

    Raises
    ------
    ParameterError
        If no point of the grid is valid.
    StrategyError
        If the strategy fails at the first point, or its ``crosses`` tell something else there than its rule; see
        ``sweep``.
    """
    if strategy.crosses and terms.plain:
        # Some 10 ms; tests have held the workbench's own strategies against their crosses.
        if not all(part.__module__.startswith(_OWN) for part in (strategy.rule, strategy.crosses)):
            require_one_rule(bars, strategy, strategy.crosses, grid)
        return CompiledWork(bars, grid, strategy.crosses, terms)
    return SimulatedWork(bars, grid, strategy, terms, shares_an_account(bars, strategy, grid, terms))


def require_one_rule(bars: xr.Dataset, strategy: Strategy, crosses: Crosses, grid: Grid) -> None:
    """Raise where the crosses tell something else than the rule, at one point for the symbol with the most bars.

    Raises
    ------
    StrategyError
    """
    order = np.argsort(-bars["close"].notnull().sum("time").to_numpy(), kind="stable")
    some, point = bars.isel(symbol=np.sort(order[: strategy.symbols])), grid.first_valid()
    signals = signals_at(some, strategy, grid, point)
    entry, leave, _ = crossings(some, crosses_at(crosses, grid, point))
    # Where both happen on one bar neither counts, as in checked Signals.
    sides = {"entry": entry & ~leave, "exit": leave & ~entry}
    for name, side in sides.items():
        told = side.transpose("time", "symbol").to_numpy()
        apart = np.argwhere(told != signals[name].to_numpy())
        if len(apart):
            row, column = apart[0]
            first, second = ("crosses", "rule") if told[row, column] else ("rule", "crosses")
            raise StrategyError(
                f"strategy {strategy.name!r} has an {name} by its {first} for {some['symbol'].to_numpy()[column]} at "
                f"{some.indexes['time'][row]} and none by its {second} ({grid.told(point)}); declare crosses that tell "
                "the rule, or none"
            )


def _done(work: Work, blocks: Sequence[Block], kept: KeptBlocks | None, cluster: Any) -> Done:
    """Yield every block with its figures: those of an earlier run first, the others as they are finished."""
    left = []
    for block in blocks:
        found = kept.read(block, len(NAMES)) if kept else None
        if found is None:
            left.append(block)
        else:
            yield block, found
    running = here(work.run, left, work.threads) if cluster is None else there(cluster, work, left)
    with closing(running) as done:
        for block, figures in done:
            if kept:
                kept.write(block, figures)
            yield block, figures


def _dataset(
    cells: Figures, grid: Grid, columns: Sequence[str], bars: xr.Dataset, attrs: Mapping[str, Any]
) -> xr.Dataset:
    shape = (*grid.shape, len(columns))
    variables = {name: ((*grid.axes, "symbol"), cells[place].reshape(shape)) for place, name in enumerate(NAMES)}
    single = [name for name, values in grid.axes.items() if len(values) == 1]
    kept = {name: bars.attrs[name] for name in ("dataset", "version", "adjustment")}
    coords = {**grid.axes, "symbol": np.asarray(columns, dtype=object)}
    fixed = {"parameters": json.dumps(dict(grid.fixed))}
    return xr.Dataset(variables, coords=coords, attrs={**attrs, **fixed, **kept}).squeeze(single)
