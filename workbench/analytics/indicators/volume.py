"""The volume-weighted average price."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from workbench.analytics.indicators.panel import Panel, lay_out
from workbench.analytics.indicators.rolling import check_window, windows
from workbench.core.calendar import WITHIN_SESSION, exchange_calendar

DAILY_WINDOW = 20


def vwap(bars: xr.Dataset, window: int | None = None) -> xr.DataArray:
    """Return the volume-weighted average of the typical price ``(high + low + close) / 3``.

    For bars within a session it begins anew with each session of the bars' calendar, as traders' benchmarks do (S. A.
    Berkowitz, D. E. Logue and E. A. Noser, Journal of Finance 43 (1988), with bars for trades). Daily bars have no
    session to begin with: there, and wherever ``window`` is given, it goes over the last ``window`` bars. TA-Lib's own
    ``VWAP`` (``compute("VWAP", bars)``) adds up from a symbol's first bar on, so that it depends on where that is.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols). A bar after a session's close belongs to the next one.
    window : int, optional
        Number of bars, at least 1; by default the session for bars within one, else 20.

    Returns
    -------
    xarray.DataArray
        Shape (n_bars, n_symbols), in the bars' currency; NaN until the window is full, and while nothing was traded.

    Raises
    ------
    InputError
        If the dataset has no highs, lows or volumes.
    ParameterError
        If the window cannot be.
    UnknownNameError
        If the bars' calendar is not known.
    """
    fields: list[str | xr.DataArray] = ["high", "low", "close", "volume"]
    if window is None and bars.attrs["interval"] in WITHIN_SESSION:
        fields.append(_sessions(bars))
        return lay_out(Panel(bars), fields, ["vwap"], _within_sessions, "vwap")["vwap"]
    length = DAILY_WINDOW if window is None else window
    check_window("vwap", "window", length, at_least=1)

    def rolling(high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray) -> np.ndarray:
        paid = windows((high + low + close) / 3 * volume, length).sum(axis=1)
        return _ratio(paid, windows(volume, length).sum(axis=1))

    return lay_out(Panel(bars), fields, ["vwap"], rolling, "vwap")["vwap"]


def _sessions(bars: xr.Dataset) -> xr.DataArray:
    """Return the number of the session that each bar belongs to: the first that closes at its time or after it."""
    closes = pd.DatetimeIndex(exchange_calendar(bars.attrs["calendar"]).closes).tz_localize(None)
    times = pd.DatetimeIndex(bars.indexes["time"]).as_unit(closes.unit)
    return xr.DataArray(closes.searchsorted(times).astype("float64"), {"time": bars["time"]}, ["time"])


def _within_sessions(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray, session: np.ndarray
) -> np.ndarray:
    starts = np.flatnonzero(np.diff(session, prepend=-1.0))
    traded, typical = np.empty(len(volume)), (high + low + close) / 3
    paid = np.empty(len(volume))
    # Each session is added up on its own, so that no rounding is carried from one to the next.
    for first, last in zip(starts, [*starts[1:], len(session)], strict=True):
        traded[first:last] = np.cumsum(volume[first:last])
        paid[first:last] = np.cumsum(typical[first:last] * volume[first:last])
    return _ratio(paid, traded)


def _ratio(paid: np.ndarray, traded: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(paid, traded, out=np.full(len(paid), np.nan), where=traded > 0))
