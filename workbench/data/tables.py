"""Append-only tables of facts: what was learned, and when.

A fact has a key and values. When a value changes, the new row is added beside the old one with the moment at which it
was learned; nothing is overwritten. Reading takes each key's latest row, or the latest that was known ``as_of`` an
instant.

Writers need no lock: a write reads the table, works out what is new and appends it in one Delta commit that is refused
if another writer committed in between, and then starts again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from workbench.core.errors import StoreError

INSTANT = pa.timestamp("us", tz="UTC")
ATTEMPTS = 30
LOOKS = 10


class FactTable:
    """One table.

    Parameters
    ----------
    path : Path
        Its folder; made on the first write.
    schema : pyarrow.Schema
        Columns without ``learned_at``, which every table has.
    keys : sequence of str
        The columns that identify a fact; the others are its values.
    """

    def __init__(self, path: Path, schema: pa.Schema, keys: Sequence[str]) -> None:
        self.path = path
        self.schema = schema.append(pa.field("learned_at", INSTANT))
        self.keys = list(keys)
        self.values = [name for name in schema.names if name not in keys]

    def version(self) -> int | None:
        """Return the number of the last commit, or ``None`` where nothing was ever written."""
        table = self._open()
        return None if table is None or table.version() == 0 else table.version()

    def exists(self) -> bool:
        """Say whether the table was made, with rows or without."""
        return self._open() is not None

    def read(self, symbols: Sequence[str] | None = None, as_of: pd.Timestamp | None = None) -> pd.DataFrame:
        """Return each key's latest row.

        Parameters
        ----------
        symbols : sequence of str, optional
            Only these values of the column ``symbol``.
        as_of : pandas.Timestamp, optional
            Leave out what was learned later.

        Returns
        -------
        pandas.DataFrame
            The schema's columns and ``learned_at``, sorted by the keys; ``attrs["version"]`` is the commit that was
            read, 0 where there is none.

        Raises
        ------
        StoreError
            If the table is damaged.
        """
        table = self._open()
        rows = self._latest(table, symbols, as_of)
        rows.attrs["version"] = table.version() if table else 0
        return rows

    def write(self, rows: pd.DataFrame, learned_at: pd.Timestamp) -> int:
        """Add the rows that are new or differ from what is known.

        Writing the same rows again adds nothing.

        Returns
        -------
        int
            How many rows were added.

        Raises
        ------
        StoreError
            If the table cannot be written, or other writers kept it busy through every attempt.
        """
        learned = rows[self.schema.names[:-1]].assign(learned_at=learned_at)
        # Through Arrow once, so that what is compared has the types of what is stored.
        rows = pa.Table.from_pandas(learned, schema=self.schema, preserve_index=False).to_pandas()
        rows = rows.drop_duplicates(self.keys, keep="last")
        for attempt in range(ATTEMPTS):
            try:
                table = self._open() or self._create()
                known = self._latest(table, None, None)
                new = self._new_rows(rows, known)
                if len(new):
                    # A clock may stand still or go back; what is learned later must read as later.
                    latest = known["learned_at"].max() + pd.Timedelta(microseconds=1) if len(known) else learned_at
                    self._append(table, new.assign(learned_at=max(learned_at, latest)))
                return len(new)
            except CommitFailedError:
                # Another writer was first: look again at what is new.
                time.sleep(random.uniform(0, 0.02 * (attempt + 1)))  # noqa: S311 - jitter, no secret
            except (DeltaError, OSError) as error:
                raise StoreError(
                    f"cannot write table {self.path} ({_brief(error)}); check the disk and its rights"
                ) from error
        raise StoreError(f"table {self.path} stayed busy through {ATTEMPTS} attempts; stop other writers and try again")

    def _open(self) -> DeltaTable | None:
        if not self.path.exists():
            return None
        for _ in range(LOOKS):
            try:
                return self._checked(DeltaTable(str(self.path)))
            except (DeltaError, OSError) as error:
                fault = error
            if isinstance(fault, TableNotFoundError) and not self._has_content():
                # It is being made, or its maker was stopped before the first commit.
                return None
            # Delta lists the log before another writer's first commit and reads it after: look again.
            time.sleep(0.02)
        raise self._damaged(fault) from fault

    def _has_content(self) -> bool:
        return any((self.path / "_delta_log").glob("*.json")) or any(self.path.glob("*.parquet"))

    def _checked(self, table: DeltaTable) -> DeltaTable:
        commit = self.path / "_delta_log" / f"{table.version():020d}.json"
        if commit.exists() and not commit.stat().st_size:
            # Delta reads an empty commit as one that changed nothing.
            raise OSError(f"commit {table.version()} is empty")
        return table

    def _create(self) -> DeltaTable:
        self.path.mkdir(parents=True, exist_ok=True)
        return DeltaTable.create(str(self.path), schema=self.schema, mode="ignore")

    def _append(self, table: DeltaTable, rows: pd.DataFrame) -> None:
        data = pa.Table.from_pandas(rows, schema=self.schema, preserve_index=False)
        # Two commits that carry one application id from the same version conflict: the second writer is refused.
        mine = CommitProperties(app_transactions=[Transaction("workbench", table.version() + 1)])
        write_deltalake(table, data, mode="append", commit_properties=mine)

    def _latest(
        self, table: DeltaTable | None, symbols: Sequence[str] | None, as_of: pd.Timestamp | None
    ) -> pd.DataFrame:
        if table is None:
            empty: pd.DataFrame = self.schema.empty_table().to_pandas()
            return empty
        filters: list[tuple[str, str, object]] = []
        if symbols is not None:
            filters.append(("symbol", "in", list(symbols)))
        if as_of is not None:
            filters.append(("learned_at", "<=", as_of.to_pydatetime()))
        try:
            rows: pd.DataFrame = table.to_pyarrow_table(filters=filters or None).to_pandas()
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise self._damaged(error) from error
        return rows.sort_values([*self.keys, "learned_at"]).drop_duplicates(self.keys, keep="last", ignore_index=True)

    def _new_rows(self, rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
        if known.empty:
            return rows
        before = rows[self.keys].merge(known, on=self.keys, how="left", indicator=True)
        same = (before["_merge"] == "both").to_numpy(copy=True)
        for name in self.values:
            old, new = before[name].reset_index(drop=True), rows[name].reset_index(drop=True)
            same &= ((old == new) | (old.isna() & new.isna())).to_numpy()
        return rows[~same]

    def _damaged(self, error: Exception) -> StoreError:
        return StoreError(
            f"table {self.path} is damaged ({_brief(error)}); restore it, or delete that folder to load it anew"
        )


def _brief(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
