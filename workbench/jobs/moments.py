r"""Relative dates among the parameters of a run: ``last_session`` is asked for, the notebook gets ``2026-11-20``.

A text that is one of ``WORDS``, alone or with an offset ("month_start - 1 day", "last_session - 20 sessions"), stands
for a day; so does one within a list, or a value of a dict. It becomes the text of that day, ``2026-11-20``, before the
parameters are checked against the types that the notebook declares: a number stays a number, and a word where a number
belongs is refused there.

Any other text is what it is, with two exceptions, which would otherwise fail at night or, worse, pass: a misspelt word
("last_sesion") and a word with something behind it that is no offset ("today - 5") are refused. A text that means
itself has a backslash before it: ``\today`` becomes the text "today".

Months and years are those of the calendar: a month before 31 March is the last of February, and a month after the end
of a month, a quarter or a year is the end of a month too. Sessions are counted from a day on, the day itself left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from workbench.core.errors import DateRangeError, ParameterError
from workbench.jobs.cron import check_zone, utc

# pandas and the calendars come in with the first relative date: many a service and a runner has none.
if TYPE_CHECKING:
    import pandas as pd

WORDS: Mapping[str, str] = {
    "today": "the day of the run in its time zone",
    "yesterday": "the day before today",
    "tomorrow": "the day after today",
    "week_start": "the Monday of today's week",
    "week_end": "the Sunday of today's week",
    "month_start": "the first day of today's month",
    "month_end": "the last day of today's month",
    "quarter_start": "the first day of today's quarter",
    "quarter_end": "the last day of today's quarter",
    "year_start": "the first of January of today's year",
    "year_end": "the last of December of today's year",
    "last_session": "the last session that had closed",
    "previous_session": "the session before the last one that had closed",
    "next_session": "the session after the last one that had closed: today's, as long as it is not over",
}
"""Each word and the day that it stands for."""

_UNITS = ("day", "week", "month", "year", "session")
_OFFSET = re.compile(rf" ?(?P<sign>[+-]) ?(?P<count>\d{{1,5}}) ?(?P<unit>{'|'.join(_UNITS)})s?", re.ASCII)
_FIRST_WORD = re.compile(r"[A-Za-z_]+")
# Told by difflib: one letter too many or too few in the shortest word, more in a longer one.
_CLOSE = 0.84


@dataclass(frozen=True, slots=True)
class _Now:
    """The moment of a run: the day where it is, and the place of the last session that had closed."""

    today: pd.Timestamp
    calendar: str
    sessions: pd.DatetimeIndex
    last: int


def resolve(
    parameters: Mapping[str, Any], now: datetime, calendar: str, zone: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return parameters with a date for each relative one, and the record of what became what.

    Resolve once per run and keep both: attempts and re-runs take the same values. When a schedule is saved, the same
    call refuses what could not be resolved later.

    Parameters
    ----------
    parameters : mapping
        Values by name, typed by ``workbench.jobs.parameters`` where the notebook is known: then "today,last_session"
        for a list is two texts already.
    now : datetime
        With a zone. For a scheduled run its due time, so that a run that was made up for has the date it was meant for.
    calendar : str
        Exchange whose sessions are meant. A session counts as the last one from its close on.
    zone : str
        Time zone in which ``now`` has a day.

    Returns
    -------
    values : dict
        As given, with texts such as ``"2026-11-20"``.
    recorded : dict
        Fit for JSON. Empty where nothing was relative; else ``now``, ``calendar``, ``zone`` and ``dates``, a mapping
        of places such as ``"days[1]"`` to ``{"asked": ..., "became": ...}``.

    Raises
    ------
    ParameterError
        For a misspelt word or offset.
    DateRangeError
        For a time without a zone, or a date that the calendar does not reach.
    UnknownNameError
        For an unknown zone; for an unknown calendar if a date is relative.
    """
    instant, place = utc(now), ZoneInfo(check_zone(zone))
    moment = cache(lambda: _moment(instant, calendar, place))
    dates: dict[str, dict[str, str]] = {}

    def read(text: str, where: str) -> str:
        if text.startswith("\\") and _looks_relative(text[1:]):
            return text[1:]
        asked = _asked(text, where)
        if asked is None:
            return text
        dates[where] = {"asked": text, "became": _day(*asked, moment(), text)}
        return dates[where]["became"]

    values = {name: _each(value, name, read) for name, value in parameters.items()}
    if not dates:
        return values, {}
    return values, {"now": instant.isoformat(), "calendar": calendar, "zone": zone, "dates": dates}


def literal(value: Any) -> Any:
    r"""Return a value that ``resolve`` leaves as it is: what looks relative within it gets a backslash."""
    return _each(value, "", lambda text, _: f"\\{text}" if _looks_relative(text) else text)


def _moment(now: datetime, calendar: str, zone: ZoneInfo) -> _Now:
    import pandas as pd

    from workbench.core.calendar import exchange_calendar

    instant = pd.Timestamp(now)
    today = instant.tz_convert(zone).tz_localize(None).normalize()
    closes = exchange_calendar(calendar).closes
    last = int(pd.DatetimeIndex(closes).searchsorted(instant, side="right")) - 1
    return _Now(today, calendar, pd.DatetimeIndex(closes.index), last)


def _each(value: Any, place: str, read: Callable[[str, str], str]) -> Any:
    """Return a value with every text within it read."""
    if isinstance(value, str):
        return read(value, place)
    if isinstance(value, list):
        return [_each(item, f"{place}[{number}]", read) for number, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _each(item, f"{place}[{key!r}]", read) for key, item in value.items()}
    return value


def _looks_relative(text: str) -> bool:
    try:
        return _asked(text, "") is not None
    except ParameterError:
        return True


def _asked(text: str, place: str) -> tuple[str, int, str] | None:
    """Return the word, count and unit that a text asks for; nothing for a text that is just a text."""
    stripped = text.strip()
    match = _FIRST_WORD.match(stripped)
    if match is None:
        return None
    word, rest = match[0], stripped[match.end() :]
    if word not in WORDS:
        near = get_close_matches(word.lower(), WORDS, n=1, cutoff=_CLOSE)
        # "weekend" is a word of its own.
        if near and ("_" in word or "_" not in near[0]) and (not rest or re.match(r" ?[+-]", rest)):
            raise _refused(text, place, f"write {near[0]}")
        return None
    if not rest:
        return word, 0, "day"
    offset = _OFFSET.fullmatch(rest)
    if offset is not None:
        return word, int(offset["sign"] + offset["count"]), offset["unit"]
    if re.match(r" ?[+-]", rest):
        raise _refused(text, place, f"write it as '{word} - 5 days'; units are {', '.join(_UNITS)}")
    return None


def _refused(text: str, place: str, remedy: str) -> ParameterError:
    return ParameterError(
        f"{text[:100]!r} of parameter {place!r} is no relative date: {remedy}, or put a backslash before a text that "
        f"means itself"
    )


def _day(word: str, count: int, unit: str, moment: _Now, text: str) -> str:
    """Return the date that a word and an offset stand for."""
    base = _base(word, moment)
    if not count:
        return f"{base:%Y-%m-%d}"
    if unit == "session":
        return f"{_session(base, count, moment, text):%Y-%m-%d}"
    import pandas as pd

    try:
        if unit in ("day", "week"):
            shifted = base + timedelta(days=count * (7 if unit == "week" else 1))
        else:
            shifted = base + pd.DateOffset(months=count * (12 if unit == "year" else 1))
            if word in ("month_end", "quarter_end", "year_end"):
                shifted += pd.offsets.MonthEnd(0)
        return f"{shifted:%Y-%m-%d}"
    except (ValueError, OverflowError) as error:
        raise DateRangeError(f"{text!r} lies beyond every calendar; take fewer {unit}s") from error


def _base(word: str, moment: _Now) -> pd.Timestamp:
    if word.endswith("_session"):
        return _at(moment.last + {"previous": -1, "last": 0, "next": 1}[word.split("_")[0]], moment, word)
    today = moment.today
    if word in ("today", "yesterday", "tomorrow"):
        return today + timedelta(days={"yesterday": -1, "today": 0, "tomorrow": 1}[word])
    period, end = word.split("_")
    span = today.to_period({"week": "W-SUN", "month": "M", "quarter": "Q", "year": "Y"}[period])
    return (span.start_time if end == "start" else span.end_time).normalize()


def _session(base: pd.Timestamp, count: int, moment: _Now, text: str) -> pd.Timestamp:
    """Return the ``count``-th session strictly after a day, or before it where negative."""
    if count > 0:
        return _at(int(moment.sessions.searchsorted(base, side="right")) + count - 1, moment, text)
    return _at(int(moment.sessions.searchsorted(base, side="left")) + count, moment, text)


def _at(place: int, moment: _Now, text: str) -> pd.Timestamp:
    from workbench.core.calendar import check_known

    if 0 <= place < len(moment.sessions):
        # What lies after the last session known may well be a later one that is not.
        check_known(moment.calendar, moment.today)
        return moment.sessions[place]
    known = f"{moment.sessions[0]:%Y-%m-%d} to {moment.sessions[-1]:%Y-%m-%d}"
    raise DateRangeError(
        f"{text!r} is no session of {moment.calendar}, which knows those from {known}; take a nearer one"
    )
