"""The compiled account must equal the engine's on anything that prices and costs can do."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.analytics.lines import line
from workbench.backtest.engine import simulate
from workbench.backtest.statistics import NAMES, statistics
from workbench.backtest.strategy import GROUP, find_strategy
from workbench.backtest.sweeps import fused
from workbench.backtest.sweeps.sweep import sweep
from workbench.backtest.terms import Costs, Terms
from workbench.core.plugins import available


def crossing(first, second):
    return (first > second) & (first.shift(1) <= second.shift(1))


def told(found):
    return dict(zip(NAMES, found, strict=True))


def compiled(frame, lines, terms):
    """Statistics and equity of one point of four lines."""
    costs, equity = terms.costs, np.full((1, len(frame)), np.nan)
    money = fused.Terms(
        costs.commission, costs.slippage, terms.cash, costs.borrow / 252.0, 252.0, terms.direction == "both"
    )
    prices = (frame["open" if terms.fill == "next_open" else "close"].to_numpy(), frame["close"].to_numpy())
    return fused.run_points(*prices, lines, np.array([[0, 1, 2, 3]]), money, equity)[0], equity[0]


def through_the_engine(frame, lines, terms):
    a, b, c, d = (pd.Series(values, index=frame.index) for values in lines)
    account = simulate(frame, crossing(a, b), crossing(c, d), terms, 252.0)
    return statistics(account.equity, terms.cash, account.holdings, account.traded, account.trades, 252.0), account


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(5, 150),
    spread=st.sampled_from([0.0, 1e-4, 0.01, 0.1, 0.5]),
    jump=st.sampled_from([1.0, 1.0, 0.1, 2.5, 40.0]),
    head=st.integers(0, 4),
    levels=st.sampled_from([2, 3, 1000]),
    unpriced=st.sampled_from([0.0, 0.0, 0.2]),
    stale=st.sampled_from([0.0, 0.0, 0.6]),
    costs=st.tuples(*map(st.sampled_from, [[0.0, 0.001, 0.05], [0.0, 0.0005, 0.03], [0.0, 0.01, 0.9]])),
    direction=st.sampled_from(["long", "both"]),
    fill=st.sampled_from(["next_open", "next_close"]),
)
def test_the_compiled_account_equals_the_engine(
    seed, bars, spread, jump, head, levels, unpriced, stale, costs, direction, fill
):
    random = np.random.default_rng(seed)
    index = pd.date_range("2012-01-02", periods=bars)
    moves = random.normal(0, spread, bars) * (random.random(bars) >= stale)
    moves[random.integers(bars)] += np.log(jump)
    close = pd.Series(50 * np.exp(np.cumsum(moves)), index=index)
    opens = close * np.exp(random.normal(0, spread / 2, bars))
    frame = pd.DataFrame({"open": opens.where(random.random(bars) >= unpriced), "close": close})
    # Few levels make ties; the head is what an indicator has not seen yet.
    lines = random.integers(0, levels, (4, bars)).astype(float)
    lines[:, :head] = np.nan
    terms = Terms(Costs(*costs), 1000.0, direction, fill)
    expected, account = through_the_engine(frame, lines, terms)
    found, equity = compiled(frame, lines, terms)
    # The rounding of a value of one is all that is left of a ratio to losses as small as that.
    compared = [name for name in NAMES if expected["max_drawdown"] < -1e-6 or name not in ("calmar", "sortino")]
    figures = {name: expected[name] for name in compared}
    assert {name: told(found)[name] for name in compared} == pytest.approx(figures, rel=1e-9, abs=1e-9, nan_ok=True)
    np.testing.assert_allclose(equity, account.equity.to_numpy(), rtol=1e-9, atol=1e-9)


def test_a_short_that_a_jump_ruins_is_closed_out_and_stays_at_zero():
    index = pd.date_range("2012-01-02", periods=8)
    close = pd.Series([10.0, 10.0, 10.0, 10.0, 10.0, 30.0, 5.0, 5.0], index=index)
    frame = pd.DataFrame({"open": close, "close": close})
    high, low = np.array([[0, 0, 0, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0, 0, 0]], dtype=float)
    lines = np.array([high, np.full(8, 0.5), np.full(8, 0.5), low])
    terms = Terms(Costs(0.001, 0.0, 0.01), 1000.0, "both")
    found, equity = compiled(frame, lines, terms)
    # Sold short at 10 on the fourth bar, with all of the money; 30 is three times that.
    assert (equity > 0).tolist() == [True] * 5 + [False] * 3
    assert equity[5:].tolist() == [0.0, 0.0, 0.0]
    assert told(found)["total_return"] == told(found)["max_drawdown"] == -1.0
    assert told(found)["trades"] == 1
    assert told(found)["exposure"] == 2 / 8
    assert told(found) == pytest.approx(through_the_engine(frame, lines, terms)[0], rel=1e-9, nan_ok=True)


def test_lines_that_are_never_known_together_leave_nan():
    close = pd.Series(np.linspace(10.0, 20.0, 30))
    lines = np.full((4, 30), np.nan)
    lines[0] = 1.0
    found, equity = compiled(pd.DataFrame({"open": close, "close": close}), lines, Terms(Costs(0.001, 0.0), 1000.0))
    assert np.isnan(found).all()
    assert np.isnan(equity).all()


@pytest.mark.parametrize("rate", [0.0, 1e-9, 0.001, -0.001])
def test_equal_returns_have_no_spread(rate):
    # A plain sum of squares would leave a volatility of rounding errors, and a Sharpe ratio of any size.
    close = pd.Series(100 * (1 + rate) ** np.arange(500.0))
    lines = np.array([np.arange(500.0) >= 1, np.full(500, 0.5), np.zeros(500), np.ones(500)], dtype=float)
    found, _ = compiled(pd.DataFrame({"open": close, "close": close}), lines, Terms(Costs(0.0, 0.0), 1.0))
    assert told(found)["exposure"] == 498 / 500
    # Bought and valued at one price, the bar of the entry returns nothing: 497 equal returns, 3 zeros.
    expected = abs(rate) * np.sqrt(497 * 3 / 500 / 499) * np.sqrt(252)
    assert told(found)["volatility"] == pytest.approx(expected, rel=1e-6, abs=1e-15)


@pytest.mark.parametrize("name", [name for name in sorted(available(GROUP)) if find_strategy(name).crosses])
def test_the_lines_of_a_strategy_say_what_its_rule_says(bars, name):
    strategy = find_strategy(name)
    signals = strategy.signals(bars)
    a, b, c, d = (line(bars, spec).to_pandas() for spec in strategy.crosses(**strategy.validate({})))
    here, fired = bars["close"].to_pandas().notna(), 0
    for side, (first, second) in {"entry": (a, b), "exit": (c, d)}.items():
        for symbol in here:
            # A symbol that starts late has its own bars only.
            own = here.index[here[symbol]]
            crossed = crossing(first.loc[own, symbol], second.loc[own, symbol])
            said = signals[side].sel(symbol=symbol).to_series()
            pd.testing.assert_series_equal(said[own], crossed, check_names=False)
            assert said.sum() == crossed.sum()
            fired += crossed.sum()
    assert fired


@pytest.mark.parametrize("price", [0.3, 100.0])
def test_a_price_that_never_moves_leaves_no_ratio(price):
    frame = pd.DataFrame({"open": price, "close": price}, index=pd.date_range("2012-01-02", periods=50))
    lines = np.array([np.arange(50) >= 20, np.full(50, 0.5), np.arange(50) >= 40, np.full(50, 0.5)], dtype=float)
    costless = Terms(Costs(0.0, 0.0), 100_000.0)
    expected, account = through_the_engine(frame, lines, costless)
    found = told(compiled(frame, lines, costless)[0])
    assert len(account.trades) == found["trades"] == 1
    for figures in (expected, found):
        assert np.isnan([figures[name] for name in ("sharpe", "sortino", "calmar")]).all()


@pytest.mark.parametrize("name", [name for name in sorted(available(GROUP)) if find_strategy(name).crosses])
def test_a_symbol_that_never_moves_is_the_same_compiled_and_through_the_engine(bars, name):
    flat = bars.sel(symbol=["IBM", "AAPL"]).isel(time=slice(0, 600)).copy(deep=True)
    for field in ("open", "high", "low", "close"):
        flat[field].loc[{"symbol": "IBM"}] = 20.0
    compiled_rule = find_strategy(name)

    def without_strength(bars, **parameters):
        return compiled_rule.rule(bars, **parameters).assign(strength=bars["close"] * np.nan)

    plain_rule = type(compiled_rule)(**{**vars(compiled_rule), "crosses": None, "rule": without_strength})
    terms = Terms(Costs(0.001, 0.0005), 1000.0)
    quick, slow = (sweep(flat, rule, {}, terms, progress=False) for rule in (compiled_rule, plain_rule))
    xr.testing.assert_allclose(quick, slow, rtol=1e-9)


def test_a_sweep_is_the_same_compiled_and_through_the_engine(bench):
    compiled = find_strategy("rsi_reversion")
    plain = type(compiled)(**{**vars(compiled), "crosses": None})
    chosen = {"symbols": ["IBM", "FB"], "progress": False, "window": [5, 14], "low": [20, 40], "direction": "both"}
    xr.testing.assert_allclose(bench.sweep(compiled, **chosen), bench.sweep(plain, **chosen), rtol=1e-9)


AFRESH = """
import numpy as np
from workbench.backtest.sweeps import fused

close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 3000)))
lines = np.vstack([np.append(np.full(n - 1, np.nan), np.convolve(close, np.ones(n) / n, "valid")) for n in (5, 20, 50)])
terms = fused.Terms(0.001, 0.001, 1e5, 0.0, 252.0, False)
found = fused.run_points(close, close, lines, np.array([[0, 1, 1, 0], [0, 2, 2, 0]]), terms, np.empty((2, 0)))
print(found.tobytes().hex(), len(fused.run_points.stats.cache_hits))
"""


def test_the_code_just_compiled_and_the_code_of_the_cache_say_the_same_to_the_last_digit(tmp_path):
    cache = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    told = [
        subprocess.run([sys.executable, "-c", AFRESH], env=cache, capture_output=True, check=True) for _ in range(2)
    ]
    (fresh, none), (cached, one) = (run.stdout.split() for run in told)
    assert (none, one) == (b"0", b"1")
    assert fresh == cached
