"""Signal rules: when a rule would enter and leave, how strongly, and why.

*Signals* is an ``xarray.Dataset`` over ``(time, symbol)`` with

- ``entry``, ``exit`` (bool): the rule fires at this bar's close. It is known then and no earlier; the engine fills it
  on the next bar.
- ``strength`` (float, -1 to 1): how far the market is on the rule's long (+) or short (-) side.
- further variables: the evidence, named in ``attrs["evidence"]``, and told by ``attrs["reason"]``, a format string.

``make_signals`` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench.analytics import indicators
from workbench.core.errors import InputError


def make_signals(
    entry: xr.DataArray,
    leave: xr.DataArray,
    strength: xr.DataArray,
    evidence: Mapping[str, xr.DataArray] | None = None,
    reason: str = "",
) -> xr.Dataset:
    """Put Signals together, each part of shape (n_bars, n_symbols).

    Parameters
    ----------
    entry, leave : xarray.DataArray of bool
        Whether the rule fires at a bar's close.
    strength : xarray.DataArray
        Positive on the long side; cut to -1 ... 1. NaN where the rule has not seen enough bars.
    evidence : mapping of str to xarray.DataArray, optional
        What the reason tells.
    reason : str
        A format string over the evidence, such as ``"RSI is {rsi:.0f}"``.

    Returns
    -------
    xarray.Dataset
        Signals.
    """
    shown = dict(evidence or {})
    variables = {"entry": entry, "exit": leave, "strength": strength.clip(-1, 1), **shown}
    return xr.Dataset(variables, attrs={"reason": reason, "evidence": tuple(shown)})


def check_signals(signals: Any, bars: xr.Dataset, rule: str) -> xr.Dataset:
    """Return what a rule gave, if it is Signals for ``bars``.

    Raises
    ------
    InputError
        Naming the rule and what is missing.
    """
    remedy = "return wb.make_signals(entry, leave, strength)"
    if not isinstance(signals, xr.Dataset):
        raise InputError(f"the rule {rule!r} gave {type(signals).__name__}, not Signals; {remedy}")
    missing = [name for name in ("entry", "exit", "strength") if name not in signals]
    missing += [f"attrs[{name!r}]" for name in ("reason", "evidence") if name not in signals.attrs]
    if missing:
        raise InputError(f"the Signals of the rule {rule!r} lack {', '.join(missing)}; {remedy}")
    shape = dict(bars["close"].sizes)
    wrong = [name for name in ("entry", "exit", "strength") if dict(signals[name].sizes) != shape]
    wrong += [name for name in ("entry", "exit") if signals[name].dtype != bool]
    if wrong:
        raise InputError(f"{wrong[0]} of the rule {rule!r} must be over (time, symbol), entry and exit bool; {remedy}")
    return signals


def moving_average_cross(bars: xr.Dataset, fast: int, slow: int) -> xr.Dataset:
    """Enter where the fast simple average crosses above the slow one, leave where it crosses below.

    Strength is the gap between the averages in standard deviations of the close over ``slow`` bars.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    fast, slow : int
        Windows in bars.

    Returns
    -------
    xarray.Dataset
        Signals.
    """
    quick, calm = indicators.sma(bars, fast), indicators.sma(bars, slow)
    strength = (quick - calm) / indicators.stddev(bars, slow)
    evidence = {"fast_average": quick, "slow_average": calm, "gap": quick / calm - 1}
    reason = f"SMA {fast} is {{gap:+.1%}} from SMA {slow} ({{fast_average:,.2f}} against {{slow_average:,.2f}})"
    return make_signals(crossed_above(quick, calm), crossed_above(calm, quick), strength, evidence, reason)


def rsi_reversion(bars: xr.Dataset, window: int, low: float, high: float) -> xr.Dataset:
    """Enter where the RSI falls below ``low``, leave where it rises above ``high``.

    Strength is ``(50 - RSI) / 50``: oversold is positive. Parameters and shapes as in ``moving_average_cross``;
    ``low`` and ``high`` are levels of the RSI, 0 to 100.
    """
    value = indicators.rsi(bars, window)
    reason = f"RSI {window} is {{rsi:.0f}} (oversold below {low:g}, overbought above {high:g})"
    below, above = crossed_above(xr.full_like(value, low), value), crossed_above(value, xr.full_like(value, high))
    return make_signals(below, above, (50 - value) / 50, {"rsi": value}, reason)


def macd_cross(bars: xr.Dataset, fast: int, slow: int, signal: int) -> xr.Dataset:
    """Enter where the MACD crosses above its signal line, leave where it crosses below.

    Strength is the histogram in standard deviations of the close over ``slow`` bars. Parameters and shapes as in
    ``moving_average_cross``; ``signal`` is the window of the signal line.
    """
    lines = indicators.macd(bars, fast, slow, signal)
    strength = lines["histogram"] / indicators.stddev(bars, slow)
    reason = f"MACD {fast}/{slow} is {{macd:+.2f}} against its signal line {{signal:+.2f}}"
    enter = crossed_above(lines["macd"], lines["signal"])
    leave = crossed_above(lines["signal"], lines["macd"])
    return make_signals(enter, leave, strength, {"macd": lines["macd"], "signal": lines["signal"]}, reason)


Line = tuple[str, *tuple[float, ...]]
"""A line by its name and parameters, such as ``("sma", 20)``; a rule made of crosses can be told in lines alone."""

LINES: dict[str, Callable[..., xr.DataArray]] = {
    "sma": indicators.sma,
    "rsi": indicators.rsi,
    "macd": lambda bars, fast, slow, signal: indicators.macd(bars, fast, slow, signal)["macd"],
    "macd_signal": lambda bars, fast, slow, signal: indicators.macd(bars, fast, slow, signal)["signal"],
    "level": lambda bars, value: xr.full_like(bars["close"], value),
}


def line(bars: xr.Dataset, spec: Line) -> xr.DataArray:
    """Compute a line, shape (n_bars, n_symbols)."""
    name, *parameters = spec
    return LINES[name](bars, *parameters)


def crossed_above(first: xr.DataArray, second: xr.DataArray) -> xr.DataArray:
    """Say where ``first`` is above ``second`` and was not on the symbol's bar before.

    Both bars must have both values: NaN is no cross. A time at which the symbol has no bar is passed over.
    """
    relation = xr.where(first <= second, 1.0, xr.where(first > second, 0.0, np.nan)).transpose(*first.dims)
    was_not = relation.copy(data=relation.to_pandas().ffill().shift(1).to_numpy() == 1.0)
    crossed: xr.DataArray = (first > second) & was_not
    return crossed


def held(signals: xr.Dataset) -> xr.DataArray:
    """Return the state that the rule is in after each bar's close: 1 since an entry, 0 before it and since an exit."""
    state = xr.where(signals["entry"], 1.0, xr.where(signals["exit"], 0.0, np.nan))
    filled = state.to_pandas().ffill().fillna(0.0)
    return xr.DataArray(filled.to_numpy(), coords=signals["entry"].coords, dims=signals["entry"].dims)


def latest(signals: xr.Dataset) -> pd.DataFrame:
    """Return what the rule says at each symbol's last bar.

    Returns
    -------
    pandas.DataFrame
        One row per symbol: ``state`` (``"enter"`` or ``"exit"`` where the rule fires on that bar, else ``"long"`` or
        ``"flat"``), ``strength``, ``since`` (the bar of the last entry or exit, ``NaT`` where there was none),
        ``reason`` and ``time``.
    """
    state = held(signals)
    rows: dict[str, tuple[Any, ...]] = {}
    for symbol in signals["symbol"].to_numpy():
        own = signals.sel(symbol=symbol)
        known = np.flatnonzero(own["strength"].notnull().to_numpy())
        if not len(known):
            rows[symbol] = ("flat", np.nan, pd.NaT, "not enough bars for the rule", pd.NaT)
            continue
        now = own.isel(time=known[-1])
        fired = np.flatnonzero((own["entry"] | own["exit"]).to_numpy()[: known[-1] + 1])
        since = pd.Timestamp(own["time"].to_numpy()[fired[-1]]) if len(fired) else pd.NaT
        lasting = "long" if state.sel(symbol=symbol).isel(time=known[-1]) > 0 else "flat"
        word = "enter" if bool(now["entry"]) else "exit" if bool(now["exit"]) else lasting
        evidence = {name: float(now[name]) for name in signals.attrs["evidence"]}
        reason = signals.attrs["reason"].format(**evidence)
        rows[symbol] = (word, float(now["strength"]), since, reason, pd.Timestamp(now["time"].item()))
    columns = ["state", "strength", "since", "reason", "time"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("symbol")
