"""Which point of a grid was best, and what each of them earned: what every validation begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workbench.backtest.statistics import NAMES, best_end
from workbench.backtest.strategy import Strategy
from workbench.backtest.terms import Terms
from workbench.core.errors import InputError, ParameterError, UnknownNameError


def require_choice(statistic: str) -> None:
    """Raise where a statistic does not tell better from worse.

    Raises
    ------
    UnknownNameError, ParameterError
    """
    if statistic not in NAMES:
        raise UnknownNameError("statistic", statistic, NAMES)
    if best_end(statistic) is None:
        raise ParameterError(f"more {statistic} is neither better nor worse; choose by another one, such as 'sharpe'")


@dataclass(frozen=True)
class Choice:
    """The best point of a grid.

    Attributes
    ----------
    parameters : mapping
        Those that the grid names.
    statistics : mapping of str to float
        Each the mean over the symbols that have one.
    """

    parameters: Mapping[str, Any]
    statistics: Mapping[str, float]


def best_point(found: xr.Dataset, statistic: str) -> Choice:
    """Return the point of a sweep with the best statistic, the mean over the symbols that have one.

    Parameters
    ----------
    found : xarray.Dataset
        What ``workbench.backtest.sweeps.sweep.sweep`` returns.
    statistic : str
        Its better end is searched; of equal points the first one of the grid is taken. Infinite values count as none.

    Raises
    ------
    UnknownNameError, ParameterError
        For a statistic that cannot choose.
    InputError
        If no point has the statistic.
    """
    require_choice(statistic)
    means = found.where(np.isfinite(found)).mean("symbol")
    values = means[statistic].to_numpy()
    if np.isnan(values).all():
        raise InputError(f"no point of the grid has a {statistic}: none traded; give more bars or shorter windows")
    arg = np.nanargmax if best_end(statistic) == "highest" else np.nanargmin
    best = means.isel(dict(zip(means[statistic].dims, np.unravel_index(arg(values), values.shape), strict=True)))
    parameters = {str(name): best[name].item() for name in best.coords}
    return Choice(parameters, {name: float(best[name]) for name in NAMES})


@dataclass(frozen=True)
class Cells:
    """What every point of a grid earned, bar by bar.

    Attributes
    ----------
    points : sequence of mapping
        The parameters of the valid points, those that the grid names.
    returns : pandas.DataFrame
        Simple returns per bar of the accounts of all symbols together, shape (n_bars, n_points).
    """

    points: Sequence[Mapping[str, Any]]
    returns: pd.DataFrame

    @property
    def sharpes(self) -> NDArray[np.float64]:
        """Sharpe ratio per bar of each point, shape (n_points,); NaN for one that never traded."""
        spread = self.returns.std().to_numpy()
        mean = self.returns.mean().to_numpy()
        return np.where(spread > 0, mean / np.where(spread > 0, spread, 1.0), np.nan)


def cell_returns(bars: xr.Dataset, strategy: Strategy, grid: Mapping[str, Any], terms: Terms) -> Cells:
    """Return what every valid point of a grid earned on ``bars``.

    The cash is divided equally among the symbols, and the accounts are added up; a strategy of weights, and shared
    terms, have one account. A symbol's share is idle before its first bar and keeps its value after its last one.

    Raises
    ------
    UnknownNameError, ParameterError, InputError
        As a sweep does, and for a grid that does not fit into memory.
    """
    from workbench.backtest.sweeps.paths import cell_equity

    equity = cell_equity(bars, strategy, grid, terms)
    axes = [str(dim) for dim in equity.dims[:-2]]
    shape = equity.shape[: len(axes)]
    accounts = equity.to_numpy().reshape(-1, *equity.shape[-2:])
    valid = np.flatnonzero(~np.isnan(accounts[:, :, 0]).all(axis=1))
    value = np.zeros((equity.sizes["time"], len(valid)))
    for column in range(equity.sizes["symbol"]):
        # A symbol with too few bars for a point's rule leaves its share in cash.
        value += np.nan_to_num(accounts[valid, column], nan=1.0).T / equity.sizes["symbol"]
    columns = [equity[axis].to_numpy().tolist() for axis in axes]
    places = np.transpose(np.unravel_index(valid, shape)) if axes else np.zeros((len(valid), 0), dtype=np.int64)
    points = [{axis: columns[at][k] for at, (axis, k) in enumerate(zip(axes, place, strict=True))} for place in places]
    before = np.vstack([np.ones((1, len(valid))), value[:-1]])
    # An account at nothing stays there, as in ``statistics.returns_of``.
    returns = np.divide(value, before, out=np.ones_like(value), where=before > 0) - 1
    return Cells(points, pd.DataFrame(returns, index=equity.indexes["time"]))
