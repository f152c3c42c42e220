"""The loop that plans, claims and starts runs, and looks after those whose service died; any number may be up."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NoReturn

from sqlalchemy.exc import SQLAlchemyError

from workbench.core.clock import Clock, utc_now
from workbench.core.database import Database, open_database
from workbench.core.errors import StoreError, WorkbenchError
from workbench.core.parent import when_parent_ends
from workbench.core.settings import Settings
from workbench.jobs.alarms import Alarms
from workbench.jobs.claims import Claims
from workbench.jobs.driver import Command, Driver
from workbench.jobs.engine import Engine
from workbench.jobs.identity import own_identity
from workbench.jobs.ledger import Ledger
from workbench.jobs.market import parse_trigger
from workbench.jobs.moments import resolve
from workbench.jobs.outcome import attempt_folder
from workbench.jobs.reaper import Reaper
from workbench.jobs.records import Alarm, RunRecord
from workbench.jobs.retention import prune
from workbench.jobs.runner import command
from workbench.jobs.schedule import Ready
from workbench.jobs.services import Services

if TYPE_CHECKING:
    from workbench.data.store import BarStore

TICK = 1.0
"""The longest pause between two looks at the agenda, in seconds: a new schedule is seen after it."""

PLANNED = 20
"""How many schedules are planned before what is due is claimed: a thousand at once take seconds."""

BEAT, DATA, DAY = 5.0, 30.0, 86400.0
"""How often a service beats and looks after others, asks for data that is waited for, and tidies up; in seconds."""

FIRST_TIDYING = 600.0
"""When a new service tidies up first, in seconds."""

FORGET = timedelta(days=7)
"""How long the engine keeps what has ended."""

PASSING = (StoreError, OSError, SQLAlchemyError)
"""A server that is restarted, a disk that is full for a while: PostgreSQL's driver lets some of it pass as it is."""

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Rhythm:
    """Says when something is to be done again; by a stopwatch, so that no clock's setting delays it."""

    every: float
    stopwatch: Callable[[], float] = time.monotonic
    next: float = field(default=0.0)

    def is_due(self) -> bool:
        """Say so, once in ``every`` seconds."""
        now = self.stopwatch()
        if now < self.next:
            return False
        self.next = now + self.every
        return True


class Service:
    """One service.

    Parameters
    ----------
    settings : Settings
    database : Database
    runner : callable, optional
        The command of a runner; by itself that of ``workbench.jobs.runner``.
    alarm : callable, optional
        Told of a schedule's run that ends in trouble, or of one that cannot be planned, within that transaction; where
        it raises, that is logged, the run is closed all the same, and it is called again later.
    clock : callable
        Says what is due; nothing else hangs on it.
    calendar : str
        Exchange whose sessions relative dates mean, where no market trigger names another.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        runner: Command | None = None,
        alarm: Alarm | None = None,
        clock: Clock = utc_now,
        calendar: str = "XNYS",
    ) -> None:
        self.settings, self.database, self.clock = settings, database, clock
        self.alarms, self.calendar = Alarms(alarm), calendar
        self.ledger, self.claims = Ledger(database, clock), Claims(database, clock)
        self.services = Services(database, clock)
        self.driver = Driver(settings, database, clock, runner or command, self.alarms)
        self.reaper = Reaper(self.services, self.driver)
        self.id, self._living = "", set[str]()
        # No Event: in a signal's handler it would wait for what the interrupted thread holds.
        self._wakes, self._stopped = SimpleQueue[None](), False
        self._beat, self._data = Rhythm(BEAT), Rhythm(DATA)
        self._tidying = Rhythm(DAY, next=time.monotonic() + FIRST_TIDYING)

    def run(self) -> None:
        """Serve until ``stop`` is called; runners that are at work are left alone.

        Raises
        ------
        StoreError
            If the records or the engine's tables cannot be opened.
        """
        self._register()
        try:
            # Runs that another service has just let go are seen to here while their own are.
            self.engine = Engine(self.settings, self.id, self._see_through, 2 * self.settings.runs_at_once + 8)
            while not self._stopped:
                self._rest(self._tick())
        finally:
            self.alarms.lose()
            with suppress(StoreError):
                self.services.bury(self.id)

    def stop(self) -> None:
        """Let ``run`` return soon; from any thread, or a signal's handler."""
        self._stopped = True
        self._wakes.put(None)

    @cached_property
    def store(self) -> BarStore:
        """The bars that runs wait for; what reads them takes a second to import, which few services need."""
        from workbench.data.store import BarStore
        from workbench.data.tables.opening import open_tables

        return BarStore(open_tables(self.settings), self.clock)

    def _rest(self, seconds: float) -> None:
        """Wait so long at most, or until something has happened."""
        with suppress(Empty):
            self._wakes.get(timeout=seconds)
            while True:
                self._wakes.get_nowait()

    def _tick(self) -> float:
        """Do what there is to do; return how many seconds there are until then."""
        try:
            if self._beat.is_due():
                self._look_after_others()
            agenda = self.claims.agenda()
            more = False
            if agenda.next_look is not None and agenda.next_look <= self.clock():
                more = self.ledger.plan(PLANNED, self.alarms).more
                agenda = self.claims.agenda()
            if agenda.waiting and self._data.is_due():
                self._ask_for_data()
            if agenda.due:
                self._claim()
            if self._tidying.is_due():
                threading.Thread(target=self._tidy, name="tidying", daemon=True).start()
        except PASSING as error:
            _LOG.error("%s", error)
            return TICK
        if more or agenda.next_look is None:
            return 0.0 if more else TICK
        return min(max((agenda.next_look - self.clock()).total_seconds(), 0.0), TICK)

    def _register(self) -> None:
        self.id = secrets.token_hex(8)
        self.services.register(self.id, own_identity())

    def _look_after_others(self) -> None:
        """Beat, and take over what dead services and runners have left, and what a fault of the records cut short."""
        if not self.services.beat(self.id):
            # Taken for dead while it stood still: what it had is another one's now.
            self._register()
            self.engine.rename(self.id)
        self.claims.give_back(self.id)
        self.alarms.again(lambda run: self.driver.attempts.tell(run, self.alarms))
        self.reaper.bury_dead_services(self.id)
        attempts = self.reaper.settle_dead_attempts()
        if attempts:
            self.services.adopt(self.id)
        for attempt in attempts:
            # Whoever let it start may not have come to this; of several that do it, one does.
            if attempt.state == "starting":
                self.engine.begin(attempt.run, attempt.n)
        living = {each.id for each in self.services.services()}
        # A service that has gone may have left runs that have ended since, and that nobody was told of.
        if attempts or living != self._living:
            self.engine.recover(living)
            self._living = living

    def _claim(self) -> None:
        for run in self.claims.claim(self.id, self.settings.runs_at_once):
            self._start(run)

    def _start(self, run: RunRecord) -> None:
        values, moments = run.resolved or {}, run.moments or {}
        if run.resolved is None:
            try:
                values, moments = resolve(run.job.parameters, run.due, self._exchange(run), run.zone)
            except WorkbenchError as error:
                self.claims.refuse(run.id, self.id, str(error), self.alarms)
                return
        folder = attempt_folder(self.settings.reports, run.id, run.attempt)
        attempt = self.claims.start(run.id, self.id, str(folder), values, moments)
        if attempt is not None:
            self.engine.begin(run.id, attempt.n)

    def _see_through(self, run: str, n: int) -> None:
        """See an attempt through, whatever happens to the records meanwhile, and let another run take its place."""
        while True:
            try:
                _LOG.info("run %s of %s: attempt %d", run[:8], self.ledger.run(run).job.name, n)
                self.driver.see_through(run, n)
                # No reason: it may hold what a notebook printed.
                _LOG.info("run %s: %s", run[:8], self.ledger.run(run).state)
                break
            except PASSING as error:
                _LOG.error("%s", error)
                time.sleep(TICK)
        self._wakes.put(None)

    def _ask_for_data(self) -> None:
        from workbench.jobs.ready import missing_symbols, too_late

        now = self.clock()
        for run in self.claims.waiting():
            try:
                missing = missing_symbols(self.store, Ready.of(run.ready or {}), self._exchange(run), run.due)
            except WorkbenchError as error:
                missing = [f"{error}"]
            if not missing:
                self.claims.make_ready(run.id, self.clock())
            elif run.deadline is not None and now >= run.deadline:
                self.claims.expire(run.id, too_late(run, missing, run.zone), self.alarms)

    def _exchange(self, run: RunRecord) -> str:
        return parse_trigger(run.market).calendar if run.market else self.calendar

    def _tidy(self) -> None:
        try:
            prune(self.database, self.clock, self.settings.reports)
            self.engine.tidy(self.clock() - FORGET)
        except WorkbenchError as error:
            _LOG.error("%s", error)


def serve(
    settings: Settings,
    *,
    until_parent: bool = False,
    runner: Command | None = None,
    alarm: Alarm | None = None,
    calendar: str = "XNYS",
) -> NoReturn:
    """Serve until this process is asked to end, and end it: its runners go on, and the next service finds them.

    Parameters
    ----------
    settings : Settings
    until_parent : bool
        End as well when the standard input ends, as it does with the process that holds its other end.
    runner, alarm, calendar
        See ``Service``.

    Raises
    ------
    StoreError
        If the records or the engine's tables cannot be opened.
    """
    service = Service(settings, open_database(settings), runner=runner, alarm=alarm, calendar=calendar)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    if until_parent:
        when_parent_ends(service.stop)
    service.run()
    logging.shutdown()
    sys.stderr.flush()
    # Threads that wait for runners would hold this process until those end.
    os._exit(0)
