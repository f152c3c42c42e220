"""The rows of schedules, runs, attempts and services as values, and what those who write them have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import UnknownNameError
from workbench.jobs.schedule import Job, Schedule
from workbench.jobs.tables import RUNS

RunKind = Literal["scheduled", "now", "rerun"]
Open = Literal["waiting", "due", "claimed", "running"]
Ended = Literal["succeeded", "failed", "timed out", "limit", "orphaned", "cancelled", "skipped"]
Outcome = Literal["succeeded", "failed", "timed out", "limit", "cancelled", "lost"]
"""How an attempt ends, as far as its runner or the service that started it knows."""

OPEN: tuple[Open, ...] = get_args(Open)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

TROUBLE = ("failed", "timed out", "limit", "orphaned")
"""How a run ends that somebody should hear of."""

Alarm = Callable[[sa.Connection, str, str, str], None]
"""Called with a connection of the transaction that ends a run in trouble, or finds that a schedule cannot be planned, a
key, a subject and a text; the same key may come again."""

_LOCK = 0x54524A4F
"""The number of PostgreSQL's advisory lock under which runs are planned and claimed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, told from every other one that ever was: host, boot id, process id and its start in clock ticks."""

    host: str
    boot: str
    pid: int
    ticks: int


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule, how far it is planned, when it is looked at next, and why it cannot be planned, if so."""

    schedule: Schedule
    planned_until: datetime
    next_look: datetime
    fault: str | None
    created: datetime
    changed: datetime
    removed: datetime | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as its row says.

    Attributes
    ----------
    id : str
        The idempotency key of what it does: the same in each attempt.
    schedule : str, optional
        The schedule's id; none for a notebook that was run by itself.
    due : datetime
    kind : {"scheduled", "now", "rerun"}
    job : Job
        As it was when the run was planned.
    zone, market : str
        In which relative dates are read.
    state : str
        ``waiting`` (for data), ``due``, ``claimed``, ``running``, or one that is final.
    reason : str, optional
        Why it was skipped, is repeated, or ended as it did.
    cancel : str, optional
        Why it is to stop.
    owner : str, optional
        The service that sees to it.
    attempt : int
        The number of the attempt that is next or at work.
    not_before : datetime, optional
    deadline, as_of : datetime, optional
        Until when its data is waited for; as of when it was complete.
    resolved, moments : mapping, optional
        The parameters after relative dates were resolved, and what each was; once for all attempts.
    sha256 : str, optional
        Of the notebook's text that the last attempt ran.
    folder : str, optional
        What the last attempt left.
    planned, started, finished : datetime
    """

    id: str
    schedule: str | None
    due: datetime
    kind: RunKind
    job: Job
    zone: str
    market: str | None
    ready: Mapping[str, Any] | None
    state: str
    reason: str | None
    cancel: str | None
    owner: str | None
    attempt: int
    not_before: datetime | None
    deadline: datetime | None
    as_of: datetime | None
    resolved: Mapping[str, Any] | None
    moments: Mapping[str, Any] | None
    sha256: str | None
    folder: str | None
    planned: datetime
    started: datetime | None
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt at a run: ``waiting`` (for its retry), ``starting``, ``running``, or how it ended and why."""

    run: str
    n: int
    state: str
    reason: str | None
    token: str | None
    host: str | None
    boot: str | None
    pid: int | None
    ticks: int | None
    beat: int
    sha256: str | None
    folder: str | None
    planned: datetime
    started: datetime | None
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A service; ``beat`` grows while it lives."""

    id: str
    host: str
    boot: str
    pid: int
    ticks: int
    beat: int
    started: datetime
    ended: datetime | None


class Records:
    """A part of the records of a home; any number of processes may have one each.

    Parameters
    ----------
    database : Database
    clock : callable
        The present instant.

    Notes
    -----
    Every method raises ``StoreError`` if the records cannot be read or written.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock


@contextmanager
def one_at_a_time(database: Database) -> Iterator[sa.Connection]:
    """Give a connection to the one process that plans, claims or buries at this moment."""
    with database.writing() as connection:
        # On SQLite a writer has the whole file to itself already.
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        yield connection


def job_values(job: Job) -> dict[str, Any]:
    """Return the columns that a schedule and its runs have in common."""
    kept = job.model_dump(mode="json", include={"name", "mode", "kernel", "parameters", "formats", "policies"})
    return {**kept, "notebook": str(job.notebook), "pin": job.sha256}


def schedule_values(schedule: Schedule) -> dict[str, Any]:
    """Return the columns that a schedule's own values fill."""
    kept = schedule.model_dump(mode="json", include={"id", "cron", "zone", "market", "active", "ready"})
    return {**job_values(schedule), **kept}


def schedule_of(row: sa.Row[Any]) -> Schedule:
    """Return the schedule of a row."""
    own = ("id", "ready", "cron", "zone", "market", "active")
    return Schedule.of({**_job_fields(row), **{name: getattr(row, name) for name in own}})


def schedule_record(row: sa.Row[Any]) -> ScheduleRecord:
    """Return the whole of a schedule's row."""
    own = (field.name for field in fields(ScheduleRecord) if field.name != "schedule")
    return ScheduleRecord(schedule_of(row), **{name: getattr(row, name) for name in own})


def run_record(row: sa.Row[Any]) -> RunRecord:
    """Return a run."""
    own = (field.name for field in fields(RunRecord) if field.name != "job")
    return RunRecord(job=Job.of(_job_fields(row)), **{name: getattr(row, name) for name in own})


def read_run(database: Database, run: str) -> RunRecord:
    """Return a run by its id.

    Raises
    ------
    UnknownNameError
    """
    with database.reading() as connection:
        row = connection.execute(RUNS.select().where(RUNS.c.id == run)).first()
    if row is None:
        raise UnknownNameError("run", run, ())
    return run_record(row)


def attempt_record(row: sa.Row[Any]) -> AttemptRecord:
    """Return an attempt."""
    return AttemptRecord(**row._mapping)


def locked_run(connection: sa.Connection, run: str) -> sa.Row[Any]:
    """Return a run's row, which nobody else changes until the transaction ends.

    Raises
    ------
    UnknownNameError
    """
    # The run first, then its attempts: whoever takes them in one order never waits in a circle.
    row = connection.execute(RUNS.select().where(RUNS.c.id == run).with_for_update()).first()
    if row is None:
        raise UnknownNameError("run", run, ())
    return row


def _job_fields(row: sa.Row[Any]) -> dict[str, Any]:
    own = ("name", "notebook", "mode", "kernel", "parameters", "formats", "policies")
    return {**{name: getattr(row, name) for name in own}, "sha256": row.pin}
