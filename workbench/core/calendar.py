"""Sessions of an exchange and the number of bars in a year.

Sessions come from ``exchange_calendars``; a daily bar is stamped with its session's close in UTC, so that a half day
ends when it did.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import pandas as pd

from workbench.core.errors import DateRangeError, UnknownNameError

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

PERIODS_PER_YEAR = {"1d": 252.0, "1w": 52.0, "1mo": 12.0, "1q": 4.0}
"""Bars in a year by interval; 252 sessions is the convention for daily equity statistics."""

EARLIEST = "1960-01-01"


def periods_per_year(interval: str) -> float:
    """Return how many bars of ``interval`` make a year (1/year).

    Raises
    ------
    UnknownNameError
        If the interval has no agreed number of bars.
    """
    if interval not in PERIODS_PER_YEAR:
        raise UnknownNameError("interval", interval, PERIODS_PER_YEAR)
    return PERIODS_PER_YEAR[interval]


@lru_cache(maxsize=8)
def exchange_calendar(name: str, start: str = EARLIEST, end: str | None = None) -> ExchangeCalendar:
    """Return the calendar of an exchange by its ISO 10383 code, such as ``"XNYS"``."""
    import exchange_calendars

    if name not in exchange_calendars.get_calendar_names(include_aliases=True):
        raise UnknownNameError("calendar", name, exchange_calendars.get_calendar_names())
    return exchange_calendars.get_calendar(name, start=start, end=end)


def session_closes(calendar: str, days: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return each day's session close.

    Parameters
    ----------
    calendar : str
        Exchange code.
    days : pandas.DatetimeIndex
        Calendar dates without a time zone, shape (n,).

    Returns
    -------
    pandas.DatetimeIndex
        UTC closes, shape (n,); ``NaT`` where a day is no session.
    """
    closes = exchange_calendar(calendar).closes.reindex(days)
    return pd.DatetimeIndex(closes).tz_convert("UTC").as_unit("ns")


def instant(value: str | date | datetime | pd.Timestamp, *, end_of_day: bool = False) -> pd.Timestamp:
    """Read a date or an instant as a UTC timestamp.

    A date without a time is midnight UTC, or the last nanosecond of that day where ``end_of_day`` is set, so that a
    range includes the bars of its last day. A time without a zone is taken as UTC.

    Raises
    ------
    DateRangeError
        If the value is no date.
    """
    try:
        stamp = pd.Timestamp(str(value) if isinstance(value, str | int) else value)
    except (ValueError, TypeError) as error:
        raise DateRangeError(f"{value!r} is no date; write it as 2012-03-01") from error
    if pd.isna(stamp):
        raise DateRangeError(f"{value!r} is no date; write it as 2012-03-01")
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    if end_of_day and stamp == stamp.normalize():
        # A bare year or month means its whole span: "2005" ends with its last day.
        span = {4: "YE", 7: "ME"}.get(len(value)) if isinstance(value, str) else None
        if span:
            stamp = stamp + pd.tseries.frequencies.to_offset(span)
        stamp = stamp + pd.Timedelta(days=1) - pd.Timedelta(nanoseconds=1)
    return stamp.as_unit("ns")


def date_range(start: object, end: object) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """Return both ends of a range as UTC instants, the last day included.

    Raises
    ------
    DateRangeError
        If the start lies after the end, or one of them is no date.
    """
    first = None if start is None else instant(start)  # type: ignore[arg-type]
    last = None if end is None else instant(end, end_of_day=True)  # type: ignore[arg-type]
    if first is not None and last is not None and first > last:
        raise DateRangeError(f"the range {start} to {end} is reversed; give the earlier date first")
    return first, last
