"""A reader's mailbox: what it has not read yet, at most one quote per symbol, however slowly it reads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

from workbench.data.live.base import Event, Gap

MOST_GAPS = 32
"""So many gaps are kept unread; beyond that the two oldest become one."""

SLICE = 0.5
"""Seconds after which a waiting reader looks up."""


class Subscription:
    """One reader's mailbox of a feed: iterate it, plainly or with ``async for``, or ``drain`` it now and then.

    A newer quote takes the place of an unread one of its symbol, so a slow reader sees the latest prices, costs no
    memory and holds nobody up. Every method may be called from any thread.

    Attributes
    ----------
    conflated : int
        How many quotes were replaced before they were read.

    Parameters
    ----------
    on_read : callable
        Told after each reading.
    keeps : object
        What lives as long as the mailbox does.
    may_read : callable
        Asked before each reading; it raises where what is unread may not be told any more.
    """

    def __init__(
        self,
        on_read: Callable[[], None] = lambda: None,
        keeps: object = None,
        may_read: Callable[[], None] = lambda: None,
    ) -> None:
        self.conflated = 0
        self._may_read = may_read
        # The feed that fills it lives as long as its reader does.
        self._keeps = keeps
        self._events: dict[str | int, Event] = {}
        self._gaps = 0
        self._condition = threading.Condition()
        self._sleepers: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._on_read = on_read
        self._done = False
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._events)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._events

    @property
    def ended(self) -> bool:
        """Whether everything is read and nothing more will come."""
        return self._done and not self._events

    def put(self, event: Event) -> None:
        """Lay an event into the mailbox, in the place of an unread quote of its symbol if there is one."""
        with self._condition:
            if self._done:
                return
            if isinstance(event, Gap):
                self._put_gap(event)
            else:
                self.conflated += event.symbol in self._events
                self._events[event.symbol] = event
            self._wake()

    def _put_gap(self, gap: Gap) -> None:
        unread = {key: held for key, held in self._events.items() if isinstance(held, Gap)}
        for key, held in unread.items():
            if held.until is None and (held.since, held.symbols) == (gap.since, gap.symbols):
                # The end of a gap whose beginning was not read yet.
                self._events[key] = gap
                return
        if len(unread) >= MOST_GAPS:
            oldest, second = list(unread)[:2]
            self._events[second] = unread[oldest].merged(unread[second])
            del self._events[oldest]
        self._gaps += 1
        self._events[self._gaps] = gap

    def finish(self, error: BaseException | None = None) -> None:
        """Say that nothing more will come; what is unread can still be read, and then ``error`` is raised."""
        with self._condition:
            if not self._done:
                self._done, self._error = True, error
                self._wake()

    def close(self) -> None:
        """Stop listening, and forget what is unread."""
        with self._condition:
            self._events.clear()
        self.finish()
        self._on_read()

    def drain(self, timeout: float | None = 0.0) -> list[Event]:
        """Return all that is unread, oldest first.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for something where there is nothing; without end if ``None``.

        Returns
        -------
        list of Quote or Gap
            Empty after the time, or at the end.

        Raises
        ------
        WorkbenchError
            What ended the feed, once everything is read.
        """
        self._may_read()
        with self._condition:
            self._condition.wait_for(lambda: self._events or self._done, timeout)
            self._may_read()
            events = list(self._events.values())
            self._events.clear()
            if not events and self._error:
                raise self._error.with_traceback(None)
        self._on_read()
        return events

    def _take(self) -> Event | None:
        with self._condition:
            if not self._events:
                return None
            self._may_read()
            event = self._events.pop(next(iter(self._events)))
        self._on_read()
        return event

    def __iter__(self) -> Iterator[Event]:
        while True:
            with self._condition:
                # In slices: a thread that waits without an end can be deaf to an interrupt.
                while not self._condition.wait_for(lambda: self._events or self._done, timeout=SLICE):
                    self._may_read()
            event = self._take()
            if event is not None:
                yield event
            elif self.ended:
                self.drain()
                return

    async def __aiter__(self) -> AsyncIterator[Event]:
        loop = asyncio.get_running_loop()
        while True:
            self._may_read()
            arrival = loop.create_future()
            with self._condition:
                if self._events or self._done:
                    arrival.set_result(None)
                else:
                    self._sleepers.append((loop, arrival))
            try:
                await arrival
            finally:
                self._forget(arrival)
            event = self._take()
            if event is not None:
                yield event
            elif self.ended:
                self.drain()
                return

    def _forget(self, arrival: asyncio.Future[None]) -> None:
        with self._condition:
            self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[1] is not arrival]

    def _wake(self) -> None:
        self._condition.notify_all()
        for loop, arrival in self._sleepers:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, arrival)
        self._sleepers.clear()


def _settle(arrival: asyncio.Future[None]) -> None:
    if not arrival.done():
        arrival.set_result(None)
