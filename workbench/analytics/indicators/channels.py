"""Channels around the price: Donchian's and Keltner's."""

from __future__ import annotations

import xarray as xr

from workbench.analytics.indicators.named import reference

BANDS = ("upper", "middle", "lower")


def donchian(bars: xr.Dataset, window: int = 20) -> xr.Dataset:
    """Return Donchian's channel: the highest high and the lowest low of ``window`` bars, **the bar itself included**.

    A close can therefore never leave the channel of its own bar; a breakout is a close beyond the channel of the bar
    before: ``donchian(bars, window).shift(time=1)`` where every symbol has a bar at every time.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    window : int
        Number of bars, at least 2.

    Returns
    -------
    xarray.Dataset
        ``upper``, ``middle`` (their mean) and ``lower``, each of shape (n_bars, n_symbols), in the bars' currency;
        NaN for a symbol's first ``window - 1`` bars.

    Raises
    ------
    InputError
        If the dataset has no highs and lows.
    ParameterError
        If the window cannot be.
    """
    return reference("donchian", bars, "DONCHIAN", ["high", "low"], BANDS, window=window)


def keltner(bars: xr.Dataset, window: int = 20, atr_window: int = 10, width: float = 2.0) -> xr.Dataset:
    """Return Keltner's channel: an EMA of the typical price and ``width`` average true ranges around it.

    TA-Lib's ``KC``, after C. W. Keltner, "How to Make Money in Commodities" (1960), with L. B. Raschke's exponential
    average and true range. The typical price is ``(high + low + close) / 3``; some charts take the close instead.
    Both averages begin so that their first mean ends on the channel's first bar, the first at which both are full.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    window : int
        Bars of the average, at least 2.
    atr_window : int
        Bars of the average true range, at least 1.
    width : float
        Average true ranges from the middle to a band.

    Returns
    -------
    xarray.Dataset
        ``upper``, ``middle`` and ``lower``, each of shape (n_bars, n_symbols), in the bars' currency.

    Raises
    ------
    InputError
        If the dataset has no highs and lows.
    ParameterError
        If a window cannot be.
    """
    fields = ["high", "low", "close"]
    return reference("keltner", bars, "KC", fields, BANDS, window=window, atr_window=atr_window, width=width)
