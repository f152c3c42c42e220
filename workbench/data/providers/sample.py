"""Datasets that the catalog can read by itself, such as the sample: one table to bars and actions."""

from __future__ import annotations

import pandas as pd
from intake.readers.entry import Catalog

from workbench.core.calendar import session_closes
from workbench.core.errors import CatalogError
from workbench.core.market import FIELDS
from workbench.data.actions import COLUMNS, implied_actions
from workbench.data.catalog import EntryMetadata, Layout, entry_metadata
from workbench.data.providers.base import History


class SampleProvider:
    """Read a dataset through its catalog entry."""

    def history(self, catalog: Catalog, dataset: str) -> History:
        """Return all bars of a dataset, and the actions that its adjusted closes imply.

        Raises
        ------
        CatalogError
            If the entry cannot be read, or its table lacks a column that the layout names.
        """
        about = entry_metadata(catalog, dataset, kind="bars")
        assert about.layout is not None  # noqa: S101 - the schema of an entry of kind "bars"
        try:
            table = catalog[dataset].read()
            rows = _rows(table, about, about.layout)
            days = pd.DatetimeIndex(rows["date"])
        except (OSError, KeyError, ValueError, ImportError) as error:
            raise CatalogError(f"dataset {dataset!r} cannot be read ({error}); mend its catalog entry") from error
        rows = rows.assign(time=session_closes(about.calendar, days))
        return History(rows, _actions(rows, about.layout))


def _rows(table: pd.DataFrame, about: EntryMetadata, layout: Layout) -> pd.DataFrame:
    """Return columns ``symbol date open high low close volume`` and, where there is one, ``adjusted_close``."""
    if layout.symbol is None and layout.fixed_symbol is None:
        long = table.melt(id_vars=layout.date, var_name="symbol", value_name="close")
        return long.rename(columns={layout.date: "date"}).reindex(columns=["symbol", "date", *FIELDS])
    lowered = {column.lower(): column for column in table.columns}
    rows = pd.DataFrame({field: table[lowered[field]].astype("float64") for field in about.fields})
    rows["date"] = table[layout.date]
    rows["symbol"] = table[layout.symbol] if layout.symbol else layout.fixed_symbol
    if layout.adjusted_close:
        rows["adjusted_close"] = table[layout.adjusted_close]
    return rows.reindex(columns=["symbol", "date", *FIELDS, *(["adjusted_close"] if layout.adjusted_close else [])])


def _actions(rows: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    if not layout.adjusted_close:
        return pd.DataFrame(columns=list(COLUMNS))
    found = []
    for symbol, own in rows.dropna(subset=["time", "close"]).groupby("symbol"):
        closes = own.set_index("time")
        adjusted, decimals = closes["adjusted_close"], layout.adjusted_close_decimals
        implied = implied_actions(closes["close"], adjusted, decimals, layout.adjusted_by)
        found.append(implied.assign(symbol=symbol))
    return pd.concat(found)[list(COLUMNS)]
