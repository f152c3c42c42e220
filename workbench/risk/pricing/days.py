"""Days as QuantLib has them. A day is a day in UTC, as everywhere in the workbench."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.errors import DateRangeError
from workbench.core.plugins import extra

with extra("pricing", "pricing with QuantLib"):
    import QuantLib as ql  # noqa: N813 (its own documentation's name for it)

Day = Any
"""A ``date``, a ``datetime`` or ``Timestamp``, a text such as ``"2019-01-07"``, a ``datetime64`` or a ``ql.Date``."""


def quantlib_date(day: Day) -> Any:
    """Return a day as a ``ql.Date``; an instant with a time zone counts by its day in UTC.

    Raises
    ------
    DateRangeError
        If it is no date, or one that QuantLib does not have (before 1901 or after 2199).
    """
    try:
        plain = plain_date(day)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise DateRangeError(f"{day!r} is no date; write it as 2012-03-01") from error
    first, last = ql.Date.minDate().to_date(), ql.Date.maxDate().to_date()
    if not first <= plain <= last:
        raise DateRangeError(f"{plain} is none of QuantLib's dates; give one from {first} to {last}")
    return ql.Date(plain.day, plain.month, plain.year)


def plain_date(day: Any) -> date:
    """Return a day as a ``date``; an instant with a time zone counts by its day in UTC.

    Raises
    ------
    ValueError, TypeError
        If it is no date.
    """
    if isinstance(day, ql.Date):
        day = day.to_date()
    elif isinstance(day, str):
        day = datetime.fromisoformat(day)
    elif isinstance(day, np.datetime64):
        day = pd.Timestamp(day)
    if pd.isna(day):
        raise ValueError("no date")
    if isinstance(day, datetime):
        return (day if day.tzinfo is None else day.astimezone(UTC)).date()
    if isinstance(day, date):
        return day
    raise TypeError("no date")
