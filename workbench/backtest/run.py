"""One backtest: signals, an account for each symbol, the sum of them against buy-and-hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd
import xarray as xr

from workbench.backtest.costs import Terms
from workbench.backtest.engine import Account, simulate
from workbench.backtest.result import BacktestResult
from workbench.backtest.statistics import returns_of, statistics
from workbench.backtest.strategies import Strategy
from workbench.core.calendar import periods_per_year
from workbench.core.errors import InputError
from workbench.core.frames import per_symbol, require_fields
from workbench.core.provenance import Provenance


def backtest(
    bars: xr.Dataset, strategy: Strategy, parameters: Mapping[str, Any], terms: Terms, *, created: datetime
) -> BacktestResult:
    """Run a strategy on Bars.

    The cash is divided equally among the symbols; each has its own account and nothing moves between them. The
    benchmark buys every symbol with the same cash at the first fill that the engine allows, pays the same costs and
    holds.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    strategy : Strategy
    parameters : mapping
        The strategy's parameters; checked here.
    terms : Terms
        Cash, costs, direction, fill.
    created : datetime
        The moment for the provenance.

    Returns
    -------
    BacktestResult

    Raises
    ------
    ParameterError, UnknownNameError
        For parameters that are not valid.
    InputError
        If the dataset lacks a field that the fill or the strategy needs, or has too few bars for it.
    """
    require_fill(bars, terms)
    values = strategy.validate(parameters)
    signals = strategy.signals(bars, **values)
    _require_enough(bars, signals, strategy)
    entry, leave = signals["entry"].to_pandas(), signals["exit"].to_pandas()
    share = replace(terms, cash=terms.cash / bars.sizes["symbol"])
    accounts, held = {}, {}
    for symbol, frame in per_symbol(bars):
        own = frame.index
        accounts[symbol] = simulate(frame, entry.loc[own, symbol], leave.loc[own, symbol], share)
        held[symbol] = _hold(frame, share)
    periods = periods_per_year(bars.attrs["interval"], bars.attrs["calendar"])
    equity, trades, figures = _together(accounts, entry.index, share.cash, periods)
    held_equity, _, held_figures = _together(held, entry.index, share.cash, periods)
    chosen = {"strategy": strategy.name, **values, **terms.to_dict()}
    return BacktestResult(
        strategy=strategy.name,
        parameters=values,
        bars=bars,
        signals=signals,
        equity=equity,
        returns=returns_of(equity, terms.cash).rename("return"),
        benchmark_equity=held_equity,
        trades=trades,
        statistics=figures,
        benchmark=held_figures,
        provenance=Provenance(data=_data_of(bars), parameters=chosen, created=created),
    )


def require_fill(bars: xr.Dataset, terms: Terms) -> None:
    """Raise where the dataset does not have the price at which orders are to be filled.

    Raises
    ------
    InputError
    """
    if terms.fill == "next_open":
        require_fields(bars, ["open"], "a fill at the next open (fill='next_close' does without)")


def _require_enough(bars: xr.Dataset, signals: xr.Dataset, strategy: Strategy) -> None:
    """Raise where there are too few bars for the rule to say anything: no trade would look like a finding."""
    if not signals["strength"].notnull().any():
        names = ", ".join(str(symbol) for symbol in bars["symbol"].to_numpy())
        raise InputError(f"{bars.sizes['time']} bars of {names} are too few for {strategy.name!r}; give a longer range")


def _hold(frame: pd.DataFrame, terms: Terms) -> Account:
    """Buy at the first fill that the engine allows, and hold."""
    never = pd.Series(False, index=frame.index)
    first = never.copy()
    first.iloc[:1] = True
    return simulate(frame, first, never, replace(terms, direction="long"))


def _together(
    accounts: Mapping[str, Account], times: pd.Index, share: float, periods: float
) -> tuple[pd.Series, pd.DataFrame, dict[str, float]]:
    """Add the accounts up. An account is worth its cash before its first bar and its last value where it has no bar."""
    equity = pd.DataFrame({name: account.equity for name, account in accounts.items()}).reindex(times)
    total = equity.ffill().fillna(share).sum(axis=1).rename("equity")
    held = pd.DataFrame({name: account.holding for name, account in accounts.items()}).reindex(times)
    traded = pd.DataFrame({name: account.traded for name, account in accounts.items()}).reindex(times).sum(axis=1)
    trades = pd.concat([account.trades.assign(symbol=name) for name, account in accounts.items()], ignore_index=True)
    trades = trades[["symbol", *trades.columns.drop("symbol")]].sort_values("entry_time", ignore_index=True)
    return total, trades, statistics(total, share * len(accounts), held, traded, trades, periods)


def _data_of(bars: xr.Dataset) -> dict[str, Any]:
    times = bars.indexes["time"]
    names = ("dataset", "version", "adjustment", "interval", "currency", "as_of")
    span = {"first_bar": times[0].isoformat(), "last_bar": times[-1].isoformat()}
    return {
        **{name: bars.attrs[name] for name in names},
        "symbols": [str(s) for s in bars["symbol"].to_numpy()],
        **span,
    }
