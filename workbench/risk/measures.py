"""Measures of a series of simple returns, decimal, per bar.

Conventions: the risk-free rate is zero; standard deviations divide by ``n - 1``; a year has ``periods`` bars. A
drawdown is the return from the running peak, so it is zero or negative. A measure that its inputs do not define (a
ratio with nothing below the line) is NaN.

Sources: W. F. Sharpe, "The Sharpe Ratio", J. Portfolio Management 21 (1994); F. A. Sortino and R. van der Meer,
"Downside Risk", J. Portfolio Management 17 (1991); T. W. Young, "Calmar Ratio: A Smoother Tool", Futures (1991);
W. F. Sharpe, "Capital Asset Prices", J. Finance 19 (1964); M. C. Jensen, "The Performance of Mutual Funds in the Period
1945-1964", J. Finance 23 (1968); T. H. Goodwin, "The Information Ratio", Financial Analysts Journal 54 (1998).

Measures against a benchmark take its returns over the same bars; NaN in either makes them NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.core.errors import InputError

NOISE = 1e-12
"""A deviation below this, or below this share of the mean, is rounding, and so is a drawdown below this.

A return is ``value / before - 1``: what rounding leaves of it is a share of one, however small the mean.
"""


def total_return(returns: ArrayLike) -> float:
    """Return the compounded return, decimal, of ``returns`` of shape (n,)."""
    return float(np.prod(1 + _array(returns)) - 1)


def annual_return(returns: ArrayLike, periods: float) -> float:
    """Return the compounded return a year: ``(1 + total) ** (periods / n) - 1``; NaN for no returns, -1 for ruin."""
    values = _array(returns)
    growth = 1 + total_return(values)
    if not len(values):
        return np.nan
    return float(max(growth, 0.0) ** (periods / len(values)) - 1)


def volatility(returns: ArrayLike, periods: float) -> float:
    """Return the standard deviation of returns, scaled to a year."""
    values = _array(returns)
    return float(np.std(values, ddof=1) * np.sqrt(periods)) if len(values) > 1 else np.nan


def sharpe(returns: ArrayLike, periods: float) -> float:
    """Return mean over standard deviation, scaled to a year (Sharpe 1994, equation 3, with no risk-free rate)."""
    values = _array(returns)
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    mean = float(np.mean(values)) if len(values) else 0.0
    # Equal returns leave a spread of rounding errors.
    return float(mean / spread * np.sqrt(periods)) if spread > NOISE * max(1.0, abs(mean)) else np.nan


def sortino(returns: ArrayLike, periods: float) -> float:
    """Return mean over downside deviation from zero, scaled to a year (Sortino and van der Meer 1991)."""
    values = _array(returns)
    downside = np.sqrt(np.mean(np.minimum(values, 0) ** 2)) if len(values) else 0.0
    mean = float(np.mean(values)) if len(values) else 0.0
    return float(mean / downside * np.sqrt(periods)) if downside > NOISE * max(1.0, abs(mean)) else np.nan


def drawdowns(returns: ArrayLike) -> NDArray[np.float64]:
    """Return the return from the running peak after each bar, shape (n,), zero or negative.

    The start, before the first return, counts as a peak.
    """
    wealth = np.concatenate([[1.0], np.cumprod(1 + _array(returns))])
    return (wealth / np.maximum.accumulate(wealth) - 1)[1:]


def max_drawdown(returns: ArrayLike) -> float:
    """Return the deepest drawdown, zero or negative."""
    depths = drawdowns(returns)
    return float(depths.min()) if len(depths) else np.nan


def calmar(returns: ArrayLike, periods: float) -> float:
    """Return annual return over the size of the deepest drawdown (Young 1991), here over the whole period."""
    depth = max_drawdown(returns)
    return annual_return(returns, periods) / -depth if -depth > NOISE else np.nan


def beta(returns: ArrayLike, benchmark: ArrayLike) -> float:
    """Return the covariance with the benchmark over the benchmark's variance (Sharpe 1964, footnote 22).

    The slope of the least-squares line of ``returns`` on ``benchmark``, each of shape (n,). NaN where the benchmark
    does not vary.
    """
    mine, other = _pair(returns, benchmark)
    if not _varies(other):
        return np.nan
    covariance = np.cov(mine, other, ddof=1)
    return float(covariance[0, 1] / covariance[1, 1])


def alpha(returns: ArrayLike, benchmark: ArrayLike, periods: float) -> float:
    """Return the mean return that ``beta`` does not explain, times ``periods`` (Jensen 1968, equation 8)."""
    mine, other = _pair(returns, benchmark)
    slope = beta(mine, other)
    return float((np.mean(mine) - slope * np.mean(other)) * periods) if len(mine) else np.nan


def correlation(returns: ArrayLike, benchmark: ArrayLike) -> float:
    """Return Pearson's correlation with the benchmark, -1 to 1; NaN where either does not vary."""
    mine, other = _pair(returns, benchmark)
    if not (_varies(mine) and _varies(other)):
        return np.nan
    return float(np.clip(np.corrcoef(mine, other)[0, 1], -1.0, 1.0))


def tracking_error(returns: ArrayLike, benchmark: ArrayLike, periods: float) -> float:
    """Return the standard deviation of the returns over the benchmark's, scaled to a year (Goodwin 1998)."""
    mine, other = _pair(returns, benchmark)
    return volatility(mine - other, periods)


def information_ratio(returns: ArrayLike, benchmark: ArrayLike, periods: float) -> float:
    """Return mean over standard deviation of the returns over the benchmark's, scaled to a year (Goodwin 1998).

    It is the Sharpe ratio against the benchmark (Sharpe 1994, equation 6).
    """
    mine, other = _pair(returns, benchmark)
    return sharpe(mine - other, periods)


def _pair(returns: ArrayLike, benchmark: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mine, other = _array(returns), _array(benchmark)
    if mine.shape != other.shape:
        raise InputError(f"{mine.size} returns have no benchmark of {other.size}; give both over the same bars")
    return mine, other


def _varies(values: NDArray[np.float64]) -> bool:
    """Say whether there is more than rounding between values; NaN is passed on as varying."""
    return len(values) > 1 and not np.std(values, ddof=1) <= NOISE * max(1.0, abs(float(np.mean(values))))


def _array(returns: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(returns, dtype="float64")
