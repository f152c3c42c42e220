"""A schedule's plan as rows: the runs that are due, those that are skipped, and how far it is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from workbench.core.errors import WorkbenchError
from workbench.jobs.planning import AGAIN, GRACE, OpenRun, Plan, next_look, plan
from workbench.jobs.records import Alarm, job_values, schedule_of
from workbench.jobs.schedule import Job, Ready, Schedule
from workbench.jobs.tables import PINS, RUNS, SCHEDULES
from workbench.jobs.transitions import AT_WORK, STILL_OPEN, cancel_run


def plan_rows(
    connection: sa.Connection, row: sa.Row[Any], runs: Sequence[OpenRun], now: datetime, alarm: Alarm | None = None
) -> Plan | None:
    """Write what becomes of a schedule's due times up to now; ``None`` if they cannot be told.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        Of ``one_at_a_time``.
    row : sqlalchemy.Row
        The schedule.
    runs : sequence of OpenRun
        Its scheduled runs that have not ended.
    now : datetime
    alarm : callable, optional
        Told of due times that cannot be told: they are missed until somebody sees to it.
    """
    try:
        schedule = schedule_of(row)
        made = plan(schedule, row.planned_until, now, runs)
        look = next_look(schedule, made.planned_until)
    except Exception as error:
        # Whatever is wrong with one schedule, the others are due all the same.
        said = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
        set_schedule(connection, row.id, {"fault": said, "next_look": now + AGAIN})
        _tell(connection, row, row.planned_until, said, alarm)
        return None
    fresh = [run_row(job_values(schedule), _rule(schedule), due, now, schedule.id) for due in made.due]
    for due, reason in made.skipped:
        run = run_row(job_values(schedule), _rule(schedule), due, now, schedule.id)
        fresh.append({**run, "state": "skipped", "reason": reason, "finished": now})
    insert_new(connection, RUNS, fresh)
    for open_run, reason in made.cancelled:
        cancel_run(connection, open_run, reason, now)
    if made.fault:
        look = now + AGAIN
        _tell(connection, row, made.planned_until, made.fault, alarm)
    set_schedule(connection, row.id, {"planned_until": made.planned_until, "next_look": look, "fault": made.fault})
    return made


def open_runs(connection: sa.Connection, schedules: Sequence[str]) -> dict[str, list[OpenRun]]:
    """Return the scheduled runs that have not ended, by their schedules' ids."""
    own = (RUNS.c.schedule, RUNS.c.id, RUNS.c.due, RUNS.c.state, RUNS.c.started, RUNS.c.planned)
    wanted = sa.select(*own).order_by(RUNS.c.due)
    mine = wanted.where(RUNS.c.state.in_(STILL_OPEN), RUNS.c.schedule.in_(schedules), RUNS.c.kind == "scheduled")
    found: dict[str, list[OpenRun]] = {}
    for row in connection.execute(mine):
        begun = row.state in AT_WORK or row.started is not None
        late = row.state == "waiting" or row.planned - row.due > GRACE
        found.setdefault(row.schedule, []).append(OpenRun(row.id, row.due, begun, late))
    return found


def run_row(
    job: Mapping[str, Any], rule: Mapping[str, Any], due: datetime, now: datetime, schedule: str | None = None
) -> dict[str, Any]:
    """Return the columns of a scheduled run that is new; it waits for data if its rule says so."""
    ready = rule["ready"]
    return {
        **job,
        **rule,
        "id": str(uuid4()),
        "schedule": schedule,
        "due": due,
        "kind": "scheduled",
        "priority": job["policies"]["priority"],
        "state": "due" if ready is None else "waiting",
        "reason": None,
        "attempt": 1,
        "deadline": None if ready is None else due + Ready.of(ready).deadline,
        "planned": now,
        "finished": None,
    }


def insert_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows that break no rule of uniqueness: what is there stays."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    if rows:
        connection.execute(insert(table).on_conflict_do_nothing(), [dict(row) for row in rows])


def keep_pin(connection: sa.Connection, job: Job, text: str) -> None:
    """Keep the text of a pinned notebook, once for all that pin the same."""
    if job.sha256 is not None:
        insert_new(connection, PINS, [{"sha256": job.sha256, "text": text}])


def set_schedule(connection: sa.Connection, schedule: str, values: Mapping[str, Any]) -> None:
    """Change columns of a schedule."""
    connection.execute(SCHEDULES.update().where(SCHEDULES.c.id == schedule).values(dict(values)))


def _tell(connection: sa.Connection, row: sa.Row[Any], until: datetime, fault: str, alarm: Alarm | None) -> None:
    # It is found anew each hour, in other words perhaps; from where nothing is planned stays the same.
    if alarm:
        text = (
            f"when {row.name!r} is due after {until:%Y-%m-%d %H:%M:%S} UTC cannot be told, so it does not run: {fault}"
        )
        alarm(connection, f"schedule:{row.id}:{until.isoformat()}", f"{row.name}: cannot be planned", text)


def _rule(schedule: Schedule) -> dict[str, Any]:
    ready = None if schedule.ready is None else schedule.ready.model_dump(mode="json")
    return {"zone": schedule.zone, "market": schedule.market, "ready": ready}
