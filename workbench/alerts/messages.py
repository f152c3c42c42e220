"""Messages: what goes to a channel, and the words in which it tells of its alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from workbench.alerts.tables import ALERTS, TELL

MessageState = Literal["gathering", "sending", "waiting", "sent", "failed", "dropped"]
OPEN: tuple[MessageState, ...] = ("gathering", "sending", "waiting")
PRIORITIES = ("low", "normal", "high", "urgent")
LISTED = 20
"""Of how many alerts a message tells by name."""
ESCALATED = "escalated:"
"""With what the topic of messages about alerts begins that nobody has acknowledged."""

_SUBJECT, _TEXT = 200, 2_000


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to a channel.

    Attributes
    ----------
    key : str
        The same whenever it is sent again: who gets it twice can tell by it.
    channel : str
        A name out of the settings' channels, or ``lab``.
    topic : str
        What its alerts have in common: the group or the name of their rule, or where they come from.
    subject : str
        One line, at most 200 characters; empty while it still gathers alerts.
    text : str
        Empty while it still gathers alerts.
    priority : {"low", "normal", "high", "urgent"}
        The highest of its alerts'.
    alerts : int
        Of how many it tells; of at most 20 of them by name.
    attempts : int
        How often it has been tried; who follows a sender that died goes on with the same attempt.
    state : {"gathering", "sending", "waiting", "sent", "failed", "dropped"}
        One is dropped whose alerts somebody had acknowledged before it was due.
    error : str, optional
        Why it could not be sent the last time.
    created : datetime, optional
        When its first alert was raised.
    not_before : datetime, optional
        When it is sent next; while it is being sent, until when nobody else does so.
    claimed : datetime, optional
        When it was sent last, or begun to be.
    settled : datetime, optional
        When it had been sent, or was given up.
    claim : str, optional
        Who sends it.
    id : int
    tells : tuple of str
        The keys of the alerts that it names; of a claimed message alone.
    """

    key: str
    channel: str
    topic: str
    subject: str
    text: str
    priority: str = "normal"
    alerts: int = 1
    attempts: int = 0
    state: MessageState = "gathering"
    error: str | None = None
    created: datetime | None = None
    not_before: datetime | None = None
    claimed: datetime | None = None
    settled: datetime | None = None
    claim: str | None = None
    id: int = 0
    tells: tuple[str, ...] = ()


def message_of(row: sa.Row[Any], tells: tuple[str, ...] = ()) -> Message:
    """Return the message of a row."""
    values = {**row._mapping, "subject": row.subject or "", "text": row.text or "", "tells": tells}
    return Message(**values)


def named_alerts(connection: sa.Connection, message: int) -> list[sa.Row[Any]]:
    """Return the alerts that a message names: the first ones, however many it tells of."""
    wanted = sa.select(ALERTS.c.key, ALERTS.c.subject, ALERTS.c.text, ALERTS.c.raised, ALERTS.c.symbol)
    told = wanted.join(TELL, TELL.c.alert == ALERTS.c.id).where(TELL.c.message == message)
    return list(connection.execute(told.order_by(ALERTS.c.id).limit(LISTED)))


def count_alerts(connection: sa.Connection, message: int) -> int:
    """Return of how many alerts a message tells."""
    wanted = sa.select(sa.func.count()).select_from(TELL).where(TELL.c.message == message)
    return int(connection.execute(wanted).scalar_one())


def worded(topic: str, count: int, named: list[sa.Row[Any]]) -> tuple[str, str]:
    """Return the subject and the text of a message.

    Parameters
    ----------
    topic : str
    count : int
        Of how many alerts it tells.
    named : list of sqlalchemy.Row
        The alerts that it names, with ``subject``, ``text``, ``raised`` and ``symbol``; at least one.
    """
    mark = "Not acknowledged: " if topic.startswith(ESCALATED) else ""
    several = f"{topic.removeprefix(ESCALATED)}: {count:,} alerts{_of_whom(named)}"
    subject = _line(f"{mark}{named[0].subject if count == 1 else several}")
    parts = [f"{_line(each.subject)}\n{_shortened(each.text, _TEXT)}\n{_raised(each.raised)}" for each in named]
    if count > len(named):
        parts.append(f"and {count - len(named):,} more")
    return subject, "\n\n".join(parts)


def _of_whom(named: list[sa.Row[Any]]) -> str:
    """Return of which symbols alerts tell, three at the most."""
    symbols = [*dict.fromkeys(each.symbol for each in named if each.symbol)]
    more = ", …" if len(symbols) > 3 else ""
    return f" of {', '.join(symbols[:3])}{more}" if symbols else ""


def storable(text: str) -> str:
    """Return a text as the records take it: nothing is lost because of a null byte or half a letter in an error."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def _raised(at: datetime) -> str:
    return f"Raised {at:%Y-%m-%d %H:%M:%S} UTC"


def _line(text: str) -> str:
    """Return a text as one line: a subject with a break in it could become a header of its own."""
    return _shortened(" ".join("".join(each if each.isprintable() else " " for each in text).split()), _SUBJECT)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
