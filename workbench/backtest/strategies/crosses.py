"""Rules that enter where one line crosses above another, and leave where one crosses below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import xarray as xr
from pydantic import Field

from workbench.analytics import indicators
from workbench.analytics.lines import Line, crossings, on_own_bars, past_return, scaled
from workbench.analytics.signals import make_signals
from workbench.backtest.strategy import strategy

Four = tuple[Line, Line, Line, Line]
Window = Annotated[int, Field(ge=2, le=2000, description="number of bars")]
Fast = Annotated[int, Field(ge=2, le=2000, description="bars of the fast average")]
Slow = Annotated[int, Field(ge=2, le=2000, description="bars of the slow average")]
Signal = Annotated[int, Field(ge=2, le=2000, description="bars of the signal line")]
Channel = Annotated[int, Field(ge=2, le=2000, description="bars of the channel")]
Lookback = Annotated[int, Field(ge=1, le=2000, description="bars of the past return")]
Skip = Annotated[int, Field(ge=0, le=500, description="latest bars that the past return leaves out")]


def _fast_below_slow(values: Mapping[str, Any]) -> str | None:
    if values["fast"] < values["slow"]:
        return None
    return f"fast must be below slow (given: fast={values['fast']}, slow={values['slow']})"


def _leave_within_enter(values: Mapping[str, Any]) -> str | None:
    if values["leave"] <= values["enter"]:
        return None
    return f"leave must not be above enter (given: enter={values['enter']}, leave={values['leave']})"


def _simple_averages(fast: int, slow: int) -> Four:
    return ("sma", fast), ("sma", slow), ("sma", slow), ("sma", fast)


def _exponential_averages(fast: int, slow: int) -> Four:
    return ("ema", fast), ("ema", slow), ("ema", slow), ("ema", fast)


def _macd_lines(fast: int, slow: int, signal: int) -> Four:
    macd, average = ("macd", fast, slow, signal), ("macd_signal", fast, slow, signal)
    return macd, average, average, macd


def _channel(enter: int, leave: int) -> Four:
    return ("close",), ("highest", enter), ("lowest", leave), ("close",)


def _past_return(lookback: int, skip: int) -> Four:
    found = ("momentum", lookback, skip)
    return found, ("level", 0.0), ("level", 0.0), found


def _averages_cross(bars: xr.Dataset, specs: Four, word: str, fast: int, slow: int) -> xr.Dataset:
    """Tell two averages' crosses; strength is their gap in standard deviations of the close over the slow window."""
    entry, leave, lines = crossings(bars, specs)
    quick, calm = lines.values()
    strength = scaled(quick - calm, indicators.stddev(bars, slow))
    evidence = {"fast_average": quick, "slow_average": calm, "gap": quick / calm - 1}
    reason = f"{word} {fast} is {{gap:+.1%}} from {word} {slow} ({{fast_average:,.2f}} against {{slow_average:,.2f}})"
    return make_signals(entry, leave, strength, evidence, reason)


@strategy(check=_fast_below_slow, crosses=_simple_averages)
def sma_cross(bars: xr.Dataset, fast: Fast = 20, slow: Slow = 100) -> xr.Dataset:
    """Long while the fast moving average is above the slow one.

    Strength is the gap between the averages in standard deviations of the close over ``slow`` bars.
    """
    return _averages_cross(bars, _simple_averages(fast, slow), "SMA", fast, slow)


@strategy(check=_fast_below_slow, crosses=_exponential_averages)
def ema_cross(bars: xr.Dataset, fast: Fast = 12, slow: Slow = 50) -> xr.Dataset:
    """Long while the fast exponential average is above the slow one.

    Strength is the gap between the averages in standard deviations of the close over ``slow`` bars.
    """
    return _averages_cross(bars, _exponential_averages(fast, slow), "EMA", fast, slow)


@strategy(check=_fast_below_slow, crosses=_macd_lines)
def macd(bars: xr.Dataset, fast: Fast = 12, slow: Slow = 26, signal: Signal = 9) -> xr.Dataset:
    """Long while the MACD is above its signal line.

    Strength is the histogram in standard deviations of the close over ``slow`` bars.
    """
    entry, leave, lines = crossings(bars, _macd_lines(fast, slow, signal))
    value, average = lines.values()
    strength = scaled(value - average, indicators.stddev(bars, slow))
    reason = f"MACD {fast}/{slow} is {{macd:+.2f}} against its signal line {{signal:+.2f}}"
    return make_signals(entry, leave, strength, {"macd": value, "signal": average}, reason)


@strategy(check=_leave_within_enter, crosses=_channel, fields=("high", "low", "close"))
def donchian_breakout(bars: xr.Dataset, enter: Channel = 20, leave: Channel = 10) -> xr.Dataset:
    """Long from a close above the highest high of the bars before, to one below their lowest low.

    The channel is that of the ``enter`` (``leave``) bars before the bar, its own left out. Strength is the place of
    the close between the lowest low (-1) and the highest high (+1).
    """
    entry, out, lines = crossings(bars, _channel(enter, leave))
    close, high, low = lines.values()
    strength = scaled(2 * close - high - low, high - low)
    reason = f"close {{close:,.2f}} between the {leave}-bar low {{low:,.2f}} and the {enter}-bar high {{high:,.2f}}"
    return make_signals(entry, out, strength, {"close": close, "high": high, "low": low}, reason)


@strategy(crosses=_past_return)
def momentum(bars: xr.Dataset, lookback: Lookback = 252, skip: Skip = 0) -> xr.Dataset:
    """Long while the return over the past year is positive: time-series momentum.

    The sign of the past return (Moskowitz, Ooi and Pedersen, "Time series momentum", Journal of Financial Economics
    104, 2012, section 4.1); ``direction="both"`` is short while it is negative, as there. Strength is that return in
    standard deviations: over the volatility of returns per bar (of ``lookback`` bars, 20 at least) times the root of
    ``lookback``.
    """
    entry, leave, _ = crossings(bars, _past_return(lookback, skip))
    past, window = past_return(bars, lookback, skip), max(lookback, 20)
    volatility = on_own_bars(
        bars["close"],
        bars["close"].notnull(),
        lambda close: close.pct_change(fill_method=None).rolling(window, min_periods=1).std(ddof=0),
    )
    until = f" to {skip} bars ago" if skip else ""
    reason = f"return over {lookback} bars{until} is {{past:+.1%}}"
    return make_signals(entry, leave, scaled(past, volatility * lookback**0.5), {"past": past}, reason)
