"""The process that looks after alerts: it sends messages, evaluates rules on schedule, and may watch a stream.

Any number of them may be up: a message is sent by the one that claims it, a firing is told by the one that finds it
first. Where none is up, rules are evaluated and messages are sent by the next one.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

from workbench.core.clock import Clock, utc_now
from workbench.core.database import Database, open_database
from workbench.core.errors import WorkbenchError
from workbench.core.parent import when_parent_ends
from workbench.data.live.pacing import growing_delays

if TYPE_CHECKING:
    from workbench.alerts.evaluate import NamedRule
    from workbench.alerts.monitor import Monitor
    from workbench.core.settings import Settings

EVERY = 300.0
"""Seconds between two scheduled evaluations."""
PATIENCE = 10.0
"""Seconds that the sender has to end what it is at; what it leaves is sent again, with the same key."""

Evaluate = Callable[[Sequence["NamedRule"]], object]
"""Evaluates rules and raises alerts for what fired."""

_LOG = logging.getLogger(__name__)


class Service:
    """One service of alerts.

    Parameters
    ----------
    rules : callable
        Returns the rules that are kept.
    evaluate : callable
        Evaluates some rules and raises alerts for what fired.
    send : callable
        Sends messages until the event is set, such as ``Sender.run``.
    watch : callable, optional
        Opens a monitor.
    every : float
        Seconds from one scheduled evaluation to the next; the first comes at once.
    """

    def __init__(
        self,
        rules: Callable[[], Sequence[NamedRule]],
        evaluate: Evaluate,
        send: Callable[[threading.Event], None],
        *,
        watch: Callable[[], Monitor] | None = None,
        every: float = EVERY,
    ) -> None:
        self._rules, self._evaluate, self._send, self._watch, self.every = rules, evaluate, send, watch, every
        # No Event for the signal's handler: it would wait for what the interrupted thread holds.
        self._wakes, self._stopped = SimpleQueue[None](), threading.Event()
        self._monitor: Monitor | None = None

    def run(self) -> None:
        """Serve until ``stop`` is called."""
        sender = self._start(lambda: self._send(self._stopped), "alert sender")
        self._start(self._evaluate_on_schedule, "alert rules")
        if self._watch is not None:
            self._start(self._begin_watch, "alert watch")
        # Not for ever: a signal that comes right before a wait is seen after it only.
        while not self._is_woken(1.0):
            pass
        self._stopped.set()
        if self._monitor is not None:
            self._monitor.stop()
        sender.join(PATIENCE)

    def _is_woken(self, seconds: float) -> bool:
        try:
            self._wakes.get(timeout=seconds)
        except Empty:
            return False
        return True

    def stop(self) -> None:
        """Let ``run`` return soon; from any thread, or a signal's handler."""
        self._wakes.put(None)

    def evaluate(self) -> None:
        """Evaluate all rules once; where that fails, each of them by itself, so that a fault stays with its rule."""
        try:
            rules = self._rules()
        except Exception as error:
            _fault("the rules cannot be read", error)
            return
        try:
            self._evaluate(rules)
        except Exception:
            for each in rules:
                try:
                    self._evaluate([each])
                except Exception as error:
                    _fault(f"rule {each.name!r} cannot be evaluated", error)

    def _begin_watch(self) -> None:
        """Open the monitor, again and again until that works: messages and the schedule go on meanwhile."""
        delays = growing_delays()
        while self._watch is not None and not self._stopped.is_set():
            try:
                self._monitor = self._watch()
            except Exception as error:
                _fault("the stream cannot be watched", error)
                self._stopped.wait(next(delays))
            else:
                return

    def _evaluate_on_schedule(self) -> None:
        while not self._stopped.is_set():
            began = monotonic()
            self.evaluate()
            self._stopped.wait(max(self.every - (monotonic() - began), 1.0))

    @staticmethod
    def _start(what: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=what, name=name, daemon=True)
        thread.start()
        return thread


def serve(
    settings: Settings,
    *,
    rules: Callable[[], Sequence[NamedRule]],
    evaluate: Evaluate,
    watch: Callable[[], Monitor] | None = None,
    until_parent: bool = False,
    every: float = EVERY,
    database: Database | None = None,
    clock: Clock = utc_now,
) -> NoReturn:
    """Serve until this process is asked to end, by SIGTERM or SIGINT, and end it.

    Parameters
    ----------
    settings : Settings
    rules, evaluate, watch, every
        See ``Service``.
    until_parent : bool
        End as well when the standard input ends, as it does with the process that holds its other end.
    database : Database, optional
        The records; by itself those of the settings.
    clock : callable
        The present instant.

    Raises
    ------
    StoreError
        If the records cannot be opened.
    """
    from workbench.alerts.outbox import Outbox
    from workbench.alerts.sender import Sender
    from workbench.alerts.services import AlertServices

    records = database or open_database(settings)
    sender = Sender(Outbox(records, clock), settings, clock)
    service = Service(rules, evaluate, sender.run, watch=watch, every=every)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    if until_parent:
        when_parent_ends(service.stop)
    with AlertServices(records, clock).present():
        service.run()
    logging.shutdown()
    sys.stderr.flush()
    # A rule that is being evaluated or a server that does not answer would hold this process; each is done anew.
    os._exit(0)


def _fault(what: str, error: Exception) -> None:
    """Tell what went wrong; with its trace where it is no fault that we know."""
    is_told = isinstance(error, WorkbenchError)
    _LOG.error("%s: %s", what, error if is_told else repr(error), exc_info=None if is_told else error)
