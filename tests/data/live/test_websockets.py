"""Yahoo's and Twelve Data's streams over real WebSockets."""

import logging
import time
import traceback

import pytest
from pydantic import SecretStr
from quote_server import QuoteServer, answer_as_twelve_data, twelve_data_message, until, yahoo_message

from workbench.core.errors import CredentialError, ParameterError, UnknownNameError
from workbench.data.live.base import Gap
from workbench.data.live.twelve_data import TwelveDataStream
from workbench.data.live.yahoo import YahooStream
from workbench.data.providers.base import Access, Quote

KEY = "k3y&that=must/never#show"
SECONDS = 1772463600  # 2026-03-02 15:00 UTC


def twelve_data(server, **settings):
    stream = TwelveDataStream(Access(key=SecretStr(KEY), options={"stream_url": server.url}))
    vars(stream).update({"keep_alive": 0.05, **settings})
    return stream


def yahoo(server, **settings):
    stream = YahooStream(Access(options={"stream_url": server.url}))
    vars(stream).update(settings)
    return stream


def read_quote(feed):
    """Return the next quote."""
    return next(event for event in feed if isinstance(event, Quote))


def test_a_price_of_yahoo_becomes_a_quote(server, follow):
    feed = follow(yahoo(server), ["AAPL"])
    reader = feed.subscribe()
    server.wait_for_subscription("AAPL")
    server.say(yahoo_message("AAPL", 187.44, SECONDS, volume=12_345_678, change=-1.06))
    quote = read_quote(reader)
    assert quote == Quote("AAPL", quote.time, 187.44, "yahoo", "USD", 12_345_678.0, 188.5)
    assert quote.time.timestamp() == SECONDS
    assert server.heard[0] == {"subscribe": ["AAPL"]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({"previous_close": 190.5, "change": -3}, 190.5), ({"change": 2.0}, 185.44), ({}, None), ({"change": 500}, None)],
)
def test_the_close_before_is_given_or_follows_from_the_change(server, follow, fields, expected):
    reader = follow(yahoo(server), ["AAPL"]).subscribe()
    server.wait_for_subscription("AAPL")
    server.say(yahoo_message("AAPL", 187.44, SECONDS, **fields))
    assert read_quote(reader).previous_close == expected


def test_yahoo_is_asked_again_now_and_then_because_it_forgets(server, follow):
    feed = follow(yahoo(server, keep_alive=0.05), ["AAPL", "IBM"])
    feed.subscribe()
    until(lambda: len(server.heard) >= 3)
    assert server.heard[:3] == [{"subscribe": ["AAPL", "IBM"]}] * 3
    assert server.opened == 1


def test_a_price_of_twelve_data_becomes_a_quote(twelve_data_server, follow):
    reader = follow(twelve_data(twelve_data_server)).subscribe()
    twelve_data_server.wait_for_subscription("AAPL")
    twelve_data_server.say(twelve_data_message("AAPL", 342.0157, SECONDS, 27631112))
    quote = read_quote(reader)
    assert quote == Quote("AAPL", quote.time, 342.0157, "twelve_data", "USD", 27631112.0)
    assert quote.time.timestamp() == SECONDS
    assert twelve_data_server.heard[0] == {"action": "subscribe", "params": {"symbols": "AAPL"}}


def test_twelve_data_gets_its_heartbeat_while_prices_come(twelve_data_server, follow):
    reader = follow(twelve_data(twelve_data_server)).subscribe()
    twelve_data_server.wait_for_subscription("AAPL")

    def beats():
        twelve_data_server.say(twelve_data_message("AAPL", 100 + time.monotonic() % 1, SECONDS))
        return twelve_data_server.heard.count({"action": "heartbeat"}) >= 3

    until(beats)
    assert reader.drain()
    assert twelve_data_server.opened == 1


STREAMS = pytest.mark.parametrize(
    ("make", "message"), [(yahoo, yahoo_message), (twelve_data, twelve_data_message)], ids=["yahoo", "twelve_data"]
)


@STREAMS
@pytest.mark.parametrize("how", ["drop", "leave"])
def test_a_lost_connection_is_opened_again_and_the_gap_is_told(twelve_data_server, server, follow, make, message, how):
    chosen = server if make is yahoo else twelve_data_server
    feed = follow(make(chosen))
    reader = feed.subscribe()
    chosen.wait_for_subscription("AAPL")
    chosen.say(message("AAPL", 100.0, SECONDS))
    first = read_quote(reader)
    getattr(chosen, how)()
    until(lambda: len(chosen.heard) >= 2 and chosen.connections)
    until(lambda: chosen.say(message("AAPL", 101.0, SECONDS + 60)) or (feed.gaps and feed.gaps[-1].until))
    assert first.price == 100.0
    assert read_quote(reader).price == 101.0
    (gap,) = feed.gaps
    assert gap.symbols == ("AAPL",)
    assert "closed the connection" in gap.reason
    assert chosen.opened == 2


@STREAMS
@pytest.mark.parametrize(
    "garbage",
    ["", "{", "\x00\xff", '{"type": "pricing", "event": "price"}', '{"event": "price", "message": "AAAA"}'],
    ids=["nothing", "half", "bytes", "empty", "wrong"],
)
def test_a_message_that_cannot_be_read_is_a_gap_and_no_end(twelve_data_server, server, follow, make, message, garbage):
    chosen = server if make is yahoo else twelve_data_server
    feed = follow(make(chosen))
    reader = feed.subscribe()
    chosen.wait_for_subscription("AAPL")
    chosen.say(message("AAPL", 100.0, SECONDS), garbage, message("AAPL", 101.0, SECONDS + 1))
    until(lambda: feed.latest()["price"].iloc[0] == 101.0)
    (gap,) = feed.gaps
    assert "cannot be read" in gap.reason
    assert gap.until is not None
    assert gap in reader.drain()
    assert chosen.opened == 1


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf"), "dear", None])
def test_a_price_that_is_none_is_a_gap(twelve_data_server, follow, price):
    feed = follow(twelve_data(twelve_data_server))
    feed.subscribe()
    twelve_data_server.wait_for_subscription("AAPL")
    twelve_data_server.say(twelve_data_message("AAPL", price, SECONDS))
    until(lambda: feed.gaps)
    assert feed.latest()["price"].isna().all()


def test_quotes_that_nobody_asked_for_are_left_out(server, follow):
    feed = follow(yahoo(server))
    reader = feed.subscribe()
    server.wait_for_subscription("AAPL")
    server.say(yahoo_message("IBM", 1.0, SECONDS), yahoo_message("AAPL", 2.0, SECONDS))
    assert [event.symbol for event in reader.drain(timeout=10)] == ["AAPL"]


def test_a_silent_source_is_asked_again(follow):
    with QuoteServer() as mute:  # it takes the subscription, and answers not even heartbeats
        feed = follow(twelve_data(mute, silence=0.2))
        feed.subscribe()
        until(lambda: mute.opened >= 2)
        assert "said nothing for 0.2 seconds" in feed.gaps[0].reason


def test_a_quiet_market_is_no_lost_connection(twelve_data_server, server, follow):
    feeds = [follow(twelve_data(twelve_data_server, silence=0.4)), follow(yahoo(server, keep_alive=0.05, ping=0.2))]
    for feed in feeds:
        feed.subscribe()
    time.sleep(0.2)
    until(lambda: twelve_data_server.heard.count({"action": "heartbeat"}) > 8 and len(server.heard) > 8)
    assert [feed.gaps for feed in feeds] == [[], []]
    assert (twelve_data_server.opened, server.opened) == (1, 1)


def test_an_unknown_symbol_among_others_is_a_gap_that_stays(twelve_data_server, follow):
    feed = follow(twelve_data(twelve_data_server), ["AAPL", "NOPE"])
    reader = feed.subscribe()
    twelve_data_server.wait_for_subscription("NOPE")
    twelve_data_server.say(twelve_data_message("AAPL", 1.0, SECONDS))
    assert read_quote(reader).symbol == "AAPL"
    (gap,) = feed.gaps
    assert (gap.symbols, gap.until) == (("NOPE",), None)
    assert gap.reason == "NOPE is refused (symbol is not valid)"


def test_unknown_symbols_only_are_an_error(twelve_data_server, follow):
    with pytest.raises(UnknownNameError, match="unknown symbol 'NOPE' in twelve_data"):
        list(follow(twelve_data(twelve_data_server), ["NOPE"]))
    assert twelve_data_server.opened == 1


def test_a_plan_without_the_symbol_is_about_the_key(follow):
    message = "You are not authorized to access XHKG data."
    source = QuoteServer(lambda said: answer_as_twelve_data(said, (), message))
    with source, pytest.raises(CredentialError, match="XHKG"):
        list(follow(twelve_data(source)))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_once_and_never_shown(twelve_data_server, follow, status, caplog):
    caplog.set_level(logging.DEBUG)
    twelve_data_server.refusal = status
    with pytest.raises(CredentialError, match=f"refuses the key .status {status}.") as raised:
        list(follow(twelve_data(twelve_data_server)))
    assert len(twelve_data_server.paths) == 1
    assert "k3y" in twelve_data_server.paths[0]
    # The server of the test, in this same process, does write what it is asked.
    logged = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert "k3y" not in "".join([*traceback.format_exception(raised.value), *logged])


def test_a_refusal_in_a_message_never_shows_the_key(follow):
    said = '{"status": "error", "code": 401, "message": "**apikey** ' + KEY + ' is not valid"}'
    with QuoteServer(lambda heard: [said]) as source, pytest.raises(CredentialError) as raised:
        list(follow(twelve_data(source)))
    assert "k3y" not in str(raised.value)
    assert "***" in str(raised.value)


@pytest.mark.parametrize(("status", "words"), [(429, "no more connections"), (500, "status 500"), (302, "status 302")])
def test_a_busy_source_is_asked_again(twelve_data_server, follow, status, words):
    twelve_data_server.refusal = status
    feed = follow(twelve_data(twelve_data_server))
    feed.subscribe()
    until(lambda: len(twelve_data_server.paths) >= 3)
    assert words in feed.gaps[0].reason
    twelve_data_server.refusal = None
    until(lambda: feed.gaps[0].until)


def test_a_source_that_is_not_there_never_shows_the_key(follow):
    with QuoteServer() as gone:
        stream = twelve_data(gone)
    feed = follow(stream)
    (gap,) = [event for event in feed.drain(timeout=10) if isinstance(event, Gap)]
    assert gap.reason.startswith("twelve_data cannot be reached")
    assert "k3y" not in gap.reason


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "nonsense", "ws://127.0.0.1:port/"])
def test_an_address_that_is_none_is_told_without_it(follow, url):
    stream = TwelveDataStream(Access(key=SecretStr(KEY), options={"stream_url": url}))
    with pytest.raises(ParameterError, match="stream_url") as raised:
        list(follow(stream))
    assert "k3y" not in "".join(traceback.format_exception(raised.value))


def test_without_a_key_nothing_is_asked():
    with pytest.raises(CredentialError, match="WORKBENCH_KEYS__TWELVE_DATA"):
        TwelveDataStream(Access())


def test_other_symbols_are_asked_for_on_the_same_connection(twelve_data_server, server, follow):
    for chosen, make in ((server, yahoo), (twelve_data_server, twelve_data)):
        stream = make(chosen, keep_alive=0.05)
        follow(stream, ["AAPL"]).subscribe()
        chosen.wait_for_subscription("AAPL")
        assert stream.change({"IBM"})
        chosen.wait_for_subscription("IBM")
        assert chosen.opened == 1
    until(lambda: {"unsubscribe": ["AAPL"]} in server.heard)
    until(lambda: {"action": "unsubscribe", "params": {"symbols": "AAPL"}} in twelve_data_server.heard)


def test_a_flood_over_a_socket_reaches_a_slow_reader_as_the_latest_prices(server, follow):
    feed = follow(yahoo(server), ["AAPL", "IBM"], interval=0.2)
    reader = feed.subscribe()
    server.wait_for_subscription("AAPL")
    server.say(*(yahoo_message("AAPL" if step % 2 else "IBM", 1.0 + step, SECONDS + step) for step in range(4000)))
    until(lambda: feed.latest()["price"].tolist() == [4000.0, 3999.0])
    assert len(reader) == 2
    assert {event.price for event in reader.drain()} == {3999.0, 4000.0}
