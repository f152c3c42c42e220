"""Attempts at runs, as their runners and those who watch them tell: each change compared with what the row said before.

Whoever comes late finds another state, changes nothing and is told so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import sqlalchemy as sa

from workbench.core.errors import UnknownNameError
from workbench.jobs.records import (
    OUTCOMES,
    Alarm,
    AttemptRecord,
    Identity,
    Outcome,
    Records,
    attempt_record,
    locked_run,
)
from workbench.jobs.tables import ATTEMPTS, RUNS
from workbench.jobs.transitions import UNFINISHED, attempt_at_work, end_attempt, raise_alarm, set_run


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a runner hears when it beats: whether the attempt is still its own, and why it is to stop, if so."""

    mine: bool
    cancel: str | None


class Attempts(Records):
    """The attempts at runs."""

    def begin(self, run: str, n: int, token: str, identity: Identity, sha256: str | None) -> bool:
        """Say, as its runner, that an attempt runs, and which text of the notebook it is, if it could be read.

        Returns
        -------
        bool
            ``False`` if this runner came too late or was not the one that is meant: it must leave at once.
        """
        wanted = (ATTEMPTS.c.run == run, ATTEMPTS.c.n == n, ATTEMPTS.c.token == token, ATTEMPTS.c.state == "starting")
        with self.database.writing() as connection:
            row = locked_run(connection, run)
            if (row.state, row.attempt) != ("running", n):
                return False
            values = {**asdict(identity), "state": "running", "sha256": sha256, "beat": ATTEMPTS.c.beat + 1}
            if connection.execute(ATTEMPTS.update().where(*wanted).values(values)).rowcount == 0:
                return False
            set_run(connection, run, sha256=sha256)
            return True

    def pulse(self, run: str, n: int) -> Pulse:
        """Let a runner beat, and hear whether it is to stop."""
        mine = (ATTEMPTS.c.run == run, ATTEMPTS.c.n == n, ATTEMPTS.c.state == "running")
        beaten = ATTEMPTS.update().where(*mine).values(beat=ATTEMPTS.c.beat + 1)
        with self.database.writing() as connection:
            lives = connection.execute(beaten).rowcount == 1
            return Pulse(lives, connection.execute(sa.select(RUNS.c.cancel).where(RUNS.c.id == run)).scalar())

    def finish(
        self, run: str, n: int, outcome: Outcome, reason: str | None = None, alarm: Alarm | None = None
    ) -> str | None:
        """End an attempt, and its run unless it is to be repeated; a second time changes nothing.

        Parameters
        ----------
        run : str
        n : int
        outcome : {"succeeded", "failed", "timed out", "limit", "cancelled", "lost"}
            ``lost`` is an attempt whose runner did not begin.
        reason : str, optional
        alarm : callable, optional
            Told, within the transaction, of a schedule's run that ends in trouble.

        Returns
        -------
        str, optional
            The run's state: how it ended, or ``"due"`` if it is repeated. ``None`` if the attempt was not at work,
            or has begun and is said to be lost.

        Raises
        ------
        UnknownNameError
            For a run or an outcome that is not there.
        """
        if outcome not in OUTCOMES:
            raise UnknownNameError("outcome", outcome, OUTCOMES)
        with self.database.writing() as connection:
            row = locked_run(connection, run)
            attempt = attempt_at_work(connection, row, n)
            # What has begun may have had its effect: it is never started anew as if nothing had happened.
            if attempt is None or (outcome == "lost" and attempt.state != "starting"):
                return None
            return end_attempt(connection, row, outcome, reason, self.clock(), alarm)

    def orphan(self, run: str, n: int, beat: int, reason: str, alarm: Alarm | None = None) -> str | None:
        """End an attempt that stands still at ``beat``: ``lost`` if it had not begun, else ``orphaned``.

        Returns
        -------
        str, optional
            As ``finish`` does; ``None`` also if it has beaten since.
        """
        with self.database.writing() as connection:
            row = locked_run(connection, run)
            attempt = attempt_at_work(connection, row, n)
            if attempt is None or attempt.beat != beat:
                return None
            state = "lost" if attempt.state == "starting" else "orphaned"
            return end_attempt(connection, row, state, reason, self.clock(), alarm)

    def tell(self, run: str, alarm: Alarm) -> None:
        """Tell of a schedule's run that has ended in trouble, whoever ended it; of any other, nothing.

        Raises
        ------
        UnknownNameError
        """
        with self.database.writing() as connection:
            locked_run(connection, run)
            raise_alarm(connection, run, alarm)

    def at_work(self) -> list[AttemptRecord]:
        """Return the attempts that start or run, with their beats."""
        wanted = ATTEMPTS.select().where(ATTEMPTS.c.state.in_(UNFINISHED)).order_by(ATTEMPTS.c.run)
        with self.database.reading() as connection:
            return [attempt_record(row) for row in connection.execute(wanted)]

    def one(self, run: str, n: int) -> AttemptRecord:
        """Return an attempt.

        Raises
        ------
        UnknownNameError
        """
        wanted = ATTEMPTS.select().where(ATTEMPTS.c.run == run, ATTEMPTS.c.n == n)
        with self.database.reading() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            raise UnknownNameError("attempt", f"{run}, {n}", ())
        return attempt_record(row)

    def of(self, run: str) -> list[AttemptRecord]:
        """Return every attempt at a run, the first in front."""
        wanted = ATTEMPTS.select().where(ATTEMPTS.c.run == run).order_by(ATTEMPTS.c.n)
        with self.database.reading() as connection:
            return [attempt_record(row) for row in connection.execute(wanted)]
