"""Cutting off the future, or putting another one in its place, must not change what a strategy has said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.analytics.signals import held, make_signals
from workbench.backtest.strategies.combined import combine
from workbench.backtest.strategies.outside import signals_from, target_weights
from workbench.backtest.strategy import GROUP, find_strategy, strategy
from workbench.core.plugins import available

CUTS = [1, 30, 150, 401, 700, 1500]
TABLE = pd.DataFrame(
    {
        "symbol": ["AAPL", "IBM", "AAPL", "FB", "IBM"],
        "time": ["2005-02-01", "2006-03-04", "2007-12-31T21:30", "2012-06-01", "2012-07-04"],
        "signal": [1, 1, 0, 1, 0],
    }
)
OURS = {
    "all": combine(["sma_cross", "momentum"]),
    "vote": combine(["sma_cross", "macd", "pairs"], "vote"),
    "weighted": combine(["donchian_breakout", "rsi_reversion", "rotation"], "weighted", [1, 2, 3]),
    "signals": signals_from(TABLE),
    "three": signals_from(TABLE.assign(signal=[1, 1, 0, -1, 0])),
    "weights": signals_from(TABLE.drop(columns="signal").assign(weight=[0.5, 0.3, 0, 0.5, 0])),
    "target": target_weights({"AAPL": 0.5, "FB": 0.3, "IBM": 0.2}, "quarter"),
}
EVERY = {**{name: name for name in sorted(available(GROUP))}, **{f"our {name}": rule for name, rule in OURS.items()}}


@pytest.fixture(scope="module")
def holed(bars):
    """Bars whose symbols start late, miss sessions and stop."""
    ordered = bars.sel(symbol=["AAPL", "IBM", "FB"])
    there = np.ones(ordered["close"].shape, dtype=bool)
    there[:45, 1] = False
    there[400:404, 0] = False
    there[600::37, 1] = False
    there[2000:, 0] = False
    return ordered.where(xr.DataArray(there, ordered["close"].coords), np.nan).assign_attrs(ordered.attrs)


def same(first, second):
    assert set(first.data_vars) == set(second.data_vars)
    for name in first.data_vars:
        np.testing.assert_array_equal(first[name].to_numpy(), second[name].to_numpy(), err_msg=str(name))
    np.testing.assert_array_equal(held(first).to_numpy(), held(second).to_numpy())


def cut_off(holed, found):
    whole = found.signals(holed)
    assert whole["entry"].any()
    for cut in CUTS:
        same(found.signals(holed.isel(time=slice(cut))), whole.isel(time=slice(cut)))


def another(holed, found):
    whole = found.signals(holed)
    for cut in CUTS[2:]:
        later = holed["time"] > holed["time"][cut]
        same(
            found.signals(xr.where(later, holed * 3, holed).transpose("time", "symbol").assign_attrs(holed.attrs)).isel(
                time=slice(cut + 1)
            ),
            whole.isel(time=slice(cut + 1)),
        )


@pytest.mark.parametrize("wanted", EVERY.values(), ids=EVERY)
def test_a_strategy_does_not_change_when_the_future_is_cut_off(holed, wanted):
    cut_off(holed, find_strategy(wanted))


@pytest.mark.parametrize("wanted", EVERY.values(), ids=EVERY)
def test_a_strategy_does_not_change_when_the_future_is_another_one(holed, wanted):
    another(holed, find_strategy(wanted))


@pytest.mark.parametrize("wanted", EVERY.values(), ids=EVERY)
def test_a_strategy_fires_on_a_symbols_own_bars_only(holed, wanted):
    signals = find_strategy(wanted).signals(holed)
    here = holed["close"].notnull()
    assert not ((signals["entry"] | signals["exit"]) & ~here).any()
    assert not (signals["entry"] & signals["exit"]).any()


SINGLE = [name for name in EVERY if EVERY[name] not in ("pairs", "rotation", "volatility_target")]


@pytest.mark.parametrize("name", [name for name in SINGLE if not name.startswith("our ")] + ["our all"])
def test_sessions_that_only_others_have_do_not_change_a_symbol(holed, name):
    found = find_strategy(EVERY[name])
    own = holed.sel(symbol=["IBM"]).dropna("time")
    alone, beside = found.signals(own), found.signals(holed).sel(symbol=["IBM"], time=own["time"])
    assert alone["entry"].any()
    for side in ("entry", "exit", "strength"):
        np.testing.assert_array_equal(alone[side].to_numpy(), beside[side].to_numpy())


@pytest.mark.parametrize("test", [cut_off, another])
def test_a_rule_that_looks_ahead_is_caught(holed, test):
    @strategy
    def leaking(bars):
        high = bars["close"] > bars["close"].mean("time")
        return make_signals(high, ~high & bars["close"].notnull(), bars["close"] * 0)

    with pytest.raises(AssertionError):
        test(holed, leaking)
