"""Alerts join messages: those of a topic and a channel gather in one until it is due, however many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from workbench.alerts.messages import PRIORITIES
from workbench.alerts.policy import Policy, due
from workbench.alerts.tables import MESSAGES, TELL

_LOCK = 0x5452494D
"""The number of PostgreSQL's advisory lock."""

Place = tuple[str, str]
"""A channel and a topic."""


def one_at_a_time(connection: sa.Connection) -> None:
    """Wait until nobody else writes alerts, up to the end of this transaction, which may call it again."""
    # On SQLite a writer has the whole file to itself already.
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


@dataclass(frozen=True, slots=True)
class Letter:
    """An alert that is to be told.

    Attributes
    ----------
    alert : int
        Its id.
    channels : tuple of str
    policy : Policy
        Its window, quiet hours and priority count.
    topic : str
    """

    alert: int
    channels: tuple[str, ...]
    policy: Policy
    topic: str

    @property
    def places(self) -> list[Place]:
        """Where it is told, each once."""
        return [(channel, self.topic) for channel in dict.fromkeys(self.channels)]


@dataclass(slots=True)
class _Gathering:
    """A message that gathers alerts; ``id`` is ``None`` for one that is yet to be made."""

    id: int | None
    priority: str
    not_before: datetime
    alerts: list[int] = field(default_factory=list)
    is_changed: bool = False

    def join(self, letter: Letter, at: datetime) -> None:
        """Take an alert in; what may go earlier takes along what would have waited, as urgent ones in quiet hours."""
        rank = max(self.priority, letter.policy.priority, key=PRIORITIES.index)
        self.is_changed |= rank != self.priority or at < self.not_before
        self.priority, self.not_before = rank, min(self.not_before, at)
        self.alerts.append(letter.alert)


def queue(connection: sa.Connection, letters: Sequence[Letter], now: datetime) -> None:
    """Have alerts told: each by the message of its channel and topic that gathers, or by a new one.

    It takes as many statements for one as for many.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        The transaction in which the alerts are raised, after ``one_at_a_time``.
    letters : sequence of Letter
    now : datetime
    """
    places = {place for letter in letters for place in letter.places}
    if not places:
        return
    gathering, went = _found(connection, places, now - max(letter.policy.window for letter in letters))
    for letter in letters:
        for place in letter.places:
            at = due(letter.policy, now, went.get(place))
            if place not in gathering:
                gathering[place] = _Gathering(None, letter.policy.priority, at)
            gathering[place].join(letter, at)
    _make(connection, {place: each for place, each in gathering.items() if each.id is None}, now)
    _join(connection, [each for each in gathering.values() if each.alerts])


def _found(
    connection: sa.Connection, places: set[Place], since: datetime
) -> tuple[dict[Place, _Gathering], dict[Place, datetime]]:
    """Return the messages that gather, and when one went last, of those after ``since``."""
    names = ("id", "channel", "topic", "state", "priority", "not_before", "claimed")
    channels, topics = (sorted({place[at] for place in places}) for at in (0, 1))
    mine = sa.select(*(MESSAGES.c[name] for name in names)).where(
        MESSAGES.c.channel.in_(channels), MESSAGES.c.topic.in_(topics)
    )
    # Written out, as the index of those that gather has it: SQLite does not see it in a parameter.
    still = mine.where(MESSAGES.c.state == sa.literal("gathering", literal_execute=True))
    # What went is not before then in either column; the index has one of them.
    lately = mine.where(MESSAGES.c.claimed > since, MESSAGES.c.not_before > since)
    gathering, went = dict[Place, _Gathering](), dict[Place, datetime]()
    for row in connection.execute(sa.union_all(still, lately)):
        place = row.channel, row.topic
        if place in places and row.state == "gathering":
            gathering[place] = _Gathering(row.id, row.priority, row.not_before)
        elif place in places:
            went[place] = max(row.claimed, went.get(place, row.claimed))
    return gathering, went


def _make(connection: sa.Connection, new: dict[Place, _Gathering], now: datetime) -> None:
    if not new:
        return
    same: dict[str, Any] = {"state": "gathering", "alerts": 0, "attempts": 0, "created": now}
    rows = [
        {"key": f"message:{uuid4()}", "channel": channel, "topic": topic, "priority": each.priority}
        | {"not_before": each.not_before, **same}
        for (channel, topic), each in new.items()
    ]
    made = MESSAGES.insert().returning(MESSAGES.c.id, MESSAGES.c.channel, MESSAGES.c.topic)
    for id_, channel, topic in connection.execute(made, rows):
        new[channel, topic].id = id_
        new[channel, topic].is_changed = False


def _join(connection: sa.Connection, messages: Sequence[_Gathering]) -> None:
    for each in messages:
        if each.is_changed:
            values = {"priority": each.priority, "not_before": each.not_before}
            connection.execute(MESSAGES.update().where(MESSAGES.c.id == each.id).values(values))
    for count in Counter(len(each.alerts) for each in messages):
        mine = MESSAGES.c.id.in_([each.id for each in messages if len(each.alerts) == count])
        connection.execute(MESSAGES.update().where(mine).values(alerts=MESSAGES.c.alerts + count))
    told = [{"message": each.id, "alert": alert} for each in messages for alert in each.alerts]
    # What returns something goes in one statement; without, PostgreSQL's driver sends one for each row.
    connection.execute(TELL.insert().returning(TELL.c.alert), told)


def withdraw(connection: sa.Connection, alerts: Sequence[int], now: datetime) -> None:
    """Take alerts out of the messages that still gather; one that is left with nothing to tell is dropped.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction that writes, one at a time.
    alerts : sequence of int
    now : datetime
        The present instant.
    """
    gathers = sa.select(MESSAGES.c.id).where(MESSAGES.c.state == "gathering")
    mine = TELL.c.alert.in_(list(alerts)), TELL.c.message.in_(gathers)
    touched = connection.execute(sa.select(TELL.c.message).where(*mine).distinct()).scalars().all()
    if not touched:
        return
    connection.execute(TELL.delete().where(*mine))
    left = sa.select(sa.func.count()).select_from(TELL).where(TELL.c.message == MESSAGES.c.id).scalar_subquery()
    known = MESSAGES.c.id.in_(touched)
    connection.execute(MESSAGES.update().where(known).values(alerts=left))
    dropped = MESSAGES.update().where(known, MESSAGES.c.alerts == 0)
    connection.execute(dropped.values(state="dropped", settled=now))
