"""Bars quoted in several currencies, in one.

A rate is told in units of the wanted currency for one unit of the symbol's: with ``to="USD"``, EUR at 1.25 means that
a euro costs 1.25 dollars. It counts from the moment in its index on, until the next one, for at most five days; it is
never used before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workbench.core.errors import InputError
from workbench.core.frames import per_symbol, validate_bars

Array = NDArray[np.float64]
OLDEST = pd.Timedelta(days=5)
"""How long a rate stays good: over a long weekend."""

LONGEST = {"1h": pd.Timedelta(hours=1), "1m": pd.Timedelta(minutes=1)}
"""How long before its close a bar may have opened; a day for any other."""


def convert(bars: xr.Dataset, rates: Mapping[str, pd.Series], to: str, currencies: Mapping[str, str]) -> xr.Dataset:
    """Convert prices into one currency, each at a rate that was known when the price was made.

    The close takes the last rate known at that close. The open takes the last rate known before it: at the symbol's
    bar before, or one bar's length (a day for daily bars) before its close, whichever is later. High and low take the
    close's rate and are widened, where need be, to hold the open and the close: no intraday rates are known.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    rates : mapping of str to pandas.Series
        By currency: units of ``to`` for one unit of it, indexed by the moment at which each was known (UTC; an index
        without a zone is taken as UTC). NaN says nothing. ``to`` itself needs none.
    to : str
        The currency to convert into, such as ``"USD"``.
    currencies : mapping of str to str
        What each symbol is quoted in.

    Returns
    -------
    xarray.Dataset
        Bars with ``attrs["currency"] == to``; the volume is untouched.

    Raises
    ------
    InputError
        Naming the symbol without a currency, the pair without a rate or with one that is not positive, or the bar for
        which no rate of the last five days is known.
    """
    converted = bars.copy(deep=True)
    places = {str(symbol): place for place, symbol in enumerate(bars["symbol"].to_numpy())}
    times = bars.indexes["time"]
    length = LONGEST.get(bars.attrs["interval"], pd.Timedelta(days=1))
    known: dict[str, pd.Series] = {}
    for symbol, frame in per_symbol(bars):
        if symbol not in currencies:
            raise InputError(f"the currency of {symbol} is not known; add it: currencies={{{symbol!r}: 'EUR'}}")
        own = currencies[symbol]
        if own == to:
            continue
        if own not in known:
            known[own] = _rates(rates, own, to)
        at = times.get_indexer(frame.index)
        for field, values in _in(frame, known[own], f"{own}/{to}", symbol, length).items():
            converted[field].transpose("time", "symbol").to_numpy()[at, places[symbol]] = values
    return validate_bars(converted.assign_attrs(currency=to))


def _in(frame: pd.DataFrame, rates: pd.Series, pair: str, symbol: str, length: pd.Timedelta) -> dict[str, Array]:
    """Return one symbol's prices, converted."""
    closing = pd.DatetimeIndex(frame.index)
    # A bar's length before its close it had not opened yet, nor when the bar before ended.
    earlier = closing.to_numpy() - length.to_timedelta64()
    before = pd.DatetimeIndex(np.maximum(earlier, np.append(earlier[:1], closing.to_numpy()[:-1])))
    at_close = _known_at(rates, closing, pair, symbol)
    opens = frame["open"].to_numpy()
    at_open = np.full(len(frame), np.nan)
    has = ~np.isnan(opens)
    at_open[has] = _known_at(rates, before[has], pair, symbol)
    first, last = opens * at_open, frame["close"].to_numpy() * at_close
    high, low = (frame[side].to_numpy() * at_close for side in ("high", "low"))
    widest = np.fmax(first, last), np.fmin(first, last)
    return {
        "open": first,
        "high": np.where(np.isnan(high), high, np.fmax(high, widest[0])),
        "low": np.where(np.isnan(low), low, np.fmin(low, widest[1])),
        "close": last,
    }


def _rates(rates: Mapping[str, pd.Series], own: str, to: str) -> pd.Series:
    """Return the rates of one currency by moment, checked."""
    if own not in rates:
        raise InputError(f"there is no rate of {own}/{to}; give {to} for one {own}: rates={{{own!r}: series}}")
    given = rates[own].dropna().astype("float64")
    index = pd.DatetimeIndex(given.index)
    index = (index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index).as_unit("ns")
    if not (np.isfinite(given) & (given > 0)).all():
        bad = given[~(np.isfinite(given) & (given > 0))]
        raise InputError(f"the rate of {own}/{to} is {bad.iloc[0]} at {bad.index[0]}; a rate is positive and finite")
    if not index.is_unique:
        raise InputError(f"there are two rates of {own}/{to} at {index[index.duplicated()][0]}; keep one of them")
    return given.set_axis(index).sort_index()


def _known_at(rates: pd.Series, moments: pd.DatetimeIndex, pair: str, symbol: str) -> Array:
    """Return the last rate known at each moment, shape (n,)."""
    at = rates.index.searchsorted(moments, side="right") - 1
    stale = at < 0
    stale[~stale] = (moments[~stale] - rates.index[at[~stale]]) > OLDEST
    if stale.any():
        raise InputError(
            f"no rate of {pair} is known within {OLDEST.days} days before {moments[stale][0]}, when {symbol} was "
            "traded; give more rates, or a shorter range of bars"
        )
    known: Array = rates.to_numpy()[at]
    return known
