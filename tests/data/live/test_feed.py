import asyncio
import gc
import subprocess
import sys
import time
import tracemalloc
from itertools import repeat

import pytest
from quote_server import until

from workbench.core.errors import CredentialError, FailureError, InputError, ProviderError
from workbench.data.live.base import Gap
from workbench.data.live.mailbox import MOST_GAPS
from workbench.data.providers.base import Quote


@pytest.fixture
def says(quote):
    """A script: say some prices, then fail, end, or stay silent."""

    def make(*prices, error=None, stay=False, symbol="AAPL", pause=0.0):
        async def script():
            for second, price in enumerate(prices):
                yield None if price is None else quote(symbol, price, second)
                await asyncio.sleep(pause)
            if error is not None:
                raise error
            if stay:
                await asyncio.sleep(60)

        return script

    return make


def prices(events):
    return [event.price for event in events if isinstance(event, Quote)]


def test_a_feed_ends_with_its_source_and_the_last_price_is_there(scripted, follow, says):
    feed = follow(scripted(says(1.0, 2.0, 3.0)))
    assert prices(feed)[-1] == 3.0
    assert feed.ended
    assert feed.gaps == []


def test_at_most_one_update_per_interval_of_what_comes_fast(scripted, follow, quote):
    async def script():
        for step in range(400):
            for symbol in ("AAPL", "IBM"):
                yield quote(symbol, 1.0 + step, step)
            await asyncio.sleep(0.002)

    started, seen = time.monotonic(), []
    for event in follow(scripted(script), ["AAPL", "IBM"], interval=0.2):
        seen.append((event.symbol, time.monotonic() - started, event.price))
    for symbol in ("AAPL", "IBM"):
        own = [(moment, price) for name, moment, price in seen if name == symbol]
        assert len(own) <= 2 + own[-1][0] / 0.2
        assert len(own) > 3
        assert own[-1][1] == 400.0


def test_a_flood_costs_no_memory_and_holds_nobody_up(scripted, follow, quote):
    symbols = ["AAPL", "IBM", "MSFT"]

    async def flood():
        for step in range(100_000):
            yield quote(symbols[step % 3], 1.0 + step, step / 1000)

    feed = follow(scripted(flood), symbols, interval=0.1)
    tracemalloc.start()
    slow = feed.subscribe()
    until(lambda: feed.ended, seconds=60)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(slow) == 3
    assert sorted(prices(slow.drain())) == [99_998.0, 99_999.0, 100_000.0]
    assert peak < 5_000_000
    assert feed.latest()["price"].to_dict() == {"AAPL": 100_000.0, "IBM": 99_998.0, "MSFT": 99_999.0}


def test_an_interruption_is_told_when_it_begins_and_when_it_ends(scripted, follow, says):
    stream = scripted(says(1.0, error=ProviderError("the line was cut")), says(2.0, stay=True))
    feed = follow(stream, interval=0.1)
    events = iter(feed)
    seen = [next(events)]
    while not (isinstance(seen[-1], Quote) and seen[-1].price == 2.0):
        seen.append(next(events))
    assert prices(seen) == [1.0, 2.0]
    (gap,) = feed.gaps
    assert (gap.source, gap.symbols, gap.reason) == ("scripted", ("AAPL",), "the line was cut")
    assert gap.since <= gap.until
    assert gap in seen
    assert stream.connections == 2


def test_a_source_that_is_away_is_told_while_it_is_away(scripted, follow, says):
    feed = follow(scripted(says(error=ProviderError("nobody there"))), delays=lambda: repeat(0.01))
    (gap,) = feed.drain(timeout=10)
    assert gap.until is None
    until(lambda: feed._line.stream.connections > 3)
    assert feed.drain() == []
    assert feed.gaps == [gap]


def test_delays_grow_while_it_fails_and_begin_anew_after_a_success(scripted, follow, says):
    waits = []

    def delays():
        for step in range(100):
            waits.append(step)
            yield 0.0

    broken = says(error=ProviderError("no"))
    follow(scripted(broken, broken, broken, says(1.0, error=ProviderError("no")), says(2.0)), delays=delays).drain(10)
    until(lambda: len(waits) == 4)
    assert waits == [0, 1, 2, 0]


def test_silence_counts_as_a_lost_connection(scripted, follow, says):
    stream = scripted(says(1.0, stay=True), says(2.0, stay=True), silence=0.1)
    feed = follow(stream)
    until(lambda: feed.latest()["price"].iloc[0] == 2.0)
    assert "said nothing for 0.1 seconds" in feed.gaps[0].reason


def test_a_word_without_news_is_no_silence(scripted, follow, says):
    stream = scripted(says(*[None] * 30, 1.0, pause=0.02), silence=0.3)
    assert prices(follow(stream)) == [1.0]
    assert stream.connections == 1


@pytest.mark.parametrize("error", [CredentialError("the key is refused"), InputError("no such symbol")])
def test_a_refusal_is_raised_to_every_reader_and_not_tried_again(scripted, follow, says, error):
    stream = scripted(says(1.0, error=error))
    feed = follow(stream)
    other = feed.subscribe()
    with pytest.raises(type(error), match=str(error)):
        list(feed)
    with pytest.raises(type(error)):
        list(other)
    with pytest.raises(type(error)):
        feed.latest()
    with pytest.raises(type(error)):
        list(feed.subscribe())
    assert stream.connections == 1


def test_a_stream_with_a_mistake_of_its_own_is_a_failure_that_names_it(scripted, follow, says):
    with pytest.raises(FailureError, match=r"stream 'scripted' broke off \(KeyError\)") as raised:
        list(follow(scripted(says(error=KeyError("secret")))))
    assert "secret" not in str(raised.value)


def test_a_refused_symbol_stays_told_and_holds_up_no_other(scripted, follow, quote):
    refused = Gap("scripted", ("NOPE",), quote().time, None, "NOPE is refused")

    async def script():
        yield refused
        yield quote("AAPL", 1.0)

    feed = follow(scripted(script), ["AAPL", "NOPE"])
    assert set(feed) == {refused, quote("AAPL", 1.0)}
    assert feed.gaps == [refused]


def test_many_gaps_stay_bounded(scripted, follow, says):
    feed = follow(scripted(says(1.0, error=ProviderError("again"))))
    reader = feed.subscribe()
    until(lambda: feed._line.stream.connections > 3 * MOST_GAPS)
    assert len(reader) <= MOST_GAPS + 1


def test_latest_is_a_table_with_a_row_for_each_symbol(scripted, follow, quote):
    async def script():
        yield quote("AAPL", 110.0, volume=5.0, previous_close=100.0, currency="USD")
        await asyncio.sleep(60)

    now = quote(second=7).time
    feed = follow(scripted(script), ["IBM", "AAPL"], clock=lambda: now)
    assert feed.subscribe().drain(timeout=10)
    table = feed.latest()
    assert list(table.index) == ["IBM", "AAPL"]
    assert list(table.columns) == ["price", "change", "volume", "currency", "time", "age"]
    assert table.loc["AAPL", ["price", "volume", "age"]].tolist() == [110.0, 5.0, 0.0]
    assert table.loc["AAPL", "change"] == pytest.approx(0.10)
    assert table.loc["AAPL", "time"] == quote().time
    assert table.loc["IBM"].isna().all()
    assert str(table["time"].dt.tz) == "UTC"


def test_latest_waits_until_every_symbol_has_a_price(scripted, follow, says):
    feed = follow(scripted(says(1.0, pause=0.05)))
    assert feed.latest(timeout=10)["price"].tolist() == [1.0]


def test_several_readers_each_get_everything(scripted, follow, says):
    feed = follow(scripted(says(None, None, 1.0, pause=0.05, stay=True)))
    readers = [feed.subscribe() for _ in range(5)]
    assert [prices(reader.drain(timeout=10)) for reader in readers] == [[1.0]] * 5
    assert feed._line.stream.connections == 1


def test_a_reader_that_nobody_holds_is_served_no_more(scripted, follow, says):
    feed = follow(scripted(says(stay=True)))
    feed.subscribe()
    gc.collect()
    assert len(feed._line._readers) == 0


def test_it_is_followed_with_async_for(scripted, follow, says):
    async def read():
        return [event.price async for event in follow(scripted(says(1.0, 2.0, pause=0.05)))]

    assert asyncio.run(read()) == [1.0, 2.0]


def test_closing_ends_the_readers_and_the_thread(scripted, follow, says):
    feed = follow(scripted(says(1.0, stay=True)))
    reader = feed.subscribe()
    assert reader.drain(timeout=10)
    with feed:
        pass
    assert list(reader) == []
    assert list(feed.subscribe()) == []
    assert not feed._line.thread.is_alive()
    assert feed.latest()["price"].tolist() == [1.0]


def test_a_feed_that_nobody_holds_closes_itself_but_not_while_it_is_read(scripted, says):
    from workbench.data.live.feed import Feed

    feed = Feed(scripted(says(1.0, stay=True)), ["AAPL"])
    reader = feed.subscribe()
    thread = feed._line.thread
    del feed
    gc.collect()
    assert prices(reader.drain(timeout=10)) == [1.0]
    del reader
    gc.collect()
    until(lambda: not thread.is_alive())


@pytest.mark.parametrize(("symbols", "error"), [([], "needs a symbol"), (["../etc"], "is no symbol")])
def test_symbols_are_checked_before_anything_is_asked(scripted, follow, symbols, error):
    with pytest.raises(InputError, match=error):
        follow(scripted(), symbols)


SCRIPT = """
import asyncio
from workbench.data.live.base import Stream
from workbench.data.live.feed import Feed
from workbench.data.providers.base import Access

class Endless(Stream):
    name = "endless"
    async def updates(self, symbols):
        try:
            while True:
                yield None
                await asyncio.sleep(0.001)
        finally:
            print("left in order")

feed = Feed(Endless(Access()), ["AAPL"])
assert feed.drain(timeout=0.2) == []
"""


def test_a_forgotten_feed_ends_with_the_interpreter_without_noise():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "left in order\n", "")
