"""What streams over a WebSocket share: connect, subscribe, keep alive, and say in our words what went wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from workbench.core.errors import CredentialError, ParameterError, ProviderError, RateLimitError, WorkbenchError
from workbench.data.live.base import Event, Gap, Stream
from workbench.data.providers.base import Access

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

LARGEST_MESSAGE = 2**20
"""Bytes; a larger message breaks the connection rather than the memory."""

LOOK_UP = 1.0
"""Seconds between two looks at what is wanted while nothing arrives."""


class UnreadableError(ValueError):
    """A message that is not what the source documents; it never leaves this package."""


class WebSocketStream(Stream):
    """A stream over a WebSocket. A subclass says where, what to send, and how to read what comes.

    Attributes
    ----------
    url : str
        Where; the option ``stream_url`` takes its place.
    keep_alive : float
        Seconds between two words to the source.
    ping : float
        Seconds between two pings, and until a missing answer means that the connection is dead.
    """

    url: ClassVar[str]
    keep_alive: float = 10.0
    ping: float = 20.0

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self.wanted: frozenset[str] = frozenset()

    def address(self) -> str:
        """Return where to connect; it may hold the key and is never shown."""
        return self.access.options.get("stream_url", self.url)

    def subscribe(self, symbols: Collection[str]) -> str:
        """Return the message that asks for symbols."""
        raise NotImplementedError

    def unsubscribe(self, symbols: Collection[str]) -> str:
        """Return the message that asks for them no more."""
        raise NotImplementedError

    def greeting(self) -> str:
        """Return the message that keeps the connection alive."""
        raise NotImplementedError

    def read(self, message: str | bytes) -> Iterable[Event | None]:
        """Return what a message says.

        Raises
        ------
        UnreadableError
            If it is not what the source documents.
        WorkbenchError
            If the source refuses what was asked.
        """
        raise NotImplementedError

    async def updates(self, symbols: Collection[str]) -> AsyncGenerator[Event | None, None]:
        """Connect, and yield what comes; see ``Stream.updates``."""
        from websockets.exceptions import ConnectionClosed

        self.wanted = frozenset(symbols)
        connection = await self._connect()
        try:
            async for event in self._listen(connection):
                yield event
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else "no word"
            raise ProviderError(f"{self.name} closed the connection ({code}); it is asked again") from None
        finally:
            await connection.close()

    def change(self, symbols: Collection[str]) -> bool:
        """Ask for other symbols, within a second."""
        self.wanted = frozenset(symbols)
        return True

    async def _connect(self) -> ClientConnection:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException

        # What is raised in place of the library's errors names no address: it may hold the key.
        try:
            return await connect(
                self.address(),
                logger=_quiet(),
                max_size=LARGEST_MESSAGE,
                ping_interval=self.ping,
                ping_timeout=self.ping,
                close_timeout=1,
            )
        except InvalidStatus as error:
            raise self._refusal(error.response.status_code) from None
        except (InvalidURI, ValueError):
            message = f"option stream_url of {self.name!r} is no WebSocket address; write wss://host/path"
            raise ParameterError(message) from None
        except (OSError, WebSocketException) as error:
            kind = type(error).__name__
            raise ProviderError(f"{self.name} cannot be reached ({kind}); it is asked again") from None

    def _refusal(self, status: int) -> WorkbenchError:
        if status in (401, 403):
            return CredentialError(f"{self.name} refuses the key (status {status}); check the key and its plan")
        if status == 429:
            return RateLimitError(f"{self.name} takes no more connections for now (status 429); it is asked again")
        return ProviderError(f"{self.name} refuses the connection (status {status}); it is asked again")

    async def _listen(self, connection: ClientConnection) -> AsyncGenerator[Event | None, None]:
        now = asyncio.get_running_loop().time
        heard, spoke, asked = self.access.clock(), now(), frozenset[str]()
        while True:
            asked = await self._ask(connection, asked)
            if now() - spoke >= self.keep_alive:
                spoke = now()
                await connection.send(self.greeting())
                if self.silence is None:
                    # Pings are answered, or the connection would be closed by now: a market without trades.
                    yield None
            try:
                async with asyncio.timeout(min(LOOK_UP, self.keep_alive)):
                    message = await connection.recv()
            except TimeoutError:
                continue
            for event in self._understood(message, heard):
                yield event
            heard = self.access.clock()

    async def _ask(self, connection: ClientConnection, asked: frozenset[str]) -> frozenset[str]:
        wanted = self.wanted
        if wanted - asked:
            await connection.send(self.subscribe(sorted(wanted - asked)))
        if asked - wanted:
            await connection.send(self.unsubscribe(sorted(asked - wanted)))
        return wanted

    def _understood(self, message: str | bytes, heard: datetime) -> list[Event | None]:
        try:
            return list(self.read(message))
        except UnreadableError as error:
            # It may have been a quote.
            reason = f"a message that cannot be read ({error})"
            return [Gap(self.name, tuple(sorted(self.wanted)), heard, self.access.clock(), reason)]


def _quiet() -> logging.Logger:
    """Return a logger that tells nobody: at its debug level the library writes the address, and with it the key."""
    return logging.Logger("websockets", level=logging.CRITICAL)
