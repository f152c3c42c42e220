"""Target weights: what a strategy wants each symbol to be of the account's value, and when that is ordered.

A row of weights is known at its close and ordered on each symbol's next own bar. Between two rows positions drift with
their prices; a row that is NaN throughout orders nothing, so holding a weight is never free. An order waits where the
symbol has no bar, or none with a price to fill at; the next row takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from workbench.backtest.terms import Terms
from workbench.core.errors import ParameterError, StrategyError

ROUNDING = 1e-9
"""By how much weights may add up to more than 1."""


def weights_of(signals: xr.Dataset, terms: Terms, name: str) -> pd.DataFrame:
    """Return the target weights of Signals, shape (n_bars, n_symbols).

    Rows that are NaN throughout stay so; a NaN among numbers becomes 0.

    Raises
    ------
    StrategyError
        If a row adds up to more than 1 in size, or asks for a short position of a long-only account.
    ParameterError
        If the terms size positions, or stop them out, on their own.
    """
    if terms.sizing.kind != "all":
        raise ParameterError(f"strategy {name!r} says the size of its positions itself; leave out size={terms.sizing}")
    if terms.stops:
        raise ParameterError(f"strategy {name!r} holds target weights, which know no stops; leave the stops out")
    given = signals["weight"].transpose("time", "symbol").to_numpy().astype("float64")
    told = np.where(np.isnan(given) & ~np.isnan(given).all(axis=1, keepdims=True), 0.0, given)
    wanted = pd.DataFrame(told, index=signals.indexes["time"], columns=signals.indexes["symbol"])
    gross = wanted.abs().sum(axis=1)
    over = gross.index[~(gross <= 1 + ROUNDING)]
    if len(over):
        raise StrategyError(
            f"the weights of strategy {name!r} add up to {gross[over[0]]:.3g} in size at {over[0]}; keep them within 1"
        )
    short = np.flatnonzero(np.nanmin(told, axis=1, initial=0.0) < 0)
    if terms.direction == "long" and len(short):
        time = wanted.index[short[0]]
        symbol = wanted.loc[time].idxmin()
        raise StrategyError(
            f"strategy {name!r} asks for {wanted.loc[time, symbol]:.3g} of {symbol} at {time}, which is short; "
            "allow it with direction='both'"
        )
    return wanted


def targets(weights: pd.DataFrame, fillable: Mapping[str, pd.Index]) -> dict[str, pd.Series]:
    """Return what is ordered on each symbol's own bars.

    Parameters
    ----------
    weights : pandas.DataFrame
        See ``weights_of``; it may begin before the account does.
    fillable : mapping of str to pandas.Index
        The account's bars of each symbol that have a price to fill at.

    Returns
    -------
    dict of str to pandas.Series
        Target weight by the bar on which it is ordered. The account's first bar orders what was wanted before it.
    """
    rows = weights[weights.notna().all(axis=1)]
    orders = {}
    for symbol, times in fillable.items():
        at = np.searchsorted(times.to_numpy(), rows.index.to_numpy(), side="right")
        wanted = pd.Series(rows[symbol].to_numpy(), index=at)
        wanted = wanted[(at < len(times)) & ~wanted.index.duplicated(keep="last")]
        orders[symbol] = pd.Series(wanted.to_numpy(), index=times[wanted.index.to_numpy(int)])
    return orders
