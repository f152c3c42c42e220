"""Nothing of a test window, or after it, may influence a choice; nor what is after a fold its returns."""

import numpy as np
import pytest

from workbench.backtest.strategy import find_strategy
from workbench.backtest.terms import Costs, Terms
from workbench.backtest.validation.walkforward import walk_forward

TERMS = Terms(Costs(commission=0.001, slippage=0.0005, borrow=0.01), 100_000.0)
GRID = {"fast": [5, 10, 20], "slow": [30, 60]}


@pytest.fixture(scope="module")
def apple(bench):
    return bench.bars(["AAPL"], start="2005", end="2007")


def shaken(bars, first, last):
    """The bars with other prices from one place to another."""
    factor = np.ones(bars.sizes["time"])
    factor[first:last] = np.exp(np.random.default_rng(4).standard_normal(last - first).cumsum() * 0.05)
    changed = bars.copy()
    for field in ("open", "high", "low", "close"):
        changed[field] = bars[field] * factor[:, None]
    return changed


@pytest.mark.parametrize("anchored", [False, True])
@pytest.mark.parametrize("fold", [0, 1, 2])
def test_prices_of_the_test_window_do_not_move_its_choice(bench, apple, anchored, fold):
    options = {"train": 300, "test": 100, "anchored": anchored, "created": bench.clock()}
    begin = 300 + 100 * fold
    before = walk_forward(apple, find_strategy("sma_cross"), GRID, TERMS, **options)
    after = walk_forward(shaken(apple, begin, begin + 100), find_strategy("sma_cross"), GRID, TERMS, **options)
    same = ["train_start", "train_end", "fast", "slow", "in_sample"]
    assert before.folds[same].iloc[: fold + 1].equals(after.folds[same].iloc[: fold + 1])
    np.testing.assert_array_equal(before.returns[: 100 * fold], after.returns[: 100 * fold])
    # The shaking is seen where it may be: in what the fold earned.
    assert before.folds["out_of_sample"].iloc[fold] != after.folds["out_of_sample"].iloc[fold]


@pytest.mark.parametrize("kept", [400, 499, 500])
def test_cutting_off_the_future_leaves_the_folds_before_it(bench, apple, kept):
    options = {"train": 300, "test": 100, "created": bench.clock()}
    whole = walk_forward(apple, find_strategy("sma_cross"), GRID, TERMS, **options)
    short = walk_forward(apple.isel(time=slice(0, kept)), find_strategy("sma_cross"), GRID, TERMS, **options)
    assert len(short.folds) == (kept - 300) // 100
    assert short.folds.equals(whole.folds.iloc[: len(short.folds)])
    np.testing.assert_array_equal(short.returns, whole.returns[: len(short.returns)])
