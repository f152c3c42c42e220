"""A folder of CSV or Parquet files, one per symbol: ``AAPL.csv`` for daily bars, ``AAPL.1h.csv`` for those of an hour.

Columns, in any order and case: ``date`` or ``time`` (or both, a day and a time of day), ``close``, with or without
``open``, ``high`` and ``low``, with or without ``volume``, ``dividend`` and ``split``. Others are ignored. What the
cells may hold is said in ``workbench.data.providers.cells``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.core.errors import DataError, InputError, ParameterError, UnknownNameError, UnsupportedError
from workbench.core.market import ADJUSTMENTS, FIELDS, PRICES, check_symbol
from workbench.data.providers.base import Access, History, Provider
from workbench.data.providers.cells import decimal_sign, read_csv, read_days, read_instants, read_numbers, read_parquet

NAMES: Mapping[str, tuple[str, ...]] = {
    "date": ("date", "day"),
    "time": ("time", "datetime", "timestamp"),
    **{field: (field,) for field in FIELDS},
    "dividend": ("dividend", "dividends"),
    "split": ("split", "splits", "stock splits"),
}
"""What each column may be called."""

SUFFIXES = (".csv", ".parquet")


class FilesProvider(Provider):
    """Read a folder of files.

    Options: ``folder``; ``currency`` (ISO 4217) and ``adjustment`` (``none``, ``splits``, ``all``) of the prices, where
    they are known; ``decimal`` (``.`` or ``,``), where the numbers alone do not tell.

    Parameters
    ----------
    access : Access

    Raises
    ------
    ParameterError
        If there is no folder, or an option has a value that it cannot have.
    """

    name = "files"
    description = "A folder of CSV or Parquet files, one per symbol"
    licence = "that of the files"
    intervals = ("1d", "1h", "1m")

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        given = access.options.get("folder", "")
        self.folder = Path(given).expanduser()
        if not given or not self.folder.is_dir():
            remedy = "set WORKBENCH_PROVIDERS__FILES__FOLDER to a folder of AAPL.csv, MSFT.parquet and so on"
            raise ParameterError(f"provider 'files' has no folder {given!r}; {remedy}")
        adjustment = _one_of(access.options, "adjustment", ADJUSTMENTS) or "none"
        self.adjustment = next(known for known in ADJUSTMENTS if known == adjustment)
        self.decimal = _one_of(access.options, "decimal", (".", ","))

    def history(self, symbol: str, start: date, end: date, interval: str = "1d") -> History:
        """Return the bars of the days from ``start`` to ``end`` (UTC days for bars shorter than a day).

        Rows without a readable date are part of every answer, and a row with a price or volume that is no number has
        none at all: both are for the quarantine.

        Raises
        ------
        InputError
            If ``symbol`` can be none.
        UnknownNameError
            If the folder has no file for it.
        UnsupportedError
            For an interval other than a day, an hour or a minute.
        DataError
            If the file cannot be read without guessing; the message names the file, the row and the remedy.
        """
        path = self._path(symbol, interval)
        columns = _named(read_csv(path) if path.suffix == ".csv" else read_parquet(path), path)
        decimal = self.decimal or decimal_sign(columns.drop(columns=["date", "time"], errors="ignore"), path)
        bars = _bars(columns, path, interval, decimal)
        day = bars["time"].dt.tz_localize(None).dt.normalize()
        actions = _actions(columns, day, path, decimal)
        bars = bars[_between(day, start, end) | day.isna()].reset_index(drop=True)
        actions = actions[_between(actions["time"], start, end)].reset_index(drop=True)
        return History(bars, actions, _currency(columns, path) or self.access.options.get("currency"))

    def actions(self, symbol: str, start: date, end: date) -> pd.DataFrame:
        """Return the splits and dividends of the file with daily bars, none where it has no such columns.

        Raises
        ------
        InputError, UnknownNameError, DataError
            Like ``history``.
        """
        found = self.history(symbol, start, end).actions
        assert found is not None  # noqa: S101 - history gives them always
        return found

    def search(self, text: str) -> pd.DataFrame:
        """Return the symbols of the folder that contain a text, all of them for an empty one."""
        every = {symbol for interval in self.intervals for symbol in self._symbols(interval)}
        symbols = sorted(symbol for symbol in every if text.casefold() in symbol.casefold())
        rows = [(symbol, "", "", self.access.options.get("currency", ""), "") for symbol in symbols]
        return pd.DataFrame(rows, columns=["symbol", "name", "exchange", "currency", "asset_class"], dtype="str")

    def _symbols(self, interval: str) -> set[str]:
        """Return the symbols that have a file of an interval; a file with another name is none of them."""
        found = set()
        for path in self.folder.iterdir():
            symbol, _, ending = path.stem.rpartition(".")
            if ending not in self.intervals or not symbol:
                symbol, ending = path.stem, "1d"
            if path.suffix in SUFFIXES and ending == interval and _is_symbol(symbol) and path.is_file():
                found.add(symbol)
        return found

    def _path(self, symbol: str, interval: str) -> Path:
        if interval not in self.intervals:
            raise UnsupportedError(f"provider 'files' has no bars of {interval!r}; ask for {', '.join(self.intervals)}")
        stem = check_symbol(symbol) if interval == "1d" else f"{check_symbol(symbol)}.{interval}"
        paths = [path for path in (self.folder / f"{stem}{suffix}" for suffix in SUFFIXES) if path.is_file()]
        # The daily bars of a symbol "A.1h" would be in the file that has the hourly ones of "A".
        if not paths or symbol.endswith((".1h", ".1m")):
            raise UnknownNameError("symbol", symbol, self._symbols(interval), f"folder {self.folder} ({interval})")
        if len(paths) > 1:
            raise DataError(f"{paths[0]} and {paths[1].name} are both {symbol} ({interval}); keep one of them")
        if not paths[0].resolve().is_relative_to(self.folder.resolve()):
            raise DataError(f"{paths[0]} leads out of its folder; put the file itself there")
        return paths[0]


def _between(days: pd.Series, start: date, end: date) -> pd.Series:
    return days.between(pd.Timestamp(start), pd.Timestamp(end))


def _one_of(options: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    value = options.get(name)
    if value is not None and value not in allowed:
        raise ParameterError(f"option {name!r} of provider 'files' cannot be {value!r}; choose {' or '.join(allowed)}")
    return value


def _is_symbol(text: str) -> bool:
    try:
        check_symbol(text)
    except InputError:
        return False
    return True


def _named(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the columns that are known, under our names."""
    lowered = [str(column).strip().lower() for column in table.columns]
    chosen = {}
    for name, called in NAMES.items():
        places = [place for place, column in enumerate(lowered) if column in called]
        if len(places) > 1:
            raise DataError(f"{path} has {len(places)} columns for {name!r}; keep one of them")
        if places:
            chosen[name] = table.iloc[:, places[0]]
    missing = [name for name in ("close",) if name not in chosen]
    missing += [] if {"date", "time"} & set(chosen) else ["date"]
    # A file of closes only is sound; with some of the other prices, one was misspelt or forgotten.
    missing += [price for price in PRICES if price not in chosen] if {"open", "high", "low"} & set(chosen) else []
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}, only {', '.join(lowered)}; add or rename it")
    return pd.DataFrame(chosen)


def _bars(columns: pd.DataFrame, path: Path, interval: str, decimal: str) -> pd.DataFrame:
    """Return ``time`` and the fields; a row with a cell that is no number has NaN in all of them."""
    numbers = {field: read_numbers(columns[field], decimal) for field in FIELDS if field in columns}
    unreadable = np.any([wrong for _, wrong in numbers.values()], axis=0)
    missing = pd.Series(np.nan, index=columns.index)
    bars = {field: numbers[field][0].mask(unreadable) if field in numbers else missing for field in FIELDS}
    stamps = columns["time"] if "time" in columns else columns["date"]
    if "date" in columns and "time" in columns:
        stamps = columns["date"].astype("str") + "T" + columns["time"].astype("str")
    read = read_days if interval == "1d" else read_instants
    return pd.DataFrame({"time": read(stamps, path), **bars})


def _actions(columns: pd.DataFrame, days: pd.Series, path: Path, decimal: str) -> pd.DataFrame:
    """Return dividends and splits: the cells that are neither empty nor without effect (0, and a split of 1)."""
    found = [pd.DataFrame({"time": days[:0], "kind": pd.Series(dtype="str"), "value": pd.Series(dtype="float64")})]
    for kind in ("dividend", "split"):
        if kind not in columns:
            continue
        values, unreadable = read_numbers(columns[kind], decimal)
        wrong = days.notna() & (unreadable | (values < 0) | np.isinf(values))
        if wrong.any():
            row = wrong.index[wrong][0]
            raise DataError(f"{path}, row {row}: {columns.loc[row, kind]!r} is no {kind}; write a number or nothing")
        there = days.notna() & values.notna() & (values != 0) & ((values != 1) | (kind == "dividend"))
        found.append(pd.DataFrame({"time": days[there], "kind": kind, "value": values[there]}))
    return pd.concat(found).sort_values("time", kind="stable", ignore_index=True)


def _currency(columns: pd.DataFrame, path: Path) -> str | None:
    """Return the currency that a file tells, ``None`` where it tells none."""
    if "currency" not in columns:
        return None
    told = columns["currency"].dropna().astype(str).str.strip()
    found = sorted({value for value in told if value})
    if len(found) > 1:
        raise DataError(f"{path} has prices in {' and '.join(found)}; keep one currency in a file")
    return found[0] if found else None
