"""Tables of facts on Delta Lake, in a folder or under an S3 prefix.

Writers need no lock: a write reads what the table knows of the same keys, works out what is new and appends it in one
Delta commit that is refused if another writer committed in between, and then starts again. Small files of many writes
are merged as they add up; reading passes over the files and row groups that cannot hold what is asked for.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from workbench.core.errors import StoreError
from workbench.data.tables.base import FactTable, Panel, check_name, scatter
from workbench.data.tables.snapshot import APPLICATION, Follower, Snapshot, brief

ATTEMPTS = 30

# Row groups small enough that one symbol's bars do not cost a whole table.
WRITER = WriterProperties(compression="ZSTD", max_row_group_size=32_768)

SMALL = 16 * 2**20
"""Files below this size (bytes) are merged once there are many of them."""

MANY = 16

KEEP_HOURS = 7 * 24
"""How long a merged file stays for readers that still look at an older state."""


class DeltaTables:
    """The tables under one root.

    Parameters
    ----------
    root : Path or str
        A folder, made on the first write, or ``s3://bucket/prefix``.
    storage_options : mapping of str to str, optional
        For S3: what ``deltalake`` takes; what is not given is read from ``AWS_*`` in the environment.
    """

    def __init__(self, root: Path | str, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = root if isinstance(root, Path) else root.rstrip("/")
        self.storage_options = dict(storage_options or {})

    def __repr__(self) -> str:
        return f"DeltaTables({str(self.root)!r})"

    def table(self, dataset: str, name: str, schema: pa.Schema, keys: Sequence[str]) -> FactTable:
        """Return one table of a dataset, which may still be empty."""
        check_name(dataset)
        check_name(name)
        if isinstance(self.root, Path):
            return DeltaFacts(self.root / dataset / name, schema, keys)
        return DeltaFacts(f"{self.root}/{dataset}/{name}", schema, keys, self.storage_options)


class DeltaFacts(FactTable):
    """One table; see ``workbench.data.tables.base.FactTable``.

    Parameters
    ----------
    place : Path or str
        Its folder, made on the first write, or its S3 address.
    schema : pyarrow.Schema
    keys : sequence of str
    options : mapping of str to str, optional
        Storage options.
    """

    def __init__(
        self, place: Path | str, schema: pa.Schema, keys: Sequence[str], options: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(schema, keys)
        self.place = place
        self.options = dict(options) if options else None
        self._follower = Follower(place, self.schema, options)
        self._writing = threading.Lock()

    def version(self) -> int | None:
        """Return the number of the last commit that added rows, ``None`` where nothing was ever written."""
        found = self._follower.snapshot()
        return found.written if found else None

    def exists(self) -> bool:
        """Say whether the table was made, with rows or without."""
        return self._follower.snapshot() is not None

    def symbols(self) -> list[str]:
        """Return the values of the column ``symbol``, sorted."""
        found = self._follower.snapshot()
        return list(found.symbols) if found else []

    def read(
        self,
        symbols: Sequence[str] | None = None,
        as_of: pd.Timestamp | None = None,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return each key's latest row; see ``FactTable.read``."""
        found = self._follower.snapshot()
        names = [*self.keys, *(self.values if columns is None else columns), "learned_at"]
        return self._pandas(self._latest(found, names, symbols, as_of, start, end), found)

    def history(
        self,
        symbols: Sequence[str] | None = None,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Return every row that was ever learned; see ``FactTable.history``."""
        found = self._follower.snapshot()
        rows = self._rows(found, self.schema.names, symbols, None, start, end)
        return self._pandas(rows.sort([*self.keys, "learned_at"]), found)

    def panel(
        self, columns: Sequence[str], symbols: Sequence[str] | None = None, as_of: pd.Timestamp | None = None
    ) -> Panel:
        """Return columns as wide arrays; see ``FactTable.panel``."""
        found = self._follower.snapshot()
        rows = self._rows(found, ["symbol", "time", *columns, "learned_at"], symbols, as_of, None, None)
        known = sorted(set(symbols)) if symbols is not None else found.symbols if found else []
        # Rows of one symbol mostly stand together: its name is looked up once a run.
        run = rows["symbol"].rle().struct.unnest()
        codes = run["value"].cast(pl.Enum(known)).to_physical().to_numpy()
        return scatter(
            np.repeat(codes, run["len"].to_numpy()),
            known,
            rows["time"].to_numpy(),
            rows["learned_at"].to_numpy(),
            {name: rows[name].to_numpy() for name in columns},
            version=found.written or 0 if found else 0,
        )

    def write(self, rows: pd.DataFrame, learned_at: pd.Timestamp) -> int:
        """Add the rows that are new or differ from what is known; see ``FactTable.write``."""
        rows = self.prepare(rows, learned_at)
        for attempt in range(ATTEMPTS):
            try:
                # A write moves the snapshot's table on, so that of two threads one has to wait.
                with self._writing:
                    return self._write(rows)
            except CommitFailedError:
                # Another writer was first: look again at what is new.
                self._follower.forget()
                time.sleep(random.uniform(0, 0.02 * (attempt + 1)))  # noqa: S311 - jitter, no secret
            except (DeltaError, OSError) as error:
                what = "the disk and its rights" if isinstance(self.place, Path) else "the address and AWS_*"
                raise StoreError(f"cannot write table {self.place} ({brief(error)}); check {what}") from error
        raise StoreError(
            f"table {self.place} stayed busy through {ATTEMPTS} attempts; stop other writers and try again"
        )

    def _write(self, rows: pd.DataFrame) -> int:
        found = self._follower.snapshot() or self._create()
        new = self.new_rows(rows, self._known(found, rows))
        if len(new):
            self._append(found, new)
            if (found.files["size_bytes"] < SMALL).sum() >= MANY:
                self._merge_small_files(found.table)
            self._follower.take(found.table)
        return len(new)

    def _create(self) -> Snapshot:
        if isinstance(self.place, Path):
            self.place.mkdir(parents=True, exist_ok=True)
        made = DeltaTable.create(str(self.place), schema=self.schema, mode="ignore", storage_options=self.options)
        return Snapshot(made, self.schema, self.options)

    def _append(self, found: Snapshot, rows: pd.DataFrame) -> None:
        data = pa.Table.from_pandas(rows.sort_values(self.keys), schema=self.schema, preserve_index=False)
        # Two commits that carry one application id from the same version conflict: the second writer is refused.
        mine = CommitProperties(app_transactions=[Transaction(APPLICATION, found.number + 1)])
        write_deltalake(found.table, data, mode="append", commit_properties=mine, writer_properties=WRITER)

    def _merge_small_files(self, table: DeltaTable) -> None:
        try:
            table.optimize.compact(target_size=SMALL, writer_properties=WRITER)
            table.vacuum(retention_hours=KEEP_HOURS, dry_run=False)
        except (DeltaError, OSError):
            # Another writer merges them at this moment, or the disk is full: what was written is written.
            return

    def _rows(
        self,
        found: Snapshot | None,
        names: Sequence[str],
        symbols: Sequence[str] | None,
        as_of: pd.Timestamp | None,
        start: pd.Timestamp | None,
        end: pd.Timestamp | None,
    ) -> pl.DataFrame:
        if found is None:
            return pl.DataFrame(self.schema.empty_table()).select(names)
        try:
            return found.scan(symbols, as_of, start, end).select(names).collect()
        except (pl.exceptions.PolarsError, DeltaError, OSError) as error:
            raise self._follower.damaged(error) from error

    def _latest(
        self,
        found: Snapshot | None,
        names: Sequence[str],
        symbols: Sequence[str] | None,
        as_of: pd.Timestamp | None,
        start: pd.Timestamp | None,
        end: pd.Timestamp | None,
    ) -> pl.DataFrame:
        rows = self._rows(found, names, symbols, as_of, start, end)
        if rows.is_empty():
            return rows
        return rows.sort([*self.keys, "learned_at"]).unique(subset=self.keys, keep="last", maintain_order=True)

    def _known(self, found: Snapshot, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the latest rows among which those of the same keys are."""
        if rows.empty:
            return rows
        first, last = (rows["time"].min(), rows["time"].max()) if self.has_time else (None, None)
        symbols = sorted(rows["symbol"].unique())
        return self._pandas(self._latest(found, self.schema.names, symbols, None, first, last), found)

    def _pandas(self, rows: pl.DataFrame, found: Snapshot | None) -> pd.DataFrame:
        schema = pa.schema([self.schema.field(name) for name in rows.columns])
        frame: pd.DataFrame = rows.to_arrow().cast(schema).to_pandas()
        frame.attrs["version"] = found.written or 0 if found else 0
        return frame
