"""The compiled account must equal the engine's on anything that prices and costs can do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.analytics.signals import line
from workbench.backtest.costs import Costs, Terms
from workbench.backtest.engine import simulate
from workbench.backtest.fused import run_points
from workbench.backtest.statistics import NAMES, statistics
from workbench.backtest.strategies import GROUP, find_strategy
from workbench.core.plugins import available


def crossing(first, second):
    return (first > second) & (first.shift(1) <= second.shift(1))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(5, 120),
    spread=st.sampled_from([0.0, 0.01, 0.1, 0.5]),
    head=st.integers(0, 4),
    levels=st.sampled_from([2, 3, 1000]),
    costs=st.tuples(st.sampled_from([0.0, 0.001, 0.05]), st.sampled_from([0.0, 0.0005, 0.03])),
    both=st.booleans(),
)
def test_the_compiled_account_equals_the_engine(seed, bars, spread, head, levels, costs, both):
    random = np.random.default_rng(seed)
    index = pd.date_range("2012-01-02", periods=bars)
    close = pd.Series(50 * np.exp(np.cumsum(random.normal(0, spread, bars))), index=index)
    frame = pd.DataFrame({"open": close * np.exp(random.normal(0, spread / 2, bars)), "close": close})
    # Few levels make ties; the head is what an indicator has not seen yet.
    lines = random.integers(0, levels, (4, bars)).astype(float)
    lines[:, :head] = np.nan
    a, b, c, d = (pd.Series(values, index=index) for values in lines)
    entry, leave = crossing(a, b), crossing(c, d)
    clash = entry & leave
    terms = Terms(Costs(*costs), 1000.0, "both" if both else "long")
    account = simulate(frame, entry & ~clash, leave & ~clash, terms)
    held = account.holding.to_frame()
    expected = statistics(account.equity, terms.cash, held, account.traded, account.trades, 252.0)
    money, points = np.array([*costs, 1000.0]), np.array([[0, 1, 2, 3]])
    found = run_points(frame["open"].to_numpy(), close.to_numpy(), lines, points, money, 252.0, both)[0]
    assert dict(zip(NAMES, found, strict=True)) == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", sorted(available(GROUP)))
def test_the_lines_of_a_strategy_say_what_its_rule_says(bars, name):
    strategy = find_strategy(name)
    signals = strategy.signals(bars)
    a, b, c, d = (line(bars, spec) for spec in strategy.crosses(**strategy.validate({})))
    for side, (first, second) in {"entry": (a, b), "exit": (c, d)}.items():
        crossed = crossing(first.to_pandas(), second.to_pandas())
        # A symbol that starts late has its own bars only.
        own = bars["close"].to_pandas().notna()
        xr.testing.assert_equal(signals[side] & own.to_numpy(), signals[side].copy(data=(crossed & own).to_numpy()))


def test_a_sweep_is_the_same_compiled_and_through_the_engine(bench):
    compiled = find_strategy("rsi_reversion")
    plain = type(compiled)(**{**vars(compiled), "crosses": None})
    chosen = {"symbols": ["IBM", "FB"], "progress": False, "window": [5, 14], "low": [20, 40], "direction": "both"}
    xr.testing.assert_allclose(bench.sweep(compiled, **chosen), bench.sweep(plain, **chosen), rtol=1e-9)
