"""Indicators by the name under which a chart or a dashboard offers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import xarray as xr

from workbench.analytics import indicators
from workbench.core.errors import UnknownNameError
from workbench.core.market import PRICES

Lines = dict[str, xr.DataArray]


def _bollinger(bars: xr.Dataset) -> Lines:
    bands = indicators.bollinger(bars)
    return {"Bollinger upper": bands["upper"], "Bollinger lower": bands["lower"]}


def _macd(bars: xr.Dataset) -> Lines:
    lines = indicators.macd(bars)
    return {"MACD": lines["macd"], "signal": lines["signal"]}


OVERLAYS: dict[str, Callable[[xr.Dataset], Lines]] = {
    "sma": lambda bars: {"SMA 20": indicators.sma(bars, 20), "SMA 100": indicators.sma(bars, 100)},
    "ema": lambda bars: {"EMA 20": indicators.ema(bars, 20)},
    "bollinger": _bollinger,
}
"""Studies in the price's unit, drawn over the candles."""

OSCILLATORS: dict[str, Callable[[xr.Dataset], Lines]] = {
    "rsi": lambda bars: {"RSI 14": indicators.rsi(bars)},
    "macd": _macd,
    "atr": lambda bars: {"ATR 14": indicators.atr(bars)},
}
"""Studies with a scale of their own, each drawn in a panel."""

STUDIES = (*OVERLAYS, *OSCILLATORS)


def study_lines(bars: xr.Dataset, names: Sequence[str]) -> tuple[Lines, dict[str, Lines]]:
    """Compute the named studies.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols). A study that needs highs and lows is left out where the dataset has none.
    names : sequence of str
        Out of ``STUDIES``.

    Returns
    -------
    overlays : dict
        Lines over the prices by label, each of shape (n_bars, n_symbols).
    oscillators : dict of dict
        For each oscillator, by its name in capitals, its lines by label.

    Raises
    ------
    UnknownNameError
        For a name that is no study.
    """
    overlays: Lines = {}
    oscillators: dict[str, Lines] = {}
    for name in names:
        if name not in STUDIES:
            raise UnknownNameError("indicator", name, STUDIES)
        if name == "atr" and not set(PRICES) <= set(bars.attrs["fields"]):
            continue
        if name in OVERLAYS:
            overlays |= OVERLAYS[name](bars)
        else:
            oscillators[name.upper()] = OSCILLATORS[name](bars)
    return overlays, oscillators
