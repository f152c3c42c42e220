"""What the deflated ratio and the odds of overfitting do with odd input, and how they show themselves."""

import json
import math

import numpy as np
import pytest

from workbench.backtest.validation.cscv import probability_of_overfitting
from workbench.backtest.validation.overfitting import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    skew_and_kurtosis,
)
from workbench.core.errors import InputError, ParameterError


@pytest.fixture
def returns():
    return np.random.default_rng(0).standard_normal(500) * 0.01 + 0.0005


@pytest.fixture
def columns():
    return np.random.default_rng(1).standard_normal((200, 6)) * 0.01


def test_one_trial_is_the_probabilistic_ratio_against_zero(returns):
    ratio = returns.mean() / returns.std(ddof=1)
    expected = probabilistic_sharpe_ratio(ratio, 0, 500, *skew_and_kurtosis(returns))
    assert deflated_sharpe_ratio(returns, 1, math.nan) == expected
    assert 0.5 < expected < 1


def test_trials_that_do_not_differ_leave_nothing_to_deflate(returns):
    assert deflated_sharpe_ratio(returns, 1000, 0.0) == deflated_sharpe_ratio(returns, 1, 0.0)


def test_more_trials_and_more_variance_deflate_more(returns):
    found = [deflated_sharpe_ratio(returns, n, 0.001) for n in (1, 2, 10, 100, 1000)]
    assert found == sorted(found, reverse=True)
    assert deflated_sharpe_ratio(returns, 10, 0.01) < deflated_sharpe_ratio(returns, 10, 0.001)


def test_nan_at_the_head_do_not_count(returns):
    headed = np.concatenate([[np.nan] * 100, returns])
    assert deflated_sharpe_ratio(headed, 20, 0.001) == deflated_sharpe_ratio(returns, 20, 0.001)


@pytest.mark.parametrize("few", [[], [0.01], [np.nan, np.nan], [0.01] * 50, [0.0] * 50])
def test_returns_without_a_sharpe_ratio_have_no_deflated_one(few):
    assert math.isnan(deflated_sharpe_ratio(few, 10, 0.001))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: expected_maximum_sharpe(0, 0.1), "n_trials=0 .* at least 1"),
        (lambda: expected_maximum_sharpe(5, -0.1), "variance=-0.1 .* zero or more"),
        (lambda: expected_maximum_sharpe(5, math.nan), "variance=nan"),
        (lambda: probabilistic_sharpe_ratio(0.1, 0, 100, 0, 0), "kurtosis=0 .* raw kurtosis, 3 for a normal"),
        (lambda: probabilistic_sharpe_ratio(0.1, 0, 100, 0, math.nan), "kurtosis=nan"),
        (lambda: minimum_track_record_length(0.1, 0, 0, 3, 0.5), "confidence=0.5"),
    ],
)
def test_a_number_out_of_range_is_named(call, said):
    with pytest.raises(ParameterError, match=said):
        call()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_hole_in_the_returns_is_named(returns, wrong):
    returns[7] = wrong
    with pytest.raises(InputError, match=f"hold {wrong} at row 7"):
        deflated_sharpe_ratio(returns, 5, 0.001)


def test_a_matrix_is_no_series(columns):
    with pytest.raises(InputError, match=r"shape \(200, 6\) are no series"):
        deflated_sharpe_ratio(columns, 5, 0.001)


def test_no_record_is_long_enough_for_a_ratio_that_is_not_above():
    assert minimum_track_record_length(0.1, 0.1, 0, 3) == math.inf
    assert math.isnan(minimum_track_record_length(math.nan, 0, 0, 3))


def test_a_ratio_without_an_error_is_certain():
    # Two outcomes with these odds: 1 - skew x + (kurtosis - 1) / 4 x² vanishes at x = 2 / skew.
    assert probabilistic_sharpe_ratio(1.0, 0.5, 10, 2.0, 5.0) == 1
    assert probabilistic_sharpe_ratio(1.0, 1.0, 10, 2.0, 5.0) == 0.5


@pytest.mark.parametrize("n_blocks", [1, 7, 0, 22, -2])
def test_blocks_are_even_and_few(columns, n_blocks):
    with pytest.raises(ParameterError, match=f"n_blocks={n_blocks} is not an even number"):
        probability_of_overfitting(columns, n_blocks)


@pytest.mark.parametrize(
    ("shape", "said"),
    [((100, 1), "one column"), ((31, 4), "31 bars are too few for 16 blocks; 32 are needed"), ((100,), "no matrix")],
)
def test_too_little_to_halve_is_an_error(shape, said):
    with pytest.raises(InputError, match=said):
        probability_of_overfitting(np.random.default_rng(0).standard_normal(shape))


def test_a_column_that_begins_later_is_named(columns):
    columns[:40, 2] = np.nan
    with pytest.raises(InputError, match="nan at row 0 of column 2"):
        probability_of_overfitting(columns, 4)


def test_rows_of_nan_and_bars_that_fill_no_block_are_left_out(columns):
    headed = np.vstack([np.full((30, 6), np.nan), np.full((3, 6), 9.9), columns])
    found, expected = probability_of_overfitting(headed, 4), probability_of_overfitting(columns, 4)
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_allclose(found.out_of_sample, expected.out_of_sample)
    assert found.n_bars == 200


def test_staying_out_is_better_than_losing(columns):
    lost = -np.abs(columns)
    lost[:, 3] = 0.0
    found = probability_of_overfitting(lost, 4)
    np.testing.assert_array_equal(found.out_of_sample, 0.0)
    assert (found.probability, found.probability_of_loss) == (0, 0)


def test_equal_columns_share_the_middle_rank(columns):
    found = probability_of_overfitting(np.repeat(columns[:, :1], 5, axis=1), 4)
    np.testing.assert_allclose(found.logits, 0.0, atol=1e-12)


def test_chunks_do_not_show(columns, monkeypatch):
    whole = probability_of_overfitting(columns, 8)
    monkeypatch.setattr("workbench.backtest.validation.cscv.CHUNK_BYTES", 8 * 6 * 3)
    np.testing.assert_array_equal(probability_of_overfitting(columns, 8).logits, whole.logits)


def test_the_odds_show_themselves(columns):
    found = probability_of_overfitting(columns, 8, periods=252)
    assert "over 70 halvings (6 columns, 8 blocks, 200 bars)" in repr(found)
    assert "<strong>probability of overfitting" in found._repr_html_()
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (told["n_combinations"], told["n_columns"], told["probability"]) == (70, 6, found.probability)
