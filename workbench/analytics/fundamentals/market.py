"""The market's side of a valuation: prices as paid, and shares as split since they were counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
import xarray as xr

from workbench.analytics.fundamentals.figures import Floats, Ints, Versions
from workbench.core.errors import DataError, InputError, ParameterError

PRICE_DAYS = 7
"""Days for which a close stands in for a later price: over a holiday, not over a delisting."""

NANOSECONDS_PER_DAY = 86_400_000_000_000


def last_closes(
    prices: xr.Dataset, names: Sequence[str], currencies: Sequence[str], moments: Ints
) -> tuple[Floats, Ints]:
    """Return the last close of the ``PRICE_DAYS`` up to each moment, and when it was paid.

    Parameters
    ----------
    prices : xarray.Dataset
        Bars as traded.
    names : sequence of str
        The symbols wanted, shape (n_symbols,); NaN for one that has no bars.
    currencies : sequence of str
        Those of the statements.
    moments : numpy.ndarray
        Nanoseconds since 1970 in UTC, shape (n_moments,).

    Returns
    -------
    closes : numpy.ndarray
        Shape (n_moments, n_symbols).
    paid : numpy.ndarray
        The times of these closes in nanoseconds, of the same shape; the moments where there is none. A close is of the
        shares as split until then.

    Raises
    ------
    ParameterError
        For adjusted prices.
    InputError
        For statements in another currency.
    """
    adjustment, currency = prices.attrs["adjustment"], prices.attrs["currency"]
    if adjustment != "none":
        raise ParameterError(f"prices are adjusted for {adjustment!r}, and were not paid; read them with adjust='none'")
    others = sorted(set(currencies) - {currency, ""})
    if others:
        raise InputError(f"prices are in {currency}, statements in {', '.join(others)}; convert one of them")
    close = cast("pd.DataFrame", prices["close"].to_pandas()).reindex(columns=list(names))
    times = pd.DatetimeIndex(close.index).as_unit("ns").to_numpy().astype("int64")
    values = close.to_numpy(dtype="float64")
    held = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(times))[:, None]), axis=0)
    # The last row stands for no bar at all: a moment before the first finds place -1.
    rows = np.vstack([held, np.full((1, values.shape[1]), -1)])[np.searchsorted(times, moments, side="right") - 1]
    recent = (rows >= 0) & (moments[:, None] - times[rows] <= PRICE_DAYS * NANOSECONDS_PER_DAY)
    closes = np.where(recent, np.take_along_axis(values, np.maximum(rows, 0), axis=0), np.nan)
    return closes, np.where(recent, times[rows], moments[:, None])


def split_factor(splits: pd.DataFrame, names: Sequence[str], symbols: Ints, since: Floats, until: Ints) -> Floats:
    """Return into how many shares one was split after an instant, up to a moment.

    Parameters
    ----------
    splits : pandas.DataFrame
        Columns ``symbol``, ``time`` (the ex-date) and ``value`` (new shares for one old); with a column ``kind``, its
        rows of ``"split"`` only.
    names : sequence of str
    symbols : numpy.ndarray
        Positions among ``names``, shape (n,).
    since : numpy.ndarray
        Nanoseconds since 1970 in UTC, shape (n,); NaN gives NaN.
    until : numpy.ndarray
        The same, shape (n,).

    Raises
    ------
    DataError
        For a missing column, or a ratio that is not positive.
    """
    absent = [name for name in ("symbol", "time", "value") if name not in splits]
    if absent:
        raise DataError(f"splits need the columns symbol, time, value; missing: {', '.join(absent)}")
    own = splits[(splits["kind"] == "split") if "kind" in splits else slice(None)]
    own = own[own["symbol"].isin(list(names))]
    if not (own["value"] > 0).all():
        raise DataError(
            f"a split ratio of {own['value'].min()} is not positive; give new shares for one old, such as 2"
        )
    codes = pd.Index(names).get_indexer(pd.Index(own["symbol"])).astype("int64")
    times = pd.to_datetime(own["time"], utc=True).dt.tz_localize(None).astype("datetime64[ns]").to_numpy()
    order = np.lexsort((times, codes))
    versions = Versions.of(codes[order], times.astype("int64")[order])
    # Sums over all symbols in one line: only differences within a symbol are taken.
    total = np.append(np.cumsum(np.log(own["value"].to_numpy(dtype="float64"))[order]), 0.0)
    first = np.searchsorted(versions.groups, symbols)
    known = np.where(np.isnan(since), 0, since).astype("int64")
    ends = [versions.last(symbols, moments) for moments in (known, until)]
    before, after = (total[np.where(rows < 0, first - 1, rows)] for rows in ends)
    return np.where(np.isnan(since), np.nan, np.exp(after - before))
