"""Looking over what is stored: findings that a person should judge, beside the rows that were kept out already.

A finding here does not remove a row: a crash looks like a wrong price until somebody has looked.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from workbench.core.errors import ParameterError
from workbench.core.frames import per_symbol
from workbench.data.stamps import days_of, sessions_between

JUMP = 0.4
"""A return beyond this, splits and dividends taken out, is a jump without an action."""

STALE = 5
"""So many bars with the same prices in a row are a stale run."""

COLUMNS = ("symbol", "rule", "rows", "first", "last", "detail")


def check_bars(bars: xr.Dataset, kept_out: pd.DataFrame, stored: xr.Dataset | None = None) -> pd.DataFrame:
    """Return what is odd about stored bars, and what was kept out of them.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars with splits and dividends taken out, so that what still jumps has no action.
    kept_out : pandas.DataFrame
        Rows in quarantine, still open: columns ``symbol``, ``session`` and ``reason``.
    stored : xarray.Dataset, optional
        The same bars as the source gave them: a feed that stands still repeats those, and a dividend in between moves
        the adjusted ones. ``bars`` where ``None``.

    Returns
    -------
    pandas.DataFrame
        Columns ``symbol``, ``rule``, ``rows`` (how many), ``first`` and ``last`` (days) and ``detail``, sorted by
        symbol and rule; empty where nothing is odd.
    """
    rows = []
    given = dict(per_symbol(bars if stored is None else stored))
    for symbol, own in per_symbol(bars):
        for rule, times, detail in _findings(own, given[symbol], bars.attrs):
            rows.append((symbol, rule, len(times), times[0].normalize(), times[-1].normalize(), detail))
    for (name, reason), group in kept_out.groupby(["symbol", "reason"]):
        days = pd.to_datetime(group["session"]).dt.tz_localize(None).dt.normalize()
        rows.append((str(name), "in quarantine", len(group), days.min(), days.max(), str(reason)))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["symbol", "rule", "first"], ignore_index=True)


def _findings(
    own: pd.DataFrame, given: pd.DataFrame, attrs: dict[str, object]
) -> Iterator[tuple[str, pd.DatetimeIndex, str]]:
    calendar, interval = str(attrs["calendar"]), str(attrs["interval"])
    yield from _missing_sessions(own, calendar, interval)
    yield from _jumps(own)
    yield from _stale_runs(given)
    if "volume" in attrs["fields"]:  # type: ignore[operator]  # a tuple of names
        yield from _without_volume(own)


def _missing_sessions(own: pd.DataFrame, calendar: str, interval: str) -> Iterator[tuple[str, pd.DatetimeIndex, str]]:
    """Sessions between the first and the last bar that have no bar."""
    times = pd.DatetimeIndex(own.index)
    ends = times.tz_localize("UTC")
    # A label that the stamps lead back to the bar's own session: its end, an instant earlier for shorter bars.
    days = times.normalize() if interval == "1d" else days_of(pd.Series(ends - pd.Timedelta(minutes=1)), "1m", calendar)
    expected = sessions_between(calendar, days[0], days[-1])
    missing = expected.difference(days)
    if len(missing):
        few = ", ".join(f"{day:%Y-%m-%d}" for day in missing[:3])
        yield "missing sessions", missing, few + (", ..." if len(missing) > 3 else "")


def _jumps(own: pd.DataFrame) -> Iterator[tuple[str, pd.DatetimeIndex, str]]:
    returns = own["close"].pct_change()
    far = returns[returns.abs() > JUMP]
    if len(far):
        worst = int(far.abs().argmax())
        times = pd.DatetimeIndex(far.index)
        yield "jump without an action", times, f"{far.iloc[worst]:+.0%} on {times[worst]:%Y-%m-%d}"


def _stale_runs(own: pd.DataFrame) -> Iterator[tuple[str, pd.DatetimeIndex, str]]:
    prices = own[["open", "high", "low", "close"]].dropna(axis=1, how="all")
    # Adjusted prices are products: what was equal may differ by rounding.
    same = (prices.diff().abs() <= 1e-9 * prices.abs()).all(axis=1)
    run = (~same).cumsum()
    length = same.groupby(run).transform("sum") + 1
    stale = own.index[(length >= STALE).to_numpy()]
    if len(stale):
        yield "stale run", pd.DatetimeIndex(stale), f"the same prices for up to {int(length.max())} bars"


def _without_volume(own: pd.DataFrame) -> Iterator[tuple[str, pd.DatetimeIndex, str]]:
    none = own.index[(own["volume"] == 0).to_numpy()]
    if len(none):
        yield "zero volume", pd.DatetimeIndex(none), f"{len(none) / len(own):.1%} of its bars"


def reconcile(one: xr.Dataset, other: xr.Dataset, tolerance: float) -> pd.DataFrame:
    """Compare two datasets symbol by symbol and field by field.

    Parameters
    ----------
    one, other : xarray.Dataset
        Bars of the same adjustment.
    tolerance : float
        Relative difference up to which two values count as the same.

    Returns
    -------
    pandas.DataFrame
        One row per symbol and field that both have: ``symbol``, ``field``, ``common`` (bars that both have),
        ``only_one`` and ``only_other`` (bars of one of them between the first and the last common bar), ``differ``
        (common bars whose values differ by more than ``tolerance``), ``largest`` (difference ``one / other - 1`` of the
        greatest size, with its sign; NaN where one of the two has no value), ``where`` (its day), ``first`` and
        ``last`` (days that differ).

    Raises
    ------
    ParameterError
        For a tolerance that is negative or no number.
    """
    if not 0 <= tolerance < np.inf:
        raise ParameterError(f"tolerance={tolerance} is no relative difference; give 0 or more, such as 0.0001")
    symbols = [name for name in one["symbol"].to_numpy() if name in set(other["symbol"].to_numpy())]
    fields = [name for name in one.attrs["fields"] if name in other.attrs["fields"]]
    left, right = (dict(per_symbol(bars.sel(symbol=symbols))) for bars in (one, other))
    rows = [_compared(symbol, field, left[symbol][field], right[symbol][field], tolerance)
            for symbol in symbols for field in fields]  # fmt: skip
    columns = ["symbol", "field", "common", "only_one", "only_other", "differ", "largest", "where", "first", "last"]
    return pd.DataFrame(rows, columns=columns)


def _compared(symbol: str, field: str, one: pd.Series, other: pd.Series, tolerance: float) -> tuple[object, ...]:
    common = one.index.intersection(other.index)
    if not len(common):
        return (symbol, field, 0, len(one), len(other), 0, np.nan, pd.NaT, pd.NaT, pd.NaT)
    inside = slice(common[0], common[-1])
    only_one, only_other = len(one.loc[inside]) - len(common), len(other.loc[inside]) - len(common)
    same = (one[common] == other[common]) | (one[common].isna() & other[common].isna())
    difference = (one[common] / other[common] - 1).mask(same, 0.0)
    far = difference[~(difference.abs() <= tolerance)]
    counts = (len(common), only_one, only_other, len(far))
    if far.empty:
        return (symbol, field, *counts, difference.iloc[int(difference.abs().argmax())], pd.NaT, pd.NaT, pd.NaT)
    place = int(far.abs().fillna(np.inf).argmax())
    days = pd.DatetimeIndex(far.index).normalize()
    return (symbol, field, *counts, far.iloc[place], days[place], days[0], days[-1])
