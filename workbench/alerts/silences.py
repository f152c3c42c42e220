"""Silences: what nobody is told of for a while, though it is recorded as ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import uuid4

import sqlalchemy as sa

from workbench.alerts.tables import RULES, SILENCES
from workbench.core.calendar import Moment, instant
from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import DateRangeError, ParameterError, UnknownNameError

ABOUT = ("rule", "symbol", "source")


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that nobody is told of.

    Attributes
    ----------
    id : str
    about : mapping
        What an alert must have for it, each of them: ``rule`` (its id), ``symbol``, ``source``.
    until : datetime
        Up to when, UTC.
    reason : str
    created : datetime
    removed : datetime, optional
        When somebody ended it before its time.
    """

    id: str
    about: Mapping[str, str]
    until: datetime
    reason: str
    created: datetime
    removed: datetime | None = None


class Silences:
    """The silences of a home.

    Parameters
    ----------
    database : Database
    clock : callable
        The present instant.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def add(self, about: Mapping[str, str], until: Moment, reason: str = "") -> Silence:
        """Tell nobody of some alerts for a while; they are recorded all the same.

        Parameters
        ----------
        about : mapping
            What an alert must have, each of them: ``rule`` (a name or an id), ``symbol``, ``source`` (``"rule"``,
            ``"run"``, ``"parity"``, ...).
        until : date-like
            An instant from now on, a day to its end in UTC.
        reason : str

        Raises
        ------
        ParameterError
            Where it is about nothing, or about something else than these three.
        UnknownNameError
            For a rule that there is none of.
        DateRangeError
            For an end that is past, or no date.
        """
        if not about or not set(about) <= set(ABOUT) or not all(isinstance(x, str) and x for x in about.values()):
            raise ParameterError(f"about={dict(about)!r:.80} names no alerts; give rule, symbol or source, as texts")
        now, end = self.clock(), instant(until, end_of_day=True).floor("us").to_pydatetime()
        if end <= now:
            raise DateRangeError(f"until={until!s:.40} is past; give an instant after {now:%Y-%m-%d %H:%M} UTC")
        with self.database.writing() as connection:
            chosen = dict(about)
            if "rule" in chosen:
                chosen["rule"] = _rule(connection, chosen["rule"])
            made = Silence(str(uuid4()), chosen, end, reason, now)
            connection.execute(SILENCES.insert().values(asdict(made)))
        return made

    def list(self, *, past: bool = False) -> list[Silence]:
        """Return the silences that are in force, the one that ends first in front; by wish all there ever were."""
        wanted = SILENCES.select().order_by(SILENCES.c.until, SILENCES.c.id)
        if not past:
            wanted = wanted.where(SILENCES.c.removed.is_(None), SILENCES.c.until > self.clock())
        with self.database.reading() as connection:
            return [Silence(**row._mapping) for row in connection.execute(wanted)]

    def remove(self, silence: str) -> None:
        """End a silence by its id.

        Raises
        ------
        UnknownNameError
            For one that is not in force.
        """
        now = self.clock()
        with self.database.writing() as connection:
            mine = SILENCES.c.id == silence, SILENCES.c.removed.is_(None), SILENCES.c.until > now
            done = connection.execute(SILENCES.update().where(*mine).values(removed=now)).rowcount
        if not done:
            raise UnknownNameError("silence", silence, [each.id for each in self.list()])


class Hushed:
    """What nobody is told of at an instant, for any number of alerts.

    Parameters
    ----------
    connection : sqlalchemy.Connection
    at : datetime
    """

    def __init__(self, connection: sa.Connection, at: datetime) -> None:
        silences = sa.select(sa.null().label("rule"), SILENCES.c.about, SILENCES.c.until)
        kept = silences.where(SILENCES.c.removed.is_(None), SILENCES.c.until > at)
        snoozed = sa.select(RULES.c.id, sa.literal(None, SILENCES.c.about.type), RULES.c.snoozed)
        rows = connection.execute(sa.union_all(snoozed.where(RULES.c.snoozed > at), kept)).all()
        self._snoozed: dict[str, datetime] = {row[0]: row[2] for row in rows if row[0] is not None}
        self._silences: list[tuple[Mapping[str, str], datetime]] = [(row[1], row[2]) for row in rows if row[0] is None]

    def of(self, source: str, rule: str | None, symbol: str | None) -> tuple[str, datetime] | None:
        """Return why nobody is to be told of an alert, and until when; ``None`` where people are.

        Parameters
        ----------
        source : str
            Where it comes from.
        rule, symbol : str, optional
            Of which rule's id and symbol it is.

        Returns
        -------
        tuple of str and datetime, optional
            ``"snoozed"`` or ``"silenced"``, and the end of it.
        """
        if rule is not None and rule in self._snoozed:
            return "snoozed", self._snoozed[rule]
        own = {"source": source, "rule": rule, "symbol": symbol}
        mine = [until for about, until in self._silences if all(own.get(key) == value for key, value in about.items())]
        return ("silenced", max(mine)) if mine else None


def _rule(connection: sa.Connection, name: str) -> str:
    """Return the id of a rule that is kept."""
    kept = RULES.c.removed.is_(None)
    wanted = sa.select(RULES.c.id).where(sa.or_(RULES.c.name == name, RULES.c.id == name), kept)
    found = connection.execute(wanted).scalar()
    if found is None:
        known = connection.execute(sa.select(RULES.c.name).where(kept)).scalars().all()
        raise UnknownNameError("alert rule", name, known)
    return str(found)
