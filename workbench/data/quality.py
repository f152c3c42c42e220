"""Rules that a row must keep before it is stored: one that does not is kept apart with its reason, never dropped."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.core.market import FIELDS, PRICES

NO_SESSION = "not in a session of the calendar"
DOUBLED = "more than one row for the bar"
NOT_POSITIVE = "a price that is not positive and finite"
NO_CLOSE = "no close"
INCOMPLETE = "a price of the source is missing"
NO_ACTION = "no split or dividend"


def inspect(rows: pd.DataFrame, currency: str | None = None) -> pd.Series:
    """Return why each row cannot be trusted.

    Rules: the time is in a session of the calendar (``NaT`` where it is not), the row is the only one for its symbol
    and time, the close and every other price that the source has for the symbol are there, prices are positive and
    finite, the volume is not negative, the high is not below and the low not above open and close, the currency is the
    dataset's. Of rows that are equal throughout the first is good and the others are ``DOUBLED``.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns ``symbol``, ``time``, ``open high low close volume``, shape (n, ...), and ``currency`` where the source
        tells it; a field that the source does not have is NaN.
    currency : str, optional
        What the dataset's prices are in.

    Returns
    -------
    pandas.Series
        The first reason for each row, or an empty string where there is none; shape (n,), the index of ``rows``.
    """
    prices = rows[list(PRICES)]
    top, bottom = prices[["open", "close"]].max(axis=1), prices[["open", "close"]].min(axis=1)
    tolerance = 1e-9 * rows["close"].abs()
    had = prices.notna().groupby(rows["symbol"]).transform("any")
    told = rows["currency"] if "currency" in rows else pd.Series(None, index=rows.index, dtype="object")
    rules = {
        NO_SESSION: rows["time"].isna(),
        f"a currency other than the dataset's {currency}": told.notna() & (told != currency) & bool(currency),
        DOUBLED: _doubled(rows),
        NO_CLOSE: rows["close"].isna(),
        INCOMPLETE: (prices.isna() & had).any(axis=1),
        NOT_POSITIVE: ((prices <= 0) | np.isinf(prices)).any(axis=1),
        "negative or infinite volume": (rows["volume"] < 0) | np.isinf(rows["volume"]),
        "high below open or close": rows["high"] < top - tolerance,
        "low above open or close": rows["low"] > bottom + tolerance,
    }
    reason = np.select(list(rules.values()), list(rules), default="")
    return pd.Series(reason, index=rows.index, dtype="object")


def _doubled(rows: pd.DataFrame) -> pd.Series:
    """Say which rows are not the only one of their bar; a row that was merely repeated is good once."""
    bar = ["symbol", "time"]
    doubled = rows.duplicated(bar, keep=False)
    if doubled.any():
        own = rows[doubled]
        repeated = own.duplicated([*bar, *FIELDS])
        # Two rows that differ leave open which of them is right, however often each stands there.
        differ = (~repeated).groupby([own["symbol"], own["time"]]).transform("sum") > 1
        doubled[doubled] = repeated | differ
    return doubled


def inspect_actions(actions: pd.DataFrame) -> pd.Series:
    """Return why each action cannot be trusted, or an empty string.

    Rules: it has a session, it is a split or a dividend, a split's ratio is positive and finite, a dividend is not
    negative and finite; one of 0 changes no price.

    Parameters
    ----------
    actions : pandas.DataFrame
        Columns ``time``, ``kind`` and ``value``, shape (n, ...).
    """
    split, dividend = actions["kind"] == "split", actions["kind"] == "dividend"
    value = actions["value"]
    sound = (split & (value > 0)) | (dividend & (value >= 0))
    bad = actions["time"].isna() | ~sound | np.isinf(value)
    told = [f"{NO_ACTION}: {kind} {number}" for kind, number in zip(actions["kind"], value, strict=True)]
    return pd.Series(told, index=actions.index, dtype="object").where(bad, "")
