"""Who used which rows: one record for each run or result, so that a later correction can be traced to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import pandas as pd
import sqlalchemy as sa
import xarray as xr

from workbench.core.database import Database, Instant
from workbench.core.market import Adjustment

UseKind = Literal["run", "backtest", "sweep"]

# The columns as the migrations make them; `id` counts by itself.
USES = sa.Table(
    "uses",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("made", Instant, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False, index=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("symbols", sa.JSON, nullable=False),
    sa.Column("first", Instant, nullable=False),
    sa.Column("last", Instant, nullable=False),
    sa.Column("adjustment", sa.Text, nullable=False),
    sa.Column("known", Instant, nullable=False),
    sa.Column("link", sa.Text),
)


@dataclass(frozen=True, slots=True)
class Use:
    """Rows that went into a run or a result.

    Attributes
    ----------
    kind : {"run", "backtest", "sweep"}
    name : str
        What it was: a notebook, or a strategy with its symbols and parameters.
    made : datetime
        When, UTC.
    dataset, version : str
        Whose rows, and the version of its tables that was read.
    symbols : tuple of str
    first, last : datetime
        The first and the last bar, UTC.
    adjustment : {"none", "splits", "all"}
        What the prices were adjusted for.
    known : datetime
        Nothing that was learned later had any part in it, UTC.
    link : str, optional
        Where its files lie.
    id : int, optional
        Given when it is recorded.
    """

    kind: UseKind
    name: str
    made: datetime
    dataset: str
    version: str
    symbols: tuple[str, ...]
    first: datetime
    last: datetime
    adjustment: Adjustment
    known: datetime
    link: str | None = None
    id: int | None = None


def use_of(
    bars: xr.Dataset | pd.DataFrame,
    kind: UseKind,
    name: str,
    chosen: Mapping[str, Any],
    made: datetime,
    link: str | None = None,
) -> Use:
    """Return the use of Bars, or of one field of them; ``chosen`` is told after the name."""
    told = ", ".join(f"{key}={value}" for key, value in chosen.items())
    if isinstance(bars, pd.DataFrame):
        index, columns = bars.index, bars.columns
    else:
        index, columns = bars.indexes["time"], bars.indexes["symbol"]
    times = pd.DatetimeIndex(index).tz_localize("UTC").floor("us")
    attrs: dict[str, Any] = {str(name): value for name, value in bars.attrs.items()}
    return Use(
        kind,
        f"{name}({told})" if told else name,
        made,
        attrs["dataset"],
        attrs["version"],
        tuple(str(symbol) for symbol in columns),
        times[0].to_pydatetime(),
        times[-1].to_pydatetime(),
        attrs["adjustment"],
        pd.Timestamp(attrs["as_of"]).floor("us").to_pydatetime(),
        link,
    )


class UseLedger:
    """The uses of a home; several processes may write at once.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def record(self, use: Use) -> int:
        """Add a use and return its id.

        Raises
        ------
        StoreError
            If the records cannot be written.
        """
        values = asdict(use)
        values.pop("id")
        with self.database.writing() as connection:
            added = connection.execute(USES.insert().values({**values, "symbols": list(use.symbols)}))
            return int(added.inserted_primary_key[0]) if added.inserted_primary_key else 0

    def list(self, dataset: str | None = None) -> list[Use]:
        """Return the uses of a dataset, or of all, in the order in which they were recorded.

        Raises
        ------
        StoreError
            If the records cannot be read.
        """
        wanted = USES.select().order_by(USES.c.id)
        if dataset is not None:
            wanted = wanted.where(USES.c.dataset == dataset)
        with self.database.reading() as connection:
            rows = connection.execute(wanted).mappings().all()
        return [Use(**{**row, "symbols": tuple(row["symbols"])}) for row in rows]
