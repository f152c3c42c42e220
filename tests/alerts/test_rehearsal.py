"""A rehearsal tells what the evaluation, run at each bar's close, and the outbox would have told."""

from datetime import timedelta

import holoviews as hv
import pandas as pd
import pytest

from workbench.alerts.bad import BadData
from workbench.alerts.book import RuleBook
from workbench.alerts.evaluate import NamedRule, judge
from workbench.alerts.firings import Alerts
from workbench.alerts.moment import moment_of
from workbench.alerts.outbox import Outbox
from workbench.alerts.policy import make_policy
from workbench.alerts.raising import raise_fired
from workbench.alerts.rehearsal import rehearse
from workbench.alerts.rules import make_rule
from workbench.alerts.tables import ALERTS, MESSAGES, RULES, TELL
from workbench.core.database import open_database
from workbench.core.errors import DateRangeError, InputError
from workbench.core.settings import load_settings

SYMBOLS = ["AAPL", "FB", "IBM"]
START, END = "2012-11-01", "2013-03-01"


@pytest.fixture(scope="module")
def by(bench):
    return {each: bench.bars(SYMBOLS, "2012-01", END, adjust=each) for each in ("splits", "all")}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    opened = open_database(load_settings(home=tmp_path_factory.mktemp("home")))
    yield opened
    opened.close()


@pytest.fixture
def database(records):
    """Records without any rule, alert or message: making the tables takes longer than most tests."""
    with records.writing() as connection:
        for table in (TELL, MESSAGES, ALERTS, RULES):
            connection.execute(table.delete())
    return records


def named(kind, policy=None, symbols=SYMBOLS, **values):
    rule = make_rule(kind, {"dataset": "us_equities", "symbols": symbols, **values})
    return NamedRule(rule.condition, kind, rule, policy=make_policy(policy or {}))


class Replay:
    """What came of a rule that was armed at a moment: looked at once at each close, its messages sent when due."""

    def __init__(self, database, rule, by, start, end, late=timedelta()):
        self.now = pd.Timestamp(start).tz_localize("UTC").to_pydatetime()
        book = RuleBook(database, lambda: self.now, "us_equities", lambda rule: None)
        kept = book.add(rule.kind, "rehearsed", policy=rule.policy, **rule.rule.plain())
        self.outbox, self.alerts = Outbox(database, lambda: self.now), Alerts(database)
        closes = next(iter(by.values())).indexes["time"]
        times = closes.union(closes + late)
        for at in times[(times >= pd.Timestamp(start)) & (times <= pd.Timestamp(end) + pd.Timedelta(days=1))]:
            self.deliver(at.tz_localize("UTC").to_pydatetime())
            raise_fired(database, judge(kept, by, at), lambda: self.now)
        self.deliver(self.now + timedelta(days=30))

    def deliver(self, until):
        while (due := self.outbox.next_due()) is not None and due <= until:
            self.now = max(self.now, due)
            for message in self.outbox.claim("sender", timedelta(minutes=1)):
                self.outbox.sent(message)
        self.now = until

    def told(self):
        found = [
            (each.since, each.symbol, each.text.split("; ")[0], each.held or "")
            for each in self.alerts.list(most=10_000)
        ]
        return sorted(found, key=str)

    def messages(self):
        found = [each for each in self.outbox.messages(most=10_000) if each.channel == "lab"]
        return [(each.claimed, each.alerts) for each in reversed(found)]


MEAN = {"indicator": "sma", "parameters": {"window": 2}}
NINE = {"kind": "price", "when": "above", "level": 9}
MOVE = {"kind": "move", "percent": 1.5, "direction": "down"}
CASES = {
    "a level": (named("price", when="above", level=200), {}),
    "a cross of a level": (named("price", when="crosses", level=190), {}),
    "a move, with release": (named("move", {"release": 1.5}, percent=1.5), {}),
    "a move, with a cool-down": (named("move", {"cool_down": "6 d"}, percent=2), {}),
    "a move, in windows of days": (named("move", {"window": "5 d"}, percent=2), {}),
    "a move, in quiet hours": (
        named("move", {"quiet": "15:00-10:00", "zone": "America/New_York", "window": "30 h"}, percent=2),
        {},
    ),
    "an urgent move in quiet hours": (
        named("move", {"quiet": "15:00-10:00", "zone": "America/New_York", "priority": "urgent"}, percent=3),
        {},
    ),
    "all of it, until it expires": (
        named(
            "move",
            {"release": 1.0, "cool_down": "3 d", "window": "4 d", "quiet": "20:00-18:00", "expires": "2013-01-20"},
            percent=1.5,
        ),
        {},
    ),
    "volume": (named("volume", multiple=1.8), {}),
    "an indicator": (named("indicator", {"release": 4.0}, indicator="rsi", when="below", level=35), {}),
    "a strategy": (named("signal", strategy="rsi_reversion"), {}),
    "a candlestick": (named("pattern", pattern="doji"), {}),
    "all of two": (named("all", parts=[{"kind": "price", "when": "above", "level": 195}, MOVE]), {}),
    "any of two": (named("any", {"release": 1.0}, parts=[{"kind": "volume", "multiple": 2.5}, MOVE]), {}),
    "not of one": (named("not", parts=[{"kind": "indicator", "indicator": "rsi", "when": "above", "level": 40}]), {}),
    "a cross back at the next bar": (named("indicator", indicator="close", when="crosses", against=MEAN), {}),
    "a strategy that turns often": (named("signal", strategy="candlestick"), {}),
    "any with missing data": (
        named("any", parts=[{"kind": "missing", "grace": 2}, MOVE]),
        {"late": timedelta(hours=2)},
    ),
    "missing data": (named("missing", sessions=1, grace=2), {"late": timedelta(hours=2)}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rehearsal_tells_what_day_by_day_would_have_told(case, by, database):
    rule, how = CASES[case]
    if case.endswith("missing data"):
        by = {
            each: bars.where(~bars["time"].dt.dayofyear.isin([320, 324, 345, 22]) | (bars["symbol"] != "IBM"))
            for each, bars in by.items()
        }
    lived = Replay(database, rule, by, START, END, **how)
    found = rehearse(rule, by, START, END)
    table = found.table
    since = [each.tz_localize("UTC").to_pydatetime() for each in table["since"]]
    rows = zip(since, table["symbol"], [text.split("; ")[0] for text in table["found"]], table["held"], strict=True)
    assert sorted(rows, key=str) == lived.told()
    sent = [each.tz_localize("UTC").to_pydatetime() for each in found.messages["sent"]]
    assert list(zip(sent, found.messages["alerts"], strict=True)) == lived.messages()
    assert len(found) >= 3, "a case in which nothing fires shows nothing"
    assert (table["message"] >= 0).equals(table["told"])


def test_a_rule_that_never_fires_says_so_and_what_came_nearest(by):
    found = rehearse(named("price", symbols=["AAPL"], when="above", level=750), by, START, END)
    assert str(found) == (
        "close above 750, on AAPL: would not have fired from 2012-11-01 to 2013-03-01 (82 bars); "
        "the nearest was AAPL on 2012-11-01: close 596.54 USD, -20.5% from 750"
    )
    assert found.plot() is None
    assert "<script" not in found._repr_html_()
    assert found.monthly.tolist() == [0, 0, 0, 0, 0]
    assert (len(found.table), len(found.messages)) == (0, 0)


def test_nothing_came_near_after_a_rule_has_expired(by):
    made = named("price", {"expires": "2012-12-31"}, ["AAPL"], when="above", level=600)
    found = rehearse(made, by, "2012-12-05", END)
    assert "the nearest was AAPL on 2012-12-06" in str(found)
    later = rehearse(named("price", {"expires": "2012-01-01"}, ["AAPL"], when="below", level=600), by, START, END)
    assert str(later).endswith("would not have fired from 2012-11-01 to 2013-03-01 (82 bars)")


def test_bars_are_too_few_for_a_grace_that_is_not_over(by):
    few = {each: bars.isel(time=[0]) for each, bars in by.items()}
    found = rehearse(named("missing", symbols=["AAPL"], grace=5), few)
    assert (len(found), dict(found.unknown)) == (0, {"AAPL": "not enough bars"})


def test_what_held_before_the_rehearsal_is_told_at_its_first_bar(by):
    found = rehearse(named("price", symbols=["AAPL"], when="above", level=400), by, START, END)
    assert len(found) == 1
    assert found.table["time"][0] == found.start
    assert found.table["since"][0] < found.start


def test_messages_by_month_add_up_and_the_page_escapes_a_name(by):
    made = named("move", {"cool_down": "5 d"}, percent=2)
    found = rehearse(NamedRule("<script>x</script>", "move", made.rule, policy=made.policy), by, START, END)
    assert found.monthly.sum() == len(found.messages) > 5
    assert found.per_month == pytest.approx(len(found.messages) / (120 / (365.25 / 12)), rel=0.01)
    assert found.messages["alerts"].sum() == found.table["told"].sum() < len(found)
    page = found._repr_html_()
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page
    assert "held back" in str(found)


def test_a_symbol_without_bars_is_named_and_a_range_without_any_refused(by):
    found = rehearse(named("price", symbols=["AAPL", "GONE"], when="above", level=1), by)
    assert found.unknown == {"GONE": "no bars of it"}
    with pytest.raises(DateRangeError, match="rehearse on from 1999-01-01 00:00 UTC to 1999-12-31 23:59 UTC; there"):
        rehearse(named("price", when="above", level=1), by, "1999", "1999")
    with pytest.raises(InputError, match="GONE"):
        rehearse(named("price", symbols=["GONE"], when="above", level=1), by)
    with pytest.raises(InputError, match="'IBM' is none of the rehearsed symbols"):
        rehearse(named("price", symbols=["AAPL"], when="above", level=1), by).plot("IBM")


def labels(picture):
    return [[part.label for part in panel if part.label] for panel in picture]


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (named("price", when="below", level=500), [["level 500", "fired"], []]),
        (named("move", percent=2), [["fired"], ["move in 1 bar", "limit +2 %", "limit -2 %"]]),
        (named("volume"), [["fired"], ["volume", "limit 3 ×"]]),
        (named("indicator", indicator="rsi", when="below", level=30), [["fired"], ["rsi", "level 30"]]),
        (
            named("indicator", indicator="close", when="above", against={"indicator": "sma"}),
            [["sma", "fired"], []],
        ),
        (named("signal", strategy="sma_cross"), [["sma(20)", "sma(100)", "fired"], []]),
        (named("all", parts=[NINE, MOVE]), [["level 9", "fired"], ["move in 1 bar", "limit -1.5 %"]]),
    ],
    ids=lambda value: value.name if isinstance(value, NamedRule) else "",
)  # fmt: skip
def test_the_moment_shows_what_the_rule_looked_at(by, rule, shown):
    fired = by["all"].indexes["time"][-20]
    picture = moment_of(by, "AAPL", fired, rule)
    assert labels(picture) == [each for each in shown if each]
    drawn = picture.traverse(lambda part: part, [hv.VLines])
    assert {pd.Timestamp(each.dimension_values(0)[0]) for each in drawn} == {fired}


def test_the_moment_of_data_that_look_wrong_shows_the_prices(by):
    bad = BadData(dataset="us_equities", symbols=["AAPL"])
    fired = by["all"].indexes["time"][-20]
    assert labels(moment_of(by, "AAPL", fired, NamedRule("bad", "bad", bad))) == [["fired"]]
    jumpy = NamedRule("bad", "bad", bad.model_copy(update={"jump": 12.0}))
    # The day after its report of the fourth quarter: from 514.01 to 450.50.
    (found,) = rehearse(jumpy, by).table.itertuples()
    assert (f"{found.time:%Y-%m-%d}", found.found) == ("2013-01-24", "a jump of -12.4 % without a split or dividend")


def test_a_moment_before_all_bars_cannot_be_drawn(by):
    with pytest.raises(DateRangeError, match="no bars of AAPL"):
        moment_of(by, "AAPL", pd.Timestamp("2001-01-01"))
