"""The bar store: raw bars, corporate actions and quarantined rows of each dataset, in Delta Lake tables.

``<store>/<dataset>/bars`` has what was traded, ``actions`` the splits and dividends, ``quarantine`` the rows that could
not be trusted, with the reason. Prices are adjusted on reading, never in the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from workbench.core.clock import Clock, utc_now
from workbench.core.market import FIELDS
from workbench.data.providers.base import History
from workbench.data.quality import inspect
from workbench.data.tables import INSTANT, FactTable

_FIELDS = [pa.field(name, pa.float64()) for name in FIELDS]
BARS = pa.schema([pa.field("symbol", pa.string()), pa.field("time", INSTANT), *_FIELDS])
ACTIONS = pa.schema(
    [
        pa.field("symbol", pa.string()),
        pa.field("time", INSTANT),
        pa.field("kind", pa.string()),
        pa.field("value", pa.float64()),
    ]
)
QUARANTINE = pa.schema(
    [pa.field("symbol", pa.string()), pa.field("date", pa.string()), *_FIELDS, pa.field("reason", pa.string())]
)


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: rows added to bars and actions, rows put into quarantine now."""

    bars: int
    actions: int
    quarantined: int


class DatasetTables:
    """The three tables of one dataset."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def bars(self) -> FactTable:
        """Bars as traded."""
        return FactTable(self.folder / "bars", BARS, keys=("symbol", "time"))

    @cached_property
    def actions(self) -> FactTable:
        """Splits and dividends."""
        return FactTable(self.folder / "actions", ACTIONS, keys=("symbol", "time", "kind"))

    @cached_property
    def quarantine(self) -> FactTable:
        """Rows that are kept apart, with the reason."""
        return FactTable(self.folder / "quarantine", QUARANTINE, keys=("symbol", "date", "reason"))


class BarStore:
    """All datasets under one folder.

    Parameters
    ----------
    root : Path
        The folder of the store; made on the first write.
    clock : callable
        Says when a row is learned.
    """

    def __init__(self, root: Path, clock: Clock = utc_now) -> None:
        self.root = root
        self.clock = clock

    def tables(self, dataset: str) -> DatasetTables:
        """Return the tables of a dataset, which may still be empty."""
        return DatasetTables(self.root / dataset)

    def has(self, dataset: str) -> bool:
        """Say whether a dataset is stored whole: bars, and the actions that adjust them."""
        tables = self.tables(dataset)
        return tables.bars.version() is not None and tables.actions.exists()

    def write(self, dataset: str, history: History) -> Written:
        """Check a provider's history and store it: idempotent, and safe beside other writers.

        Bars are written last: a dataset counts as stored only once its actions are.

        Raises
        ------
        StoreError
            If a table cannot be written.
        """
        tables, now = self.tables(dataset), pd.Timestamp(self.clock())
        rows = history.bars.reset_index(drop=True)
        reason = inspect(rows)
        bad = rows[reason != ""]
        suspect = bad.assign(reason=reason[bad.index], date=bad["date"].astype(str))
        actions = tables.actions.write(_one_a_day(history.actions), now)
        # Rows that share a date and a reason, such as doubled ones, are one finding.
        findings = suspect.drop_duplicates(["symbol", "date", "reason"])
        quarantined = tables.quarantine.write(findings, now) if len(findings) else 0
        bars = tables.bars.write(rows[reason == ""], now)
        return Written(bars, actions, quarantined)


def _one_a_day(actions: pd.DataFrame) -> pd.DataFrame:
    """Return one action of a kind for a symbol and day: two dividends add up, two splits multiply."""
    together = {"dividend": "sum", "split": "prod"}
    keys = ["symbol", "time", "kind"]
    parts = [own.groupby(keys)["value"].agg(together[str(kind)]).reset_index() for kind, own in actions.groupby("kind")]
    return pd.concat(parts, ignore_index=True) if parts else actions
