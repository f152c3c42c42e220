"""Checks on rows before they are stored: a bad row is kept apart with its reason, never dropped in silence."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.core.market import PRICES


def inspect(rows: pd.DataFrame) -> pd.Series:
    """Return why each row cannot be trusted.

    Rules: the time is a session of the calendar (``NaT`` where it is not), the row is the only one for its symbol and
    time, the close and every other price that the source has are there, prices are positive and finite, the high is not
    below and the low not above open and close.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns ``symbol``, ``time``, ``open high low close volume``, shape (n, ...); a field that the source does not
        have is NaN.

    Returns
    -------
    pandas.Series
        The first reason for each row, or an empty string where there is none; shape (n,), the index of ``rows``.
    """
    prices = rows[list(PRICES)]
    top, bottom = prices[["open", "close"]].max(axis=1), prices[["open", "close"]].min(axis=1)
    tolerance = 1e-9 * rows["close"].abs()
    had = [field for field in PRICES if prices[field].notna().any()]
    rules = {
        "not a session of the calendar": rows["time"].isna(),
        "more than one row for the session": rows.duplicated(["symbol", "time"], keep=False),
        "no close": rows["close"].isna(),
        "a price of the source is missing": prices[had].isna().any(axis=1),
        "a price that is not positive and finite": ((prices <= 0) | np.isinf(prices)).any(axis=1),
        "negative volume": rows["volume"] < 0,
        "high below open or close": rows["high"] < top - tolerance,
        "low above open or close": rows["low"] > bottom + tolerance,
    }
    reason = np.select(list(rules.values()), list(rules), default="")
    return pd.Series(reason, index=rows.index, dtype="object")
