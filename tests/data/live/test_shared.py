"""Several processes, one upstream connection, a real Redis between them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count

import pytest
from pydantic import SecretStr
from quote_server import twelve_data_message, until
from redis import Redis
from redis_server import redis_server

from workbench.core.errors import CredentialError, ParameterError, UnknownNameError
from workbench.data.live.base import Gap
from workbench.data.live.shared import SharedStream
from workbench.data.live.twelve_data import TwelveDataStream
from workbench.data.providers.base import Access, Quote

SECONDS = 1772463600
LEASE = 0.6

FOLLOWER = """
import json, os, sys
from dataclasses import asdict
from pydantic import SecretStr
from workbench.data.live.feed import Feed
from workbench.data.live.shared import SharedStream
from workbench.data.live.twelve_data import TwelveDataStream
from workbench.data.providers.base import Access

url, redis, lease, *symbols = sys.argv[1:]
upstream = TwelveDataStream(Access(key=SecretStr("key"), options={"stream_url": url}))
upstream.keep_alive = 0.1
feed = Feed(SharedStream(upstream, SecretStr(redis), lease=float(lease), interval=0.05), symbols, interval=0.05)
print(json.dumps({"ready": os.getpid()}), flush=True)
for event in feed:
    print(json.dumps({"kind": type(event).__name__, **asdict(event)}, default=str), flush=True)
"""


class Process:
    """A follower in a process of its own; ``said`` is what it has read so far."""

    def __init__(self, url, redis, *symbols):
        command = [sys.executable, "-c", FOLLOWER, url, redis, str(LEASE), *symbols]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def prices(self, symbol):
        return [said["price"] for said in self.said if said.get("symbol") == symbol]

    @property
    def gaps(self):
        return [said for said in self.said if said.get("kind") == "Gap"]

    def end(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()
        return self.process.stderr.read()


@pytest.fixture
def processes():
    started = []
    yield lambda *arguments: started.append(Process(*arguments)) or started[-1]
    for process in started:
        process.end()


@pytest.fixture
def own_redis():
    with redis_server() as running:
        yield running


def keep_saying(server, price, true, symbols=("AAPL", "MSFT", "IBM")):
    """Let prices rise until something is so."""

    def say():
        value = next(price)
        server.say(*(twelve_data_message(symbol, value, SECONDS + value) for symbol in symbols))
        time.sleep(0.02)
        return true()

    until(say, seconds=30)


def test_three_processes_share_one_connection_and_survive_the_kill_of_the_one_that_holds_it(
    twelve_data_server, own_redis, processes
):
    wishes = [("AAPL", "IBM"), ("AAPL",), ("MSFT",)]
    all_of_them = [processes(twelve_data_server.url, own_redis.url, *wish) for wish in wishes]
    price = count(100)
    keep_saying(
        twelve_data_server,
        price,
        lambda: all(process.prices(name) for process, wish in zip(all_of_them, wishes, strict=True) for name in wish),
    )
    assert (twelve_data_server.opened, twelve_data_server.most) == (1, 1)
    assert [process.gaps for process in all_of_them] == [[], [], []]
    assert {said["symbol"] for said in all_of_them[2].said if "symbol" in said} == {"MSFT"}

    client = Redis.from_url(own_redis.url)
    (pid,) = [process.process.pid for process in all_of_them if holds_connection(process, twelve_data_server)]
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    left = [process for process in all_of_them if process.process.pid != pid]
    until(lambda: twelve_data_server.opened == 2, seconds=20)
    assert time.monotonic() - killed < 5
    before = [len(process.said) for process in left]
    keep_saying(
        twelve_data_server,
        price,
        lambda: all(process.gaps and len(process.said) > seen + 3 for process, seen in zip(left, before, strict=True)),
    )
    for process in left:
        (gap,) = process.gaps
        assert gap["until"] > gap["since"]
        assert "took it over" in gap["reason"]
    assert twelve_data_server.most == 1
    assert client.get("workbench:live:twelve_data:reign") == b"2"


def holds_connection(process, server):
    """Return whether the one connection of the server comes from a process."""
    import psutil

    (connection,) = server.connections
    port = connection.remote_address[1]
    return any(link.laddr.port == port for link in psutil.Process(process.process.pid).net_connections("tcp"))


@pytest.fixture
def share(twelve_data_server, own_redis, follow):
    """Open feeds as processes would: each with an upstream and a Redis connection of its own."""

    def open_shared(*symbols, lease=LEASE):
        upstream = TwelveDataStream(Access(key=SecretStr("key"), options={"stream_url": twelve_data_server.url}))
        upstream.keep_alive = 0.1
        stream = SharedStream(upstream, SecretStr(own_redis.url), lease=lease, interval=0.05)
        feed = follow(stream, symbols, interval=0.05)
        return feed, feed.subscribe()

    return open_shared


def test_who_joins_later_gets_the_last_quotes_and_its_own_symbols(twelve_data_server, share):
    _, first = share("AAPL")
    twelve_data_server.wait_for_subscription("AAPL")
    twelve_data_server.say(twelve_data_message("AAPL", 100.0, SECONDS, 5))
    (quote,) = first.drain(timeout=10)
    _, second = share("AAPL", "IBM")
    assert second.drain(timeout=10) == [quote]
    twelve_data_server.wait_for_subscription("IBM")
    twelve_data_server.say(twelve_data_message("IBM", 200.0, SECONDS))
    assert [event.symbol for event in second.drain(timeout=10)] == ["IBM"]
    assert first.drain(timeout=0.1) == []
    assert twelve_data_server.opened == 1


def test_a_symbol_that_nobody_wants_any_more_is_given_up(twelve_data_server, share):
    share("AAPL")
    feed, _ = share("IBM")
    twelve_data_server.wait_for_subscription("AAPL", "IBM")
    feed.close()
    until(lambda: any(said["action"] == "unsubscribe" for said in twelve_data_server.heard))
    assert twelve_data_server.heard[-1] != {"action": "unsubscribe", "params": {"symbols": "AAPL"}}


def test_who_closes_hands_over_at_once(twelve_data_server, share):
    leader, _ = share("AAPL", lease=3.0)
    twelve_data_server.wait_for_subscription("AAPL")
    follower, reader = share("AAPL", lease=3.0)
    twelve_data_server.say(twelve_data_message("AAPL", 100.0, SECONDS))
    assert reader.drain(timeout=10)
    leader.close()
    until(lambda: twelve_data_server.opened == 2, seconds=2.5)
    until(lambda: follower.gaps)
    assert twelve_data_server.most == 1


def test_a_refused_symbol_is_told_to_who_wants_it_also_later(twelve_data_server, share):
    _, first = share("AAPL")
    twelve_data_server.wait_for_subscription("AAPL")
    feeds = [share("AAPL", "NOPE") for _ in range(2)]
    for feed, reader in feeds:
        (gap,) = reader.drain(timeout=10)
        assert (gap.symbols, gap.until) == (("NOPE",), None)
        assert feed.gaps == [gap]
    assert first.drain(timeout=2 * LEASE) == []
    assert feeds[0][1].drain() == []


def test_unknown_symbols_only_are_an_error_here_too(share):
    _, reader = share("NOPE")
    with pytest.raises(UnknownNameError, match="NOPE"):
        reader.drain(timeout=10)


def test_a_message_that_was_lost_is_a_gap(twelve_data_server, share, own_redis):
    share("AAPL")
    twelve_data_server.wait_for_subscription("AAPL")
    follower, reader = share("AAPL")
    twelve_data_server.say(twelve_data_message("AAPL", 100.0, SECONDS))
    assert reader.drain(timeout=10)
    client, channel = Redis.from_url(own_redis.url), "workbench:live:twelve_data:events"
    reign = int(client.get("workbench:live:twelve_data:reign"))
    skipped = {"reign": reign, "number": 10_000, "time": "2026-03-02T15:00:10Z"}
    client.publish(channel, json.dumps(skipped))
    (gap,) = reader.drain(timeout=10)
    assert "were lost" in gap.reason
    assert follower.gaps == [gap]


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\xff\xfe", b"null", b"[]", b'{"reign": 1}', b'{"reign": 1, "number": 99, "time": "x", "quotes": []}'],
)
def test_garbage_on_the_channel_is_not_believed(twelve_data_server, share, own_redis, garbage):
    share("AAPL")
    twelve_data_server.wait_for_subscription("AAPL")
    follower, reader = share("AAPL")
    until(lambda: Redis.from_url(own_redis.url).pubsub_numsub("workbench:live:twelve_data:events")[0][1])
    Redis.from_url(own_redis.url).publish("workbench:live:twelve_data:events", garbage)
    twelve_data_server.say(twelve_data_message("AAPL", 100.0, SECONDS))
    assert [type(event) for event in reader.drain(timeout=10)] == [Quote]
    assert follower.gaps == []


def test_a_leader_that_slept_beyond_its_lease_says_nothing_more(twelve_data_server, share, own_redis):
    feed, reader = share("AAPL")
    twelve_data_server.wait_for_subscription("AAPL")
    Redis.from_url(own_redis.url).set("workbench:live:twelve_data:leader", "another", px=500)
    until(lambda: feed.gaps)
    assert "another process holds the connection" in feed.gaps[0].reason
    until(lambda: twelve_data_server.opened == 2)
    until(lambda: feed.gaps[0].until)
    assert twelve_data_server.most == 1
    assert any(isinstance(event, Gap) for event in reader.drain())


def test_an_upstream_that_breaks_is_a_gap_for_everyone(twelve_data_server, share):
    feeds = [share("AAPL")[0] for _ in range(2)]
    twelve_data_server.wait_for_subscription("AAPL")
    price = count(100)
    keep_saying(twelve_data_server, price, lambda: all(feed.latest()["price"].notna().all() for feed in feeds))
    twelve_data_server.drop()
    keep_saying(twelve_data_server, price, lambda: all(feed.gaps and feed.gaps[-1].until for feed in feeds))
    assert twelve_data_server.most == 1


def test_a_redis_that_is_away_is_a_gap_and_no_address_is_shown(scripted, follow, own_redis):
    own_redis.stop()
    url = own_redis.url.replace("unix://", "unix://user:p4ssword@")
    feed = follow(SharedStream(scripted(), SecretStr(url)))
    (gap,) = feed.drain(timeout=20)
    assert gap.reason.startswith("Redis does not answer")
    assert "p4ss" not in gap.reason
    assert "redis.sock" not in gap.reason


def test_a_wrong_password_is_told_and_not_shown(scripted, follow):
    with redis_server("--requirepass", "right") as closed:
        url = closed.url.replace("unix://", "unix://:wr0ng@")
        with pytest.raises(CredentialError, match="WORKBENCH_REDIS_URL") as raised:
            follow(SharedStream(scripted(), SecretStr(url))).drain(timeout=10)
    assert "wr0ng" not in str(raised.value)


def test_an_address_that_is_none_is_told(scripted, follow):
    with pytest.raises(ParameterError, match="no address of a Redis"):
        follow(SharedStream(scripted(), SecretStr("ftp://p4ss@nowhere"))).drain(timeout=10)


def test_a_stream_that_cannot_change_its_symbols_begins_anew(scripted, follow, own_redis, quote):
    async def script():
        yield quote()
        await asyncio.sleep(60)

    upstream = scripted(script)
    streams = [SharedStream(upstream, SecretStr(own_redis.url), lease=0.3, interval=0.0) for _ in range(2)]
    first, second = (follow(stream, [name]) for stream, name in zip(streams, ("AAPL", "IBM"), strict=True))
    assert first.drain(timeout=10) == [quote()]
    second.subscribe()
    until(lambda: any({"AAPL", "IBM"} == set(asked) for asked in upstream.asked))
    assert any("begins anew" in gap.reason for feed in (first, second) for gap in feed.gaps)
