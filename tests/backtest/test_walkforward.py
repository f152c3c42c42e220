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
from workbench.backtest.validation.selection import CHOOSING, best_point, cell_returns, return_statistics
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
    assert days["test_start"] == ["2006-01-03", "2006-07-03", "2007-01-03", "2007-07-02", "2008-01-02", "2008-07-01"]
    assert (days["train_start"][0], days["train_end"][0]) == ("2005-01-03", "2005-12-30")


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        # 2010-01-04 is the first session of 2010, and 2012-12-31 the last one of 2012.
        ("2010-01-04", "2012-12-31", "2010-01-04", "2012-12-31"),
        ("2010-01-05", "2012-12-30", "2010-02-01", "2012-11-30"),
        # 2011-01-01 was a Saturday and 2012-09-30 a Sunday.
        ("2011-01-03", "2012-09-28", "2011-01-03", "2012-09-28"),
        ("2011-01-20", "2012-09-27", "2011-02-01", "2012-08-31"),
        # 2010-05-01 was a Saturday, and 2012-03-31 too.
        ("2010-05-03", "2012-03-30", "2010-05-03", "2012-03-30"),
    ],
)
def test_a_period_counts_when_it_lacks_no_session(bench, walk, start, end, first, last):
    some = bench.bars(["AAPL"], start=start, end=end)
    folds = walk(bars=some, grid={"fast": [5], "slow": [20]}, train=6, test=1, frequency="MS").folds
    assert f"{folds['train_start'].iloc[0]:%Y-%m-%d}" == first
    assert f"{folds['test_end'].iloc[-1]:%Y-%m-%d}" == last


def test_quarters_and_weeks_are_whole_too(bench, walk):
    some = bench.bars(["AAPL"], start="2010-01-04", end="2012-12-31")
    quarters = walk(bars=some, train=4, test=1, frequency="QS").folds
    assert len(quarters) == 8
    assert f"{quarters['test_end'].iloc[-1]:%Y-%m-%d}" == "2012-12-31"
    weeks = walk(bars=some, train=60, test=10, frequency="W-MON").folds
    assert f"{weeks['train_start'].iloc[0]:%Y-%m-%d}" == "2010-01-04"
    assert weeks["test_end"].max() < some.indexes["time"][-1]


def test_each_fold_trades_what_was_best_before_it(bench, rolling, apple, cross):
    for _, fold in rolling.folds.iterrows():
        train = apple.sel(time=slice(fold["train_start"], fold["train_end"]))
        choice = best_point(cell_returns(train, cross, GRID, TERMS), "sharpe", 252)
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


def test_the_spread_of_the_t_statistics_is_that_within_the_folds(rolling):
    # One-way analysis of variance: the mean square within groups.
    ratios = (rolling.sharpes * math.sqrt(400)).reshape(len(rolling.folds), 6)
    within = ratios.var(axis=1, ddof=1).mean()
    found = rolling.t_statistics.reshape(ratios.shape)
    assert found.var() == pytest.approx(within)
    np.testing.assert_allclose(found.mean(axis=1), rolling.sharpes.mean() * math.sqrt(400 + 3 * 150))
    assert ratios.var() > 1.5 * within


def test_the_only_point_of_a_fold_has_no_spread(walk):
    assert np.isnan(walk(grid={"fast": [10], "slow": [50]}).t_statistics).all()


def test_points_that_do_not_go_together_are_no_trials(walk):
    assert walk(grid={"fast": [5, 40], "slow": [30, 60]}, train=600, test=300).n_trials == 3


@pytest.mark.parametrize("statistic", ["sharpe", "max_drawdown"])
def test_a_basket_is_chosen_by_the_account_that_is_traded(bench, walk, cross, statistic):
    both = bench.bars(["AAPL", "IBM"], start="2005", end="2007")
    found = walk(bars=both, train=500, test=200, statistic=statistic)
    fold, train = found.folds.iloc[0], both.isel(time=slice(0, 500))
    own = {
        (fast, slow): backtest(train, cross, {"fast": fast, "slow": slow}, TERMS, created=bench.clock()).statistics
        for fast in GRID["fast"]
        for slow in GRID["slow"]
    }
    assert max(own, key=lambda point: own[point][statistic]) == (fold["fast"], fold["slow"])
    chosen = own[fold["fast"], fold["slow"]]
    assert fold["in_sample"] == pytest.approx(chosen[statistic])
    assert fold["in_sample_return"] == pytest.approx(chosen["annual_return"])
    assert found.n_trials == 6


def test_the_statistics_that_choose_are_those_of_a_backtest(bench, apple, cross):
    result = backtest(apple, cross, {"fast": 10, "slow": 50}, TERMS, created=bench.clock())
    assert return_statistics(result.returns, 252) == {name: result.statistics[name] for name in CHOOSING}


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


def test_the_lowest_is_the_best_of_what_should_be_low(walk, apple, cross):
    fold = walk(statistic="volatility", train=600, test=300).folds.iloc[0]
    cells = cell_returns(apple.isel(time=slice(0, 600)), cross, GRID, TERMS)
    lowest = int(np.argmin(cells.returns.std()))
    assert {name: fold[name] for name in GRID} == cells.points[lowest]
    assert fold["in_sample"] == pytest.approx(cells.returns.std().min() * math.sqrt(252))


@pytest.mark.parametrize("statistic", ["volatility", "max_drawdown", "total_return"])
def test_a_point_that_never_trades_is_no_choice(walk, apple, cross, statistic):
    # On a falling market, or over a window that the slow line has hardly begun in, staying out would be the best.
    grid = {"fast": [5], "slow": [30, 395]}
    idle = cell_returns(apple.isel(time=slice(0, 400)), cross, grid, TERMS)
    assert np.isnan(idle.sharpes).tolist() == [False, True]
    found = walk(grid=grid, statistic=statistic)
    assert found.folds["slow"].iloc[0] == 30
    assert np.isnan(found.sharpes[1])


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"train": 5000}, InputError, "bars are too few for train=5000, purge=0 and test=150; 5150 are needed"),
        ({"train": 1}, ParameterError, "train=1 is out of range"),
        ({"test": 0}, ParameterError, "test=0"),
        ({"test": 2.5}, ParameterError, "test=2.5"),
        ({"purge": -1}, ParameterError, "purge=-1"),
        ({"statistic": "sharp"}, UnknownNameError, "unknown statistic 'sharp'"),
        ({"statistic": "trades"}, ParameterError, "'trades' does not follow from an account's returns; choose by one"),
        ({"statistic": "turnover"}, ParameterError, "total_return, annual_return, volatility, sharpe, sortino, calmar"),
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
