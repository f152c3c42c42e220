"""Market triggers: what is read, what is refused, and due times over any span."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core import calendar
from workbench.core.calendar import LATEST, exchange_calendar, known_until, session_closes
from workbench.core.errors import DateRangeError, ParameterError, UnknownNameError, UnsupportedError
from workbench.jobs.market import parse_trigger

MINUTE = timedelta(minutes=1)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(trigger, after, until):
    return [f"{due:%a %m-%d %H:%M}" for due in parse_trigger(trigger).dues(utc(after), utc(until))]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("XNYS close + 20 min", "XNYS close + 20 min"),
        ("XNYS open - 10 min", "XNYS open - 10 min"),
        ("XNYS open − 10 min", "XNYS open - 10 min"),  # as typeset
        ("XNYS open", "XNYS open"),
        ("XNYS close + 0 min", "XNYS close"),
        ("  xnys   CLOSE +20MIN\n", "XNYS close + 20 min"),
        ("NYSE close", "XNYS close"),
        ("XNYS close + 1 h 30 min", "XNYS close + 90 min"),
        ("XNYS close - 2 hours", "XNYS close - 120 min"),
        ("XNYS 10 minutes before the open", "XNYS open - 10 min"),
        ("XNYS, 1 hour after close", "XNYS close + 60 min"),
        ("XNYS first session of the month, open + 0 min", "XNYS first session of the month, open"),
        ("XNYS last session of week close - 30 min", "XNYS last session of the week, close - 30 min"),
        ("XLON first session of each quarter, the open", "XLON first session of the quarter, open"),
        ("XETR last session of every year, 15 min before close", "XETR last session of the year, close - 15 min"),
        ("XNYS Mon, close", "XNYS Mon, close"),
        ("XNYS on monday, Wed and Fri, close", "XNYS Mon Wed Fri, close"),
        ("XNYS Fri-Mon Wed, open", "XNYS Mon Wed Fri Sat Sun, open"),
        ("us_futures close", "us_futures close"),
    ],
)
def test_a_trigger_has_a_normal_form(text, normal):
    trigger = parse_trigger(text)
    assert str(trigger) == normal
    assert parse_trigger(normal) == trigger
    assert hash(parse_trigger(normal)) == hash(trigger)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "XNYS",
        "close + 20 min",
        "every day",
        "XNYS noon",
        "XNYS close + 20",
        "XNYS close + 20 s",
        "XNYS close 20 min",
        "XNYS close + -20 min",
        "XNYS close + 1.5 h",
        "XNYS close + ٢٠ min",
        "XNYS 5 min before close + 5 min",
        "XNYS second session of the month, open",
        "XNYS first session of the decade, open",
        "XNYS first session of the month",
        "XNYS Mon, first session of the month, open",
        "XNYS Moonday, open",
        "XNYS __import__('os').abort() close",
        "30 17 * * MON-FRI",
        "XNYS close + 20 min; XNYS open",
        "XNYS " + "Mon " * 5000 + "open",
    ],
)
def test_what_is_no_trigger_is_refused_in_one_sentence(text):
    with pytest.raises(ParameterError, match="is no market trigger; write it as 'XNYS close \\+ 20 min'") as refused:
        parse_trigger(text)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("XNYZ close", UnknownNameError, "unknown calendar 'XNYZ'; nearest known: .*XNYS"),
        ("XTAE close", UnsupportedError, "cannot work out the calendar 'XTAE'; choose"),
        ("XNYS close + 49 h", ParameterError, "the offset of 'XNYS close \\+ 49 h' is longer than 48 hours; choose"),
        ("XNYS close + 2881 min", ParameterError, "longer than 48 hours"),
        ("XNYS Sat Sun, close", ParameterError, "never due, XNYS has no sessions on a Saturday, Sunday; choose"),
        ("XSAU Fri, close", ParameterError, "never due, XSAU has no sessions on a Friday"),
    ],
)
def test_what_can_never_be_due_is_refused_with_the_reason(text, error, sentence):
    with pytest.raises(error, match=sentence) as refused:
        parse_trigger(text)
    assert len(str(refused.value)) < 300


def test_a_trigger_knows_the_exchanges_time_zone():
    assert parse_trigger("XLON open").zone == "Europe/London"


def test_a_holiday_gives_nothing_and_a_half_day_its_early_close():
    week = ["Mon 11-23 21:20", "Tue 11-24 21:20", "Wed 11-25 21:20", "Fri 11-27 18:20"]
    assert told("XNYS close + 20 min", "2026-11-22", "2026-11-29") == week


def test_a_close_moves_in_utc_when_the_clocks_change():
    days = ["Fri 10-30 20:00", "Mon 11-02 21:00"]
    assert told("XNYS close", "2026-10-30", "2026-11-03") == days


def test_an_offset_may_lead_to_the_day_before_and_to_another_month():
    found = told("XNYS first session of the month, open - 16 h", "2026-11-25", "2027-01-05")
    assert found == ["Mon 11-30 22:30", "Sun 01-03 22:30"]
    # Tokyo opens at 0:00 UTC.
    assert told("XTKS open - 10 min", "2026-11-23 12:00", "2026-11-24 12:00") == ["Mon 11-23 23:50"]


def test_an_offset_may_lead_to_the_day_after():
    assert told("XNYS close + 6 h", "2026-11-25", "2026-11-29") == [
        "Wed 11-25 03:00",
        "Thu 11-26 03:00",
        "Sat 11-28 00:00",
    ]


def test_a_weekday_without_a_session_is_left_out():
    # Labor Day 2026 is Monday 7 September.
    assert told("XNYS Mon Tue, open", "2026-09-05", "2026-09-16") == [
        "Tue 09-08 13:30",
        "Mon 09-14 13:30",
        "Tue 09-15 13:30",
    ]


def test_the_week_of_riyadh_begins_on_a_sunday():
    assert told("XSAU first session of the week, open", "2026-11-20", "2026-12-01") == [
        "Sun 11-22 07:00",
        "Sun 11-29 07:00",
    ]
    assert told("XSAU last session of the week, open", "2026-11-20", "2026-12-01") == ["Thu 11-26 07:00"]


def test_the_end_belongs_to_a_span_and_its_start_does_not():
    trigger, close = parse_trigger("XNYS close"), utc("2026-11-27 18:00")
    assert list(trigger.dues(close - MINUTE, close)) == [close]
    assert list(trigger.dues(close, close + MINUTE)) == []
    assert list(trigger.dues(close, close - timedelta(days=9))) == []
    (found,) = trigger.dues(close - MINUTE, close)
    assert type(found) is datetime
    assert found.tzinfo is UTC


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(DateRangeError, match="has no time zone"):
        parse_trigger("XNYS close").dues(datetime(2026, 1, 1), utc("2026-01-02"))


def test_a_calendar_reaches_as_far_whenever_it_was_made():
    # By default one ends a year after it was made, and a process that runs on would see no session any more.
    assert exchange_calendar("XNYS").last_session == pd.Timestamp("2049-12-31")
    assert told("XNYS first session of the year, open", "2040-01-01", "2041-01-01") == ["Tue 01-03 14:30"]
    assert known_until("XNYS") == pd.Timestamp(LATEST)


def test_a_question_past_the_end_of_a_calendar_is_an_error(short):
    trigger = parse_trigger(f"{short} close")
    found = trigger.dues(utc("2026-12-30"), utc("2027-01-02"))
    assert [f"{next(found):%m-%d}", f"{next(found):%m-%d}"] == ["12-30", "12-31"]
    with pytest.raises(DateRangeError, match=r"known up to 2026-12-31, not for 2027-01-01; install"):
        next(found)
    with pytest.raises(DateRangeError):
        list(trigger.dues(utc("2027-06-01"), utc("2027-06-02")))
    assert list(trigger.dues(utc("2026-12-31 21:00"), utc("2026-12-31 21:01"))) == []


def test_the_last_session_of_a_period_that_is_not_wholly_known_is_an_error(short):
    # 31 December 2026 is a Thursday: whether Friday has a session is not known.
    whole = parse_trigger(f"{short} last session of the year, close").dues(utc("2026-12-01"), utc("2026-12-31 22:00"))
    assert [f"{due:%m-%d}" for due in whole] == ["12-31"]
    week = parse_trigger(f"{short} last session of the week, close").dues(utc("2026-12-26"), utc("2026-12-31 22:00"))
    with pytest.raises(DateRangeError, match="known up to 2026-12-31, not for 2027-01-01"):
        list(week)


def test_the_close_of_a_day_that_a_calendar_does_not_know_is_an_error(short):
    with pytest.raises(DateRangeError, match="known up to 2026-12-31, not for 2027-01-04"):
        session_closes(short, pd.DatetimeIndex(["2026-12-30", "2027-01-04"]))
    # No day of this century: an error of the source, which has no close.
    assert session_closes(short, pd.DatetimeIndex(["2150-01-01", None])).isna().all()


@pytest.fixture
def short(monkeypatch):
    """An exchange whose holidays are announced for 2026, but for no later year; hours and sessions are New York's."""
    import exchange_calendars

    real = exchange_calendars.get_calendar("XNYS", start="2020-01-01", end="2026-12-31")
    monkeypatch.setattr(type(real), "bound_max", classmethod(lambda cls: pd.Timestamp("2026-12-31")))
    monkeypatch.setattr(calendar, "exchange_calendar", lambda name: real)
    monkeypatch.setattr("workbench.core.calendar.exchange_calendar", lambda name: real)
    return "XNYS"


EDGES = st.sampled_from(["open", "close"])
PERIODS = st.sampled_from(["week", "month", "quarter", "year"])
HEADS = (
    st.just("")
    | st.builds("{} session of the {}, ".format, st.sampled_from(["first", "last"]), PERIODS)
    | st.lists(st.sampled_from(["Mon", "Tue", "Wed", "Thu", "Fri"]), min_size=1, max_size=3).map(
        lambda d: " ".join(d) + ", "
    )
)
TRIGGERS = st.builds(
    "{} {}{} {} {} min".format,
    st.sampled_from(["XNYS", "XLON", "XTKS", "XSAU", "24/7"]),
    HEADS,
    EDGES,
    st.sampled_from(["+", "-"]),
    st.integers(0, 2880),
).filter(lambda text: {*text.split(",")[0].split()} != {"XSAU", "Fri"})
INSTANTS = st.datetimes(datetime(2022, 1, 1), datetime(2028, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


@settings(max_examples=150, deadline=None)
@given(text=TRIGGERS, spans=st.lists(INSTANTS, min_size=3, max_size=3).map(sorted))
def test_two_spans_have_the_due_times_of_the_whole_each_once_and_ascending(text, spans):
    first, middle, last = spans
    trigger = parse_trigger(text)
    whole = list(trigger.dues(first, last))
    assert whole == [*trigger.dues(first, middle), *trigger.dues(middle, last)]
    assert whole == sorted(set(whole))
    assert all(first < due <= last for due in whole)


@settings(max_examples=100, deadline=None)
@given(text=TRIGGERS, start=INSTANTS, days=st.integers(1, 100))
def test_none_is_missing_against_a_look_at_every_session(text, start, days):
    name, _, rest = text.partition(" ")
    until = start + timedelta(days=days)
    head, _, tail = rest.rpartition(", ")
    edge, sign, minutes, _ = tail.split()
    offset = timedelta(minutes=int(sign + minutes))
    schedule = exchange_calendar(name).schedule.loc[f"{start.year - 1}" : f"{until.year + 1}"]
    labels = pd.Series(schedule.index, index=schedule.index)
    if "session" in head:
        first = 6 if name == "XSAU" else 0
        frequency = {"week": f"W-{'SAT' if first else 'SUN'}", "month": "M", "quarter": "Q", "year": "Y"}[
            head.split()[-1]
        ]
        groups = labels.groupby(labels.dt.to_period(frequency))
        labels = groups.min() if head.startswith("first") else groups.max()
    elif head:
        labels = labels[labels.dt.strftime("%a").isin(head.split())]
    found = schedule.loc[pd.DatetimeIndex(labels), edge] + offset
    expected = [due.to_pydatetime() for due in found if start < due <= until]
    assert list(parse_trigger(text).dues(start, until)) == expected
