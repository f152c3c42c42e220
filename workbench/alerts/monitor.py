"""A monitor: rules watched on a feed, in a thread, and what fires written down with its messages.

It needs no service: a sender that is up delivers the messages, now or later. Any number of monitors may watch one home,
in notebooks and services: of the same firing one of them tells.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from workbench.alerts.evaluate import NamedRule
from workbench.alerts.forming import KeptBars, ReadBars
from workbench.alerts.streaming import Step, Watcher
from workbench.alerts.tables import ALERTS, RULES
from workbench.alerts.telling import write
from workbench.alerts.trees import is_streamed
from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import StoreError, WorkbenchError
from workbench.data.live.base import Gap
from workbench.data.live.pacing import growing_delays
from workbench.data.providers.base import Quote

if TYPE_CHECKING:
    from workbench.alerts.book import RuleBook
    from workbench.data.live.feed import Feed
    from workbench.data.live.mailbox import Subscription

LOOK = 2.0
"""Seconds between two looks for rules that were added, changed or removed."""
BARS = 300.0
"""Seconds after which bars are read again, if there were quotes since."""
SLICE = 0.5
"""Seconds after which a monitor without quotes looks up."""
PATIENCE = 5.0
"""Seconds that ``stop`` waits for the thread."""

PASSING = (StoreError, OSError, SQLAlchemyError)
"""What a server that is restarted or a full disk brings: what fired is written once it has passed."""

_LOG = logging.getLogger(__name__)


class Monitor:
    """Rules watched on a stream, from now until ``stop``, the end of the stream, or the end of this process.

    Every few seconds it looks for rules that were added, snoozed or removed. A feed that breaks off is opened again,
    after waits that grow. Each gap is told in the log; nothing fires by one.

    Attributes
    ----------
    fired : int
        How many times a rule fired.
    told : int
        How many alerts were new: what another monitor or the scheduled evaluation has told is not told again.
    evaluated : int
        How many times a rule was evaluated at a symbol.
    gaps : tuple of Gap
        The last hundred gaps that were read.
    error : str
        What last went wrong; empty once quotes arrive again.

    Parameters
    ----------
    feed : callable
        Opens a feed of the symbols that it is given. One that follows others, such as fixed ones, is kept.
    book : RuleBook
    database : Database
    clock : callable
        The present instant.
    read_bars : callable
        Returns all bars of symbols of a dataset, of those that it has, adjusted so.
    usual : tuple of str
        The channels of rules whose policies name none.
    """

    def __init__(
        self,
        feed: Callable[[Sequence[str]], Feed],
        book: RuleBook,
        database: Database,
        clock: Clock,
        read_bars: ReadBars,
        *,
        usual: tuple[str, ...] = ("lab",),
    ) -> None:
        self._open, self._book, self._database, self._clock = feed, book, database, clock
        self._usual, self._bars = usual, KeptBars(read_bars)
        self.fired = self.told = self.evaluated = 0
        self.gaps: tuple[Gap, ...] = ()
        self.error = ""
        self._watcher = Watcher([], {})
        self._known: object = None
        self._feed: Feed | None = None
        self._reader: Subscription | None = None
        self._asked: tuple[str, ...] = ()
        self._next_look, self._next_bars, self._compared = 0.0, monotonic() + BARS, 0
        self._stopped, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="alert monitor", daemon=True)
        # At the end of the interpreter as well, so that no thread is cut off in the middle of a word.
        self._end = weakref.finalize(self, _end, self._stopped, self._thread)
        self._thread.start()

    def __repr__(self) -> str:
        state = "watches" if self.is_running else "has ended"
        rules, count = len(self._watcher.rules), len(self._watcher.symbols)
        about = f"{rules} rule{'s' * (rules != 1)} at {count} symbol{'s' * (count != 1)}"
        fault = f"; {self.error}" if self.error else ""
        return f"<Monitor {state}: {about}, {self.told} alert{'s' * (self.told != 1)}{fault}>"

    @property
    def is_running(self) -> bool:
        """Whether it still watches."""
        return self._thread.is_alive()

    @property
    def rules(self) -> tuple[NamedRule, ...]:
        """The rules that it watches."""
        return self._watcher.rules

    @property
    def symbols(self) -> list[str]:
        """The symbols of the rules that it watches."""
        return self._watcher.symbols

    def ready(self, timeout: float | None = None) -> bool:
        """Wait until the rules are read and the feed is open, or it has ended; say whether that is so."""
        return self._ready.wait(timeout)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, as it does with a replay; say whether that is so."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End it, and its feed."""
        self._end()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # What follows runs in the monitor's own thread.

    def _run(self) -> None:
        delays: Iterator[float] = growing_delays()
        try:
            while not self._stopped.is_set():
                try:
                    if not self._turn():
                        return
                except Exception as error:
                    self._trouble(error)
                    self._stopped.wait(next(delays))
                else:
                    if not self.error:
                        delays = growing_delays()
        finally:
            self._close()
            self._ready.set()

    def _trouble(self, error: Exception) -> None:
        """Tell what goes wrong; a fault of ours or of a plugin's must not end the watch either."""
        is_told = isinstance(error, WorkbenchError)
        self.error = str(error) if is_told else f"{type(error).__name__}: {error}"
        _LOG.error("the monitor goes on after: %s", self.error, exc_info=None if is_told else error)
        if self._reader is None or self._reader.ended:
            self._close()

    def _turn(self) -> bool:
        """Look at the rules and the feed once; return whether there may be more."""
        if monotonic() >= self._next_look:
            self._look()
            self._next_look = monotonic() + LOOK
        if self._reader is None:
            self._ready.set()
            self._stopped.wait(SLICE)
            return True
        self._ready.set()
        events = self._reader.drain(SLICE)
        if not events:
            return not self._reader.ended
        self._read([each for each in events if isinstance(each, Gap)])
        step = self._watcher.take([each for each in events if isinstance(each, Quote)])
        self.evaluated, self.error = self.evaluated + step.evaluated, ""
        self._write(step)
        return True

    def _read(self, gaps: Sequence[Gap]) -> None:
        for gap in gaps:
            names = ", ".join(gap.symbols[:5]) + (f" and {len(gap.symbols) - 5} more" if len(gap.symbols) > 5 else "")
            if gap.until is None:
                _LOG.warning(
                    "no quotes of %s by %s since %s UTC: %s", names, gap.source, f"{gap.since:%H:%M:%S}", gap.reason
                )
            else:
                since, until = f"{gap.since:%H:%M:%S}", f"{gap.until:%H:%M:%S}"
                _LOG.warning("%s by %s: quotes from %s to %s UTC may have been missed", names, gap.source, since, until)
        self.gaps = (*self.gaps, *gaps)[-100:]

    def _write(self, step: Step) -> None:
        """Write down what fired, however long that takes: it would not fire again."""
        if not (step.fired or step.let_go):
            return
        self.fired += len(step.fired)
        delays = growing_delays()
        while True:
            try:
                self.told += write(self._database, step, self._clock, self._usual)
            except PASSING as error:
                self.error = str(error)
                _LOG.error("what fired is not written down yet: %s", error)
                if self._stopped.wait(next(delays)):
                    return
            else:
                self.error = ""
                return

    def _look(self) -> None:
        """Read the rules, and what they are compared with, where there is anything new."""
        known, now = self._marks(), monotonic()
        is_old = now >= self._next_bars and (self._bars.lacks_some or self.evaluated != self._compared)
        if known == self._known and not is_old:
            return
        rules = [each for each in self._book.list() if is_streamed(each.rule) and not self._expired(each)]
        if is_old:
            self._bars.forget()
            self._next_bars, self._compared = now + BARS, self.evaluated
        watcher = Watcher(rules, self._bars.of(rules))
        watcher.follow_up(self._watcher)
        watcher.disarm(self._holding(self._watcher))
        self._report_foreign()
        self._watcher = watcher
        self._follow(tuple(watcher.symbols))
        self._known = known

    def _follow(self, symbols: tuple[str, ...]) -> None:
        """Follow symbols, unless they are followed already."""
        if {*symbols} <= {*self._asked}:
            return
        # Nothing is asked of its source yet.
        feed = self._open(symbols)
        if self._feed is None or {*feed.symbols} != {*self._feed.symbols}:
            self._close()
            self._feed, self._reader = feed, feed.subscribe()
        self._asked = symbols

    def _close(self) -> None:
        feed, self._feed, self._reader, self._asked, self._known = self._feed, None, None, (), None
        if feed is not None:
            feed.close()

    def _expired(self, named: NamedRule) -> bool:
        return named.policy.expires is not None and named.policy.expires <= self._clock()

    def _marks(self) -> object:
        """Return what differs when any rule was added, changed or removed; cheaper than the rules themselves."""
        columns = (RULES.c.id, RULES.c.snoozed, sa.cast(RULES.c.policy, sa.Text))
        with self._database.reading() as connection:
            return [tuple(row) for row in connection.execute(sa.select(*columns).where(RULES.c.removed.is_(None)))]

    def _holding(self, before: Watcher) -> Mapping[tuple[str, str], datetime]:
        """Return what a stream has told and not let go of, of rules that were not watched here before."""
        own = {(str(each.id), series[1]) for each, series in before.cells}
        columns = (ALERTS.c.rule, ALERTS.c.symbol, ALERTS.c.since)
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(*columns).where(ALERTS.c.holds.is_(sa.true()))).all()
        return {(row.rule, row.symbol): row.since for row in rows if (row.rule, row.symbol) not in own}

    def _report_foreign(self) -> None:
        for symbol, currencies in sorted(self._watcher.foreign):
            _LOG.warning("quotes of %s are in %s, as its bars are; they are not looked at", symbol, currencies)


def _end(stopped: threading.Event, thread: threading.Thread) -> None:
    stopped.set()
    if thread is not threading.current_thread():
        with suppress(RuntimeError):
            # It may not have begun.
            thread.join(PATIENCE)
