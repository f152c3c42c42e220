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


def _reference(name: str, **labels: str) -> Callable[[xr.Dataset], Lines]:
    return _labelled(lambda bars: indicators.compute(name, bars), **labels)


def _directions(bars: xr.Dataset) -> Lines:
    return {
        "ADX 14": indicators.compute("ADX", bars)["adx"],
        "+DI 14": indicators.compute("PLUS_DI", bars)["plus_di"],
        "-DI 14": indicators.compute("MINUS_DI", bars)["minus_di"],
    }


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
    "rsi": Study(lambda bars: {"RSI 14": indicators.rsi(bars)}),
    "macd": Study(_labelled(indicators.macd, macd="MACD", signal="signal")),
    "atr": Study(lambda bars: {"ATR 14": indicators.atr(bars)}, RANGES),
    "adx": Study(_directions, RANGES),
    "stochastic": Study(_reference("STOCH", slowk="%K", slowd="%D"), RANGES),
    "cci": Study(_reference("CCI", cci="CCI 14"), RANGES),
    "obv": Study(_reference("OBV", obv="OBV"), ("close", "volume")),
    "mfi": Study(_reference("MFI", mfi="MFI 14"), TRADED),
    "volatility": Study(lambda bars: {"volatility 20": indicators.realised_volatility(bars)}),
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
