"""The process of one attempt at a run: ``python -m workbench.jobs.runner RUN ATTEMPT TOKEN``.

It is started by a service and outlives it: it says itself that it began, that it lives and how it ended. What it leaves
lies in the attempt's own folder, ``outcome.json`` last, so whoever finds that file need not run the attempt again.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from workbench.core.clock import utc_now
from workbench.core.database import open_database
from workbench.core.errors import InputError, StoreError, WorkbenchError
from workbench.core.files import socket_folder
from workbench.core.known import VARIABLE as AS_OF
from workbench.core.settings import Settings, load_settings
from workbench.jobs.attempts import Attempts
from workbench.jobs.identity import own_identity
from workbench.jobs.ledger import Ledger
from workbench.jobs.limits import Limits, Watch, prepare_process
from workbench.jobs.outcome import (
    LOG,
    STAGING,
    TEMPORARY,
    Ending,
    attempt_folder,
    one_line,
    read_outcome,
    write_outcome,
)
from workbench.jobs.processes import ATTEMPT, RUN
from workbench.jobs.records import Outcome, RunRecord
from workbench.jobs.source import read_text, sha256_of

__all__ = ["attempt_folder", "command", "main", "read_outcome"]

log = logging.getLogger("workbench.jobs")

PULSE_SECONDS = 1.0
LEAVE_SECONDS = 20.0
"""How long a stopped run may take to write down what it has, which is less than a service waits."""
PATIENCE_SECONDS = 60.0
"""How long records that do not answer are asked again."""

DONE, FAULT, TOO_LATE = 0, 1, 3
"""Exit codes: the attempt's end is recorded; could not be recorded; was not this runner's to run."""


def command(run: str, n: int, token: str) -> list[str]:
    """Return the command of a runner, to be started in a session of its own with the service's settings."""
    return [sys.executable, "-m", "workbench.jobs.runner", run, str(n), token]


class Runner:
    """One attempt at a run, in a process of its own.

    Parameters
    ----------
    settings : Settings
    run : RunRecord
    n : int
        The attempt.
    folder : Path
        Where it leaves its files.
    attempts : Attempts
    ledger : Ledger
    """

    def __init__(
        self, settings: Settings, run: RunRecord, n: int, folder: Path, attempts: Attempts, ledger: Ledger
    ) -> None:
        self.settings = settings
        self.run = run
        self.n = n
        self.folder = folder
        self.attempts = attempts
        self.ledger = ledger
        self.mine = True
        self._left = threading.Lock()

    def work(self, token: str) -> int:
        """Begin, run, record; return the exit code."""
        text, fault = self._text()
        sha256 = None if text is None else sha256_of(text)
        if not self._patiently(partial(self.attempts.begin, self.run.id, self.n, token, own_identity(), sha256)):
            log.warning("too late: this attempt is not, or no longer, to be run by this process")
            return TOO_LATE
        log.info("attempt %d at %s (%s) begins", self.n, self.run.job.notebook, self.run.id)
        if text is None:
            return self._leave("failed", fault)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            watch = self._watch()
        except OSError as error:
            return self._leave("failed", f"cannot write to {self.folder} ({error.strerror}); check the disk")
        with self._heard(watch):
            outcome, reason = self._outcome(text, watch)
        return self._leave(outcome, reason)

    def _text(self) -> tuple[str | None, str | None]:
        """Return the text to be run, or why there is none."""
        job = self.run.job
        try:
            if job.mode == "pinned":
                return self.ledger.pinned_text(str(job.sha256)), None
            return read_text(job.notebook), None
        except InputError as error:
            return None, str(error)

    def _watch(self) -> Watch:
        limits = Limits.of(self.settings, self.run.job.policies.time_out)
        others, spared = [self.run.job.notebook.parent], [self.settings.reports]
        return Watch(limits, self.folder, others, spared, self.folder / LOG, self._make_room)

    def _make_room(self) -> None:
        """Remove what the notebook itself has left: it is not whole, and the disk is full of it."""
        for path in self.folder.iterdir():
            with suppress(OSError):
                if path.name == TEMPORARY or (path.is_dir() and not path.name.startswith(STAGING)):
                    shutil.rmtree(path, ignore_errors=True)
                elif path.is_file() and path.name != LOG and path.stem != self.run.job.notebook.stem:
                    path.unlink(missing_ok=True)

    def _outcome(self, text: str, watch: Watch) -> tuple[Outcome, str | None]:
        """Run the notebook; return how that ended."""
        # Nothing else of the runner needs Papermill and nbconvert: one that comes too late is quick.
        from workbench.jobs.run import Assignment, run

        job = self.run.job
        outcome: Outcome
        outcome, reason = "succeeded", None
        parameters = job.parameters if self.run.resolved is None else self.run.resolved
        try:
            with self._temporary() as temporary, watch:
                # Imports take their time; a run that was cancelled since does not start.
                assignment = Assignment(text, watch, job.kernel, job.formats, self._about())
                own: dict[str, Any] = {"environment": self._environment(temporary), "assignment": assignment}
                run(job.notebook, parameters, self.folder, progress=False, **own)
        except WorkbenchError as error:
            outcome, reason = "failed", str(error)
        except Exception as error:  # a broken library, a full disk: the run has failed, and its log tells where
            log.exception("the run failed outside of its notebook")
            outcome, reason = "failed", f"{one_line(error)}; see {self.folder / LOG}"
        if watch.verdict:
            outcome, reason = watch.verdict.outcome, watch.verdict.reason
        return outcome, reason

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """Give a folder for temporary files that lies in the run's own and is removed at the end.

        It has a short name: a library that makes sockets in it has 107 characters for their paths.
        """
        lies = self.folder / TEMPORARY
        lies.mkdir(exist_ok=True)
        try:
            with socket_folder() as short:
                (short / "t").symlink_to(lies.resolve())
                yield short / "t"
        finally:
            shutil.rmtree(lies, ignore_errors=True)

    def _environment(self, temporary: Path) -> Mapping[str, str]:
        """Return the variables of the kernel."""
        own = {
            RUN: self.run.id,
            ATTEMPT: str(self.n),
            "WORKBENCH_RUN_FOLDER": str(self.folder),
            "TMPDIR": str(temporary),
            # Forked from a server's warm process it would be no descendant of this one, nor have its variables.
            "WORKBENCH_WARM_KERNELS": "false",
        }
        if self.run.as_of is not None:
            # What was known when its data was complete; so a repetition sees the same.
            own[AS_OF] = self.run.as_of.isoformat()
        return {**self.settings.environment(), **own}

    def _about(self) -> dict[str, Any]:
        """Return what the executed notebook says of its run."""
        run = self.run
        return {
            "run": run.id,
            "attempt": self.n,
            "schedule": run.schedule,
            "name": run.job.name,
            "kind": run.kind,
            "due": run.due.isoformat(),
            "as_of": run.as_of.isoformat() if run.as_of else None,
            "mode": run.job.mode,
            "moments": dict(run.moments or {}),
        }

    @contextmanager
    def _heard(self, watch: Watch) -> Iterator[None]:
        """Let the attempt beat, hear whether it is to stop, and see to it that a stopped one leaves."""
        done = threading.Event()
        # A signal's handler runs in the main thread between two of its steps, so it must not wait for what that holds.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _frame: _apart(watch, f"it was ended by signal {number}"))
        beating = threading.Thread(target=self._beat, args=(watch, done), name="pulse", daemon=True)
        leaving = threading.Thread(target=self._see_off, args=(watch, done), name="leaving", daemon=True)
        beating.start()
        leaving.start()
        try:
            yield
        finally:
            done.set()
            beating.join(PULSE_SECONDS)

    def _beat(self, watch: Watch, done: threading.Event) -> None:
        while not done.wait(PULSE_SECONDS):
            try:
                pulse = self.attempts.pulse(self.run.id, self.n)
            except StoreError as error:
                # It may be back for the end; until then the work goes on.
                log.warning("could not say that the attempt lives: %s", error)
                continue
            if not pulse.mine:
                self.mine = False
                watch.stop("cancelled", "it was taken for dead")
            elif pulse.cancel:
                watch.stop("cancelled", pulse.cancel)

    def _see_off(self, watch: Watch, done: threading.Event) -> None:
        """Leave in the main thread's place if that does not come back although its run was stopped."""
        while not done.wait(LEAVE_SECONDS if watch.verdict else PULSE_SECONDS):
            if (verdict := watch.verdict) and not done.wait(LEAVE_SECONDS):
                log.error("the runner hangs; it leaves without its notebook")
                os._exit(self._leave(verdict.outcome, verdict.reason))

    def _leave(self, outcome: Outcome, reason: str | None) -> int:
        """Write down how the attempt ended, here and in the records."""
        with self._left:
            log.info("attempt %d ended: %s%s", self.n, outcome, f" ({reason})" if reason else "")
            if not self.mine:
                return TOO_LATE
            try:
                write_outcome(self.folder, Ending(self.run.id, self.n, outcome, reason))
            except OSError as error:
                log.warning("could not write the outcome: %s", error)
            try:
                self._patiently(partial(self.attempts.finish, self.run.id, self.n, outcome, reason))
            except StoreError as error:
                # A service reads the outcome later.
                log.warning("could not record the outcome: %s", error)
                return FAULT
            return DONE

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """Ask the records, for a while again and again if they do not answer."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return ask()
            except StoreError:
                if time.monotonic() > until:
                    raise
                time.sleep(PULSE_SECONDS)


def _apart(watch: Watch, reason: str) -> None:
    """Stop a run from a signal's handler."""
    threading.Thread(target=watch.stop, args=("failed", f"{reason}; run it again"), daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one attempt; the arguments are a run's id, the attempt's number and its token.

    Returns
    -------
    int
        The exit code: 0 if the attempt's end is recorded, 3 if it was not this process's to run.
    """
    run, n, token = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    prepare_process()
    settings = load_settings()
    database = open_database(settings)
    ledger, attempts = Ledger(database, utc_now), Attempts(database, utc_now)
    told = {attempt.n: attempt.folder for attempt in attempts.of(run)}.get(int(n))
    folder = Path(told) if told else attempt_folder(settings.reports, run, int(n))
    return Runner(settings, ledger.run(run), int(n), folder, attempts, ledger).work(token)


if __name__ == "__main__":
    sys.exit(main())
