"""Signal rules: when a rule would enter and leave, how strongly, and why.

*Signals* is an ``xarray.Dataset`` over ``(time, symbol)`` with

- ``entry``, ``exit`` (bool): the rule fires at this bar's close. It is known then and no earlier; the engine fills it
  on the next bar.
- ``strength`` (float, -1 to 1): how far the market is on the rule's long (+) or short (-) side.
- ``weight`` (float, for rules that share one account out): the symbol's target share of the account's value, negative
  for short. A time with no number at all is no rebalancing (positions drift); beside a number, NaN is 0. ``entry`` and
  ``exit`` then say where the weight becomes and stops being positive.
- further variables: the evidence (numbers or texts), named in ``attrs["evidence"]``, and told by ``attrs["reason"]``,
  a format string.

``make_signals`` and ``make_weights`` put them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench.core.errors import StrategyError


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


def make_weights(
    weight: xr.DataArray,
    strength: xr.DataArray,
    evidence: Mapping[str, xr.DataArray] | None = None,
    reason: str = "",
) -> xr.Dataset:
    """Put Signals of target weights together, each part of shape (n_bars, n_symbols).

    Parameters
    ----------
    weight : xarray.DataArray
        Target share of the account's value, known at a bar's close: 0.25 is a quarter of it, negative is short. A time
        with no number at all is no rebalancing; beside a number, NaN is 0.
    strength, evidence, reason
        As in ``make_signals``.

    Returns
    -------
    xarray.Dataset
        Signals with ``weight``; ``entry`` where it becomes positive, ``exit`` where it stops being so.
    """
    return make_signals(*_turns(weight), strength, evidence, reason).assign(weight=weight.astype("float64"))


def _turns(weight: xr.DataArray, here: np.ndarray | None = None) -> tuple[xr.DataArray, xr.DataArray]:
    """Return where a target weight becomes and stops being positive, on the bars that are ``here``."""
    state = np.where(True if here is None else here, in_force(weight) > 0, np.nan)
    positive = pd.DataFrame(state.astype("float64")).ffill().fillna(0.0).to_numpy() > 0
    before = np.vstack([np.zeros_like(positive[:1]), positive[:-1]])
    return weight.copy(data=positive & ~before), weight.copy(data=before & ~positive)


def check_signals(signals: Any, bars: xr.Dataset, rule: str) -> xr.Dataset:
    """Return what a rule gave, if it is Signals for ``bars``, laid out over ``(time, symbol)`` as they are.

    Where a rule enters and leaves on one bar, neither counts. Entries and exits of target weights are told anew, on the
    symbol's own bars.

    Raises
    ------
    StrategyError
        Naming the rule and what is wrong: something else than Signals, a part that is missing or of another shape or
        type, a number that is infinite, an entry or exit at a time at which the symbol has no bar, a reason that tells
        what is not evidence.
    """
    remedy = "return wb.make_signals(entry, leave, strength)"
    if not isinstance(signals, xr.Dataset):
        raise StrategyError(f"strategy {rule!r} gave {type(signals).__name__}, not Signals; {remedy}")
    missing = [name for name in ("entry", "exit", "strength") if name not in signals]
    missing += [f"attrs[{name!r}]" for name in ("reason", "evidence") if name not in signals.attrs]
    missing += [name for name in signals.attrs.get("evidence", ()) if name not in signals]
    if missing:
        raise StrategyError(f"the Signals of strategy {rule!r} lack {', '.join(missing)}; {remedy}")
    _require_told(signals, rule)
    told = _laid_out(signals, bars, rule)
    for name in ("entry", "exit"):
        if told[name].dtype != bool:
            raise StrategyError(f"{name} of strategy {rule!r} is {told[name].dtype}, not bool; give a comparison")
    _require_finite(told, rule)
    here = bars["close"].notnull()
    if "weight" in told:
        entry, leave = _turns(told["weight"], here.to_numpy())
        return told.assign(entry=entry, exit=leave)
    _require_bars(told, here, rule)
    clash = told["entry"] & told["exit"]
    return told.assign(entry=told["entry"] & ~clash, exit=told["exit"] & ~clash)


def _require_told(signals: xr.Dataset, rule: str) -> None:
    """Raise where the reason is no format string over the evidence alone."""
    try:
        names = [name for _, name, _, _ in Formatter().parse(signals.attrs["reason"]) if name is not None]
    except (ValueError, TypeError) as error:
        raise StrategyError(f"the reason of strategy {rule!r} is no format string: {error}") from error
    for name in names:
        if name not in signals.attrs["evidence"]:
            known = ", ".join(signals.attrs["evidence"]) or "none"
            raise StrategyError(
                f"the reason of strategy {rule!r} tells {{{name}}}, which is no evidence of it (that is: {known})"
            )


def _laid_out(signals: xr.Dataset, bars: xr.Dataset, rule: str) -> xr.Dataset:
    """Return Signals with the times and symbols of ``bars`` in their order."""
    for name in _parts(signals):
        if set(signals[name].dims) != {"time", "symbol"}:
            dims = ", ".join(str(dim) for dim in signals[name].dims) or "none"
            raise StrategyError(f"{name} of strategy {rule!r} must be over (time, symbol); its dims are: {dims}")
    for dim in ("time", "symbol"):
        own, wanted = signals.indexes.get(dim), bars.indexes[dim]
        if own is None or len(own) != len(wanted) or not own.is_unique or not wanted.isin(own).all():
            count = signals.sizes[dim]
            raise StrategyError(
                f"the Signals of strategy {rule!r} have {count} {dim}s that are not the {len(wanted)} of the bars; "
                "compute them from the bars that the rule is given"
            )
        if not own.equals(wanted):
            signals = signals.sel({dim: wanted})
    return signals.transpose("time", "symbol", ...)


def _require_finite(signals: xr.Dataset, rule: str) -> None:
    for name in ("strength", "weight"):
        if name not in signals:
            continue
        if signals[name].dtype.kind not in "fiu":
            raise StrategyError(f"{name} of strategy {rule!r} is {signals[name].dtype}; give numbers")
        endless = np.isinf(signals[name].to_numpy())
        if endless.any():
            where = _place(signals, endless)
            raise StrategyError(f"the {name} of strategy {rule!r} is infinite for {where}; give a finite one, or NaN")


def _require_bars(signals: xr.Dataset, here: xr.DataArray, rule: str) -> None:
    for name in ("entry", "exit"):
        astray = signals[name].to_numpy() & ~here.to_numpy()
        if astray.any():
            where = _place(signals, astray)
            raise StrategyError(
                f"strategy {rule!r} has an {name} for {where}, where the symbol has no bar; "
                "compare with NaN kept, which is never true"
            )


def _place(signals: xr.Dataset, found: np.ndarray) -> str:
    row, column = np.argwhere(found)[0]
    return f"{signals['symbol'].to_numpy()[column]} at {signals.indexes['time'][row]}"


def _parts(signals: xr.Dataset) -> list[str]:
    return [name for name in ("entry", "exit", "strength", "weight", *signals.attrs["evidence"]) if name in signals]


def crossed_above(first: xr.DataArray, second: xr.DataArray) -> xr.DataArray:
    """Say where ``first`` is above ``second`` and was not when both were last known.

    Parameters
    ----------
    first, second : xarray.DataArray
        Over time and symbol in any order, one of them perhaps over time alone or symbol alone.

    Returns
    -------
    xarray.DataArray of bool
        Over ``(time, symbol)``. A time at which one is NaN is no cross and is passed over, whether the symbol has no
        bar there or a line has no value: 1, NaN, 3 crosses above 2 at the 3. So is the time before both were known.
    """
    above = (first > second).transpose("time", ...)
    relation = xr.where(first <= second, 1.0, xr.where(first > second, 0.0, np.nan)).transpose(*above.dims)
    was_not = relation.copy(data=relation.to_pandas().ffill().shift(1).to_numpy() == 1.0)
    crossed: xr.DataArray = above & was_not
    return crossed


def held(signals: xr.Dataset) -> xr.DataArray:
    """Return the state that the rule is in after each bar's close: 1 since an entry, 0 before it and since an exit."""
    state = xr.where(signals["entry"], 1.0, xr.where(signals["exit"], 0.0, np.nan))
    filled = state.to_pandas().ffill().fillna(0.0)
    return xr.DataArray(filled.to_numpy(), coords=signals["entry"].coords, dims=signals["entry"].dims)


def side(signals: xr.Dataset) -> xr.DataArray:
    """Return which side the rule is on after each bar's close: 1 long, 0 flat, -1 short by a negative weight."""
    if "weight" not in signals:
        return held(signals)
    weight = signals["weight"]
    return weight.copy(data=np.sign(in_force(weight)))


def in_force(weight: xr.DataArray) -> np.ndarray:
    """Return the target weights after each bar's close, shape (n_bars, n_symbols): 0 before the first ones."""
    values = weight.to_numpy()
    given = ~np.isnan(values).all(axis=1, keepdims=True)
    return pd.DataFrame(np.where(given, np.nan_to_num(values), np.nan)).ffill().fillna(0.0).to_numpy()


def latest(signals: xr.Dataset) -> pd.DataFrame:
    """Return what the rule says at each symbol's last bar.

    Returns
    -------
    pandas.DataFrame
        One row per symbol: ``state`` (``"enter"`` or ``"exit"`` where the rule fires on that bar, else ``"long"``,
        ``"flat"`` or, by a negative weight, ``"short"``), ``strength``, ``since`` (the bar of the last entry or exit,
        ``NaT`` where there was none), ``reason`` and ``time``.
    """
    sides, strength = side(signals).to_numpy(), signals["strength"].to_numpy()
    entry, leave = signals["entry"].to_numpy(), signals["exit"].to_numpy()
    turned = entry | leave | (np.diff(sides, axis=0, prepend=0.0) != 0 if "weight" in signals else False)
    evidence = {name: signals[name].to_numpy() for name in signals.attrs["evidence"]}
    times = signals.indexes["time"]
    rows: dict[str, tuple[Any, ...]] = {}
    for column, symbol in enumerate(signals["symbol"].to_numpy()):
        known = np.flatnonzero(~np.isnan(strength[:, column]))
        if not len(known):
            rows[symbol] = ("flat", np.nan, pd.NaT, "not enough bars for the rule", pd.NaT)
            continue
        now = known[-1]
        fired = np.flatnonzero(turned[: now + 1, column])
        since = times[fired[-1]] if len(fired) else pd.NaT
        lasting = {1.0: "long", 0.0: "flat", -1.0: "short"}[sides[now, column]]
        word = "enter" if entry[now, column] else "exit" if leave[now, column] else lasting
        shown = {name: values[now, column] for name, values in evidence.items()}
        reason = signals.attrs["reason"].format(**shown)
        rows[symbol] = (word, float(strength[now, column]), since, reason, times[now])
    columns = ["state", "strength", "since", "reason", "time"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("symbol")


def latest_table(signals: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Return what several rules say at each symbol's last bar.

    Parameters
    ----------
    signals : mapping of str to xarray.Dataset
        Signals by the rule's name.

    Returns
    -------
    pandas.DataFrame
        Columns ``symbol strategy state strength since reason time``, a row per symbol and rule; see ``latest``.
    """
    columns = ["symbol", "strategy", "state", "strength", "since", "reason", "time"]
    tables = [latest(each).reset_index().assign(strategy=name) for name, each in signals.items()]
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True).sort_values(["symbol", "strategy"], ignore_index=True)[columns]
