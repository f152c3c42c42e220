import numpy as np
import pandas as pd
import pytest

from workbench.core.errors import InputError
from workbench.risk import measures

UPS_AND_DOWNS = [0.1, -0.05, 0.02, -0.2, 0.3]


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        (lambda returns: measures.annual_return(returns, 252), np.nan),
        (lambda returns: measures.volatility(returns, 252), np.nan),
        (lambda returns: measures.sharpe(returns, 252), np.nan),
        (lambda returns: measures.sortino(returns, 252), np.nan),
        (measures.max_drawdown, np.nan),
        (lambda returns: measures.calmar(returns, 252), np.nan),
        (measures.total_return, 0.0),
    ],
)
def test_no_returns_define_nothing_but_a_total_of_zero(measure, value):
    np.testing.assert_equal(measure([]), value)


@pytest.mark.parametrize("measure", [measures.volatility, measures.sharpe])
def test_one_return_has_no_spread(measure):
    assert np.isnan(measure([0.1], 252))


@pytest.mark.parametrize("count", [2, 3, 5, 7, 11, 250])
@pytest.mark.parametrize("level", [0.0, 0.1, 0.01, -0.03, 1e-4])
def test_the_same_return_every_bar_has_no_sharpe_ratio(count, level):
    assert np.isnan(measures.sharpe([level] * count, 252))


@pytest.mark.parametrize("price", [0.3, 1.1, 3.3, 7.7])
def test_an_account_that_never_moved_has_no_ratio(price):
    # Bought with all of the money, 100 000 / price * price is not quite 100 000 again.
    value = np.full(50, 100_000.0)
    value[-2:] = np.nextafter(100_000.0, 0 if price < 2 else np.inf)
    returns = value[1:] / value[:-1] - 1
    assert returns.any()
    assert np.isnan(measures.sharpe(returns, 252))
    assert np.isnan(measures.sortino(returns, 252))
    other = np.linspace(-0.1, 0.1, len(returns))
    assert np.isnan(measures.beta(other, returns))
    assert np.isnan(measures.correlation(returns, other))


def test_without_a_loss_the_ratios_to_losses_are_undefined():
    assert np.isnan(measures.sortino([0.1, 0.0, 0.2], 252))
    assert np.isnan(measures.calmar([0.1, 0.0, 0.2], 252))
    assert measures.max_drawdown([0.1, 0.0, 0.2]) == 0


def test_a_loss_that_is_rounding_is_none():
    assert np.isnan(measures.sortino([0.1, -1.1e-16, 0.2], 252))
    assert np.isnan(measures.calmar([0.1, -1.1e-16, 0.2], 252))


@pytest.mark.parametrize("after", [[], [0.5], [0.5, -0.5]])
def test_ruin_is_the_loss_of_everything(after):
    returns = [0.1, -1.0, *after]
    assert measures.total_return(returns) == -1
    assert measures.annual_return(returns, 252) == -1
    assert measures.max_drawdown(returns) == -1


def test_more_than_everything_lost_is_ruin_too():
    assert measures.annual_return([-1.5], 252) == -1


def test_a_fall_from_the_start_is_a_drawdown():
    np.testing.assert_allclose(measures.drawdowns([-0.1, 0.05]), [-0.1, -0.055])


def test_a_drawdown_is_never_above_zero_and_has_one_value_per_bar():
    depths = measures.drawdowns(UPS_AND_DOWNS)
    assert depths.shape == (5,)
    assert (depths <= 0).all()


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series])
def test_returns_may_come_in_any_row_of_numbers(kind):
    assert measures.total_return(kind(UPS_AND_DOWNS)) == pytest.approx(1.1 * 0.95 * 1.02 * 0.8 * 1.3 - 1)


def test_a_gap_in_the_returns_is_not_passed_over():
    assert np.isnan(measures.sharpe([0.1, np.nan, 0.2], 252))
    assert np.isnan(measures.total_return([0.1, np.nan, 0.2]))
    assert np.isnan(measures.max_drawdown([0.1, np.nan, -0.2]))


AGAINST = {
    "beta": measures.beta,
    "alpha": lambda returns, benchmark: measures.alpha(returns, benchmark, 252),
    "correlation": measures.correlation,
    "tracking_error": lambda returns, benchmark: measures.tracking_error(returns, benchmark, 252),
    "information_ratio": lambda returns, benchmark: measures.information_ratio(returns, benchmark, 252),
}


@pytest.mark.parametrize("name", AGAINST)
def test_nothing_and_one_return_define_no_measure_against_a_benchmark(name):
    assert np.isnan(AGAINST[name]([], []))
    assert np.isnan(AGAINST[name]([0.1], [0.2]))


@pytest.mark.parametrize("name", AGAINST)
def test_a_gap_against_a_benchmark_is_not_passed_over(name):
    assert np.isnan(AGAINST[name]([0.1, np.nan, 0.2], [0.1, 0.0, 0.3]))
    assert np.isnan(AGAINST[name]([0.1, 0.0, 0.2], [0.1, np.nan, 0.3]))


@pytest.mark.parametrize("level", [0.0, 0.01, -0.03])
def test_a_benchmark_that_stands_still_explains_nothing(level):
    still = [level] * 5
    assert np.isnan(measures.beta(UPS_AND_DOWNS, still))
    assert np.isnan(measures.alpha(UPS_AND_DOWNS, still, 252))
    assert np.isnan(measures.correlation(UPS_AND_DOWNS, still))
    assert np.isnan(measures.correlation(still, UPS_AND_DOWNS))
    assert measures.beta(still, UPS_AND_DOWNS) == pytest.approx(0, abs=1e-12)


def test_a_benchmark_itself_has_a_beta_of_one_and_no_error():
    assert measures.beta(UPS_AND_DOWNS, UPS_AND_DOWNS) == pytest.approx(1)
    assert measures.alpha(UPS_AND_DOWNS, UPS_AND_DOWNS, 252) == pytest.approx(0, abs=1e-12)
    assert measures.tracking_error(UPS_AND_DOWNS, UPS_AND_DOWNS, 252) == 0
    assert np.isnan(measures.information_ratio(UPS_AND_DOWNS, UPS_AND_DOWNS, 252))


@pytest.mark.parametrize("factor", [2.0, -0.5])
def test_twice_the_benchmark_has_twice_its_beta(factor):
    leveraged = factor * np.array(UPS_AND_DOWNS)
    assert measures.beta(leveraged, UPS_AND_DOWNS) == pytest.approx(factor)
    assert measures.correlation(leveraged, UPS_AND_DOWNS) == pytest.approx(np.sign(factor))


def test_returns_of_other_bars_are_refused():
    with pytest.raises(InputError, match="2 returns have no benchmark of 3; give both over the same bars"):
        measures.beta([0.1, 0.2], [0.1, 0.2, 0.3])
