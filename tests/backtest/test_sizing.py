from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.engine import simulate
from workbench.backtest.sizing import sizes
from workbench.backtest.terms import Costs, Sizing, Terms

DAYS = pd.date_range("2012-01-02", periods=5)
FRAME = pd.DataFrame({"open": [10.0, 11.0, 12.0, 13.0, 14.0], "close": [10.5, 11.5, 12.5, 13.5, 14.5]}, index=DAYS)
CLOSE = pd.Series([100.0, 110.0, 99.0, 108.9, 98.01, 107.811])
"""Up and down by a tenth."""


def fires(*bars):
    return pd.Series([bar in bars for bar in range(5)], index=DAYS)


def filled(size, entry=(0,), leave=(), **chosen):
    terms = Terms(Costs(0.0, 0.0), 1000.0, sizing=Sizing.read(size), **chosen)
    return simulate(FRAME, fires(*entry), fires(*leave), terms)


@pytest.mark.parametrize(
    ("size", "shares"),
    [("all", 1000 / 11), ("percent:0.25", 250 / 11), ("fixed:110", 10.0), ("fixed:5000", 1000 / 11)],
)
def test_an_entry_buys_what_its_size_says_and_never_more_than_the_cash(size, shares):
    account = filled(size)
    assert account.holding.tolist() == pytest.approx([0, shares, shares, shares, shares])
    assert account.equity.iloc[-1] == pytest.approx(1000 + shares * 3.5)


def test_the_costs_of_a_purchase_are_part_of_its_size():
    terms = Terms(Costs(0.01, 0.02), 1000.0, sizing=Sizing("fixed", 500.0))
    account = simulate(FRAME, fires(0), fires(), terms)
    assert account.holding.iloc[1] == pytest.approx(500 / (11 * 1.02 * 1.01))
    assert account.equity.iloc[1] == pytest.approx(500 + account.holding.iloc[1] * 11.5)


def test_a_percentage_is_of_the_account_as_it_is_by_then():
    account = filled("percent:0.5", entry=(0, 2), leave=(1,))
    value = 1000 + 500 / 11 * (12 - 11)
    assert account.holding.iloc[3] == pytest.approx(0.5 * value / 13)


@pytest.mark.parametrize("size", ["fixed:5000", "percent:1"])
def test_a_short_sells_no_more_than_the_account_is_worth(size):
    account = filled(size, entry=(), leave=(0,), direction="both")
    assert account.holding.tolist() == pytest.approx([0, *[-1000 / 11] * 4])


def test_a_turn_to_short_is_sized_by_what_the_closing_left():
    account = filled("percent:0.5", entry=(0,), leave=(2,), direction="both")
    value = 1000 + 500 / 11 * (13 - 11)
    assert account.holding.iloc[3] == pytest.approx(-0.5 * value / 13)


def test_a_volatility_target_is_over_the_realised_one_and_at_most_all():
    found = sizes(CLOSE, Sizing("volatility", 0.5, 2), 100.0)
    # Two returns of a tenth up and down: a standard deviation of 0.1 * sqrt(2), ten times that a year.
    expected = 0.5 / (0.1 * np.sqrt(2) * 10)
    assert found.tolist() == pytest.approx([np.nan, np.nan, *[expected] * 4], nan_ok=True)
    assert (sizes(CLOSE, Sizing("volatility", 1.0, 2), 0.01).dropna() == 1).all()
    assert (sizes(CLOSE * 0 + 5, Sizing("volatility", 0.1, 2), 252.0).dropna() == 1).all()


def test_kelly_is_mean_over_variance_between_nothing_and_all():
    rises = pd.Series([100.0, 103.0, 104.03, 107.1509])  # 3 %, 1 %, 3 %
    mean, variance = 0.07 / 3, 2 * (0.02 / 3) ** 2 / 2 + (0.04 / 3) ** 2 / 2
    assert sizes(rises, Sizing("kelly", 0.001, 3), 252.0).iloc[3] == pytest.approx(0.001 * mean / variance)
    assert sizes(rises, Sizing("kelly", 1.0, 3), 252.0).iloc[3] == 1.0
    assert sizes(rises, Sizing("kelly", 1.0, 3), 252.0, side=-1.0).iloc[3] == 0.0


def test_kelly_takes_no_position_where_nothing_is_to_be_gained():
    falling = FRAME.iloc[::-1].set_axis(DAYS)
    terms = Terms(Costs(0.0, 0.0), 1000.0, "both", sizing=Sizing("kelly", 1.0, 2))
    assert (simulate(falling, fires(2), fires(), terms).holding == 0).all()
    assert simulate(falling, fires(), fires(2), terms).holding.iloc[3] < 0


def test_an_entry_before_there_are_bars_enough_for_its_size_opens_nothing():
    early, known = filled("volatility:0.15:3", entry=(2,)), filled("volatility:0.15:3", entry=(3,))
    assert (early.holding == 0).all()
    assert early.trades.empty
    assert known.holding.iloc[4] > 0


@pytest.mark.parametrize("sizing", [Sizing("volatility", 0.2, 10), Sizing("kelly", 0.5, 10)], ids=str)
def test_a_size_is_known_at_its_close(bars, sizing):
    close = bars["close"].sel(symbol="IBM").to_series()
    whole, short = sizes(close, sizing, 252.0), sizes(close[:400], sizing, 252.0)
    pd.testing.assert_series_equal(whole[:400], short)
    assert whole.between(0, 1).sum() > 1000
