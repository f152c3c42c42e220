"""Every built-in strategy against its rule written out again: a loop over one symbol's own bars, in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import talib
import xarray as xr

from workbench.backtest.strategy import find_strategy
from workbench.core.market import FIELDS


def mean(values):
    return sum(values) / len(values)


def deviation(values):
    return math.sqrt(mean([(value - mean(values)) ** 2 for value in values]))


def averages(close, window):
    return [mean(close[i - window + 1 : i + 1]) if i >= window - 1 else None for i in range(len(close))]


def exponential(close, window, start=0):
    out = [None] * len(close)
    first = start + window - 1
    out[first] = mean(close[start : first + 1])
    for i in range(first + 1, len(close)):
        out[i] = out[i - 1] + 2 / (window + 1) * (close[i] - out[i - 1])
    return out


def strengths_of_price(close, window):
    """Wilder's relative strength index."""
    out, up, down = [None] * len(close), 0.0, 0.0
    for i in range(1, len(close)):
        gain, loss = max(close[i] - close[i - 1], 0), max(close[i - 1] - close[i], 0)
        if i <= window:
            up, down = up + gain / window, down + loss / window
        else:
            up, down = (up * (window - 1) + gain) / window, (down * (window - 1) + loss) / window
        if i >= window:
            out[i] = 100 * up / (up + down)
    return out


def crossing(first, second):
    """Bars at which ``first`` is above ``second`` and was not on the bar before."""
    pairs = list(zip(first, second, strict=True))
    known = [None not in pair for pair in pairs]
    return [
        i
        for i in range(1, len(pairs))
        if known[i] and known[i - 1] and pairs[i][0] > pairs[i][1] and pairs[i - 1][0] <= pairs[i - 1][1]
    ]


def simple_rule(frame, fast, slow):
    quick, calm = averages(frame.close, fast), averages(frame.close, slow)
    return crossing(quick, calm), crossing(calm, quick)


def exponential_rule(frame, fast, slow):
    quick, calm = exponential(frame.close, fast), exponential(frame.close, slow)
    return crossing(quick, calm), crossing(calm, quick)


def macd_rule(frame, fast, slow, signal):
    quick, calm = exponential(frame.close, fast, slow - fast), exponential(frame.close, slow)
    line = [a - b if None not in (a, b) else None for a, b in zip(quick, calm, strict=True)]
    average = exponential(line, signal, slow - 1)
    return crossing(line, average), crossing(average, line)


def channel_rule(frame, enter, leave):
    """Donchian's: a new high of the bars before buys, a new low sells."""
    count = len(frame.close)
    high = [max(frame.high[i - enter : i]) if i >= enter else None for i in range(count)]
    low = [min(frame.low[i - leave : i]) if i >= leave else None for i in range(count)]
    return crossing(frame.close, high), crossing(low, frame.close)


def reversion_rule(frame, window, low, high):
    value = strengths_of_price(frame.close, window)
    levels = [[level] * len(value) for level in (low, high)]
    return crossing(levels[0], value), crossing(value, levels[1])


def bands(close, window, width):
    middle = averages(close, window)
    half = [width * deviation(close[i - window + 1 : i + 1]) if i >= window - 1 else None for i in range(len(close))]
    around = [(m - h, m + h) if m is not None else (None, None) for m, h in zip(middle, half, strict=True)]
    return [pair[0] for pair in around], middle, [pair[1] for pair in around]


def band_reversion_rule(frame, window, width):
    lower, middle, _ = bands(frame.close, window, width)
    return crossing(lower, frame.close), crossing(frame.close, middle)


def band_breakout_rule(frame, window, width):
    _, middle, upper = bands(frame.close, window, width)
    return crossing(frame.close, upper), crossing(middle, frame.close)


def candle_rule(frame, bullish, bearish, hold):
    prices = [np.array(values) for values in (frame.open, frame.high, frame.low, frame.close)]
    up = sum((getattr(talib, name)(*prices) > 0) for name in bullish)
    down = sum((getattr(talib, name)(*prices) < 0) for name in bearish)
    entries, exits, last = [], [], None
    for i in range(len(frame.close)):
        if up[i] and not down[i]:
            entries.append(i)
            last = i
        elif (down[i] and not up[i]) or (last is not None and i - last == hold):
            exits.append(i)
    return entries, exits


class Frame:
    def __init__(self, bars, symbol):
        own = bars.sel(symbol=symbol).to_dataframe().dropna()
        self.times = own.index
        self.open, self.high, self.low, self.close = (own[name].tolist() for name in ("open", "high", "low", "close"))


CASES = [
    ("sma_cross", {"fast": 20, "slow": 50}, simple_rule),
    ("ema_cross", {"fast": 10, "slow": 30}, exponential_rule),
    ("macd", {"fast": 12, "slow": 26, "signal": 9}, macd_rule),
    ("donchian_breakout", {"enter": 20, "leave": 10}, channel_rule),
    ("rsi_reversion", {"window": 14, "low": 35.0, "high": 65.0}, reversion_rule),
    ("bollinger_reversion", {"window": 20, "width": 2.0}, band_reversion_rule),
    ("bollinger_breakout", {"window": 30, "width": 1.5}, band_breakout_rule),
]


@pytest.mark.parametrize("symbol", ["AAPL", "FB"])
@pytest.mark.parametrize(("name", "parameters", "rule"), CASES, ids=[case[0] for case in CASES])
def test_a_strategy_fires_where_its_rule_says(bars, name, parameters, rule, symbol):
    signals = find_strategy(name).signals(bars, **parameters).sel(symbol=symbol)
    frame = Frame(bars, symbol)
    for side, expected in zip(("entry", "exit"), rule(frame, **parameters), strict=True):
        found = signals[side].to_series()
        assert found[found].index.tolist() == frame.times[expected].tolist()
        assert len(expected)


def test_candles_enter_on_bullish_ones_and_leave_on_bearish_ones_or_after_some_bars(bars):
    given = {"bullish": "hammer, CDLENGULFING", "bearish": "engulfing,shootingstar", "hold": 7}
    signals = find_strategy("candlestick").signals(bars, **given).sel(symbol="IBM")
    frame = Frame(bars, "IBM")
    entries, exits = candle_rule(
        frame, ["CDLHAMMER", "CDLENGULFING"], ["CDLENGULFING", "CDLSHOOTINGSTAR"], given["hold"]
    )
    assert np.flatnonzero(signals["entry"]).tolist() == entries
    assert np.flatnonzero(signals["exit"]).tolist() == exits
    assert len(entries) > 20
    assert len(exits) > 20


@pytest.mark.parametrize(("lookback", "skip"), [(252, 0), (60, 21)])
def test_time_series_momentum_is_long_while_the_past_return_is_positive(bars, lookback, skip):
    """Moskowitz, Ooi and Pedersen (2012), section 4.1: the sign of the past return, from the first that is known."""
    signals = find_strategy("momentum").signals(bars, lookback=lookback, skip=skip).sel(symbol="AAPL")
    close = Frame(bars, "AAPL").close
    state, states = 0, []
    for i in range(len(close)):
        if i >= lookback + skip:
            past = close[i - skip] / close[i - skip - lookback] - 1
            state = state if past == 0 else int(past > 0)
        states.append(state)
    turns = np.diff(states, prepend=0)
    assert np.flatnonzero(signals["entry"]).tolist() == np.flatnonzero(turns > 0).tolist()
    assert states[lookback + skip] == 1
    # A negative first return is an exit, too: short where shorts are allowed.
    exits = np.flatnonzero(signals["exit"])
    assert set(np.flatnonzero(turns < 0)) <= set(exits)
    assert (signals["past"].to_numpy()[exits] < 0).all()


def test_rotation_holds_the_winners_of_the_past_months(bars):
    """Jegadeesh and Titman (1993): ranked by the past return with the latest bars left out, equal parts, monthly."""
    signals = find_strategy("rotation").signals(bars, lookback=120, skip=5, top=1, every="month")
    frames = {symbol: Frame(bars, symbol) for symbol in ("AAPL", "FB", "IBM")}
    weight, times = signals["weight"].to_pandas(), bars.indexes["time"]
    expected, month = {}, None
    for time in times:
        past = {}
        for symbol, frame in frames.items():
            i = frame.times.searchsorted(time)
            if i >= 125 and i < len(frame.times):
                past[symbol] = frame.close[i - 5] / frame.close[i - 125]
        if past and (time.year, time.month) != month:
            month = (time.year, time.month)
            expected[time] = max(past, key=past.get)
    found = weight.dropna(how="all")
    assert found.index.tolist() == list(expected)
    assert found.idxmax(axis=1).tolist() == list(expected.values())
    assert (found.sum(axis=1) == 1).all()
    assert set(expected.values()) == {"AAPL", "FB", "IBM"}


def test_rotation_ranks_five_symbols_by_hand():
    """Two of five are held; ties go to the first; the youngest is not ranked yet."""
    closes = {"A": [10, 11, 12], "B": [10, 10, 13], "C": [10, 10, 12], "D": [10, 9, 8], "E": [np.nan, 5, 50]}
    times = pd.bdate_range("2012-01-02", periods=3)
    variables = dict.fromkeys(FIELDS, (("time", "symbol"), np.column_stack(list(closes.values())).astype("float64")))
    made = xr.Dataset(variables, {"time": times, "symbol": list(closes)}, {"fields": FIELDS})
    signals = find_strategy("rotation").signals(made, lookback=2, skip=0, top=2, every=1)
    assert signals["weight"].to_numpy()[2].tolist() == [0.5, 0.5, 0, 0, 0]
    np.testing.assert_allclose(signals["strength"].to_numpy()[2], [1 / 3, 1, -1 / 3, -1, np.nan])


def test_pairs_follow_the_residual_of_a_least_squares_fit(bars):
    """Gatev, Goetzmann and Rouwenhorst (2006): open at two standard deviations, close when the prices meet."""
    window, entry, leave = 60, 2.0, 0.5
    two = bars.sel(symbol=["AAPL", "IBM"])
    signals = find_strategy("pairs").signals(two, window=window, entry=entry, leave=leave)
    first, second = (np.log(Frame(bars, symbol).close) for symbol in ("AAPL", "IBM"))
    side, expected = 0, {}
    for i in range(window - 1, len(first)):
        y, x = first[i - window + 1 : i + 1], second[i - window + 1 : i + 1]
        hedge, constant = np.polyfit(x, y, 1)
        residuals = y - constant - hedge * x
        z = residuals[-1] / residuals.std()
        was = side
        if side and (hedge <= 0 or side * z > -leave):
            side = 0
        if hedge > 0 and abs(z) > entry:
            side = -int(np.sign(z))
        if side != was:
            expected[i] = (side / (1 + hedge), -side * hedge / (1 + hedge)) if side else (0.0, 0.0)
    found = signals["weight"].to_pandas().reset_index(drop=True).dropna(how="all")
    assert found.index.tolist() == list(expected)
    np.testing.assert_allclose(found.to_numpy(), list(expected.values()), rtol=1e-6)
    assert len(expected) > 40
    assert {np.sign(shares[0]) for shares in expected.values()} == {-1.0, 0.0, 1.0}


def test_a_target_volatility_scales_each_symbols_share(bars):
    """Share 1/n times target over the volatility of a window, at most 1; rebalanced where it has drifted off."""
    target, window, band = 0.2, 63, 0.05
    two = bars.sel(symbol=["AAPL", "IBM"])
    signals = find_strategy("volatility_target").signals(two, target=target, window=window, band=band, every=5)
    returns = two["close"].to_pandas().pct_change(fill_method=None)
    volatility = returns.rolling(window).std() * np.sqrt(252)
    money, expected = None, {}
    for i in range(window, len(returns)):
        if money is not None:
            money = [m * (1 + r) for m, r in zip(money, [*returns.iloc[i], 0.0], strict=True)]
        wanted = [0.5 * min(1.0, target / value) for value in volatility.iloc[i]]
        if (i - window) % 5:
            continue
        if money is None or max(abs(m / sum(money) - w) for m, w in zip(money[:2], wanted, strict=True)) > band:
            money = [*wanted, 1 - sum(wanted)]
            expected[i] = wanted
    found = signals["weight"].to_pandas().reset_index(drop=True).dropna(how="all")
    assert found.index.tolist() == list(expected)
    np.testing.assert_allclose(found.to_numpy(), list(expected.values()), rtol=1e-9)
    assert 10 < len(expected) < 200


@pytest.mark.parametrize(
    ("name", "parameters", "value"),
    [
        ("sma_cross", {"fast": 20, "slow": 50}, lambda c: (mean(c[-20:]) - mean(c[-50:])) / deviation(c[-50:])),
        ("rsi_reversion", {"window": 14}, lambda c: (50 - strengths_of_price(c, 14)[-1]) / 50),
        ("bollinger_breakout", {"window": 20}, lambda c: (c[-1] - mean(c[-20:])) / (2 * deviation(c[-20:]))),
        ("bollinger_reversion", {"window": 20}, lambda c: (mean(c[-20:]) - c[-1]) / (2 * deviation(c[-20:]))),
        (
            "momentum",
            {"lookback": 100},
            lambda c: (c[-1] / c[-101] - 1) / (pd.Series(c).pct_change()[-100:].std(ddof=0) * 10),
        ),
    ],
)
def test_strength_is_what_the_description_says(bars, name, parameters, value):
    found = find_strategy(name).signals(bars, **parameters)["strength"]
    for symbol in ("AAPL", "FB", "IBM"):
        expected = min(max(value(Frame(bars, symbol).close), -1), 1)
        assert float(found.sel(symbol=symbol)[-1]) == pytest.approx(expected, rel=1e-9)
