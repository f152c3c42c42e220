"""Measures of a series of simple returns, decimal, per bar.

Conventions: the risk-free rate is zero; standard deviations divide by ``n - 1``; a year has ``periods`` bars. A
drawdown is the return from the running peak, so it is zero or negative. A measure that its inputs do not define (a
ratio with nothing below the line) is NaN.

Sources: W. F. Sharpe, "The Sharpe Ratio", J. Portfolio Management 21 (1994); F. A. Sortino and R. van der Meer,
"Downside Risk", J. Portfolio Management 17 (1991); T. W. Young, "Calmar Ratio: A Smoother Tool", Futures (1991).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NOISE = 1e-12
"""A standard deviation below this share of the mean is rounding."""


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
    return float(mean / spread * np.sqrt(periods)) if spread > NOISE * abs(mean) else np.nan


def sortino(returns: ArrayLike, periods: float) -> float:
    """Return mean over downside deviation from zero, scaled to a year (Sortino and van der Meer 1991)."""
    values = _array(returns)
    downside = np.sqrt(np.mean(np.minimum(values, 0) ** 2)) if len(values) else 0.0
    return float(np.mean(values) / downside * np.sqrt(periods)) if downside > 0 else np.nan


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
    return annual_return(returns, periods) / -depth if depth < 0 else np.nan


def _array(returns: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(returns, dtype="float64")
