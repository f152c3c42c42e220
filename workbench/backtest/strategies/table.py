"""Reading a table of signals: every row is checked, and the first that is wrong is named."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.calendar import instant
from workbench.core.errors import InputError, WorkbenchError

WORDS = {"buy": 1, "long": 1, "sell": -1, "short": -1, "flat": 0}
COLUMNS = ("symbol", "time", "signal", "weight", "strength", "reason")


def read_table(table: pd.DataFrame | str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table of signals.

    Parameters
    ----------
    table : pandas.DataFrame or path of a CSV file
        Columns ``symbol``, ``time``, one of ``signal`` and ``weight``, and perhaps ``strength`` and ``reason``; others
        are left out.

    Returns
    -------
    pandas.DataFrame
        The same columns: ``time`` in UTC without a zone, ``signal`` 1, 0 or -1; sorted by time.

    Raises
    ------
    InputError
        Naming the row and the value that cannot be read.
    """
    if not isinstance(table, pd.DataFrame):
        path = Path(table)
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
        except (OSError, ValueError) as error:
            raise InputError(f"the table {path} cannot be read ({error}); give a CSV file with a header") from error
    kinds = [column for column in ("signal", "weight") if column in table]
    missing = [column for column in ("symbol", "time") if column not in table]
    if missing or len(kinds) != 1 or not len(table):
        there = f"{len(table)} rows, columns {', '.join(map(str, table.columns))}"
        raise InputError(
            f"a table of signals needs rows, and the columns symbol, time and one of signal and weight (given: {there})"
        )
    kept = [column for column in COLUMNS if column in table]
    cells = zip(*(table[column] for column in kept), strict=True)
    rows = [_row(number, dict(zip(kept, row, strict=True))) for number, row in enumerate(cells, start=1)]
    read = pd.DataFrame(rows).astype({"time": "datetime64[ns]"})
    twice = read.duplicated(["symbol", "time"])
    if twice.any():
        row = read[twice].iloc[0]
        raise InputError(f"the table has two rows for {row['symbol']} at {row['time']}; keep one of them")
    return read.sort_values("time", kind="stable", ignore_index=True)


def _row(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Read one row.

    Raises
    ------
    InputError
        Naming the row and the value.
    """
    readers = {"symbol": _symbol, "time": _time, "signal": _signal, "weight": _number, "strength": _strength}
    read = {}
    for column, value in row.items():
        try:
            read[column] = readers.get(column, _text)(value)
        except (ValueError, TypeError, WorkbenchError) as error:
            raise InputError(f"row {number} of the table: {column}={value!r} is not valid: {error}") from error
    return read


def _symbol(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("give a symbol")
    return value.strip()


def _time(value: Any) -> pd.Timestamp:
    if isinstance(value, str):
        value = value.strip()
    elif not isinstance(value, date | np.datetime64) or pd.isna(value):
        raise ValueError("give a date or a time in UTC, such as 2012-03-01T20:00")
    return instant(value if isinstance(value, str) else pd.Timestamp(value)).tz_localize(None)


def _signal(value: Any) -> float:
    word = value.strip().lower() if isinstance(value, str) else value
    number = WORDS[word] if isinstance(word, str) and word in WORDS else _number(word)
    if number not in (-1, 0, 1):
        raise ValueError("give 1 or buy, -1 or sell, 0 or flat")
    return float(number)


def _number(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise ValueError("give a finite number")
    return number


def _strength(value: Any) -> float:
    if value is None or value != value:
        return float("nan")
    number = _number(value)
    if not -1 <= number <= 1:
        raise ValueError("give a number from -1 to 1")
    return number


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)
