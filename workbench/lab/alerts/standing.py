"""The messages about alerts that somebody in JupyterLab should see, and what they do about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from workbench.alerts.tables import ALERTS, MESSAGES, RULES, TELL
from workbench.bench import Workbench
from workbench.core.errors import UnknownNameError

CHANNEL = "lab"
SINCE = timedelta(days=7)
"""Older messages are no news; the app about alerts has them."""
MOST = 100
"""How many of the newest messages are looked at."""
FOUND = 120
"""How many letters of what was found are told."""

_LIVE = sa.and_(RULES.c.id == ALERTS.c.rule, RULES.c.removed.is_(None))
_LEFT = (
    sa.select(sa.literal(1))
    .select_from(TELL.join(ALERTS, ALERTS.c.id == TELL.c.alert).outerjoin(RULES, _LIVE))
    .where(TELL.c.message == MESSAGES.c.id, ALERTS.c.acknowledged.is_(None))
    .correlate(MESSAGES)
)
"""A message's alerts that nobody has acknowledged."""


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """A message with an alert that nobody has acknowledged.

    Attributes
    ----------
    id : int
    subject : str
        One line of plain text.
    found : str
        What was found, in a few words, where it tells of one alert; else empty.
    priority : {"low", "normal", "high", "urgent"}
    alerts : int
        Of how many it tells.
    sent : str
        When, ISO 8601 in UTC.
    snoozable : bool
        Whether rules that are kept found all that is not acknowledged.
    """

    id: int
    subject: str
    found: str
    priority: str
    alerts: int
    sent: str
    snoozable: bool

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


class Standing:
    """The open messages of a home. Each method reads or writes the records, and is called in a thread.

    Parameters
    ----------
    desk : Workbench
    """

    def __init__(self, desk: Workbench) -> None:
        self.desk = desk
        # Acknowledging is not taken back: these need not be looked at again.
        self._over: frozenset[int] = frozenset()

    def look(self) -> dict[int, OpenMessage]:
        """Return what is open, the newest first.

        Raises
        ------
        StoreError
            If the records cannot be read.
        """
        now = self.desk.clock()
        wanted = (
            sa.select(MESSAGES.c.id)
            .where(MESSAGES.c.state == "sent", MESSAGES.c.not_before >= now - SINCE, MESSAGES.c.channel == CHANNEL)
            .order_by(MESSAGES.c.not_before.desc())
            .limit(MOST)
        )
        with self.desk.records.reading() as connection:
            ids = frozenset(connection.execute(wanted).scalars())
            rows = connection.execute(_state(ids - self._over, now)).all() if ids - self._over else []
        self._over = (self._over & ids) | {row.id for row in rows if not row.left}
        return {row.id: _message(row) for row in rows if row.left and row.awake}

    def acknowledge(self, message: int, by: str | None = None) -> int:
        """Note that somebody has seen all alerts of a message; return how many are new.

        Raises
        ------
        UnknownNameError
            For a message that there is none of.
        """
        return self.desk.acknowledge(self._alerts(message, ALERTS.c.id), by)

    def snooze(self, message: int, span: timedelta) -> int:
        """Let the rules of a message tell nobody for a while, or for as long as they were to already; return how many.

        Raises
        ------
        UnknownNameError
            For a message that there is none of.
        """
        rules = {rule for rule in self._alerts(message, ALERTS.c.rule) if rule is not None}
        until = self.desk.clock() + span
        with self.desk.records.writing() as connection:
            kept = RULES.c.id.in_(list(rules)), RULES.c.removed.is_(None)
            later = sa.case((RULES.c.snoozed > until, RULES.c.snoozed), else_=sa.literal(until, RULES.c.snoozed.type))
            return int(connection.execute(RULES.update().where(*kept).values(snoozed=later)).rowcount)

    def _alerts(self, message: int, column: sa.Column[Any]) -> list[Any]:
        """Return a column of a message's alerts that nobody has acknowledged."""
        known = sa.select(MESSAGES.c.id).where(MESSAGES.c.id == message, MESSAGES.c.channel == CHANNEL)
        wanted = (
            sa.select(column)
            .join(TELL, TELL.c.alert == ALERTS.c.id)
            .where(TELL.c.message == message, ALERTS.c.acknowledged.is_(None))
        )
        with self.desk.records.reading() as connection:
            if connection.execute(known).first() is None:
                raise UnknownNameError("message in JupyterLab", str(message), [])
            return list(connection.execute(wanted).scalars())


def _state(ids: Iterable[int], now: datetime) -> sa.Select[Any]:
    asleep = sa.and_(RULES.c.snoozed.is_not(None), RULES.c.snoozed > now)
    return (
        sa.select(
            MESSAGES,
            _LEFT.exists().label("left"),
            _LEFT.where(sa.not_(asleep)).exists().label("awake"),
            _LEFT.where(RULES.c.id.is_(None)).exists().label("unruled"),
        )
        .where(MESSAGES.c.id.in_(list(ids)))
        .order_by(MESSAGES.c.settled.desc(), MESSAGES.c.id.desc())
    )


def _message(row: sa.Row[Any]) -> OpenMessage:
    sent = (row.settled or row.not_before).isoformat(timespec="seconds")
    subject, found = row.subject or row.topic, _found(row.text or "") if row.alerts == 1 else ""
    return OpenMessage(row.id, subject, found, row.priority, row.alerts, sent, not row.unruled)


def _found(text: str) -> str:
    """Return what a message of one alert says was found, without when and by which rule: its second line begins so."""
    return "".join(text.split("\n")[1:2]).partition(";")[0][:FOUND]
