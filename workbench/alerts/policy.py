"""How the firings of a rule are told: to whom, how often, when not, and until when it looks at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic import field_validator as checked

from workbench.alerts.faults import told
from workbench.core.calendar import instant
from workbench.core.errors import InputError, ParameterError
from workbench.core.spans import read_span

Priority = Literal["low", "normal", "high", "urgent"]

BREATH = timedelta(seconds=1)
"""How long a message waits at least for other alerts of the same moment."""

_QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d) ?- ?([01]\d|2[0-3]):([0-5]\d)")


def _span(value: Any) -> timedelta:
    try:
        return read_span("it", value)
    except ParameterError as error:
        raise ValueError("it is no length of time; write it as '90 s', '20 min' or '2 h'") from error


def _one(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


Span = Annotated[timedelta, BeforeValidator(_span)]
"""A length of time, a number of seconds, or a text such as ``"15 min"``."""
Name = Annotated[str, Field(min_length=1, max_length=63)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_one)]


class Policy(BaseModel):
    """What the messages of a rule obey.

    Attributes
    ----------
    channels : tuple of str, optional
        Where they go; the settings' ``alert_channels`` where ``None``.
    priority : {"low", "normal", "high", "urgent"}
        ``urgent`` is told in quiet hours, too.
    group : str
        Rules of one group share their messages; by itself each rule is its own.
    window : timedelta
        A channel gets one message of a group within it at the most, which tells of all that fired; 5 min.
    cool_down : timedelta
        For how long after a firing that was told others of the same rule and symbol are kept but not told; 0.
    release : float
        Hysteresis: a rule that has fired fires again only once its ``gap`` was at least this, in the gap's own unit (a
        price's currency, an indicator's points, percentage points of a move, parts of a composition). At 0 it is
        enough that it did not hold at one bar.
    expires : datetime, optional
        Of bars and quotes later than that it tells nothing. A day alone counts to its end, UTC.
    quiet : str
        Hours by the wall clock of ``zone`` in which nothing is sent: ``"22:00-07:00"``; what fires is told at their
        end. They begin when that clock shows the first time, on the day that it is put back the first of the two,
        and end when it has passed the second for good; a time that the clock leaves out is the end of the gap.
    zone : str
        Of the tz database.
    escalate_after : timedelta, optional
        Unless somebody has acknowledged an alert that long after it was raised, ``escalate_to`` is told, too.
    escalate_to : tuple of str
        Channels.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, ser_json_timedelta="float"
    )

    channels: Annotated[Names, Field(min_length=1)] | None = None
    priority: Priority = "normal"
    group: str = Field(default="", max_length=63)
    window: Span = Field(default=timedelta(minutes=5), ge=timedelta(0), le=timedelta(days=7))
    cool_down: Span = Field(default=timedelta(0), ge=timedelta(0), le=timedelta(days=366))
    release: float = Field(default=0.0, ge=0)
    expires: datetime | None = None
    quiet: str = ""
    zone: str = "UTC"
    escalate_after: Span | None = Field(default=None, ge=timedelta(seconds=1), le=timedelta(days=31))
    escalate_to: Names = ()

    @checked("channels", "escalate_to")
    @classmethod
    def _distinct(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else _once(value)

    @checked("group")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("it is the topic of messages; give letters, digits, signs and blanks")
        return value

    @checked("expires", mode="before")
    @classmethod
    def _instant(cls, value: Any) -> datetime | None:
        if value is None:
            return None
        try:
            return instant(value, end_of_day=True).floor("us").to_pydatetime().astimezone(UTC)
        except InputError as error:
            raise ValueError(str(error)) from error

    @checked("quiet")
    @classmethod
    def _hours(cls, value: str) -> str:
        if not value.strip():
            return ""
        match = _QUIET.fullmatch(value.strip())
        if match is None:
            raise ValueError("it names no hours; write them as '22:00-07:00'")
        begin, end = f"{match[1]}:{match[2]}", f"{match[3]}:{match[4]}"
        if begin == end:
            raise ValueError("it begins when it ends; to hear nothing at all, snooze the rule")
        return f"{begin}-{end}"

    @checked("zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError("there is no such time zone; give one such as 'Europe/Berlin'") from error
        return value

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.escalate_after is None) != (not self.escalate_to):
            raise ValueError("escalate_after and escalate_to go together; give both or neither")
        return self

    def plain(self) -> dict[str, Any]:
        """Return the values that differ from the defaults as JSON can hold them; lengths of time in seconds."""
        return self.model_dump(mode="json", exclude_defaults=True)


def make_policy(values: Mapping[str, Any]) -> Policy:
    """Return the policy with these values; the defaults where left out.

    Raises
    ------
    ParameterError
        For a value that is unknown, mistyped or out of its range.
    """
    try:
        return Policy.model_validate(dict(values))
    except ValidationError as error:
        raise ParameterError(told(error, "the policy of an alert rule")) from error


def due(policy: Policy, now: datetime, went: datetime | None) -> datetime:
    """Return when a message may go that is begun now: a window after the last one, and not in quiet hours.

    Parameters
    ----------
    policy : Policy
        One that is urgent does not wait for the end of quiet hours.
    now : datetime
        An instant with a zone.
    went : datetime, optional
        When the last message of the same group went over the same channel; ``None`` where there was none.
    """
    at = now + BREATH if went is None else max(now + BREATH, went + policy.window)
    quiet = None if policy.priority == "urgent" else quiet_until(policy, at)
    return at if quiet is None else quiet


def quiet_until(policy: Policy, now: datetime) -> datetime | None:
    """Return when the quiet hours end that ``now`` lies in, UTC; ``None`` outside of them.

    Parameters
    ----------
    policy : Policy
    now : datetime
        An instant with a zone. The first one of the quiet hours is quiet, their end is not.
    """
    if not policy.quiet:
        return None
    zone = ZoneInfo(policy.zone)
    begin, end = (time.fromisoformat(part) for part in policy.quiet.split("-"))
    today = now.astimezone(zone).date()
    for days in (-1, 0, 1):
        day = today + timedelta(days=days)
        last = day if begin < end else day + timedelta(days=1)
        since, until = _moments(day, begin, zone)[0], _moments(last, end, zone)[-1]
        if since <= now < until:
            return until
    return None


def _moments(day: date, wall: time, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return when a clock shows a time on a day, twice where it is put back; the end of the gap where it never does."""
    naive = datetime.combine(day, wall)
    first, second = (naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return (first, second)
    # The offset before the gap places the time after it, and the offset after it before: the gap's end lies between.
    low, high = second, first
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        low, high = (low, middle) if middle.astimezone(zone).replace(tzinfo=None) >= naive else (middle, high)
    return (high,)
