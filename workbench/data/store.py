"""The bar store: for each dataset raw bars, corporate actions, quarantined rows, and what was asked for already.

``bars`` has what was traded, ``actions`` the splits and dividends, ``quarantine`` the rows that could not be trusted,
with the reason, ``coverage`` the days that a source was asked for. Prices are adjusted on reading, never in the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.core.clock import Clock, utc_now
from workbench.core.market import FIELDS
from workbench.data.quality import inspect, inspect_actions
from workbench.data.tables.base import INSTANT, FactTable, Tables

_SYMBOL = pa.field("symbol", pa.string())
_TIME = pa.field("time", INSTANT)
_FIELDS = [pa.field(name, pa.float64()) for name in FIELDS]
BARS = pa.schema([_SYMBOL, _TIME, *_FIELDS])
ACTIONS = pa.schema([_SYMBOL, _TIME, pa.field("kind", pa.string()), pa.field("value", pa.float64())])
QUARANTINE = pa.schema(
    [
        _SYMBOL,
        pa.field("date", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("session", INSTANT),
        *_FIELDS,
        pa.field("state", pa.string()),
    ]
)
COVERAGE = pa.schema([_SYMBOL, pa.field("first", INSTANT), pa.field("last", INSTANT)])

NO_DATE = "no date"
"""The label of a row that came without one."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: rows added to bars and actions, rows put into quarantine now."""

    bars: int
    actions: int
    quarantined: int


class DatasetTables:
    """The tables of one dataset.

    Parameters
    ----------
    tables : Tables
    dataset : str
    """

    def __init__(self, tables: Tables, dataset: str) -> None:
        self.tables = tables
        self.dataset = dataset

    @cached_property
    def bars(self) -> FactTable:
        """Bars as traded."""
        return self.tables.table(self.dataset, "bars", BARS, ("symbol", "time"))

    @cached_property
    def actions(self) -> FactTable:
        """Splits and dividends."""
        return self.tables.table(self.dataset, "actions", ACTIONS, ("symbol", "time", "kind"))

    @cached_property
    def quarantine(self) -> FactTable:
        """Rows that are kept apart, with the reason and what became of them."""
        return self.tables.table(self.dataset, "quarantine", QUARANTINE, ("symbol", "date", "reason"))

    @cached_property
    def coverage(self) -> FactTable:
        """Spans of days, both ends included, that the source has answered for."""
        return self.tables.table(self.dataset, "coverage", COVERAGE, ("symbol", "first"))


class BarStore:
    """All datasets in one place.

    Parameters
    ----------
    tables : Tables
        A folder, an S3 prefix or a database.
    clock : callable
        Says when a row is learned.
    """

    def __init__(self, tables: Tables, clock: Clock = utc_now) -> None:
        self.place = tables
        self.clock = clock
        self._datasets: dict[str, DatasetTables] = {}

    def tables(self, dataset: str) -> DatasetTables:
        """Return the tables of a dataset, which may still be empty."""
        return self._datasets.setdefault(dataset, DatasetTables(self.place, dataset))

    def has(self, dataset: str) -> bool:
        """Say whether a dataset is stored whole: bars, and the actions that adjust them."""
        tables = self.tables(dataset)
        return tables.bars.version() is not None and tables.actions.exists()

    def write(self, dataset: str, rows: pd.DataFrame, actions: pd.DataFrame, currency: str | None = None) -> Written:
        """Check rows and store them: idempotent, and safe beside other writers.

        Bars are written last: a dataset counts as stored only once its actions are.

        Parameters
        ----------
        dataset : str
        rows : pandas.DataFrame
            Columns ``symbol``, ``time`` (UTC, ``NaT`` where a row is of no session), ``date`` (as the source wrote it),
            ``open high low close volume`` and, where the source tells it, ``currency``.
        actions : pandas.DataFrame
            Columns ``symbol``, ``time`` (the ex-date's session), ``kind`` and ``value``; those that can be none are
            kept out, too.
        currency : str, optional
            What the dataset's prices are in; rows that are in another one are kept out.

        Raises
        ------
        StoreError
            If a table cannot be written.
        """
        tables = self.tables(dataset)
        rows, actions = rows.reset_index(drop=True), actions.reset_index(drop=True)
        reason, fault = inspect(rows, currency), inspect_actions(actions)
        findings = _findings(pd.concat([_bad_rows(rows, reason), _bad_actions(actions, fault)], ignore_index=True))
        judged = self._judged(tables, findings)
        # The clock is asked right before each write: what a reader was told as of a moment must not change after it.
        added = tables.actions.write(_one_a_day(actions[fault == ""]), pd.Timestamp(self.clock()))
        quarantined = 0
        if (~judged).any():
            quarantined = tables.quarantine.write(findings[~judged], pd.Timestamp(self.clock()))
        good = rows[reason == ""]
        bars = tables.bars.write(good, pd.Timestamp(self.clock()))
        self._replace(tables, good, findings, pd.Timestamp(self.clock()))
        return Written(bars, added, quarantined)

    @staticmethod
    def _replace(tables: DatasetTables, good: pd.DataFrame, findings: pd.DataFrame, now: pd.Timestamp) -> None:
        """Close the open findings of bars that have arrived sound since."""
        known = tables.quarantine.read()
        known = known[(known["state"] == "open") & known["session"].notna()]
        if known.empty:
            return
        keys = pd.MultiIndex.from_frame(known[["symbol", "date", "reason"]])
        again = keys.isin(pd.MultiIndex.from_frame(findings[["symbol", "date", "reason"]]))
        arrived = pd.MultiIndex.from_frame(known[["symbol", "session"]]).isin(
            pd.MultiIndex.from_frame(good[["symbol", "time"]])
        )
        if (arrived & ~again).any():
            tables.quarantine.write(known[arrived & ~again].assign(state="replaced"), now)

    @staticmethod
    def _judged(tables: DatasetTables, findings: pd.DataFrame) -> pd.Series:
        """Say which findings a person has accepted or fixed before, as they are."""
        known = tables.quarantine.read() if len(findings) else findings
        known = known[known["state"].isin(["accepted", "fixed"])] if len(known) else known
        if known.empty or findings.empty:
            return pd.Series(data=False, index=findings.index)
        same = ["symbol", "date", "reason", *FIELDS]
        marked = findings[same].merge(known[same].drop_duplicates(), on=same, how="left", indicator=True)
        return pd.Series((marked["_merge"] == "both").to_numpy(), index=findings.index)


def _bad_rows(rows: pd.DataFrame, reason: pd.Series) -> pd.DataFrame:
    bad = rows[reason != ""]
    return bad.assign(reason=reason[bad.index], date=_label(bad["date"]))


def _bad_actions(actions: pd.DataFrame, fault: pd.Series) -> pd.DataFrame:
    bad = actions[fault != ""]
    return bad.assign(reason=fault[bad.index], date=_label(bad["time"]), **dict.fromkeys(FIELDS, np.nan))


def _label(dates: pd.Series) -> pd.Series:
    return dates.astype(str).fillna(NO_DATE)


def _findings(bad: pd.DataFrame) -> pd.DataFrame:
    """Return a finding for each row that is kept out, those with one date and reason told apart by a number."""
    key = ["symbol", "date", "reason"]
    found = bad.assign(session=bad["time"], state="open").drop_duplicates([*key, *FIELDS])
    # By their values, so that a source that turns its rows around finds nothing new.
    found = found.sort_values([*key, *FIELDS], ignore_index=True)
    number = found.groupby(key).cumcount() + 1
    return found.assign(reason=found["reason"].where(number == 1, found["reason"] + " (" + number.astype(str) + ")"))


def _one_a_day(actions: pd.DataFrame) -> pd.DataFrame:
    """Return one action of a kind for a symbol and day: two dividends add up, two splits multiply."""
    together = {"dividend": "sum", "split": "prod"}
    keys = ["symbol", "time", "kind"]
    parts = [own.groupby(keys)["value"].agg(together[str(kind)]).reset_index() for kind, own in actions.groupby("kind")]
    return pd.concat(parts, ignore_index=True) if parts else actions
