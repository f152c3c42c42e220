"""Cron lines with a time zone: five fields in, UTC instants out.

The fields are those of crontab(5) as Debian ships it (Vixie's cron): minute, hour, day of month, month, day of week,
each ``*``, a number, a name (``JAN``, ``MON``), a range ``a-b``, either of ``*`` and a range with a step ``/n``, or
several of these with commas between. Sunday is 0 and 7. Where day of month and day of week are both restricted, that
is where neither begins with ``*``, a day that matches either of them is meant; else it must match both.

Both changes of the clocks follow Debian's cron(8), "Notes": a line whose minute or hour begins with ``*`` follows the
clock on the wall, every minute as it comes, so that it runs in each of two equal hours and in none that is left out.
Any other line means wall times: one that occurs twice is due the first time; one that is left out is due at the first
instant after the gap, and several of them once. Like there, a clock that moves by three hours or more (a country that
changes sides of the date line) was set right: what it left out is not made up for.

Zones are those of ``zoneinfo``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import merge
from zoneinfo import ZoneInfo, available_timezones

from workbench.core.errors import DateRangeError, ParameterError, UnknownNameError

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""What stands for five fields in crontab(5); ``@reboot`` is no time of day."""

CORRECTION = timedelta(hours=3)
"""From here on a change of the clock sets it right, by cron(8)."""

_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_PART = re.compile(r"(?:\*|([0-9]{1,2}|[A-Z]{3})(?:-([0-9]{1,2}|[A-Z]{3}))?)(?:/([0-9]{1,2}))?")


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five: its name, its range, and the names of its values from ``low`` on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS),
)


@dataclass(frozen=True, slots=True)
class _Line:
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool
    follows_clock: bool

    def on(self, day: datetime) -> bool:
        """Say whether a day is meant."""
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (of_month or of_week if self.either_day else of_month and of_week)


def check_cron(line: str) -> str:
    """Return the normal form of a cron line: five fields, one space between, names in capitals.

    Parameters
    ----------
    line : str
        Five fields, or one of ``NICKNAMES``.

    Raises
    ------
    ParameterError
        If it is no cron line, or no day ever matches it, such as 31 February.
    """
    _read(line)
    return " ".join(_fields(line))


def check_zone(name: str) -> str:
    """Return the name of a time zone of the tz database, such as ``"America/New_York"``.

    Raises
    ------
    UnknownNameError
        If there is none; told with the nearest names.
    """
    _zone(name)
    return name


def dues(line: str, zone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """Return the due times of a cron line.

    Parameters
    ----------
    line : str
        See ``check_cron``.
    zone : str
        Time zone of the fields, such as ``"Europe/Berlin"``.
    after, until : datetime
        Instants with a zone; a due time is later than ``after`` and no later than ``until``.

    Returns
    -------
    iterator of datetime
        UTC, ascending, each once; empty where ``until`` is not after ``after``.

    Raises
    ------
    ParameterError, UnknownNameError
        For a line or a zone that is none.
    DateRangeError
        For a time without a zone.
    """
    read, place = _read(line), _zone(zone)
    return _dues(read, place, utc(after), utc(until))


def utc(instant: datetime) -> datetime:
    """Return an instant in UTC.

    Raises
    ------
    DateRangeError
        If it has no time zone: it would be taken for the machine's.
    """
    if instant.tzinfo is None:
        raise DateRangeError(f"{instant} has no time zone; give an instant such as {instant.isoformat()}+00:00")
    return instant.astimezone(UTC)


def _dues(line: _Line, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    found: Iterator[datetime]
    if line.follows_clock:
        # Each wall time as it comes: the first of two equal ones, the second, and neither where there is none.
        found = merge(*(_as_told(_walls(line, zone, after, until), zone, fold) for fold in (0, 1)))
    else:
        found = _once(_walls(line, zone, after, until), zone)
    last = after
    for instant in found:
        if instant > until:
            return
        if instant > last:
            yield instant
            last = instant


def _walls(line: _Line, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the wall times, without a zone, that may be due between two instants; ascending."""
    # A clock that is put back soon tells times again that are over on the wall: the smaller offset of the two.
    low = min(_wall(after, after, zone), _wall(after, after + timedelta(hours=26), zone))
    high = max(_wall(until, until, zone), _wall(until, until - timedelta(hours=26), zone))
    day = low.replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= high:
        for hour in (day.replace(hour=hour) for hour in line.hours) if line.on(day) else ():
            if low - timedelta(hours=1) < hour <= high:
                walls = (hour.replace(minute=minute) for minute in line.minutes)
                yield from (wall for wall in walls if low <= wall <= high)
        day += timedelta(days=1)


def _wall(instant: datetime, when: datetime, zone: ZoneInfo) -> datetime:
    """Return what an instant is on the wall by the offset that holds at ``when``."""
    offset = when.astimezone(zone).utcoffset() or timedelta()
    return instant.replace(tzinfo=None) + offset


def _as_told(walls: Iterator[datetime], zone: ZoneInfo, fold: int) -> Iterator[datetime]:
    for wall in walls:
        instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == wall:
            yield instant


def _once(walls: Iterator[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    for wall in walls:
        first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        # PEP 495: in a gap the offset from before it, fold 0, gives the later instant.
        if first <= second:
            yield first
        elif first - second < CORRECTION:
            yield _gap_end(second, first, zone)


def _gap_end(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant, to the second, with the offset that holds at ``after``."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    # What is not listed is never looked up: a name is a path below the database.
    if name not in available_timezones():
        raise UnknownNameError("time zone", name, available_timezones())
    return ZoneInfo(name)


def _read(line: str) -> _Line:
    fields = _fields(line)
    minutes, hours, days, months, weekdays = (
        _values(text, field, line) for text, field in zip(fields, _FIELDS, strict=True)
    )
    either_day = not fields[2].startswith("*") and not fields[4].startswith("*")
    if not either_day and min(days) > max(_LONGEST[month - 1] for month in months):
        raise ParameterError(
            f"the cron line {_short(line)!r} is never due, no month of it has a day {min(days)}; choose an earlier day"
        )
    follows_clock = any(text.startswith("*") for text in fields[:2])
    return _Line(minutes, hours, days, months, tuple(day % 7 for day in weekdays), either_day, follows_clock)


def _fields(line: str) -> list[str]:
    fields = NICKNAMES.get(line.strip().lower(), line).upper().split()
    if len(fields) != len(_FIELDS):
        raise ParameterError(
            f"{_short(line)!r} is no cron line; give five fields (minute, hour, day of month, month, day of week) "
            f"such as '30 17 * * MON-FRI', or one of {', '.join(NICKNAMES)}"
        )
    return fields


def _values(text: str, field: _Field, line: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise _wrong(part, field, line, "write numbers, names, ranges such as 1-5, steps such as */5 or 0-30/10")
        first, last, step = match.groups()
        if step and first and not last:
            raise _wrong(part, field, line, f"write {first}-{field.high}/{step}")
        low = field.low if first is None else _number(first, field, line)
        high = _last(first, last, low, field, line)
        if step and not 1 <= int(step) <= field.high - field.low:
            raise _wrong(part, field, line, f"a step is between 1 and {field.high - field.low}")
        found.update(range(low, high + 1, int(step or 1)))
    return tuple(sorted(found))


def _last(first: str | None, last: str | None, low: int, field: _Field, line: str) -> int:
    if first is None:
        # As in cron: Sunday is one day, and a step over all days counts from 0 to 6 as well as to 7.
        return field.high
    if last is None:
        return low
    high = _number(last, field, line)
    # A week may end with its Sunday.
    high = 7 if last == "SUN" and low > 0 else high
    if high < low:
        raise _wrong(f"{first}-{last}", field, line, f"write {first}-{field.high},{field.low}-{last}")
    return high


def _number(text: str, field: _Field, line: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not text.isdigit() or not field.low <= int(text) <= field.high:
        names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise _wrong(text, field, line, f"it goes from {field.low} to {field.high}{names}")
    return int(text)


def _wrong(part: str, field: _Field, line: str, remedy: str) -> ParameterError:
    return ParameterError(f"{_short(part)!r} is no {field.name} of the cron line {_short(line)!r}: {remedy}")


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."
