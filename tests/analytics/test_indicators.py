import numpy as np
import pytest

from workbench.analytics import indicators
from workbench.core.errors import InputError, WorkbenchError

ONE_LINE = [indicators.sma, indicators.ema, indicators.stddev, indicators.rsi, indicators.atr]
SEVERAL = [indicators.macd, indicators.bollinger]


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


def test_another_field_may_be_averaged(bars):
    found = indicators.sma(bars, 5, field="volume").sel(symbol="IBM")
    assert float(found[-1]) == pytest.approx(float(bars["volume"].sel(symbol="IBM")[-5:].mean()))


def test_too_few_bars_give_nan(bars):
    assert indicators.sma(bars.isel(time=slice(0, 10)), 20).isnull().all()


def test_prices_are_left_as_they_were(bars):
    before = bars.copy(deep=True)
    indicators.bollinger(bars)
    assert bars.identical(before)


def test_true_range_needs_highs_and_lows(bench):
    with pytest.raises(InputError, match="dataset 'sp500_index' has no high, low, which atr needs"):
        indicators.atr(bench.bars(dataset="sp500_index"))


@pytest.mark.parametrize("indicator", [indicators.sma, indicators.ema, indicators.rsi])
def test_a_field_that_the_source_lacks_is_told(bench, indicator):
    with pytest.raises(InputError, match="has no open"):
        indicator(bench.bars(dataset="sp500_index"), field="open")


@pytest.mark.parametrize("indicator", [indicators.sma, indicators.ema, indicators.rsi, indicators.atr])
@pytest.mark.parametrize("window", [0, -5])
def test_a_window_that_cannot_be_is_told(bars, indicator, window):
    with pytest.raises(WorkbenchError, match=str(window)):
        indicator(bars, window)
