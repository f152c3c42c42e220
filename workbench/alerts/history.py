"""Alerts as they were raised: listed, looked up and acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workbench.alerts.queueing import one_at_a_time, withdraw
from workbench.alerts.tables import ALERTS, RULES
from workbench.core.calendar import Moment, instant
from workbench.core.clock import Clock, utc_now
from workbench.core.database import Database
from workbench.core.errors import UnknownNameError

_CHUNK = 500
_LAST = 2**63 - 1
"""The highest number that a database can be asked for."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What somebody should know.

    Attributes
    ----------
    key : str
        What it is about, such as ``rule:ID:AAPL:2012-04-09T20:00:00``; the part before the first colon says
        where it comes from. No two alerts have the same.
    subject : str
        One line.
    text : str
        What was found, and why.
    raised : datetime
        When, UTC.
    id : int
        Its number, the oldest alert's is the lowest.
    rule, symbol : str, optional
        Of which rule's id and symbol it is.
    priority : {"low", "normal", "high", "urgent"}
    held : {"snoozed", "silenced", "cool-down"}, optional
        Why nobody was told of it.
    acknowledged : datetime, optional
        When somebody said that it is known.
    acknowledged_by : str, optional
    since, until : datetime, optional
        The first and the last bar or quote that it tells of.
    holds : bool
        Whether its rule was still holding when it was last looked at on a stream.
    escalates, escalated : datetime, optional
        When others are told unless it is acknowledged, and when they were.
    """

    key: str
    subject: str
    text: str
    raised: datetime
    id: int = 0
    rule: str | None = None
    symbol: str | None = None
    priority: str = "normal"
    held: str | None = None
    acknowledged: datetime | None = None
    acknowledged_by: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    holds: bool = False
    escalates: datetime | None = None
    escalated: datetime | None = None

    @property
    def source(self) -> str:
        """Where it comes from: ``rule``, ``parity``, ``run``, ..."""
        return source_of(self.key)


def source_of(key: str) -> str:
    """Return where an alert comes from, from its key."""
    return key.partition(":")[0]


class AlertList(list[Alert]):
    """Alerts, as a notebook shows them."""

    def _repr_html_(self) -> str:
        from workbench.alerts.page import alerts_html

        return alerts_html(self)


class Alerts:
    """The alerts of a home.

    Parameters
    ----------
    database : Database
    clock : callable
        The present instant.
    """

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self.database = database
        self.clock = clock

    def get(self, alert: int) -> Alert:
        """Return an alert by its id.

        Raises
        ------
        UnknownNameError
        """
        with self.database.reading() as connection:
            row = connection.execute(ALERTS.select().where(ALERTS.c.id == (alert if 0 < alert <= _LAST else 0))).first()
            if row is None:
                raise _unknown(connection, alert)
        return Alert(**row._mapping)

    def acknowledge(self, alerts: int | Sequence[int], by: str) -> int:
        """Note that somebody knows of alerts: they are not escalated any more, and not told where that has not begun.

        Parameters
        ----------
        alerts : int or sequence of int
            Their ids.
        by : str
            Who says so.

        Returns
        -------
        int
            How many nobody had acknowledged before; the first one's name stays.

        Raises
        ------
        UnknownNameError
            For an id that there is none of; then nothing is noted.
        """
        ids = sorted({alerts} if isinstance(alerts, int) else set(alerts))
        new: dict[str, Any] = {"acknowledged": self.clock(), "acknowledged_by": by}
        count = 0
        with self.database.writing() as connection:
            one_at_a_time(connection)
            for absent in (each for each in ids if not 0 < each <= _LAST):
                raise _unknown(connection, absent)
            for start in range(0, len(ids), _CHUNK):
                mine = ALERTS.c.id.in_(ids[start : start + _CHUNK])
                known = set(connection.execute(sa.select(ALERTS.c.id).where(mine)).scalars())
                for absent in set(ids[start : start + _CHUNK]) - known:
                    raise _unknown(connection, absent)
                first = ALERTS.update().where(mine, ALERTS.c.acknowledged.is_(None))
                count += connection.execute(first.values(new)).rowcount
                withdraw(connection, ids[start : start + _CHUNK], new["acknowledged"])
        return count

    def list(
        self,
        *,
        source: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        acknowledged: bool | None = None,
        held: bool | None = None,
        rule: str | None = None,
        symbol: str | None = None,
        most: int = 200,
    ) -> AlertList:
        """Return alerts, the newest first.

        Parameters
        ----------
        source : str, optional
            Only those from there; see ``Alert.source``.
        since, until : date-like, optional
            Only those that were raised from then on, and up to then, a day to its end in UTC.
        acknowledged : bool, optional
            Only those that somebody has acknowledged, or only the others.
        held : bool, optional
            Only those that nobody was told of, or only the others.
        rule : str, optional
            Only those of the rule with this name or id; of a name that was used again, of all that had it.
        symbol : str, optional
            Only those of this symbol.
        most : int
            How many at the most.

        Raises
        ------
        DateRangeError
            For what is no date.
        StoreError
            If the records cannot be read.
        """
        wanted = ALERTS.select().order_by(ALERTS.c.raised.desc(), ALERTS.c.id.desc()).limit(most)
        if source is not None:
            wanted = wanted.where(ALERTS.c.key.startswith(f"{source}:", autoescape=True))
        if since is not None:
            wanted = wanted.where(ALERTS.c.raised >= instant(since).to_pydatetime())
        if until is not None:
            wanted = wanted.where(ALERTS.c.raised <= instant(until, end_of_day=True).floor("us").to_pydatetime())
        if acknowledged is not None:
            wanted = wanted.where(
                ALERTS.c.acknowledged.is_not(None) if acknowledged else ALERTS.c.acknowledged.is_(None)
            )
        if held is not None:
            wanted = wanted.where(ALERTS.c.held.is_not(None) if held else ALERTS.c.held.is_(None))
        if rule is not None:
            named = sa.select(RULES.c.id).where(sa.or_(RULES.c.name == rule, RULES.c.id == rule))
            wanted = wanted.where(ALERTS.c.rule.in_(named))
        if symbol is not None:
            wanted = wanted.where(ALERTS.c.symbol == symbol)
        with self.database.reading() as connection:
            return AlertList(Alert(**row._mapping) for row in connection.execute(wanted))


def _unknown(connection: sa.Connection, alert: int) -> UnknownNameError:
    newest = connection.execute(sa.select(ALERTS.c.id).order_by(ALERTS.c.id.desc()).limit(8)).scalars()
    return UnknownNameError("alert", str(alert), map(str, newest))
