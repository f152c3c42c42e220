"""A rule on patterns: it holds at the bar at which the pattern became known, and says which it is."""

import numpy as np
import pandas as pd
import pytest
import talib

from workbench.alerts.evaluate import NamedRule, judge
from workbench.alerts.rules import make_rule
from workbench.analytics.patterns import find
from workbench.core.errors import ParameterError, UnknownNameError


@pytest.fixture(scope="module")
def years(bars):
    return bars.sel(time=slice("2009", "2013"), symbol=["AAPL", "IBM"])


def rule(**values):
    return make_rule("pattern", {"dataset": "d", "symbols": ["AAPL", "IBM"], **values})


def read(years, **values):
    return rule(**values).reading(years, years.indexes["time"][-1])


@pytest.mark.parametrize(
    ("direction", "wanted"),
    [("any", lambda sign: sign != 0), ("bullish", lambda sign: sign > 0), ("bearish", lambda sign: sign < 0)],
)
def test_a_candlestick_is_where_talib_says_so(years, direction, wanted):
    reading = read(years, pattern="engulfing", direction=direction)
    for symbol in ("AAPL", "IBM"):
        own = [years[field].sel(symbol=symbol).to_numpy() for field in ("open", "high", "low", "close")]
        expected = wanted(talib.CDLENGULFING(*own))
        assert expected.sum() > 10
        np.testing.assert_array_equal(reading["holds"].sel(symbol=symbol).to_numpy(), expected)


def test_a_chart_pattern_holds_at_the_bar_at_which_it_became_known(years):
    reading = read(years, pattern="head and shoulders", parameters={"left": 3, "right": 3})
    found = find(years, "head and shoulders", left=3, right=3)
    assert len(found) > 3
    known = {(one.symbol, one.known) for one in found}
    held = reading["holds"].stack(place=("symbol", "time"))
    assert {(symbol, pd.Timestamp(time)) for symbol, time in held[held]["place"].to_numpy()} == known
    assert reading["value"].sum().item() == len(found)


def test_an_alert_says_which_pattern_it_is_and_why(years):
    first = find(years, "double bottom")[0]
    named = NamedRule("bottom", "pattern", rule(pattern="double bottom"))
    at = first.known
    (found,) = (each for each in judge(named, {"all": years}, at) if each.symbol == first.symbol)
    assert (found.state, found.time, found.subject) == ("fired", at, f"{first.symbol}: double bottom")
    assert found.found.startswith(f"bullish double bottom, {first.start:%Y-%m-%d} to {first.end:%Y-%m-%d}, level ")
    assert found.found.endswith(first.reason)


def test_where_there_is_none_it_says_so_and_no_distance(years):
    named = NamedRule("bottom", "pattern", rule(pattern="triple bottom"))
    (apple, _) = judge(named, {"all": years}, years.indexes["time"][40])
    assert (apple.state, apple.found) == ("quiet", "no triple bottom")
    assert np.isnan(apple.distance)


def test_a_pattern_that_there_is_none_of_and_a_parameter_that_it_has_not_are_refused(years):
    with pytest.raises(UnknownNameError, match="double top"):
        read(years, pattern="dubble top")
    with pytest.raises(UnknownNameError, match="windoe"):
        read(years, pattern="double top", parameters={"windoe": 3})
    with pytest.raises(ParameterError, match="direction='up'"):
        rule(pattern="double top", direction="up")
