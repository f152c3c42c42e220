"""What every stream must keep. A new one adds a subclass of ``StreamContract`` with facts."""

import asyncio
import time
from contextlib import aclosing
from itertools import repeat

import numpy as np
import pytest
import xarray as xr
from pydantic import SecretStr
from quote_server import QuoteServer, answer_as_twelve_data, twelve_data_message, until, yahoo_message
from redis_server import redis_server

from workbench.core.errors import CredentialError, ProviderError, UnknownNameError
from workbench.core.plugins import load
from workbench.data.live.base import GROUP, Stream
from workbench.data.live.feed import Feed
from workbench.data.live.shared import SharedStream
from workbench.data.live.wire import quote_from_json, quote_to_json
from workbench.data.providers.base import Access, Quote

SECONDS = 1772463600
PRICES = [100.5, 101.25, 99.75]


class StreamContract:
    """Facts: the stream's name, how its source talks, and what it tells of a symbol that it does not know."""

    name: str
    ends = False
    tells_unknown_symbols = True
    message = None
    answer = staticmethod(lambda said: [])

    @pytest.fixture
    def offered(self):
        return load(GROUP, "stream", self.name)

    @pytest.fixture
    def source(self):
        """The server that the stream talks to; it knows AAPL and IBM."""
        with QuoteServer(self.answer) as running:
            yield running

    @pytest.fixture
    def stream(self, offered, source):
        return offered(Access(key=SecretStr("key"), options={"stream_url": source.url}))

    def talk(self, source):
        """Let the source say the prices of both symbols, once it was asked."""
        source.wait_for_subscription("AAPL", "IBM")
        for second, price in enumerate(PRICES):
            source.say(*(self.message(name, price, SECONDS + second) for name in ("AAPL", "IBM")))

    def read(self, stream, source, count):
        """Return the first quotes of a stream, without a feed."""

        async def first():
            quotes, talking = [], asyncio.create_task(asyncio.to_thread(self.talk, source))
            async with asyncio.timeout(20), aclosing(stream.updates(["AAPL", "IBM"])) as events:
                async for event in events:
                    quotes += [event] if isinstance(event, Quote) else []
                    if len(quotes) == count:
                        break
            await talking
            return quotes

        return asyncio.run(first())

    def test_it_says_what_it_is(self, offered, stream):
        assert issubclass(offered, Stream)
        assert offered.name == self.name
        assert len(offered.description) > 10
        assert offered.licence
        assert stream.silence is None or stream.silence > 0

    def test_quotes_are_what_the_source_said_in_its_order(self, stream, source):
        quotes = self.read(stream, source, 6)
        for symbol in ("AAPL", "IBM"):
            own = [quote for quote in quotes if quote.symbol == symbol]
            assert [quote.price for quote in own] == PRICES
            assert [quote.time for quote in own] == sorted({quote.time for quote in own})

    def test_a_quote_is_complete_and_survives_the_wire(self, stream, source):
        for quote in self.read(stream, source, 2):
            assert quote.source == stream.name
            assert quote.time.utcoffset().total_seconds() == 0
            assert quote.currency == "USD"
            assert quote_from_json(quote_to_json(quote)) == quote

    def test_who_stops_reading_leaves_no_connection(self, stream, source):
        self.read(stream, source, 1)
        until(lambda: not source.connections)

    def test_it_can_be_followed_twice(self, stream, source):
        for _ in range(2):
            source.heard.clear()
            assert self.read(stream, source, 1)[0].price == PRICES[0]

    def test_a_feed_of_it_has_the_final_state_and_keeps_the_pace(self, stream, source):
        with Feed(stream, ["AAPL", "IBM"], interval=0.1, delays=lambda: repeat(0.0)) as feed:
            reader, began = feed.subscribe(), time.monotonic()
            self.talk(source)
            until(lambda: feed.latest()["price"].tolist() == [PRICES[-1]] * 2)
            quotes = [event for event in reader.drain() if isinstance(event, Quote)]
            assert len(quotes) + reader.conflated <= 2 * (1 + (time.monotonic() - began) / 0.1)
            assert feed.gaps == []
            if self.ends:
                until(lambda: feed.ended)

    def test_an_unknown_symbol_is_told(self, stream):
        if not self.tells_unknown_symbols:
            pytest.skip("this source meets it with silence")
        with Feed(stream, ["NOPE"]) as feed, pytest.raises(UnknownNameError, match="NOPE"):
            feed.drain(timeout=20)

    def test_without_the_key_that_it_needs_it_says_so(self, offered):
        if offered.needs_key:
            with pytest.raises(CredentialError, match=f"WORKBENCH_KEYS__{self.name.upper()}"):
                offered(Access())


class NetworkContract(StreamContract):
    """What streams over a network keep besides."""

    def test_a_source_that_is_away_is_worth_another_try(self, offered):
        with QuoteServer() as gone:
            stream = offered(Access(key=SecretStr("key"), options={"stream_url": gone.url}))

        async def connect():
            async with aclosing(stream.updates(["AAPL"])) as events:
                await anext(events)

        with pytest.raises(ProviderError):
            asyncio.run(connect())

    def test_a_broken_connection_is_a_provider_error(self, stream, source):
        async def read():
            async with asyncio.timeout(20), aclosing(stream.updates(["AAPL"])) as events:
                breaking = asyncio.create_task(asyncio.to_thread(self.break_off, source))
                async for _ in events:
                    pass
                await breaking

        with pytest.raises(ProviderError):
            asyncio.run(read())

    def break_off(self, source):
        source.wait_for_subscription("AAPL")
        source.drop()


class TestReplay(StreamContract):
    name = "replay"
    ends = True

    @pytest.fixture
    def stream(self, offered):
        times = np.array(["2026-03-02T21:00", "2026-03-03T21:00", "2026-03-04T21:00"], dtype="datetime64[ns]")
        values = np.column_stack([PRICES, PRICES])
        variables = dict.fromkeys(("open", "high", "low", "close", "volume"), (("time", "symbol"), values))
        attrs = {"calendar": "XNYS", "currency": "USD"}
        return offered(Access(), xr.Dataset(variables, {"time": times, "symbol": ["AAPL", "IBM"]}, attrs), speed=100)

    def talk(self, source):
        """A replay talks by itself."""


class TestYahoo(NetworkContract):
    name = "yahoo"
    tells_unknown_symbols = False
    message = staticmethod(yahoo_message)


class TestTwelveData(NetworkContract):
    name = "twelve_data"
    message = staticmethod(twelve_data_message)
    answer = staticmethod(answer_as_twelve_data)


class TestSharedThroughRedis(NetworkContract):
    name = "twelve_data"
    message = staticmethod(twelve_data_message)
    answer = staticmethod(answer_as_twelve_data)

    @pytest.fixture
    def stream(self, offered, source):
        with redis_server() as redis:
            upstream = offered(Access(key=SecretStr("key"), options={"stream_url": source.url}))
            yield SharedStream(upstream, SecretStr(redis.url), lease=0.5, interval=0.001)

    def talk(self, source):
        """Say each price in its own interval: within one, only the last is passed on."""
        source.wait_for_subscription("AAPL", "IBM")
        for second, price in enumerate(PRICES):
            source.say(*(self.message(name, price, SECONDS + second) for name in ("AAPL", "IBM")))
            time.sleep(0.05)
