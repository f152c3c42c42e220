"""Combinatorial purged cross-validation: paths, purging, choices, odd input; and what is said of a whole grid."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbench.backtest.strategy import find_strategy
from workbench.backtest.terms import Costs, Terms
from workbench.backtest.validation.crossvalidation import cross_validate, validate_cells
from workbench.backtest.validation.selection import Cells, cell_returns
from workbench.backtest.validation.verdict import of_grid, validate
from workbench.core.errors import InputError, ParameterError, UnknownNameError
from workbench.risk import measures

TERMS = Terms(Costs(commission=0.001, slippage=0.0005, borrow=0.01), 100_000.0)
GRID = {"fast": [5, 20, 60], "slow": [50, 100]}
FOLDS = {"n_folds": 6, "n_test_folds": 2, "purge": 0, "embargo": 0}


@pytest.fixture(scope="module")
def apple(bench):
    return bench.bars(["AAPL"], start="2005", end="2009")


@pytest.fixture(scope="module")
def cross():
    return find_strategy("sma_cross")


def cells_of(returns):
    times = pd.date_range("2020-01-01", periods=len(returns))
    return Cells([{"window": place} for place in range(returns.shape[1])], pd.DataFrame(returns, index=times))


def random_cells(n_bars=126, n_points=5, seed=0):
    return cells_of(np.random.default_rng(seed).standard_t(5, (n_bars, n_points)) * 0.01)


def test_six_folds_of_two_make_fifteen_splits_and_five_paths():
    # Lopez de Prado (2018), figure 12.1: N = 6, k = 2.
    found = validate_cells(random_cells(), "noise", 252, **FOLDS)
    assert (len(found.splits), found.paths.shape) == (15, (126, 5))
    assert list(found.splits["test_folds"]) == [f"{a}, {b}" for a, b in itertools.combinations(range(6), 2)]


@pytest.mark.parametrize(("purge", "embargo"), [(0, 0), (2, 0), (1, 3)])
def test_against_the_definition_written_out(purge, embargo):
    cells = random_cells()
    returns = cells.returns.to_numpy()
    found = validate_cells(cells, "noise", 252, **{**FOLDS, "purge": purge, "embargo": embargo})
    folds = np.arange(126) // 21
    for place, pair in enumerate(itertools.combinations(range(6), 2)):
        test = np.isin(folds, pair)
        train = [bar for bar in range(126) if not test[max(0, bar - purge - embargo) : bar + purge + 1].any()]
        before = [measures.sharpe(column, 252) for column in returns[train].T]
        after = [measures.sharpe(column, 252) for column in returns[test].T]
        best = int(np.argmax(before))
        row = found.splits.iloc[place]
        assert row["window"] == best
        assert row["in_sample"] == pytest.approx(before[best])
        assert row["out_of_sample"] == pytest.approx(after[best])
        assert row["rank"] == pytest.approx(stats.rankdata(after)[best] / 6)


def test_each_path_takes_every_fold_from_a_split_that_tested_on_it():
    cells = random_cells(130, 4, seed=1)
    found = validate_cells(cells, "noise", 252, **FOLDS)
    folds = np.minimum(np.arange(130) // 21, 5)
    used = []
    for fold in range(6):
        rows = folds == fold
        offered = [split for split in range(15) if str(fold) in found.splits["test_folds"][split].split(", ")]
        assert len(offered) == 5
        for path, split in enumerate(offered):
            chosen = found.splits["window"][split]
            np.testing.assert_array_equal(found.paths.to_numpy()[rows, path], cells.returns.to_numpy()[rows, chosen])
            used.append((fold, split))
    assert len(set(used)) == 30
    for path, ratio in enumerate(found.path_sharpes):
        assert ratio == pytest.approx(measures.sharpe(found.paths[path], 252))


def test_points_that_are_the_same_share_their_rank():
    one = np.random.default_rng(5).standard_t(5, (126, 1)) * 0.01
    found = validate_cells(cells_of(np.repeat(one, 7, axis=1)), "noise", 252, **FOLDS)
    assert (found.splits["rank"] == 0.5).all()


def test_a_better_point_is_chosen_on_every_split():
    returns = random_cells(600, 8).returns.to_numpy() + np.where(np.arange(8) == 3, 0.004, 0)
    found = validate_cells(cells_of(returns), "skill", 252, **FOLDS)
    assert (found.splits["window"] == 3).all()
    assert (found.probability_of_loss, found.probability_below_median) == (0, 0)
    np.testing.assert_allclose(found.path_sharpes, measures.sharpe(returns[:, 3], 252))


def test_noise_comes_out_at_the_median_in_the_mean():
    found = [validate_cells(random_cells(240, 9, seed), "noise", 252, **FOLDS).splits["rank"] for seed in range(40)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_the_test_folds_do_not_move_the_choice():
    cells = random_cells(120, 6, seed=2)
    changed = cells.returns.copy()
    changed.iloc[:40] = np.random.default_rng(9).standard_normal((40, 6))
    both = [
        validate_cells(each, "noise", 252, **FOLDS).splits.iloc[0] for each in (cells, cells_of(changed.to_numpy()))
    ]
    assert both[0]["test_folds"] == "0, 1"
    assert both[0]["window"] == both[1]["window"]
    assert both[0]["in_sample"] == pytest.approx(both[1]["in_sample"])
    assert both[0]["out_of_sample"] != pytest.approx(both[1]["out_of_sample"])


def test_points_that_never_trade_are_no_choice():
    with pytest.raises(InputError, match="0 of 3 points of the grid traded"):
        validate_cells(cells_of(np.zeros((60, 3))), "idle", 252, **FOLDS)
    traded = np.random.default_rng(0).normal(0, 0.01, (60, 2))
    found = validate_cells(cells_of(np.column_stack([np.zeros(60), traded])), "partly idle", 252, **FOLDS)
    alone = validate_cells(cells_of(traded), "none idle", 252, **FOLDS)
    np.testing.assert_array_equal(found.path_sharpes, alone.path_sharpes)
    assert np.isnan(found.sharpes).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ({"n_folds": 2}, ParameterError, "n_folds=2 and n_test_folds=2"),
        ({"n_test_folds": 1}, ParameterError, "n_test_folds=1"),
        ({"n_test_folds": 6}, ParameterError, "n_test_folds=6"),
        ({"n_folds": 20, "n_test_folds": 10}, ParameterError, "184,756 splits"),
        ({"purge": -1}, ParameterError, "purge=-1"),
        ({"embargo": 20}, InputError, "126 bars are too few .* embargo of 20; 132 are needed"),
    ],
)
def test_folds_that_cannot_be_made(wanted, error, said):
    with pytest.raises(error, match=said):
        validate_cells(random_cells(), "noise", 252, **{**FOLDS, **wanted})


def test_one_point_leaves_nothing_to_choose(apple, cross):
    with pytest.raises(InputError, match="at least 2 points"):
        cross_validate(apple, cross, {"fast": 5, "slow": 50}, TERMS)
    with pytest.raises(InputError, match="at least 2 points"):
        validate(apple, cross, {"fast": 5, "slow": 50}, TERMS, created=None)


def test_a_parameter_that_is_none_is_named(apple, cross):
    with pytest.raises(UnknownNameError, match="unknown parameter 'fats'"):
        cross_validate(apple, cross, {"fats": [5, 10]}, TERMS)


def test_cells_are_the_backtests_of_the_grid(bench, apple, cross):
    cells = cell_returns(apple, cross, GRID, TERMS)
    assert cells.points == [{"fast": fast, "slow": slow} for fast in (5, 20, 60) for slow in (50, 100) if fast < slow]
    for place in (0, 3):
        result = bench.backtest(cross, ["AAPL"], start="2005", end="2009", **cells.points[place], record=False)
        np.testing.assert_allclose(cells.returns.iloc[:, place], result.returns, atol=1e-12)
        per_bar = result.statistics["sharpe"] / math.sqrt(252)
        assert cells.sharpes[place] == pytest.approx(per_bar, rel=1e-9)


def test_a_basket_is_the_sum_of_its_accounts(bench, bars, cross):
    # Facebook comes to the market half-way: its share of the cash waits.
    cells = cell_returns(bars, cross, {"fast": [10], "slow": [50, 100]}, TERMS)
    result = bench.backtest(cross, ["AAPL", "FB", "IBM"], start="2005", **cells.points[1], record=False)
    np.testing.assert_allclose(cells.returns.iloc[:, 1], result.returns, atol=1e-12)


def test_symbols_that_share_an_account_are_one_path(bench):
    both = bench.bars(["AAPL", "IBM"], start="2005", end="2007")
    cells = cell_returns(both, find_strategy("rotation"), {"lookback": [60, 120], "top": 1}, TERMS)
    assert cells.points == [{"lookback": 60, "top": 1}, {"lookback": 120, "top": 1}]
    options = {"start": "2005", "end": "2007", "record": False}
    result = bench.backtest("rotation", ["AAPL", "IBM"], **cells.points[0], **options)
    np.testing.assert_allclose(cells.returns.iloc[:, 0], result.returns, atol=1e-12)


def test_the_default_embargo_is_a_hundredth_of_the_bars(apple, cross):
    found = cross_validate(apple, cross, GRID, TERMS)
    assert (found.purge, found.embargo) == (1, math.ceil(apple.sizes["time"] / 100))
    assert found.n_trials == 5


def test_a_grid_is_validated_as_a_whole(bench, apple, cross):
    seen = []

    def counting(sharpes, n_bars):
        assert n_bars == apple.sizes["time"]
        seen.append(sharpes)
        return 500, 0.002

    options = {"created": bench.clock(), "n_blocks": 8, "n_resamples": 100}
    found = validate(apple, cross, GRID, TERMS, counting=counting, **options)
    alone = validate(apple, cross, GRID, TERMS, **options)
    assert len(seen[0]) == found.n_points == 5
    assert (found.n_trials, alone.n_trials) == (500, 5)
    assert found.deflated < alone.deflated <= alone.probabilistic
    assert found.sharpe == pytest.approx(seen[0].max() * math.sqrt(252))
    assert found.interval.estimate == pytest.approx(found.sharpe)
    assert found.verdict.startswith(f"best of 500: Sharpe {found.sharpe:.2f}, deflated {found.deflated:.2f}, PBO ")
    assert found.conclusion in found.verdict


def test_of_a_grid_alone_the_trials_are_its_points():
    assert of_grid(np.array([0.1, 0.3, np.nan])) == (3, pytest.approx(0.02))
    assert of_grid(np.array([0.1, np.nan])) == (2, 0.0)


def test_a_grid_that_never_trades_is_an_error(bench, cross):
    few = bench.bars(["AAPL"], start="2005-01", end="2005-03")
    with pytest.raises(InputError, match="more bars"):
        validate(few, cross, {"fast": [5, 10], "slow": 60}, TERMS, created=bench.clock())


def test_results_show_themselves(bench, apple, cross):
    folds = cross_validate(apple, cross, GRID, TERMS, n_folds=6)
    whole = validate(apple, cross, GRID, TERMS, created=bench.clock(), n_blocks=4, n_resamples=50)
    assert "9 paths" not in repr(folds)
    assert "5 paths from 15 splits" in repr(folds)
    assert whole.verdict in repr(whole)
    for found in (folds, whole):
        assert found._repr_html_().startswith("<div><strong>")
        assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["strategy"] == "sma_cross"
