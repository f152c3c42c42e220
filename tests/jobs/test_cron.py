"""Cron lines: what is read, what is refused, and due times against a minute-by-minute daemon and croniter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from workbench.core.errors import DateRangeError, ParameterError, UnknownNameError
from workbench.jobs.cron import check_cron, check_zone, dues

MINUTE = timedelta(minutes=1)
ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Tokyo", "UTC"]
# Some days around each change of a clock of 2026 in those zones, and two without any.
DAYS = ["2026-03-07", "2026-11-01", "2026-03-29", "2026-10-25", "2026-04-04", "2026-10-03", "2026-04-23", "2026-10-29"]
STARTS = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in [*DAYS, "2026-01-30", "2028-02-28"]]


@pytest.mark.parametrize(
    ("line", "normal"),
    [
        ("30 17 * * 1-5", "30 17 * * 1-5"),
        ("  30\t17 *  * mon-fri\n", "30 17 * * MON-FRI"),
        ("0 0 1 jan *", "0 0 1 JAN *"),
        ("*/5 * * * *", "*/5 * * * *"),
        ("0-30/10,45 9,17 * * *", "0-30/10,45 9,17 * * *"),
        ("0 9 * * FRI-SUN", "0 9 * * FRI-SUN"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 31 2 MON", "0 0 31 2 MON"),  # every Monday in February, by crontab(5)
        ("@daily", "0 0 * * *"),
        ("@Hourly", "0 * * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_a_line_has_a_normal_form(line, normal):
    assert check_cron(line) == normal
    assert check_cron(normal) == normal


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", r"'' is no cron line; give five fields .*30 17"),
        ("* * * *", "no cron line; give five fields"),
        ("0 0 * * * *", "no cron line; give five fields"),
        ("@reboot", "no cron line; give five fields"),
        ("@every 5m", "no cron line"),
        ("60 * * * *", "'60' is no minute .*: it goes from 0 to 59"),
        ("-1 * * * *", "'-1' is no minute"),
        ("0 24 * * *", "'24' is no hour .*: it goes from 0 to 23"),
        ("0 0 0 * *", "'0' is no day of month"),
        ("0 0 1 13 *", "'13' is no month .* 1 to 12 or JAN to DEC"),
        ("0 0 1 FOO *", "'FOO' is no month"),
        ("0 0 * * 8", "'8' is no day of week"),
        ("0 0 * * JAN", "'JAN' is no day of week"),
        ("5/15 * * * *", "'5/15' is no minute .*: write 5-59/15"),
        ("*/0 * * * *", r"'\*/0' is no minute .*: a step is between 1 and 59"),
        ("*/60 * * * *", "a step is between 1 and 59"),
        ("*/90 * * * *", "a step is between 1 and 59"),
        ("0 22-2 * * *", "'22-2' is no hour .*: write 22-23,0-2"),
        ("0 0 * * FRI-MON", "'FRI-MON' is no day of week"),
        ("1,,2 * * * *", "'' is no minute"),
        ("0 0 L * *", "'L' is no day of month"),
        ("0 0 ? * *", "no day of month"),
        ("0 9 * * MON#1", "'MON#1' is no day of week"),
        ("H * * * *", "'H' is no minute"),
        ("R * * * *", "'R' is no minute"),
        ("٥ * * * *", "no minute"),
        ("__import__('os') * * * *", "no minute"),
        ("0 0 31 2 *", "'0 0 31 2 \\*' is never due, no month of it has a day 31; choose an earlier day"),
        ("0 0 30 FEB *", "never due"),
        ("0 0 31 4,6,9,11 *", "never due"),
        ("0 0 31 2 */2", "never due"),  # both fields must match here, by crontab(5)
        ("x" * 5000, "no cron line"),
        ("1" * 5000 + " * * * *", "is no minute"),
    ],
)
def test_what_is_no_cron_line_is_refused_in_one_sentence(line, told):
    with pytest.raises(ParameterError, match=told) as refused:
        check_cron(line)
    assert len(str(refused.value)) < 400
    with pytest.raises(ParameterError):
        dues(line, "UTC", STARTS[0], STARTS[0])


@pytest.mark.parametrize("zone", ["", "Mars/Phobos", "EDT", "../../etc/passwd", "America", "/etc/localtime", "a\0b"])
def test_an_unknown_zone_is_refused(zone):
    with pytest.raises(UnknownNameError, match="unknown time zone"):
        check_zone(zone)
    with pytest.raises(UnknownNameError, match="unknown time zone"):
        dues("0 0 * * *", zone, STARTS[0], STARTS[0])


def test_a_misspelt_zone_is_told_with_the_right_one():
    with pytest.raises(UnknownNameError, match="America/New_York"):
        check_zone("america/new_york")
    assert check_zone("America/New_York") == "America/New_York"


@pytest.mark.parametrize("ends", [(STARTS[0].replace(tzinfo=None), STARTS[0]), (STARTS[0], datetime(2026, 3, 9))])
def test_a_time_without_a_zone_is_refused(ends):
    with pytest.raises(DateRangeError, match="has no time zone; give an instant such as 2026-03-"):
        dues("0 0 * * *", "UTC", *ends)


def test_the_end_belongs_to_a_span_and_its_start_does_not():
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert list(dues("0 12 * * *", "UTC", noon, noon + timedelta(days=1))) == [noon + timedelta(days=1)]
    assert list(dues("0 12 * * *", "UTC", noon - MINUTE, noon)) == [noon]
    assert list(dues("0 12 * * *", "UTC", noon, noon)) == []
    assert list(dues("0 12 * * *", "UTC", noon, noon - timedelta(days=9))) == []


def test_a_due_time_is_in_utc_whatever_the_span_was_given_in():
    berlin = datetime(2026, 7, 1, 8, tzinfo=ZoneInfo("Europe/Berlin"))
    (found,) = dues("0 9 * * *", "Europe/Berlin", berlin, berlin + timedelta(hours=2))
    assert found == datetime(2026, 7, 1, 7, tzinfo=UTC)
    assert found.tzinfo is UTC


def test_a_leap_day_is_found_years_ahead():
    after = datetime(2097, 1, 1, tzinfo=UTC)
    assert next(dues("0 0 29 2 *", "UTC", after, after + timedelta(days=8 * 366))) == datetime(2104, 2, 29, tzinfo=UTC)


def test_a_day_that_a_month_does_not_have_leaves_the_next_month_whole():
    after = datetime(2000, 2, 17, tzinfo=UTC)
    found = dues("0 0 */15 * *", "UTC", after, datetime(2000, 4, 2, tzinfo=UTC))
    assert [f"{due:%m-%d}" for due in found] == ["03-01", "03-16", "03-31", "04-01"]


def field(low, high, first, last):
    """A field as text with the values that it means; numbers from low to high, of a field from first to last."""
    numbers = st.integers(low, high)
    single = numbers.map(lambda number: (str(number), {number}))
    pairs = st.tuples(numbers, numbers).map(sorted)
    spans = pairs.map(lambda ends: (f"{ends[0]}-{ends[1]}", set(range(ends[0], ends[1] + 1))))
    steps = st.integers(1, last - first)
    every = steps.map(lambda step: (f"*/{step}", set(range(first, last + 1, step))))
    lists = st.lists(single | spans, min_size=1, max_size=3).map(
        lambda parts: (",".join(text for text, _ in parts), set().union(*(values for _, values in parts)))
    )
    return st.just(("*", set(range(first, last + 1)))) | every | lists


# Mostly hours in which clocks change, and days that come; any month has each of them.
HOURS = field(0, 4, 0, 23) | field(20, 23, 0, 23) | field(0, 23, 0, 23)
MONTHS = st.just(("*", set(range(1, 13)))) | field(1, 12, 1, 12)
LINES = st.tuples(field(0, 59, 0, 59), HOURS, field(1, 28, 1, 31), MONTHS, field(0, 6, 0, 6))
ANY = (("*", set(range(1, 32))), ("*", set(range(1, 13))), ("*", set(range(7))))


def matches(wall, fields):
    (_, minutes), (_, hours), (day, days), (_, months), (weekday, weekdays) = fields
    of_month, of_week = wall.day in days, wall.isoweekday() % 7 in weekdays
    on = of_month and of_week if day.startswith("*") or weekday.startswith("*") else of_month or of_week
    return wall.minute in minutes and wall.hour in hours and wall.month in months and on


def daemon(fields, zone, after, until):
    """What Debian's cron, up all the time, would start: it looks at the wall once a minute.

    By cron(8): a line with ``*`` for minute or hour is started when the wall says so. Any other one is started for
    each minute that the wall has passed, those left out at once, and not again for minutes that it tells again.
    """
    wild = fields[0][0].startswith("*") or fields[1][0].startswith("*")
    zone, due = ZoneInfo(zone), []
    now = after - timedelta(hours=6)
    told = now.astimezone(zone).replace(tzinfo=None)
    while now < until:
        now += MINUTE
        wall = now.astimezone(zone).replace(tzinfo=None)
        if wild:
            started = matches(wall, fields)
        else:
            passed = [told + MINUTE * count for count in range(1, round((wall - told) / MINUTE) + 1)]
            started = any(matches(minute, fields) for minute in passed)
            told = max(told, wall)
        if started and now > after:
            due.append(now)
    return due


@settings(max_examples=150, deadline=None)
@given(fields=LINES, zone=st.sampled_from(ZONES), start=st.sampled_from(STARTS), hours=st.integers(1, 50))
@example(fields=(("30", {30}), ("2", {2}), *ANY), zone="America/New_York", start=STARTS[0], hours=50)
@example(fields=(("30", {30}), ("1", {1}), *ANY), zone="America/New_York", start=STARTS[1], hours=20)
@example(fields=(("*/15", {0, 15, 30, 45}), ("1", {1}), *ANY), zone="Australia/Lord_Howe", start=STARTS[4], hours=30)
@example(fields=(("0,15", {0, 15}), ("2", {2}), *ANY), zone="Australia/Lord_Howe", start=STARTS[5], hours=30)
@example(fields=(("0", {0}), ("0", {0}), *ANY), zone="Africa/Cairo", start=STARTS[6], hours=30)
def test_due_times_are_those_of_a_daemon_that_looks_each_minute(fields, zone, start, hours):
    line = " ".join(text for text, _ in fields)
    until = start + timedelta(hours=hours)
    assert list(dues(line, zone, start, until)) == daemon(fields, zone, start, until)


@settings(max_examples=150, deadline=None)
@given(
    fields=LINES,
    zone=st.sampled_from(ZONES),
    start=st.sampled_from(STARTS),
    cuts=st.lists(st.integers(0, 72 * 3600), min_size=3, max_size=3).map(sorted),
)
@example(
    fields=(("*", set(range(60))), ("*", set(range(24))), *ANY), zone=ZONES[0], start=STARTS[1], cuts=[0, 21000, 30000]
)
@example(fields=(("30", {30}), ("1", {1}), *ANY), zone=ZONES[0], start=STARTS[1], cuts=[0, 22000, 30000])
def test_two_spans_have_the_due_times_of_the_whole_each_once_and_ascending(fields, zone, start, cuts):
    line = " ".join(text for text, _ in fields)
    first, middle, last = (start + timedelta(seconds=cut) for cut in cuts)
    whole = list(dues(line, zone, first, last))
    assert whole == [*dues(line, zone, first, middle), *dues(line, zone, middle, last)]
    assert whole == sorted(set(whole))
    assert all(first < due <= last for due in whole)


@settings(max_examples=100, deadline=None)
@given(fields=LINES, start=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
def test_without_changes_of_the_clock_due_times_are_those_of_croniter(fields, start):
    # croniter 1.4.1 leaves out 1 March where 31 is a day of the line, and February has none.
    assume(fields[2][0] == "*" or max(fields[2][1]) <= 28)
    # It takes a field that names every day for an asterisk; crontab(5) goes by how the field begins.
    assume(
        all(
            field[0].startswith("*") or len(field[1]) < all_days
            for field, all_days in zip(fields[2::2], (31, 7), strict=True)
        )
    )
    line = " ".join(text for text, _ in fields)
    start = start.replace(second=0, microsecond=0)
    # croniter's name for what crontab(5) says of a field that begins with an asterisk.
    theirs = croniter(line, start, ret_type=datetime, implement_cron_bug=True, max_years_between_matches=30)
    expected = list(islice(theirs.all_next(), 5))
    start = start.replace(tzinfo=UTC)
    ours = islice(dues(line, "UTC", start, start + timedelta(days=365 * 35)), len(expected))
    assert list(ours) == [due.replace(tzinfo=UTC) for due in expected]
