"""The columns of a provider's frames, from the plain values of an answer: what is missing or no value becomes NaN."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np
import pandas as pd

from workbench.core.market import FIELDS

BARS = ("time", *FIELDS)
ACTIONS = ("time", "kind", "value")
SEARCH = ("symbol", "name", "exchange", "currency", "asset_class")
SERIES = ("time", "value", "published")
STATEMENTS = ("period_end", "period", "statement", "item", "value", "currency", "filed")


def numbers(values: Iterable[object]) -> pd.Series:
    """Return float64 numbers, NaN for what is none or not finite."""
    read = pd.to_numeric(pd.Series(list(values), dtype="object"), errors="coerce").astype("float64")
    return read.where(np.isfinite(read))


def days(values: Iterable[object]) -> pd.Series:
    """Return days without a zone, ``NaT`` for what is none."""
    return pd.to_datetime(pd.Series(list(values), dtype="str"), format="%Y-%m-%d", errors="coerce")


def instants(values: Iterable[object], form: str = "%Y-%m-%d %H:%M:%S", zone: str = "UTC") -> pd.Series:
    """Return UTC instants of times that were written in a zone, ``NaT`` for what is none."""
    read = pd.to_datetime(pd.Series(list(values), dtype="str"), format=form, errors="coerce")
    # An hour that the clocks repeat or leave out is no certain instant.
    return read.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")


def never(count: int) -> pd.Series:
    """Return ``NaT`` in UTC so many times."""
    return pd.Series([pd.NaT] * count, dtype="datetime64[us, UTC]")


def texts(values: Iterable[object]) -> pd.Series:
    """Return texts, empty for what is missing."""
    return pd.Series(["" if value is None else str(value) for value in values], dtype="str")


def within(frame: pd.DataFrame, start: date | None, end: date | None, column: str = "time") -> pd.DataFrame:
    """Return the rows of the days from ``start`` to ``end``, and those without a time."""
    times = frame[column]
    zone = times.dt.tz
    keep = pd.Series(data=True, index=frame.index)
    if start is not None:
        keep &= ~(times < pd.Timestamp(start, tz=zone))
    if end is not None:
        keep &= ~(times >= pd.Timestamp(end, tz=zone) + pd.Timedelta(days=1))
    return frame[keep].reset_index(drop=True)


def stack(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Return the parts one under the other; the first one gives the types where all are empty."""
    filled = [part for part in parts if len(part)] or list(parts[:1])
    return pd.concat(filled, ignore_index=True)[list(columns)]
