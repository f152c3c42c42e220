"""What was known of patterns at a bar must be the same whatever comes after it."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.analytics.patterns import CANDLESTICKS, PATTERNS, candlesticks, events, find

EVERY_CUT = range(1, 1040, 23)


@pytest.fixture(scope="module")
def years(bars):
    return bars.sel(time=slice("2009", "2013"))


@pytest.mark.parametrize(
    "options", [{}, {"left": 2, "right": 2, "tolerance": 0.03, "depth": 0.0, "pole": 1.5, "touches": 2}]
)
def test_the_patterns_known_by_a_bar_do_not_change_when_the_future_is_cut_off(years, options):
    whole = find(years, **options)
    assert {one.name for one in whole} >= {"support", "resistance", "head and shoulders", "double top", "flag"}
    times = years.indexes["time"]
    for cut in EVERY_CUT:
        known = [one for one in whole if one.known <= times[cut]]
        assert find(years.isel(time=slice(cut + 1)), **options) == known


def test_every_pattern_is_known_at_its_bar_and_not_one_bar_before(years):
    bars = years.sel(symbol=["AAPL"])
    times = bars.indexes["time"]
    whole = find(bars)
    assert len({one.name for one in whole}) > 6
    for one in whole[::4]:
        place = times.get_loc(one.known)
        assert one in find(bars.isel(time=slice(place + 1)))
        assert one not in find(bars.isel(time=slice(place)))


def test_closes_only_are_under_the_same_rule(bench):
    bars = bench.bars(dataset="sp500_index", start="2018", end="2021")
    whole, times = find(bars), bars.indexes["time"]
    assert len(whole) > 20
    for cut in range(20, len(times), 40):
        assert find(bars.isel(time=slice(cut + 1))) == [one for one in whole if one.known <= times[cut]]


@pytest.mark.parametrize("cut", [40, 333, 700])
def test_events_do_not_change_when_the_future_is_cut_off(years, cut):
    assert events(years.isel(time=slice(cut))).equals(events(years).isel(time=slice(cut)))


@pytest.mark.parametrize("cut", [13, 150, 700])
def test_candlesticks_do_not_change_when_the_future_is_cut_off(years, cut):
    whole, short = candlesticks(years), candlesticks(years.isel(time=slice(cut)))
    for name in CANDLESTICKS:
        np.testing.assert_array_equal(short[name].to_numpy(), whole[name].isel(time=slice(cut)).to_numpy())


def test_every_chart_pattern_is_under_these_tests(years, bench):
    found = {one.name for one in find(years, left=2, right=2, tolerance=0.03, depth=0.0, pole=1.5, touches=2)}
    assert found == set(PATTERNS)
