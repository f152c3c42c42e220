"""Sending what the outbox holds: one worker for each channel, so that none is held up by another."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from workbench.alerts.channels.base import TIME_OUT, DeliveryError
from workbench.alerts.messages import Message
from workbench.alerts.outbox import Outbox
from workbench.alerts.workers import Worker
from workbench.core.clock import Clock
from workbench.core.errors import WorkbenchError
from workbench.core.settings import Settings

TICK = 1.0
"""The pause between two looks into the outbox, in seconds."""

PATIENCE = TIME_OUT + 5.0
"""How long a channel may take over one message before it counts as hanging, in seconds."""

MOST = 20
"""How many messages are claimed at once."""

REMEMBERED = 10_000
"""How many messages are kept in mind that were taken and could not be noted."""

HANGING = 3
"""How many threads a hanging channel may hold; they cannot be ended."""

_LAST_WORDS = 1.5
"""How long what is under way may go on after the sender was told to stop, in seconds."""

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Sender:
    """Claims messages, sends them and notes what became of them; any number may be at work on one outbox.

    A message is sent, then noted as sent; whoever dies in between has it sent once more, with the same key, after the
    lease is over. What the records cannot be told at once, as while their server is restarted, they are told later;
    what it has sent itself, it does not send again.

    Parameters
    ----------
    outbox : Outbox
    settings : Settings
        Where channels lead.
    clock : callable
        The present instant.
    patience : float
        How long a channel may take over one message, in seconds; a lease is twice as long, and 10 s.

    Attributes
    ----------
    trouble : str, optional
        Why the outbox cannot be read or written now.
    well : datetime, optional
        When it could be last.
    """

    def __init__(self, outbox: Outbox, settings: Settings, clock: Clock, *, patience: float = PATIENCE) -> None:
        self.outbox, self.settings, self.clock, self.patience = outbox, settings, clock, patience
        self.lease = timedelta(seconds=2 * patience + 10)
        self.trouble: str | None = None
        self.well: datetime | None = None
        self.who = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._workers: dict[str, Worker] = {}
        self._stuck: dict[str, list[Worker]] = {}
        self._stopped = threading.Event()
        self._counted = threading.Lock()
        self._sent = 0
        self._taken = OrderedDict[str, None]()

    def run(self, stop: threading.Event) -> None:
        """Send until ``stop`` is set; returns within two seconds of that."""
        self._stopped.clear()
        while not stop.is_set():
            self._round()
            stop.wait(TICK)
        self._stopped.set()
        self._wait(_LAST_WORDS)

    def turn(self) -> int:
        """Send what is due now and return how many messages were taken, once each has been settled or hangs."""
        before = self._sent
        self._round()
        self._wait(self.lease.total_seconds())
        return self._sent - before

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._stopped.is_set()

    def _round(self) -> None:
        self._see_to_hanging()
        self._told(self.outbox.escalate)
        while True:
            # The lease may begin at once, and this process be stopped before it hears of it.
            until = time.monotonic() + self.lease.total_seconds()
            claimed = self._told(self._claim)
            for message in claimed or []:
                self._hand_over(message, until)
            if not claimed or len(claimed) < MOST:
                break

    def _claim(self) -> list[Message]:
        full = [name for name, worker in list(self._workers.items()) if worker.is_full]
        return self.outbox.claim(self.who, self.lease, MOST, without=full)

    def has_lease(self, message: Message, until: float) -> bool:
        """Say whether a message can still be sent before another sender may begin with it.

        The stopwatch may stand still while the machine sleeps, and the clock may be set: the stricter one counts.
        """
        last = message.not_before
        is_over = last is not None and self.clock() + timedelta(seconds=self.patience) >= last
        return not is_over and time.monotonic() + self.patience < until

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while any(worker.is_busy for worker in self._workers.values()) and time.monotonic() < until:
            self._see_to_hanging()
            time.sleep(0.01)

    def _hand_over(self, message: Message, until: float) -> None:
        name = message.channel
        if len(self._stuck.get(name, [])) >= HANGING:
            self.settle_failed(message, until, _hangs(name, self.patience))
            return
        if name not in self._workers:
            self._workers[name] = Worker(self, name)
        self._workers[name].add(message, until)

    def _see_to_hanging(self) -> None:
        """Leave a worker whose channel hangs to itself, and go on with another."""
        for name, stuck in list(self._stuck.items()):
            self._stuck[name] = [worker for worker in stuck if worker.is_busy]
        for name, worker in list(self._workers.items()):
            if (items := worker.retire_if_hanging(self.patience)) is None:
                continue
            del self._workers[name]
            self._stuck.setdefault(name, []).append(worker)
            hung, *waiting = items
            self.settle_failed(*hung, _hangs(name, self.patience))
            for item in waiting:
                self._hand_over(*item)

    def settle_sent(self, message: Message, until: float) -> None:
        """Note that a message was taken, and try to until its lease is over."""
        self.remember(message)
        noted = self._settled(lambda: self.outbox.sent(message), until)
        with self._counted:
            # Not where it is another claim's by now: that may be one of this sender, which comes next.
            if noted:
                self._taken.pop(message.key, None)
                self._sent += 1

    def settle_failed(self, message: Message, until: float, error: DeliveryError) -> None:
        """Note that a message was not taken, and try to until its lease is over."""
        _LOG.warning("%s", error)
        retry_after, permanent = error.retry_after, error.permanent
        self._settled(lambda: self.outbox.failed(message, str(error), retry_after, permanent=permanent), until)

    def _settled(self, note: Callable[[], bool], until: float) -> bool | None:
        """Note something, and try to until the lease is over; ``None`` where that could not be done."""
        pause = 0.1
        while (noted := self._told(note)) is None and time.monotonic() < until:
            if self._stopped.wait(pause):
                return self._told(note)
            pause = min(2 * pause, 2.0)
        return noted

    def remember(self, message: Message) -> None:
        """Keep in mind that a message was taken, until that is noted: whoever claims it may be this sender again."""
        with self._counted:
            self._taken[message.key] = None
            while len(self._taken) > REMEMBERED:
                self._taken.popitem(last=False)

    def was_taken(self, message: Message) -> bool:
        """Say whether this sender knows that a message was taken already."""
        with self._counted:
            return message.key in self._taken

    def _told(self, ask: Callable[[], T]) -> T | None:
        """Ask or tell the outbox something; ``None`` where that fails: alerts go on when it passes."""
        try:
            answer = ask()
        except Exception as error:
            # Whatever it is, ending here would leave every alert unsent, and nobody would know.
            reason = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
            if self.trouble != reason:
                _LOG.warning("messages cannot be sent now, it is tried again: %s", reason)
            self.trouble = reason
            return None
        if self.trouble is not None:
            _LOG.info("messages can be sent again")
        self.trouble, self.well = None, self.clock()
        return answer


def _hangs(name: str, patience: float) -> DeliveryError:
    return DeliveryError(f"channel {name!r} did not answer within {patience:g} seconds")
