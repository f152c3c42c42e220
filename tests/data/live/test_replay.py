import time
from datetime import date

import pytest

from workbench.core.errors import DateRangeError, ParameterError, UnknownNameError
from workbench.data.live.replay import ReplayStream
from workbench.data.providers.base import Access, Quote

NAN = float("nan")
DAYS = ["2012-03-05 21:00", "2012-03-06 21:00", "2012-03-07 21:00", "2012-03-08 21:00"]


@pytest.fixture
def replay(make_bars, follow):
    def make(bars, symbols=("A",), interval=0.0, **options):
        return follow(ReplayStream(Access(), bars, **options), symbols, interval)

    return make


def test_every_bar_is_told_in_order_with_its_close_volume_and_the_close_before(replay, make_bars):
    bars = make_bars([[1, 2, 3, 4], [10, 20, 30, 40]], DAYS)
    events = list(replay(bars, ["A", "B"]))
    assert [(event.symbol, event.price, event.previous_close) for event in events] == [
        ("A", 1, None),
        ("B", 10, None),
        ("A", 2, 1),
        ("B", 20, 10),
        ("A", 3, 2),
        ("B", 30, 20),
        ("A", 4, 3),
        ("B", 40, 30),
    ]
    assert {(event.volume, event.currency, event.source) for event in events} == {(10.0, "USD", "replay")}
    assert [f"{event.time:%Y-%m-%d %H:%M %Z}" for event in events[::2]] == [f"{day} UTC" for day in DAYS]


def test_without_a_speed_nothing_is_left_out_however_slow_the_reader(replay, make_bars):
    closes = [float(price) for price in range(1, 1001)]
    times = [f"2012-03-05 {14 + minute // 60}:{minute % 60:02d}" for minute in range(500)]
    times += [f"2012-03-06 {14 + minute // 60}:{minute % 60:02d}" for minute in range(500)]
    feed = replay(make_bars([closes], times))
    reader = feed.subscribe()
    read = []
    for event in reader:
        read.append(event.price)
        assert len(reader) <= 1
        time.sleep(0.0001)
    assert read == closes
    assert reader.conflated == 0


def test_with_a_speed_readers_get_one_update_per_interval_and_the_final_state(replay, make_bars):
    closes = [float(price) for price in range(1, 201)]
    times = [f"2012-03-05 {14 + minute // 60}:{minute % 60:02d}" for minute in range(200)]
    started = time.monotonic()
    read = [event.price for event in replay(make_bars([closes], times), speed=400, interval=0.1)]
    took = time.monotonic() - started
    assert took >= 0.49
    assert 3 <= len(read) <= 2 + took / 0.1
    assert read == sorted(read)
    assert read[-1] == 200.0


def test_a_symbol_without_a_bar_says_nothing_then(replay, make_bars):
    bars = make_bars([[1, NAN, 3, 4], [NAN, NAN, 30, 40]], DAYS)
    events = list(replay(bars, ["A", "B"]))
    assert [(event.symbol, event.price, event.previous_close) for event in events] == [
        ("A", 1, None),
        ("A", 3, 1),
        ("B", 30, None),
        ("A", 4, 3),
        ("B", 40, 30),
    ]


def test_within_a_day_volume_adds_up_and_the_close_before_is_the_last_sessions(replay, make_bars):
    times = ["2012-03-05 20:00", "2012-03-05 21:00", "2012-03-06 15:00", "2012-03-06 16:00"]
    bars = make_bars([[1, 2, 3, 4]], times, volumes=[[5, 6, 7, NAN]])
    events = list(replay(bars))
    assert [(event.volume, event.previous_close) for event in events] == [(5, None), (11, None), (7, 2), (None, 2)]


def test_a_session_is_a_day_of_the_exchange_and_not_of_utc(replay, make_bars):
    bars = make_bars([[1, 2, 3]], ["2026-01-12 23:30", "2026-01-13 00:30", "2026-01-13 23:30"], calendar="XASX")
    assert [event.volume for event in replay(bars)] == [10, 20, 10]


@pytest.mark.parametrize("start", ["2012-03-07", date(2012, 3, 7)])
def test_it_begins_where_it_is_told_and_knows_the_close_before(replay, make_bars, start):
    events = list(replay(make_bars([[1, 2, 3, 4]], DAYS), start=start))
    assert [(event.price, event.previous_close) for event in events] == [(3, 2), (4, 3)]


def test_nothing_is_told_before_its_turn(replay, make_bars):
    feed = replay(make_bars([[1, 2, 3, 4]], DAYS), speed=10)
    reader = feed.subscribe()
    assert [event.price for event in reader.drain(timeout=5)] == [1]
    assert feed.latest()["price"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"speed": 0}, ParameterError, "speed 0 is not positive"),
        ({"speed": -1.0}, ParameterError, "speed -1.0"),
        ({"speed": NAN}, ParameterError, "speed nan"),
        ({"start": "tomorrow"}, DateRangeError, "tomorrow"),
    ],
)
def test_options_are_checked(make_bars, options, error, words):
    with pytest.raises(error, match=words):
        ReplayStream(Access(), make_bars([[1, 2, 3, 4]], DAYS), **options)


def test_it_needs_bars():
    with pytest.raises(ParameterError, match="needs bars"):
        ReplayStream(Access())


def test_an_unknown_symbol_is_raised_to_the_reader(replay, make_bars):
    with pytest.raises(UnknownNameError, match="'Z' in the replayed bars; nearest known: A"):
        list(replay(make_bars([[1, 2, 3, 4]], DAYS), ["Z"]))


def test_the_sample_can_be_replayed(bars, replay):
    feed = replay(bars, ["AAPL", "IBM"], start="2012-12-31")
    events = list(feed)
    assert {type(event) for event in events} == {Quote}
    final = {symbol: float(bars["close"].sel(symbol=symbol)[-1]) for symbol in ("AAPL", "IBM")}
    assert feed.latest()["price"].to_dict() == final
