"""Alert rules: what is kept, what is refused and why, what fires and how often."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from workbench.alerts.evaluate import NamedRule
from workbench.alerts.rules import AlertRule
from workbench.bench import Workbench
from workbench.core.errors import InputError, ParameterError, UnknownNameError
from workbench.core.settings import load_settings


class Hands:
    """A clock that is set by hand."""

    now = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def hands():
    return Hands()


@pytest.fixture(scope="module")
def desk(tmp_path_factory, hands):
    return Workbench(load_settings(home=tmp_path_factory.mktemp("home")), clock=hands)


@pytest.fixture
def watch(desk, hands):
    """A bench without any rule or alert."""
    for each in desk.alert_rules.list():
        desk.alert_rules.remove(each.id)
    hands.now = Hands.now
    return desk


def test_a_rule_is_kept_with_all_that_it_says(watch):
    against = {"indicator": "sma", "parameters": {"window": 50}}
    given = {"symbols": ["AAPL", "IBM"], "indicator": "close", "when": "crosses above", "against": against}
    made = watch.alert_rules.add("indicator", "through the mean", **given, near=0.5)
    assert watch.alert_rules.list() == [made]
    assert made.rule.dataset == "us_equities"
    assert made.rule.condition == "close crosses above sma(window=50)"
    assert watch.alert_rules.table().loc["through the mean", "symbols"] == "AAPL, IBM"
    watch.alert_rules.remove("through the mean")
    assert watch.alert_rules.list() == []
    assert watch.alert_rules.add("indicator", "through the mean", **given).id != made.id


def test_the_kinds_come_through_the_door_of_plugins(watch):
    alone = {"price", "move", "volume", "indicator", "signal", "pattern", "missing", "bad", "run"}
    assert set(watch.alert_rules.kinds()) == alone | {"all", "any", "not"}


APPLE = {"symbols": ["AAPL"]}


@pytest.mark.parametrize(
    ("kind", "values", "error", "said"),
    [
        ("prise", APPLE, UnknownNameError, "price"),
        ("price", {**APPLE, "when": "above"}, ParameterError, "needs level"),
        ("price", {**APPLE, "when": "above", "level": -3}, ParameterError, "level=-3"),
        ("price", {**APPLE, "when": "above", "level": float("nan")}, ParameterError, "level=nan"),
        ("price", {**APPLE, "when": "over", "level": 3}, ParameterError, "when='over'"),
        ("price", {"symbols": [], "when": "above", "level": 3}, ParameterError, "symbols"),
        ("price", {"symbols": ["../etc"], "when": "above", "level": 3}, ParameterError, "no symbol"),
        ("price", {"symbols": ["APPL"], "when": "above", "level": 3}, UnknownNameError, "AAPL"),
        ("price", {**APPLE, "when": "above", "level": 3, "dataset": "us_equity"}, UnknownNameError, "us_equities"),
        ("price", {**APPLE, "when": "above", "level": 3, "expression": "x"}, ParameterError, "expression"),
        ("move", {**APPLE, "percent": 5, "window": 0}, ParameterError, "window=0"),
        ("volume", {**APPLE, "dataset": "sp500_stocks"}, InputError, "has no volume"),
        ("indicator", {**APPLE, "indicator": "rsy", "when": "below", "level": 30}, UnknownNameError, "rsi"),
        ("indicator", {**APPLE, "indicator": "rsi", "when": "below"}, ParameterError, "either a level or against"),
        ("indicator", {**APPLE, "indicator": "macd", "when": "below", "level": 0}, ParameterError, "choose an output"),
        (
            "indicator",
            {**APPLE, "indicator": "rsi", "parameters": {"windoe": 3}, "when": "below", "level": 0},
            ParameterError,
            "windoe",
        ),
        (
            "indicator",
            {**APPLE, "indicator": "__import__('os')", "when": "below", "level": 0},
            UnknownNameError,
            "unknown indicator",
        ),
        ("signal", {**APPLE, "strategy": "sma_kross"}, UnknownNameError, "sma_cross"),
        ("signal", {**APPLE, "strategy": "sma_cross", "parameters": {"fast": 200}}, ParameterError, "fast"),
        ("signal", {**APPLE, "strategy": "pairs"}, InputError, "needs 2 symbols"),
        (
            "indicator",
            {**APPLE, "indicator": "rsi", "parameters": {"window": float("nan")}, "when": "below", "level": 0},
            ParameterError,
            "parameters.window=nan",
        ),
        ("signal", {**APPLE, "strategy": "macd", "parameters": {"fast": object}}, ParameterError, "parameters.fast"),
        ("missing", {**APPLE, "sessions": 0}, ParameterError, "sessions=0"),
        ("pattern", {**APPLE, "pattern": "dubble top"}, UnknownNameError, "double top"),
        ("pattern", {**APPLE, "pattern": "flag", "parameters": {"windoe": 3}}, UnknownNameError, "windoe"),
        ("pattern", {**APPLE, "pattern": "doji", "dataset": "sp500_stocks"}, InputError, "has no open"),
        ("all", {**APPLE, "parts": "close > 5"}, ParameterError, "no list of rules"),
        (
            "any",
            {**APPLE, "parts": [{"kind": "indicator", "indicator": "rsy", "when": "below", "level": 3}]},
            UnknownNameError,
            "rsi",
        ),
        ("not", {"symbols": ["APPL"], "parts": [{"kind": "missing"}]}, UnknownNameError, "AAPL"),
        ("run", APPLE, ParameterError, "symbols"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_when_it_is_added(watch, kind, values, error, said):
    with pytest.raises(error, match=re.escape(said)):
        watch.alert_rules.add(kind, "mine", **values)
    assert watch.alert_rules.list() == []


def test_a_symbol_that_is_named_twice_is_watched_once(watch):
    made = watch.alert_rules.add("price", "twice", symbols=["AAPL", "IBM", "AAPL"], when="below", level=1000)
    assert made.rule.symbols == ("AAPL", "IBM")
    assert [each.symbol for each in watch.evaluate_rules(record=False).verdicts] == ["AAPL", "IBM"]


def test_numbers_of_numpy_are_kept_as_numbers(watch):
    given = {"strategy": "sma_cross", "parameters": {"fast": np.int64(5), "slow": np.float64(50)}}
    watch.alert_rules.add("signal", "turn", **APPLE, **given)
    (kept,) = watch.alert_rules.list()
    assert kept.rule.condition == "sma_cross(fast=5, slow=50.0) changes"
    assert [each.state for each in watch.evaluate_rules(record=False).verdicts] != ["unknown"]


def test_a_rule_whose_symbols_are_gone_says_so(watch):
    lost = watch.alert_rules.draft("price", **APPLE, when="above", level=1)
    lost = replace(lost, rule=lost.rule.model_copy(update={"symbols": ("GONE",)}))
    (found,) = watch.evaluate_rules([lost]).verdicts
    assert (found.state, found.found.partition(";")[0]) == ("unknown", "dataset 'us_equities' has no bars of GONE")


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 64, "<b>"])
def test_a_name_that_is_none_is_refused(watch, name):
    with pytest.raises(ParameterError, match="no name of a rule"):
        watch.alert_rules.add("price", name, **APPLE, when="above", level=3)


def test_a_name_is_taken_once(watch):
    watch.alert_rules.add("price", "mine", **APPLE, when="above", level=3)
    with pytest.raises(ParameterError, match="already"):
        watch.alert_rules.add("price", "mine", **APPLE, when="below", level=3)
    with pytest.raises(UnknownNameError, match="mine"):
        watch.alert_rules.remove("mina")


def test_a_rule_that_goes_on_holding_raises_one_alert_and_one_more_when_it_holds_again(watch):
    watch.alert_rules.add("price", "under 450", **APPLE, when="below", level=445)
    days = [str(day.date()) for day in watch.bars("AAPL", "2013-02-15", "2013-03-01").indexes["time"]]
    closes = watch.bars("AAPL", "2013-02-14", "2013-03-01")["close"].to_numpy().ravel()
    below = closes < 445
    begins = (below[1:] & ~below[:-1]).sum()
    raised = [len(watch.evaluate_rules(at=day).raised) for day in days]
    assert sum(raised) == begins >= 1
    assert sum(len(watch.evaluate_rules(at=day).fired) for day in days) == below[1:].sum() > begins
    assert [len(watch.evaluate_rules(at=day).raised) for day in days] == [0] * len(days)


def test_a_composition_that_is_kept_reads_bars_of_each_adjustment(watch):
    parts = [
        {"kind": "price", "when": "below", "level": 445},
        {"kind": "indicator", "indicator": "rsi", "when": "below", "level": 40},
    ]
    made = watch.alert_rules.add("all", "weak", **APPLE, parts=parts)
    assert watch.alert_rules.list() == [made]
    (found,) = watch.evaluate_rules(at="2013-03-01").fired.verdicts
    assert found.subject == "AAPL: close below 445 and rsi below 40"
    assert found.found.startswith("close 430.47 USD, -3.3% from 445 and rsi ")


def test_a_rule_that_has_fired_fires_again_only_after_its_release(watch):
    days = [str(day.date()) for day in watch.bars("AAPL", "2013-01-02", "2013-03-01").indexes["time"]]
    closes = watch.bars("AAPL", "2013-01-02", "2013-03-01", adjust="splits")["close"].to_numpy().ravel()
    raised = {}
    for release in (0.0, 8.0):
        rule = {**APPLE, "when": "below", "level": 455, "policy": {"release": release}}
        watch.alert_rules.add("price", f"under by {release:g}", **rule)
    for day in days:
        for verdict in watch.evaluate_rules(at=day).fired.verdicts:
            raised.setdefault(verdict.rule.name, set()).add(verdict.key)
    expected, armed = {"under by 0": 0, "under by 8": 0}, dict.fromkeys(("under by 0", "under by 8"), True)
    for close in closes:
        for name, away in (("under by 0", 0.0), ("under by 8", 8.0)):
            if close < 455:
                expected[name] += armed[name]
                armed[name] = False
            else:
                armed[name] = armed[name] or close - 455 >= away
    assert {name: len(keys) for name, keys in raised.items()} == expected
    assert expected["under by 0"] > expected["under by 8"] >= 2
    assert len(watch.alerts.list(source="rule", symbol="AAPL")) >= sum(expected.values())


def test_a_rule_that_has_expired_fires_no_more_and_says_since_when(watch, hands):
    hands.now = datetime(2013, 2, 10, tzinfo=UTC)
    expired = {**APPLE, "when": "below", "level": 500, "policy": {"expires": "2013-02-20"}}
    watch.alert_rules.add("price", "until then", **expired)
    (fired,) = watch.evaluate_rules(at="2013-02-20", record=False).fired.verdicts
    (late,) = watch.evaluate_rules(at="2013-02-22", record=False, lookback=3).fired.verdicts
    # What held by then is seen by one that looks later, as far as its lookback reaches.
    assert (late.time, late.since) == (fired.time, fired.since)
    assert not late.is_last
    (silent,) = watch.evaluate_rules(at="2013-02-22").verdicts
    assert (silent.state, silent.found) == ("unknown", "expired at 2013-02-20 23:59 UTC")


def test_an_evaluation_that_is_not_recorded_and_a_draft_raise_nothing(watch):
    before = len(watch.alerts.list())
    draft = watch.alert_rules.draft("price", **APPLE, when="below", level=1000)
    assert len(watch.evaluate_rules([draft]).fired) == 1
    watch.alert_rules.add("price", "kept", **APPLE, when="below", level=1000)
    assert len(watch.evaluate_rules(record=False).fired) == 1
    assert len(watch.alerts.list()) == before
    assert len(watch.evaluate_rules().raised) == 1
    newest = watch.alerts.list()[0]
    assert (newest.source, newest.subject) == ("rule", "AAPL: close below 1,000")
    assert "430.47 USD" in newest.text
    assert "us_equities@" in newest.text


def test_a_cross_between_two_looks_is_found_by_looking_back_if_the_rule_was_there(watch, hands):
    rule = {"symbols": ["AAPL"], "indicator": "close", "when": "crosses below", "level": 450.0}
    closes = watch.bars("AAPL", "2013-02-20", "2013-03-01", adjust="splits")["close"].to_pandas()["AAPL"]
    day = closes.index[(closes < 450) & (closes.shift(1) >= 450)][-1]
    later = closes.index[closes.index > day][1]
    hands.now = day.to_pydatetime().replace(tzinfo=UTC) + timedelta(hours=1)
    watch.alert_rules.add("indicator", "late", **rule)
    hands.now = day.to_pydatetime().replace(tzinfo=UTC) - timedelta(hours=1)
    watch.alert_rules.add("indicator", "early", **rule)
    assert len(watch.evaluate_rules(at=later).fired) == 0
    found = watch.evaluate_rules(at=later, lookback=3)
    assert [each.time for each in found.fired.verdicts] == [day, day]
    assert [each.split(":")[1] for each in found.raised] == [
        each.id for each in watch.alert_rules.list() if each.name == "early"
    ]
    with pytest.raises(ParameterError, match="lookback=0"):
        watch.evaluate_rules(lookback=0)


def test_a_symbol_without_bars_by_then_is_unknown_and_holds_up_no_other(watch):
    rule = watch.alert_rules.draft("price", symbols=["AAPL", "FB"], when="above", level=1)
    found = watch.evaluate_rules([rule], at="2010-06-01")
    assert [(each.symbol, each.state) for each in found.verdicts] == [("AAPL", "fired"), ("FB", "unknown")]
    too_early = watch.evaluate_rules([rule], at="1990-06-01")
    assert {each.state for each in too_early.verdicts} == {"unknown"}
    assert "1990" in too_early.verdicts[0].found
    young = watch.alert_rules.draft("indicator", symbols=["FB"], indicator="sma", when="above", level=1)
    assert watch.evaluate_rules([young], at="2012-05-22").unknown.table["found"].tolist() == ["not enough bars"]


def test_what_nearly_fired_comes_nearest_first_and_says_how_far(watch):
    closes = watch.bars("MSFT", adjust="splits")["close"].to_numpy().ravel()
    usual = np.median(np.abs(np.diff(closes[-21:])))
    levels = [closes[-1] + share * usual for share in (5, 0.9, 0.3)]
    drafts = [watch.alert_rules.draft("price", symbols=["MSFT"], when="above", level=level) for level in levels]
    found = watch.evaluate_rules(drafts)
    np.testing.assert_allclose(found.near.table["distance"], [0.3, 0.9], rtol=1e-6)
    np.testing.assert_allclose(found.quiet.table["distance"], [5], rtol=1e-6)
    wide = watch.alert_rules.draft("price", symbols=["MSFT"], when="above", level=levels[0], near=6)
    assert len(watch.evaluate_rules([wide]).near) == 1


def test_a_page_escapes_what_a_rule_is_called(watch):
    draft = watch.alert_rules.draft("price", "<script>", **APPLE, when="below", level=1000)
    found = watch.evaluate_rules([draft])
    assert "<script>" not in found.fired._repr_html_()
    assert "1" in found._repr_html_()
    assert "Nothing" in found.near._repr_html_()


def test_a_kind_of_a_stranger_that_looks_at_nothing_known_stops_no_other(watch):
    class Weather(AlertRule):
        """The weather."""

        on_bars = False

        @property
        def condition(self):
            return "rain"

        @property
        def adjusts(self):
            return ()

        def reading(self, bars, at):
            raise NotImplementedError

        def said(self, row, bars):
            raise NotImplementedError

    strange = NamedRule("rain", "weather", Weather(dataset="d", symbols=("AAPL",)))
    price = watch.alert_rules.draft("price", **APPLE, when="above", level=1)
    strange_one, known = watch.evaluate_rules([strange, price], at="2013-03-01").verdicts
    assert (strange_one.state, known.state) == ("unknown", "fired")
    assert "'weather'" in strange_one.found


def test_a_kind_of_a_stranger_that_breaks_holds_up_no_other(watch):
    price = watch.alert_rules.draft("price", **APPLE, when="above", level=1)

    class Broken(type(price.rule)):
        """A broken one."""

        def reading(self, bars, at):
            raise KeyError("tide")

    broken = NamedRule("tide", "tides", Broken(**price.rule.plain()))
    found, known = watch.evaluate_rules([broken, price], at="2013-03-01").verdicts
    assert (found.state, known.state) == ("unknown", "fired")
    assert found.found == "a rule of kind 'tides' failed: KeyError: 'tide'"
