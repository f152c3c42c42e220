import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.analytics import indicators
from workbench.analytics.signals import crossed_above, held, latest, macd_cross, moving_average_cross, rsi_reversion
from workbench.core.frames import ATTRS
from workbench.core.market import FIELDS

NAN = np.nan
RULES = {
    "sma": lambda bars: moving_average_cross(bars, 3, 8),
    "rsi": lambda bars: rsi_reversion(bars, 5, 30, 70),
    "macd": lambda bars: macd_cross(bars, 4, 9, 3),
}


def line(values):
    times = pd.date_range("2012-03-05", periods=len(values))
    return xr.DataArray(np.asarray(values, "float64")[:, None], {"time": times, "symbol": ["A"]}, ("time", "symbol"))


def bars_of(**closes):
    times = pd.bdate_range("2012-01-02", periods=len(next(iter(closes.values()))))
    values = np.column_stack(list(closes.values())).astype("float64")
    variables = dict.fromkeys(FIELDS, (("time", "symbol"), values))
    attrs = {**dict.fromkeys(ATTRS, ""), "fields": FIELDS}
    return xr.Dataset(variables, {"time": times, "symbol": list(closes)}, attrs)


def wave(count=120, seed=1):
    steps = np.random.default_rng(seed).normal(0, 0.02, count)
    return 100 * np.exp(np.cumsum(steps))


@pytest.mark.parametrize(
    ("first", "second", "crossed"),
    [
        ([1, 3, 3], [2, 2, 2], [0, 1, 0]),
        ([2, 3, 3], [2, 2, 2], [0, 1, 0]),  # from level
        ([3, 3, 3], [2, 2, 2], [0, 0, 0]),  # above from the start is no cross
        ([1, 2, 3], [2, 2, 2], [0, 0, 1]),
        ([3, 2, 3], [2, 2, 2], [0, 0, 1]),
        ([3, 1, 1], [2, 2, 2], [0, 0, 0]),
        ([NAN, 3, 3], [2, 2, 2], [0, 0, 0]),
        ([1, 3, 3], [NAN, 2, 2], [0, 0, 0]),
        ([1, NAN, NAN], [2, 2, 2], [0, 0, 0]),
    ],
)
def test_where_one_line_crosses_above_another(first, second, crossed):
    found = crossed_above(line(first), line(second))
    assert found.dtype == bool
    assert found[:, 0].astype(int).to_numpy().tolist() == crossed


@pytest.mark.parametrize(
    ("entry", "leave", "state"),
    [
        ([0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]),
        ([0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]),
        ([1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]),
    ],
)
def test_the_state_lasts_from_entry_to_exit(entry, leave, state):
    signals = xr.Dataset({"entry": line(entry).astype(bool), "exit": line(leave).astype(bool)})
    assert held(signals)[:, 0].to_numpy().tolist() == state


def test_averages_enter_and_leave_where_they_cross():
    closes = [10.0] * 5 + [9, 8, 7, 6, 8, 10, 12, 14, 12, 9, 6, 4, 3]
    bars = bars_of(A=closes)
    signals = moving_average_cross(bars, 2, 4)
    fast, slow = (pd.Series(closes).rolling(window).mean() for window in (2, 4))
    above = (fast > slow).to_numpy()
    assert np.flatnonzero(signals["entry"][:, 0]).tolist() == [10]
    assert np.flatnonzero(signals["exit"][:, 0]).tolist() == [5, 14]
    assert not above[9]
    assert above[10]
    deviation = pd.Series(closes).rolling(4).std(ddof=0)
    strength = ((fast - slow) / deviation).clip(-1, 1)
    np.testing.assert_allclose(signals["strength"][5:, 0], strength[5:], rtol=1e-6)


def test_the_rsi_enters_below_and_leaves_above():
    bars = bars_of(A=wave())
    signals, value = rsi_reversion(bars, 5, 30, 70), indicators.rsi(bars, 5)[:, 0].to_numpy()
    entries, exits = np.flatnonzero(signals["entry"][:, 0]), np.flatnonzero(signals["exit"][:, 0])
    assert len(entries) > 1
    assert len(exits) > 1
    assert (value[entries] < 30).all()
    assert (value[entries - 1] >= 30).all()
    assert (value[exits] > 70).all()
    assert (value[exits - 1] <= 70).all()
    np.testing.assert_allclose(signals["strength"][5:, 0], (50 - value[5:]) / 50)


def test_the_macd_enters_above_its_signal_line():
    bars = bars_of(A=wave())
    signals, lines = macd_cross(bars, 4, 9, 3), indicators.macd(bars, 4, 9, 3)
    histogram = lines["histogram"][:, 0].to_numpy()
    for name, side in (("entry", 1), ("exit", -1)):
        fired = np.flatnonzero(signals[name][:, 0])
        assert len(fired) > 1
        assert (side * histogram[fired] > 0).all()
        assert (side * histogram[fired - 1] <= 0).all()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_says_what_signals_need(rule):
    signals = rule(bars_of(A=wave(), B=wave(seed=2)))
    assert signals["entry"].dtype == signals["exit"].dtype == bool
    assert not (signals["entry"] & signals["exit"]).any()
    assert float(abs(signals["strength"]).max()) <= 1
    assert set(signals.attrs["evidence"]) <= set(signals.data_vars)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_symbol_that_misses_sessions_keeps_its_signals(rule):
    closes = wave(160)
    alone = rule(bars_of(A=closes))
    # Another symbol trades one session after each fifth one of A, on which A does not.
    places = np.arange(160) + np.arange(160) // 5
    gapped = np.full(places[-1] + 1, NAN)
    gapped[places] = closes
    beside = rule(bars_of(A=gapped, B=wave(len(gapped), seed=2))).isel(time=places, symbol=0)
    for name in ("entry", "exit"):
        assert np.flatnonzero(beside[name]).tolist() == np.flatnonzero(alone[name][:, 0]).tolist()


def test_flat_prices_are_no_signal():
    signals = moving_average_cross(bars_of(A=[10.0] * 20), 2, 4)
    assert not signals["entry"].any()
    assert not signals["exit"].any()


@pytest.mark.parametrize(
    ("closes", "state", "since"),
    [
        ([10, 10, 10, 10, 9, 8, 9, 12], "enter", 7),
        ([10, 10, 10, 10, 9, 8, 9, 12, 13, 14], "long", 7),
        ([10, 10, 10, 10, 11, 12, 11, 8], "exit", 7),
        ([10, 10, 10, 10, 11, 12, 11, 8, 7, 6], "flat", 7),
    ],
)
def test_what_a_rule_says_today(closes, state, since):
    bars = bars_of(A=closes)
    told = latest(moving_average_cross(bars, 2, 4)).loc["A"]
    assert told["state"] == state
    assert told["since"] == bars.indexes["time"][since]
    assert told["time"] == bars.indexes["time"][-1]
    fast, slow = np.mean(closes[-2:]), np.mean(closes[-4:])
    assert told["reason"] == f"SMA 2 is {fast / slow - 1:+.1%} from SMA 4 ({fast:,.2f} against {slow:,.2f})"


def test_too_few_bars_are_told_and_the_others_are_answered():
    late = [NAN] * 18 + [10, 11]
    told = latest(moving_average_cross(bars_of(A=wave(20), B=late), 2, 4))
    assert told.loc["B", ["state", "reason"]].tolist() == ["flat", "not enough bars for the rule"]
    assert pd.isna(told.loc["B", "time"])
    assert told.loc["A", "reason"].startswith("SMA 2 is")


def test_a_symbol_that_stopped_trading_is_answered_at_its_last_bar():
    stopped = [*wave(20)[:15], *[NAN] * 5]
    bars = bars_of(A=wave(20), B=stopped)
    assert latest(moving_average_cross(bars, 2, 4)).loc["B", "time"] == bars.indexes["time"][14]
