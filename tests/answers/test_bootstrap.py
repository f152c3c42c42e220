"""Bootstrap intervals and Hansen's test against limit cases with a known answer, and against arch and scipy."""

import math

import numpy as np
import pytest
from arch.bootstrap import SPA, StationaryBootstrap
from scipy import stats

from workbench.backtest.validation.bootstrap import block_length, bootstrap_interval
from workbench.backtest.validation.superior_ability import superior_predictive_ability
from workbench.risk import measures


def autoregressive(rho, n, seed):
    shocks = np.random.default_rng(seed).standard_normal(n + 200)
    values = [0.0]
    for shock in shocks:
        values.append(rho * values[-1] + shock)
    return np.array(values[-n:])


@pytest.mark.parametrize("rho", [0.3, 0.7])
def test_the_block_length_of_an_autoregressive_series(rho):
    # Patton, Politis and White (2009), eq. 6 with the autocovariances of an AR(1): b³ = n (2 rho / (1 - rho²))².
    expected = (4000 * (2 * rho / (1 - rho**2)) ** 2) ** (1 / 3)
    found = [block_length(autoregressive(rho, 4000, seed)) for seed in range(8)]
    assert np.mean(found) == pytest.approx(expected, rel=0.15)


def test_blocks_of_one_bar_are_the_ordinary_bootstrap():
    # Whose standard error of the mean is the plug-in one: the root of the variance, dividing by n, over n.
    returns = np.random.default_rng(1).standard_t(5, 300) * 0.01
    found = bootstrap_interval(returns, np.mean, periods=252, block=1, n_resamples=4000)
    assert found.standard_error == pytest.approx(returns.std() / math.sqrt(300), rel=0.05)
    expected = returns.mean() + stats.norm.ppf([0.025, 0.975]) * returns.std() / math.sqrt(300)
    assert (found.low, found.high) == (pytest.approx(expected[0], abs=1e-4), pytest.approx(expected[1], abs=1e-4))


def test_blocks_keep_the_error_of_dependent_returns():
    # The mean of n values of an AR(1) has the variance sigma² / ((1 - rho)² n) in the limit: with rho 0.5 the standard
    # error is 2 / root(n), while independent drawing finds 1.15 / root(n).
    values = autoregressive(0.5, 5000, 5)
    blocks = bootstrap_interval(values, np.mean, periods=1, n_resamples=600)
    single = bootstrap_interval(values, np.mean, periods=1, n_resamples=600, block=1)
    assert blocks.standard_error == pytest.approx(2 / math.sqrt(5000), rel=0.15)
    assert single.standard_error == pytest.approx(math.sqrt(1 / 0.75) / math.sqrt(5000), rel=0.1)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_the_interval_is_that_of_arch(method):
    returns = np.random.default_rng(2).standard_t(4, 250) * 0.01 + 0.0005
    drawn = StationaryBootstrap(5, returns, seed=3)
    expected = drawn.conf_int(lambda values: np.atleast_1d(measures.sharpe(values, 252)), 400, method=method, size=0.9)
    found = bootstrap_interval(
        returns, "sharpe", periods=252, confidence=0.9, method=method, n_resamples=400, block=5, seed=3
    )
    np.testing.assert_allclose([found.low, found.high], expected[:, 0], rtol=1e-10)


def test_the_corrected_interval_is_near_that_of_scipy():
    # A skewed statistic, where correction matters: the variance of exponential values.
    values = np.random.default_rng(4).exponential(1, 80)
    theirs = stats.bootstrap((values,), np.var, n_resamples=6000, method="BCa", rng=np.random.default_rng(5))
    found = bootstrap_interval(values, np.var, periods=1, method="bca", n_resamples=6000, block=1)
    low, high = theirs.confidence_interval
    assert (found.low, found.high) == (pytest.approx(low, rel=0.03), pytest.approx(high, rel=0.05))


@pytest.mark.parametrize("seed", range(3))
def test_superior_ability_is_that_of_arch(seed):
    rng = np.random.default_rng(seed)
    benchmark = rng.standard_normal(300) * 0.01
    models = rng.standard_normal((300, 12)) * 0.01 + rng.standard_normal(12) * 0.0008
    found = superior_predictive_ability(benchmark, models, block=4, n_resamples=300, seed=seed)
    # arch takes losses, and compares means that it does not studentise: Hansen's statistic is that of ratios.
    losses = SPA(-benchmark, -models, block_size=4, seed=seed)
    losses._compute_variance()
    ratios = (models - benchmark[:, None]) / np.sqrt(losses._loss_diff_var)
    theirs = SPA(np.zeros(300), -ratios, block_size=4, reps=300, seed=seed)
    theirs.compute()
    assert (found.lower, found.consistent, found.upper) == tuple(theirs.pvalues)
    assert found.statistic == pytest.approx(ratios.mean(axis=0).max() * math.sqrt(300))
    assert found.best == ratios.mean(axis=0).argmax()


def test_a_clearly_better_model_among_many_is_found():
    rng = np.random.default_rng(6)
    benchmark, models = rng.standard_normal(500) * 0.01, rng.standard_normal((500, 40)) * 0.01
    models[:, 23] += 0.003
    found = superior_predictive_ability(benchmark, models, n_resamples=500)
    assert (found.best, found.consistent, found.upper) == (23, 0, 0)


def test_models_below_the_benchmark_have_nothing_to_show():
    rng = np.random.default_rng(7)
    benchmark, models = rng.standard_normal(500) * 0.01 + 0.003, rng.standard_normal((500, 40)) * 0.01
    found = superior_predictive_ability(benchmark, models, n_resamples=200)
    assert (found.lower, found.consistent, found.upper, found.statistic) == (1, 1, 1, 0)


def test_the_size_of_the_test_among_noise():
    # Under the hypothesis the p-value is about uniform: at most 5 % are below 0.05, within what 120 draws allow.
    rng = np.random.default_rng(8)
    found = [
        superior_predictive_ability(np.zeros(200), rng.standard_normal((200, 10)), n_resamples=200, block=1).consistent
        for _ in range(120)
    ]
    assert np.mean(np.array(found) < 0.05) < 0.12
    assert np.mean(found) == pytest.approx(0.5, abs=0.12)


def test_many_poor_models_weaken_the_conservative_bound_alone():
    # Hansen (2005), section 4: models far below the benchmark move White's reality check, not the consistent p-value.
    rng = np.random.default_rng(9)
    benchmark, models = rng.standard_normal(400) * 0.01, rng.standard_normal((400, 5)) * 0.01
    models[:, 0] += 0.0018
    poor = rng.standard_normal((400, 60)) * 0.01 - 0.01
    few = superior_predictive_ability(benchmark, models, n_resamples=500, block=2)
    many = superior_predictive_ability(benchmark, np.hstack([models, poor]), n_resamples=500, block=2)
    assert many.upper > few.upper + 0.02
    assert many.consistent == pytest.approx(few.consistent, abs=0.01)
