"""Cutting off the future must not change an indicator's past, for every function of TA-Lib and every one beside it."""

import numpy as np
import pytest
import xarray as xr

from workbench.analytics import indicators
from workbench.analytics.studies import OSCILLATORS, OVERLAYS

CUTS = [1, 30, 130, 131, 150, 239]
NAMED = {
    "sma": indicators.sma,
    "ema": indicators.ema,
    "stddev": indicators.stddev,
    "rsi": indicators.rsi,
    "atr": indicators.atr,
    "macd": indicators.macd,
    "bollinger": indicators.bollinger,
    "donchian": indicators.donchian,
    "keltner": indicators.keltner,
    "supertrend": indicators.supertrend,
    "ichimoku": indicators.ichimoku,
    "heikin_ashi": indicators.heikin_ashi,
    "vwap": indicators.vwap,
    **{
        name: lambda bars, name=name: indicators.realised_volatility(bars, estimator=name)
        for name in indicators.ESTIMATORS
    },
}


@pytest.fixture(scope="module")
def some(bars):
    """Two symbols that are complete and one that begins in the middle: 240 sessions."""
    first = bars.indexes["time"].get_loc(bars["close"].sel(symbol="FB").dropna("time").indexes["time"][0])
    return bars.isel(time=slice(first - 130, first + 110))


def assert_kept(compute, bars):
    whole = compute(bars)
    for cut in CUTS:
        short, expected = compute(bars.isel(time=slice(cut))), whole.isel(time=slice(cut))
        if isinstance(whole, xr.DataArray):
            short, expected = {"": short}, {"": expected}
        for name, values in expected.items():
            np.testing.assert_array_equal(short[name].to_numpy(), values.to_numpy())


def with_periods(bars):
    start = np.datetime64("2005-01-01")
    days = (bars["time"].to_numpy() - start) // np.timedelta64(1, "D")
    return {"periods": xr.DataArray(2.0 + days % 20, {"time": bars["time"]}, ["time"])}


@pytest.mark.parametrize("name", indicators.names())
def test_a_function_of_ta_lib_does_not_look_ahead(some, name):
    assert_kept(
        lambda bars: indicators.compute(name, bars, **(with_periods(bars) if name == "MAVP" else {})),
        some,
    )


@pytest.mark.parametrize("name", NAMED)
def test_an_indicator_does_not_look_ahead(some, name):
    assert_kept(NAMED[name], some)


@pytest.mark.parametrize("name", NAMED)
def test_an_indicator_does_not_look_ahead_over_years(bars, name):
    whole = NAMED[name](bars)
    short = NAMED[name](bars.isel(time=slice(1500)))
    assert short.equals(whole.isel(time=slice(1500)))


@pytest.mark.parametrize("name", [*OVERLAYS, *OSCILLATORS])
def test_a_study_draws_nothing_from_the_future(some, name):
    study = (OVERLAYS | OSCILLATORS)[name]
    assert_kept(lambda bars: xr.Dataset(study.lines(bars)), some)


def test_a_later_bar_does_not_change_what_the_session_was_worth(bars):
    # The hour from 15:00 UTC of one session, then more of it and the next.
    times = np.array([f"2012-06-0{day}T{hour}:30" for day in (5, 6) for hour in (14, 15, 16, 17)], "datetime64[ns]")
    hourly = bars.sel(symbol=["IBM"]).isel(time=slice(0, 8)).assign_coords(time=times).assign_attrs(interval="1h")
    whole = indicators.vwap(hourly)
    for cut in range(1, 8):
        assert indicators.vwap(hourly.isel(time=slice(cut))).equals(whole.isel(time=slice(cut)))


def test_one_that_looks_ahead_would_be_caught(some):
    with pytest.raises(AssertionError):
        assert_kept(lambda bars: bars["close"].shift(time=-1), some)
