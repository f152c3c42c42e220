"""Due times against published calendars of exchanges, the tz database, cron(8) and crontab(5)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from workbench.jobs.cron import dues
from workbench.jobs.market import parse_trigger

# NYSE Group, "2025, 2026 and 2027 Holiday and Early Closings Calendar" (8 November 2024) and "2026, 2027 and 2028
# Holiday and Early Closings Calendar" (23 December 2025). Early closings are at 1:00 p.m. Eastern Time. 9 January 2025
# was closed for the funeral of Jimmy Carter (NYSE, 30 December 2024).
NYSE = {
    2025: ("01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25", "07-03 11-28 12-24"),
    2026: ("01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25", "11-27 12-24"),
    2027: ("01-01 01-18 02-15 03-26 05-31 06-18 07-05 09-06 11-25 12-24", "11-26"),
    2028: ("01-17 02-21 04-14 05-29 06-19 07-04 09-04 11-23 12-25", "07-03 11-24"),
}
# London Stock Exchange, "Business days" 2018; half days close from 12:30 London time.
LSE = {2018: ("01-01 03-30 04-02 05-07 05-28 08-27 12-25 12-26", "12-24 12-31")}
# Deutsche Börse Cash Market, "Trading calendar", non-trading days of the Frankfurt Stock Exchange (FWB) 2024-2029;
# there 24 and 31 December are days without trading, and no day of trading is called a half day.
XETRA = {
    2024: "01-01 03-29 04-01 05-01 12-24 12-25 12-26 12-31",
    2025: "01-01 04-18 04-21 05-01 12-24 12-25 12-26 12-31",
    2026: "01-01 04-03 04-06 05-01 12-24 12-25 12-31",
    2027: "01-01 03-26 03-29 12-24 12-31",
    2028: "04-14 04-17 05-01 12-25 12-26",
    2029: "01-01 03-30 04-02 05-01 12-24 12-25 12-26 12-31",
}


def days_of(year, text):
    return [date.fromisoformat(f"{year}-{day}") for day in text.split()]


def open_days(year, closed):
    """The weekdays of a year but for those on which an exchange was closed."""
    days = [date(year, 1, 1) + timedelta(days=count) for count in range(366)]
    shut = days_of(year, closed)
    return [day for day in days if day.year == year and day.isoweekday() < 6 and day not in shut]


def local(trigger, year):
    """The due times of a year on the wall of the exchange."""
    trigger = parse_trigger(trigger)
    zone = ZoneInfo(trigger.zone)
    span = (datetime(year + more, 1, 1, tzinfo=zone) for more in (0, 1))
    return [due.astimezone(zone).replace(tzinfo=None) for due in trigger.dues(*span)]


def at(days, hour, minute):
    return [datetime.combine(day, time(hour, minute)) for day in days]


@pytest.mark.parametrize("year", NYSE)
def test_new_york_opens_on_the_days_and_closes_at_the_times_that_it_published(year):
    closed, early = NYSE[year]
    days, halves = open_days(year, closed), days_of(year, early)
    assert local("XNYS open", year) == at(days, 9, 30)
    closes = [datetime.combine(day, time(13 if day in halves else 16)) for day in days]
    assert local("XNYS close", year) == closes
    assert local("XNYS close + 20 min", year) == [close + timedelta(minutes=20) for close in closes]


@pytest.mark.parametrize("year", LSE)
def test_london_opens_on_the_days_and_closes_at_the_times_that_it_published(year):
    closed, early = LSE[year]
    days, halves = open_days(year, closed), days_of(year, early)
    assert local("XLON open", year) == at(days, 8, 0)
    assert local("XLON close", year) == [
        datetime.combine(day, time(12, 30) if day in halves else time(16, 30)) for day in days
    ]


@pytest.mark.parametrize("year", XETRA)
def test_frankfurt_opens_on_the_days_that_it_published(year):
    days = open_days(year, XETRA[year])
    assert local("XETR open", year) == at(days, 9, 0)


@pytest.mark.parametrize("year", NYSE)
@pytest.mark.parametrize("period", ["week", "month", "quarter", "year"])
def test_first_and_last_sessions_are_those_of_the_published_days(year, period):
    days = open_days(year, NYSE[year][0])
    numbers = {
        "week": lambda day: day.isocalendar()[:2],
        "month": lambda day: day.month,
        "quarter": lambda day: (day.month - 1) // 3,
        "year": lambda day: day.year,
    }
    groups = {}
    for day in days:
        groups.setdefault(numbers[period](day), []).append(day)
    firsts, lasts = ([group[place] for group in groups.values()] for place in (0, -1))
    if period == "week":
        # The weeks over New Year belong to two years.
        firsts, lasts = firsts[1:], lasts[:-1]
    found = [due.date() for due in local(f"XNYS first session of the {period}, open", year)]
    assert [day for day in found if day >= firsts[0]] == firsts
    found = [due.date() for due in local(f"XNYS last session of the {period}, open", year)]
    assert [day for day in found if day <= lasts[-1]] == lasts


def test_the_day_after_thanksgiving_2026_closes_at_18_00_utc():
    after = datetime(2026, 11, 26, tzinfo=UTC)
    found = list(parse_trigger("XNYS close").dues(after, after + timedelta(days=2)))
    assert found == [datetime(2026, 11, 27, 18, tzinfo=UTC)]


# Changes of the clocks in 2026 by the tz database (2026a), as `zdump -v` prints them: the UTC instant of the change and
# the offsets in hours before and after it.
CHANGES = {
    "America/New_York": [("2026-03-08 07:00", -5, -4), ("2026-11-01 06:00", -4, -5)],
    "Europe/Berlin": [("2026-03-29 01:00", 1, 2), ("2026-10-25 01:00", 2, 1)],
    "Europe/London": [("2026-03-29 01:00", 0, 1), ("2026-10-25 01:00", 1, 0)],
    "Australia/Lord_Howe": [("2026-04-04 15:00", 11, 10.5), ("2026-10-03 15:30", 10.5, 11)],
    "Africa/Cairo": [("2026-04-23 22:00", 2, 3), ("2026-10-29 21:00", 3, 2)],
    "America/Santiago": [("2026-04-05 03:00", -3, -4), ("2026-09-06 04:00", -4, -3)],
}
MOVES = [(zone, *change) for zone, changes in CHANGES.items() for change in changes]


NEW_YORK = "America/New_York"


def on_the_wall(line, zone, change, around=timedelta(hours=5)):
    """Due times around a change, with their offset."""
    change = datetime.fromisoformat(change).replace(tzinfo=UTC)
    found = dues(line, zone, change - around, change + around)
    return [due.astimezone(ZoneInfo(zone)) for due in found]


@pytest.mark.parametrize(("zone", "change", "before", "after"), MOVES)
def test_a_fixed_time_in_a_gap_or_told_twice_is_due_once(zone, change, before, after):
    # cron(8) of Debian, "Notes": "If the time has moved forwards, those jobs which would have run in the time that was
    # skipped will be run soon after the change. Conversely, if the time has moved backwards by less than 3 hours, those
    # jobs that fall into the repeated time will not be re-run."
    instant = datetime.fromisoformat(change).replace(tzinfo=UTC)
    wall = (instant + timedelta(hours=min(before, after))).replace(tzinfo=None) + timedelta(minutes=10)
    expected = instant
    if after < before:
        # The first of the two: it was told before the clock went back.
        expected = (wall - timedelta(hours=before)).replace(tzinfo=UTC)
    found = list(
        dues(f"{wall.minute} {wall.hour} * * *", zone, instant - timedelta(hours=9), instant + timedelta(hours=9))
    )
    assert found == [expected]


@pytest.mark.parametrize(("zone", "change", "before", "after"), MOVES)
def test_every_ten_minutes_stays_every_ten_minutes(zone, change, before, after):
    # cron(8) goes on: jobs which are specified with wildcards are run based on the new time immediately.
    instant = datetime.fromisoformat(change).replace(tzinfo=UTC)
    found = list(dues("*/10 * * * *", zone, instant - timedelta(hours=3), instant + timedelta(hours=3)))
    assert found == [instant + timedelta(minutes=minute) for minute in range(-170, 181, 10)]


@pytest.mark.parametrize(
    ("line", "zone", "change", "expected"),
    [
        # P. Caune, "How Debian Cron Handles DST Transitions" (healthchecks.io, October 2021), tried on a real cron: the
        # clock jumps from 1 AM to 2 AM, and the job of 1:30 AM is executed at 2 AM ...
        ("30 1 * * *", "Europe/London", "2026-03-29 01:00", ["02:00+0100"]),
        # ... and from 2 AM to 1 AM, and it is not run again at the second 1:30 AM.
        ("30 1 * * *", "Europe/London", "2026-10-25 01:00", ["01:30+0100"]),
        ("0 * * * *", NEW_YORK, "2026-11-01 06:00", "22-4 23-4 00-4 01-4 01-5 02-5 03-5 04-5 05-5 06-5"),
        ("0 * * * *", NEW_YORK, "2026-03-08 07:00", "22-5 23-5 00-5 01-5 03-4 04-4 05-4 06-4 07-4 08-4"),
        # An asterisk in the minute is a wildcard, too: no 2 o'clock hour, and two of 1 o'clock.
        ("*/30 2 * * *", NEW_YORK, "2026-03-08 07:00", []),
        ("*/30 1 * * *", NEW_YORK, "2026-11-01 06:00", ["01:00-0400", "01:30-0400", "01:00-0500", "01:30-0500"]),
        # Several left out in one gap, and one at its end.
        ("0,15,30 2,3 * * *", NEW_YORK, "2026-03-08 07:00", ["03:00-0400", "03:15-0400", "03:30-0400"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 15:30", ["02:30+1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 15:00", ["01:45+1100"]),
        (
            "0 * * * *",
            "Australia/Lord_Howe",
            "2026-10-03 15:30",
            "22+10:30 23+10:30 00+10:30 01+10:30 03+11 04+11 05+11 06+11 07+11",
        ),
        ("@daily", "Africa/Cairo", "2026-04-23 22:00", ["01:00+0300"]),
    ],
)
def test_lines_at_the_changes_of_the_clocks(line, zone, change, expected):
    if isinstance(expected, str):
        expected = [hours(text) for text in expected.split()]
    assert [f"{due:%H:%M%z}" for due in on_the_wall(line, zone, change)] == expected


def hours(text):
    """The short form of a full hour: 22-4 is 22:00-0400."""
    offset = text[3:] if ":" in text else f"{int(text[3:]):02}:00"
    return f"{text[:2]}:00{text[2]}{offset.replace(':', '')}"


def test_a_day_that_a_country_left_out_is_not_made_up_for():
    # Samoa changed sides of the date line at the end of 29 December 2011 (tz database, australasia). cron(8): "Clock
    # changes of more than 3 hours are considered to be corrections to the clock".
    found = on_the_wall("0 9 * * *", "Pacific/Apia", "2011-12-30 10:00", timedelta(days=2))
    assert [f"{due:%d %H:%M}" for due in found] == ["28 09:00", "29 09:00", "31 09:00", "01 09:00"]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Asia/Kolkata", "America/Phoenix", "UTC"])
def test_where_the_clocks_never_change_a_year_has_a_due_time_each_day_24_hours_apart(zone):
    after = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))
    found = list(dues("30 2 * * *", zone, after, after + timedelta(days=365)))
    assert len(found) == 365
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(days=1)}


@pytest.mark.parametrize("zone", CHANGES)
def test_a_year_with_both_changes_has_one_due_time_on_each_day(zone):
    after = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))
    for line in ("30 1 * * *", "15 2 * * *", "0 0 * * *", "59 23 * * *"):
        found = list(
            dues(line, zone, after - timedelta(seconds=1), datetime(2026, 12, 31, 23, 59, tzinfo=ZoneInfo(zone)))
        )
        assert len(found) == 365
        assert len({due.astimezone(ZoneInfo(zone)).date() for due in found}) == 365


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        # crontab(5) of Debian, "Example cron file" and "Note".
        ("5 0 * * *", lambda wall: (wall.hour, wall.minute) == (0, 5)),  # five minutes after midnight, every day
        ("15 14 1 * *", lambda wall: (wall.day, wall.hour, wall.minute) == (1, 14, 15)),  # 2:15pm on the first
        ("0 22 * * 1-5", lambda wall: wall.isoweekday() < 6 and (wall.hour, wall.minute) == (22, 0)),  # 10 pm, weekdays
        ("23 0-23/2 * * *", lambda wall: wall.hour % 2 == 0 and wall.minute == 23),  # midnight, 2am, 4am ..., everyday
        ("5 4 * * sun", lambda wall: wall.isoweekday() == 7 and (wall.hour, wall.minute) == (4, 5)),
        # "0-7 (0 or 7 is Sunday)".
        ("0 9 * * 7", lambda wall: wall.isoweekday() == 7 and f"{wall:%H:%M}" == "09:00"),
        ("0 9 * * 0", lambda wall: wall.isoweekday() == 7 and f"{wall:%H:%M}" == "09:00"),
        ("0 9 * * fri-sun", lambda wall: wall.isoweekday() >= 5 and f"{wall:%H:%M}" == "09:00"),
        # 4:30 am on the 1st and 15th of each month, plus every Friday.
        ("30 4 1,15 * 5", lambda wall: (wall.day in (1, 15) or wall.isoweekday() == 5) and f"{wall:%H:%M}" == "04:30"),
    ],
)
def test_the_examples_of_crontab(line, meaning):
    after = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
    minutes = [after + timedelta(minutes=count) for count in range(1, 59 * 24 * 60)]
    assert list(dues(line, "UTC", after, minutes[-1])) == [minute for minute in minutes if meaning(minute)]
