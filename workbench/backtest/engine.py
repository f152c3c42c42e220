"""The engine: fills orders with vectorbt. The only place that imports it.

A signal is known at its bar's close and filled on the symbol's next bar; that shift is made here and nowhere else. All
of the account goes into each entry. With ``direction="both"`` an exit turns the account short, by as much as its cash
covers, and an entry turns it long again. A signal on the last bar stays unfilled. An account that a short has brought
to nothing at a close is closed out there and stays at zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import vectorbt as vbt

from workbench.backtest.costs import Terms

_DIRECTIONS = {"long": "longonly", "both": "both"}
_TRADES = {
    "Direction": "direction",
    "Entry Timestamp": "entry_time",
    "Avg Entry Price": "entry_price",
    "Exit Timestamp": "exit_time",
    "Avg Exit Price": "exit_price",
    "Size": "size",
    "PnL": "pnl",
    "Return": "return",
    "Status": "status",
}


@dataclass(frozen=True, slots=True)
class Account:
    """What one symbol's account went through.

    Attributes
    ----------
    equity : pandas.Series
        Value at each close, in the bars' currency, shape (n_bars,).
    holding : pandas.Series
        Shares held at each close, negative when short, shape (n_bars,).
    traded : pandas.Series
        Value of the orders filled on each bar, shape (n_bars,).
    trades : pandas.DataFrame
        Round trips: ``direction`` (long or short), ``entry_time``, ``entry_price``, ``exit_time``, ``exit_price``,
        ``size``, ``pnl`` (after costs), ``return`` (of the entry's value) and ``status`` (``open`` or ``closed``; an
        open one is valued at the last close).
    """

    equity: pd.Series
    holding: pd.Series
    traded: pd.Series
    trades: pd.DataFrame


def simulate(frame: pd.DataFrame, entry: pd.Series, leave: pd.Series, terms: Terms) -> Account:
    """Fill one symbol's signals.

    Parameters
    ----------
    frame : pandas.DataFrame
        The symbol's own bars, without gaps: columns ``open`` and ``close``, shape (n_bars, ...).
    entry, leave : pandas.Series of bool
        Signals at each bar's close, shape (n_bars,).
    terms : Terms

    Returns
    -------
    Account
    """
    price = frame["open"] if terms.fill == "next_open" else frame["close"]
    portfolio = vbt.Portfolio.from_signals(
        close=frame["close"],
        entries=entry.shift(1, fill_value=False),
        exits=leave.shift(1, fill_value=False),
        price=price,
        direction=_DIRECTIONS[terms.direction],
        fees=terms.costs.commission,
        slippage=terms.costs.slippage,
        init_cash=terms.cash,
        freq="1D",
    )
    orders = portfolio.orders.records_readable
    traded = (orders["Size"] * orders["Price"]).groupby(orders["Timestamp"]).sum().reindex(frame.index, fill_value=0.0)
    trades = portfolio.trades.records_readable.rename(columns=_TRADES)[list(_TRADES.values())]
    trades = trades.assign(direction=trades["direction"].str.lower(), status=trades["status"].str.lower())
    account = Account(portfolio.value(), portfolio.assets(), traded, trades)
    lost = account.equity.index[account.equity <= 0]
    return _closed_out(account, lost[0], frame["close"], terms) if len(lost) else account


def _closed_out(account: Account, end: pd.Timestamp, close: pd.Series, terms: Terms) -> Account:
    """End an account at the close where nothing is left of it; vectorbt would go on with a debt."""
    after = account.equity.index >= end
    trades = account.trades[account.trades["entry_time"] <= end]
    late = (trades["status"] == "open") | (trades["exit_time"] > end)
    kept, last = trades[~late], trades[late]
    if len(last):
        size, price = last["size"].sum(), last["entry_price"].iloc[0]
        pnl = size * (price - close[end]) - size * price * terms.costs.commission
        closing = {"exit_time": end, "exit_price": close[end], "size": size, "status": "closed"}
        closing |= {"pnl": pnl, "return": pnl / (size * price)}
        kept = pd.concat([kept, last.iloc[:1].assign(**closing)], ignore_index=True)
    return Account(
        account.equity.mask(after, 0.0),
        account.holding.mask(after, 0.0),
        account.traded.mask(account.equity.index > end, 0.0),
        kept,
    )
