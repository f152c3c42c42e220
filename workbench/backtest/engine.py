"""The engine: fills orders with vectorbt. The only place that imports it.

A signal is known at its bar's close and filled on the symbol's next bar (see ``timing``). A signal on the last bar
stays unfilled, and so does one whose next bar has no price to fill at. An entry and an exit at the same close cancel
each other.

Plain terms (all of an account of its own in each entry, no stops) are vectorbt's ``from_signals``: with
``direction="both"`` an exit turns the account short, by as much as its cash covers, and an entry turns it long again.

Any other terms take two steps. What is ordered when, and at which price, does not depend on the account's value: it is
planned for each symbol with ``from_signals`` and its stops. How much is then ordered as a share of the account's value,
with ``from_orders``. A position is sized at the price that fills it, costs included, and never beyond the cash.

Stops, as vectorbt has them: a distance from the price paid; hit within the bar's high and low, filled at the stop, or
at the open where the bar opens beyond it, at slippage and commission; of a loss and a profit in one bar the loss
counts; a trailing stop follows the highs (lows) of the bars before and the bar's open; at the open a stop comes before
a signal. Unlike there, an entry at the open has its own bar watched, too, because a bar has several moments (see
``timing``). With fills at the close stops are looked for at the open and in the bar's range, before the signal, and the
bar of the entry is over. What a stop alone frees buys nothing on its own bar. A stopped position waits for the next
signal.

What borrowing costs, and when an account is ruined, is in ``accounts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.portfolio.enums import SizeType

from workbench.backtest.accounts import Account, Fills, idle, settle
from workbench.backtest.rebalance import targets
from workbench.backtest.sizing import sizes
from workbench.backtest.terms import Terms
from workbench.backtest.timing import FILLED_AT, MOMENTS, OPENING, PATH, closes, filled_on, gone_on, marks_of, ordered
from workbench.core.calendar import PERIODS_PER_YEAR

_DIRECTIONS = {"long": "longonly", "both": "both"}
_DAILY = PERIODS_PER_YEAR["1d"]


def simulate(
    frame: pd.DataFrame,
    entry: pd.Series,
    leave: pd.Series,
    terms: Terms,
    periods: float = _DAILY,
    since: pd.Timestamp | None = None,
) -> Account:
    """Fill one symbol's signals in an account of its own.

    Parameters
    ----------
    frame : pandas.DataFrame
        The symbol's own bars, without gaps: columns ``open high low close``, shape (n_bars, ...). Closes alone do for
        fills at the close without stops.
    entry, leave : pandas.Series of bool
        Signals at each bar's close, shape (n_bars,).
    terms : Terms
    periods : float
        Bars in a year; what borrowing and sizes are reckoned by.
    since : pandas.Timestamp, optional
        The account begins on the first bar at or after it, in the state that the signals are in by then: the last one
        before it is filled on that bar.

    Returns
    -------
    Account
        From ``since`` on.
    """
    enter, out = filled_on(entry, leave, since)
    own = frame.loc[enter.index]
    close = own[["close"]].set_axis([""], axis=1)
    if not terms.plain:
        planned = _planned(frame, entry, leave, terms, periods, since)
        return _filled({"": own}, {"": planned}, close, terms, periods)
    if own.empty:
        return idle(close, terms.cash)
    portfolio = vbt.Portfolio.from_signals(
        close=own["close"],
        entries=enter,
        exits=out,
        price=own[FILLED_AT[terms.fill]],
        direction=_DIRECTIONS[terms.direction],
        fees=terms.costs.commission,
        slippage=terms.costs.slippage,
        init_cash=terms.cash,
        freq="1D",
    )
    return settle(_fills(portfolio, 1), close, terms.costs, periods)


def simulate_shared(
    frames: Mapping[str, pd.DataFrame],
    entry: pd.DataFrame,
    leave: pd.DataFrame,
    terms: Terms,
    periods: float = _DAILY,
    since: pd.Timestamp | None = None,
) -> Account:
    """Fill the signals of several symbols in one account.

    On each bar sales come before purchases, the smaller purchase before the larger; a purchase takes what cash there
    is, and one that finds none is passed over until the rule enters again. With ``size="all"`` an entry takes an equal
    share (one over the number of symbols) of the account's value. A symbol that has had no bar on
    more than ``timing.MISSING`` of the account's bars, and has none later, is closed there, at its own last close.

    Parameters
    ----------
    frames : mapping of str to pandas.DataFrame
        Each symbol's own bars; see ``simulate``.
    entry, leave : pandas.DataFrame of bool
        Signals at each close, shape (n_bars, n_symbols).
    terms, periods, since
        See ``simulate``.

    Returns
    -------
    Account
    """
    planned = {
        symbol: _planned(frame, entry.loc[frame.index, symbol], leave.loc[frame.index, symbol], terms, periods, since)
        for symbol, frame in frames.items()
    }
    if terms.sizing.kind == "all":
        planned = {symbol: plan.assign(target=plan["target"] / len(frames)) for symbol, plan in planned.items()}
    own = {symbol: frame.loc[since:] for symbol, frame in frames.items()}
    return _filled(own, planned, closes(own, entry.loc[since:].index), terms, periods)


def simulate_weights(
    frames: Mapping[str, pd.DataFrame],
    weights: pd.DataFrame,
    terms: Terms,
    periods: float = _DAILY,
    since: pd.Timestamp | None = None,
) -> Account:
    """Rebalance one account to target weights; see ``rebalance`` for when, and ``simulate_shared`` for how.

    A weight is of the account's value at the prices that fill the orders, before their costs: what these take is
    missing in the last, largest purchase.

    Parameters
    ----------
    frames, terms, periods, since
        See ``simulate_shared``.
    weights : pandas.DataFrame
        Target weights at each close, shape (n_bars, n_symbols); see ``rebalance.weights_of``.

    Returns
    -------
    Account
    """
    own = {symbol: frame.loc[since:] for symbol, frame in frames.items()}
    price = {symbol: frame[FILLED_AT[terms.fill]].dropna() for symbol, frame in own.items()}
    orders = targets(weights, {symbol: series.index for symbol, series in price.items()})
    planned = {
        symbol: pd.DataFrame({"moment": OPENING[terms.fill], "target": order, "price": price[symbol]}, order.index)
        for symbol, order in orders.items()
    }
    return _filled(own, planned, closes(own, weights.loc[since:].index), terms, periods, borrowing=True)


def _planned(
    frame: pd.DataFrame, entry: pd.Series, leave: pd.Series, terms: Terms, periods: float, since: pd.Timestamp | None
) -> pd.DataFrame:
    """Return what is ordered when and at which price: ``moment target price`` by bar."""
    enter, out = filled_on(entry, leave, since)
    size = {}
    for way in (1.0, -1.0):
        known = sizes(frame["close"], terms.sizing, periods, way).shift(1).reindex(enter.index)
        # What the fill will cost is part of the size, so that all of an account can be spent.
        size[way] = known.to_numpy() / (1 + way * terms.costs.slippage) / (1 + terms.costs.commission)
    shorts = out.to_numpy() & (size[-1.0] > 0) & (terms.direction == "both")
    signals = {
        "entries": enter.to_numpy() & (size[1.0] > 0),
        "exits": out.to_numpy(),
        "short_entries": shorts,
        "short_exits": enter.to_numpy(),
    }
    records = _path(frame.loc[enter.index], signals, terms)
    return ordered(records, enter, out, size, terms)


def _path(frame: pd.DataFrame, signals: Mapping[str, Any], terms: Terms) -> pd.DataFrame:
    """Return the orders of one share each way, ``MOMENTS`` rows a bar: vectorbt alone says when a stop is hit."""
    prices = frame.reindex(columns=["open", "high", "low", "close"]).to_numpy()
    rows, moment = np.repeat(prices, MOMENTS, axis=0), PATH[terms.fill]
    rows[::MOMENTS] = prices[:, :1]
    # The range holds the close: there, no stop is left to be hit.
    rows[PATH["next_close"] :: MOMENTS] = np.nan
    fill = np.repeat(frame[FILLED_AT[terms.fill]].to_numpy(), MOMENTS)
    spread = {name: np.zeros(len(rows), dtype=bool) for name in signals}
    for name, fired in signals.items():
        spread[name][moment::MOMENTS] = fired
    if not len(rows) or not (spread["entries"].any() or spread["short_entries"].any()):
        return pd.DataFrame({name: [] for name in ("idx", "side", "size", "price")}).astype({"idx": int})
    stops = terms.stops
    portfolio = vbt.Portfolio.from_signals(
        **dict(zip(("open", "high", "low", "close"), rows.T, strict=True)),
        **spread,
        price=fill,
        size=1.0,
        slippage=terms.costs.slippage,
        init_cash=4.0 * (1 + len(rows)) * np.nanmax(prices),
        sl_stop=stops.trailing or stops.loss or np.nan,
        sl_trail=stops.trailing is not None,
        tp_stop=stops.profit or np.nan,
        stop_entry_price="fillprice",
        stop_exit_price="stopmarket",
        upon_opposite_entry="reverse",
        freq="1D",
    )
    records: pd.DataFrame = portfolio.orders.records
    return records


def _filled(
    frames: Mapping[str, pd.DataFrame],
    planned: Mapping[str, pd.DataFrame],
    close: pd.DataFrame,
    terms: Terms,
    periods: float,
    *,
    borrowing: bool = False,
) -> Account:
    """Fill what was planned in one account, a row for each moment of a bar.

    ``borrowing``: what a short sale brought in may open another position.
    """
    if close.empty:
        return idle(close, terms.cash)
    size, price = np.full((2, MOMENTS * len(close), len(frames)), np.nan)
    marks = marks_of(frames, close, terms.fill)
    for column, (symbol, plan) in enumerate(planned.items()):
        row = MOMENTS * close.index.get_indexer(plan.index) + plan["moment"].to_numpy(int)
        size[row, column], price[row, column] = plan["target"], plan["price"]
        gone = gone_on(frames[symbol].index, close.index)
        if gone is not None:
            size[MOMENTS * gone, column], price[MOMENTS * gone, column] = 0.0, marks[MOMENTS * gone, column]
    share = SizeType.TargetValue if terms.sizing.kind == "fixed" else SizeType.TargetPercent
    portfolio = vbt.Portfolio.from_orders(
        close=marks,
        size=size,
        # A position is closed by its shares: there may be no value left to take a part of.
        size_type=np.where(size == 0, SizeType.TargetAmount, share),
        direction="both",
        price=price,
        val_price=marks,
        fees=terms.costs.commission,
        slippage=terms.costs.slippage,
        lock_cash=(size != 0) & (not borrowing),
        init_cash=terms.cash,
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
        freq="1D",
    )
    return settle(_fills(portfolio, MOMENTS), close, terms.costs, periods)


def _fills(portfolio: vbt.Portfolio, moments: int) -> Fills:
    """Read what vectorbt did, ``moments`` rows a bar."""
    shares = portfolio.assets().to_numpy()
    shares = shares.reshape(len(shares), -1)[moments - 1 :: moments]
    cash = portfolio.cash().to_numpy().reshape(-1)[moments - 1 :: moments]
    orders, trades = portfolio.orders.records, portfolio.trades.records
    signed = orders["size"].where(orders["side"] == 0, -orders["size"])
    ordered = {"bar": orders["idx"] // moments, "column": orders["col"], "size": signed}
    still = trades["status"] == 0
    told = {
        "column": trades["col"],
        "direction": np.where(trades["direction"] == 0, "long", "short"),
        "entry_bar": trades["entry_idx"] // moments,
        "entry_price": trades["entry_price"],
        "exit_bar": trades["exit_idx"] // moments,
        "exit_price": trades["exit_price"],
        "size": trades["size"],
        "pnl": trades["pnl"],
        "status": np.where(still, "open", "closed"),
        "until": (trades["exit_idx"] // moments).where(~still, len(shares)),
    }
    return Fills(
        cash, shares, pd.DataFrame({**ordered, "price": orders["price"], "fees": orders["fees"]}), pd.DataFrame(told)
    )
