"""Patterns against the inequalities of Lo, Mamaysky and Wang (2000), candlesticks against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from workbench.analytics.patterns import CANDLESTICKS, candlesticks
from workbench.analytics.patterns.shapes import is_double_top, is_head_and_shoulders, level_with, triangle

# Journal of Finance 55, section II.A, definition 1: E3 > E1, E3 > E5; E1 and E5 within 1.5 percent of their average, E2
# and E4 too. 100 and 103 average 101.5: 1.5 is within 1.5225. 100 and 103.1 average 101.55: 1.55 is beyond 1.52325.
HEADS = [
    ([100, 90, 110, 90, 100], True),
    ([100, 90, 110, 90, 103], True),
    ([100, 90, 110, 90, 103.1], False),
    ([100, 90, 110, 92.7, 100], True),
    ([100, 90, 110, 92.8, 100], False),
    ([100, 90, 100, 90, 99], False),
    ([100, 90, 101, 90, 102], False),
    ([-100, -110, -90, -110, -100], True),
    ([-100, -110, -101, -110, -100], False),
]


@pytest.mark.parametrize(("extrema", "expected"), HEADS)
def test_head_and_shoulders_is_definition_1(extrema, expected):
    assert is_head_and_shoulders(extrema, 0.015) is expected


# Definition 3, a triangle: E1 > E3 > E5 and E2 < E4 from a maximum on; E1 < E3 < E5 and E2 > E4 from a minimum on.
# Its division by a flat side uses the 0.75 percent of definition 4, the rectangle.
TRIANGLES = [
    ([110, 107, 104], [95, 98], "symmetrical triangle"),
    ([110, 107], [95, 98, 101], "symmetrical triangle"),
    ([110, 112, 104], [95, 98], None),
    ([110, 107, 104], [98, 95], None),
    ([110, 110.5, 110], [95, 98], "ascending triangle"),
    ([110, 107, 104], [95, 95.5], "descending triangle"),
    ([110, 110.5, 110], [95, 95.5], None),
    ([100, 101.6], [95, 98], None),
    ([100, 101.5], [95, 98], "ascending triangle"),
]


@pytest.mark.parametrize(("tops", "bottoms", "expected"), TRIANGLES)
def test_triangles_are_definition_3(tops, bottoms, expected):
    assert triangle(tops, bottoms, 0.0075) == expected


# Definition 5: E1 and the highest later maximum within 1.5 percent of their average, more than 22 bars apart.
DOUBLES = [
    (100, [103], 23, True),
    (100, [103], 22, False),
    (100, [103.1], 23, False),
    (100, [99, 101], 40, True),
    (100, [102, 101], 40, False),
]


@pytest.mark.parametrize(("first", "later", "apart", "expected"), DOUBLES)
def test_double_top_is_definition_5(first, later, apart, expected):
    assert is_double_top(first, later, apart, 0.015, 22) is expected


def test_one_height_is_a_fraction_of_the_average():
    assert level_with([99, 100, 101], 0.01)
    assert not level_with([99, 100, 102], 0.015)


@pytest.fixture(scope="module")
def candles(bars):
    """Opens, highs, lows and closes of IBM as plain lists."""
    own = bars.sel(symbol="IBM")
    return [own[name].to_numpy().tolist() for name in ("open", "high", "low", "close")]


def plain_doji(i, opens, highs, lows, closes):
    """A body of a tenth or less of the mean range of the ten candles before."""
    mean = sum(highs[k] - lows[k] for k in range(i - 10, i)) / 10
    return 100 if abs(closes[i] - opens[i]) <= mean / 10 else 0


def color(i, opens, closes):
    return 1 if closes[i] >= opens[i] else -1


def plain_engulfing(i, opens, highs, lows, closes):
    """A body that holds the body of the other color before it; weaker where they share an end."""
    now, before = color(i, opens, closes), color(i - 1, opens, closes)
    top, bottom = max(opens[i], closes[i]), min(opens[i], closes[i])
    high, low = max(opens[i - 1], closes[i - 1]), min(opens[i - 1], closes[i - 1])
    if now == before or top < high or bottom > low or (top == high and bottom == low):
        return 0
    return now * (100 if top > high and bottom < low else 80)


def plain_three_outside(i, opens, highs, lows, closes):
    """A body strictly within the next one, of the other color, and then a close further on."""
    side = color(i - 1, opens, closes)
    if color(i - 2, opens, closes) == side:
        return 0
    holds = (closes[i - 1] - opens[i - 2]) * side > 0 and (opens[i - 1] - closes[i - 2]) * side < 0
    return 100 * side if holds and (closes[i] - closes[i - 1]) * side > 0 else 0


PLAIN = {"doji": plain_doji, "engulfing": plain_engulfing, "three outside": plain_three_outside}


@pytest.mark.parametrize("name", PLAIN)
def test_a_candlestick_is_its_definition(bars, candles, name):
    found = candlesticks(bars, name)[name].sel(symbol="IBM").to_numpy()
    first = int(np.flatnonzero(~np.isnan(found))[0])
    expected = [PLAIN[name](i, *candles) for i in range(first, len(found))]
    assert sum(value != 0 for value in expected) > 50
    np.testing.assert_array_equal(found[first:], expected)


def test_the_names_are_all_of_ta_libs_pattern_functions():
    group = talib.get_function_groups()["Pattern Recognition"]
    assert sorted(one.function for one in CANDLESTICKS.values()) == sorted(group)
    assert CANDLESTICKS["hammer"].function == "CDLHAMMER"
    assert CANDLESTICKS["morning star"].function == "CDLMORNINGSTAR"


def test_a_pattern_is_made_of_as_many_candles_as_its_name_says():
    said = {"two": 2, "three": 3}
    counted = {"two crows": 3, "upside gap two crows": 3, "three line strike": 4, "rising falling three methods": 5}
    for one in CANDLESTICKS.values():
        word = next((word for word in one.name.split() if word in said), None)
        if word:
            assert one.candles == counted.get(one.name, said[word])
