"""Alerts that were raised: one row for each key, in the transaction of what they tell of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from workbench.alerts.tables import ALERTS
from workbench.core.calendar import Moment, instant
from workbench.core.database import Database


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
    """

    key: str
    subject: str
    text: str
    raised: datetime

    @property
    def source(self) -> str:
        """Where it comes from: ``rule``, ``parity``, ``run``, ..."""
        return self.key.partition(":")[0]


def raise_alert(
    connection: sa.Connection,
    key: str,
    subject: str,
    text: str,
    at: datetime,
    span: tuple[datetime | None, datetime | None] = (None, None),
) -> bool:
    """Raise an alert, unless there is one with its key.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction that writes: the alert is there if, and only if, what it tells of is.
    key, subject, text : str
    at : datetime
        The present instant.
    span : tuple of datetime, optional
        The first and the last bar that it tells of.

    Returns
    -------
    bool
        Whether it is new.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {"key": key, "subject": subject, "text": text, "raised": at, "since": span[0], "until": span[1]}
    made = connection.execute(insert(ALERTS).values(row).on_conflict_do_nothing())
    return made.rowcount == 1


def goes_on(connection: sa.Connection, about: str, since: datetime, until: datetime) -> bool:
    """Say whether an alert tells of some of these bars already, and note that it does so up to the last of them.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction that writes.
    about : str
        With what the alert's key begins.
    since, until : datetime
        The first and the last bar.
    """
    same = ALERTS.c.key.startswith(about, autoescape=True), ALERTS.c.since <= until, ALERTS.c.until >= since
    found = connection.execute(ALERTS.select().where(*same).order_by(ALERTS.c.until.desc())).first()
    if found is not None and found.until < until:
        connection.execute(ALERTS.update().where(ALERTS.c.id == found.id).values(until=until))
    return found is not None


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
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def list(
        self,
        *,
        source: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        most: int = 200,
    ) -> AlertList:
        """Return alerts, the newest first.

        Parameters
        ----------
        source : str, optional
            Only those from there; see ``Alert.source``.
        since, until : date-like, optional
            Only those that were raised from then on, and up to then, a day to its end in UTC.
        most : int
            How many at the most.

        Raises
        ------
        DateRangeError
            For what is no date.
        StoreError
            If the records cannot be read.
        """
        columns = (ALERTS.c.key, ALERTS.c.subject, ALERTS.c.text, ALERTS.c.raised)
        wanted = sa.select(*columns).order_by(ALERTS.c.raised.desc(), ALERTS.c.id.desc()).limit(most)
        if source is not None:
            wanted = wanted.where(ALERTS.c.key.startswith(f"{source}:", autoescape=True))
        if since is not None:
            wanted = wanted.where(ALERTS.c.raised >= instant(since).to_pydatetime())
        if until is not None:
            wanted = wanted.where(ALERTS.c.raised <= instant(until, end_of_day=True).floor("us").to_pydatetime())
        with self.database.reading() as connection:
            return AlertList(Alert(*row) for row in connection.execute(wanted))
