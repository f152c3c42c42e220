"""When a signal is filled: on the symbol's next bar. That shift is made here and nowhere else.

A bar has several moments, so that what happens within it keeps its order. With fills at the open: signals close
positions, then open others with what is free, both at the open; then stops are hit. With fills at the close, stops come
first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.terms import Terms
from workbench.core.market import Fill

FILLED_AT = {"next_open": "open", "next_close": "close"}
"""Which price of a bar fills a signal."""

MOMENTS = 3
"""Of a bar; at which of them signals close and open positions, and stops are hit:"""

CLOSING = {"next_open": 0, "next_close": 1}
OPENING = {"next_open": 1, "next_close": 2}
STOPPING = {"next_open": 2, "next_close": 0}

PATH = {"next_open": 0, "next_close": 2}
"""What is ordered when is found on as many rows: a bar's open, its range, its close. This is the row of the signals."""

MISSING = 5
"""So many of an account's bars may pass without a bar of a symbol.

A calendar's holidays and the different ends of two histories are shorter; a symbol that is gone stays away for longer.
"""


def filled_on(entry: pd.Series, leave: pd.Series, since: pd.Timestamp | None) -> tuple[pd.Series, pd.Series]:
    """Move signals to the bars on which they are filled.

    Parameters
    ----------
    entry, leave : pandas.Series of bool
        Signals at each close, shape (n_bars,). Both at one close cancel each other.
    since : pandas.Timestamp, optional
        Where the account begins; on its first bar the last signal before it is filled, however old.

    Returns
    -------
    enter, out : pandas.Series of bool
        By the bar of the fill, from ``since`` on.
    """
    both = entry & leave
    enter, out = ((side & ~both).shift(1, fill_value=False) for side in (entry, leave))
    begin = 0 if since is None else int(entry.index.searchsorted(since))
    fired = np.flatnonzero((enter | out).to_numpy()[: begin + 1])
    state = [(side.iloc[fired[-1]] if len(fired) else False) for side in (enter, out)]
    enter, out = enter.iloc[begin:].copy(), out.iloc[begin:].copy()
    if begin and len(enter):
        enter.iloc[0], out.iloc[0] = state
    return enter, out


def ordered(
    records: pd.DataFrame, enter: pd.Series, out: pd.Series, size: Mapping[float, NDArray[np.float64]], terms: Terms
) -> pd.DataFrame:
    """Return at which moment of a bar each order is placed: ``moment target price`` by bar.

    Parameters
    ----------
    records : pandas.DataFrame
        Orders of one share each way: ``idx`` (of a row, ``MOMENTS`` a bar), ``side`` (0 buys), ``size``, ``price``
        (slippage included).
    enter, out : pandas.Series of bool
        See ``filled_on``.
    size : mapping of float to array
        How large a position a signal opens, 1.0 for a long one and -1.0 for a short one, shape (n_bars,).
    terms : Terms
    """
    side = np.where(records["side"] == 0, 1.0, -1.0)
    bar, row = np.divmod(records["idx"].to_numpy(), MOMENTS)
    after = np.cumsum(side * records["size"].to_numpy()).round()
    before = np.roll(after, 1)
    before[:1] = 0.0
    # On the row of the signals a stop may be hit, too: an order the other way than the bar's signal is a stop's.
    by_signal = (row == PATH[terms.fill]) & np.where(side > 0, enter.to_numpy()[bar], out.to_numpy()[bar])
    closing = np.where(by_signal, CLOSING[terms.fill], STOPPING[terms.fill])
    target = np.where(after > 0, size[1.0][bar], -size[-1.0][bar])
    price = records["price"].to_numpy() / (1 + side * terms.costs.slippage)
    # A turn from one side to the other is two orders: what it opens is sized by what the closing left.
    parts = [(before != 0, closing, 0.0), (after != 0, OPENING[terms.fill], target)]
    tables = [
        pd.DataFrame({"moment": moment, "target": wanted, "price": price}, index=enter.index[bar])[chosen]
        for chosen, moment, wanted in parts
    ]
    orders: pd.DataFrame = pd.concat(tables)
    return orders


def marks_of(frames: Mapping[str, pd.DataFrame], close: pd.DataFrame, fill: Fill) -> NDArray[np.float64]:
    """Return what a share is worth at each moment, shape (MOMENTS * n_bars, n_symbols).

    The open, or the last close where there is none, until signals at the open are filled (with fills at the close: for
    the first moment); after that the close. NaN before a symbol's first bar.
    """
    last = close.ffill()
    opens = pd.DataFrame({symbol: frame.get("open") for symbol, frame in frames.items()}, index=close.index)
    marks = np.repeat(last.to_numpy(), MOMENTS, axis=0)
    for moment in range(OPENING["next_open"] + 1 if fill == "next_open" else 1):
        marks[moment::MOMENTS] = opens.fillna(last.shift(1)).to_numpy()
    return marks


def gone_on(own: pd.Index, times: pd.Index) -> int | None:
    """Return on which of the account's bars a symbol that trades no more is closed: the first after ``MISSING``.

    Parameters
    ----------
    own, times : pandas.Index
        The symbol's bars, and the account's.

    Returns
    -------
    int or None
        ``None`` where the account ends before that bar, or the symbol has no bar.
    """
    bar = int(times.searchsorted(own[-1], side="right")) + MISSING if len(own) else len(times)
    return bar if bar < len(times) else None


def closes(frames: Mapping[str, pd.DataFrame], times: pd.Index) -> pd.DataFrame:
    """Return the symbols' closes at the account's times, NaN where there is none, shape (n_bars, n_symbols)."""
    return pd.DataFrame({symbol: frame["close"] for symbol, frame in frames.items()}, index=times)
