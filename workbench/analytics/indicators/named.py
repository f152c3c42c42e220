"""The common indicators of TA-Lib, with the field's usual arguments.

Formulas are TA-Lib's (https://ta-lib.org/functions); EMA, RSI and ATR start from a simple mean of their first window,
as in J. W. Wilder, "New Concepts in Technical Trading Systems" (1978), for RSI and ATR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from workbench.analytics.indicators.panel import Panel, lay_out
from workbench.analytics.indicators.planning import number
from workbench.analytics.indicators.reference import describe, function_of


def sma(bars: xr.Dataset, window: int = 20, field: str = "close") -> xr.DataArray:
    """Return the simple moving average.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    window : int
        Number of bars.
    field : str
        The field to average.

    Returns
    -------
    xarray.DataArray
        Shape (n_bars, n_symbols), in the unit of the field.

    Raises
    ------
    InputError
        If the dataset lacks the field.
    ParameterError
        If the window cannot be.
    """
    return reference("sma", bars, "SMA", [field], ["sma"], window=window)["sma"]


def ema(bars: xr.Dataset, window: int = 20, field: str = "close") -> xr.DataArray:
    """Return the exponential moving average with weight ``2 / (window + 1)``; see ``sma`` for shapes."""
    return reference("ema", bars, "EMA", [field], ["ema"], window=window)["ema"]


def stddev(bars: xr.Dataset, window: int = 20, field: str = "close") -> xr.DataArray:
    """Return the population standard deviation over a window; see ``sma`` for shapes."""
    return reference("stddev", bars, "STDDEV", [field], ["stddev"], window=window)["stddev"]


def rsi(bars: xr.Dataset, window: int = 14, field: str = "close") -> xr.DataArray:
    """Return Wilder's relative strength index, 0 to 100; see ``sma`` for shapes."""
    return reference("rsi", bars, "RSI", [field], ["rsi"], window=window)["rsi"]


def macd(bars: xr.Dataset, fast: int = 12, slow: int = 26, signal: int = 9, field: str = "close") -> xr.Dataset:
    """Return the moving average convergence/divergence.

    Returns
    -------
    xarray.Dataset
        ``macd`` (EMA of ``fast`` less EMA of ``slow`` bars), ``signal`` (its EMA) and ``histogram`` (their
        difference), each of shape (n_bars, n_symbols), in the unit of the field.
    """
    return reference(
        "macd", bars, "MACD", [field], ["macd", "signal", "histogram"], fast=fast, slow=slow, signal=signal
    )


def bollinger(bars: xr.Dataset, window: int = 20, width: float = 2.0, field: str = "close") -> xr.Dataset:
    """Return Bollinger bands: a simple mean and ``width`` population standard deviations around it.

    Returns
    -------
    xarray.Dataset
        ``upper``, ``middle`` and ``lower``, each of shape (n_bars, n_symbols), in the unit of the field.
    """
    return reference(
        "bollinger", bars, "BBANDS", [field], ["upper", "middle", "lower"], window=window, above=width, below=width
    )


def atr(bars: xr.Dataset, window: int = 14) -> xr.DataArray:
    """Return Wilder's average true range, in the bars' currency; see ``sma`` for shapes.

    Raises
    ------
    InputError
        If the dataset has no highs and lows.
    """
    return reference("atr", bars, "ATR", ["high", "low", "close"], ["atr"], window=window)["atr"]


def reference(
    purpose: str, bars: xr.Dataset, name: str, fields: Sequence[str], outputs: Sequence[str], **given: float
) -> xr.Dataset:
    """Run one of TA-Lib's functions with its first parameters given in order, and name what it gives.

    ``purpose`` is the indicator's name here, for errors.

    Raises
    ------
    InputError
        If the dataset lacks a field.
    ParameterError
        If a parameter is of another type or out of its range.
    """
    declared = (replace(one, name=key) for one, key in zip(describe(name).parameters, given, strict=False))
    numbers = [number(purpose, one, given[one.name]) for one in declared]
    function = function_of(name)

    def apply(*series: np.ndarray) -> Any:
        return function(*series, *numbers)

    return lay_out(Panel(bars), fields, outputs, apply, purpose)
