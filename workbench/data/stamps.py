"""When a bar was known: a source's day or start of a bar becomes the bar's end in UTC."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.core.calendar import WITHIN_SESSION, check_known, exchange_calendar, session_closes


def bar_ends(labels: pd.Series, interval: str, calendar: str) -> pd.DatetimeIndex:
    """Return the end of each bar.

    A daily bar ends with its session. A shorter one ends an interval after its start, but no later than its session:
    the last hourly bar of a day that closes at 16:00 and opened at 9:30 lasts half an hour.

    Parameters
    ----------
    labels : pandas.Series
        Days without a zone for ``interval="1d"``, UTC starts of bars otherwise, shape (n,).
    interval : {"1d", "1h", "1m"}
    calendar : str
        Exchange code.

    Returns
    -------
    pandas.DatetimeIndex
        UTC, shape (n,); ``NaT`` where a label is no day of a session, or a bar lies outside of every session.
    """
    if interval == "1d":
        return session_closes(calendar, pd.DatetimeIndex(labels))
    starts = pd.DatetimeIndex(labels).as_unit("ns")
    sessions = exchange_calendar(calendar)
    opens, closes = (pd.DatetimeIndex(edge).as_unit("ns") for edge in (sessions.opens, sessions.closes))
    ends = starts + WITHIN_SESSION[interval]
    # The first session that is not over when the bar starts; NaT sorts behind every session.
    place = closes.searchsorted(starts, side="right")
    there = (place < len(closes)) & starts.notna()
    place = np.where(there, place, 0)
    inside = there & (opens[place] < ends)
    return pd.DatetimeIndex(ends.where(ends <= closes[place], closes[place]).where(inside))


def days_of(labels: pd.Series, interval: str, calendar: str) -> pd.DatetimeIndex:
    """Return the session's day of each label, without a zone, ``NaT`` where it has none."""
    ends = bar_ends(labels, interval, calendar)
    sessions = exchange_calendar(calendar)
    closes = pd.DatetimeIndex(sessions.closes).as_unit("ns")
    place = closes.searchsorted(ends)
    there = (place < len(closes)) & ends.notna()
    days = pd.DatetimeIndex(sessions.closes.index).as_unit("ns")[np.where(there, place, 0)]
    return pd.DatetimeIndex(days.where(there))


def sessions_between(calendar: str, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Return the days of the sessions from ``first`` to ``last``, both included, without a zone."""
    closes = exchange_calendar(calendar).closes
    return pd.DatetimeIndex(closes.loc[first:last].index)


def last_closed_session(calendar: str, now: pd.Timestamp) -> pd.Timestamp:
    """Return the day of the last session that had ended at an instant, without a zone.

    Raises
    ------
    DateRangeError
        If the calendar does not reach that far.
    """
    check_known(calendar, now.tz_localize(None).normalize())
    closes = exchange_calendar(calendar).closes
    return pd.Timestamp(closes.index[pd.DatetimeIndex(closes).searchsorted(now, side="right") - 1])
