"""Walk-forward: windows, choices, what is traded on the test bars, and odd input."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.run import backtest
from workbench.backtest.strategy import find_strategy
from workbench.backtest.sweeps.sweep import sweep
from workbench.backtest.terms import Costs, Terms
from workbench.backtest.validation.selection import best_point
from workbench.backtest.validation.walkforward import walk_forward
from workbench.core.errors import InputError, ParameterError, UnknownNameError
from workbench.risk import measures

TERMS = Terms(Costs(commission=0.001, slippage=0.0005, borrow=0.01), 100_000.0)
GRID = {"fast": [5, 10, 20], "slow": [30, 60]}


@pytest.fixture(scope="module")
def apple(bench):
    return bench.bars(["AAPL"], start="2005", end="2008")


@pytest.fixture(scope="module")
def cross():
    return find_strategy("sma_cross")


@pytest.fixture(scope="module")
def walk(bench, apple, cross):
    def run(bars=apple, grid=GRID, **options):
        return walk_forward(bars, cross, grid, TERMS, **{"train": 400, "test": 150, **options}, created=bench.clock())

    return run


@pytest.fixture(scope="module")
def rolling(walk):
    return walk()


def test_rolling_windows_have_one_length_and_follow_each_other(rolling, apple):
    times = apple.indexes["time"]
    places = {
        name: times.get_indexer(rolling.folds[name]) for name in ("train_start", "train_end", "test_start", "test_end")
    }
    np.testing.assert_array_equal(places["train_start"], np.arange(len(rolling.folds)) * 150)
    np.testing.assert_array_equal(places["train_end"] - places["train_start"], 399)
    np.testing.assert_array_equal(places["test_start"], places["train_end"] + 1)
    np.testing.assert_array_equal(places["test_end"] - places["test_start"], 149)
    assert len(rolling.folds) == (len(times) - 400) // 150


def test_anchored_windows_begin_with_the_first_bar(walk, rolling, apple):
    anchored = walk(anchored=True)
    assert (anchored.folds["train_start"] == apple.indexes["time"][0]).all()
    pd.testing.assert_frame_equal(
        anchored.folds[["train_end", "test_start"]], rolling.folds[["train_end", "test_start"]]
    )


def test_purged_bars_lie_between_the_windows(walk, apple):
    found, times = walk(purge=7).folds, apple.indexes["time"]
    np.testing.assert_array_equal(times.get_indexer(found["test_start"]) - times.get_indexer(found["train_end"]), 8)


def test_windows_may_follow_the_calendar(walk):
    found = walk(train=12, test=6, frequency="MS").folds
    days = {name: list(found[name].dt.strftime("%Y-%m-%d")) for name in ("train_start", "train_end", "test_start")}
    assert days["test_start"] == ["2006-02-01", "2006-08-01", "2007-02-01", "2007-08-01", "2008-02-01"]
    assert (days["train_start"][0], days["train_end"][0]) == ("2005-02-01", "2006-01-31")


def test_each_fold_trades_what_was_best_before_it(bench, rolling, apple, cross):
    for _, fold in rolling.folds.iterrows():
        train = apple.sel(time=slice(fold["train_start"], fold["train_end"]))
        choice = best_point(sweep(train, cross, GRID, TERMS, progress=False), "sharpe")
        assert choice.parameters == {"fast": fold["fast"], "slow": fold["slow"]}
        assert choice.statistics["sharpe"] == fold["in_sample"]
        until = apple.sel(time=slice(None, fold["test_end"]))
        own = backtest(until, cross, choice.parameters, TERMS, created=bench.clock(), since=fold["test_start"])
        assert own.statistics["sharpe"] == fold["out_of_sample"]
        stretch = rolling.returns[fold["test_start"] : fold["test_end"]]
        np.testing.assert_allclose(stretch, own.returns, atol=1e-15)


def test_the_choice_is_the_best_of_the_engine(bench, rolling, apple, cross):
    fold = rolling.folds.iloc[0]
    train = apple.sel(time=slice(fold["train_start"], fold["train_end"]))
    ratios = {
        (fast, slow): backtest(train, cross, {"fast": fast, "slow": slow}, TERMS, created=bench.clock()).statistics[
            "sharpe"
        ]
        for fast in GRID["fast"]
        for slow in GRID["slow"]
    }
    assert max(ratios, key=ratios.get) == (fold["fast"], fold["slow"])


def test_the_stitched_statistics_are_those_of_the_stitched_returns(rolling):
    assert rolling.returns.index.is_monotonic_increasing
    assert rolling.returns.index.is_unique
    assert len(rolling.returns) == 150 * len(rolling.folds)
    assert rolling.statistics["sharpe"] == measures.sharpe(rolling.returns, 252)
    assert rolling.equity.iloc[-1] == pytest.approx(100_000 * (1 + rolling.statistics["total_return"]))
    assert len(rolling.benchmark_returns) == len(rolling.returns)


def test_efficiency_is_the_share_that_is_left_out_of_sample(rolling, walk):
    expected = rolling.statistics["annual_return"] / rolling.folds["in_sample_return"].mean()
    assert rolling.efficiency == pytest.approx(expected)
    losing = walk(grid={"fast": [5], "slow": [30]}, train=300, test=300)
    assert math.isnan(losing.efficiency) == (losing.folds["in_sample_return"].mean() <= 0)


def test_stability_counts_the_choices(rolling):
    for name in GRID:
        chosen = list(rolling.folds[name])
        row = rolling.stability.loc[name]
        assert row["distinct"] == len(set(chosen))
        assert row["share"] == max(chosen.count(value) for value in chosen) / len(chosen)
        assert row["changes"] == sum(a != b for a, b in itertools.pairwise(chosen))


def test_every_backtest_that_was_looked_at_is_a_trial(rolling, apple, cross):
    fold = rolling.folds.iloc[0]
    train = apple.sel(time=slice(fold["train_start"], fold["train_end"]))
    annual = sweep(train, cross, GRID, TERMS, progress=False)["sharpe"].to_numpy().ravel()
    np.testing.assert_allclose(rolling.sharpes[:6], annual / math.sqrt(252))
    assert rolling.n_trials == 6 * len(rolling.folds)


def test_points_that_do_not_go_together_are_no_trials(walk):
    assert walk(grid={"fast": [5, 40], "slow": [30, 60]}, train=600, test=300).n_trials == 3


def test_a_basket_is_chosen_by_the_mean_of_its_symbols(bench, walk, cross):
    both = bench.bars(["AAPL", "IBM"], start="2005", end="2007")
    found = walk(bars=both, train=500, test=200)
    train = both.isel(time=slice(0, 500))
    means = sweep(train, cross, GRID, TERMS, progress=False)["sharpe"].mean("symbol")
    assert found.folds["in_sample"].iloc[0] == pytest.approx(float(means.max()))
    assert found.n_trials == 12


def test_a_strategy_of_weights_is_chosen_by_its_one_account(bench):
    both = bench.bars(["AAPL", "IBM"], start="2005", end="2008")
    rotation, grid = find_strategy("rotation"), {"lookback": [40, 120], "top": 1}
    found = walk_forward(both, rotation, grid, TERMS, train=500, test=200, created=bench.clock())
    train = both.isel(time=slice(0, 500))
    ratios = [
        backtest(train, rotation, {"lookback": lookback, "top": 1}, TERMS, created=bench.clock()).statistics["sharpe"]
        for lookback in (40, 120)
    ]
    np.testing.assert_allclose(found.sharpes[:2] * math.sqrt(252), ratios)
    assert found.folds["lookback"].iloc[0] == (40, 120)[int(np.argmax(ratios))]


def test_the_lowest_is_the_best_of_what_should_be_low(walk):
    low, high = (walk(statistic=name, train=600, test=300).folds.iloc[0] for name in ("turnover", "total_return"))
    assert (low["fast"], low["slow"]) != (5, 30)
    assert high["in_sample_return"] >= low["in_sample_return"]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"train": 5000}, InputError, "bars are too few for train=5000, purge=0 and test=150; 5150 are needed"),
        ({"train": 1}, ParameterError, "train=1 is out of range"),
        ({"test": 0}, ParameterError, "test=0"),
        ({"test": 2.5}, ParameterError, "test=2.5"),
        ({"purge": -1}, ParameterError, "purge=-1"),
        ({"statistic": "sharp"}, UnknownNameError, "unknown statistic 'sharp'"),
        ({"statistic": "trades"}, ParameterError, "more trades is neither better nor worse"),
        ({"frequency": "tomorrow", "train": 2, "test": 1}, ParameterError, "frequency='tomorrow'"),
        ({"frequency": "YS", "train": 20, "test": 5}, InputError, "no training window of 20"),
        ({"train": 32, "grid": {"fast": [5], "slow": [30]}}, InputError, "no point of the grid has a sharpe"),
        ({"grid": {"fast": []}}, ParameterError, "no values for 'fast'"),
        ({"grid": {"fast": [90], "slow": [30]}}, ParameterError, "no point of the grid is valid"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_so(walk, options, error, said):
    with pytest.raises(error, match=said):
        walk(**options)


def test_it_shows_itself(rolling):
    assert "walk-forward of sma_cross, rolling, 4 folds by sharpe" in repr(rolling)
    assert rolling._repr_html_().startswith("<div><strong>walk-forward of sma_cross")
    told = json.loads(json.dumps(rolling.to_dict(), allow_nan=False))
    assert (told["n_trials"], len(told["folds"])) == (24, 4)
    assert list(rolling.table()) == ["sma_cross", "buy and hold"]
