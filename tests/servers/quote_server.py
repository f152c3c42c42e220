"""A real WebSocket server on 127.0.0.1 that plays a source of live quotes, well and badly."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PATIENCE = 10.0


def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something is so; fail after some seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


class QuoteServer:
    """``answer`` turns what a client says into what the server says back.

    ``opened`` counts the connections so far, ``connections`` are those that are open, ``heard`` is what clients said.
    """

    def __init__(self, answer: Callable[[dict], list[str]] = lambda said: []) -> None:
        self.answer = answer
        self.opened, self.most = 0, 0
        self.connections: set[ServerConnection] = set()
        self.heard: list[dict] = []
        self.paths: list[str] = []
        self.refusal: int | None = None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *error):
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(PATIENCE)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        self._stopped = asyncio.Event()
        async with serve(self._talk, "127.0.0.1", 0, process_request=self._door, close_timeout=0.1) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/quotes"
            self._ready.set()
            await self._stopped.wait()

    def _door(self, connection, request):
        self.paths.append(request.path)
        return connection.respond(HTTPStatus(self.refusal), "no\n") if self.refusal else None

    async def _talk(self, connection):
        self.opened += 1
        self.connections.add(connection)
        self.most = max(self.most, len(self.connections))
        try:
            with suppress(ConnectionClosed):
                async for text in connection:
                    said = json.loads(text)
                    self.heard.append(said)
                    for reply in self.answer(said):
                        await connection.send(reply)
        finally:
            self.connections.discard(connection)

    def say(self, *texts: str) -> None:
        """Say something to every client, and wait until it is sent."""
        asyncio.run_coroutine_threadsafe(self._say(texts), self._loop).result(PATIENCE)

    async def _say(self, texts):
        for connection in list(self.connections):
            with suppress(ConnectionClosed):
                for text in texts:
                    await connection.send(text)

    def drop(self) -> None:
        """Break every connection, without a word."""
        dropped = set(self.connections)
        for connection in dropped:
            self._loop.call_soon_threadsafe(connection.transport.abort)
        until(lambda: self.connections.isdisjoint(dropped))

    def leave(self) -> None:
        """Close every connection as the protocol has it."""

        async def close():
            for connection in list(self.connections):
                await connection.close()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(PATIENCE)

    def wait_for_subscription(self, *symbols: str) -> None:
        until(lambda: all(any(symbol in json.dumps(said) for said in self.heard) for symbol in symbols))


def yahoo_message(symbol, price, seconds, volume=0, currency="USD", **more):
    """A message as yfinance 1.7 reads it: ``PricingData`` in Base64."""
    from yfinance.pricing_pb2 import PricingData

    data = PricingData(id=symbol, price=price, time=int(seconds * 1000), day_volume=volume, currency=currency, **more)
    return json.dumps({"type": "pricing", "message": base64.b64encode(data.SerializeToString()).decode()})


def twelve_data_message(symbol, price, seconds, volume=None):
    """A price event as https://twelvedata.com/docs#websocket shows it."""
    event = {"event": "price", "symbol": symbol, "currency": "USD", "exchange": "NASDAQ", "type": "Common Stock"}
    volumes = {} if volume is None else {"day_volume": volume}
    return json.dumps({**event, "timestamp": int(seconds), "price": price, **volumes})


def answer_as_twelve_data(said, known=("AAPL", "MSFT", "IBM"), message="symbol is not valid"):
    """What the same page shows as the answers to ``subscribe``; the heartbeat is answered in kind."""
    if said["action"] == "heartbeat":
        return [json.dumps({"event": "heartbeat", "status": "ok"})]
    if said["action"] != "subscribe":
        return [json.dumps({"event": f"{said['action']}-status", "status": "ok"})]
    asked = said["params"]["symbols"].split(",")
    success = [{"symbol": name, "exchange": "NASDAQ", "type": "Common Stock"} for name in asked if name in known]
    fails = [{"symbol": name, "message": message} for name in asked if name not in known]
    status = "ok" if not fails else "warning" if success else "error"
    return [json.dumps({"event": "subscribe-status", "status": status, "success": success, "fails": fails})]
