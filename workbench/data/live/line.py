"""The connection behind a feed: it is kept, again and again, and every reader is told what it says."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime

from workbench.core.clock import Clock
from workbench.core.errors import FailureError, ProviderError, WorkbenchError
from workbench.data.live.base import Event, Gap, Stream
from workbench.data.live.mailbox import Subscription
from workbench.data.live.pacing import Throttle, paced, same
from workbench.data.providers.base import Quote

REMEMBERED_GAPS = 1000
CLOSING_TRIES = 10


class Line:
    """One stream in a thread of its own, and what the thread shares with the readers; see ``Feed``."""

    def __init__(
        self,
        stream: Stream,
        symbols: tuple[str, ...],
        interval: float,
        clock: Clock,
        delays: Callable[[], Iterator[float]],
    ) -> None:
        self.stream, self.symbols, self.clock, self.delays = stream, symbols, clock, delays
        self.throttle = Throttle(interval)
        self.lossless = stream.lossless and not interval
        self.gaps: deque[Gap] = deque(maxlen=REMEMBERED_GAPS)
        self.known: dict[str, tuple[Quote, datetime]] = {}
        self.heard = clock()
        self.met = False
        self.outage: Gap | None = None
        self.thread: threading.Thread | None = None
        self.done = False
        self._error: WorkbenchError | None = None
        # A reader that nobody holds any more, such as a closed page's, is not served.
        self._readers: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Event | None = None

    def subscribe(self, keeps: object = None) -> Subscription:
        """Return a new reader's mailbox; it keeps its feed alive where ``keeps`` is given."""
        self.stream.check_limit()
        reader = Subscription(on_read=self._was_read, keeps=keeps, may_read=self.stream.check_limit)
        with self._changed:
            if self.done:
                reader.finish(self._error)
            self._readers.add(reader)
        self.start()
        return reader

    def start(self) -> None:
        """Begin, if it has not begun."""
        with self._changed:
            if self.thread is None and not self.done:
                self.heard = self.clock()
                self.thread = threading.Thread(target=self._run, name=f"feed of {self.stream.name}", daemon=True)
                self.thread.start()

    def close(self) -> None:
        """End the thread, and say so to the readers."""
        with self._changed:
            self.done = True
            loop, thread = self._loop, self.thread
        for _ in range(CLOSING_TRIES):
            if loop is not None and self._task is not None:
                with suppress(RuntimeError):
                    # The loop may have ended by itself in this moment.
                    loop.call_soon_threadsafe(self._task.cancel)
            if thread is None or thread is threading.current_thread():
                break
            # Asked more than once: a library in the stream may swallow the first cancellation.
            thread.join(timeout=0.5)
            if not thread.is_alive():
                break
        self._finish(None)

    def latest(self, timeout: float) -> dict[str, tuple[Quote, datetime]]:
        """Return the latest quote of each symbol that has one, and when it arrived."""
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self.done or len(self.known) >= len(self.symbols), timeout)
            if self._error:
                raise self._error.with_traceback(None)
            self.stream.check_limit()
            return dict(self.known)

    # What follows runs in the feed's own thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except asyncio.CancelledError:
            self._finish(None)
        except WorkbenchError as error:
            self._finish(error)
        except Exception as error:
            name = self.stream.name
            failure = FailureError(f"stream {name!r} broke off ({type(error).__name__}); repair its package")
            failure.__cause__ = error
            self._finish(failure)
        else:
            self._finish(None)

    def _finish(self, error: WorkbenchError | None) -> None:
        with self._changed:
            self.done, self._error = True, self._error or error
            self._changed.notify_all()
        for reader in self._served():
            reader.finish(error)

    def _served(self) -> list[Subscription]:
        with self._changed:
            return list(self._readers)

    async def _follow(self) -> None:
        """Keep a connection, again and again, until the source ends or refuses."""
        with self._changed:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            self._room = asyncio.Event()
            if self.done:
                return
        delays = self.delays()
        while not self.done:
            self.met = False
            try:
                async with aclosing(self.stream.updates(self.symbols)) as events, aclosing(self._paced(events)) as calm:
                    async for event in calm:
                        await self._tell(event)
                return
            except (ProviderError, OSError) as error:
                self._lost(error)
            if self.met:
                delays = self.delays()
            await asyncio.sleep(next(delays))

    def _paced(self, events: AsyncGenerator[Event | None, None]) -> AsyncGenerator[Event | None, None]:
        return events if self.lossless else paced(events, self.throttle, self.stream.silence)

    async def _tell(self, event: Event | None) -> None:
        now = self.clock()
        self.met, self.heard = True, now
        self._regained(now)
        if isinstance(event, Gap):
            self.gaps.append(event)
            self._put(event)
        elif event is not None:
            await self._quote(event, now)

    async def _quote(self, quote: Quote, now: datetime) -> None:
        held = self.known.get(quote.symbol)
        if held and same(held[0], quote):
            return
        if self.lossless:
            await self._wait_for_readers(quote.symbol)
        with self._changed:
            self.known[quote.symbol] = (quote, now)
            self._changed.notify_all()
        self._put(quote)

    async def _wait_for_readers(self, symbol: str) -> None:
        assert self._room is not None  # noqa: S101 - made before the first event
        while any(symbol in reader for reader in self._served()):
            self._room.clear()
            # Looked at again: a reader may have read between the two looks.
            if any(symbol in reader for reader in self._served()):
                await self._room.wait()

    def _put(self, event: Event) -> None:
        for reader in self._served():
            reader.put(event)

    def _lost(self, error: Exception) -> None:
        """Tell once that nothing comes any more."""
        if self.outage is None:
            told = isinstance(error, WorkbenchError)
            reason = str(error) if told else f"the connection was lost ({type(error).__name__})"
            self.outage = Gap(self.stream.name, self.symbols, self.heard, None, reason)
            self.gaps.append(self.outage)
            self._put(self.outage)

    def _regained(self, now: datetime) -> None:
        """Tell that updates come again."""
        if self.outage is not None:
            over = replace(self.outage, until=now)
            self.gaps.remove(self.outage)
            self.gaps.append(over)
            self.outage = None
            self._put(over)

    def _was_read(self) -> None:
        if self.lossless and self._loop is not None and self._room is not None:
            with suppress(RuntimeError):
                # The loop may have ended by itself in this moment.
                self._loop.call_soon_threadsafe(self._room.set)
