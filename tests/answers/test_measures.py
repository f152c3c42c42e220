"""Risk measures against published figures, and against their definitions written out."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from workbench.risk import measures


@pytest.fixture(scope="module")
def index(bench):
    """Returns of the S&P 500, a price index."""
    close = bench.bars(dataset="sp500_index")["close"][:, 0].to_series()
    return close.pct_change().dropna()


@pytest.mark.parametrize(
    ("year", "change"),
    # S&P Dow Jones Indices, price return of the S&P 500 by calendar year.
    [("1995", 0.3411), ("2002", -0.2337), ("2008", -0.3849), ("2013", 0.2960), ("2018", -0.0624), ("2021", 0.2689)],
)
def test_a_year_of_the_index(index, year, change):
    assert measures.total_return(index[year]) == pytest.approx(change, abs=5e-5)


@pytest.mark.parametrize(
    ("years", "depth", "day"),
    # From 1565.15 on 2007-10-09 to 676.53 on 2009-03-09; from 1527.46 on 2000-03-24 to 776.76 on 2002-10-09; from
    # 3386.15 on 2020-02-19 to 2237.40 on 2020-03-23.
    [
        (("2005", "2012"), 676.53 / 1565.15 - 1, "2009-03-09"),
        (("2000", "2004"), 776.76 / 1527.46 - 1, "2002-10-09"),
        (("2019", "2020"), 2237.40 / 3386.15 - 1, "2020-03-23"),
    ],
)
def test_the_great_drawdowns_of_the_index(index, years, depth, day):
    returns = index[slice(*years)]
    assert measures.max_drawdown(returns) == pytest.approx(depth, abs=5e-5)
    assert str(returns.index[measures.drawdowns(returns).argmin()].date()) == day


def test_sharpe_of_a_worked_example():
    # Twelve months with mean 1 % and, by n - 1, standard deviation 2 %: 0.5 a month, the root of 12 times that a year.
    spread = 0.02 * math.sqrt(11 / 12)
    returns = [0.01 + spread, 0.01 - spread] * 6
    assert statistics.stdev(returns) == pytest.approx(0.02)
    assert measures.sharpe(returns, 12) == pytest.approx(0.5 * math.sqrt(12))
    assert measures.volatility(returns, 12) == pytest.approx(0.02 * math.sqrt(12))


def test_sortino_of_a_worked_example():
    # Mean 1 %; downside deviation from zero over all four: sqrt((0.02**2 + 0.04**2) / 4).
    returns = [0.05, -0.02, 0.05, -0.04]
    assert measures.sortino(returns, 12) == pytest.approx(0.01 / math.sqrt(0.0005) * math.sqrt(12))


def test_annual_return_doubles_in_three_years():
    monthly = 2 ** (1 / 36) - 1
    assert measures.annual_return([monthly] * 36, 12) == pytest.approx(2 ** (1 / 3) - 1)


def test_calmar_of_a_worked_example():
    # Up 50 %, down 20 %, up 50 %: 80 % in three years, and 20 % down at the worst.
    assert measures.calmar([0.5, -0.2, 0.5], 1) == pytest.approx((1.8 ** (1 / 3) - 1) / 0.2)


@pytest.mark.parametrize("seed", range(5))
def test_against_the_definitions_on_random_returns(seed):
    returns = np.random.default_rng(seed).standard_t(4, 400) * 0.01
    growth = math.exp(math.fsum(math.log1p(value) for value in returns))
    wealth = [1.0]
    for value in returns:
        wealth.append(wealth[-1] * (1 + value))
    depth = min(later / max(wealth[: place + 1]) - 1 for place, later in enumerate(wealth))
    annual = growth ** (252 / 400) - 1
    below = math.sqrt(math.fsum(min(value, 0) ** 2 for value in returns) / 400)
    mean = statistics.fmean(returns)
    expected = {
        "total_return": growth - 1,
        "annual_return": annual,
        "volatility": stats.tstd(returns) * math.sqrt(252),
        "sharpe": mean / stats.tstd(returns) * math.sqrt(252),
        "sortino": mean / below * math.sqrt(252),
        "max_drawdown": depth,
        "calmar": annual / -depth,
    }
    by_bar = {"total_return", "max_drawdown"}
    for name, value in expected.items():
        measure = getattr(measures, name)
        found = measure(returns) if name in by_bar else measure(returns, 252)
        assert found == pytest.approx(value, rel=1e-10), name


FUND = [0.04, -0.02, 0.03, 0.01, -0.01, 0.05]
MARKET = [0.03, -0.03, 0.02, 0.02, -0.02, 0.04]


def test_beta_and_alpha_of_a_worked_example():
    # Means 1/60 and 1/100; sums of products 0.0048 - 6 / 6000 = 0.0038 and of squares 0.0046 - 6 / 10000 = 0.004.
    assert measures.beta(FUND, MARKET) == pytest.approx(0.0038 / 0.0040)
    assert measures.alpha(FUND, MARKET, 12) == pytest.approx((1 / 60 - 0.95 / 100) * 12)


def test_tracking_error_and_information_ratio_of_a_worked_example():
    # Differences of 1, 1, 1, -1, 1 and 1 percent: mean 2/3, squared deviations 5 * (1/3)**2 + (5/3)**2 = 10/3.
    spread = math.sqrt(10 / 3 / 5) / 100
    assert measures.tracking_error(FUND, MARKET, 12) == pytest.approx(spread * math.sqrt(12))
    assert measures.information_ratio(FUND, MARKET, 12) == pytest.approx(2 / 300 / spread * math.sqrt(12))


@pytest.mark.parametrize("seed", range(5))
def test_measures_against_a_benchmark_are_those_of_scipy(seed):
    random = np.random.default_rng(seed)
    market = random.standard_t(4, 400) * 0.01
    fund = 0.0002 + 0.7 * market + random.normal(0, 0.005, 400)
    line = stats.linregress(market, fund)
    assert measures.beta(fund, market) == pytest.approx(line.slope, rel=1e-10)
    assert measures.alpha(fund, market, 252) == pytest.approx(line.intercept * 252, rel=1e-8)
    assert measures.correlation(fund, market) == pytest.approx(line.rvalue, rel=1e-10)
    assert measures.tracking_error(fund, market, 252) == pytest.approx(stats.tstd(fund - market) * math.sqrt(252))
    # The information ratio is the one-sample t statistic, but for the root of the number of years.
    t = stats.ttest_rel(fund, market).statistic
    assert measures.information_ratio(fund, market, 252) == pytest.approx(t / math.sqrt(400 / 252), rel=1e-10)
