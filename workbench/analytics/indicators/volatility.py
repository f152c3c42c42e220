"""Realised volatility from closes and from ranges."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import xarray as xr

from workbench.analytics.indicators.panel import Panel, lay_out
from workbench.analytics.indicators.rolling import check_window, windows
from workbench.core.calendar import periods_per_year as usual_periods
from workbench.core.errors import ParameterError, UnknownNameError
from workbench.core.market import PRICES

_Series = dict[str, np.ndarray]


def realised_volatility(
    bars: xr.Dataset, window: int = 20, estimator: str = "close_to_close", periods_per_year: float | None = None
) -> xr.DataArray:
    """Return the annualised volatility of log prices over a rolling window.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols), adjusted for splits: an unadjusted split is a jump.
    window : int
        Number of bars, at least 2.
    estimator : str
        One of ``ESTIMATORS``, with H, L, O, C the bar's prices and C' the close of the own bar before:

        - ``"close_to_close"``: sample standard deviation of ln(C/C'); closes are enough.
        - ``"parkinson"``: mean of ln(H/L)^2 / (4 ln 2); M. Parkinson, Journal of Business 53 (1980), 61-65.
        - ``"garman_klass"``: mean of 0.5 ln(H/L)^2 - (2 ln 2 - 1) ln(C/O)^2; M. B. Garman and M. J. Klass, ibid.,
          67-78: their estimator of the session, without the night's jump.
        - ``"rogers_satchell"``: mean of ln(H/C) ln(H/O) + ln(L/C) ln(L/O), for prices with a drift; L. C. G. Rogers
          and S. E. Satchell, Annals of Applied Probability 1 (1991), 504-512.
        - ``"yang_zhang"``: variance of ln(O/C') + k times that of ln(C/O) + (1 - k) times Rogers and Satchell's, with
          k = 0.34 / (1.34 + (window + 1) / (window - 1)), for prices with a drift and jumps overnight; D. Yang and
          Q. Zhang, Journal of Business 73 (2000), 477-491.

        Parkinson's, Garman's and Rogers' measure the session only: what happens overnight is not in them.
    periods_per_year : float, optional
        Bars in a year; by default those of the bars' interval and calendar.

    Returns
    -------
    xarray.DataArray
        Shape (n_bars, n_symbols), decimal per square root of a year (0.2 is 20 %), never below 0. NaN until the window
        is full (one bar more where C' is used), while it holds a price that is not above 0 and so has no logarithm, and
        where prices that contradict each other make a variance negative.

    Raises
    ------
    InputError
        If the dataset lacks prices that the estimator reads.
    ParameterError
        If the window or the number of periods cannot be.
    UnknownNameError
        For an unknown estimator.
    """
    check_window("realised_volatility", "window", window, at_least=2)
    if estimator not in _VARIANCES:
        raise UnknownNameError("estimator of volatility", estimator, _VARIANCES)
    if periods_per_year is None:
        periods_per_year = usual_periods(bars.attrs["interval"], bars.attrs["calendar"])
    if not 0 < periods_per_year < math.inf:
        raise ParameterError(f"periods_per_year={periods_per_year!r} is no number of bars; give 252 for daily bars")
    fields = ("close",) if estimator == "close_to_close" else PRICES

    def annualised(*series: np.ndarray) -> np.ndarray:
        logs = dict(zip(fields, (_log(values) for values in series), strict=True))
        variance = _VARIANCES[estimator](logs, window)
        return np.sqrt(np.where(variance >= 0, variance, np.nan) * periods_per_year)

    return lay_out(Panel(bars), fields, ["volatility"], annualised, "realised_volatility")["volatility"]


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.where(values > 0, values, np.nan))


def _before(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[np.nan], values[:-1]])


def _close_to_close(logs: _Series, window: int) -> np.ndarray:
    return _sample_variance(logs["close"] - _before(logs["close"]), window)


def _parkinson(logs: _Series, window: int) -> np.ndarray:
    return _mean((logs["high"] - logs["low"]) ** 2, window) / (4 * math.log(2))


def _garman_klass(logs: _Series, window: int) -> np.ndarray:
    reach, move = logs["high"] - logs["low"], logs["close"] - logs["open"]
    return _mean(reach**2 / 2 - (2 * math.log(2) - 1) * move**2, window)


def _rogers_satchell(logs: _Series, window: int) -> np.ndarray:
    above = (logs["high"] - logs["close"]) * (logs["high"] - logs["open"])
    below = (logs["low"] - logs["close"]) * (logs["low"] - logs["open"])
    return _mean(above + below, window)


def _yang_zhang(logs: _Series, window: int) -> np.ndarray:
    weight = 0.34 / (1.34 + (window + 1) / (window - 1))
    overnight = _sample_variance(logs["open"] - _before(logs["close"]), window)
    session = _sample_variance(logs["close"] - logs["open"], window)
    return overnight + weight * session + (1 - weight) * _rogers_satchell(logs, window)


def _mean(values: np.ndarray, window: int) -> np.ndarray:
    return np.asarray(windows(values, window).mean(axis=1))


def _sample_variance(values: np.ndarray, window: int) -> np.ndarray:
    return np.asarray(windows(values, window).var(axis=1, ddof=1))


_VARIANCES: dict[str, Callable[[_Series, int], np.ndarray]] = {
    "close_to_close": _close_to_close,
    "parkinson": _parkinson,
    "garman_klass": _garman_klass,
    "rogers_satchell": _rogers_satchell,
    "yang_zhang": _yang_zhang,
}

ESTIMATORS = tuple(_VARIANCES)
"""The names of the estimators of realised volatility."""
