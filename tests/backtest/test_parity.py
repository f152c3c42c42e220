"""Signals that were reported, against what the backtest says of that day later: agreed, or why not; told once.

The sample ends on 1 March 2013; it is loaded the day after, and further bars are learned as the days go by.
"""

import threading
import time
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import xarray as xr

import workbench as wb
from workbench.alerts.tables import ALERTS, RULES
from workbench.backtest.told_table import TOLD
from workbench.bench import Workbench
from workbench.core.calendar import session_closes
from workbench.core.known import VARIABLE
from workbench.core.settings import load_settings

LOADED = datetime(2013, 3, 2, 12, tzinfo=UTC)
LAST = pd.Timestamp("2013-03-01 21:00")
STRATEGIES = ["sma_cross", "rsi_reversion", "macd"]


class World:
    """A bench, its clock, and bars that arrive."""

    def __init__(self, home, url=None):
        self.now = LOADED
        self.bench = Workbench(load_settings(home=home, database_url=url), clock=lambda: self.now)
        self.bench.market.ensure("us_equities")

    def write(self, closes, actions=()):
        """Store bars of Apple by day, all four prices alike, a week after what was last known."""
        self.now += timedelta(days=7)
        stamps = session_closes("XNYS", pd.DatetimeIndex(list(closes)))
        prices = {name: list(closes.values()) for name in ("open", "high", "low", "close")}
        frame = pd.DataFrame({"symbol": "AAPL", "time": stamps, **prices, "volume": 1e6, "date": list(closes)})
        told = pd.DataFrame(actions, columns=["symbol", "time", "kind", "value"])
        told["time"], told["value"] = pd.to_datetime(told["time"], utc=True), told["value"].astype("float64")
        self.bench.market.store.write("us_equities", frame.astype({"volume": "float64"}), told, "USD")


@pytest.fixture(params=["sqlite"])
def world(request, tmp_path, monkeypatch):
    for name in (VARIABLE, "WORKBENCH_RUN", "WORKBENCH_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(f"d{time.monotonic_ns()}")
    made = World(tmp_path / "home", url)
    yield made
    made.bench.records.close()


on_both = pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)


def over(level, name="level_rule"):
    """A rule that is long above a price."""

    def rule(bars: xr.Dataset) -> xr.Dataset:
        """Be long above a level."""
        above = bars["close"] > level
        turned = above != above.shift(time=1, fill_value=False)
        return wb.make_signals(above & turned, ~above & turned, above * 2.0 - 1)

    rule.__name__ = name
    return wb.strategy(rule)


def causes(parity):
    return sorted({each.cause for each in parity.comparisons})


@on_both
def test_signals_that_still_hold_are_green_and_what_is_recorded_is_what_is_shown(world):
    bench = world.bench
    shown = bench.record_signals(["AAPL", "IBM"], STRATEGIES)
    pd.testing.assert_frame_equal(shown, bench.signals(["AAPL", "IBM"], STRATEGIES))
    assert len(bench.told_signals.list()) == 6
    world.write({"2013-03-04": 420.05, "2013-03-05": 431.14})
    found = bench.parity(before=world.now)
    assert (found.count("agrees"), found.holds) == (6, True)
    assert str(found) == "Parity: 6 of 6 reported signals are what the backtest says now"
    assert bench.alerts.list() == []
    assert "no reported signal" in str(bench.parity(before=LAST.tz_localize("UTC")))
    told = bench.told_signals.list()[0]
    assert (told.run, told.dataset, told.symbols, told.session) == (
        None,
        "us_equities",
        ("AAPL", "IBM"),
        LAST.tz_localize("UTC").to_pydatetime(),
    )
    assert told.parameters == bench.strategies()[told.strategy].validate({})


@on_both
def test_a_bar_that_was_restated_is_told_once_and_by_its_cause(world):
    bench = world.bench
    rule = over(430)
    world.write({"2013-03-04": 431.0})
    bench.record_signals(["AAPL"], [rule])
    world.write({"2013-03-04": 429.0})
    found = bench.parity(strategies=[rule])
    (differing,) = found.differing
    assert differing.cause == "data revised"
    assert (differing.told.said.position, differing.now.position) == (1, 0)
    (alert,) = bench.alerts.list()
    assert alert.source == "parity"
    assert alert.subject == "level_rule: 1 reported signal is no longer what the backtest says (data revised)"
    assert "AAPL 2013-03-04" in alert.text
    page = found._repr_html_()
    assert "0 of 1" in page
    assert "data revised" in page
    # Told once, though looked at again, and though the data go back and forth.
    assert not bench.parity(strategies=[rule]).holds
    world.write({"2013-03-04": 431.0})
    assert bench.parity(strategies=[rule]).holds
    world.write({"2013-03-04": 428.0})
    assert not bench.parity(strategies=[rule]).holds
    assert len(bench.alerts.list()) == 1


def test_a_rule_that_is_another_one_by_now_is_told_from_data_that_are(world):
    bench = world.bench
    world.write({"2013-03-04": 431.0})
    bench.record_signals(["AAPL"], [over(430)])
    assert causes(bench.parity(strategies=[over(440)], record=False)) == ["rule changed"]
    # The new rule says something else on the data of then, and something else again on those of now.
    world.write({"2013-03-04": 445.0})
    assert causes(bench.parity(strategies=[over(450)], record=False)) == ["rule changed"]
    assert causes(bench.parity(strategies=[over(430)], record=False)) == [""]
    world.write({"2013-03-04": 420.0})
    assert causes(bench.parity(strategies=[over(430)], record=False)) == ["data revised"]
    assert causes(bench.parity(strategies=[over(425)], record=False)) == ["data revised"]
    backwards = over(430)

    def below(bars: xr.Dataset) -> xr.Dataset:
        """Be long far below."""
        under = bars["close"] < 425
        turned = under != under.shift(time=1, fill_value=False)
        return wb.make_signals(under & turned, ~under & turned, under * 0.5)

    below.__name__ = backwards.name
    assert causes(bench.parity(strategies=[wb.strategy(below)], record=False)) == ["rule changed, data revised"]


def test_one_alert_tells_of_all_days_that_a_changed_rule_touches(world):
    bench = world.bench
    for day in pd.bdate_range("2013-02-20", "2013-03-01"):
        bench.record_signals(["AAPL", "IBM"], [over(400)], end=day)
    found = bench.parity(strategies=[over(1000)])
    assert found.count("differs") >= 8
    (alert,) = bench.alerts.list()
    assert f"{found.count('differs')} reported signals are" in alert.subject
    bench.record_signals(["AAPL"], [over(400)], end="2013-02-19")
    bench.parity(strategies=[over(1000)])
    newest, _ = bench.alerts.list()
    assert "1 reported signal is" in newest.subject


def test_a_rule_that_looks_ahead_is_caught_by_what_it_reported(world):
    @wb.strategy
    def peeking(bars: xr.Dataset) -> xr.Dataset:
        """Be long above the mean of all days, those to come included."""
        above = bars["close"] > bars["close"].mean("time")
        turned = above != above.shift(time=1, fill_value=False)
        return wb.make_signals(above & turned, ~above & turned, above * 2.0 - 1)

    bench = world.bench
    bench.record_signals(["AAPL"], [peeking], start="2013-01-02")
    world.write({str(day.date()): 100.0 for day in pd.bdate_range("2013-03-04", "2013-03-28")})
    assert causes(bench.parity(strategies=[peeking])) == ["looks ahead"]


def test_chance_is_told_from_a_change(world, tmp_path):
    told = tmp_path / "told"

    @wb.strategy
    def moody(bars: xr.Dataset) -> xr.Dataset:
        """Say something else each time."""
        told.write_text(told.read_text() + "x" if told.exists() else "x")
        strength = xr.full_like(bars["close"], 1 / len(told.read_text()))
        return wb.make_signals(strength > 9, strength > 9, strength)

    world.bench.record_signals(["AAPL"], [moody])
    assert causes(world.bench.parity(strategies=[moody])) == ["not reproducible"]


def test_a_dividend_that_is_learned_later_changes_no_signal(world):
    bench = world.bench
    bench.record_signals(["AAPL"], STRATEGIES)
    stamp = session_closes("XNYS", pd.DatetimeIndex(["2013-03-05"]))[0]
    world.write({"2013-03-04": 420.0, "2013-03-05": 421.0}, [("AAPL", stamp, "dividend", 30.0)])
    past = bench.bars("AAPL", "2013-02-25", "2013-03-01")["close"].to_numpy()
    assert (past < 445).all()
    assert bench.parity().holds


def test_an_attempt_that_is_repeated_reports_the_same_signals_once(world, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUN_ID", "run-1")
    for _ in range(3):
        world.bench.record_signals(["AAPL"], STRATEGIES)
    told = world.bench.told_signals.list()
    assert [each.run for each in told] == ["run-1"] * 3
    monkeypatch.setenv("WORKBENCH_RUN_ID", "run-2")
    world.bench.record_signals(["AAPL"], {"sma_cross": {"fast": 10}})
    assert world.bench.told_signals.list()[-1].parameters["fast"] == 10
    assert len(world.bench.told_signals.list()) == 4


def test_a_strategy_or_symbol_that_is_gone_is_not_compared_and_says_why(world):
    bench = world.bench
    bench.record_signals(["AAPL"], [over(430)])
    bench.record_signals(["AAPL"], ["macd"])
    found = bench.parity()
    assert (found.count("not compared"), found.count("agrees")) == (1, 1)
    assert "level_rule" in found.table("not compared")["cause"].item()
    assert "1 could not be compared" in str(found)
    assert bench.alerts.list() == []


def test_what_was_reported_from_later_knowledge_is_left_out_under_a_limit(world):
    bench = world.bench
    bench.record_signals(["AAPL"], ["macd"])
    limit = world.now + timedelta(hours=1)
    world.write({"2013-03-04": 420.0})
    bench.record_signals(["AAPL"], ["macd"])
    assert len(bench.parity().comparisons) == 2
    bench.limit_as_of(limit)
    assert len(bench.parity().comparisons) == 1
    bench.limit_as_of(None)


@on_both
def test_two_that_look_at_once_raise_one_alert(world):
    bench, rule = world.bench, over(430)
    world.write({"2013-03-04": 431.0})
    bench.record_signals(["AAPL"], [rule])
    world.write({"2013-03-04": 429.0})
    causes_of = {bench.told_signals.list()[0].id: "data revised"}
    start, new = threading.Barrier(4), []

    def look():
        start.wait()
        new.extend(bench.told_signals.disagree(causes_of, bench._tell_difference))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(new) == 1
    assert len(bench.alerts.list()) == 1


@on_both
def test_differences_may_be_more_than_a_statement_can_name(world):
    bench, rule = world.bench, over(430)
    world.write({"2013-03-04": 431.0})
    bench.record_signals(["AAPL"], [rule])
    bench.record_signals(["AAPL"], [rule], end="2013-03-01")
    ids = [each.id for each in bench.told_signals.list()]
    new = bench.told_signals.disagree(dict.fromkeys([*range(300_000), *ids], "data revised"))
    assert [each.id for each in new] == ids == [2, 1]


@on_both
def test_the_migrations_make_the_tables_that_are_written(world):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    for table in (TOLD, ALERTS, RULES):
        with world.bench.records.reading() as connection:
            wanted = {table.name}
            options = {"include_name": lambda name, kind, _, wanted=wanted: kind != "table" or name in wanted}
            context = MigrationContext.configure(connection, opts=options)
            found = compare_metadata(context, table.metadata)
        # Indexes belong to the migrations alone, and so does a metadata's second table.
        assert [each for each in found if each[0] not in ("remove_index", "add_table")] == []
