import asyncio
import threading
from datetime import timedelta

import pytest

from workbench.core.errors import ProviderError
from workbench.data.live.base import Gap
from workbench.data.live.mailbox import MOST_GAPS, Subscription


@pytest.fixture
def gap(quote):
    start = quote().time

    def make(since=0, until=None, symbols=("AAPL",)):
        end = None if until is None else start + timedelta(seconds=until)
        return Gap("scripted", symbols, start + timedelta(seconds=since), end, "a test")

    return make


def test_a_newer_quote_takes_the_place_of_an_unread_one(quote):
    reader = Subscription()
    for price in range(1, 1001):
        reader.put(quote("AAPL", price))
        reader.put(quote("IBM", price))
        assert len(reader) <= 2
    assert [(one.symbol, one.price) for one in reader.drain()] == [("AAPL", 1000), ("IBM", 1000)]
    assert reader.conflated == 2 * 999


def test_a_chatty_symbol_does_not_starve_the_others(quote):
    reader, read = Subscription(), []
    events = iter(reader)
    for price in range(1, 20):
        for symbol in ("AAPL", "IBM", "MSFT"):
            reader.put(quote(symbol, price))
        read.append(next(events).symbol)
    assert read[:6] == ["AAPL", "IBM", "MSFT", "AAPL", "IBM", "MSFT"]


def test_the_end_of_a_gap_takes_the_place_of_its_unread_beginning(gap):
    reader = Subscription()
    reader.put(gap(1))
    reader.put(gap(1, 5))
    assert reader.drain() == [gap(1, 5)]
    reader.put(gap(6))
    assert reader.drain() == [gap(6)]
    reader.put(gap(6, 7))
    assert reader.drain() == [gap(6, 7)]


def test_many_unread_gaps_become_one_that_covers_them(gap):
    reader = Subscription()
    for second in range(1000):
        reader.put(gap(2 * second, 2 * second + 1))
    gaps = reader.drain()
    assert len(gaps) == MOST_GAPS
    assert (gaps[0].since, gaps[-1].until) == (gap(0).since, gap(0, 1999).until)


def test_a_reader_in_another_thread_is_woken(quote):
    reader = Subscription()
    threading.Timer(0.05, reader.put, [quote()]).start()
    assert reader.drain(timeout=10) == [quote()]
    assert reader.drain(timeout=0.01) == []


def test_what_is_unread_can_be_read_after_the_end(quote):
    reader = Subscription()
    reader.put(quote())
    reader.finish()
    reader.put(quote("IBM"))
    assert not reader.ended
    assert list(reader) == [quote()]
    assert reader.ended
    assert reader.drain(timeout=None) == []


def test_an_error_is_raised_after_what_is_unread(quote):
    reader = Subscription()
    reader.put(quote())
    reader.finish(ProviderError("it broke"))
    events = iter(reader)
    assert next(events) == quote()
    with pytest.raises(ProviderError, match="it broke"):
        next(events)
    with pytest.raises(ProviderError, match="it broke"):
        reader.drain()


def test_it_is_read_with_async_for_too(quote):
    reader = Subscription()

    async def read():
        return [event async for event in reader]

    def write():
        reader.put(quote())
        reader.put(quote("IBM"))
        reader.finish()

    threading.Timer(0.05, write).start()
    assert asyncio.run(read()) == [quote(), quote("IBM")]


def test_an_async_reader_that_gives_up_leaves_nothing_behind():
    reader = Subscription()

    async def read():
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await anext(aiter(reader))

    asyncio.run(read())
    assert reader._sleepers == []
