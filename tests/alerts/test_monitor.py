"""A monitor raises what fires on a stream: once, whatever breaks off, and however many monitors there are."""

import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import repeat

import pytest

from workbench.alerts.monitor import Monitor
from workbench.alerts.streaming import Watcher
from workbench.alerts.tables import ALERTS, MESSAGES
from workbench.alerts.telling import write
from workbench.bench import Workbench
from workbench.core.errors import ProviderError, StoreError, UnknownNameError
from workbench.core.settings import load_settings
from workbench.data.live.base import Stream
from workbench.data.live.feed import Feed
from workbench.data.providers.base import Access, Quote

NOW = datetime(2013, 3, 2, 12, tzinfo=UTC)
# Apple closed at 430.47 on 1 March 2013, the last day of the sample.
MONDAY = datetime(2013, 3, 4, 15, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request, tmp_path):
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(f"d{time.monotonic_ns()}")
    yield from open_world(tmp_path, url)


@pytest.fixture
def small_world(tmp_path):
    yield from open_world(tmp_path, None)


def open_world(folder, url):
    bench = Workbench(load_settings(home=folder / "home", database_url=url), clock=lambda: NOW)
    made = World(bench)
    yield made
    for each in made.monitors:
        each.stop()
    bench.records.close()


class World:
    """A bench on the sample, and its monitors."""

    def __init__(self, bench):
        self.bench, self.monitors = bench, []

    def add(self, name="over", level=440.0, **policy):
        return self.bench.alert_rules.add("price", name, symbols=["AAPL"], when="above", level=level, policy=policy)

    def monitor(self, feed, **changed):
        parts = {"database": self.bench.records, "read_bars": self.bars, **changed}
        monitor = Monitor(feed, self.bench.alert_rules, parts["database"], self.bench.clock, parts["read_bars"])
        self.monitors.append(monitor)
        return monitor

    def bars(self, dataset, symbols, adjust):
        return self.bench.bars(symbols, dataset=dataset, adjust=adjust)

    def replay(self, start):
        return lambda names: self.bench.live(list(names), speed=None, adjust="splits", start=start)

    def alerts(self):
        with self.bench.records.reading() as connection:
            return connection.execute(ALERTS.select().order_by(ALERTS.c.since, ALERTS.c.id)).all()

    def messages(self):
        with self.bench.records.reading() as connection:
            return connection.execute(MESSAGES.select()).all()


class Scripted(Stream):
    """Says what it is given to say, one connection after the other; then it waits to be told more."""

    name, description, licence, silence = "scripted", "a test", "none", None

    def __init__(self, *connections):
        super().__init__(Access())
        self.connections, self.opened = connections, 0
        self.lossless = True

    async def updates(self, symbols):
        import asyncio

        self.opened += 1
        said = self.connections[min(self.opened, len(self.connections)) - 1]
        for each in said:
            if isinstance(each, Exception):
                raise each
            while callable(each) and not each():
                await asyncio.sleep(0.01)
            if not callable(each):
                yield each

    def feed(self, names):
        return Feed(self, names, interval=0.0, delays=lambda: repeat(0.0))


def quote(price, minute=0, symbol="AAPL", at=MONDAY):
    return Quote(symbol, at + timedelta(minutes=minute), price, "scripted", "USD", None, 430.47)


def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def test_what_fires_is_raised_with_its_message_and_the_schedule_does_not_tell_it_again(world):
    rule = world.add(level=430.0)
    monitor = world.monitor(world.replay("2011-06"))
    assert monitor.join(60)
    alerts = world.alerts()
    assert [each.rule for each in alerts] == [rule.id] * monitor.told
    # Apple has been above 430 since 13 February 2012, as on its last day.
    assert [each.holds for each in alerts] == [False] * (len(alerts) - 1) + [True]
    assert alerts[-1].text.startswith("quote ")
    assert alerts[-1].key == f"rule:{rule.id}:AAPL:{alerts[-1].since.isoformat()}"
    assert [message.channel for message in world.messages()] == ["lab"]
    assert len(world.bench.evaluate_rules(lookback=5).fired) == 1
    assert [each.key for each in world.alerts()] == [each.key for each in alerts]
    again = world.monitor(world.replay("2011-06"))
    assert again.join(60)
    assert (again.fired > 0, again.told) == (True, 0)


def test_two_monitors_at_once_tell_everything_once(world):
    for number, level in enumerate((430.0, 450.0, 500.0, 550.0, 600.0)):
        world.add(f"r{number}", level)
    both = [world.monitor(world.replay("2011")) for _ in range(2)]
    assert all(each.join(120) for each in both)
    assert both[0].fired == both[1].fired == len(world.alerts())
    assert sum(each.told for each in both) == len(world.alerts())
    assert len({(each.rule, each.since) for each in world.alerts()}) == len(world.alerts()) >= 20


def test_a_rule_that_is_added_snoozed_or_removed_is_seen_while_it_watches(small_world):
    steps = [threading.Event() for _ in range(3)]
    said = [quote(435), steps[0].is_set, quote(445, 1), steps[1].is_set, quote(455, 2), steps[2].is_set, quote(465, 3)]
    small_world.add("first", 434.0)
    monitor = small_world.monitor(Scripted(said).feed)
    wait_until(lambda: len(small_world.alerts()) == 1)
    for event, (name, level) in zip(steps, (("second", 440.0), ("third", 450.0)), strict=False):
        rule = small_world.add(name, level)
        if name == "third":
            small_world.bench.alert_rules.snooze(name, NOW + timedelta(hours=1))
        wait_until(lambda rule=rule: any(each.id == rule.id for each in monitor.rules))
        event.set()
        wait_until(lambda rule=rule: rule.id in {each.rule for each in small_world.alerts()})
    assert [each.held for each in small_world.alerts()][:2] == [None, None]
    assert small_world.alerts()[2].held is not None
    fourth = small_world.add("fourth", 460.0)
    small_world.bench.alert_rules.remove("fourth")
    wait_until(lambda: all(each.id != fourth.id for each in monitor.rules))
    steps[2].set()
    assert monitor.join(20)
    assert len(small_world.alerts()) == 3


def test_a_lost_connection_and_what_it_missed_fire_nothing_and_it_goes_on(small_world, caplog):
    small_world.add()
    stream = Scripted([quote(435), ProviderError("the line is dead")], [quote(435), quote(441, 1)])
    monitor = small_world.monitor(stream.feed)
    with caplog.at_level(logging.WARNING):
        assert monitor.join(20)
    assert [(each.until is None, each.reason) for each in monitor.gaps][-1] == (False, "the line is dead")
    assert "of AAPL" in caplog.text or "AAPL by scripted" in caplog.text
    assert [each.since for each in small_world.alerts()] == [MONDAY + timedelta(minutes=1)]


def test_a_stream_that_cannot_be_opened_is_tried_again_and_says_why(small_world):
    small_world.add()
    opened = []

    def feed(names):
        opened.append(names)
        if len(opened) == 1:
            raise ProviderError("nobody answers")
        return Scripted([quote(441)]).feed(names)

    monitor = small_world.monitor(feed)
    wait_until(lambda: monitor.error == "nobody answers")
    assert "nobody answers" in repr(monitor)
    wait_until(lambda: len(small_world.alerts()) == 1)
    assert monitor.error == ""


def test_what_fired_is_written_once_the_records_can_be_written_again(small_world):
    small_world.add()

    class Failing:
        """Records whose disk is full for a while."""

        def __init__(self, database):
            self.database, self.left = database, 2

        reading = property(lambda self: self.database.reading)

        @contextmanager
        def writing(self):
            self.left -= 1
            if self.left >= 0:
                raise StoreError("the disk is full")
            with self.database.writing() as connection:
                yield connection

    records = Failing(small_world.bench.records)
    monitor = small_world.monitor(Scripted([quote(441), quote(442, 1)]).feed, database=records)
    assert monitor.join(30)
    assert records.left < 0
    assert len(small_world.alerts()) == monitor.told == 1


def test_while_the_records_are_away_nothing_that_fires_is_missed(small_world):
    small_world.add()
    away, records = threading.Event(), small_world.bench.records

    class Restarting:
        """Records whose server is restarted for a while."""

        @contextmanager
        def reading(self):
            if away.is_set():
                raise StoreError("the server is restarted")
            with records.reading() as connection:
                yield connection

        @contextmanager
        def writing(self):
            if away.is_set():
                raise StoreError("the server is restarted")
            with records.writing() as connection:
                yield connection

    goes = threading.Event()
    said = [quote(435), goes.is_set, quote(441, 1), quote(439, 2), quote(442, 3), quote(438, 4)]
    monitor = small_world.monitor(Scripted(said).feed, database=Restarting())
    wait_until(lambda: monitor.evaluated == 1)
    away.set()
    goes.set()
    wait_until(lambda: monitor.evaluated == 5 and monitor.error)
    assert monitor.error == "the server is restarted"
    assert small_world.alerts() == []
    away.clear()
    assert monitor.join(30)
    assert [(each.since.minute, each.until.minute) for each in small_world.alerts()] == [(1, 2), (3, 4)]
    assert monitor.error == ""


def test_a_bar_that_the_schedule_has_told_while_no_quotes_came_is_not_told_again(small_world, monkeypatch):
    """It closed, and was read, after the last quote."""
    small_world.add(level=429.0)
    whole, there, goes = small_world.bars("us_equities", ["AAPL"], "splits"), threading.Event(), threading.Event()
    before = whole.isel(time=slice(None, -1))
    assert before["close"].to_numpy()[-1, 0] > 429
    monkeypatch.setattr("workbench.alerts.monitor.BARS", 0.5)
    last = whole.indexes["time"][-1].tz_localize("UTC").to_pydatetime()
    said = [quote(428, at=last - timedelta(minutes=5)), goes.is_set, quote(431)]
    bars = lambda *about: whole if there.is_set() else before  # noqa: E731
    monitor = small_world.monitor(Scripted(said).feed, read_bars=bars)
    wait_until(lambda: monitor.evaluated == 1)
    there.set()
    small_world.bench.evaluate_rules()
    assert len(small_world.alerts()) == 1
    time.sleep(0.6)
    goes.set()
    assert monitor.join(20)
    assert (monitor.fired, monitor.told) == (1, 0)
    assert len(small_world.alerts()) == 1


def test_a_symbol_that_the_stream_does_not_know_is_left_out_and_told(small_world, caplog):
    small_world.add()
    small_world.bench.alert_rules.add("price", "other", symbols=["IBM", "MSFT"], when="above", level=900.0)
    asked = []

    class Choosy(Scripted):
        async def updates(self, symbols):
            asked.append(sorted(symbols))
            for each in ("IBM", "MSFT"):
                if each in symbols:
                    raise UnknownNameError("symbol", each, ["AAPL"], where="it")
            async for event in super().updates(symbols):
                yield event

    monitor = small_world.monitor(Choosy([quote(441)]).feed)
    assert monitor.join(30)
    assert asked == [["AAPL", "IBM", "MSFT"], ["AAPL", "MSFT"], ["AAPL"]]
    assert [each.symbol for each in small_world.alerts()] == ["AAPL"]
    assert "unknown symbol 'IBM' in it; nearest known: AAPL; rules on it are looked at on schedule alone" in caplog.text
    assert monitor.error == ""


def test_bars_that_cannot_be_read_again_are_kept_as_they_were(small_world, monkeypatch, caplog):
    small_world.add()
    monkeypatch.setattr("workbench.alerts.monitor.BARS", 0.1)
    gone, goes = threading.Event(), threading.Event()

    def bars(dataset, symbols, adjust):
        if gone.is_set():
            raise StoreError("the table is being written")
        return small_world.bars(dataset, symbols, adjust)

    monitor = small_world.monitor(Scripted([quote(435), goes.is_set, quote(441, 1)]).feed, read_bars=bars)
    wait_until(lambda: monitor.evaluated == 1)
    gone.set()
    time.sleep(0.2)
    goes.set()
    assert monitor.join(20)
    assert len(small_world.alerts()) == 1
    assert "the table is being written" in caplog.text


def test_a_step_that_is_written_again_is_not_told_again(world, monkeypatch):
    monkeypatch.setattr("workbench.alerts.telling.MOST", 2)
    rules = [world.add(), world.add("higher", 442.0)]
    bars = {("us_equities", "splits"): world.bars("us_equities", ["AAPL"], "splits")}
    step = Watcher(rules, bars).take([quote(price, n) for n, price in enumerate((441, 443, 439, 441, 439, 444))])
    assert (len(step.fired), len(step.let_go)) == (5, 3)
    told = [write(world.bench.records, step, world.bench.clock, ("lab",)) for _ in range(2)]
    assert told == [5, 0]
    assert [each.holds for each in world.alerts()] == [False, False, False, True, True]


def test_what_another_monitor_told_and_did_not_live_to_end_is_ended_and_told_anew(small_world):
    small_world.add()
    assert small_world.monitor(Scripted([quote(441)]).feed).join(20)
    assert [each.holds for each in small_world.alerts()] == [True]
    later = [quote(442, 5), quote(439, 6), quote(443, 7)]
    assert small_world.monitor(Scripted(later).feed).join(20)
    found = [(each.since, each.until, each.holds) for each in small_world.alerts()]
    start, end, again = (MONDAY + timedelta(minutes=minute) for minute in (0, 6, 7))
    assert found == [(start, end, False), (again, again, True)]


def test_a_monitor_that_lags_behind_does_not_end_what_began_later(small_world):
    small_world.add()
    slow = threading.Event()
    behind = small_world.monitor(Scripted([quote(441), slow.is_set, quote(439, 1)]).feed)
    wait_until(lambda: behind.told == 1)
    assert small_world.monitor(Scripted([quote(439, 1), quote(442, 2)]).feed).join(20)
    slow.set()
    assert behind.join(20)
    assert [each.holds for each in small_world.alerts()] == [False, True]


def test_a_feed_of_fixed_symbols_is_kept_and_another_one_is_opened_for_new_symbols(small_world):
    def add(name, symbol):
        small_world.bench.alert_rules.add("price", name, symbols=[symbol], when="above", level=900.0)

    fixed, free, never = [], [], threading.Event()

    def opens(into, names):
        into.append(Scripted([never.is_set]).feed(["AAPL", "IBM"] if into is fixed else names))
        return into[-1]

    add("first", "AAPL")
    for into in (fixed, free):
        assert small_world.monitor(lambda names, into=into: opens(into, names)).ready(20)
    add("second", "MSFT")
    wait_until(lambda: len(fixed) == len(free) == 2 and free[0].ended)
    assert [each.symbols for each in free] == [("AAPL",), ("AAPL", "MSFT")]
    assert not fixed[0].ended


def test_rules_without_bars_keep_nobody_else_from_being_watched(small_world, caplog):
    small_world.add()
    small_world.bench.alert_rules.add("move", "big", symbols=["IBM"], percent=5.0)

    def bars(dataset, symbols, adjust):
        if adjust == "all":
            raise StoreError("the table is gone")
        return small_world.bars(dataset, symbols, adjust)

    assert small_world.monitor(Scripted([quote(441)]).feed, read_bars=bars).join(20)
    assert len(small_world.alerts()) == 1
    assert "the table is gone" in caplog.text


def test_it_ends_with_stop_and_its_feed_with_it(small_world):
    small_world.add()
    feeds = []

    def feed(names):
        feeds.append(Scripted([quote(435), threading.Event().is_set]).feed(names))
        return feeds[-1]

    monitor = small_world.monitor(feed)
    assert monitor.ready(20)
    wait_until(lambda: monitor.evaluated == 1)
    monitor.stop()
    assert not monitor.is_running
    assert feeds[0].ended
    assert repr(monitor) == "<Monitor has ended: 1 rule at 1 symbol, 0 alerts>"


SCRIPT = """
import workbench as wb
from workbench.alerts.monitor import Monitor
from workbench.alerts.streaming import Watcher
bench = wb.open()
bench.alert_rules.add("price", "over", symbols=["AAPL"], when="above", level=100.0)
bars = lambda dataset, symbols, adjust: bench.bars(symbols, dataset=dataset, adjust=adjust)
feed = lambda names: bench.live(list(names), speed=1.0, interval=0.1, adjust="splits")
monitor = Monitor(feed, bench.alert_rules, bench.records, bench.clock, bars)
assert monitor.ready(30)
print(monitor.is_running, flush=True)
"""


def test_it_ends_with_its_process(home):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**os.environ}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (0, "True", "")
