"""A monitor: rules watched on a feed, in a thread, and what fires written down with its messages.

It needs no service: a sender that is up delivers the messages, now or later. Any number of monitors may watch one home,
in notebooks and services: of the same firing one of them tells.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

import sqlalchemy as sa

from workbench.alerts.attempts import Attempt
from workbench.alerts.evaluate import NamedRule
from workbench.alerts.following import Following
from workbench.alerts.forming import KeptBars, ReadBars
from workbench.alerts.streaming import Step, Watcher
from workbench.alerts.tables import ALERTS, RULES
from workbench.alerts.telling import write
from workbench.alerts.trees import is_streamed
from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.data.live.base import Gap
from workbench.data.providers.base import Quote

if TYPE_CHECKING:
    from workbench.alerts.book import RuleBook
    from workbench.data.live.feed import Feed

LOOK = 2.0
"""Seconds between two looks for rules that were added, changed or removed."""
BARS = 300.0
"""Seconds after which bars are read again, before the next quote is looked at."""
PATIENCE = 5.0
"""Seconds that ``stop`` waits for the thread."""

_LOG = logging.getLogger(__name__)


class Monitor:
    """Rules watched on a stream, from now until ``stop``, the end of the stream, or the end of this process.

    Every few seconds it looks for rules that were added, snoozed or removed. A feed that breaks off is opened again,
    after waits that grow; a symbol that it does not know is left out. Each gap is told in the log; nothing fires by
    one, but by the bars that closed in it. While the records are away it goes on with the rules that it knows, and
    writes down later what fires.

    Attributes
    ----------
    fired : int
        How many times a rule fired.
    told : int
        How many alerts were new: what another monitor or the scheduled evaluation has told is not told again.
    evaluated : int
        How many times a rule was evaluated at a symbol.

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
        self._book, self._database, self._clock = book, database, clock
        self._usual, self._bars = usual, KeptBars(read_bars)
        self.fired = self.told = self.evaluated = 0
        self._looking = Attempt(_LOG, "rules and bars cannot be read or followed now")
        self._writing = Attempt(_LOG, "what fired is not written down yet")
        self._watcher, self._unwritten = Watcher([], {}), Step()
        self._known: object = None
        self._foreign = set[tuple[str, str]]()
        self._next_bars = monotonic() + BARS
        self._stopped, self._ready = threading.Event(), threading.Event()
        self._line = Following(feed, self._stopped)
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
    def error(self) -> str:
        """What goes wrong now; empty where nothing does."""
        return self._writing.error or self._line.error or self._looking.error

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The last hundred gaps that were read."""
        return self._line.gaps

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
        try:
            while not self._stopped.is_set():
                try:
                    if not self._turn():
                        return
                except Exception as error:
                    # A fault of ours or of a plugin's must not end the watch either.
                    _LOG.exception("a fault while quotes were looked at: %s", error)
                    self._stopped.wait(LOOK)
        finally:
            self._ready.set()
            self._write()
            if self._has_news:
                _LOG.error("%d times a rule fired that nobody is told of", len(self._unwritten.fired))
            self._line.close()

    def _turn(self) -> bool:
        """Look at the rules and the feed once; return whether there may be more."""
        if self._looking.is_due:
            self._look()
        self._ready.set()
        events = self._line.hear()
        quotes = [each for each in events if isinstance(each, Quote)]
        if quotes and monotonic() >= self._next_bars and (self._looking.is_due or not self._looking.error):
            # What closed meanwhile may have been told by the scheduled evaluation.
            self._look(anew=True)
        step = self._watcher.take(quotes)
        self.evaluated, self.fired = self.evaluated + step.evaluated, self.fired + len(step.fired)
        self._unwritten += step
        self._report_foreign()
        if self._writing.is_due:
            self._write()
        if events or not self._line.has_ended:
            return True
        if self._has_news:
            self._stopped.wait(LOOK)
        return self._has_news

    @property
    def _has_news(self) -> bool:
        return bool(self._unwritten.fired or self._unwritten.let_go)

    def _report_foreign(self) -> None:
        for symbol, currencies in sorted(self._watcher.foreign - self._foreign):
            _LOG.warning("quotes of %s are in %s, as its bars are; they are not looked at", symbol, currencies)
        self._foreign |= self._watcher.foreign

    def _write(self) -> None:
        """Write down what fired, and try again later where that fails: it would not fire again."""
        if not self._has_news:
            return
        try:
            self.told += write(self._database, self._unwritten, self._clock, self._usual)
        except Exception as error:
            self._writing.failed(error)
        else:
            self._unwritten = Step()
            self._writing.done()

    def _look(self, *, anew: bool = False) -> None:
        """Read the rules, and what they are compared with, where there is anything new, or all ``anew``."""
        try:
            self._renew(anew)
            self._line.follow(self.symbols)
        except Exception as error:
            self._looking.failed(error)
        else:
            self._looking.done(LOOK)

    def _renew(self, anew: bool) -> None:
        known = self._marks()
        is_old = anew or (self._bars.lacks_some and monotonic() >= self._next_bars)
        if known == self._known and not is_old:
            return
        rules = [each for each in self._book.list() if is_streamed(each.rule) and not self._expired(each)]
        if is_old:
            self._bars.forget()
            self._next_bars = monotonic() + BARS
        watcher = Watcher(rules, self._bars.of(rules))
        watcher.follow_up(self._watcher)
        watcher.disarm(self._holding(self._watcher))
        self._watcher, self._known = watcher, known

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


def _end(stopped: threading.Event, thread: threading.Thread) -> None:
    stopped.set()
    if thread is not threading.current_thread():
        with suppress(RuntimeError):
            # It may not have begun.
            thread.join(PATIENCE)
