"""Cutting off the future must not change what a rule said before; nor how near it was."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from workbench.alerts.evaluate import NamedRule, judge
from workbench.alerts.latch import fires
from workbench.alerts.rules import kinds, make_rule
from workbench.alerts.runs import RunFact, judge_runs

SYMBOLS = ["AAPL", "FB", "IBM"]
RULES = {
    "price above": ("price", {"when": "above", "level": 190.0}),
    "price crosses": ("price", {"when": "crosses", "level": 190.0}),
    "move": ("move", {"percent": 3, "window": 4}),
    "bad": ("bad", {"jump": 4, "stale": 5}),
    "volume": ("volume", {"multiple": 1.5}),
    "indicator": ("indicator", {"indicator": "rsi", "when": "below", "level": 40}),
    "lines": (
        "indicator",
        {
            "indicator": "macd",
            "output": "macd",
            "when": "crosses",
            "against": {"indicator": "macd", "output": "signal"},
        },
    ),
    "signal of lines": ("signal", {"strategy": "donchian_breakout"}),
    "signal of candles": ("signal", {"strategy": "candlestick"}),
    "signal of weights": ("signal", {"strategy": "rotation"}),
    "missing": ("missing", {}),
    "chart pattern": ("pattern", {"pattern": "resistance", "parameters": {"left": 3, "right": 3}}),
    "candlestick": ("pattern", {"pattern": "doji", "direction": "neutral"}),
    "all": ("all", {"parts": [{"kind": "price", "when": "below", "level": 190.0}, {"kind": "move", "percent": 1}]}),
    "missing, some hours later": ("missing", {"grace": 2}),
    "any with missing some hours later": (
        "any",
        {"parts": [{"kind": "missing", "grace": 30}, {"kind": "move", "percent": 1}]},
    ),
    "any with missing": ("any", {"parts": [{"kind": "missing"}, {"kind": "signal", "strategy": "donchian_breakout"}]}),
    "not": ("not", {"parts": [{"kind": "indicator", "indicator": "rsi", "when": "below", "level": 40}]}),
    "nested": (
        "all",
        {
            "parts": [
                {"kind": "not", "parts": [{"kind": "volume", "multiple": 1.5}]},
                {"kind": "any", "parts": [{"kind": "move", "percent": 2}, {"kind": "pattern", "pattern": "hammer"}]},
            ]
        },
    ),
}


@pytest.fixture(scope="module")
def some(bars):
    """Two symbols that are complete and one that begins in the middle: 240 sessions."""
    first = bars.indexes["time"].get_loc(bars["close"].sel(symbol="FB").dropna("time").indexes["time"][0])
    return bars.isel(time=slice(first - 130, first + 110))


def test_every_kind_is_looked_at():
    # Runs have a test of their own below.
    assert {kind for kind, _ in RULES.values()} | {"run"} == set(kinds())


@pytest.mark.parametrize("name", RULES)
def test_a_reading_does_not_look_ahead(some, name):
    kind, values = RULES[name]
    rule = make_rule(kind, {"dataset": "d", "symbols": SYMBOLS, **values})
    whole = rule.reading(some, some.indexes["time"][-1])
    assert bool(whole["holds"].any()) or kind == "missing"
    for cut in (60, 130, 131, 150, 239):
        # Some hours after the close more may be known than at it.
        at = some.indexes["time"][cut - 1] + pd.Timedelta(hours=3 * (cut % 2))
        part = rule.reading(some.isel(time=slice(cut)), at)
        for each in whole.data_vars:
            expected = whole[each].sel(time=slice(None, at)).to_numpy()
            np.testing.assert_array_equal(part[each].to_numpy(), expected, err_msg=f"{each} at {cut}")


@pytest.mark.parametrize("name", RULES)
def test_a_verdict_of_a_day_is_the_same_with_and_without_the_days_after(some, name):
    kind, values = RULES[name]
    named = NamedRule(name, kind, make_rule(kind, {"dataset": "d", "symbols": SYMBOLS, **values}))
    for cut in (131, 200):
        at = pd.Timestamp(some.indexes["time"][cut - 1])
        whole, cut_off = (dict.fromkeys(("all", "splits"), each) for each in (some, some.isel(time=slice(cut))))
        with_later, without = judge(named, whole, at, 3), judge(named, cut_off, at, 3)
        assert list(map(repr, with_later)) == list(map(repr, without))


@pytest.mark.parametrize("release", [0.0, 0.5, 20.0])
def test_when_a_rule_fires_does_not_depend_on_later_bars(some, release):
    rule = make_rule(
        "indicator", {"dataset": "d", "symbols": SYMBOLS, "indicator": "rsi", "when": "below", "level": 45}
    )
    own = rule.read({"all": some}, some.indexes["time"][-1]).sel(symbol="AAPL")
    holds, gap = own["holds"].to_numpy(), own["gap"].to_numpy()
    fired = fires(holds, gap, release)
    assert fired.any()
    for cut in range(1, len(holds), 7):
        np.testing.assert_array_equal(fires(holds[:cut], gap[:cut], release), fired[:cut])


def test_what_becomes_of_runs_later_is_not_known_yet():
    due = [datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=n) for n in range(6)]
    ends = zip(due, ["succeeded", "failed", "failed", "succeeded", "timed out", "succeeded"], strict=True)
    facts = [RunFact("daily", day, day, day + timedelta(minutes=30), state) for day, state in ends]
    named = NamedRule("runs", "run", make_rule("run", {"times": 2}))
    states = {}
    for hours in range(0, 140, 3):
        at = pd.Timestamp(due[0]).tz_localize(None) + pd.Timedelta(hours=hours)
        known = [each for each in facts if each.ended <= at.tz_localize(UTC)]
        assert list(map(repr, judge_runs(named, facts, at))) == list(map(repr, judge_runs(named, known, at)))
        states[hours] = [each.state for each in judge_runs(named, facts, at)]
    assert states[48] == ["near"]
    assert states[51] == ["fired"]
    assert states[75] == ["quiet"]
