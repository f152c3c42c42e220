"""Heikin-Ashi: averaged candles."""

from __future__ import annotations

import xarray as xr

from workbench.analytics.indicators.named import reference
from workbench.core.market import PRICES


def heikin_ashi(bars: xr.Dataset) -> xr.Dataset:
    """Return Heikin-Ashi candles: not prices at which anything was traded, so no fills on them.

    After D. Valcu, "Using the Heikin-Ashi Technique", Technical Analysis of Stocks & Commodities 22:2 (2004): the close
    is the mean of the bar's four prices; the open the mean of the averaged open and close before; the high and the low
    reach as far as the bar's own and both of these. The first open is the mean of the bar's open and close, as in
    TA-Lib's ``HA`` (Valcu takes the open; the difference halves with each bar).

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).

    Returns
    -------
    xarray.Dataset
        ``open``, ``high``, ``low`` and ``close``, each of shape (n_bars, n_symbols), in the bars' currency, from a
        symbol's first bar on.

    Raises
    ------
    InputError
        If the dataset has no opens, highs or lows.
    """
    return reference("heikin_ashi", bars, "HA", PRICES, PRICES)
