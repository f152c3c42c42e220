"""Relative dates among parameters: what becomes what, what is recorded, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import nbformat
import pytest

from workbench.core.errors import DateRangeError, ParameterError, UnknownNameError
from workbench.jobs.moments import WORDS, resolve
from workbench.jobs.parameters import check_parameters

# The Friday after Thanksgiving: a half day, which closes at 18:00 UTC; Thursday had no session.
NOW = datetime(2026, 11, 27, 17, 59, tzinfo=UTC)


def became(text, now=NOW, calendar="XNYS", zone="America/New_York"):
    return resolve({"day": text}, now, calendar, zone)[0]["day"]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("today", "2026-11-27"),
        ("yesterday", "2026-11-26"),
        ("tomorrow", "2026-11-28"),
        ("week_start", "2026-11-23"),
        ("week_end", "2026-11-29"),
        ("month_start", "2026-11-01"),
        ("month_end", "2026-11-30"),
        ("quarter_start", "2026-10-01"),
        ("quarter_end", "2026-12-31"),
        ("year_start", "2026-01-01"),
        ("year_end", "2026-12-31"),
        ("last_session", "2026-11-25"),
        ("previous_session", "2026-11-24"),
        ("next_session", "2026-11-27"),
        ("today - 5 days", "2026-11-22"),
        ("today-1day", "2026-11-26"),
        (" today + 2 weeks ", "2026-12-11"),
        ("today + 3 months", "2027-02-27"),
        ("today - 1 year", "2025-11-27"),
        ("today - 0 days", "2026-11-27"),
        ("month_start - 1 day", "2026-10-31"),
        ("month_start - 1 month", "2026-10-01"),
        ("month_end + 1 month", "2026-12-31"),
        ("quarter_end - 10 months", "2026-02-28"),
        ("last_session - 1 session", "2026-11-24"),
        ("last_session + 1 session", "2026-11-27"),
        ("last_session - 20 sessions", "2026-10-28"),
        ("last_session - 1 week", "2026-11-18"),
        ("today - 1 session", "2026-11-25"),
        ("today + 1 session", "2026-11-30"),
        ("yesterday - 1 session", "2026-11-25"),  # a holiday is no session to begin with
        ("yesterday + 1 session", "2026-11-27"),
        ("month_start + 1 session", "2026-11-02"),
    ],
)
def test_a_relative_date_becomes_the_day_that_it_stands_for(text, day):
    assert became(text) == day
    assert resolve({"day": text}, NOW, "XNYS", "America/New_York")[1]["dates"] == {
        "day": {"asked": text, "became": day}
    }


def test_every_word_is_read():
    values, recorded = resolve({word: word for word in WORDS}, NOW, "XNYS", "UTC")
    assert list(recorded["dates"]) == list(WORDS)
    assert all(datetime.fromisoformat(value) for value in values.values())


def test_a_session_is_the_last_one_from_its_close_on():
    close = NOW + timedelta(minutes=1)
    days = [became(word, close) for word in ("previous_session", "last_session", "next_session")]
    assert days == ["2026-11-25", "2026-11-27", "2026-11-30"]


def test_today_is_the_day_of_the_zone_and_sessions_are_those_of_the_calendar():
    late = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)
    assert became("today", late, zone="Asia/Tokyo") == "2026-11-28"
    assert became("today", late, zone="America/New_York") == "2026-11-27"
    assert became("last_session", NOW, calendar="XLON") == "2026-11-27"  # closed at 16:30
    assert became("last_session", NOW, calendar="XLON", zone="Asia/Tokyo") == "2026-11-27"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAPL",
        "sma_cross",
        "2026-11-20",
        "now",
        "Monday",
        "weekend",
        "session",
        "today is fine",
        "todays_signal_list",
    ],
)
def test_any_other_text_is_what_it_is(text):
    assert resolve({"label": text}, NOW, "XNYS", "UTC") == ({"label": text}, {})


def test_what_is_no_text_is_left_alone():
    given = {"fast": 20, "level": 0.5, "dry": False, "limit": None, "windows": [5, 10]}
    assert resolve(given, NOW, "XNYS", "UTC") == (given, {})


def test_texts_within_lists_and_dicts_are_read_and_the_record_says_where():
    given = {"days": ["today", "AAPL", ["last_session"]], "ends": {"from": "year_start", "fast": 3}}
    values, recorded = resolve(given, NOW, "XNYS", "America/New_York")
    assert values == {"days": ["2026-11-27", "AAPL", ["2026-11-25"]], "ends": {"from": "2026-01-01", "fast": 3}}
    assert recorded == {
        "now": "2026-11-27T17:59:00+00:00",
        "calendar": "XNYS",
        "zone": "America/New_York",
        "dates": {
            "days[0]": {"asked": "today", "became": "2026-11-27"},
            "days[2][0]": {"asked": "last_session", "became": "2026-11-25"},
            "ends['from']": {"asked": "year_start", "became": "2026-01-01"},
        },
    }
    assert json.loads(json.dumps(recorded)) == recorded
    assert given["days"][0] == "today"


def test_what_was_resolved_stays_as_it_is_when_it_is_resolved_again():
    values, _ = resolve({"day": "last_session"}, NOW, "XNYS", "UTC")
    assert resolve(values, NOW + timedelta(days=30), "XNYS", "UTC") == (values, {})


@pytest.mark.parametrize("text", ["today", "last_session - 5 days", "Today", "last_sesion", "today - 5"])
def test_a_backslash_keeps_a_text_that_means_itself(text):
    assert resolve({"label": f"\\{text}"}, NOW, "XNYS", "UTC") == ({"label": text}, {})


def test_a_backslash_before_any_other_text_stays():
    assert became("\\AAPL") == "\\AAPL"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("last_sesion", "'last_sesion' of parameter 'day' is no relative date: write last_session, or put a backslash"),
        ("last_sessions", "write last_session"),
        ("Last_Session", "write last_session"),
        ("Today", "write today"),
        ("todday", "write today"),
        ("month_strat - 1 day", "write month_start"),
        ("today - 5", "write it as 'today - 5 days'; units are day, week, month, year, session"),
        ("today -5 fortnights", "write it as 'today - 5 days'"),
        ("today - 1.5 days", "write it as 'today - 5 days'"),
        ("today + -1 day", "write it as 'today - 5 days'"),
        ("last_session - __import__('os').abort()", "write it as 'last_session - 5 days'"),
    ],
)
def test_a_misspelt_word_or_offset_is_refused(text, told):
    with pytest.raises(ParameterError, match=told):
        became(text)
    with pytest.raises(ParameterError, match=r"parameter 'days\[1\]'"):
        resolve({"days": ["today", text]}, NOW, "XNYS", "UTC")


@pytest.mark.parametrize(
    ("text", "now", "told"),
    [
        ("today - 9999 years", NOW, "'today - 9999 years' lies beyond every calendar; take fewer years"),
        ("today + 99999 years", NOW, "lies beyond every calendar"),
        (
            "last_session - 99999 sessions",
            NOW,
            "is no session of XNYS, which knows those from 1960-01-\\d\\d to 2049-12-31",
        ),
        ("today + 9999 sessions", NOW, "is no session of XNYS"),
        ("next_session", datetime(2049, 12, 31, 23, tzinfo=UTC), "is no session of XNYS"),
        ("last_session", datetime(2050, 6, 1, tzinfo=UTC), "known up to 2049-12-31, not for 2050-05-31; install"),
        ("today", datetime(2026, 11, 27), "has no time zone"),
    ],
)
def test_a_date_out_of_reach_is_refused(text, now, told):
    with pytest.raises(DateRangeError, match=told):
        became(text, now)


@pytest.mark.parametrize(("calendar", "zone"), [("XNYZ", "UTC"), ("XNYS", "Mars/Phobos")])
def test_an_unknown_calendar_or_zone_is_refused(calendar, zone):
    with pytest.raises(UnknownNameError):
        became("today", calendar=calendar, zone=zone)


def test_resolved_values_fit_the_types_that_the_notebook_declares():
    cell = 'last_day: str = ""\ndays: list[str] = []\nfast: int = 20'
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]})])
    asked = check_parameters(book, {"last_day": "last_session", "days": "today, month_start", "fast": "5"}, "a.ipynb")
    values, _ = resolve(asked, NOW, "XNYS", "America/New_York")
    assert values == {"last_day": "2026-11-25", "days": ["2026-11-27", "2026-11-01"], "fast": 5}
    assert check_parameters(book, values, "a.ipynb") == values
    with pytest.raises(ParameterError, match=r"'fast' of a\.ipynb is a int, not 'today'"):
        check_parameters(book, {"fast": "today"}, "a.ipynb")
