"""The state of one Delta table at a moment: which files it has, and which of them can hold what is asked for."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from workbench.core.errors import StoreError

APPLICATION = "workbench"
"""The application id of our commits: those that added rows, as those that merged files do not carry it."""

LOOKS = 10
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
HELD = 100_000
"""A table with at most so many rows is held in memory as long as it does not change."""


class Snapshot:
    """One version of a table.

    Attributes
    ----------
    number : int
        The number of its last commit.
    written : int or None
        The number of the last commit that added rows, ``None`` where none did.
    files : pandas.DataFrame
        One row per file: ``uri``, ``size_bytes``, ``num_records``, ``min.COLUMN`` and ``max.COLUMN``.

    Parameters
    ----------
    table : deltalake.DeltaTable
    schema : pyarrow.Schema
    options : mapping of str to str, optional
        Storage options.
    """

    def __init__(self, table: DeltaTable, schema: pa.Schema, options: Mapping[str, str] | None) -> None:
        self.table = table
        self.number = table.version()
        self.schema = schema
        self.options = dict(options) if options else None
        # At once: a write moves ``table`` on to its own commit.
        self.written: int | None = table.transaction_version(APPLICATION)
        self.files: pd.DataFrame = pa.table(table.get_add_actions(flatten=True)).to_pandas()
        self.files["uri"] = table.file_uris()

    @cached_property
    def symbols(self) -> list[str]:
        """The values of the column ``symbol``, sorted."""
        return sorted(self.scan().select(pl.col("symbol").unique()).collect()["symbol"].to_list())

    def scan(
        self,
        symbols: Sequence[str] | None = None,
        as_of: pd.Timestamp | None = None,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
    ) -> pl.LazyFrame:
        """Return the rows that were asked for, in the order of the files."""
        as_of, start, end = (moment and moment.tz_convert("UTC") for moment in (as_of, start, end))
        held = self._held
        rows = self._read(self._possible(symbols, as_of, start, end)) if held is None else held.lazy()
        if symbols is not None:
            one = pl.col("symbol") == symbols[0] if len(symbols) == 1 else pl.col("symbol").is_in(list(symbols))
            rows = rows.filter(one)
        if as_of is not None:
            rows = rows.filter(pl.col("learned_at") <= as_of)
        if start is not None:
            rows = rows.filter(pl.col("time") >= start)
        if end is not None:
            rows = rows.filter(pl.col("time") <= end)
        return rows

    @cached_property
    def _held(self) -> pl.DataFrame | None:
        return self._read(self.files["uri"]).collect() if self.files["num_records"].sum() <= HELD else None

    def _read(self, uris: pd.Series) -> pl.LazyFrame:
        if uris.empty:
            return pl.DataFrame(self.schema.empty_table()).lazy()
        # Polars takes only what says where the files are, not how often to try.
        where = {name: value for name, value in (self.options or {}).items() if name.upper().startswith("AWS_")}
        return pl.scan_parquet(uris.tolist(), storage_options=where or None, glob=False)

    def _possible(
        self,
        symbols: Sequence[str] | None,
        as_of: pd.Timestamp | None,
        start: pd.Timestamp | None,
        end: pd.Timestamp | None,
    ) -> pd.Series:
        """Return the files that can hold what is asked for."""
        possible = ~_outside(self.files, "time", start, end) & ~_outside(self.files, "learned_at", None, as_of)
        if symbols:
            possible &= ~_outside(self.files, "symbol", min(symbols), max(symbols))
        uris: pd.Series = self.files.loc[possible, "uri"]
        return uris


def _outside(files: pd.DataFrame, column: str, first: object, last: object) -> np.ndarray:
    """Say which files have no value of ``column`` from ``first`` to ``last``; a file without statistics may."""
    outside = np.zeros(len(files), dtype=bool)
    if first is not None and f"max.{column}" in files:
        outside |= (files[f"max.{column}"] < first).to_numpy(dtype=bool, na_value=False)
    if last is not None and f"min.{column}" in files:
        outside |= (files[f"min.{column}"] > last).to_numpy(dtype=bool, na_value=False)
    return outside


class Follower:
    """Keeps the newest snapshot of one table.

    Parameters
    ----------
    place : Path or str
        Its folder, or its S3 address.
    schema : pyarrow.Schema
    options : mapping of str to str, optional
        Storage options.
    """

    def __init__(self, place: Path | str, schema: pa.Schema, options: Mapping[str, str] | None) -> None:
        self.place = place
        self.schema = schema
        self.options = dict(options) if options else None
        self._log = place / "_delta_log" if isinstance(place, Path) else None
        self._lock = threading.Lock()
        self._latest: Snapshot | None = None
        self._commit: tuple[int, ...] = ()

    def snapshot(self) -> Snapshot | None:
        """Return the table as it is now, ``None`` where it was not made yet.

        Raises
        ------
        StoreError
            If the table is damaged.
        """
        with self._lock:
            if self._latest is None or not self._is_current(self._latest):
                table = self._look()
                if table is None:
                    self._latest = None
                elif self._log is not None or self._latest is None or self._latest.number != table.version():
                    self._take(table)
            return self._latest

    def take(self, table: DeltaTable) -> None:
        """Go on with what this process has just written."""
        with self._lock:
            self._take(table)

    def forget(self) -> None:
        """Look anew next time: another writer was first."""
        with self._lock:
            self._latest = None

    def _take(self, table: DeltaTable) -> None:
        try:
            self._latest = Snapshot(table, self.schema, self.options)
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise self.damaged(error) from error
        self._commit = self._seen(table.version())

    def damaged(self, error: Exception) -> StoreError:
        """Return the error for a table that cannot be read."""
        if self._log is None:
            return StoreError(
                f"table {self.place} cannot be read ({brief(error)}); check the address, AWS_* and the network"
            )
        return StoreError(
            f"table {self.place} is damaged ({brief(error)}); restore it, or delete that folder to load it anew"
        )

    def _is_current(self, latest: Snapshot) -> bool:
        if self._log is None:
            # On S3 only opening the table tells.
            return False
        # Commits are numbered without holes: two look-ups are much quicker than a list of the log.
        return self._seen(latest.number + 1) == () and self._seen(latest.number) == self._commit

    def _seen(self, number: int) -> tuple[int, ...]:
        """Return what tells one commit's file from another of the same number, nothing where there is none."""
        if self._log is None:
            return ()
        try:
            found = os.stat(self._log / f"{number:020d}.json")  # noqa: PTH116 - called at every read
        except OSError:
            return ()
        return (found.st_ino, found.st_size, found.st_mtime_ns)

    def _look(self) -> DeltaTable | None:
        if isinstance(self.place, Path) and not self.place.exists():
            return None
        for _ in range(LOOKS):
            try:
                return self._whole(DeltaTable(str(self.place), storage_options=self.options))
            except (DeltaError, OSError) as error:
                fault = error
            if isinstance(fault, TableNotFoundError) and not self._has_content():
                # It is being made, or its maker was stopped before the first commit.
                return None
            if self._log is None:
                # An object store shows a commit whole, and its client has tried again by itself.
                break
            # Delta lists the log before another writer's first commit and reads it after: look again.
            time.sleep(0.02)
        raise self.damaged(fault) from fault

    def _whole(self, table: DeltaTable) -> DeltaTable:
        seen = self._seen(table.version())
        if seen and seen[1] == 0:
            # Delta reads an empty commit as one that changed nothing.
            raise OSError(f"commit {table.version()} is empty")
        return table

    def _has_content(self) -> bool:
        if self._log is None:
            return False
        return any(self._log.glob("*.json")) or any(self._log.parent.glob("*.parquet"))


def brief(error: Exception) -> str:
    """Return the first line of an error's text, and the second where the first only announces it."""
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    told = " ".join(lines[:2]) if lines and lines[0].endswith(("->", "error", ":")) else "".join(lines[:1])
    return told[:240] or type(error).__name__
