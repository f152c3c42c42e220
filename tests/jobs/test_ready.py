"""Whether a session's bars are complete, on the sample's real bars."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from workbench.core.errors import DateRangeError
from workbench.data.store import BarStore
from workbench.data.tables.delta import DeltaTables
from workbench.jobs.ready import missing_symbols, session_of
from workbench.jobs.schedule import Ready

THURSDAY, FRIDAY = "2012-05-17", "2012-05-18"  # Facebook was first traded on the Friday
CLOSE = pd.Timestamp("2012-05-18 20:00", tz="UTC")
SOON_AFTER = datetime(2012, 5, 18, 20, 20, tzinfo=UTC)


@pytest.fixture
def store(tmp_path, bench):
    """A store with the bars of Apple and IBM of the Thursday and Friday, and of Facebook's first day."""
    found = bench.bars(["AAPL", "FB", "IBM"], THURSDAY, FRIDAY, adjust="none").to_dataframe().reset_index()
    rows = found.dropna(subset=["close"])[["symbol", "time", "open", "high", "low", "close", "volume"]]
    rows = rows.assign(time=pd.to_datetime(rows["time"], utc=True))
    made = BarStore(DeltaTables(tmp_path / "store"), lambda: CLOSE)
    write(made, rows)
    return made, rows


def write(store, rows):
    no_actions = pd.DataFrame({"symbol": [], "time": pd.DatetimeIndex([], tz="UTC"), "kind": [], "value": []})
    store.write("mine", rows.assign(date=rows["time"].dt.strftime("%Y-%m-%d")), no_actions)


def missing(store, *symbols, due=SOON_AFTER):
    return missing_symbols(store, Ready(dataset="mine", symbols=symbols), "XNYS", due)


@pytest.mark.parametrize(
    ("due", "day"),
    [
        (SOON_AFTER, FRIDAY),
        (datetime(2012, 5, 18, 20, tzinfo=UTC), FRIDAY),  # at the close
        (datetime(2012, 5, 18, 19, 50, tzinfo=UTC), THURSDAY),  # ten minutes before it
        (datetime(2012, 5, 21, 13, 20, tzinfo=UTC), FRIDAY),  # before Monday's open
        (datetime(2026, 11, 27, 18, 20, tzinfo=UTC), "2026-11-27"),  # closes at 13:00 in New York
    ],
)
def test_the_session_is_the_last_one_that_had_closed(due, day):
    assert session_of("XNYS", due)[0] == pd.Timestamp(day)


def test_a_due_time_after_the_calendars_end_is_an_error_and_no_silence():
    with pytest.raises(DateRangeError, match="known up to"):
        session_of("XNYS", datetime(2060, 1, 5, tzinfo=UTC))


def test_symbols_with_a_bar_at_the_close_are_complete(store):
    assert missing(store[0], "AAPL", "FB", "IBM") == []
    assert missing(store[0], "FB", "IBM", due=datetime(2012, 5, 18, 13, tzinfo=UTC)) == ["FB"]
    assert missing(store[0], "NFLX", "AAPL", "AMZN") == ["NFLX", "AMZN"]


def test_a_bar_before_the_close_of_a_session_within_it_is_not_that_session(store):
    assert missing(store[0], "AAPL", due=datetime(2012, 5, 21, 20, 20, tzinfo=UTC)) == ["AAPL"]


def test_a_row_in_quarantine_is_not_there_until_a_sound_one_has_come(store):
    made, rows = store
    monday = rows[rows["time"] == CLOSE].assign(time=pd.Timestamp("2012-05-21 20:00", tz="UTC"))
    due = datetime(2012, 5, 21, 20, 20, tzinfo=UTC)
    write(made, monday.assign(high=monday["low"] / 2))
    assert missing(made, "AAPL", "IBM", due=due) == ["AAPL", "IBM"]
    write(made, monday[monday["symbol"] == "IBM"])
    assert missing(made, "AAPL", "IBM", due=due) == ["AAPL"]


def test_a_source_that_was_asked_must_have_answered_for_the_session(store):
    made, _ = store
    day, before = pd.Timestamp(FRIDAY, tz="UTC"), pd.Timestamp(THURSDAY, tz="UTC")
    spans = pd.DataFrame({"symbol": ["AAPL", "IBM"], "first": [before, before], "last": [before, day]})
    made.tables("mine").coverage.write(spans, CLOSE)
    assert missing(made, "AAPL", "FB", "IBM") == ["AAPL"]
