"""One backtest: signals, the accounts that fill them, the sum of these against a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import reduce
from operator import and_
from typing import Any

import pandas as pd
import xarray as xr

from workbench.backtest.accounts import Account, together
from workbench.backtest.engine import simulate, simulate_shared, simulate_weights
from workbench.backtest.rebalance import weights_of
from workbench.backtest.result import BacktestResult
from workbench.backtest.statistics import relative, returns_of, statistics
from workbench.backtest.strategy import Strategy
from workbench.backtest.terms import Sizing, Stops, Terms
from workbench.core.calendar import Moment, instant, periods_per_year
from workbench.core.errors import DateRangeError, InputError
from workbench.core.frames import per_symbol, require_fields
from workbench.core.provenance import Provenance


def backtest(
    bars: xr.Dataset,
    strategy: Strategy,
    parameters: Mapping[str, Any],
    terms: Terms,
    *,
    created: datetime,
    since: Moment | None = None,
    benchmark: xr.Dataset | None = None,
) -> BacktestResult:
    """Run a strategy on Bars.

    The cash is divided equally among the symbols; each has its own account and nothing moves between them. With
    ``terms.shared``, and for a strategy of target weights, all symbols draw on one account.

    Signals where a symbol has no bar are passed over. A symbol whose bars end early keeps its last value in an account
    of its own; in a shared one it is sold at its last close, at cost, once it has been missing for more than
    ``timing.MISSING`` of the account's bars.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    strategy : Strategy
    parameters : mapping
        The strategy's parameters; checked here.
    terms : Terms
        Cash, costs, direction, fill, sizing, stops, shared cash.
    created : datetime
        The moment for the provenance.
    since : date, optional
        Signals are computed on all bars; the account begins on the first bar at or after this moment, in the state in
        which the rule is there: what it signalled last before is filled on that bar.
    benchmark : xarray.Dataset, optional
        Bars of one symbol to compare with. It is bought on its first bar after the account's beginning, at the same
        costs, and held; it is worth its cash before, and its last value where it has no bar. Filled at its close where
        it has no opens. Without it, every symbol of ``bars`` is bought with the same cash at the first fill that the
        engine allows, and held.

    Returns
    -------
    BacktestResult
        Its bars, signals and series cover the account's time.

    Raises
    ------
    ParameterError, UnknownNameError
        For parameters or terms that are not valid, or do not go with the strategy.
    StrategyError
        If the strategy raises, or gives something else than Signals.
    DateRangeError
        If there is no bar since ``since``.
    InputError
        If the dataset lacks a field that the fill, the stops or the strategy needs, has too few bars for it, or is not
        in the benchmark's currency.
    """
    require_fill(bars, terms)
    values = strategy.validate(parameters)
    signals = strategy.signals(bars, **values)
    _require_enough(bars, signals, strategy)
    begin = None if since is None else _first_bar(bars, since)
    account = _account(bars, signals, terms, begin, strategy.name)
    told = bars.sel(time=slice(begin, None))
    name, held = _benchmark(bars, benchmark, terms, begin)
    periods = _periods(bars)
    returns = returns_of(account.equity, terms.cash).rename("return")
    chosen = {"strategy": strategy.name, **values, **terms.to_dict()}
    data = _data_of(bars)
    if begin is not None:
        chosen["since"] = begin.isoformat()
    if benchmark is not None:
        data["benchmark"] = _data_of(benchmark)
    return BacktestResult(
        strategy=strategy.name,
        parameters=values,
        rule=strategy,
        terms=terms,
        bars=told,
        signals=signals.sel(time=slice(begin, None)),
        equity=account.equity.rename("equity"),
        returns=returns,
        benchmark_name=name,
        benchmark_equity=held.equity.rename("equity"),
        holdings=account.holdings,
        costs=account.costs,
        trades=account.trades,
        statistics=_figures(account, terms.cash, periods),
        benchmark=_figures(held, terms.cash, periods),
        relative=relative(returns, returns_of(held.equity, terms.cash), periods),
        provenance=Provenance(data=data, parameters=chosen, created=created),
    )


def require_fill(bars: xr.Dataset, terms: Terms) -> None:
    """Raise where the dataset does not have the prices at which orders are to be filled.

    Raises
    ------
    InputError
    """
    if terms.fill == "next_open":
        require_fields(bars, ["open"], "a fill at the next open (fill='next_close' does without)")
    if terms.stops:
        require_fields(bars, ["open", "high", "low"], "a stop")


def _account(bars: xr.Dataset, signals: xr.Dataset, terms: Terms, begin: pd.Timestamp | None, name: str) -> Account:
    """Fill the signals: in one account where the cash is shared, else in one for each symbol."""
    frames, periods = dict(per_symbol(bars)), _periods(bars)
    if "weight" in signals:
        return simulate_weights(frames, weights_of(signals, terms, name), terms, periods, begin)
    entry, leave = (_wide(signals[side]) for side in ("entry", "exit"))
    if terms.shared:
        return simulate_shared(frames, entry, leave, terms, periods, begin)
    share = terms.with_cash(terms.cash / len(frames))
    accounts = {
        symbol: simulate(frame, entry.loc[frame.index, symbol], leave.loc[frame.index, symbol], share, periods, begin)
        for symbol, frame in frames.items()
    }
    return together(accounts, entry.loc[begin:].index, share.cash)


def _benchmark(
    bars: xr.Dataset, other: xr.Dataset | None, terms: Terms, begin: pd.Timestamp | None
) -> tuple[str, Account]:
    """Return the name and the account of what a strategy is compared with, at the strategy's times."""
    name, compared, times = "buy and hold", bars, bars.sel(time=slice(begin, None)).indexes["time"]
    plain = replace(terms, direction="long", sizing=Sizing(), stops=Stops(), shared=False)
    if other is not None:
        name, compared, plain = _comparable(bars, other, times, plain)
        # Without a past the strategy waits for its first bar's close, and so does what it is compared with.
        compared = compared.sel(time=slice(times[0] if begin is None else None, times[-1]))
    frames = dict(per_symbol(compared))
    share = plain.with_cash(terms.cash / len(frames))
    accounts = {symbol: _hold(frame, share, _periods(bars), begin) for symbol, frame in frames.items()}
    if other is None:
        return name, together(accounts, times, share.cash)
    held = together(accounts, accounts[name].equity.index, share.cash)
    # Its own bars may lie between the strategy's: what it was worth last counts.
    known = held.equity.reindex(times.union(held.equity.index)).ffill().fillna(share.cash).reindex(times)
    return name, replace(held, equity=known)


def _comparable(bars: xr.Dataset, other: xr.Dataset, times: pd.Index, terms: Terms) -> tuple[str, xr.Dataset, Terms]:
    """Return the benchmark's symbol, its bars, and the terms it can be bought on."""
    names = [str(symbol) for symbol in other["symbol"].to_numpy()]
    if len(names) != 1:
        raise InputError(f"a benchmark is one symbol, not {', '.join(names) or 'none'}; choose one")
    if other.attrs["currency"] != bars.attrs["currency"]:
        raise InputError(
            f"the benchmark {names[0]} is in {other.attrs['currency']}, the bars are in {bars.attrs['currency']}; "
            "convert one of them with wb.convert"
        )
    if not other["close"].sel(time=slice(times[0], times[-1])).notnull().any():
        raise DateRangeError(
            f"the benchmark {names[0]} has no bar from {times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}; choose another"
        )
    opens = "open" in other.attrs["fields"]
    return names[0], other, terms if opens else replace(terms, fill="next_close")


def _hold(frame: pd.DataFrame, terms: Terms, periods: float, begin: pd.Timestamp | None) -> Account:
    """Buy at the first fill that the engine allows, and hold."""
    never = pd.Series(False, index=frame.index)
    first = never.copy()
    first.iloc[:1] = True
    return simulate(frame, first, never, terms, periods, begin)


def _first_bar(bars: xr.Dataset, since: Moment) -> pd.Timestamp:
    times, wanted = bars.indexes["time"], instant(since).tz_localize(None)
    at = int(times.searchsorted(wanted))
    if at == len(times):
        raise DateRangeError(f"there is no bar since {since}; the last one is of {times[-1]:%Y-%m-%d}")
    return pd.Timestamp(times[at])


def known_on(signals: xr.Dataset) -> xr.DataArray:
    """Return the bars on which a rule has something to say of a symbol, bool, shape (n_bars, n_symbols).

    It has a strength, fires, or knows all numbers of its evidence: a price that stands still has no strength in
    standard deviations, and is known all the same.
    """
    known = signals["strength"].notnull() | signals["entry"] | signals["exit"]
    numbers = [signals[name].notnull() for name in signals.attrs["evidence"] if signals[name].dtype.kind == "f"]
    return known | reduce(and_, numbers) if numbers else known


def _require_enough(bars: xr.Dataset, signals: xr.Dataset, strategy: Strategy) -> None:
    """Raise where there are too few bars for the rule to say anything: no trade would look like a finding."""
    if not known_on(signals).any():
        names = ", ".join(str(symbol) for symbol in bars["symbol"].to_numpy())
        raise InputError(f"{bars.sizes['time']} bars of {names} are too few for {strategy.name!r}; give a longer range")


def _wide(variable: xr.DataArray) -> pd.DataFrame:
    times, symbols = variable.indexes["time"], variable.indexes["symbol"]
    return pd.DataFrame(variable.transpose("time", "symbol").to_numpy(), index=times, columns=symbols)


def _figures(account: Account, cash: float, periods: float) -> dict[str, float]:
    return statistics(account.equity, cash, account.holdings, account.traded, account.trades, periods)


def _periods(bars: xr.Dataset) -> float:
    return periods_per_year(bars.attrs["interval"], bars.attrs["calendar"])


def _data_of(bars: xr.Dataset) -> dict[str, Any]:
    times = bars.indexes["time"]
    names = ("dataset", "version", "adjustment", "interval", "currency", "as_of")
    span = {"first_bar": times[0].isoformat(), "last_bar": times[-1].isoformat()}
    return {
        **{name: bars.attrs[name] for name in names},
        "symbols": [str(s) for s in bars["symbol"].to_numpy()],
        **span,
    }
