"""The windows of a walk-forward, those of ``skfolio.model_selection.WalkForward``, by bars or by calendar periods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workbench.core.calendar import exchange_calendar
from workbench.core.errors import InputError, ParameterError

Window = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Places of the bars to choose on, and of those to trade on."""


def windows(bars: xr.Dataset, train: int, test: int, anchored: bool, purge: int, frequency: str | None) -> list[Window]:
    """Return the windows of bars; see ``workbench.backtest.validation.walkforward.walk_forward``.

    Raises
    ------
    ParameterError
        For a length that is out of range, or a frequency that does not cut the bars.
    InputError
        For too few bars.
    """
    from skfolio.model_selection import WalkForward as Splitter

    for name, value, least in (("train", train, 2), ("test", test, 1 if frequency else 2), ("purge", purge, 0)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise ParameterError(f"{name}={value!r} is out of range; give a whole number, at least {least}")
    times = pd.DatetimeIndex(bars.indexes["time"])
    needed = train + purge + test
    if not frequency and len(times) < needed:
        raise InputError(
            f"{len(times)} bars are too few for train={train}, purge={purge} and test={test}; "
            f"{needed} are needed at least"
        )
    splitter = Splitter(test_size=test, train_size=train, freq=frequency, expand_train=anchored, purged_size=purge)
    try:
        index = _whole_periods(times, frequency, bars.attrs["calendar"]) if frequency else times
        folds = list(splitter.split(pd.DataFrame({"bar": 0.0}, index=index)))
    except ValueError as error:
        raise ParameterError(f"frequency={frequency!r} does not cut these bars: {error}") from error
    if not folds:
        raise InputError(
            f"{len(times)} bars hold no training window of {train} and test window of {test} periods of {frequency!r}; "
            "give more bars or shorter windows"
        )
    return folds


def _whole_periods(times: pd.DatetimeIndex, frequency: str, calendar: str) -> pd.DatetimeIndex:
    """Return the times such that periods which lack no session at either end are seen to be whole.

    The first bar is put at its day's midnight, or where its period begins if no session lies between; the beginning of
    the next period is added behind the last bar if none lies there. A period ends where the next one begins, so that
    the added place is in no window.
    """
    days = times[[0, -1]].normalize()
    begins = pd.date_range(end=days[0], periods=1, freq=frequency)[0]
    first = days[0] if _sessions_missing(calendar, begins, days[0]) else begins
    kept = [first, *times[1:]]
    starts = pd.date_range(first, times[-1], freq=frequency)
    if starts.empty:
        return pd.DatetimeIndex(kept)
    follows = starts[-1] + pd.tseries.frequencies.to_offset(frequency)
    # What begins on the last bar's own day is no period that is over.
    if _sessions_missing(calendar, days[1] + pd.Timedelta(days=1), follows):
        return pd.DatetimeIndex(kept)
    return pd.DatetimeIndex([*kept, follows])


def _sessions_missing(calendar: str, since: pd.Timestamp, until: pd.Timestamp) -> bool:
    """Say whether a session closes at or after ``since`` and before ``until``, or the calendar does not reach there."""
    if since >= until:
        return False
    # Bars are stamped in UTC without a zone.
    closes = pd.DatetimeIndex(exchange_calendar(calendar).closes).tz_convert(since.tz)
    known = closes[0] <= since and until <= closes[-1]
    return not known or bool(((closes >= since) & (closes < until)).any())
