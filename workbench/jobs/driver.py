"""An attempt seen through: its runner started, or attached to, and what became of it kept."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.settings import Settings
from workbench.jobs.attempts import Attempts
from workbench.jobs.identity import lives
from workbench.jobs.ledger import Ledger
from workbench.jobs.outcome import LOG, clear_up, read_outcome
from workbench.jobs.processes import ATTEMPT, RUN, end_tree
from workbench.jobs.records import TROUBLE, Alarm, AttemptRecord, Identity
from workbench.jobs.transitions import UNFINISHED

Command = Callable[[str, int, str], list[str]]
"""The command of a runner, from a run's id, the number of an attempt and its token."""

_LOOK = 0.5
"""How often a runner that another service started is looked at, in seconds."""


class Driver:
    """Sees attempts through; any number at once, each in a thread of its own.

    Parameters
    ----------
    settings : Settings
        For the runners.
    database : Database
    clock : callable
    command : callable
    alarm : callable, optional
        Told of a schedule's run that ends in trouble.
    """

    def __init__(
        self, settings: Settings, database: Database, clock: Clock, command: Command, alarm: Alarm | None = None
    ) -> None:
        self.attempts, self.ledger = Attempts(database, clock), Ledger(database, clock)
        self.command = command
        self.alarm = alarm
        self._environment = settings.environment()

    def see_through(self, run: str, n: int) -> None:
        """Return when an attempt has ended; its runner is started unless it runs already.

        Two that are started for one attempt do no harm: the one that begins second leaves at once.

        Raises
        ------
        StoreError
            If the records cannot be read or written; call again then.
        """
        attempt = self.attempts.one(run, n)
        if attempt.state == "starting":
            self._started(attempt)
        while (attempt := self.attempts.one(run, n)).state in UNFINISHED:
            # Not a child of this process: it is asked after, and one that has not begun is left to the reaper.
            if attempt.state == "running" and lives(identity_of(attempt)) is False:
                self.settle(attempt, "its runner was killed")
            time.sleep(_LOOK)
        if self.alarm and self.ledger.run(run).state in TROUBLE:
            self.attempts.tell(run, self.alarm)

    def settle(self, attempt: AttemptRecord, reason: str) -> str | None:
        """End an attempt whose runner is gone: as it says in what it left, or else as orphaned for a reason.

        Returns
        -------
        str, optional
            The run's state, as ``Attempts.finish`` does.
        """
        if attempt.state == "starting":
            # The records first: a runner that begins at this very moment is left alone.
            state = self.attempts.orphan(attempt.run, attempt.n, attempt.beat, reason, self.alarm)
            if state is not None:
                end_tree(attempt.run, attempt.n)
            return state
        # Its kernel may live on, and would still be at work when the next attempt is.
        end_tree(attempt.run, attempt.n, identity_of(attempt))
        folder = Path(str(attempt.folder))
        left = read_outcome(folder)
        if left is not None:
            return self.attempts.finish(attempt.run, attempt.n, left.outcome, left.reason, self.alarm)
        clear_up(folder)
        return self.attempts.orphan(attempt.run, attempt.n, attempt.beat, reason, self.alarm)

    def _started(self, attempt: AttemptRecord) -> None:
        """Start a runner and wait until it is gone."""
        try:
            process = self._process(attempt)
        except OSError as error:
            reason = f"its runner could not be started ({error.strerror or error})"
            self.attempts.finish(attempt.run, attempt.n, "lost", reason, self.alarm)
            return
        code = process.wait()
        left = self.attempts.one(attempt.run, attempt.n)
        # Another one may have begun first; then that is the runner.
        if left.state == "starting" or (left.state == "running" and lives(identity_of(left)) is False):
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            self.settle(left, f"its runner {how} and left no outcome")

    def _process(self, attempt: AttemptRecord) -> subprocess.Popen[bytes]:
        folder = Path(str(attempt.folder))
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self._environment, RUN: attempt.run, ATTEMPT: str(attempt.n)}
        with (folder / LOG).open("ab") as log:
            # A session of its own: it outlives this service, and no key pressed in a terminal reaches it.
            return subprocess.Popen(  # noqa: S603
                self.command(attempt.run, attempt.n, str(attempt.token)),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def identity_of(attempt: AttemptRecord) -> Identity:
    """Return who the runner of an attempt that runs is."""
    return Identity(str(attempt.host), str(attempt.boot), int(attempt.pid or 0), int(attempt.ticks or 0))
