"""Sources to follow: a scripted stream, a WebSocket server, a Redis."""

from datetime import UTC, datetime, timedelta
from itertools import repeat

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from quote_server import QuoteServer, answer_as_twelve_data
from redis_server import redis_server

from workbench.data.live.base import Stream
from workbench.data.live.feed import Feed
from workbench.data.providers.base import Access, Quote

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


@pytest.fixture
def quote():
    def make(symbol="AAPL", price=100.0, second=0, volume=None, **more):
        return Quote(symbol, START + timedelta(seconds=second), price, "scripted", volume=volume, **more)

    return make


class Scripted(Stream):
    """A stream that does what each connection's script says: an async function that yields."""

    name, description, licence = "scripted", "a test", "none"

    def __init__(self, *scripts, silence=None):
        super().__init__(Access())
        self.scripts, self.connections, self.silence, self.asked = scripts, 0, silence, []

    async def updates(self, symbols):
        self.connections += 1
        self.asked.append(tuple(symbols))
        async for event in self.scripts[min(self.connections, len(self.scripts)) - 1]():
            yield event


@pytest.fixture
def scripted():
    return Scripted


@pytest.fixture
def follow():
    """Open feeds that are closed whatever happens, and wait for nothing."""
    feeds = []

    def open_feed(stream, symbols=("AAPL",), interval=0.0, **more):
        feeds.append(Feed(stream, symbols, interval=interval, **{"delays": lambda: repeat(0.0), **more}))
        return feeds[-1]

    yield open_feed
    for feed in feeds:
        feed.close()


@pytest.fixture
def server():
    with QuoteServer() as running:
        yield running


@pytest.fixture
def twelve_data_server():
    with QuoteServer(answer_as_twelve_data) as running:
        yield running


@pytest.fixture(scope="session")
def redis():
    with redis_server() as running:
        yield running


@pytest.fixture
def make_bars():
    def make(closes, times, calendar="XNYS", volumes=None):
        """Bars of symbols A, B, ... from a list of closes each."""
        values = np.asarray(closes, dtype=float).T
        volume = np.full(values.shape, 10.0) if volumes is None else np.asarray(volumes, dtype=float).T
        fields = dict.fromkeys(("open", "high", "low", "close"), (("time", "symbol"), values))
        symbols = [chr(ord("A") + place) for place in range(values.shape[1])]
        coords = {"time": pd.DatetimeIndex(times).as_unit("ns").to_numpy(), "symbol": symbols}
        attrs = {"calendar": calendar, "currency": "USD"}
        return xr.Dataset({**fields, "volume": (("time", "symbol"), volume)}, coords=coords, attrs=attrs)

    return make
