"""Which days a fetch is about."""

from __future__ import annotations

import pandas as pd

from workbench.core.calendar import Moment, date_range, instant
from workbench.core.errors import InputError
from workbench.data.entries import EntryMetadata
from workbench.data.ingest import Span
from workbench.data.stamps import last_closed_session

BACK = {"1d": pd.DateOffset(years=10), "1h": pd.DateOffset(days=60), "1m": pd.DateOffset(days=5)}
"""How far back a fetch reaches where no start is given."""


def wanted_span(about: EntryMetadata, start: Moment | None, end: Moment | None, now: pd.Timestamp) -> Span:
    """Return the days to ask for: until the last session that has ended, from ``BACK`` on where no start is given.

    Raises
    ------
    DateRangeError
        For a reversed range.
    InputError
        If no session of the range has ended.
    """
    date_range(start, end)
    closed = last_closed_session(about.calendar, now)
    last = closed if end is None else min(closed, instant(end, end_of_day=True).tz_localize(None).normalize())
    first = last - BACK[about.interval] if start is None else instant(start).tz_localize(None).normalize()
    if first > last:
        raise InputError(f"no session has ended from {first:%Y-%m-%d} to {last:%Y-%m-%d}; choose an earlier start")
    return Span(first, last)
