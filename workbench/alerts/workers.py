"""Whoever sends the messages of one channel, one after the other, in a thread that lives while there are any."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from workbench.alerts.channels import find_channel
from workbench.alerts.channels.base import Channel, DeliveryError
from workbench.alerts.messages import Message
from workbench.core.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.alerts.sender import Sender

FULL = 100
"""How many messages of a channel may wait here; the rest of them stays where others can take it."""

Item = tuple[Message, float]
"""A message, and when its lease is over by the stopwatch."""


class Worker:
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

    @property
    def is_full(self) -> bool:
        """Whether no more should wait here."""
        return len(self._waiting) >= FULL

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
            if self.sender.has_lease(message, until):
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
        fault = None if self.sender.was_taken(message) else self._fault(message)
        with self._lock:
            if self._retired:
                # Who found it hanging has it tried again.
                if fault is None:
                    self.sender.remember(message)
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
