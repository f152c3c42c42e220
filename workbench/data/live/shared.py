"""One upstream connection for many processes: one of them leads and tells the others, through Redis.

The leader holds a lease that it renews. When it dies, another takes the lease as soon as it has run out, connects
upstream itself, and tells all of them since when nothing was heard: the gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime

from pydantic import SecretStr

from workbench.core.errors import ProviderError
from workbench.data.live.base import Event, Gap, Stream
from workbench.data.live.board import Board, connected
from workbench.data.live.pacing import Throttle, paced, stop
from workbench.data.live.wire import Message
from workbench.data.providers.base import Quote


class SharedStream(Stream):
    """A stream of which all processes with the same Redis have one connection together.

    Parameters
    ----------
    upstream : Stream
        Used by this process only while it leads.
    url : SecretStr
        Where Redis is; it may hold a password and is never shown.
    lease : float
        Seconds after which a leader that was killed is replaced.
    interval : float
        Seconds between two updates of a symbol.
    """

    description = "A stream shared through Redis"

    def __init__(self, upstream: Stream, url: SecretStr, *, lease: float = 3.0, interval: float = 1.0) -> None:
        super().__init__(upstream.access)
        self.name, self.licence = upstream.name, upstream.licence  # type: ignore[misc]
        self.upstream, self.lease, self.interval = upstream, lease, interval
        # A leader says something three times a lease.
        self.silence = 5 * lease
        self._url = url

    async def updates(self, symbols: Collection[str]) -> AsyncGenerator[Event | None, None]:
        """Follow the leader, and lead where there is none; see ``Stream.updates``."""
        async with connected(self._url) as redis:
            board = Board(redis, self.name, self.lease)
            own = _Own(frozenset(symbols), self.access.clock())
            async with aclosing(self._follow(board, own)) as events:
                async for event in events:
                    yield event
            async with aclosing(self._lead(board, own)) as events:
                async for event in events:
                    yield event

    async def _follow(self, board: Board, own: _Own) -> AsyncGenerator[Event | None, None]:
        """Yield what the leader says, until this process leads."""
        now = asyncio.get_running_loop().time
        last: Message | None = None
        tried = float("-inf")
        async with board.listening() as pubsub:
            while True:
                if now() - tried >= self.lease / 3:
                    tried = now()
                    await board.want(own.symbols)
                    if await board.take():
                        return
                message = await board.heard(pubsub, self.lease / 3)
                if message is None or (last and message.place <= last.place):
                    continue
                if last is None:
                    # Only now: what was said last is news only where somebody still speaks.
                    for quote in await board.last_quotes(own.symbols):
                        yield quote
                for event in [None, *_missed(self.name, own.symbols, last, message), *message.events()]:
                    if own.concerns(event):
                        yield own.part(event)
                last = message

    async def _lead(self, board: Board, own: _Own) -> AsyncGenerator[Event | None, None]:
        """Connect upstream, and tell all processes what it says."""
        leader = _Leader(self, board)
        try:
            wanted = await leader.begin(own.symbols)
            throttle = Throttle(self.interval)
            async with (
                aclosing(self.upstream.updates(wanted)) as raw,
                aclosing(paced(raw, throttle, self.upstream.silence)) as calm,
                aclosing(leader.tell(calm, own.symbols)) as events,
            ):
                async for event in events:
                    if own.concerns(event):
                        yield own.part(event)
        finally:
            with suppress(Exception):
                # Without a Redis that answers, the lease runs out by itself.
                await board.release()


class _Own:
    """What one process wants, and since when."""

    def __init__(self, symbols: frozenset[str], joined: datetime) -> None:
        self.symbols, self.joined = symbols, joined
        self._refused: set[tuple[str, ...]] = set()

    def concerns(self, event: Event | None) -> bool:
        """Return whether an event is about a symbol of this process, and news to it."""
        if event is None:
            return True
        if isinstance(event, Quote):
            return event.symbol in self.symbols
        if event.until is None:
            # A leader repeats what the source refuses, for those who join.
            is_new = event.symbols not in self._refused
            self._refused.add(event.symbols)
            return is_new and not self.symbols.isdisjoint(event.symbols)
        return event.since >= self.joined and not self.symbols.isdisjoint(event.symbols)

    def part(self, event: Event | None) -> Event | None:
        """Return an event without the symbols of other processes."""
        if not isinstance(event, Gap):
            return event
        return replace(event, symbols=tuple(symbol for symbol in event.symbols if symbol in self.symbols))


class _Leader:
    """What a leader says, numbered."""

    def __init__(self, stream: SharedStream, board: Board) -> None:
        self.stream, self.board, self.clock = stream, board, stream.access.clock
        self.number = 0
        self.heard: datetime | None = None
        self.before: datetime | None = None
        self.wanted: frozenset[str] = frozenset()
        self.refused: dict[tuple[str, ...], Gap] = {}

    async def begin(self, symbols: Collection[str]) -> frozenset[str]:
        """Return what all processes want, and learn when the leader before heard the source last."""
        self.before = await self.board.last_heard()
        self.wanted = await self.board.want(symbols)
        return self.wanted

    async def tell(
        self, events: AsyncIterator[Event | None], symbols: Collection[str]
    ) -> AsyncGenerator[Event | None, None]:
        """Publish each event and yield it; renew the lease in between."""
        now, pause = asyncio.get_running_loop().time, self.stream.lease / 3
        renewed = now()
        reading = asyncio.ensure_future(anext(events))
        try:
            while True:
                done, _ = await asyncio.wait({reading}, timeout=max(renewed + pause - now(), 0))
                if now() - renewed >= pause:
                    renewed = now()
                    await self._renew(symbols)
                if done:
                    for event in self._with_gap(reading.result()):
                        await self._publish(event)
                        yield event
                    reading = asyncio.ensure_future(anext(events))
        except StopAsyncIteration:
            return
        finally:
            await stop(reading)

    def _with_gap(self, event: Event | None) -> list[Event | None]:
        """Return an event, and before the first one the gap since the leader before."""
        now, self.heard, before = self.clock(), self.clock(), self.before
        self.before = None
        if before is None:
            return [event]
        reason = "the process that held the connection ended; this one took it over"
        return [Gap(self.stream.name, tuple(sorted(self.wanted)), before, now, reason), event]

    async def _renew(self, symbols: Collection[str]) -> None:
        if not await self.board.renew():
            raise ProviderError(f"another process holds the connection to {self.stream.name} now; it is followed")
        wanted = await self.board.want(symbols)
        if wanted != self.wanted and not self.stream.upstream.change(wanted):
            raise ProviderError(f"{self.stream.name} begins anew, for other symbols")
        self.wanted = wanted
        self.refused = {names: gap for names, gap in self.refused.items() if not wanted.isdisjoint(names)}
        await self._publish(*self.refused.values())

    async def _publish(self, *events: Event | None) -> None:
        gaps = [event for event in events if isinstance(event, Gap)]
        quotes = [event for event in events if isinstance(event, Quote)]
        self.refused |= {gap.symbols: gap for gap in gaps if gap.until is None}
        self.number += 1
        message = Message.of(self.board.reign, self.number, self.clock(), quotes, gaps)
        if not await self.board.publish(message, quotes, self.heard):
            raise ProviderError(f"another process holds the connection to {self.stream.name} now; it is followed")


def _missed(name: str, symbols: Collection[str], last: Message | None, message: Message) -> list[Gap]:
    """Return the gap between two messages, if one is missing between them."""
    if last is None or message.number == (last.number + 1 if message.reign == last.reign else 1):
        return []
    reason = "messages of the process that holds the connection were lost"
    return [Gap(name, tuple(sorted(symbols)), last.time, message.time, reason)]
