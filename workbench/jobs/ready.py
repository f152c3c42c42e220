"""Data-ready: whether the bars of a session are in the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from workbench.core.calendar import check_known, exchange_calendar
from workbench.data.store import BarStore
from workbench.jobs.records import RunRecord
from workbench.jobs.schedule import Ready


def session_of(calendar: str, due: datetime) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the last session of an exchange that had closed at a due time: its day, without a zone, and its close.

    So a run before the open, or within a session, waits for the session before.

    Raises
    ------
    DateRangeError
        Where the calendar does not reach.
    """
    closes = exchange_calendar(calendar).closes
    instant = pd.Timestamp(due)
    check_known(calendar, instant.tz_convert(None).normalize())
    place = int(pd.DatetimeIndex(closes).searchsorted(instant, side="right")) - 1
    return pd.Timestamp(closes.index[place]), pd.Timestamp(closes.iloc[place])


def missing_symbols(store: BarStore, ready: Ready, calendar: str, due: datetime) -> list[str]:
    """Return the symbols whose bars of a session are not complete yet.

    Complete is a symbol with a bar at the session's close, none of whose rows of that session is held in quarantine;
    and whose source has answered for that session, if it is one that was asked (``coverage``).

    Parameters
    ----------
    store : BarStore
    ready : Ready
    calendar : str
        Of the market trigger.
    due : datetime

    Returns
    -------
    list of str
        In the order of ``ready``; empty where the data is complete.

    Raises
    ------
    StoreError
        If the store cannot be read.
    DateRangeError
        Where the calendar does not reach.
    """
    day, close = session_of(calendar, due)
    tables, symbols = store.tables(ready.dataset), list(ready.symbols)
    there = set(tables.bars.read(symbols, start=close, end=close, columns=["close"])["symbol"])
    held = tables.quarantine.read(symbols)
    there -= set(held.loc[(held["state"] == "open") & (held["session"] == close), "symbol"])
    spans = tables.coverage.read(symbols)
    session = day.tz_localize("UTC")
    answered = spans[(spans["first"] <= session) & (spans["last"] >= session)]
    there -= set(spans["symbol"]) - set(answered["symbol"])
    return [symbol for symbol in symbols if symbol not in there]


def too_late(run: RunRecord, missing: Sequence[str], zone: str) -> str:
    """Return the sentence about a run whose data did not come."""
    local = pd.Timestamp(run.deadline or run.due).tz_convert(zone)
    named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return f"data not complete by {local:%Y-%m-%d %H:%M} {zone}: no bars of {named}"
