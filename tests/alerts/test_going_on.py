"""A rule that goes on holding is told once, also where later data let it begin at another bar."""

import time
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from workbench.alerts.firings import raise_alert
from workbench.alerts.tables import ALERTS
from workbench.bench import Workbench
from workbench.core.calendar import session_closes
from workbench.core.settings import load_settings


class World:
    """A bench on the sample, which ends on 1 March 2013, and bars that arrive."""

    def __init__(self, home, database_url=None):
        self.now = datetime(2013, 3, 2, 12, tzinfo=UTC)
        self.bench = Workbench(load_settings(home=home, database_url=database_url), clock=lambda: self.now)
        self.bench.market.ensure("us_equities")

    def write(self, day, close, kind=None, value=0.0):
        """Store Apple's bar of a day, with a dividend or a split that is effective on it."""
        stamp = session_closes("XNYS", pd.DatetimeIndex([day]))[0]
        self.now = max(self.now, stamp.to_pydatetime()) + timedelta(hours=1)
        row = {"symbol": "AAPL", "time": stamp, **dict.fromkeys(("open", "high", "low", "close"), close)}
        frame = pd.DataFrame([{**row, "volume": 1e6, "date": day}])
        told = [("AAPL", stamp, kind, value)] if kind else []
        actions = pd.DataFrame(told, columns=["symbol", "time", "kind", "value"]).astype({"value": "float64"})
        actions["time"] = pd.to_datetime(actions["time"], utc=True)
        self.bench.market.store.write("us_equities", frame, actions, "USD")

    def raised(self):
        return len(self.bench.evaluate_rules(lookback=5).raised)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.bench.records.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def recorded(request, tmp_path):
    """A world whose records are in either database."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(f"d{time.monotonic_ns()}")
    made = World(tmp_path / "home", url)
    yield made
    made.bench.records.close()


def test_a_dividend_that_moves_the_beginning_raises_no_second_alert(world):
    # Apple closed at 444.57, 441.40 and 430.47 on the last three days; the dividend takes 2.3 % off each of them.
    for name, when in (("under", "below"), ("over", "above")):
        world.bench.alert_rules.add("indicator", name, symbols=["AAPL"], indicator="close", when=when, level=437.0)
    (first,) = world.bench.evaluate_rules().fired.verdicts
    assert first.rule.name == "under"
    assert world.raised() == 0
    world.write("2013-03-04", 420.0, "dividend", 10.0)
    (again,) = world.bench.evaluate_rules().fired.verdicts
    assert again.since < first.since
    assert len(world.bench.alerts.list()) == 1


def test_what_lasts_is_told_once_though_it_seems_to_begin_later_and_a_new_beginning_is_told(world):
    world.bench.alert_rules.add("price", "over", symbols=["AAPL"], when="above", level=425.0)
    assert world.raised() == 1
    for day in ("2013-03-04", "2013-03-05", "2013-03-06"):
        world.write(day, 426.0)
        assert world.raised() == 0
    # The fourth of March is restated: the rule did not hold on that day, but does so since.
    world.write("2013-03-04", 424.0)
    (found,) = world.bench.evaluate_rules().fired.verdicts
    assert f"{found.since:%Y-%m-%d}" == "2013-03-05"
    assert len(world.bench.alerts.list()) == 1
    world.write("2013-03-07", 424.0)
    world.write("2013-03-08", 426.0)
    assert world.raised() == 1


def test_a_split_raises_no_second_alert(world):
    world.bench.alert_rules.add("price", "under", symbols=["AAPL"], when="below", level=440.0)
    assert world.raised() == 1
    world.write("2013-03-04", 60.0, "split", 7.0)
    (found,) = world.bench.evaluate_rules().fired.verdicts
    assert found.since.year == 2000
    assert len(world.bench.alerts.list()) == 1


def test_a_rule_that_was_removed_meanwhile_raises_nothing(world):
    world.bench.alert_rules.add("price", "under", symbols=["AAPL"], when="below", level=440.0)
    rules = world.bench.alert_rules.list()
    world.bench.alert_rules.remove("under")
    assert len(world.bench.evaluate_rules(rules).fired) == 1
    assert world.bench.alerts.list() == []


def test_a_part_on_adjusted_prices_follows_a_dividend_and_a_part_on_prices_does_not(world):
    # Apple closed at 444.57 on 27 February: above 440 and, once 2.3 % were taken off for a dividend, below 437.
    parts = [
        {"kind": "price", "when": "above", "level": 440.0},
        {"kind": "indicator", "indicator": "close", "when": "below", "level": 437.0},
    ]
    world.bench.alert_rules.add("all", "both", symbols=["AAPL"], parts=parts)
    assert not world.bench.evaluate_rules(at="2013-02-27", record=False).fired
    world.write("2013-03-04", 420.0, "dividend", 10.0)
    (found,) = world.bench.evaluate_rules(at="2013-02-27", record=False).fired.verdicts
    assert found.found.startswith("close 444.57 USD")


def test_with_a_release_it_is_told_again_only_after_it_was_far_away(world):
    rule = {"symbols": ["AAPL"], "when": "above", "level": 425.0, "policy": {"release": 5}}
    world.bench.alert_rules.add("price", "over", **rule)
    assert world.raised() == 1
    for day, close, new in (
        ("2013-03-04", 424.0, 0),
        ("2013-03-05", 426.0, 0),
        ("2013-03-06", 420.5, 0),
        ("2013-03-07", 426.0, 0),
        ("2013-03-08", 420.0, 0),
        ("2013-03-11", 426.0, 1),
    ):
        world.write(day, close)
        assert world.raised() == new, day


def streamed(world, rule, quote):
    """Raise what a stream has found at a moment, and return whether it is new."""
    key = f"rule:{rule.id}:AAPL:{quote:%Y-%m-%dT%H:%M:%S}"
    with world.bench.records.writing() as connection:
        return raise_alert(
            connection, key, "AAPL", "", quote, (quote, quote), rule=rule, symbol="AAPL", policy=rule.policy, holds=True
        )


def test_what_a_stream_has_told_is_not_told_again_at_the_close(recorded):
    rule = recorded.bench.alert_rules.add("price", "over", symbols=["AAPL"], when="above", level=435.0)
    assert recorded.raised() == 0
    assert streamed(recorded, rule, datetime(2013, 3, 4, 15, tzinfo=UTC))
    recorded.write("2013-03-04", 436.0)
    assert recorded.raised() == 0
    (alert,) = recorded.bench.alerts.list()
    assert alert.until == datetime(2013, 3, 4, 21, tzinfo=UTC)
    # The close lets go, so that the next time is told.
    recorded.write("2013-03-05", 434.0)
    assert recorded.raised() == 0
    recorded.write("2013-03-06", 436.0)
    assert recorded.raised() == 1


def test_a_cross_back_at_the_next_bar_is_told_whoever_told_the_first(recorded):
    # The last close is 430.47: at 436 it crosses 435 upwards, at 434 downwards, at 437 upwards.
    rule = recorded.bench.alert_rules.add("price", "through", symbols=["AAPL"], when="crosses", level=435.0)
    assert streamed(recorded, rule, datetime(2013, 3, 4, 15, tzinfo=UTC))
    recorded.write("2013-03-04", 436.0)
    assert recorded.raised() == 0
    recorded.write("2013-03-05", 434.0)
    assert recorded.raised() == 1
    assert recorded.raised() == 0
    assert streamed(recorded, rule, datetime(2013, 3, 6, 15, tzinfo=UTC))
    recorded.write("2013-03-06", 437.0)
    assert recorded.raised() == 0
    assert len(recorded.bench.alerts.list()) == 3


def test_a_close_lets_go_of_nothing_that_a_stream_has_found_after_it(world):
    rule = world.bench.alert_rules.add("price", "over", symbols=["AAPL"], when="above", level=435.0)
    world.write("2013-03-04", 434.0)
    assert streamed(world, rule, datetime(2013, 3, 5, 15, tzinfo=UTC))
    assert world.raised() == 0
    with world.bench.records.reading() as connection:
        assert connection.execute(sa.select(ALERTS.c.holds)).scalars().all() == [True]
    world.write("2013-03-05", 436.0)
    assert world.raised() == 0


def test_a_release_keeps_a_stream_from_being_let_go_by_a_close_that_is_too_near(world):
    given = {"symbols": ["AAPL"], "when": "above", "level": 435.0, "policy": {"release": 5}}
    rule = world.bench.alert_rules.add("price", "over", **given)
    assert streamed(world, rule, datetime(2013, 3, 4, 15, tzinfo=UTC))
    for day, close, new in (("2013-03-04", 434.0, 0), ("2013-03-05", 436.0, 0), ("2013-03-06", 430.0, 0)):
        world.write(day, close)
        assert world.raised() == new, day
    world.write("2013-03-07", 436.0)
    assert world.raised() == 1


def test_a_rule_that_was_snoozed_meanwhile_is_recorded_and_told_to_nobody(recorded):
    recorded.bench.alert_rules.add("price", "under", symbols=["AAPL"], when="below", level=440.0)
    rules = recorded.bench.alert_rules.list()
    recorded.bench.alert_rules.snooze("under", recorded.now + timedelta(hours=2))
    assert len(recorded.bench.evaluate_rules(rules).raised) == 1
    (alert,) = recorded.bench.alerts.list()
    assert (alert.held, alert.symbol, alert.rule) == ("snoozed", "AAPL", rules[0].id)
    assert len(recorded.bench.outbox.messages()) == 0


def test_an_alert_has_what_its_policy_says(world):
    given = {"symbols": ["AAPL"], "when": "below", "level": 440.0, "policy": {"priority": "high", "group": "desk"}}
    world.bench.alert_rules.add("price", "under", **given)
    assert world.raised() == 1
    assert world.bench.alerts.list()[0].priority == "high"
    (message,) = world.bench.outbox.messages()
    assert (message.channel, message.topic) == ("lab", "desk")
