"""The account behind a backtest: what fills, borrowing and ruin leave at each close.

Borrowed shares cost ``costs.borrow`` a year: every bar that ends short is charged ``borrow / periods`` of the short's
value at that close. vectorbt knows no such cost, so it accrues beside the account: ``equity`` is vectorbt's value less
all that was charged so far, the sizes of orders do not know of it, and ``pnl`` and ``return`` of a trade are after the
charges of its own bars (from the bar of its entry to the one before its exit).

An account whose equity, after borrowing, is zero or less at a close is ruined: every position is closed there, at that
close and without commission (nothing is left to pay it from), what it still owes is forgiven, and it stays at zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.terms import Costs

Array = NDArray[np.float64]
ORDERS = ["bar", "column", "size", "price", "fees"]
TRADES = ["column", "direction", "entry_bar", "entry_price", "exit_bar", "exit_price", "size", "pnl", "status", "until"]


@dataclass(frozen=True, slots=True)
class Account:
    """What an account of one or several symbols went through.

    Attributes
    ----------
    equity : pandas.Series
        Value at each close, in the bars' currency, shape (n_bars,).
    holdings : pandas.DataFrame
        Shares held at each close, negative when short, NaN where the symbol has no bar, shape (n_bars, n_symbols).
    traded : pandas.Series
        Value of the orders filled on each bar, shape (n_bars,).
    costs : pandas.DataFrame
        Money paid on each bar, zero or positive: ``commission slippage borrow``, shape (n_bars, 3). Slippage is by
        how much the fills were worse than the bars' prices.
    trades : pandas.DataFrame
        Round trips: ``symbol``, ``direction`` (long or short), ``entry_time``, ``entry_price``, ``exit_time``,
        ``exit_price``, ``size``, ``pnl`` (after costs), ``return`` (of the entry's value) and ``status`` (``open`` or
        ``closed``; an open one is valued at the last close). An order that makes a position smaller closes a round
        trip of its size.
    """

    equity: pd.Series
    holdings: pd.DataFrame
    traded: pd.Series
    costs: pd.DataFrame
    trades: pd.DataFrame

    @property
    def holding(self) -> pd.Series:
        """Shares of the first symbol at each close, shape (n_bars,)."""
        return self.holdings.iloc[:, 0]


@dataclass(frozen=True, slots=True)
class Fills:
    """What the fills alone left.

    Attributes
    ----------
    cash : array
        After each bar, shape (n_bars,).
    shares : array
        After each bar, shape (n_bars, n_symbols).
    orders : pandas.DataFrame
        The columns ``ORDERS``, a row per order that was filled; ``size`` is negative for a sale.
    trades : pandas.DataFrame
        The columns ``TRADES``; ``until`` is the first bar after the entry that did not end with the position.
    """

    cash: Array
    shares: Array
    orders: pd.DataFrame
    trades: pd.DataFrame


def settle(fills: Fills, close: pd.DataFrame, costs: Costs, periods: float) -> Account:
    """Charge for what was borrowed, judge ruin, and tell the account by time and symbol.

    Parameters
    ----------
    fills : Fills
    close : pandas.DataFrame
        Closes by symbol, NaN where it has no bar (there, the last one counts), shape (n_bars, n_symbols).
    costs : Costs
    periods : float
        Bars in a year.
    """
    last = close.ffill().fillna(0.0).to_numpy()
    charged = costs.borrow / periods * np.maximum(-fills.shares, 0.0) * last
    equity = fills.cash + (fills.shares * last).sum(axis=1) - charged.sum(axis=1).cumsum()
    orders, trades, shares = fills.orders, fills.trades, fills.shares
    ruined = np.flatnonzero(equity <= 0)
    if len(ruined):
        end, bars = int(ruined[0]), np.arange(len(close))
        orders, trades = orders[orders["bar"] <= end], _closed_out(trades, end, last[end], costs.commission)
        equity, shares = np.where(bars >= end, 0.0, equity), np.where((bars >= end)[:, None], 0.0, shares)
        charged = np.where((bars > end)[:, None], 0.0, charged)
    return Account(
        pd.Series(equity, index=close.index),
        pd.DataFrame(shares, index=close.index, columns=close.columns).where(close.notna()),
        _per_bar(orders["bar"], orders["size"].abs() * orders["price"], close.index),
        _paid(orders, charged, costs.slippage, close.index),
        _table(_after_borrowing(trades, charged), close),
    )


def idle(close: pd.DataFrame, cash: float) -> Account:
    """Return the account of symbols without a bar: its cash, and nothing else."""
    nothing = pd.DataFrame({name: np.empty(0) for name in {*ORDERS, *TRADES}})
    fills = Fills(np.full(len(close), cash), np.zeros(close.shape), nothing[ORDERS], nothing[TRADES])
    return settle(fills, close, Costs(0.0, 0.0), 1.0)


def together(accounts: Mapping[str, Account], times: pd.Index, share: float) -> Account:
    """Add accounts of one symbol each up.

    An account is worth its cash ``share`` before its first bar, and its last value where it has no bar.
    """
    equity = pd.DataFrame({name: account.equity for name, account in accounts.items()}).reindex(times)
    holdings = pd.DataFrame({name: account.holding for name, account in accounts.items()}).reindex(times)
    traded = pd.DataFrame({name: account.traded for name, account in accounts.items()}).reindex(times)
    costs = [account.costs.reindex(times, fill_value=0.0) for account in accounts.values()]
    trades = pd.concat([account.trades.assign(symbol=name) for name, account in accounts.items()], ignore_index=True)
    trades = trades.sort_values("entry_time", ignore_index=True, kind="stable")
    return Account(equity.ffill().fillna(share).sum(axis=1), holdings, traded.sum(axis=1), reduce(add, costs), trades)


def _closed_out(trades: pd.DataFrame, end: int, close: Array, commission: float) -> pd.DataFrame:
    """End every position at the close of bar ``end``; vectorbt would go on with a debt."""
    begun = trades[trades["entry_bar"] <= end]
    late = begun["until"] > end
    parts = [begun[~late]]
    for _, last in begun[late].groupby("column"):
        size, entry, price = last["size"].sum(), last["entry_price"].iloc[0], close[last["column"].iloc[0]]
        side = 1.0 if last["direction"].iloc[0] == "long" else -1.0
        pnl = side * size * (price - entry) - size * entry * commission
        closing = {"exit_bar": end, "exit_price": price, "size": size, "pnl": pnl, "status": "closed"}
        parts.append(last.iloc[:1].assign(**closing, until=end + 1))
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else begun


def _after_borrowing(trades: pd.DataFrame, charged: Array) -> pd.DataFrame:
    """Take from each trade what was charged for it, in proportion where several share a symbol's position."""
    if not charged.any():
        return trades
    first, until, column = (trades[name].to_numpy(int) for name in ("entry_bar", "until", "column"))
    size, pnl = trades["size"].to_numpy(float), trades["pnl"].to_numpy(float, copy=True)
    short = np.flatnonzero(trades["direction"] == "short")
    sizes = np.zeros(charged.shape)
    for k in short:
        sizes[first[k] : until[k], column[k]] += size[k]
    for k in short:
        bars = slice(first[k], until[k])
        pnl[k] -= np.sum(charged[bars, column[k]] * size[k] / sizes[bars, column[k]])
    return trades.assign(pnl=pnl)


def _per_bar(bar: pd.Series, money: pd.Series, index: pd.Index) -> pd.Series:
    total = np.bincount(bar.to_numpy(int), weights=money.to_numpy(float), minlength=len(index))
    return pd.Series(total, index=index)


def _paid(orders: pd.DataFrame, charged: Array, slippage: float, index: pd.Index) -> pd.DataFrame:
    size, price = orders["size"], orders["price"]
    # A fill is at price * (1 + slippage) for a purchase, at price * (1 - slippage) for a sale.
    worse = size.abs() * price * slippage / (1 + np.sign(size) * slippage)
    money = {
        "commission": _per_bar(orders["bar"], orders["fees"], index),
        "slippage": _per_bar(orders["bar"], worse, index),
        "borrow": pd.Series(charged.sum(axis=1), index=index),
    }
    return pd.DataFrame(money)


def _table(trades: pd.DataFrame, close: pd.DataFrame) -> pd.DataFrame:
    table = {
        "symbol": close.columns.to_numpy()[trades["column"].to_numpy(int)],
        "direction": trades["direction"].to_numpy(),
        "entry_time": close.index[trades["entry_bar"].to_numpy(int)],
        "entry_price": trades["entry_price"].to_numpy(float),
        "exit_time": close.index[trades["exit_bar"].to_numpy(int)],
        "exit_price": trades["exit_price"].to_numpy(float),
        "size": trades["size"].to_numpy(float),
        "pnl": trades["pnl"].to_numpy(float),
        "return": (trades["pnl"] / (trades["size"] * trades["entry_price"])).to_numpy(float),
        "status": trades["status"].to_numpy(),
    }
    return pd.DataFrame(table).sort_values("entry_time", ignore_index=True, kind="stable")
