"""Which point of a grid was best, and what each of them earned: what every validation begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from workbench.backtest.statistics import NAMES, best_end
from workbench.backtest.strategy import Strategy
from workbench.backtest.terms import Terms
from workbench.core.errors import InputError, ParameterError, UnknownNameError
from workbench.risk import measures

CHOOSING = ("total_return", "annual_return", "volatility", "sharpe", "sortino", "calmar", "max_drawdown")
"""Statistics that follow from an account's returns alone, and so can be told of several symbols together."""


def require_choice(statistic: str) -> None:
    """Raise where a statistic cannot choose a point.

    Raises
    ------
    UnknownNameError, ParameterError
    """
    if statistic not in NAMES:
        raise UnknownNameError("statistic", statistic, NAMES)
    if statistic not in CHOOSING:
        raise ParameterError(
            f"statistic={statistic!r} does not follow from an account's returns; choose by one of {', '.join(CHOOSING)}"
        )


def return_statistics(returns: ArrayLike, periods: float) -> dict[str, float]:
    """Return the statistics named in ``CHOOSING`` of returns per bar; see ``workbench.risk.measures``."""
    return {name: _statistic(name, returns, periods) for name in CHOOSING}


def _statistic(name: str, returns: ArrayLike, periods: float) -> float:
    measure = getattr(measures, name)
    return float(measure(returns) if name in ("total_return", "max_drawdown") else measure(returns, periods))


@dataclass(frozen=True)
class Choice:
    """The best point of a grid.

    Attributes
    ----------
    parameters : mapping
        Those that the grid names.
    statistics : mapping of str to float
        Those named in ``CHOOSING``, of the account of all symbols together.
    """

    parameters: Mapping[str, Any]
    statistics: Mapping[str, float]


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
        return np.where(spread > measures.NOISE, mean / np.where(spread > measures.NOISE, spread, 1.0), np.nan)

    @property
    def traded(self) -> Cells:
        """The points that traded: the others are trials, and no choice.

        Raises
        ------
        InputError
            For fewer than two.
        """
        kept = np.flatnonzero(np.isfinite(self.sharpes))
        if len(self.points) < 2:
            raise InputError("a grid of one point leaves nothing to choose; give at least 2 points that are valid")
        if len(kept) < 2:
            raise InputError(
                f"{len(kept)} of {len(self.points)} points of the grid traded; give more bars or shorter windows"
            )
        return Cells([self.points[int(place)] for place in kept], self.returns.iloc[:, kept.tolist()])


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


def best_point(cells: Cells, statistic: str, periods: float) -> Choice:
    """Return the point with the best statistic of its account.

    Parameters
    ----------
    cells : Cells
    statistic : str
        One of ``CHOOSING``; its better end is searched, and of equal points the first one of the grid is taken. Values
        that are not finite count as none, and a point that never traded is no choice: it has the lowest volatility.
    periods : float
        Bars a year.

    Raises
    ------
    UnknownNameError, ParameterError
        For a statistic that cannot choose.
    InputError
        If no point has the statistic.
    """
    require_choice(statistic)
    returns = cells.returns.to_numpy()
    values = np.array([_statistic(statistic, column, periods) for column in returns.T])
    values[~np.isfinite(values) | np.isnan(cells.sharpes)] = np.nan
    if np.isnan(values).all():
        raise InputError(f"no point of the grid has a {statistic}: none traded; give more bars or shorter windows")
    best = int(np.nanargmax(values) if best_end(statistic) == "highest" else np.nanargmin(values))
    return Choice(cells.points[best], return_statistics(returns[:, best], periods))
