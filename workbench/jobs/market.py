"""Market triggers: due times that hang on the sessions of an exchange.

A trigger is written as one of ::

    XNYS close + 20 min
    XNYS open - 1 h 30 min
    XNYS 10 min before open
    XNYS Mon-Wed Fri, close + 20 min
    XNYS first session of the month, open + 30 min

and is due once for each session that it means: every one, those on some weekdays, or the first or last one of each
week, month, quarter or year. Holidays have no session and give no due time; on a half day the close is the early one.
A session belongs to the day that the exchange gives it, wherever its open lies in UTC and wherever an offset leads: "12
hours before the open" of the first session of a month is due in the month before. A week begins after the exchange's
weekend: on a Sunday in Riyadh, on a Monday elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, cast

from workbench.core.errors import ParameterError, UnknownNameError
from workbench.jobs.cron import utc

# pandas and the calendars come in where a trigger is there: a service or a runner without one does without them.
if TYPE_CHECKING:
    import pandas as pd
    from exchange_calendars import ExchangeCalendar

Which = Literal["first", "last"]
Period = Literal["week", "month", "quarter", "year"]
Edge = Literal["open", "close"]

LONGEST_OFFSET = timedelta(hours=48)
"""An offset reaches over a weekend's day, not from one session to a later one's."""

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY = rf"(?:{'|'.join(f'{day[:3]}(?:{day[3:]})?' for day in _DAYS)})"
_AMOUNT = r"\d{1,4} ?(?:h|hours?)(?: \d{1,4} ?(?:min|minutes?))?|\d{1,4} ?(?:min|minutes?)"
_TRIGGER = re.compile(
    rf"(?P<calendar>[^ ,]+),? (?:"
    rf"(?P<which>first|last) session of (?:the |each |every )?(?P<period>week|month|quarter|year),? "
    rf"|(?:on )?(?P<days>{_DAY}(?:(?: ?- ?|, ?| and | ){_DAY})*),? )?"
    rf"(?:(?P<before>{_AMOUNT}) (?P<side>before|after) )?(?:the )?(?P<edge>open|close)"
    rf"(?: ?(?P<sign>[+-]) ?(?P<offset>{_AMOUNT}))?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class MarketTrigger:
    """Due times at an offset from the open or the close of sessions; ``str`` gives the normal form.

    Attributes
    ----------
    calendar : str
        ISO 10383 code of the exchange, such as ``"XNYS"``.
    edge : {"open", "close"}
    offset : timedelta
        Whole minutes after the edge; before it where negative.
    which, period : str, optional
        Only the first or last session of each period.
    weekdays : tuple of int
        Only sessions on these days, Monday is 0; all where empty.
    """

    calendar: str
    edge: Edge
    offset: timedelta = timedelta()
    which: Which | None = None
    period: Period | None = None
    weekdays: tuple[int, ...] = ()

    @property
    def zone(self) -> str:
        """The exchange's time zone."""
        return str(_sessions(self.calendar).tz.key)

    def dues(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Return the due times.

        Parameters
        ----------
        after, until : datetime
            Instants with a zone; a due time is later than ``after`` and no later than ``until``.

        Returns
        -------
        iterator of datetime
            UTC, ascending, each once.

        Raises
        ------
        DateRangeError
            For a time without a zone. By the iterator, when it comes to sessions that the calendar does not know: what
            is due before is given first.
        """
        return self._dues(utc(after), utc(until))

    def _dues(self, after: datetime, until: datetime) -> Iterator[datetime]:
        import pandas as pd

        from workbench.core.calendar import check_known

        sessions = _sessions(self.calendar)
        edges = sessions.opens if self.edge == "open" else sessions.closes
        instants, days = pd.DatetimeIndex(edges), pd.DatetimeIndex(edges.index)
        first, past = instants.searchsorted([after - self.offset, until - self.offset], side="right")
        for place in range(first, past):
            if self._means(days, place, sessions):
                yield (instants[place] + self.offset).to_pydatetime().astimezone(UTC)
        if until > after:
            last = pd.Timestamp(until - self.offset).tz_convert(sessions.tz).tz_localize(None).normalize()
            check_known(self.calendar, last)

    def _means(self, days: pd.DatetimeIndex, place: int, sessions: ExchangeCalendar) -> bool:
        day = days[place]
        if self.weekdays:
            return day.weekday() in self.weekdays
        if self.period is None:
            return True
        beside = place - 1 if self.which == "first" else place + 1
        if 0 <= beside < len(days):
            return self._number(days[beside], sessions) != self._number(day, sessions)
        if self.which == "last":
            from workbench.core.calendar import check_known, known_until

            # The period goes on after the last day that is known: it may have a later session.
            follows = known_until(self.calendar) + timedelta(days=1)
            if self._number(follows, sessions) == self._number(day, sessions):
                check_known(self.calendar, follows)
        return True

    def _number(self, day: pd.Timestamp, sessions: ExchangeCalendar) -> int:
        """Return the number of a day's period; one more for each later one."""
        if self.period == "week":
            # Day 1 of the common era was a Monday.
            return (day.toordinal() - (0 if _begins_on_sunday(sessions) else 1)) // 7
        months = {"month": 1, "quarter": 3, "year": 12}[str(self.period)]
        return (day.year * 12 + day.month - 1) // months

    def __str__(self) -> str:
        head = self.calendar
        if self.period is not None:
            head += f" {self.which} session of the {self.period},"
        elif self.weekdays:
            head += f" {' '.join(_DAYS[day][:3] for day in self.weekdays)},"
        minutes = round(self.offset / timedelta(minutes=1))
        sign = "-" if minutes < 0 else "+"
        return f"{head} {self.edge}" + (f" {sign} {abs(minutes)} min" if minutes else "")


def parse_trigger(text: str) -> MarketTrigger:
    """Return the market trigger that a text describes.

    Parameters
    ----------
    text : str
        See the module; capitals, single words such as "the" and the unit's length (``h``, ``hours``) do not matter.

    Returns
    -------
    MarketTrigger

    Raises
    ------
    ParameterError
        If the text is no trigger, its offset is longer than ``LONGEST_OFFSET``, or it names only days on which the
        exchange never trades.
    UnknownNameError, UnsupportedError
        For a calendar that is not there, or cannot be worked out.
    """
    match = _TRIGGER.fullmatch(" ".join(text.replace("−", "-").split())) if len(text) <= 200 else None
    if match is None or (match["before"] and match["offset"]):
        raise ParameterError(
            f"{text[:100]!r} is no market trigger; write it as 'XNYS close + 20 min', 'XNYS open - 10 min', "
            f"'XNYS Mon-Thu, close' or 'XNYS first session of the month, open + 30 min'"
        )
    calendar = _calendar(match["calendar"])
    weekdays = _weekdays(match["days"] or "")
    if weekdays and not any(calendar.weekmask[day] == "1" for day in weekdays):
        names = ", ".join(_DAYS[day] for day in weekdays)
        raise ParameterError(f"{text!r} is never due, {calendar.name} has no sessions on a {names}; choose other days")
    return MarketTrigger(
        str(calendar.name),
        cast(Edge, match["edge"].lower()),
        _offset(match, text),
        cast(Which, match["which"].lower()) if match["which"] else None,
        cast(Period, match["period"].lower()) if match["period"] else None,
        weekdays,
    )


def _calendar(name: str) -> ExchangeCalendar:
    try:
        return _sessions(name)
    except UnknownNameError:
        if name == name.upper():
            raise
        return _sessions(name.upper())


def _sessions(name: str) -> ExchangeCalendar:
    from workbench.core.calendar import exchange_calendar

    return exchange_calendar(name)


def _offset(match: re.Match[str], text: str) -> timedelta:
    amount = match["before"] or match["offset"]
    if amount is None:
        return timedelta()
    parts = re.findall(r"(\d+) ?(h|m)", amount.lower())
    size = sum((timedelta(**{"hours" if unit == "h" else "minutes": int(count)}) for count, unit in parts), timedelta())
    if size > LONGEST_OFFSET:
        raise ParameterError(f"the offset of {text!r} is longer than 48 hours; choose another session or a shorter one")
    earlier = match["sign"] == "-" or (match["side"] or "").lower() == "before"
    return -size if earlier else size


def _weekdays(text: str) -> tuple[int, ...]:
    """Return the days of a list such as "mon-wed, fri", Monday is 0; a range may go over the week's end."""
    numbers = {day[:3].lower(): number for number, day in enumerate(_DAYS)}
    found: set[int] = set()
    for first, last in re.findall(rf"({_DAY})(?: ?- ?({_DAY}))?", text, re.IGNORECASE):
        low, high = numbers[first[:3].lower()], numbers[(last or first)[:3].lower()]
        found.update((low + step) % 7 for step in range((high - low) % 7 + 1))
    return tuple(sorted(found))


def _begins_on_sunday(sessions: ExchangeCalendar) -> bool:
    """Say whether an exchange opens its week on a Sunday, after a weekend that ends on a Saturday."""
    return bool(sessions.weekmask[5:] == "01")
