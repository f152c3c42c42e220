"""Indicators against published tables, and against their definitions written out in plain Python."""

import numpy as np
import pandas as pd
import pytest

from workbench.analytics import indicators
from workbench.core.frames import bars_from_rows
from workbench.core.market import FIELDS

NAN = float("nan")


def mean(values):
    return sum(values) / len(values)


def plain_sma(values, window):
    return [NAN if i < window - 1 else mean(values[i - window + 1 : i + 1]) for i in range(len(values))]


def smoothed(values, window, weight, start=0):
    """Begin with the mean of ``window`` values from ``start`` on, then move by ``weight`` towards each new one."""
    first = start + window - 1
    out = [NAN] * len(values)
    out[first] = mean(values[start : first + 1])
    for i in range(first + 1, len(values)):
        out[i] = out[i - 1] + weight * (values[i] - out[i - 1])
    return out


def plain_ema(values, window, start=0):
    return smoothed(values, window, 2 / (window + 1), start)


def plain_rsi(values, window):
    changes = [0.0, *(values[i] - values[i - 1] for i in range(1, len(values)))]
    ups = smoothed([max(change, 0.0) for change in changes], window, 1 / window, 1)
    downs = smoothed([max(-change, 0.0) for change in changes], window, 1 / window, 1)
    return [100 * up / (up + down) for up, down in zip(ups, downs, strict=True)]


def plain_atr(high, low, close, window):
    ranges = [high[0] - low[0]]
    for i in range(1, len(close)):
        ranges.append(max(high[i], close[i - 1]) - min(low[i], close[i - 1]))
    return smoothed(ranges, window, 1 / window, 1)


def plain_macd(values, fast, slow, signal):
    # TA-Lib starts both averages on the same bar, so that the fast one's first window ends where the slow one's does.
    quick, calm = plain_ema(values, fast, slow - fast), plain_ema(values, slow)
    line = [a - b for a, b in zip(quick, calm, strict=True)]
    average = plain_ema(line, signal, slow - 1)
    shown = [NAN if np.isnan(b) else a for a, b in zip(line, average, strict=True)]
    return shown, average, [a - b for a, b in zip(shown, average, strict=True)]


def plain_deviation(values, window):
    out = []
    for i, middle in enumerate(plain_sma(values, window)):
        own = values[max(i - window + 1, 0) : i + 1]
        out.append(mean([(value - middle) ** 2 for value in own]) ** 0.5)
    return out


@pytest.fixture(scope="module")
def prices(bars):
    """Highs, lows and closes of IBM as plain lists."""
    own = bars.sel(symbol="IBM")
    return {name: own[name].to_numpy().tolist() for name in ("high", "low", "close")}


def same(found, expected):
    values = found.sel(symbol="IBM").to_numpy()
    assert np.isfinite(values).sum() > 1500
    np.testing.assert_allclose(values, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("window", [2, 20, 100])
def test_simple_average(bars, prices, window):
    same(indicators.sma(bars, window), plain_sma(prices["close"], window))


@pytest.mark.parametrize("window", [2, 20, 100])
def test_exponential_average_starts_from_a_simple_mean(bars, prices, window):
    same(indicators.ema(bars, window), plain_ema(prices["close"], window))


@pytest.mark.parametrize("window", [5, 20])
def test_deviation_divides_by_the_number_of_bars(bars, prices, window):
    values = indicators.stddev(bars, window).sel(symbol="IBM").to_numpy()
    np.testing.assert_allclose(values, plain_deviation(prices["close"], window), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("window", [2, 14])
def test_relative_strength_is_wilders(bars, prices, window):
    same(indicators.rsi(bars, window), plain_rsi(prices["close"], window))


@pytest.mark.parametrize("window", [2, 14])
def test_true_range_is_wilders(bars, prices, window):
    same(indicators.atr(bars, window), plain_atr(prices["high"], prices["low"], prices["close"], window))


@pytest.mark.parametrize("windows", [(12, 26, 9), (5, 35, 5)])
def test_convergence_and_its_signal(bars, prices, windows):
    found = indicators.macd(bars, *windows)
    for name, expected in zip(("macd", "signal", "histogram"), plain_macd(prices["close"], *windows), strict=True):
        same(found[name], expected)


def test_bands_lie_around_the_average(bars, prices):
    found = indicators.bollinger(bars, 20, 2.5)
    middle, spread = plain_sma(prices["close"], 20), plain_deviation(prices["close"], 20)
    for name, side in (("upper", 1), ("middle", 0), ("lower", -1)):
        expected = np.asarray(middle) + side * 2.5 * np.asarray(spread)
        np.testing.assert_allclose(found[name].sel(symbol="IBM"), expected, rtol=1e-6)


# StockCharts ChartSchool, "Relative Strength Index (RSI)", the worked spreadsheet: closes of QQQQ from 2009-12-14 on.
CLOSES = [
    *(44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931),
    *(46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521),
    *(45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314),
]
PUBLISHED = [
    *(70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38),
    *(54.71, 50.42, 39.99, 41.46, 41.87, 45.46, 37.30, 33.08, 37.77),
]


def test_the_published_worked_example_of_the_rsi():
    times = pd.bdate_range("2009-12-14", periods=len(CLOSES), tz="UTC")
    rows = pd.DataFrame({"symbol": "QQQQ", "time": times, **dict.fromkeys(FIELDS, CLOSES)})
    about = {"dataset": "", "version": "", "interval": "1d", "currency": "USD", "calendar": "XNYS"}
    attrs = {**about, "adjustment": "none", "source": "", "as_of": "", "fields": FIELDS}
    found = indicators.rsi(bars_from_rows(rows, ["QQQQ"], attrs)).to_numpy()[:, 0]
    assert np.isnan(found[:14]).all()
    np.testing.assert_allclose(found[14:], PUBLISHED, atol=0.011)
