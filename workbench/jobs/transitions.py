"""How a run and its attempts change state, within a transaction that holds the run's row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workbench.jobs.planning import next_try
from workbench.jobs.records import OPEN, TROUBLE, Alarm, locked_run
from workbench.jobs.schedule import Policies
from workbench.jobs.tables import ATTEMPTS, RUNS

AT_WORK = ("claimed", "running")
UNFINISHED = ("starting", "running")

# Written out in the statement: SQLite uses a partial index only where it reads the index's own condition.
STILL_OPEN: sa.BindParameter[list[str]] = sa.bindparam("still_open", list(OPEN), expanding=True, literal_execute=True)


def set_run(connection: sa.Connection, run: str, **values: Any) -> None:
    """Change columns of a run."""
    connection.execute(RUNS.update().where(RUNS.c.id == run).values(values))


def close_run(connection: sa.Connection, run: str, now: datetime, state: str, reason: str | None) -> None:
    """End a run, and the attempt that waits for its turn, if there is one."""
    set_run(connection, run, state=state, reason=reason, owner=None, finished=now)
    waiting = ATTEMPTS.update().where(ATTEMPTS.c.run == run, ATTEMPTS.c.state == "waiting")
    connection.execute(waiting.values(state="cancelled", reason=reason, finished=now))


def raise_alarm(connection: sa.Connection, run: str, alarm: Alarm | None) -> None:
    """Tell of a run of a schedule that has ended in trouble; its key is the same each time."""
    row = connection.execute(RUNS.select().where(RUNS.c.id == run)).one()
    if alarm is None or row.schedule is None or row.state not in TROUBLE:
        return
    why = f": {row.reason}" if row.reason else ""
    text = f"the run of {row.name!r} that was due at {row.due:%Y-%m-%d %H:%M:%S} UTC ended as {row.state}{why}"
    alarm(connection, f"run:{row.id}", f"{row.name}: {row.state}", text)


def claims_of(connection: sa.Connection, service: str) -> list[str]:
    """Return the runs that a service has claimed and not started, in the order in which they are to be locked."""
    claimed = (RUNS.c.state.in_(STILL_OPEN), RUNS.c.state == "claimed", RUNS.c.owner == service)
    return list(connection.execute(sa.select(RUNS.c.id).where(*claimed).order_by(RUNS.c.id)).scalars())


def release_run(connection: sa.Connection, run: str, service: str, now: datetime) -> bool:
    """Make a run that a service claimed due again, or end it if it is to be cancelled; whether the claim was there."""
    row = locked_run(connection, run)
    if (row.state, row.owner) != ("claimed", service):
        return False
    if row.cancel:
        close_run(connection, run, now, "cancelled", row.cancel)
    else:
        set_run(connection, run, state="due", owner=None)
    return True


def cancel_run(connection: sa.Connection, run: str, reason: str, now: datetime) -> str | None:
    """Cancel a run; see ``Claims.cancel``."""
    row = locked_run(connection, run)
    if row.state in ("waiting", "due"):
        close_run(connection, run, now, "cancelled", reason)
        return "cancelled"
    if row.state not in AT_WORK:
        return None
    set_run(connection, run, cancel=row.cancel or reason)
    return "asked"


def attempt_at_work(connection: sa.Connection, run: sa.Row[Any], n: int) -> sa.Row[Any] | None:
    """Return the attempt of a running run if it starts or runs."""
    if (run.state, run.attempt) != ("running", n):
        return None
    wanted = (ATTEMPTS.c.run == run.id, ATTEMPTS.c.n == n, ATTEMPTS.c.state.in_(UNFINISHED))
    return connection.execute(ATTEMPTS.select().where(*wanted).with_for_update()).first()


def end_attempt(
    connection: sa.Connection, run: sa.Row[Any], state: str, reason: str | None, now: datetime, alarm: Alarm | None
) -> str:
    """End the attempt that is at work, and its run with it unless it is to be repeated; return the run's state."""
    attempt = (ATTEMPTS.c.run == run.id, ATTEMPTS.c.n == run.attempt)
    connection.execute(ATTEMPTS.update().where(*attempt).values(state=state, reason=reason, finished=now))
    set_run(connection, run.id, folder=sa.select(ATTEMPTS.c.folder).where(*attempt).scalar_subquery())
    if run.cancel and state != "succeeded":
        close_run(connection, run.id, now, "cancelled", run.cancel)
        return "cancelled"
    policies = Policies.of(run.policies)
    tries, lost = _tries(connection, run.id)
    again = next_try(policies, state, tries, lost, now)
    if again is None:
        ended = "failed" if state == "lost" else state
        close_run(connection, run.id, now, ended, reason)
        raise_alarm(connection, run.id, alarm)
        return ended
    why = f"{state}: {reason}" if reason else state
    number = f"retry {tries} of {policies.retries}" if state != "lost" else f"start {lost + 1}"
    _repeat(connection, run, again, f"{number}; attempt {run.attempt} ended as {why}", now)
    return "due"


def _repeat(connection: sa.Connection, run: sa.Row[Any], again: datetime, reason: str, now: datetime) -> None:
    n = run.attempt + 1
    # None is "at once" by any clock.
    not_before = again if again > now else None
    set_run(connection, run.id, state="due", reason=reason, owner=None, attempt=n, not_before=not_before)
    waiting = {"run": run.id, "n": n, "state": "waiting", "reason": reason, "beat": 0, "planned": now}
    connection.execute(ATTEMPTS.insert().values(waiting))


def _tries(connection: sa.Connection, run: str) -> tuple[int, int]:
    """Return how many attempts at a run began, and how many did not."""
    states = connection.execute(sa.select(ATTEMPTS.c.state).where(ATTEMPTS.c.run == run)).scalars().all()
    lost = states.count("lost")
    return len(states) - lost, lost
