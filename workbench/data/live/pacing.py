"""When an update is passed on: at most one per symbol and interval, only what changed, and waits that grow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

from workbench.core.errors import ProviderError
from workbench.data.live.base import Event, Gap
from workbench.data.providers.base import Quote


class Throttle:
    """Hold updates back until they are due; the latest one of a symbol is never lost.

    Parameters
    ----------
    interval : float
        Seconds between two updates of a symbol.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._passed: dict[str, tuple[float, Quote]] = {}
        self._waiting: dict[str, Quote] = {}

    def offer(self, quote: Quote) -> bool:
        """Take a quote in; return whether its symbol had none waiting before and has one now."""
        last = self._passed.get(quote.symbol)
        was_waiting = self._waiting.pop(quote.symbol, None)
        known = was_waiting or (last[1] if last else None)
        if known is not None and quote.time < known.time:
            # A source that connects again may repeat itself: what is older is no news.
            quote = known
        if last is not None and same(quote, last[1]):
            return False
        self._waiting[quote.symbol] = quote
        return was_waiting is None

    def due(self, now: float) -> list[Quote]:
        """Return the quotes that may pass at ``now`` (seconds of a steady clock), and count them as passed."""
        passing = [quote for symbol, quote in self._waiting.items() if self._due_at(symbol) <= now]
        for quote in passing:
            del self._waiting[quote.symbol]
            self._passed[quote.symbol] = (now, quote)
        return passing

    def next_due(self) -> float | None:
        """Return when the next quote may pass, in seconds of the same clock; ``None`` if none waits."""
        return min(map(self._due_at, self._waiting), default=None)

    def _due_at(self, symbol: str) -> float:
        return self._passed[symbol][0] + self.interval if symbol in self._passed else float("-inf")


def same(one: Quote, other: Quote) -> bool:
    """Return whether two quotes of a symbol say the same price and volume."""
    return (one.price, one.volume) == (other.price, other.volume)


async def paced(
    events: AsyncIterator[Event | None], throttle: Throttle, silence: float | None = None
) -> AsyncGenerator[Event | None, None]:
    """Yield gaps at once and quotes as the throttle lets them pass; the rest of them before the end or an error.

    Raises
    ------
    ProviderError
        If nothing came for ``silence`` seconds, besides what ``events`` raises.
    """
    reading = _Reading(events, throttle)
    task = asyncio.create_task(reading.run())
    try:
        while True:
            await reading.wait(silence)
            for event in reading.take():
                yield event
            if task.done() and reading.is_empty():
                await task
                return
            if not task.done():
                reading.check(silence)
    finally:
        await stop(task)


async def stop(task: asyncio.Future[Any]) -> None:
    """End a task, whatever it ends with; a cancellation of the caller itself is not swallowed on the way."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


class _Reading:
    """What was read and is not yet passed on."""

    def __init__(self, events: AsyncIterator[Event | None], throttle: Throttle) -> None:
        self.events, self.throttle = events, throttle
        self.now = asyncio.get_running_loop().time
        self.heard = self.now()
        self.alive = self.met = self.ended = False
        self.gap: Gap | None = None
        self.news = asyncio.Event()

    async def run(self) -> None:
        """Read to the end."""
        try:
            async for event in self.events:
                self.heard, self.alive = self.now(), True
                if isinstance(event, Gap):
                    self.gap = self.gap.merged(event) if self.gap else event
                if not isinstance(event, Quote) or self.throttle.offer(event) or not self.met:
                    self.met = True
                    self.news.set()
                # A source with much to say must not keep the others of this loop from running.
                await asyncio.sleep(0)
        finally:
            self.ended = True
            self.news.set()

    async def wait(self, silence: float | None) -> None:
        """Wait until there may be something to pass on, or too long a silence."""
        moments = [] if silence is None or self.ended else [self.heard + silence]
        due = self.throttle.next_due()
        moments += [] if due is None else [due]
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(moments, default=None)):
                await self.news.wait()
        self.news.clear()

    def take(self) -> list[Event | None]:
        """Return what may be passed on now; ``None`` where the source was heard and that is all."""
        found: list[Event | None] = [] if self.gap is None else [self.gap]
        found += self.throttle.due(self.now())
        found = found or ([None] if self.alive else [])
        self.gap, self.alive = None, False
        return found

    def is_empty(self) -> bool:
        """Return whether all that was read is passed on."""
        return self.gap is None and self.throttle.next_due() is None

    def check(self, silence: float | None) -> None:
        """Raise ``ProviderError`` after too long a silence."""
        if silence is not None and self.now() - self.heard >= silence:
            raise ProviderError(f"the source said nothing for {silence:g} seconds; it is asked again")


def growing_delays(
    first: float = 0.5, longest: float = 60.0, jitter: Callable[[], float] = random.random
) -> Iterator[float]:
    """Yield the seconds to wait before each next try.

    They double from ``first`` to ``longest``, and each is cut by up to a half at random, so that many processes do not
    come back at the same moment.
    """
    delay = first
    while True:
        yield delay * (1 - jitter() / 2)
        delay = min(2 * delay, longest)
