"""Schedules, and the runs that come of them: one for each due time, whoever plans it.

The runs of a schedule and how far it is planned are written in one transaction, so that a service that dies in between
leaves nothing half planned, and another one goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from workbench.core.errors import ParameterError, UnknownNameError
from workbench.jobs.planned import insert_new, keep_pin, open_runs, plan_rows, run_row, set_schedule
from workbench.jobs.planning import next_look
from workbench.jobs.records import (
    Alarm,
    Records,
    RunKind,
    RunRecord,
    ScheduleRecord,
    job_values,
    locked_run,
    one_at_a_time,
    read_run,
    run_record,
    schedule_record,
    schedule_values,
)
from workbench.jobs.schedule import Job, Schedule
from workbench.jobs.tables import PINS, RUNS, SCHEDULES
from workbench.jobs.transitions import cancel_run


@dataclass(frozen=True, slots=True)
class Planning:
    """What one call planned: how many runs are due, skipped and cancelled; and whether to call again at once."""

    due: int
    skipped: int
    cancelled: int
    more: bool


class Ledger(Records):
    """The schedules of a home and their runs."""

    # Schedules

    def add(self, schedule: Schedule, text: str) -> None:
        """Keep a schedule that was checked; its due times count from now on.

        Parameters
        ----------
        schedule : Schedule
        text : str
            Of its notebook; kept if it is pinned.

        Raises
        ------
        ParameterError
            If its name is taken.
        """
        with _free_name(schedule), one_at_a_time(self.database) as connection:
            now = self.clock()
            keep_pin(connection, schedule, text)
            look = next_look(schedule, now)
            row = {**schedule_values(schedule), "planned_until": now, "next_look": look, "created": now, "changed": now}
            connection.execute(SCHEDULES.insert().values(row))

    def replace(self, schedule: Schedule, text: str) -> None:
        """Keep a schedule in the place of the one with its id; what was due by now is planned by the old one.

        A paused schedule that becomes active is due from now on: what a pause left out was not missed.

        Raises
        ------
        ParameterError
            If its name is taken.
        UnknownNameError
            If there is none with that id.
        """
        with _free_name(schedule), one_at_a_time(self.database) as connection:
            now = self.clock()
            self._plan_wholly(connection, schedule.id, now)
            keep_pin(connection, schedule, text)
            # Never back, though the clock may have gone: nothing is due twice.
            start = max(_kept(connection, schedule.id).planned_until, now)
            look = next_look(schedule, start)
            values = {**schedule_values(schedule), "planned_until": start, "next_look": look, "changed": now}
            set_schedule(connection, schedule.id, {**values, "fault": None})

    def set_active(self, name: str, active: bool) -> Schedule:
        """Pause or resume a schedule by its name or id; runs that were due before go on.

        Raises
        ------
        UnknownNameError
        """
        kept = self.schedule(name).schedule
        changed = kept.model_copy(update={"active": active})
        if active != kept.active:
            self.replace(changed, self.pinned_text(kept.sha256) if kept.sha256 else "")
        return changed

    def remove(self, name: str) -> None:
        """Remove a schedule by its name or id; its history stays, and what has not been claimed yet is cancelled.

        Raises
        ------
        UnknownNameError
        """
        schedule = self.schedule(name).schedule
        with one_at_a_time(self.database) as connection:
            now = self.clock()
            self._plan_wholly(connection, schedule.id, now)
            set_schedule(connection, schedule.id, {"removed": now, "changed": now, "active": False})
            for run in open_runs(connection, [schedule.id]).get(schedule.id, ()):
                if locked_run(connection, run.id).state in ("waiting", "due"):
                    cancel_run(connection, run.id, "its schedule was removed", now)

    def schedule(self, name: str) -> ScheduleRecord:
        """Return a schedule by its name or id.

        Raises
        ------
        UnknownNameError
        """
        found = [each for each in self.schedules() if name in (each.schedule.name, each.schedule.id)]
        if not found:
            raise UnknownNameError("schedule", name, [each.schedule.name for each in self.schedules()])
        return next((each for each in found if each.schedule.id == name), found[0])

    def schedules(self, *, removed: bool = False) -> list[ScheduleRecord]:
        """Return the schedules by name; those that were removed, too, if so wished."""
        wanted = SCHEDULES.select().order_by(SCHEDULES.c.name, SCHEDULES.c.id)
        with self.database.reading() as connection:
            rows = connection.execute(wanted if removed else wanted.where(SCHEDULES.c.removed.is_(None))).all()
        return [schedule_record(row) for row in rows]

    def last_states(self) -> dict[str, str]:
        """Return the state of each schedule's run that was due last, by the schedules' ids; none without a run."""
        # All in one pass: no index leads to the last run of one schedule.
        place = sa.func.row_number().over(partition_by=RUNS.c.schedule, order_by=(RUNS.c.due.desc(), RUNS.c.id))
        kept = sa.select(SCHEDULES.c.id).where(SCHEDULES.c.removed.is_(None))
        ranked = sa.select(RUNS.c.schedule, RUNS.c.state, place.label("place")).where(RUNS.c.schedule.in_(kept))
        runs = ranked.subquery()
        with self.database.reading() as connection:
            found = connection.execute(sa.select(runs.c.schedule, runs.c.state).where(runs.c.place == 1))
            return {row.schedule: row.state for row in found}

    def pinned_text(self, sha256: str) -> str:
        """Return the notebook that was pinned with a SHA-256.

        Raises
        ------
        UnknownNameError
        """
        with self.database.reading() as connection:
            found = connection.execute(sa.select(PINS.c.text).where(PINS.c.sha256 == sha256)).scalar()
        if found is None:
            raise UnknownNameError("pinned notebook", sha256, ())
        return str(found)

    # Planning

    def plan(self, most: int = 100, alarm: Alarm | None = None) -> Planning:
        """Plan the schedules that are to be looked at now, up to ``most`` of them; several services may call this.

        One that cannot be planned keeps the reason in ``fault``, is told to ``alarm`` and is tried again in an hour; it
        holds up no others.
        """
        with one_at_a_time(self.database) as connection:
            now = self.clock()
            wanted = SCHEDULES.select().where(SCHEDULES.c.removed.is_(None), SCHEDULES.c.active.is_(sa.true()))
            wanted = wanted.where(SCHEDULES.c.next_look <= now).order_by(SCHEDULES.c.next_look).limit(most)
            rows = connection.execute(wanted).all()
            runs = open_runs(connection, [row.id for row in rows])
            plans = [plan_rows(connection, row, runs.get(row.id, ()), now, alarm) for row in rows]
        made = [each for each in plans if each is not None]
        return Planning(
            due=sum(len(each.due) for each in made),
            skipped=sum(len(each.skipped) for each in made),
            cancelled=sum(len(each.cancelled) for each in made),
            more=len(rows) == most or not all(each.complete for each in made),
        )

    def next_look(self) -> datetime | None:
        """Return when there is something to plan next, ``None`` without any schedule that is active."""
        wanted = sa.select(sa.func.min(SCHEDULES.c.next_look, type_=SCHEDULES.c.next_look.type))
        with self.database.reading() as connection:
            active = wanted.where(SCHEDULES.c.removed.is_(None), SCHEDULES.c.active.is_(sa.true()))
            found: datetime | None = connection.execute(active).scalar()
        return found

    def submit(
        self,
        job: Job,
        text: str,
        *,
        kind: RunKind = "now",
        schedule: str | None = None,
        token: str | None = None,
        as_of: datetime | None = None,
        zone: str | None = None,
        market: str | None = None,
    ) -> str:
        """Make a run that is due now, and return its id.

        Parameters
        ----------
        job : Job or Schedule
            One that was checked. A run of a schedule that somebody asks for stands in nobody's way.
        text : str
            Of its notebook; kept if it is pinned.
        kind : {"now", "rerun"}
        schedule : str, optional
            In whose history it belongs; by itself that of ``job``.
        token : str, optional
            A request that is repeated with the same token makes one run.
        as_of : datetime, optional
            What was known then, for a run that is to see what another one saw.
        zone, market : str, optional
            In which relative dates are read; by itself those of ``job``, or UTC.

        Returns
        -------
        str
        """
        own = job if isinstance(job, Schedule) else None
        zone, market = (own.zone, own.market) if own else (zone or "UTC", market)
        rule = {"zone": zone, "market": market, "ready": None}
        with self.database.writing() as connection:
            now = self.clock()
            keep_pin(connection, job, text)
            row = {**run_row(job_values(job), rule, now, now), "kind": kind, "token": token, "as_of": as_of}
            row["schedule"] = schedule or (own.id if own else None)
            insert_new(connection, RUNS, [row])
            mine = RUNS.c.token == token if token is not None else RUNS.c.id == row["id"]
            return str(connection.execute(sa.select(RUNS.c.id).where(mine)).scalar_one())

    # History

    def run(self, run: str) -> RunRecord:
        """Return a run.

        Raises
        ------
        UnknownNameError
        """
        return read_run(self.database, run)

    def runs(self, schedule: str | None = None, states: Sequence[str] = (), most: int = 1000) -> list[RunRecord]:
        """Return runs, the one that was due last in front: of a schedule by its id, in some states, or all."""
        wanted = RUNS.select().order_by(RUNS.c.due.desc(), RUNS.c.id).limit(most)
        if schedule is not None:
            wanted = wanted.where(RUNS.c.schedule == schedule)
        if states:
            wanted = wanted.where(RUNS.c.state.in_(states))
        with self.database.reading() as connection:
            return [run_record(row) for row in connection.execute(wanted)]

    def _plan_wholly(self, connection: sa.Connection, schedule: str, now: datetime) -> None:
        """Plan what is due by now, however much that is."""
        complete = False
        while not complete:
            row = _kept(connection, schedule)
            if not row.active:
                return
            runs = open_runs(connection, [schedule]).get(schedule, ())
            made = plan_rows(connection, row, runs, now)
            complete = made is None or made.complete


@contextmanager
def _free_name(schedule: Schedule) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise ParameterError(f"there is a schedule named {schedule.name!r} already; choose another name") from error


def _kept(connection: sa.Connection, schedule: str) -> sa.Row[Any]:
    wanted = SCHEDULES.select().where(SCHEDULES.c.id == schedule, SCHEDULES.c.removed.is_(None))
    row = connection.execute(wanted).first()
    if row is None:
        raise UnknownNameError("schedule", schedule, ())
    return row
