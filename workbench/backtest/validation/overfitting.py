"""How much of a best result is luck: the probabilistic and the deflated Sharpe ratio.

Sharpe ratios here are *per bar*, not scaled to a year; kurtosis is *raw* (3 for a normal distribution); a risk-free
rate is not subtracted.

Sources: D. H. Bailey and M. Lopez de Prado, "The Sharpe Ratio Efficient Frontier", J. of Risk 15 (2012); the same, "The
Deflated Sharpe Ratio", J. Portfolio Management 40 (2014).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from workbench.backtest.validation.scores import finite
from workbench.core.errors import ParameterError
from workbench.risk.measures import sharpe


def probabilistic_sharpe_ratio(sharpe: float, benchmark: float, n: float, skew: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio exceeds a benchmark (Bailey and Lopez de Prado 2012, eq. 11).

    Parameters
    ----------
    sharpe, benchmark : float
        The observed ratio and the one to beat, both per bar.
    n : float
        Number of returns.
    skew, kurtosis : float
        Of the returns; raw kurtosis.

    Returns
    -------
    float
        Between 0 and 1; NaN where ``sharpe`` is NaN or there are fewer than two returns.

    Raises
    ------
    ParameterError
        For moments that no distribution has, such as an excess kurtosis in place of the raw one.
    """
    if math.isnan(sharpe) or n < 2:
        return math.nan
    spread = math.sqrt(_variance_of_sharpe(sharpe, skew, kurtosis))
    gap = (sharpe - benchmark) * math.sqrt(n - 1)
    if spread == 0:
        return 0.5 if gap == 0 else float(gap > 0)
    return _normal_cdf(gap / spread)


def minimum_track_record_length(
    sharpe: float, benchmark: float, skew: float, kurtosis: float, confidence: float = 0.95
) -> float:
    """Return how many returns prove a Sharpe ratio above a benchmark (Bailey and Lopez de Prado 2012, eq. 13).

    Parameters
    ----------
    sharpe, benchmark : float
        Per bar.
    skew, kurtosis : float
        Of the returns; raw kurtosis.
    confidence : float
        The probability asked for, above 0.5 and below 1.

    Returns
    -------
    float
        Number of returns, not rounded; infinite where ``sharpe`` is not above ``benchmark``, NaN where it is NaN.

    Raises
    ------
    ParameterError
    """
    if not 0.5 < confidence < 1:
        raise ParameterError(f"confidence={confidence!r} is out of range; give a probability above 0.5, such as 0.95")
    if math.isnan(sharpe):
        return math.nan
    variance = _variance_of_sharpe(sharpe, skew, kurtosis)
    if sharpe <= benchmark:
        return math.inf
    return 1 + variance * (_normal_quantile(confidence) / (sharpe - benchmark)) ** 2


def expected_maximum_sharpe(n_trials: int, variance: float) -> float:
    """Return the Sharpe ratio to expect of the best of many worthless trials (Bailey and Lopez de Prado 2014, eq. 1).

    Parameters
    ----------
    n_trials : int
        Number of independent trials; counting dependent ones as independent errs on the safe side.
    variance : float
        Variance of the trials' Sharpe ratios.

    Returns
    -------
    float
        In the unit of the trials' ratios; zero for one trial, whose variance is not looked at.

    Raises
    ------
    ParameterError
        For fewer trials than one, or a variance that is negative or not finite.
    """
    if not n_trials >= 1 or math.isinf(n_trials):
        raise ParameterError(f"n_trials={n_trials!r} is out of range; give the number of trials, at least 1")
    if n_trials == 1:
        return 0.0
    if not 0 <= variance < math.inf:
        raise ParameterError(f"variance={variance!r} of the trials' Sharpe ratios is out of range; give zero or more")
    usual, rare = _normal_quantile(1 - 1 / n_trials), _normal_quantile(1 - 1 / (n_trials * math.e))
    return math.sqrt(variance) * ((1 - np.euler_gamma) * usual + np.euler_gamma * rare)


def deflated_sharpe_ratio(returns: ArrayLike, n_trials: int, variance: float) -> float:
    """Return the probability that the best of many trials has a true Sharpe ratio above zero, for all its luck.

    The probabilistic Sharpe ratio against the maximum to expect of ``n_trials`` worthless trials (Bailey and Lopez de
    Prado 2014, eq. 2). With one trial, or with trials that do not differ (``variance`` 0), that maximum is zero.

    Parameters
    ----------
    returns : array-like
        Simple returns per bar of the best trial, shape (n_bars,); NaN at the head are dropped and not counted.
    n_trials : int
    variance : float
        Variance of the *per-bar* Sharpe ratios across the trials.

    Returns
    -------
    float
        Between 0 and 1; NaN for fewer than two returns and for constant ones, which have no Sharpe ratio.

    Raises
    ------
    InputError
        For NaN or infinite returns after the first one.
    ParameterError
        For a number of trials or a variance out of range.
    """
    highest = expected_maximum_sharpe(n_trials, variance)
    values = finite(returns)
    ratio = sharpe(values, 1.0)
    if math.isnan(ratio):
        return math.nan
    return probabilistic_sharpe_ratio(ratio, highest, len(values), *skew_and_kurtosis(values))


def skew_and_kurtosis(returns: ArrayLike) -> tuple[float, float]:
    """Return the third and the fourth standardised moment, raw, dividing by n; NaN for constant returns."""
    values = np.asarray(returns, dtype="float64")
    away = values - values.mean()
    spread = math.sqrt(float(np.mean(away**2)))
    if spread == 0:
        return math.nan, math.nan
    return float(np.mean((away / spread) ** 3)), float(np.mean((away / spread) ** 4))


def _variance_of_sharpe(sharpe: float, skew: float, kurtosis: float) -> float:
    # No distribution has a raw kurtosis below 1 + skew², and the variance is never negative above that.
    if not kurtosis >= (1 + skew**2) * (1 - 1e-9):
        raise ParameterError(
            f"kurtosis={kurtosis:g} is below 1 + skew² = {1 + skew**2:g}; give the raw kurtosis, 3 for a normal one"
        )
    return max(0.0, 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2)


def _normal_cdf(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2))


def _normal_quantile(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))
