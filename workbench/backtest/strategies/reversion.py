"""Rules that bet on a return to the mean, or on leaving it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import AfterValidator, Field

from workbench.analytics import indicators
from workbench.analytics.lines import crossings, on_own_bars, scaled
from workbench.analytics.signals import make_signals
from workbench.backtest.strategies.crosses import Four, Window
from workbench.backtest.strategy import strategy

Level = Annotated[float, Field(ge=0, le=100, description="level of the RSI")]
Width = Annotated[float, Field(gt=0, le=10, description="standard deviations from the mean")]


def _low_below_high(values: Mapping[str, Any]) -> str | None:
    if values["low"] < values["high"]:
        return None
    return f"low must be below high (given: low={values['low']:g}, high={values['high']:g})"


def _levels(window: int, low: float, high: float) -> Four:
    return ("level", low), ("rsi", window), ("rsi", window), ("level", high)


def _to_the_middle(window: int, width: float) -> Four:
    return ("lower_band", window, width), ("close",), ("close",), ("middle_band", window, width)


def _out_of_the_bands(window: int, width: float) -> Four:
    return ("close",), ("upper_band", window, width), ("middle_band", window, width), ("close",)


@strategy(check=_low_below_high, crosses=_levels)
def rsi_reversion(bars: xr.Dataset, window: Window = 14, low: Level = 30.0, high: Level = 70.0) -> xr.Dataset:
    """Buy when the RSI falls into oversold, sell when it rises into overbought.

    Strength is ``(50 - RSI) / 50``: oversold is positive.
    """
    entry, leave, lines = crossings(bars, _levels(window, low, high))
    value = lines["rsi", window]
    reason = f"RSI {window} is {{rsi:.0f}} (oversold below {low:g}, overbought above {high:g})"
    return make_signals(entry, leave, (50 - value) / 50, {"rsi": value}, reason)


@strategy(crosses=_to_the_middle)
def bollinger_reversion(bars: xr.Dataset, window: Window = 20, width: Width = 2.0) -> xr.Dataset:
    """Buy below the lower Bollinger band, sell when the close is back above the middle.

    Strength is how far the close is below the middle, in half widths of the bands.
    """
    entry, leave, lines = crossings(bars, _to_the_middle(window, width))
    lower, close, middle = lines.values()
    return _in_bands(entry, leave, close, middle, lower, (window, width), -1)


@strategy(crosses=_out_of_the_bands)
def bollinger_breakout(bars: xr.Dataset, window: Window = 20, width: Width = 2.0) -> xr.Dataset:
    """Buy above the upper Bollinger band, sell when the close falls below the middle.

    Strength is how far the close is above the middle, in half widths of the bands.
    """
    entry, leave, lines = crossings(bars, _out_of_the_bands(window, width))
    close, upper, middle = lines.values()
    return _in_bands(entry, leave, close, middle, upper, (window, width), 1)


def _in_bands(
    entry: xr.DataArray,
    leave: xr.DataArray,
    close: xr.DataArray,
    middle: xr.DataArray,
    band: xr.DataArray,
    parameters: tuple[int, float],
    side: int,
) -> xr.Dataset:
    window, width = parameters
    off = scaled(close - middle, abs(band - middle))
    evidence = {"deviations": off * width, "close": close, "band": band}
    word = "lower" if side < 0 else "upper"
    reason = (
        f"close {{close:,.2f}} is {{deviations:+.1f}} standard deviations from its {window}-bar mean "
        f"({word} band {{band:,.2f}})"
    )
    return make_signals(entry, leave, side * off, evidence, reason)


def _known(text: str) -> str:
    """Return the patterns' names in one spelling; only TA-Lib's own pass."""
    known = [name.removeprefix("CDL").lower() for name in indicators.names("Pattern Recognition")]
    names = [name.strip().lower().removeprefix("cdl") for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            near = ", ".join(get_close_matches(name, known, n=3, cutoff=0.3)) or ", ".join(known[:5])
            raise ValueError(f"unknown pattern {name!r}; nearest known: {near}")
    return ",".join(dict.fromkeys(names))


Patterns = Annotated[str, AfterValidator(_known)]
Hold = Annotated[int, Field(ge=1, le=2000, description="bars after which an entry is given up")]


def _some_pattern(values: Mapping[str, Any]) -> str | None:
    return None if values["bullish"] else "bullish names no pattern; give at least one, such as bullish='engulfing'"


@strategy(check=_some_pattern, fields=("open", "high", "low", "close"))
def candlestick(
    bars: xr.Dataset,
    bullish: Annotated[Patterns, Field(description="patterns to enter on, with commas between")] = (
        "engulfing,hammer,morningstar,piercing"
    ),
    bearish: Annotated[Patterns, Field(description="patterns to leave on; none where empty")] = (
        "engulfing,shootingstar,eveningstar,darkcloudcover"
    ),
    hold: Hold = 10,
) -> xr.Dataset:
    """Buy on bullish candlestick patterns, sell on bearish ones or after some bars.

    The patterns are TA-Lib's, known at the close of their last bar. A bar with both kinds is no signal. ``hold`` counts
    own bars since the last entry. Strength is 1 on a bullish bar, -1 on a bearish one, 0 on one without or with both.
    """
    ups, downs = _seen(bars, bullish, 1), _seen(bars, bearish, -1)
    here = bars["close"].notnull()
    up, down = (_any(found, here) for found in (ups, downs))
    entry = up & ~down
    since = on_own_bars(entry.astype("float64"), here, _bars_since)
    leave = (down & ~up) | ((since == hold) & ~entry)
    strength = (entry.astype("float64") - (down & ~up)).where(here)
    names = _names(
        {**{f"{name} up": on for name, on in ups.items()}, **{f"{name} down": on for name, on in downs.items()}}, here
    )
    reason = f"candles: {{patterns}} (an entry is given up after {hold} bars)"
    return make_signals(entry, leave, strength, {"patterns": names, "since": since}, reason)


def _seen(bars: xr.Dataset, names: str, side: int) -> dict[str, xr.DataArray]:
    """Return where each pattern speaks for a side."""
    spoken = {name: indicators.compute(f"CDL{name.upper()}", bars) for name in names.split(",") if name}
    return {name: next(iter(values.data_vars.values())) * side > 0 for name, values in spoken.items()}


def _any(found: Mapping[str, xr.DataArray], here: xr.DataArray) -> xr.DataArray:
    seen = here.copy(data=np.zeros(here.shape, dtype=bool))
    for on in found.values():
        seen = seen | on
    return seen


def _bars_since(entry: pd.DataFrame) -> pd.DataFrame:
    """Count the bars since the last entry; NaN before the first."""
    number = pd.DataFrame(np.broadcast_to(np.arange(len(entry), dtype="float64")[:, None], entry.shape))
    since: pd.DataFrame = number - number.where(entry.to_numpy() > 0).ffill()
    return since


def _names(found: Mapping[str, xr.DataArray], here: xr.DataArray) -> xr.DataArray:
    """Name the patterns of each bar."""
    told = np.full(here.shape, "none", dtype=object)
    for name, on in found.items():
        rows = on.to_numpy()
        told[rows] = np.where(told[rows] == "none", name, told[rows] + f", {name}")
    return here.copy(data=told)
