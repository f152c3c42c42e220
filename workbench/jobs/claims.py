"""Which service sees to which run: claimed by one, started by that one, each change compared with the row before it.

A run that is ``due`` is claimed by one service and becomes ``running`` with an attempt that is ``starting``; what comes
then is told by ``attempts``.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workbench.jobs.planning import GRACE
from workbench.jobs.records import (
    Alarm,
    AttemptRecord,
    Records,
    RunRecord,
    attempt_record,
    locked_run,
    one_at_a_time,
    run_record,
)
from workbench.jobs.tables import ATTEMPTS, RUNS, SCHEDULES, SERVICES
from workbench.jobs.transitions import (
    AT_WORK,
    STILL_OPEN,
    cancel_run,
    claims_of,
    close_run,
    raise_alarm,
    release_run,
    set_run,
)


@dataclass(frozen=True, slots=True)
class Agenda:
    """What there is to do: when to plan next, if ever; whether runs are due, at work, or wait for data."""

    next_look: datetime | None
    due: bool
    at_work: bool
    waiting: bool


# Built once: they are asked every second, and to write them costs more than to run them.
_NEXT_LOOK = sa.select(sa.func.min(SCHEDULES.c.next_look, type_=SCHEDULES.c.next_look.type)).where(
    SCHEDULES.c.removed.is_(None), SCHEDULES.c.active.is_(sa.true())
)
# A pause before a retry that was planned in what is the future now: the clock was put back, and would lengthen it.
_PUT_BACK = sa.exists().where(
    ATTEMPTS.c.run == RUNS.c.id,
    ATTEMPTS.c.n == RUNS.c.attempt,
    ATTEMPTS.c.planned > sa.bindparam("soon", type_=ATTEMPTS.c.planned.type),
)
_IN_TIME = sa.or_(
    RUNS.c.not_before.is_(None),
    RUNS.c.not_before <= sa.bindparam("now", type_=RUNS.c.not_before.type),
    _PUT_BACK,
)
_STATES = (
    sa.select(RUNS.c.state).where(RUNS.c.state.in_(STILL_OPEN), sa.or_(RUNS.c.state != "due", _IN_TIME)).distinct()
)


class Claims(Records):
    """The runs that are due or at work."""

    def agenda(self) -> Agenda:
        """Return what there is to do; reads only, for a service that asks every second."""
        with self.database.reading() as connection:
            found = set(connection.execute(_STATES, _times(self.clock())).scalars())
            next_look: datetime | None = connection.execute(_NEXT_LOOK).scalar()
        return Agenda(next_look, "due" in found, not found.isdisjoint(AT_WORK), "waiting" in found)

    def claim(self, service: str, limit: int, most: int = 20) -> list[RunRecord]:
        """Claim what is due, the lowest priority number first, then what was due first.

        A scheduled run is left while another one of its schedule is at work, or open with an earlier due time.

        Parameters
        ----------
        service : str
            A service that was buried claims nothing.
        limit : int
            How many runs may be at work at once, those of all services counted.
        most : int
            How many to claim now.

        Returns
        -------
        list of RunRecord
        """
        with one_at_a_time(self.database) as connection:
            free = limit - _count(connection, RUNS, RUNS.c.state.in_(STILL_OPEN), RUNS.c.state.in_(AT_WORK))
            lives = _count(connection, SERVICES, SERVICES.c.id == service, SERVICES.c.ended.is_(None))
            if free <= 0 or not lives:
                return []
            wanted = _claimable().limit(min(free, most))
            found = list(connection.execute(wanted, _times(self.clock())).scalars())
            mine = RUNS.update().where(RUNS.c.id.in_(found), RUNS.c.state == "due")
            connection.execute(mine.values(state="claimed", owner=service))
            rows = connection.execute(
                RUNS.select().where(RUNS.c.id.in_(found), RUNS.c.owner == service, RUNS.c.state == "claimed")
            )
            claimed = {row.id: run_record(row) for row in rows}
        return [claimed[run] for run in found if run in claimed]

    def start(
        self, run: str, service: str, folder: str, resolved: Mapping[str, Any], moments: Mapping[str, Any]
    ) -> AttemptRecord | None:
        """Let the next attempt at a claimed run start; its runner needs the token.

        ``resolved`` and ``moments`` are kept by the first attempt and stay as they are. ``None`` if the claim is lost,
        or the run is to be cancelled, which it then is.
        """
        with self.database.writing() as connection:
            row, now = locked_run(connection, run), self.clock()
            if (row.state, row.owner) != ("claimed", service):
                return None
            if row.cancel:
                close_run(connection, run, now, "cancelled", row.cancel)
                return None
            once = {} if row.resolved is not None else {"resolved": dict(resolved), "moments": dict(moments)}
            set_run(connection, run, state="running", started=row.started or now, **once)
            values = {"state": "starting", "token": secrets.token_hex(16), "folder": folder, "started": now}
            attempt = (ATTEMPTS.c.run == run, ATTEMPTS.c.n == row.attempt)
            if connection.execute(ATTEMPTS.update().where(*attempt).values(values)).rowcount == 0:
                first = {"run": run, "n": row.attempt, "beat": 0, "planned": now, **values}
                connection.execute(ATTEMPTS.insert().values(first))
            return attempt_record(connection.execute(ATTEMPTS.select().where(*attempt)).one())

    def refuse(self, run: str, service: str, reason: str, alarm: Alarm | None = None) -> bool:
        """End a claimed run that cannot be started at all as failed; whether the claim was still there."""
        with self.database.writing() as connection:
            row = locked_run(connection, run)
            if (row.state, row.owner) != ("claimed", service):
                return False
            close_run(connection, run, self.clock(), "failed", reason)
            raise_alarm(connection, run, alarm)
            return True

    def release(self, run: str, service: str) -> bool:
        """Give a claimed run back, so that any service may claim it; whether the claim was still there."""
        with self.database.writing() as connection:
            return release_run(connection, run, service, self.clock())

    def give_back(self, service: str) -> list[str]:
        """Give back all that a service has claimed and not started; return the runs.

        While it starts none, that is what it could not go on with, or was not told of: the records did not answer.
        """
        with self.database.writing() as connection:
            claimed = claims_of(connection, service)
            return [run for run in claimed if release_run(connection, run, service, self.clock())]

    def cancel(self, run: str, reason: str) -> str | None:
        """Cancel a run: at once if it is not claimed yet, else its runner is asked to stop.

        Returns
        -------
        str, optional
            ``"cancelled"``, ``"asked"``, or ``None`` if it had ended.

        Raises
        ------
        UnknownNameError
        """
        with self.database.writing() as connection:
            return cancel_run(connection, run, reason, self.clock())

    def waiting(self) -> list[RunRecord]:
        """Return the runs that wait for data, the earliest deadline in front."""
        wanted = RUNS.select().where(RUNS.c.state.in_(STILL_OPEN), RUNS.c.state == "waiting").order_by(RUNS.c.deadline)
        with self.database.reading() as connection:
            return [run_record(row) for row in connection.execute(wanted)]

    def make_ready(self, run: str, as_of: datetime) -> bool:
        """Say that a run's data was complete as of an instant: it is due; whether it was still waiting."""
        with self.database.writing() as connection:
            waits = bool(locked_run(connection, run).state == "waiting")
            if waits:
                set_run(connection, run, state="due", as_of=as_of)
            return waits

    def expire(self, run: str, reason: str, alarm: Alarm | None = None) -> bool:
        """End a run whose data was not complete by its deadline as failed; whether it was still waiting."""
        with self.database.writing() as connection:
            waits = bool(locked_run(connection, run).state == "waiting")
            if waits:
                close_run(connection, run, self.clock(), "failed", reason)
                raise_alarm(connection, run, alarm)
            return waits


def _times(now: datetime) -> dict[str, datetime]:
    return {"now": now, "soon": now + GRACE}


def _claimable() -> sa.Select[tuple[str]]:
    """Return the query for the ids of what may be claimed, in its order."""
    other = RUNS.alias()
    ahead = sa.and_(
        other.c.schedule == RUNS.c.schedule,
        other.c.kind == "scheduled",
        other.c.id != RUNS.c.id,
        other.c.state.in_(STILL_OPEN),
        sa.or_(other.c.state.in_(AT_WORK), other.c.due < RUNS.c.due),
    )
    free = sa.or_(RUNS.c.kind != "scheduled", ~sa.exists().where(ahead))
    wanted = sa.select(RUNS.c.id).where(RUNS.c.state.in_(STILL_OPEN), RUNS.c.state == "due", _IN_TIME, free)
    return wanted.order_by(RUNS.c.priority, RUNS.c.due, RUNS.c.id)


def _count(connection: sa.Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one()
