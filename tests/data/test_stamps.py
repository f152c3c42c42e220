"""A source's day or start of a bar becomes the bar's end: half days, clock changes, and what lies outside."""

import pandas as pd
import pytest

from workbench.data.stamps import bar_ends, days_of, last_closed_session, sessions_between


def ends(labels, interval, calendar="XNYS"):
    zone = None if interval == "1d" else "UTC"
    found = bar_ends(pd.Series(pd.DatetimeIndex(labels, tz=zone)), interval, calendar)
    assert str(found.tz) == "UTC"
    return ["" if pd.isna(end) else f"{end:%Y-%m-%d %H:%M}" for end in found]


def days(labels, interval, calendar="XNYS"):
    zone = None if interval == "1d" else "UTC"
    found = days_of(pd.Series(pd.DatetimeIndex(labels, tz=zone)), interval, calendar)
    assert found.tz is None
    return ["" if pd.isna(day) else f"{day:%Y-%m-%d}" for day in found]


@pytest.mark.parametrize(
    ("day", "end"),
    [
        ("2024-07-02", "2024-07-02 20:00"),
        ("2024-07-03", "2024-07-03 17:00"),  # the day before Independence Day closes at 13:00
        ("2024-07-04", ""),
        ("2024-03-08", "2024-03-08 21:00"),
        ("2024-03-11", "2024-03-11 20:00"),  # clocks went forward on the 10th
        ("2024-11-01", "2024-11-01 20:00"),
        ("2024-11-04", "2024-11-04 21:00"),  # and back on the 3rd
        ("2024-07-06", ""),  # Saturday
        ("2024-07-02 09:30", ""),  # no day
        (None, ""),
        ("1850-01-01", ""),
        ("2150-01-01", ""),
    ],
)
def test_a_daily_bar_ends_with_its_session(day, end):
    assert ends([day], "1d") == [end]
    assert days([day], "1d") == [day if end else ""]


@pytest.mark.parametrize(
    ("start", "end", "day"),
    [
        ("2024-07-02 13:30", "2024-07-02 14:30", "2024-07-02"),
        ("2024-07-02 18:30", "2024-07-02 19:30", "2024-07-02"),
        ("2024-07-02 19:30", "2024-07-02 20:00", "2024-07-02"),  # the last one is half an hour long
        ("2024-07-02 19:00", "2024-07-02 20:00", "2024-07-02"),  # a source whose hours are those of the clock
        ("2024-07-02 13:00", "2024-07-02 14:00", "2024-07-02"),  # its first begins before the session does
        ("2024-07-02 12:30", "", ""),  # over when the session begins
        ("2024-07-02 20:00", "", ""),
        ("2024-07-02 23:30", "", ""),
        ("2024-07-03 16:30", "2024-07-03 17:00", "2024-07-03"),
        ("2024-07-03 17:00", "", ""),
        ("2024-07-04 14:30", "", ""),
        ("2024-03-08 14:30", "2024-03-08 15:30", "2024-03-08"),
        ("2024-03-08 13:29", "", ""),
        ("2024-03-11 13:30", "2024-03-11 14:30", "2024-03-11"),
        ("2024-11-01 13:30", "2024-11-01 14:30", "2024-11-01"),
        ("2024-11-04 14:30", "2024-11-04 15:30", "2024-11-04"),
        ("2024-11-04 13:30", "", ""),  # an hour early, as of a source that forgot the clocks
        ("2024-11-04 20:30", "2024-11-04 21:00", "2024-11-04"),
        (None, "", ""),
        ("1850-01-01 14:30", "", ""),
        ("2150-01-01 14:30", "", ""),
    ],
)
def test_an_hourly_bar_ends_an_hour_on_but_not_after_its_session(start, end, day):
    assert ends([start], "1h") == [end]
    assert days([start], "1h") == [day]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2024-07-03 13:29", ""),
        ("2024-07-03 13:30", "2024-07-03 13:31"),
        ("2024-07-03 16:59", "2024-07-03 17:00"),
        ("2024-07-03 17:00", ""),
        ("2024-11-04 20:59", "2024-11-04 21:00"),
    ],
)
def test_a_minute_bar_ends_a_minute_on(start, end):
    assert ends([start], "1m") == [end]


def test_a_session_that_begins_the_evening_before_in_utc_has_the_exchanges_day():
    # Sydney opens at 10:00, in its summer 23:00 UTC of the day before.
    assert days(["2024-01-15 23:00", "2024-01-16 04:00"], "1h", "XASX") == ["2024-01-16", "2024-01-16"]
    assert ends(["2024-01-15 23:00"], "1h", "XASX") == ["2024-01-16 00:00"]


def test_every_bar_of_a_year_has_an_end_and_its_own_day():
    sessions = sessions_between("XNYS", pd.Timestamp("2024-01-01"), pd.Timestamp("2024-12-31"))
    assert len(sessions) == 252
    found = bar_ends(pd.Series(sessions), "1d", "XNYS")
    starts = pd.Series(found - pd.Timedelta(minutes=1))
    assert (bar_ends(starts, "1m", "XNYS") == found).all()
    assert (days_of(starts, "1m", "XNYS") == sessions).all()
    assert bar_ends(pd.Series(found), "1m", "XNYS").isna().all()


def test_no_labels_have_no_ends():
    for interval in ("1d", "1h"):
        assert ends([], interval) == []
        assert days([], interval) == []


def test_sessions_between_two_days_are_those_of_both_and_between():
    found = sessions_between("XNYS", pd.Timestamp("2024-07-03"), pd.Timestamp("2024-07-08"))
    assert [f"{day:%d}" for day in found] == ["03", "05", "08"]
    assert sessions_between("XNYS", pd.Timestamp("2024-07-06"), pd.Timestamp("2024-07-07")).empty


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2024-07-03 16:59:59", "2024-07-02"),
        ("2024-07-03 17:00", "2024-07-03"),
        ("2024-07-04 22:00", "2024-07-03"),
        ("2024-07-05 19:59", "2024-07-03"),
        ("2024-07-07 12:00", "2024-07-05"),
    ],
)
def test_a_session_has_ended_at_its_close(now, day):
    assert last_closed_session("XNYS", pd.Timestamp(now, tz="UTC")) == pd.Timestamp(day)
