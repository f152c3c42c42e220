"""The contract of a table of facts: what was learned, and when.

A fact has a key and values. When a value changes, the new row is added beside the old one with the moment at which it
was learned; nothing is overwritten. Reading takes each key's latest row, or the latest that was known ``as_of`` an
instant.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.core.errors import DataError, InputError

INSTANT = pa.timestamp("us", tz="UTC")


MOST_MINUTES = 50_000_000
"""A century of minutes; times further apart are ranked by sorting."""

MINUTE = 60_000_000
"""Microseconds in a minute."""

SPARSE = 20
"""So are times with fewer than one in this many minutes of their span."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def check_name(name: str) -> str:
    """Return ``name`` if a dataset or a table can have it; it becomes part of a path, or of a statement.

    Raises
    ------
    InputError
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot name a dataset; write up to 64 small letters, digits and _, a letter first")
    return name


@dataclass(frozen=True, slots=True)
class Panel:
    """Columns of a table as wide arrays, each key's latest row in its place.

    Attributes
    ----------
    times : numpy.ndarray
        ``datetime64[us]``, UTC, increasing, shape (n_times,).
    symbols : list of str
        Sorted, n_symbols of them.
    fields : mapping of str to numpy.ndarray
        float64, shape (n_times, n_symbols), NaN where there is no row.
    version : int
        The table's version that was read, 0 where there is none.
    learned : pandas.Timestamp or None
        When the latest of these rows was learned, ``None`` where there are none.
    """

    times: np.ndarray
    symbols: list[str]
    fields: Mapping[str, np.ndarray]
    version: int
    learned: pd.Timestamp | None


def scatter(
    codes: np.ndarray,
    symbols: Sequence[str],
    times: np.ndarray,
    learned: np.ndarray,
    values: Mapping[str, np.ndarray],
    version: int,
) -> Panel:
    """Lay rows out as wide arrays; of rows with one symbol and time the one that was learned last counts.

    Parameters
    ----------
    codes : numpy.ndarray
        Place of each row's symbol in ``symbols``, integers, shape (n,).
    symbols : sequence of str
        Distinct, in any order; those without a row are left out.
    times, learned : numpy.ndarray
        ``datetime64[us]``, shape (n,).
    values : mapping of str to numpy.ndarray
        float64, shape (n,).
    version : int
    """
    if (learned[1:] < learned[:-1]).any():
        # What is written later wins.
        order = np.argsort(learned, kind="stable")
        codes, times = codes[order], times[order]
        values = {name: column[order] for name, column in values.items()}
    every, rows = _ranked(times)
    present = np.flatnonzero(np.bincount(codes, minlength=len(symbols)))
    names = [symbols[code] for code in present.tolist()]
    place = np.zeros(len(symbols), dtype=np.intp)
    place[present[np.argsort(names)]] = np.arange(len(names))
    # Symbol by symbol, as the rows mostly come, and turned afterwards: neighbours in memory are written together.
    cells = place[codes] * len(every) + rows
    fields = {}
    for name, column in values.items():
        flat = np.full(len(every) * len(names), np.nan)
        flat[cells] = column
        fields[name] = flat.reshape(len(names), len(every)).T
    latest = pd.Timestamp(learned.max(), tz="UTC") if len(learned) else None
    return Panel(every, sorted(names), fields, version, latest)


def _ranked(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct times, increasing, and each time's place among them.

    Bars end whole minutes apart, so that a table with a place for every minute ranks millions of them without sorting;
    a few times over a long span are sorted.
    """
    if not len(times):
        return times, np.zeros(0, dtype=np.intp)
    first = times.min()
    offsets, beside = np.divmod((times - first).view(np.int64), MINUTE)
    span = int(offsets.max()) + 1
    if span > min(MOST_MINUTES, SPARSE * len(times)) or beside.any():
        every, place = np.unique(times, return_inverse=True)
        return every, place
    seen = np.zeros(span, dtype=bool)
    seen[offsets] = True
    distinct = np.flatnonzero(seen)
    place = np.empty(span, dtype=np.intp)
    place[distinct] = np.arange(len(distinct))
    return first + (distinct * MINUTE).view("timedelta64[us]"), place[offsets]


class FactTable(ABC):
    """One table; the subclasses say where it lies.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns without ``learned_at``, which every table has. A column ``symbol`` is required; a column ``time``, where
        there is one, is what ``start`` and ``end`` mean.
    keys : sequence of str
        The columns that identify a fact; the others are its values.
    """

    def __init__(self, schema: pa.Schema, keys: Sequence[str]) -> None:
        self.schema = schema.append(pa.field("learned_at", INSTANT))
        self.keys = list(keys)
        self.values = [name for name in schema.names if name not in keys]
        self.has_time = "time" in schema.names

    @abstractmethod
    def version(self) -> int | None:
        """Return a number that grows with every write that added rows, ``None`` where nothing was ever written."""

    @abstractmethod
    def exists(self) -> bool:
        """Say whether the table was made, with rows or without."""

    @abstractmethod
    def symbols(self) -> list[str]:
        """Return the values of the column ``symbol``, sorted."""

    @abstractmethod
    def read(
        self,
        symbols: Sequence[str] | None = None,
        as_of: pd.Timestamp | None = None,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return each key's latest row.

        Parameters
        ----------
        symbols : sequence of str, optional
            Only these values of the column ``symbol``.
        as_of : pandas.Timestamp, optional
            Leave out what was learned later.
        start, end : pandas.Timestamp, optional
            Only times from ``start`` to ``end``, both included.
        columns : sequence of str, optional
            Only these values, beside the keys and ``learned_at``.

        Returns
        -------
        pandas.DataFrame
            The keys, the values and ``learned_at``, sorted by the keys; ``attrs["version"]`` is the version that was
            read, 0 where there is none.

        Raises
        ------
        StoreError
            If the table is damaged or cannot be reached.
        """

    @abstractmethod
    def history(
        self,
        symbols: Sequence[str] | None = None,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Return every row that was ever learned, sorted by the keys and ``learned_at``."""

    def panel(
        self, columns: Sequence[str], symbols: Sequence[str] | None = None, as_of: pd.Timestamp | None = None
    ) -> Panel:
        """Return numeric columns of a table with ``symbol`` and ``time`` as its keys as wide arrays."""
        rows = self.read(symbols, as_of, columns=columns)
        codes, names = pd.factorize(rows["symbol"])
        return scatter(
            codes,
            [str(name) for name in names],
            rows["time"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]"),
            rows["learned_at"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]"),
            {name: rows[name].to_numpy(dtype="float64") for name in columns},
            version=rows.attrs["version"],
        )

    @abstractmethod
    def write(self, rows: pd.DataFrame, learned_at: pd.Timestamp) -> int:
        """Add the rows that are new or differ from what is known, all or none.

        Writing the same rows again adds nothing. Of rows with the same key the last counts.

        Returns
        -------
        int
            How many rows were added.

        Raises
        ------
        StoreError
            If the table cannot be written, or other writers kept it busy through every attempt.
        """

    def prepare(self, rows: pd.DataFrame, learned_at: pd.Timestamp) -> pd.DataFrame:
        """Return ``rows`` with the columns and types of the table, one row for a key.

        Raises
        ------
        DataError
            If a column has another type, or a row has no key.
        """
        learned = rows[self.schema.names[:-1]].assign(learned_at=learned_at)
        try:
            # Through Arrow once, so that what is compared has the types of what is stored.
            typed = pa.Table.from_pandas(learned, schema=self.schema, preserve_index=False)
        except pa.ArrowException as error:
            fault = "; ".join(str(part) for part in error.args)
            raise DataError(f"rows do not have the types of their table ({fault}); mend that column") from error
        for name in self.keys:
            if typed[name].null_count:
                raise DataError(f"{typed[name].null_count} rows have no {name!r}, a part of their key; leave them out")
        frame: pd.DataFrame = typed.to_pandas()
        return frame.drop_duplicates(self.keys, keep="last")

    def new_rows(self, rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
        """Return the prepared rows that ``known``, the latest rows of their keys, does not have.

        A clock may stand still or go back; what is learned later of a key must read as later.
        """
        if known.empty or rows.empty:
            return rows
        before = rows[self.keys].merge(known, on=self.keys, how="left", indicator=True)
        same = (before["_merge"] == "both").to_numpy(copy=True)
        for name in self.values:
            old, new = before[name].reset_index(drop=True), rows[name].reset_index(drop=True)
            same &= ((old == new) | (old.isna() & new.isna())).to_numpy()
        later = (before["learned_at"] + pd.Timedelta(microseconds=1)).set_axis(rows.index)
        return rows.assign(learned_at=rows["learned_at"].mask(later > rows["learned_at"], later))[~same]


class Tables(Protocol):
    """A place for tables: a folder, an S3 prefix, a database."""

    def table(self, dataset: str, name: str, schema: pa.Schema, keys: Sequence[str]) -> FactTable:
        """Return one table of a dataset, which may still be empty."""
        ...
