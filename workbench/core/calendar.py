"""Sessions of an exchange and the number of bars in a year.

Sessions come from ``exchange_calendars``; a daily bar is stamped with its session's close in UTC, so that a half day
ends when it did. A calendar does not depend on the day on which it was made: it reaches to ``LATEST``, or to the last
year whose holidays the installed ``exchange_calendars`` knows. A session that lies ahead of the exchange's own
announcements follows the rules of today, and moves when a newer release knows better.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.core.errors import DateRangeError, UnknownNameError, UnsupportedError

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

Moment = str | int | np.integer[Any] | date | datetime | pd.Timestamp
"""A date or an instant: ``"2012"``, ``2012``, ``"2012-03"``, ``"2012-03-01"``, a date, a datetime."""

_SPANS = {
    r"\d{4}": pd.DateOffset(years=1),
    r"\d{4}-\d{2}": pd.DateOffset(months=1),
    r"\d{4}-\d{2}-\d{2}": pd.DateOffset(days=1),
}

PERIODS_PER_YEAR = {"1d": 252.0, "1w": 52.0, "1mo": 12.0, "1q": 4.0}
"""Bars in a year by interval; 252 sessions is the convention for daily equity statistics."""

EARLIEST = "1960-01-01"

LATEST = "2049-12-31"
"""Last day of a calendar: no process lives to see it, and holidays by the moon are computed up to there."""


WITHIN_SESSION = {"1h": pd.Timedelta(hours=1), "1m": pd.Timedelta(minutes=1)}


def periods_per_year(interval: str, calendar: str) -> float:
    """Return how many bars of ``interval`` make a year (1/year).

    A year has 252 sessions; a session as many hourly or minute bars as its usual length holds, begun ones included: 7
    hours or 390 minutes on XNYS.

    Raises
    ------
    UnknownNameError
        If the interval has no agreed number of bars.
    """
    if interval in WITHIN_SESSION:
        sessions = exchange_calendar(calendar)
        usual = (sessions.closes - sessions.opens).iloc[-252:].median()
        return PERIODS_PER_YEAR["1d"] * float(math.ceil(usual / WITHIN_SESSION[interval]))
    if interval not in PERIODS_PER_YEAR:
        raise UnknownNameError("interval", interval, [*PERIODS_PER_YEAR, *WITHIN_SESSION])
    return PERIODS_PER_YEAR[interval]


@lru_cache(maxsize=8)
def exchange_calendar(name: str) -> ExchangeCalendar:
    """Return the calendar of an exchange by its ISO 10383 code, such as ``"XNYS"``.

    Sessions reach from ``EARLIEST``, or the first day that is known, to ``known_until(name)``.

    Raises
    ------
    UnknownNameError
        If there is no such calendar.
    UnsupportedError
        If the installed ``exchange_calendars`` cannot work it out.
    """
    import exchange_calendars

    if name not in exchange_calendars.get_calendar_names(include_aliases=True):
        raise UnknownNameError("calendar", name, exchange_calendars.get_calendar_names())
    try:
        return exchange_calendars.get_calendar(name, start=EARLIEST, end=LATEST)
    except ValueError:
        # Some calendars are known from a later day on only, or no further than their holidays were announced.
        return _as_far_as_known(name)
    except NotImplementedError as error:
        raise _unsupported(name) from error


def _as_far_as_known(name: str) -> ExchangeCalendar:
    import exchange_calendars

    try:
        some = exchange_calendars.get_calendar(name)
        start, end = some.bound_min() or pd.Timestamp(EARLIEST), some.bound_max() or pd.Timestamp(LATEST)
        first, last = max(start, pd.Timestamp(EARLIEST)), min(end, pd.Timestamp(LATEST))
        return exchange_calendars.get_calendar(name, start=first, end=last)
    except (ValueError, NotImplementedError) as error:
        raise _unsupported(name) from error


def _unsupported(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"the installed exchange_calendars cannot work out the calendar {name!r}; choose that of another exchange"
    )


def known_until(calendar: str) -> pd.Timestamp:
    """Return the last day, without a zone, of which is known whether it is a session."""
    bound = exchange_calendar(calendar).bound_max()
    latest = pd.Timestamp(LATEST)
    return latest if bound is None else min(pd.Timestamp(bound), latest)


def check_known(calendar: str, day: pd.Timestamp) -> None:
    """Refuse a day, without a zone, after the last one that a calendar knows.

    Raises
    ------
    DateRangeError
        Silence would mean that there is no session.
    """
    last = known_until(calendar)
    if day > last:
        raise DateRangeError(
            f"the sessions of {calendar} are known up to {last:%Y-%m-%d}, not for {day:%Y-%m-%d}; "
            f"install an exchange_calendars that knows them"
        )


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
        UTC closes, shape (n,); ``NaT`` where a day is no session, or lies outside of ``EARLIEST`` to ``LATEST``.

    Raises
    ------
    DateRangeError
        For a day up to ``LATEST`` after the last one that the calendar knows.
    """
    # What comes after LATEST is no session of anybody's, but an error of the source.
    check_known(calendar, days[days <= pd.Timestamp(LATEST)].max())
    closes = exchange_calendar(calendar).closes.reindex(days)
    return pd.DatetimeIndex(closes).tz_convert("UTC").as_unit("ns")


def instant(value: Moment, *, end_of_day: bool = False) -> pd.Timestamp:
    """Read a date or an instant as a UTC timestamp.

    A date without a time (a text, a ``date``, a year, a month, a ``datetime`` at midnight without a zone) is its first
    moment in UTC, or its last where ``end_of_day`` is set, so that a range includes the bars of its last day. A time
    without a zone is taken as UTC.

    Raises
    ------
    DateRangeError
        If the value is no date.
    """
    try:
        stamp, span = _read(value)
        if end_of_day and span is not None:
            stamp = stamp + span - pd.Timedelta(nanoseconds=1)
        stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
        return stamp.as_unit("ns")
    except (ValueError, TypeError, OverflowError) as error:
        raise DateRangeError(f"{value!r} is no date; write it as 2012-03-01") from error


def _read(value: Moment) -> tuple[pd.Timestamp, pd.DateOffset | None]:
    """Return the first moment of a value and, for one without a time, how long it lasts."""
    if isinstance(value, int | np.integer):
        value = str(value)
    if isinstance(value, str):
        for pattern, span in _SPANS.items():
            if re.fullmatch(pattern, value):
                return pd.Timestamp(f"{value}-01-01"[:10]).as_unit("ns"), span
        # Texts such as "now" would read the machine's clock, and a bare time its date.
        return pd.Timestamp(datetime.fromisoformat(value)), None
    stamp = pd.Timestamp(value)
    if pd.isna(stamp):
        raise ValueError("no date")
    is_day = stamp.tzinfo is None and stamp == stamp.normalize()
    return stamp, pd.DateOffset(days=1) if is_day else None


def date_range(start: Moment | None, end: Moment | None) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """Return both ends of a range as UTC instants, the last day included.

    Raises
    ------
    DateRangeError
        If the start lies after the end, or one of them is no date.
    """
    first = None if start is None else instant(start)
    last = None if end is None else instant(end, end_of_day=True)
    if first is not None and last is not None and first > last:
        raise DateRangeError(f"the range {start} to {end} is reversed; give the earlier date first")
    return first, last
