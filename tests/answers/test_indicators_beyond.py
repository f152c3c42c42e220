"""What is beside the classics of TA-Lib, against definitions written out, hand-made tables and other libraries."""

import numpy as np
import pandas as pd
import pytest

from workbench.analytics import indicators
from workbench.core.frames import bars_from_rows
from workbench.core.market import FIELDS

NAN = float("nan")


def bars_of(rows, times=None, interval="1d"):
    """Return Bars of one symbol from tuples of open, high, low, close, volume."""
    times = pd.bdate_range("2020-01-06", periods=len(rows), tz="UTC") if times is None else times
    frame = pd.DataFrame(rows, columns=list(FIELDS)).astype(float).assign(symbol="X", time=times)
    about = {"dataset": "", "version": "", "interval": interval, "currency": "USD", "calendar": "XNYS"}
    attrs = {**about, "adjustment": "none", "source": "", "as_of": "", "fields": FIELDS}
    return bars_from_rows(frame, ["X"], attrs)


def listed(found):
    return found.to_numpy()[:, 0].tolist()


@pytest.fixture(scope="module")
def ibm(bars):
    """IBM's bars as a frame."""
    return bars.sel(symbol="IBM", drop=True).to_dataframe()


def same(found, expected):
    values = found.sel(symbol="IBM").to_numpy()
    assert np.isfinite(values).sum() > 1500
    np.testing.assert_allclose(values, expected, rtol=1e-9)


@pytest.mark.parametrize("window", [2, 20, 55])
def test_donchians_channel_is_the_highest_and_lowest_with_the_bar_itself(bars, ibm, window):
    found = indicators.donchian(bars, window)
    upper, lower = ibm["high"].rolling(window).max(), ibm["low"].rolling(window).min()  # pandas
    same(found["upper"], upper)
    same(found["lower"], lower)
    same(found["middle"], (upper + lower) / 2)
    inside = ibm["close"].iloc[window - 1 :]
    assert ((inside <= upper.iloc[window - 1 :]) & (inside >= lower.iloc[window - 1 :])).all()


def test_donchians_channel_by_hand():
    found = indicators.donchian(bars_of([(9, 10, 8, 9, 1), (10, 12, 9, 11, 1), (11, 11, 7, 8, 1), (8, 9, 8, 9, 1)]), 2)
    assert listed(found["upper"]) == pytest.approx([NAN, 12, 12, 11], nan_ok=True)
    assert listed(found["lower"]) == pytest.approx([NAN, 8, 7, 7], nan_ok=True)
    assert listed(found["middle"]) == pytest.approx([NAN, 10, 9.5, 9], nan_ok=True)


def smoothed(values, window, weight, start):
    """Begin with the mean of ``window`` values from ``start`` on, then move by ``weight`` towards each new one."""
    first = start + window - 1
    out = [NAN] * len(values)
    out[first] = sum(values[start : first + 1]) / window
    for i in range(first + 1, len(values)):
        out[i] = out[i - 1] + weight * (values[i] - out[i - 1])
    return np.array(out)


def true_ranges(frame):
    before = frame["close"].shift()
    reach = pd.concat(
        [frame["high"] - frame["low"], (frame["high"] - before).abs(), (frame["low"] - before).abs()], axis=1
    )
    return reach.max(axis=1).to_numpy()


@pytest.mark.parametrize(("window", "atr_window", "width"), [(20, 10, 2.0), (10, 14, 1.5)])
def test_keltners_channel_is_an_average_and_true_ranges_around_it(bars, ibm, window, atr_window, width):
    found = indicators.keltner(bars, window, atr_window, width)
    typical = ((ibm["high"] + ibm["low"] + ibm["close"]) / 3).to_numpy()
    first = max(window - 1, atr_window)
    middle = smoothed(typical, window, 2 / (window + 1), first - window + 1)
    reach = smoothed(true_ranges(ibm), atr_window, 1 / atr_window, first - atr_window + 1)
    same(found["middle"], middle)
    same(found["upper"], middle + width * reach)
    same(found["lower"], middle - width * reach)


@pytest.mark.parametrize(("window", "width"), [(10, 3.0), (7, 1.0)])
def test_supertrend_is_a_stop_that_only_tightens(bars, ibm, window, width):
    """O. Seban's rules, as TradingView documents them for ``ta.supertrend``."""
    high, low, close = (ibm[field].to_numpy() for field in ("high", "low", "close"))
    reach = width * smoothed(true_ranges(ibm), window, 1 / window, 1)
    upper, lower = (high + low) / 2 + reach, (high + low) / 2 - reach
    up, line, trend = True, np.full(len(close), NAN), np.full(len(close), NAN)
    line[window], trend[window] = lower[window], 1
    for i in range(window + 1, len(close)):
        upper[i] = upper[i] if upper[i] < upper[i - 1] or close[i - 1] > upper[i - 1] else upper[i - 1]
        lower[i] = lower[i] if lower[i] > lower[i - 1] or close[i - 1] < lower[i - 1] else lower[i - 1]
        up = close[i] >= lower[i] if up else close[i] > upper[i]
        line[i], trend[i] = (lower[i], 1) if up else (upper[i], -1)
    found = indicators.supertrend(bars, window, width)
    same(found["supertrend"], line)
    same(found["trend"], trend)
    assert 10 < (np.diff(trend[window:]) != 0).sum() < 600


def test_heikin_ashi_by_hand():
    """The rules of D. Valcu (2004): close = mean of four prices, open = middle of the averaged candle before."""
    found = indicators.heikin_ashi(bars_of([(10, 14, 8, 12, 1), (12, 20, 11, 17, 1), (17, 18, 9, 10, 1)]))
    assert listed(found["close"]) == [11.0, 15.0, 13.5]
    assert listed(found["open"]) == [11.0, 11.0, 13.0]
    assert listed(found["high"]) == [14.0, 20.0, 18.0]
    assert listed(found["low"]) == [8.0, 11.0, 9.0]


def test_ichimoku_against_pandas(bars, ibm):
    found = indicators.ichimoku(bars)

    def middle(window):
        return (ibm["high"].rolling(window).max() + ibm["low"].rolling(window).min()) / 2

    same(found["conversion"], middle(9))
    same(found["base"], middle(26))
    same(found["leading_a"], (middle(9) + middle(26)) / 2)
    same(found["leading_b"], middle(52))
    same(found["cloud_a"], ((middle(9) + middle(26)) / 2).shift(26))
    same(found["cloud_b"], middle(52).shift(26))
    same(found["past_close"], ibm["close"].shift(26))


def test_ichimoku_by_hand():
    rows = [(9, 10, 8, 9, 1), (10, 12, 9, 11, 1), (11, 11, 7, 8, 1), (8, 9, 8, 9, 1), (9, 15, 9, 14, 1)]
    found = indicators.ichimoku(bars_of(rows), conversion=1, base=2, leading=3, displacement=2)
    expected = {
        "conversion": [9, 10.5, 9, 8.5, 12],
        "base": [NAN, 10, 9.5, 9, 11.5],
        "leading_a": [NAN, 10.25, 9.25, 8.75, 11.75],
        "leading_b": [NAN, NAN, 9.5, 9.5, 11],
        "cloud_a": [NAN, NAN, NAN, 10.25, 9.25],
        "cloud_b": [NAN, NAN, NAN, NAN, 9.5],
        "past_close": [NAN, NAN, 9, 11, 8],
    }
    for name, values in expected.items():
        assert listed(found[name]) == pytest.approx(values, nan_ok=True)


def test_average_price_by_volume_over_bars(bars, ibm):
    typical = (ibm["high"] + ibm["low"] + ibm["close"]) / 3
    paid = (typical * ibm["volume"]).rolling(20).sum() / ibm["volume"].rolling(20).sum()  # pandas
    same(indicators.vwap(bars), paid)


def test_average_price_by_volume_begins_anew_with_a_session():
    """Typical prices 10, 13 | 20, 14 with volumes 1, 2 | 0, 4 and 1 by hand; a session ends at 20:00 UTC."""
    day = ["2020-07-06 19:00", "2020-07-06 20:00", "2020-07-07 14:00", "2020-07-07 15:00", "2020-07-07 16:00"]
    rows = [(9, 12, 8, 10, 1), (10, 15, 11, 13, 2), (20, 20, 20, 20, 0), (14, 15, 13, 14, 4), (14, 21, 17, 19, 1)]
    found = indicators.vwap(bars_of(rows, pd.DatetimeIndex(day, tz="UTC"), "1h"))
    assert listed(found) == pytest.approx([10, 12, NAN, 14, 15], nan_ok=True)
    over_bars = indicators.vwap(bars_of(rows, pd.DatetimeIndex(day, tz="UTC"), "1h"), 2)
    assert listed(over_bars) == pytest.approx([NAN, 12, 13, 14, 15], nan_ok=True)
