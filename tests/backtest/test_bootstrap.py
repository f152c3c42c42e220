"""What the bootstrap does with odd input, that a seed decides everything, and how its results show themselves."""

import json
import math

import numpy as np
import pytest

from workbench.backtest.validation.bootstrap import STATISTICS, block_length, bootstrap_interval
from workbench.backtest.validation.superior_ability import superior_predictive_ability
from workbench.core.errors import InputError, ParameterError, UnknownNameError


@pytest.fixture
def returns():
    return np.random.default_rng(0).standard_t(5, 200) * 0.01 + 0.0005


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_lies_in_its_interval(bench, statistic):
    close = bench.bars(dataset="sp500_index")["close"][:, 0].to_series()
    returns = close["2010":"2013"].pct_change()
    found = bootstrap_interval(returns, statistic, periods=252, n_resamples=200)
    assert found.low < found.estimate < found.high
    assert found.n_bars == len(returns) - 1
    assert found.block >= 1


def test_a_seed_decides_everything(returns):
    first, again, other = (bootstrap_interval(returns, periods=252, n_resamples=100, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.low != other.low
    models = np.random.default_rng(1).standard_normal((200, 4)) * 0.01
    tests = [superior_predictive_ability(returns, models, n_resamples=100, seed=seed) for seed in (1, 1, 2)]
    assert tests[0] == tests[1] != tests[2]


def test_more_confidence_is_wider(returns):
    narrow, wide = (bootstrap_interval(returns, periods=252, confidence=share, n_resamples=400) for share in (0.5, 0.9))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ({"statistic": "sharp"}, UnknownNameError, "unknown statistic 'sharp'; nearest known: sharpe"),
        ({"method": "basic"}, UnknownNameError, "unknown method 'basic'"),
        ({"statistic": lambda values: values}, InputError, "must give one number"),
        ({"statistic": lambda values: "high"}, InputError, "gives str"),
        ({"statistic": lambda values: math.nan}, InputError, "not defined for these 200 returns"),
        ({"confidence": 1.0}, ParameterError, "confidence=1.0"),
        ({"n_resamples": 1}, ParameterError, "n_resamples=1"),
        ({"block": 0.5}, ParameterError, "block=0.5 .* from 1 to 200"),
        ({"block": 201}, ParameterError, "block=201"),
        (
            {"statistic": lambda values: float(len(values)), "method": "bca"},
            InputError,
            "one side .* method='percentile'",
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_told_so(returns, wanted, error, said):
    with pytest.raises(error, match=said):
        bootstrap_interval(returns, **{"n_resamples": 50, **wanted}, periods=252)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.01, -0.01] * 4, "8 returns are too few .* 10"),
        ([0.01] * 50, "all 0.01"),
        ([0.01, np.nan] * 20, "nan at row 1"),
    ],
)
def test_returns_that_cannot_be_resampled(values, said):
    for call in (lambda: bootstrap_interval(values, periods=252), lambda: block_length(values)):
        with pytest.raises(InputError, match=said):
            call()


def test_resamples_without_the_statistic_are_left_out():
    returns = np.zeros(30)
    returns[3] = 0.01
    found = bootstrap_interval(returns, "sharpe", periods=252, n_resamples=200, block=1)
    assert 0 < found.n_resamples < 200
    assert np.isfinite([found.low, found.high]).all()


def test_a_statistic_that_no_resample_has_is_an_error(returns):
    def only_here(values):
        return 1.0 if np.array_equal(values, returns) else math.nan

    with pytest.raises(InputError, match="only_here is not defined on 50 resamples"):
        bootstrap_interval(returns, only_here, periods=252, n_resamples=50)


def test_a_statistic_that_no_single_bar_moves_has_no_acceleration():
    values = np.repeat([-0.01, 0.0, 0.01], 11)
    found = bootstrap_interval(values, np.median, periods=252, method="bca", n_resamples=300, block=1)
    assert found.low <= found.estimate <= found.high


@pytest.mark.parametrize(
    ("benchmark", "models", "said"),
    [
        (np.zeros(50), np.ones((40, 2)), "40 bars and the benchmark 50"),
        (np.zeros(50), np.zeros((50, 2)), "every model equals the benchmark"),
        (np.zeros(5), np.random.default_rng(0).standard_normal((5, 2)), "5 returns are too few"),
        (np.zeros(50), np.where(np.arange(100).reshape(50, 2) == 41, np.nan, 0.1), "nan at row 20 of column 1"),
    ],
)
def test_models_that_cannot_be_tested(benchmark, models, said):
    with pytest.raises(InputError, match=said):
        superior_predictive_ability(benchmark, models)


def test_a_model_that_is_the_benchmark_changes_nothing(returns):
    models = np.random.default_rng(2).standard_normal((200, 5)) * 0.01
    alone = superior_predictive_ability(returns, models, n_resamples=100)
    joined = superior_predictive_ability(returns, np.column_stack([returns, models]), n_resamples=100)
    assert (joined.consistent, joined.statistic) == (alone.consistent, alone.statistic)
    assert (joined.best, joined.n_models) == (alone.best + 1, 6)


def test_a_loss_is_not_taken_for_a_gain(returns):
    better = returns + np.random.default_rng(3).standard_normal(200) * 0.002 + 0.001
    worse = 2 * returns - better
    assert superior_predictive_ability(returns, better[:, None], n_resamples=200).consistent < 0.01
    assert superior_predictive_ability(returns, worse[:, None], n_resamples=200).consistent == 1


def test_results_show_themselves(returns):
    interval = bootstrap_interval(returns, periods=252, n_resamples=100)
    ability = superior_predictive_ability(np.zeros(200), returns[:, None], n_resamples=100)
    assert "95% interval" in repr(interval)
    assert "best of 1: p = " in repr(ability)
    for found in (interval, ability):
        assert found._repr_html_().startswith("<div>")
        assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["n_bars"] == 200
