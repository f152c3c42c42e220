from datetime import UTC, date, datetime

import pandas as pd
import pytest

from workbench.core.calendar import date_range, exchange_calendar, instant, periods_per_year, session_closes
from workbench.core.errors import DateRangeError, UnknownNameError


@pytest.mark.parametrize(
    ("interval", "calendar", "periods"),
    [
        ("1d", "XNYS", 252),
        ("1w", "XNYS", 52),
        ("1mo", "XNYS", 12),
        ("1q", "XNYS", 4),
        ("1h", "XNYS", 252 * 7),  # 9:30 to 16:00: the seventh bar lasts half an hour
        ("1m", "XNYS", 252 * 390),
        ("1h", "XLON", 252 * 9),  # 8:00 to 16:30
    ],
)
def test_periods_in_a_year(interval, calendar, periods):
    assert periods_per_year(interval, calendar) == periods


def test_an_interval_without_a_known_year_is_refused():
    with pytest.raises(UnknownNameError, match="interval '5m'"):
        periods_per_year("5m", "XNYS")


@pytest.mark.parametrize(
    ("day", "close"),
    [
        ("2012-03-09", "2012-03-09 21:00"),  # winter
        ("2012-03-12", "2012-03-12 20:00"),  # summer time
        ("2012-07-03", "2012-07-03 17:00"),  # the half day before Independence Day
        ("2012-11-23", "2012-11-23 18:00"),  # the half day after Thanksgiving
        ("2012-10-29", None),  # hurricane Sandy
        ("2012-03-10", None),  # a Saturday
        ("2001-09-12", None),
    ],
)
def test_new_york_closes(day, close):
    (found,) = session_closes("XNYS", pd.DatetimeIndex([day]))
    assert pd.isna(found) if close is None else found == pd.Timestamp(close, tz="UTC")


def test_an_unknown_calendar_is_told():
    with pytest.raises(UnknownNameError, match=r"calendar 'XNYZ'.*XNYS"):
        session_closes("XNYZ", pd.DatetimeIndex(["2012-03-09"]))


@pytest.mark.parametrize("name", ["XLON", "XFRA", "XTKS", "XBOM", "AIXK", "24/7"])
def test_calendars_that_start_late_can_be_used(name):
    assert len(exchange_calendar(name).closes)


@pytest.mark.parametrize(
    ("value", "begin", "end"),
    [
        ("2012-03-01", "2012-03-01 00:00", "2012-03-01 23:59:59.999999999"),
        (date(2012, 3, 1), "2012-03-01 00:00", "2012-03-01 23:59:59.999999999"),
        ("2012-02", "2012-02-01 00:00", "2012-02-29 23:59:59.999999999"),
        ("2012", "2012-01-01 00:00", "2012-12-31 23:59:59.999999999"),
        (2012, "2012-01-01 00:00", "2012-12-31 23:59:59.999999999"),
        ("2012-03-01 15:30", "2012-03-01 15:30", "2012-03-01 15:30"),
        ("2012-03-01T15:30-05:00", "2012-03-01 20:30", "2012-03-01 20:30"),
        (datetime(2012, 3, 1, 15, 30, tzinfo=UTC), "2012-03-01 15:30", "2012-03-01 15:30"),
    ],
)
def test_what_a_date_stands_for_at_either_end(value, begin, end):
    assert instant(value) == pd.Timestamp(begin, tz="UTC")
    assert instant(value, end_of_day=True) == pd.Timestamp(end, tz="UTC")


@pytest.mark.parametrize(
    "midnight",
    [datetime(2026, 1, 5, tzinfo=UTC), "2026-01-05T00:00Z", "2026-01-04T19:00-05:00"],
)
def test_an_instant_with_a_zone_is_no_whole_day_at_midnight(midnight):
    assert instant(midnight, end_of_day=True) == pd.Timestamp("2026-01-05", tz="UTC")


@pytest.mark.parametrize("value", ["", "yesterday-ish", "2012-13-01", None, float("nan"), [], {}])
def test_what_is_no_date_is_refused(value):
    with pytest.raises(DateRangeError, match="is no date"):
        instant(value)


@pytest.mark.parametrize("value", ["9999-12-31", "1500-01-01"])
def test_a_date_beyond_reach_is_refused_in_our_words(value):
    with pytest.raises(DateRangeError, match=value):
        instant(value, end_of_day=True)


@pytest.mark.parametrize("value", ["now", "today", "12:30"])
def test_a_date_never_reads_the_machines_clock(value):
    with pytest.raises(DateRangeError, match="is no date"):
        instant(value)


def test_a_range_keeps_its_last_day():
    first, last = date_range("2012-03-01", "2012-03-01")
    assert last - first == pd.Timedelta(days=1) - pd.Timedelta(nanoseconds=1)


def test_a_range_may_be_open():
    assert date_range(None, None) == (None, None)
    assert date_range("2012", None)[1] is None


def test_a_reversed_range_is_refused():
    with pytest.raises(DateRangeError, match="2012-03-02 to 2012-03-01 is reversed"):
        date_range("2012-03-02", "2012-03-01")
