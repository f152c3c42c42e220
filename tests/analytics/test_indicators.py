import numpy as np
import pytest

from workbench.analytics import indicators
from workbench.core.errors import InputError, ParameterError, UnknownNameError, WorkbenchError
from workbench.core.market import FIELDS

ONE_LINE = [
    indicators.sma,
    indicators.ema,
    indicators.stddev,
    indicators.rsi,
    indicators.atr,
    indicators.vwap,
    indicators.realised_volatility,
]
SEVERAL = [
    indicators.macd,
    indicators.bollinger,
    indicators.donchian,
    indicators.keltner,
    indicators.supertrend,
    indicators.ichimoku,
    indicators.heikin_ashi,
]


@pytest.mark.parametrize("indicator", ONE_LINE + SEVERAL)
def test_a_value_for_every_bar_and_symbol(bars, indicator):
    found = indicator(bars)
    assert dict(found.sizes) == dict(bars.sizes)
    assert found.indexes["time"].equals(bars.indexes["time"])
    assert list(found["symbol"].to_numpy()) == list(bars["symbol"].to_numpy())


@pytest.mark.parametrize(
    ("indicator", "arguments", "warm_up"),
    [
        (indicators.sma, (20,), 19),
        (indicators.ema, (20,), 19),
        (indicators.stddev, (20,), 19),
        (indicators.rsi, (14,), 14),
        (indicators.atr, (14,), 14),
        (indicators.vwap, (20,), 19),
        (indicators.realised_volatility, (20,), 20),
        (indicators.realised_volatility, (20, "parkinson"), 19),
        (indicators.realised_volatility, (20, "garman_klass"), 19),
        (indicators.realised_volatility, (20, "rogers_satchell"), 19),
        (indicators.realised_volatility, (20, "yang_zhang"), 20),
        (lambda bars, *given: indicators.donchian(bars, *given)["upper"], (20,), 19),
        (lambda bars, *given: indicators.keltner(bars, *given)["upper"], (20, 10), 19),
        (lambda bars, *given: indicators.supertrend(bars, *given)["supertrend"], (10,), 10),
        (lambda bars, *given: indicators.supertrend(bars, *given)["trend"], (10,), 10),
        (lambda bars: indicators.ichimoku(bars)["conversion"], (), 8),
        (lambda bars: indicators.ichimoku(bars)["base"], (), 25),
        (lambda bars: indicators.ichimoku(bars)["leading_b"], (), 51),
        (lambda bars: indicators.ichimoku(bars)["cloud_b"], (), 77),
        (lambda bars: indicators.ichimoku(bars)["past_close"], (), 26),
        (lambda bars: indicators.heikin_ashi(bars)["open"], (), 0),
    ],
)
def test_nan_until_enough_of_its_own_bars_are_seen(bars, indicator, arguments, warm_up):
    found = indicator(bars, *arguments)
    for symbol in ("AAPL", "FB"):
        own = bars["close"].sel(symbol=symbol).notnull().to_numpy()
        values = found.sel(symbol=symbol).to_numpy()
        assert np.isnan(values[~own]).all()
        assert np.isnan(values[own][:warm_up]).all()
        assert np.isfinite(values[own][warm_up:]).all()


def test_the_lines_of_the_macd_begin_together(bars):
    found = indicators.macd(bars, 12, 26, 9).sel(symbol="AAPL")
    firsts = {name: int(np.isnan(found[name]).sum()) for name in found}
    assert firsts == {"macd": 33, "signal": 33, "histogram": 33}


@pytest.mark.parametrize("indicator", ONE_LINE + SEVERAL)
def test_a_symbol_is_not_disturbed_by_the_others(bench, bars, indicator):
    alone = indicator(bench.bars("FB", start="2005"))
    beside = indicator(bars).sel(symbol=["FB"], time=alone["time"])
    assert alone.equals(beside)


@pytest.mark.parametrize("indicator", ONE_LINE + SEVERAL)
def test_a_missed_session_is_no_gap(bars, indicator):
    sessions = bars.isel(time=slice(0, 120)).sel(symbol=["AAPL", "IBM"])
    missed = sessions.copy(deep=True)
    for field in missed.data_vars:
        missed[field].loc[{"symbol": "IBM", "time": missed["time"][60]}] = np.nan
    kept = np.delete(np.arange(120), 60)
    found = indicator(missed).sel(symbol="IBM").isel(time=kept)
    expected = indicator(sessions.sel(symbol=["IBM"]).isel(time=kept)).sel(symbol="IBM")
    assert found.equals(expected)


def test_a_bar_without_its_volume_is_left_out_of_what_reads_volume(bars):
    cut = bars.sel(symbol=["IBM"]).isel(time=slice(0, 60)).copy(deep=True)
    cut["volume"][40, 0] = np.nan
    found = indicators.vwap(cut, 10)[:, 0].to_numpy()
    kept = np.delete(np.arange(60), 40)
    assert np.isnan(found[40])
    np.testing.assert_array_equal(found[kept], indicators.vwap(cut.isel(time=kept), 10)[:, 0].to_numpy())
    assert np.isfinite(indicators.sma(cut, 10)[40, 0])


def test_another_field_may_be_averaged(bars):
    found = indicators.sma(bars, 5, field="volume").sel(symbol="IBM")
    assert float(found[-1]) == pytest.approx(float(bars["volume"].sel(symbol="IBM")[-5:].mean()))


@pytest.mark.parametrize("indicator", ONE_LINE + SEVERAL)
@pytest.mark.parametrize("length", [0, 1, 2, 10])
def test_too_few_bars_give_nan_and_no_error(bars, indicator, length):
    found = indicator(bars.isel(time=slice(0, length)))
    assert found.sizes["time"] == length
    if indicator is not indicators.heikin_ashi:
        first = found if indicator in ONE_LINE else found[list(found.data_vars)[-1]]
        assert first.isnull().all()


def test_a_symbol_without_a_bar_has_no_value(bars):
    early = bars.isel(time=slice(0, 100))
    assert early["close"].sel(symbol="FB").isnull().all()
    assert indicators.ichimoku(early, 2, 3, 4, 5).sel(symbol="FB").to_dataarray().isnull().all()


@pytest.mark.parametrize("indicator", ONE_LINE + SEVERAL)
def test_prices_are_left_as_they_were(bars, indicator):
    before = bars.copy(deep=True)
    indicator(bars)
    assert bars.identical(before)


@pytest.mark.parametrize("indicator", ONE_LINE + SEVERAL)
def test_compiled_readers_find_one_time_after_the_other(bars, indicator):
    found = indicator(bars)
    lines = [found] if indicator in ONE_LINE else list(found.data_vars.values())
    assert all(line.to_numpy().flags.c_contiguous for line in lines)


@pytest.mark.parametrize(
    ("indicator", "lacks"),
    [
        (indicators.atr, "high, low"),
        (indicators.donchian, "high, low"),
        (indicators.keltner, "high, low"),
        (indicators.supertrend, "high, low"),
        (indicators.ichimoku, "high, low"),
        (indicators.heikin_ashi, "open, high, low"),
        (indicators.vwap, "high, low, volume"),
    ],
)
def test_fields_that_the_source_lacks_are_told(bench, indicator, lacks):
    with pytest.raises(InputError, match=f"'sp500_index' has no {lacks}, which {indicator.__name__} needs"):
        indicator(bench.bars(dataset="sp500_index"))


@pytest.mark.parametrize("indicator", [indicators.sma, indicators.ema, indicators.rsi])
def test_a_field_that_the_source_lacks_is_told(bench, indicator):
    with pytest.raises(InputError, match="has no open"):
        indicator(bench.bars(dataset="sp500_index"), field="open")


@pytest.mark.parametrize(
    "indicator",
    [
        *(indicators.sma, indicators.ema, indicators.rsi, indicators.atr, indicators.donchian, indicators.keltner),
        *(indicators.supertrend, indicators.ichimoku, indicators.vwap, indicators.realised_volatility),
    ],
)
@pytest.mark.parametrize("window", [0, -5, 2.5])
def test_a_window_that_cannot_be_is_told(bars, indicator, window):
    with pytest.raises(ParameterError, match=str(window)):
        indicator(bars, window)


def test_realised_volatility_of_closes_needs_closes_only(bench):
    closes = bench.bars(dataset="sp500_index")
    assert np.isfinite(indicators.realised_volatility(closes)[-1, 0])
    with pytest.raises(InputError, match="has no open, high, low"):
        indicators.realised_volatility(closes, estimator="parkinson")


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"estimator": "parkinsons"}, UnknownNameError, "unknown estimator of volatility 'parkinsons'.*parkinson"),
        ({"periods_per_year": 0}, ParameterError, "periods_per_year=0 .*give 252"),
        ({"periods_per_year": float("inf")}, ParameterError, "periods_per_year=inf"),
        ({"window": 1}, ParameterError, "window=1; give a whole number of bars from 2 on"),
    ],
)
def test_what_volatility_cannot_use_is_told(bars, given, error, says):
    with pytest.raises(error, match=says):
        indicators.realised_volatility(bars, **given)


def test_prices_that_contradict_each_other_have_no_volatility(bars):
    wrong = bars.sel(symbol=["IBM"]).isel(time=slice(0, 2)).copy(deep=True)
    for field, value in zip(FIELDS, (100.0, 100.1, 99.9, 120.0, 1.0), strict=True):
        wrong[field][:] = value
    assert indicators.realised_volatility(wrong, 2, "garman_klass").isnull().all()


def test_nothing_traded_has_no_average_price(bars):
    still = bars.sel(symbol=["IBM"]).isel(time=slice(0, 30)).copy(deep=True)
    still["volume"][10:20] = 0.0
    found = indicators.vwap(still, 5)[:, 0].to_numpy()
    assert np.isnan(found[14:20]).all()
    assert np.isfinite(np.delete(found, np.r_[0:4, 14:20])).all()


def test_every_error_is_of_the_workbench(bars):
    with pytest.raises(WorkbenchError):
        indicators.bollinger(bars, width=float("nan"))
