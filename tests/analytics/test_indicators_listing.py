from __future__ import annotations

import pytest
import xarray as xr

from workbench.analytics import indicators
from workbench.analytics.indicators.listing import OWN
from workbench.core.errors import ParameterError, UnknownNameError


def test_every_indicator_is_listed_once():
    listed = indicators.table()
    assert listed.index.is_unique
    assert set(listed.index) == {*indicators.names(), *OWN}
    assert (listed["description"].str.len() > 3).all()


def test_indicators_are_found_by_their_words():
    assert "ADX" in indicators.table("directional movement").index
    assert set(indicators.table("pattern recognition").index) == set(indicators.names("Pattern Recognition"))
    assert indicators.table("nothing has this").empty


@pytest.mark.parametrize("name", sorted(OWN))
def test_ours_come_by_name_as_they_are(bars, name):
    one = bars.isel(time=slice(300))
    found, expected = indicators.indicator(name, one), OWN[name](one)
    assert isinstance(found, xr.Dataset)
    assert dict(found.sizes) == {"time": 300, "symbol": 3}
    values = expected if isinstance(expected, xr.Dataset) else expected.to_dataset(name=name)
    xr.testing.assert_equal(found, values)


def test_parameters_reach_the_indicator(bars):
    found = indicators.indicator("sma", bars, window=5)["sma"]
    xr.testing.assert_equal(found, indicators.sma(bars, 5))
    ours = indicators.indicator("SMA", bars, timeperiod=5)["sma"]
    xr.testing.assert_allclose(found, ours)


@pytest.mark.parametrize(
    ("name", "given", "error", "said"),
    [
        ("AXD", {}, UnknownNameError, "unknown indicator 'AXD'"),
        ("ichimoko", {}, UnknownNameError, "ichimoku"),
        ("sma", {"widow": 5}, ParameterError, "sma has no parameter 'widow'; it takes: window, field"),
        ("SMA", {"window": 5}, ParameterError, "window"),
    ],
)
def test_a_name_or_a_parameter_that_is_none_is_refused(bars, name, given, error, said):
    with pytest.raises(error, match=said):
        indicators.indicator(name, bars, **given)
