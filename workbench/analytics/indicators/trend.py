"""Trend followers: SuperTrend and Ichimoku's lines."""

from __future__ import annotations

import numpy as np
import xarray as xr

from workbench.analytics.indicators.named import reference
from workbench.analytics.indicators.panel import Panel, lay_out
from workbench.analytics.indicators.rolling import check_window, windows
from workbench.core.market import PRICES

ICHIMOKU = ("conversion", "base", "leading_a", "leading_b", "cloud_a", "cloud_b", "past_close")


def supertrend(bars: xr.Dataset, window: int = 10, width: float = 3.0) -> xr.Dataset:
    """Return O. Seban's SuperTrend: a stop ``width`` average true ranges from the middle of the bar that only tightens.

    The lower band follows the price up as long as the close stays above it, the upper band down as long as it stays
    below; the trend turns at a close beyond its band (TA-Lib's ``SUPERTREND``, which begins upwards).

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    window : int
        Bars of the average true range, at least 1.
    width : float
        Average true ranges from the middle of a bar to a band, at least 0.

    Returns
    -------
    xarray.Dataset
        ``supertrend`` (the band in force, in the bars' currency) and ``trend`` (1 up, -1 down), each of shape
        (n_bars, n_symbols), NaN for a symbol's first ``window`` bars.

    Raises
    ------
    InputError
        If the dataset has no highs and lows.
    ParameterError
        If the window or the width cannot be.
    """
    found = reference(
        "supertrend", bars, "SUPERTREND", ["high", "low", "close"], ["supertrend", "trend"], window=window, width=width
    )
    # The trend is of whole numbers, which cannot say that they are not known yet.
    return found.assign(trend=found["trend"].where(found["supertrend"].notnull()))


def ichimoku(
    bars: xr.Dataset, conversion: int = 9, base: int = 26, leading: int = 52, displacement: int = 26
) -> xr.Dataset:
    """Return the lines of Ichimoku Kinko Hyo, each at the bar at which it is known.

    After G. Hosoda's definition: a line is the middle between the highest high and the lowest low of its window. A
    chart draws the leading spans ``displacement`` bars to the right and the close as many to the left (the lagging
    span). Nothing is drawn from the future here: the cloud over a bar is what the spans were ``displacement`` own bars
    before, and instead of the lagging span, which would be a later close, a bar has the past close that today's is
    compared with.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    conversion, base, leading : int
        Bars of the conversion line (tenkan-sen), the base line (kijun-sen) and the leading span B, at least 1.
    displacement : int
        Bars between the price and the cloud drawn over it, at least 1.

    Returns
    -------
    xarray.Dataset
        Each of shape (n_bars, n_symbols), in the bars' currency, NaN until known: ``conversion``, ``base``,
        ``leading_a`` (their mean) and ``leading_b`` as known at the bar, to be drawn ``displacement`` bars later;
        ``cloud_a`` and ``cloud_b``, the cloud that a chart shows at the bar; ``past_close``, the close
        ``displacement`` own bars ago.

    Raises
    ------
    InputError
        If the dataset has no highs and lows.
    ParameterError
        If a window cannot be.
    """
    given = {"conversion": conversion, "base": base, "leading": leading, "displacement": displacement}
    for name, value in given.items():
        check_window("ichimoku", name, value, at_least=1)

    def lines(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> tuple[np.ndarray, ...]:
        def middle(window: int) -> np.ndarray:
            return np.asarray(windows(high, window).max(axis=1) + windows(low, window).min(axis=1)) / 2

        turning, standard, span_b = middle(conversion), middle(base), middle(leading)
        span_a = (turning + standard) / 2
        drawn = (_ago(values, displacement) for values in (span_a, span_b, close))
        return turning, standard, span_a, span_b, *drawn

    return lay_out(Panel(bars), PRICES[1:], ICHIMOKU, lines, "ichimoku")


def _ago(values: np.ndarray, bars: int) -> np.ndarray:
    return np.concatenate([np.full(min(bars, len(values)), np.nan), values[:-bars]])
