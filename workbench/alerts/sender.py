"""Sending what the outbox holds: one worker for each channel, so that none is held up by another."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from workbench.alerts.channels import find_channel
from workbench.alerts.channels.base import TIME_OUT, Channel, DeliveryError
from workbench.alerts.messages import Message
from workbench.alerts.outbox import Outbox
from workbench.core.clock import Clock
from workbench.core.errors import WorkbenchError
from workbench.core.settings import Settings

TICK = 1.0
"""The pause between two looks into the outbox, in seconds."""

PATIENCE = TIME_OUT + 5.0
"""How long a channel may take over one message before it counts as hanging, in seconds."""

MOST = 20
"""How many messages are claimed at once."""

HANGING = 3
"""How many threads a hanging channel may hold; they cannot be ended."""

_LAST_WORDS = 1.5
"""How long what is under way may go on after the sender was told to stop, in seconds."""

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
Item = tuple[Message, float]
"""A message, and when its lease is over by the stopwatch."""


class Sender:
    """Claims messages, sends them and notes what became of them; any number may be at work on one outbox.

    A message is sent, then noted as sent; whoever dies in between has it sent once more, with the same key, after the
    lease is over. What the records cannot be told at once, as while their server is restarted, they are told later.

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
        self._workers: dict[str, _Worker] = {}
        self._stuck: dict[str, list[_Worker]] = {}
        self._stopped = threading.Event()
        self._counted = threading.Lock()
        self._sent = 0

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
        while claimed := self._told(lambda: self.outbox.claim(self.who, self.lease, MOST)):
            until = time.monotonic() + self.lease.total_seconds()
            for message in claimed:
                self._hand_over(message, until)
            if len(claimed) < MOST:
                break

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
            self._workers[name] = _Worker(self, name)
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
        if self._settled(lambda: self.outbox.sent(message), until):
            with self._counted:
                self._sent += 1

    def settle_failed(self, message: Message, until: float, error: DeliveryError) -> None:
        """Note that a message was not taken, and try to until its lease is over."""
        _LOG.warning("%s", error)
        retry_after, permanent = error.retry_after, error.permanent
        self._settled(lambda: self.outbox.failed(message, str(error), retry_after, permanent=permanent), until)

    def _settled(self, note: Callable[[], bool], until: float) -> bool:
        pause = 0.1
        while (noted := self._told(note)) is None and time.monotonic() < until:
            if self._stopped.wait(pause):
                return bool(self._told(note))
            pause = min(2 * pause, 2.0)
        return bool(noted)

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


class _Worker:
    """Sends the messages of one channel, one after the other; its thread lives while there are any."""

    def __init__(self, sender: Sender, name: str) -> None:
        self.sender, self.name = sender, name
        self._lock = threading.Lock()
        self._waiting = deque[Item]()
        self._current: Item | None = None
        self._since = 0.0
        self._thread: threading.Thread | None = None
        self._retired = False
        self._channel: Channel | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a message is under way or waiting."""
        return self._thread is not None and self._thread.is_alive()

    def add(self, message: Message, until: float) -> None:
        """Queue a message whose lease is over at ``until``, by the stopwatch."""
        with self._lock:
            self._waiting.append((message, until))
            if self._thread is None:
                # A daemon: what hangs must not keep the process.
                self._thread = threading.Thread(target=self._work, name=f"alert channel {self.name}", daemon=True)
                self._thread.start()

    def retire_if_hanging(self, patience: float) -> list[Item] | None:
        """Give up where a message has been under way for too long; return it and those that wait."""
        with self._lock:
            if self._current is None or time.monotonic() - self._since <= patience:
                return None
            self._retired = True
            items = [self._current, *self._waiting]
            self._waiting.clear()
            return items

    def _work(self) -> None:
        while (item := self._next()) is not None:
            message, until = item
            # With less left another sender could begin while this one is at it.
            if time.monotonic() + self.sender.patience < until:
                self._send(message, until)

    def _next(self) -> Item | None:
        with self._lock:
            self._current = None
            if self._retired or self.sender.is_stopped or not self._waiting:
                self._thread = None
                return None
            self._current, self._since = self._waiting.popleft(), time.monotonic()
            return self._current

    def _send(self, message: Message, until: float) -> None:
        fault = self._fault(message)
        with self._lock:
            # Settled by who found it hanging; it counts as not sent, and goes once more with the same key.
            if self._retired:
                return
            self._current = None
        if fault is None:
            self.sender.settle_sent(message, until)
        else:
            self.sender.settle_failed(message, until, fault)

    def _fault(self, message: Message) -> DeliveryError | None:
        try:
            self._channel = self._channel or find_channel(self.sender.settings, self.name)
            self._channel.send(message)
        except DeliveryError as error:
            self._look_again()
            return error
        except WorkbenchError as error:
            return DeliveryError(str(error))
        except Exception as error:
            # A stranger's: what it says may hold a secret.
            return DeliveryError(f"channel {self.name!r} has a fault ({type(error).__name__})")
        return None

    def _look_again(self) -> None:
        """Take the channel's address anew where it was changed meanwhile; else keep what the channel remembers."""
        try:
            found = find_channel(self.sender.settings, self.name)
        except WorkbenchError:
            self._channel = None
            return
        if self._channel is None or found.address != self._channel.address:
            self._channel = found


def _hangs(name: str, patience: float) -> DeliveryError:
    return DeliveryError(f"channel {name!r} did not answer within {patience:g} seconds")
