"""Cutting off the future must not change what a rule said before; nor how near it was."""

import numpy as np
import pandas as pd
import pytest

from workbench.alerts.evaluate import NamedRule, judge
from workbench.alerts.rules import kinds, make_rule

SYMBOLS = ["AAPL", "FB", "IBM"]
RULES = {
    "price above": ("price", {"when": "above", "level": 190.0}),
    "price crosses": ("price", {"when": "crosses", "level": 190.0}),
    "move": ("move", {"percent": 3, "window": 4}),
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
}


@pytest.fixture(scope="module")
def some(bars):
    """Two symbols that are complete and one that begins in the middle: 240 sessions."""
    first = bars.indexes["time"].get_loc(bars["close"].sel(symbol="FB").dropna("time").indexes["time"][0])
    return bars.isel(time=slice(first - 130, first + 110))


def test_every_kind_is_looked_at():
    assert {kind for kind, _ in RULES.values()} == set(kinds())


@pytest.mark.parametrize("name", RULES)
def test_a_reading_does_not_look_ahead(some, name):
    kind, values = RULES[name]
    rule = make_rule(kind, {"dataset": "d", "symbols": SYMBOLS, **values})
    whole = rule.reading(some, some.indexes["time"][-1])
    assert bool(whole["holds"].any()) or kind == "missing"
    for cut in (60, 130, 131, 150, 239):
        at = some.indexes["time"][cut - 1]
        part = rule.reading(some.isel(time=slice(cut)), at)
        for each in ("value", "level", "holds", "gap", "here"):
            expected = whole[each].sel(time=slice(None, at)).to_numpy()
            np.testing.assert_array_equal(part[each].to_numpy(), expected, err_msg=f"{each} at {cut}")


@pytest.mark.parametrize("name", RULES)
def test_a_verdict_of_a_day_is_the_same_with_and_without_the_days_after(some, name):
    kind, values = RULES[name]
    named = NamedRule(name, kind, make_rule(kind, {"dataset": "d", "symbols": SYMBOLS, **values}))
    for cut in (131, 200):
        at = pd.Timestamp(some.indexes["time"][cut - 1])
        with_later, without = judge(named, some, at, 3), judge(named, some.isel(time=slice(cut)), at, 3)
        assert list(map(repr, with_later)) == list(map(repr, without))
