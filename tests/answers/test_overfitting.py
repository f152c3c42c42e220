"""Deflated Sharpe ratios and odds of overfitting against the papers' own figures, and against their definitions."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from workbench.backtest.validation.cscv import probability_of_overfitting
from workbench.backtest.validation.overfitting import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
)
from workbench.risk import measures

NORMAL = (0.0, 3.0)
DAY = math.sqrt(250)


@pytest.mark.parametrize(
    ("moments", "probability"),
    # Bailey and Lopez de Prado (2012): two years of monthly returns with a Sharpe ratio of 0.458 a month (1.59 a year)
    # are above zero with probability 0.982 if normal, and 0.913 with their skewness of -2.448 and kurtosis of 10.164.
    [(NORMAL, 0.982), ((-2.448, 10.164), 0.913)],
)
def test_the_probabilistic_ratio_of_the_paper(moments, probability):
    assert probabilistic_sharpe_ratio(0.458, 0.0, 24, *moments) == pytest.approx(probability, abs=5e-4)


@pytest.mark.parametrize(("periods", "years"), [(250, 2.73), (52, 2.83), (12, 3.24)])
def test_the_track_records_of_the_paper(periods, years):
    # Bailey and Lopez de Prado (2012): years of daily, weekly, monthly normal returns that prove a Sharpe ratio above
    # 1 a year with 95 % confidence where 2 is observed.
    root = math.sqrt(periods)
    needed = minimum_track_record_length(2 / root, 1 / root, *NORMAL)
    assert needed / periods == pytest.approx(years, abs=5e-3)
    # As many returns have that probability: the two formulas are one.
    assert probabilistic_sharpe_ratio(2 / root, 1 / root, needed, *NORMAL) == pytest.approx(0.95, abs=1e-12)


def test_the_expected_maximum_of_the_paper():
    # Bailey and Lopez de Prado (2014): 100 trials, variance 1/2 a year, 250 days a year.
    assert expected_maximum_sharpe(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(
    ("n_trials", "moments", "probability"),
    # Bailey and Lopez de Prado (2014): a Sharpe ratio of 2.5 a year over 1,250 days; with fewer trials, and with normal
    # returns, it would have passed at 95 %.
    [(100, (-3.0, 10.0), 0.9004), (46, (-3.0, 10.0), 0.9505), (88, NORMAL, 0.9505)],
)
def test_the_deflated_ratio_of_the_paper(n_trials, moments, probability):
    highest = expected_maximum_sharpe(n_trials, 0.5 / 250)
    assert probabilistic_sharpe_ratio(2.5 / DAY, highest, 1250, *moments) == pytest.approx(probability, abs=5e-5)


@pytest.mark.parametrize(
    ("n_trials", "expected"),
    # Expected maximum of n standard normal values: H. L. Harter, Biometrika 48 (1961), table 1.
    [(10, 1.53875), (100, 2.50759), (400, 2.96818)],
)
def test_the_expected_maximum_is_near_the_exact_one(n_trials, expected):
    assert expected_maximum_sharpe(n_trials, 1.0) == pytest.approx(expected, rel=0.025)


def test_the_moments_of_the_returns_are_those_of_scipy():
    returns = np.random.default_rng(3).standard_t(5, 800) * 0.01 + 0.001
    ratio = returns.mean() / returns.std(ddof=1)
    raw = stats.kurtosis(returns, fisher=False)
    highest = expected_maximum_sharpe(30, 0.0004)
    expected = probabilistic_sharpe_ratio(ratio, highest, 800, stats.skew(returns), raw)
    assert deflated_sharpe_ratio(returns, 30, 0.0004) == pytest.approx(expected, rel=1e-12)


def test_an_example_halved_by_hand():
    # Two blocks of two bars; every block has a standard deviation of 0.01 times the root of 2. A: 1.41 then -1.41;
    # B: 0.71 then 2.12. Trained on the first block, A is chosen and comes out last; on the second, B, and last too.
    first, second = [0.01, 0.03, -0.03, -0.01], [0.0, 0.02, 0.02, 0.04]
    found = probability_of_overfitting(np.transpose([first, second]), 2)
    root = math.sqrt(2)
    np.testing.assert_allclose(found.in_sample, [root, 1.5 * root])
    np.testing.assert_allclose(found.out_of_sample, [-root, root / 2])
    np.testing.assert_allclose(found.logits, [math.log(0.5)] * 2)
    assert (found.probability, found.probability_of_loss) == (1.0, 0.5)
    assert (found.slope, found.r_squared) == (pytest.approx(3), pytest.approx(1))
    assert found.intercept == pytest.approx(-4 * root)


@pytest.mark.parametrize("seed", range(3))
def test_against_the_definition_written_out(seed):
    returns = np.random.default_rng(seed).standard_t(4, (62, 7)) * 0.01
    found = probability_of_overfitting(returns, 6, periods=252)
    blocks = np.split(returns[2:], 6)
    logits, inside, outside = [], [], []
    for chosen in itertools.combinations(range(6), 3):
        train = np.concatenate([blocks[place] for place in chosen])
        test = np.concatenate([blocks[place] for place in range(6) if place not in chosen])
        before = [measures.sharpe(column, 252) for column in train.T]
        after = [measures.sharpe(column, 252) for column in test.T]
        best = int(np.argmax(before))
        share = stats.rankdata(after)[best] / 8
        logits.append(math.log(share / (1 - share)))
        inside.append(before[best])
        outside.append(after[best])
    np.testing.assert_allclose(found.logits, logits, atol=1e-12)
    np.testing.assert_allclose(found.in_sample, inside, rtol=1e-10)
    np.testing.assert_allclose(found.out_of_sample, outside, rtol=1e-10)
    line = stats.linregress(inside, outside)
    assert found.slope == pytest.approx(line.slope)
    assert found.intercept == pytest.approx(line.intercept)
    assert found.r_squared == pytest.approx(line.rvalue**2)


@pytest.mark.parametrize("n_columns", [2, 7, 50])
def test_columns_that_are_the_same_are_all_the_median(n_columns):
    # Ranks of equal values are the mean of theirs: the logit is that of one half.
    one = np.random.default_rng(8).standard_t(4, (480, 1)) * 0.01
    found = probability_of_overfitting(np.repeat(one, n_columns, axis=1), 8)
    assert (found.logits == 0).all()


def test_choosing_among_noise_is_a_coin_toss():
    # Bailey et al. (2017): without skill the choice's rank out of sample is uniform, and the probability one half.
    rng = np.random.default_rng(11)
    found = [probability_of_overfitting(rng.standard_normal((240, 20)), 8).probability for _ in range(60)]
    assert np.mean(found) == pytest.approx(0.5, abs=4 * np.std(found, ddof=1) / math.sqrt(60))
    assert np.std(found) > 0.05


def test_a_truly_better_column_is_not_overfitted():
    returns = np.random.default_rng(12).standard_normal((480, 50)) * 0.01
    returns[:, 17] += 0.003
    found = probability_of_overfitting(returns, 10)
    assert (found.probability, found.probability_of_loss) == (0, 0)


def test_a_column_that_pays_back_what_it_earned_is_overfitted():
    # Bailey et al. (2017), section 5: where all columns have the same total, the best in one half is the worst in the
    # other; in-sample and out-of-sample ratios fall on a line with a slope of -1.
    returns = np.random.default_rng(13).standard_normal((400, 30)) * 0.01
    returns -= returns.mean(axis=0)
    found = probability_of_overfitting(returns, 10)
    assert found.probability == 1
    assert found.slope == pytest.approx(-1, abs=0.15)
