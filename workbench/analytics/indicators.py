"""Technical indicators through TA-Lib, on Bars, for all symbols at once.

Each symbol is computed on its own bars, so that a symbol that starts late or misses a session is not disturbed by the
others. A value is NaN until the indicator has seen enough bars, and where the symbol has no bar. Every value uses bars
up to and including its own.

Formulas are TA-Lib's (https://ta-lib.org/functions); EMA, RSI and ATR start from a simple mean of their first window,
as in J. W. Wilder, "New Concepts in Technical Trading Systems" (1978), for RSI and ATR.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import talib
import xarray as xr

from workbench.core.errors import ParameterError
from workbench.core.frames import require_fields

Arrays = np.ndarray | tuple[np.ndarray, ...]


def sma(bars: xr.Dataset, window: int = 20, field: str = "close") -> xr.DataArray:
    """Return the simple moving average.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    window : int
        Number of bars, at least 2.
    field : str
        The field to average.

    Returns
    -------
    xarray.DataArray
        Shape (n_bars, n_symbols), in the unit of the field.
    """
    return _apply(bars, [field], ["sma"], lambda values: talib.SMA(values, window), window=window)["sma"]


def ema(bars: xr.Dataset, window: int = 20, field: str = "close") -> xr.DataArray:
    """Return the exponential moving average with weight ``2 / (window + 1)``; see ``sma`` for shapes."""
    return _apply(bars, [field], ["ema"], lambda values: talib.EMA(values, window), window=window)["ema"]


def stddev(bars: xr.Dataset, window: int = 20, field: str = "close") -> xr.DataArray:
    """Return the population standard deviation over a window; see ``sma`` for shapes."""
    return _apply(bars, [field], ["stddev"], lambda values: talib.STDDEV(values, window), window=window)["stddev"]


def rsi(bars: xr.Dataset, window: int = 14, field: str = "close") -> xr.DataArray:
    """Return Wilder's relative strength index, 0 to 100; see ``sma`` for shapes."""
    return _apply(bars, [field], ["rsi"], lambda values: talib.RSI(values, window), window=window)["rsi"]


def macd(bars: xr.Dataset, fast: int = 12, slow: int = 26, signal: int = 9, field: str = "close") -> xr.Dataset:
    """Return the moving average convergence/divergence.

    Returns
    -------
    xarray.Dataset
        ``macd`` (EMA of ``fast`` less EMA of ``slow`` bars), ``signal`` (its EMA) and ``histogram`` (their
        difference), each of shape (n_bars, n_symbols), in the unit of the field.
    """
    names = ["macd", "signal", "histogram"]
    given = {"fast": fast, "slow": slow, "signal": signal}
    return _apply(bars, [field], names, lambda values: talib.MACD(values, fast, slow, signal), **given)


def bollinger(bars: xr.Dataset, window: int = 20, width: float = 2.0, field: str = "close") -> xr.Dataset:
    """Return Bollinger bands: a simple mean and ``width`` population standard deviations around it.

    Returns
    -------
    xarray.Dataset
        ``upper``, ``middle`` and ``lower``, each of shape (n_bars, n_symbols), in the unit of the field.
    """
    names = ["upper", "middle", "lower"]
    given = {"window": window, "width": width}
    return _apply(bars, [field], names, lambda values: talib.BBANDS(values, window, width, width), **given)


def atr(bars: xr.Dataset, window: int = 14) -> xr.DataArray:
    """Return Wilder's average true range, in the bars' currency; see ``sma`` for shapes.

    Raises
    ------
    InputError
        If the dataset has no highs and lows.
    """
    fields = ["high", "low", "close"]
    return _apply(bars, fields, ["atr"], lambda high, low, close: talib.ATR(high, low, close, window), window=window)[
        "atr"
    ]


def _apply(
    bars: xr.Dataset, fields: Sequence[str], names: Sequence[str], compute: Callable[..., Arrays], **given: float
) -> xr.Dataset:
    """Run ``compute`` on each symbol's own bars and lay its outputs out over ``(time, symbol)``.

    Raises
    ------
    InputError
        If the dataset lacks a field.
    ParameterError
        If TA-Lib refuses a parameter.
    """
    require_fields(bars, fields, names[0])
    has_bar = bars["close"].notnull().to_numpy()
    inputs = [bars[field].to_numpy() for field in fields]
    outputs = {name: np.full(has_bar.shape, np.nan) for name in names}
    for column in range(has_bar.shape[1]):
        own = has_bar[:, column]
        if not own.any():
            continue
        try:
            found = compute(*(np.ascontiguousarray(values[own, column]) for values in inputs))
        except Exception as error:
            # TA-Lib has no class of its own for this.
            said = ", ".join(f"{name}={value}" for name, value in given.items())
            raise ParameterError(
                f"{names[0]} cannot be computed with {said}; give windows of at least 2 bars"
            ) from error
        for name, values in zip(names, found if isinstance(found, tuple) else (found,), strict=True):
            outputs[name][own, column] = values
    variables = {name: (("time", "symbol"), values) for name, values in outputs.items()}
    return xr.Dataset(variables, coords={"time": bars["time"], "symbol": bars["symbol"]})
