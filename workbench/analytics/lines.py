"""Lines: what a rule made of crosses looks at, each told by a name and numbers, such as ``("sma", 20)``.

A rule told in lines alone can be computed once for many parameters, and compiled. Every line is computed on each
symbol's own bars, uses bars up to and including its own, and is NaN where the symbol has no bar or not enough of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from workbench.analytics import indicators
from workbench.analytics.signals import crossed_above
from workbench.core.errors import UnknownNameError

Line = tuple[str, *tuple[float, ...]]
"""A line by its name and parameters; the names are those of ``LINES``."""


def highest(bars: xr.Dataset, window: float) -> xr.DataArray:
    """Return the highest high of the ``window`` bars before a bar, its own left out; shape (n_bars, n_symbols).

    It is the upper band of ``donchian`` on the own bar before. A bar without a high or a low counts for nothing there:
    the channel stays as it was.

    Raises
    ------
    InputError, ParameterError
        As ``donchian``.
    """
    return _band_before(bars, window, "upper")


def lowest(bars: xr.Dataset, window: float) -> xr.DataArray:
    """Return the lowest low of the ``window`` bars before a bar, its own left out; see ``highest``."""
    return _band_before(bars, window, "lower")


def _band_before(bars: xr.Dataset, window: float, band: str) -> xr.DataArray:
    values = indicators.donchian(bars, int(window))[band]
    return on_own_bars(values, bars["close"].notnull(), lambda own: own.ffill().shift(1))


def past_return(bars: xr.Dataset, lookback: float, skip: float = 0) -> xr.DataArray:
    """Return the simple return over the ``lookback`` bars that ended ``skip`` bars ago, as a decimal.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    lookback, skip : int
        Own bars of the symbol.

    Returns
    -------
    xarray.DataArray
        ``close[t - skip] / close[t - skip - lookback] - 1``, shape (n_bars, n_symbols).
    """
    back, gap = int(lookback), int(skip)
    return on_own_bars(
        bars["close"], bars["close"].notnull(), lambda close: close.shift(gap) / close.shift(gap + back) - 1
    )


def momentum(bars: xr.Dataset, lookback: float, skip: float = 0) -> xr.DataArray:
    """Return ``past_return``, and 0 on a symbol's first bars, of which no such return is known.

    A cross needs a bar before it: starting from 0, the first return that is known says which side of 0 it is on.
    """
    found = past_return(bars, lookback, skip)
    return found.where(found.notnull() | ~bars["close"].notnull(), 0.0)


def on_own_bars(
    values: xr.DataArray, here: xr.DataArray, compute: Callable[[pd.DataFrame], pd.DataFrame]
) -> xr.DataArray:
    """Apply ``compute`` to values with each symbol's own bars pushed together, all symbols at once.

    Parameters
    ----------
    values : xarray.DataArray
        Shape (n_bars, n_symbols).
    here : xarray.DataArray of bool
        Where a symbol has a bar.
    compute : callable
        Takes and returns a frame of shape (n_bars, n_symbols); row ``i`` is each symbol's own bar ``i``, NaN after its
        last one.

    Returns
    -------
    xarray.DataArray
        Shape (n_bars, n_symbols), NaN where a symbol has no bar.
    """
    own = here.to_numpy()
    # A stable sort of "has no bar" brings a symbol's bars to the front, in their order.
    order = np.argsort(~own, axis=0, kind="stable")
    packed = np.take_along_axis(np.where(own, values.to_numpy(), np.nan), order, axis=0)
    found = np.empty_like(packed)
    np.put_along_axis(found, order, compute(pd.DataFrame(packed)).to_numpy(), axis=0)
    return xr.DataArray(np.where(own, found, np.nan), coords=here.coords, dims=here.dims)


def scaled(values: xr.DataArray, unit: xr.DataArray) -> xr.DataArray:
    """Return values in a unit such as a standard deviation: 0 where the unit is 0, NaN where one is not known."""
    return (values / unit.where(unit != 0)).where((unit != 0) | ~values.notnull(), 0.0)


LINES: dict[str, Callable[..., xr.DataArray]] = {
    "close": lambda bars: bars["close"],
    "level": lambda bars, value: xr.full_like(bars["close"], value),
    "sma": indicators.sma,
    "ema": indicators.ema,
    "rsi": indicators.rsi,
    "macd": lambda bars, fast, slow, signal: indicators.macd(bars, fast, slow, signal)["macd"],
    "macd_signal": lambda bars, fast, slow, signal: indicators.macd(bars, fast, slow, signal)["signal"],
    "upper_band": lambda bars, window, width: indicators.bollinger(bars, window, width)["upper"],
    "middle_band": lambda bars, window, width: indicators.bollinger(bars, window, width)["middle"],
    "lower_band": lambda bars, window, width: indicators.bollinger(bars, window, width)["lower"],
    "highest": highest,
    "lowest": lowest,
    "momentum": momentum,
}


def line(bars: xr.Dataset, spec: Line) -> xr.DataArray:
    """Compute a line, shape (n_bars, n_symbols).

    Raises
    ------
    UnknownNameError
        If no line has this name.
    """
    name, *parameters = spec
    if name not in LINES:
        raise UnknownNameError("line", str(name), LINES)
    return LINES[name](bars, *parameters)


def crossings(bars: xr.Dataset, specs: Sequence[Line]) -> tuple[xr.DataArray, xr.DataArray, dict[Line, xr.DataArray]]:
    """Return where the first line crosses above the second, where the third crosses above the fourth, and the lines.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    specs : sequence of Line
        Four of them; each is computed once.

    Returns
    -------
    entry, leave : xarray.DataArray of bool
        Shape (n_bars, n_symbols).
    lines : dict
    """
    lines = {spec: line(bars, spec) for spec in dict.fromkeys(specs)}
    a, b, c, d = (lines[spec] for spec in specs)
    return crossed_above(a, b), crossed_above(c, d), lines
