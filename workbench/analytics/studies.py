"""Indicators by the name under which a chart or a dashboard offers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import xarray as xr

from workbench.analytics import indicators
from workbench.core.errors import UnknownNameError
from workbench.core.market import FIELDS, PRICES

Lines = dict[str, xr.DataArray]

CLOSES = ("close",)
RANGES = PRICES[1:]
TRADED = FIELDS[1:]


@dataclass(frozen=True)
class Study:
    """Lines to be drawn.

    Attributes
    ----------
    lines : callable
        Takes Bars and gives the lines by label, each of shape (n_bars, n_symbols).
    reads : tuple of str
        The fields without which there is nothing to draw.
    """

    lines: Callable[[xr.Dataset], Lines]
    reads: tuple[str, ...] = CLOSES


def _labelled(compute: Callable[[xr.Dataset], xr.Dataset], **labels: str) -> Callable[[xr.Dataset], Lines]:
    """Return a function that gives the variables of a dataset by their labels."""

    def lines(bars: xr.Dataset) -> Lines:
        found = compute(bars)
        return {label: found[name] for name, label in labels.items()}

    return lines


def _bands(compute: Callable[[xr.Dataset], xr.Dataset], label: str) -> Callable[[xr.Dataset], Lines]:
    return _labelled(compute, upper=f"{label} upper", lower=f"{label} lower")


def _over(name: str, window: int, label: str) -> Callable[[xr.Dataset], Lines]:
    """Return a function that gives the only line of a function of TA-Lib over a window, which its label tells."""

    def lines(bars: xr.Dataset) -> Lines:
        (found,) = indicators.compute(name, bars, timeperiod=window).data_vars.values()
        return {f"{label} {window}": found}

    return lines


def _reference(name: str, **labels: str) -> Callable[[xr.Dataset], Lines]:
    return _labelled(lambda bars: indicators.compute(name, bars), **labels)


def _directions(bars: xr.Dataset) -> Lines:
    lines: Lines = {}
    for name, label in (("ADX", "ADX"), ("PLUS_DI", "+DI"), ("MINUS_DI", "-DI")):
        lines |= _over(name, 14, label)(bars)
    return lines


OVERLAYS: dict[str, Study] = {
    "sma": Study(lambda bars: {"SMA 20": indicators.sma(bars, 20), "SMA 100": indicators.sma(bars, 100)}),
    "ema": Study(lambda bars: {"EMA 20": indicators.ema(bars, 20)}),
    "bollinger": Study(_bands(indicators.bollinger, "Bollinger")),
    "donchian": Study(_bands(indicators.donchian, "Donchian"), RANGES),
    "keltner": Study(_bands(indicators.keltner, "Keltner"), RANGES),
    "supertrend": Study(lambda bars: {"SuperTrend": indicators.supertrend(bars)["supertrend"]}, RANGES),
    "ichimoku": Study(
        _labelled(indicators.ichimoku, conversion="conversion", base="base", cloud_a="cloud A", cloud_b="cloud B"),
        RANGES,
    ),
    "sar": Study(_reference("SAR", sar="parabolic SAR"), RANGES),
    "vwap": Study(lambda bars: {"VWAP": indicators.vwap(bars)}, TRADED),
}
"""Studies in the price's unit, drawn over the candles."""

OSCILLATORS: dict[str, Study] = {
    "rsi": Study(lambda bars: {"RSI 14": indicators.rsi(bars, 14)}),
    "macd": Study(_labelled(indicators.macd, macd="MACD", signal="signal")),
    "atr": Study(lambda bars: {"ATR 14": indicators.atr(bars, 14)}, RANGES),
    "adx": Study(_directions, RANGES),
    "stochastic": Study(_reference("STOCH", slowk="%K", slowd="%D"), RANGES),
    "cci": Study(_over("CCI", 14, "CCI"), RANGES),
    "obv": Study(_reference("OBV", obv="OBV"), ("close", "volume")),
    "mfi": Study(_over("MFI", 14, "MFI"), TRADED),
    "volatility": Study(lambda bars: {"volatility 20": indicators.realised_volatility(bars, 20)}),
}
"""Studies with a scale of their own, each drawn in a panel."""

STUDIES = (*OVERLAYS, *OSCILLATORS)


def study_lines(bars: xr.Dataset, names: Sequence[str]) -> tuple[Lines, dict[str, Lines]]:
    """Compute the named studies.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols). A study is left out where the dataset lacks a field that it reads.
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
        study = OVERLAYS[name] if name in OVERLAYS else OSCILLATORS[name]
        if not set(study.reads) <= set(bars.attrs["fields"]):
            continue
        if name in OVERLAYS:
            overlays |= study.lines(bars)
        else:
            oscillators[name.upper()] = study.lines(bars)
    return overlays, oscillators
