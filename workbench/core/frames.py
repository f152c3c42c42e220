"""Bars: the one shape in which prices travel, made and validated here once.

A *Bars* is an ``xarray.Dataset`` with dims ``(time, symbol)`` and the variables ``open high low close volume``
(float64). ``time`` is UTC without a zone (``datetime64[ns]``), strictly increasing; a daily bar carries its session's
close. A symbol without a bar at a time has NaN in all five. A source that has closes only leaves the other fields NaN
throughout and says so in ``attrs["fields"]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench.core.calendar import Moment, date_range
from workbench.core.errors import DataError, DateRangeError, InputError, UnknownNameError
from workbench.core.market import FIELDS, PRICES

ATTRS = ("dataset", "version", "interval", "currency", "calendar", "adjustment", "source", "as_of", "fields")


def bars_from_rows(rows: pd.DataFrame, symbols: Sequence[str], attrs: Mapping[str, Any]) -> xr.Dataset:
    """Pivot long rows into Bars.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns ``symbol``, ``time`` (UTC, aware) and the fields; one row per symbol and time.
    symbols : sequence of str
        The order of the symbols in the result, shape (n_symbols,).
    attrs : mapping
        The attributes named in ``ATTRS``.

    Returns
    -------
    xarray.Dataset
        Validated Bars, shape (n_bars, n_symbols).

    Raises
    ------
    DataError
        If a symbol has two rows for one time, or a rule of Bars is broken.
    """
    frame = rows.assign(time=rows["time"].dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[ns]"))
    if frame.duplicated(["symbol", "time"]).any():
        twice = frame[frame.duplicated(["symbol", "time"])].iloc[0]
        raise DataError(f"{twice.symbol} has two bars at {twice.time}; keep one of them")
    wide = {field: frame.pivot(index="time", columns="symbol", values=field) for field in FIELDS}  # noqa: PD010
    times = pd.DatetimeIndex(wide["close"].index).to_numpy(dtype="datetime64[ns]")
    variables = {
        field: (("time", "symbol"), table.reindex(columns=list(symbols)).to_numpy(dtype="float64"))
        for field, table in wide.items()
    }
    coords = {"time": times, "symbol": np.asarray(symbols, dtype=object)}
    return validate_bars(xr.Dataset(variables, coords=coords, attrs=dict(attrs)))


def validate_bars(bars: xr.Dataset) -> xr.Dataset:
    """Return ``bars`` if it keeps every rule of Bars.

    Raises
    ------
    DataError
        Naming the first rule that is broken.
    """
    missing = [name for name in FIELDS if name not in bars]
    if missing or set(bars.dims) != {"time", "symbol"}:
        raise DataError(
            f"Bars need dims (time, symbol) and {', '.join(FIELDS)}; missing: {', '.join(missing) or 'dims'}"
        )
    absent = [name for name in ATTRS if name not in bars.attrs]
    if absent:
        raise DataError(f"Bars need the attributes {', '.join(ATTRS)}; missing: {', '.join(absent)}")
    index = bars.indexes["time"]
    if not (index.is_monotonic_increasing and index.is_unique):
        raise DataError("the times of Bars must increase without repeats; sort them and drop the repeats")
    if not bars.indexes["symbol"].is_unique:
        raise DataError("the symbols of Bars must be unique; drop the repeats")
    for field in PRICES:
        values = bars[field].to_numpy()
        if np.isinf(values).any() or (values <= 0).any():
            raise DataError(f"{field} prices must be positive and finite; quarantine the rows that are not")
    return bars


def require_fields(bars: xr.Dataset, fields: Sequence[str], purpose: str) -> None:
    """Raise where the source of ``bars`` does not have ``fields``.

    Raises
    ------
    InputError
        Naming the dataset, what it lacks and what for.
    """
    lacking = [field for field in fields if field not in bars.attrs["fields"]]
    if lacking:
        raise InputError(
            f"dataset {bars.attrs['dataset']!r} has no {', '.join(lacking)}, which {purpose} needs; "
            f"choose another dataset (it has: {', '.join(bars.attrs['fields'])})"
        )


def between(bars: xr.Dataset, start: Moment | None, end: Moment | None) -> xr.Dataset:
    """Return the bars of a range of days, both included; an open end where ``None``.

    Raises
    ------
    DateRangeError
        For a reversed range, or one without bars.
    """
    first, last = (None if stamp is None else stamp.tz_localize(None) for stamp in date_range(start, end))
    cut = bars.sel(time=slice(first, last))
    if not cut.sizes["time"]:
        times = bars.indexes["time"]
        there = f"{times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}" if len(times) else "none at all"
        raise DateRangeError(f"no bars from {start} to {end}; there are {there}")
    return cut


def own_bars(bars: xr.Dataset, symbol: str) -> pd.DataFrame:
    """Return one symbol's own bars; see ``per_symbol``.

    Raises
    ------
    UnknownNameError
        If the symbol is not among the bars.
    """
    known = [str(name) for name in bars["symbol"].to_numpy()]
    if symbol not in known:
        raise UnknownNameError("symbol", symbol, known, where="these bars")
    return dict(per_symbol(bars.sel(symbol=[symbol])))[symbol]


def per_symbol(bars: xr.Dataset) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each symbol with its own bars as a frame, the times without a bar left out.

    Yields
    ------
    symbol : str
    frame : pandas.DataFrame
        Columns ``open high low close volume``, shape (n_own_bars, 5).
    """
    for symbol in bars["symbol"].to_numpy():
        frame = bars.sel(symbol=symbol, drop=True).to_dataframe()[list(FIELDS)]
        yield str(symbol), frame[frame["close"].notna()]
