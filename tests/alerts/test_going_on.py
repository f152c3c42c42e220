"""A rule that goes on holding is told once, also where later data let it begin at another bar."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from workbench.bench import Workbench
from workbench.core.calendar import session_closes
from workbench.core.settings import load_settings


class World:
    """A bench on the sample, which ends on 1 March 2013, and bars that arrive."""

    def __init__(self, home):
        self.now = datetime(2013, 3, 2, 12, tzinfo=UTC)
        self.bench = Workbench(load_settings(home=home), clock=lambda: self.now)
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
