"""Cells of people's own tables as days, instants and numbers, without guessing.

- Text is UTF-8, with or without a byte-order mark; cells are parted by ``,`` or ``;``, quoted cells may hold either and
  line ends.
- A date is written year first: ``2012-03-01``, ``2012/03/01``, ``20120301``. ``03/04/2012`` is March to some and April
  to others: an error. What is no date at all becomes ``NaT``.
- A number has ``.`` or ``,`` as its decimal sign and the other, a space or ``'`` between thousands. Which is which must
  follow from the file's own numbers; ``1,234`` alone does not tell: an error.
- ``nan``, ``null``, ``none``, ``n/a``, ``-`` and nothing at all are missing values.

The index of a table is the row as a person counts it in the file: 1 is the header.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.core.errors import DataError

MISSING = frozenset(("", "nan", "null", "none", "n/a", "#n/a", "na", "-", "--"))
"""Cells that say that there is no value, in lower case."""

_DAY = re.compile(r"(\d{4})([-/.]?)(\d{2})\2(\d{2})(?=$|[T ])", re.ASCII)
_UNCLEAR_DAY = re.compile(r"\d{1,2}\s?[-/.]\s?\d{1,2}\s?[-/.]\s?\d{2,4}(?!\d)", re.ASCII)
_SPACES = " '\u00a0\u202f"
_LIKE_A_NUMBER = re.compile(rf"[+-]?[\d.,{_SPACES}]*\d[\d.,{_SPACES}]*([eE][+-]?\d+)?", re.ASCII)
_NUMBER = {
    sign: re.compile(
        rf"[+-]?(\d+|\d{{1,3}}(?P<between>[{_SPACES}{other}])\d{{3}}((?P=between)\d{{3}})*)?"
        rf"({re.escape(sign)}\d*)?([eE][+-]?\d+)?",
        re.ASCII,
    )
    for sign, other in ((".", ","), (",", "."))
}


def read_csv(path: Path) -> pd.DataFrame:
    """Return a CSV file as text.

    Returns
    -------
    pandas.DataFrame
        Cells without the spaces around them; the index is the row in the file.

    Raises
    ------
    DataError
        If the file cannot be opened, is empty, is not UTF-8 text, or a row has not as many cells as the header.
    """
    header, *rows = _lines(path)
    width = len(header[1])
    for number, cells in rows:
        if len(cells) < width or any(cells[width:]):
            remedy = "mend the row, and quote numbers that have the delimiter in them"
            raise DataError(f"{path}, row {number}: {len(cells)} cells, but the header has {width}; {remedy}")
    content = [cells[:width] for _, cells in rows]
    return pd.DataFrame(content, columns=header[1], index=[number for number, _ in rows], dtype="str")


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows that are not blank, each with its number; a quoted cell may go over several lines."""
    text = _text(path)
    first = text.lstrip().partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    lines = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for number, cells in enumerate(reader, start=1):
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                lines.append((number, stripped))
    except csv.Error as error:
        place = f"near line {reader.line_num}"
        raise DataError(f"{path} is no sound CSV {place} ({error}); look for a quote that is not closed") from error
    if not lines:
        raise DataError(f"{path} is empty; write a header and rows, or remove it")
    return lines


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); mend its permissions or remove it") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text (byte {error.start}); save it as CSV in UTF-8") from error
    if "\0" in text:
        raise DataError(f"{path} is no text (byte {content.index(0)} is zero); save it as CSV in UTF-8")
    return text


def read_parquet(path: Path) -> pd.DataFrame:
    """Return a Parquet file's own columns; what pandas noted in it about an index is not acted upon.

    Raises
    ------
    DataError
        If it is no Parquet file, or a column holds something other than numbers, texts and times.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path).read()
        nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
        content: pd.DataFrame = table.drop_columns(nested).replace_schema_metadata().to_pandas(ignore_metadata=True)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as Parquet ({reason}); write it again") from error
    return content.set_index(pd.RangeIndex(2, len(content) + 2))


def decimal_sign(table: pd.DataFrame, path: Path) -> str:
    """Return the decimal sign of the numbers of a table: ``"."`` or ``","``.

    Raises
    ------
    DataError
        If two cells contradict each other, or a comma could be either sign.
    """
    seen: dict[str, tuple[object, str]] = {}
    unclear = None
    for name in table.columns:
        if _is_numeric(table[name]):
            continue
        for row, cell in table[name].items():
            sign = _told_sign(str(cell))
            if sign:
                seen.setdefault(sign, (row, str(cell)))
            elif unclear is None and re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", str(cell)):
                unclear = (row, str(cell))
    if len(seen) > 1:
        (row, cell), (other_row, other) = seen["."], seen[","]
        pair = f"rows {row} and {other_row}: {cell!r} and {other!r}"
        raise DataError(f"{path}, {pair} have different decimal signs; write one of them")
    if not seen and unclear:
        remedy = "set WORKBENCH_PROVIDERS__FILES__DECIMAL to the decimal sign, . or ,"
        raise DataError(f"{path}, row {unclear[0]}: {unclear[1]!r} has a comma that may be either sign; {remedy}")
    return next(iter(seen), ".")


def _told_sign(cell: str) -> str:
    """Return the decimal sign that a number can only have, or nothing."""
    points, commas = cell.count("."), cell.count(",")
    if not (points or commas) or not _LIKE_A_NUMBER.fullmatch(cell):
        return ""
    if points and commas:
        return "." if cell.rfind(".") > cell.rfind(",") else ","
    if points + commas == 1 and any(space in cell for space in _SPACES):
        return "." if points else ","
    if points > 1 or commas > 1:
        return "," if points else "."
    found = re.search(r"([.,])(\d*)", cell)
    whole = re.match(r"[+-]?(\d*)", cell)
    if found and whole and (len(found[2]) != 3 or whole[1] in ("", "0") or len(whole[1]) > 3):
        return found[1]
    return ""


def read_numbers(cells: pd.Series, decimal: str) -> tuple[pd.Series, pd.Series]:
    """Return the numbers of a column, shape (n,), and for each cell whether it is none although it is not empty.

    Digits beyond what a float can hold become infinite; that is for the quality checks.
    """
    if _is_numeric(cells):
        return cells.astype("float64"), pd.Series(False, index=cells.index)
    values = [_number(cell, decimal) for cell in cells]
    numbers = pd.Series([np.nan if value is None else value for value in values], index=cells.index, dtype="float64")
    return numbers, pd.Series([value is None for value in values], index=cells.index, dtype="bool")


def _is_numeric(cells: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)


def _number(cell: object, decimal: str) -> float | None:
    """Return a cell's number, NaN for a missing value, ``None`` for what is no number."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)) or cell is pd.NaT:
        return float("nan")
    text = str(cell).strip()
    if text.lower() in MISSING:
        return float("nan")
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return float(text)
    if not re.search(r"\d", text) or not _NUMBER[decimal].fullmatch(text):
        return None
    other = "," if decimal == "." else "."
    return float(re.sub(rf"[{_SPACES}{other}]", "", text).replace(decimal, "."))


def read_days(cells: pd.Series, path: Path) -> pd.Series:
    """Return the day that each cell names, shape (n,), without a zone; ``NaT`` for what is no date.

    Raises
    ------
    DataError
        If a date does not say which number is the month.
    """
    if isinstance(cells.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(cells):
        return pd.Series(cells.dt.tz_localize(None).dt.normalize().dt.as_unit("ns"))
    texts = _dates(cells, path)
    days = pd.to_datetime(texts.str.slice(0, 10), format="%Y-%m-%d", errors="coerce")
    return days.dt.as_unit("ns")


def read_instants(cells: pd.Series, path: Path) -> pd.Series:
    """Return the instant that each cell names, UTC, shape (n,); a time without a zone is taken as UTC.

    Raises
    ------
    DataError
        If a date does not say which number is the month.
    """
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        return pd.Series(cells.dt.tz_convert("UTC").dt.as_unit("ns"))
    if pd.api.types.is_datetime64_dtype(cells):
        return pd.Series(cells.dt.tz_localize("UTC").dt.as_unit("ns"))
    texts = _dates(cells, path)
    return pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True).dt.as_unit("ns")


def _dates(cells: pd.Series, path: Path) -> pd.Series:
    """Return each cell with its date as ``2012-03-01``, whatever follows it left as it is; empty for no date."""
    found = []
    for row, cell in cells.items():
        text = " ".join(str(cell).split())
        if _UNCLEAR_DAY.match(text):
            remedy = "write the year first, as 2012-03-01"
            raise DataError(f"{path}, row {row}: {text!r} does not say which number is the month; {remedy}")
        day = _DAY.match(text)
        found.append(f"{day[1]}-{day[3]}-{day[4]}{text[day.end() :]}" if day else "")
    return pd.Series(found, index=cells.index, dtype="str")
