"""Datasets that the catalog can read by itself, such as the sample: one table to bars and actions."""

from __future__ import annotations

from datetime import date
from threading import Lock

import pandas as pd

from workbench.core.calendar import session_closes
from workbench.core.errors import CatalogError, UnknownNameError, UnsupportedError
from workbench.core.market import FIELDS
from workbench.data.actions import implied_actions
from workbench.data.catalog import EntryMetadata, Layout
from workbench.data.providers.base import Access, History, Provider, Table


class SampleProvider(Provider):
    """Read a dataset of the catalog: the bars of its table, and the actions that its adjusted closes imply.

    Parameters
    ----------
    access : Access
        With the table of the dataset. It is read once, on the first question.

    Raises
    ------
    CatalogError
        If there is no table, or its entry does not say how its columns are laid out.
    """

    name = "sample"
    description = "Datasets of the catalog, such as the sample"
    licence = "that of the dataset, see the catalog"
    intervals = ("1d",)

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        if access.table is None or access.table.about.layout is None:
            name = access.table.name if access.table else "(none)"
            raise CatalogError(f"dataset {name!r} has no table of bars; name a dataset of kind 'bars'")
        self._table = access.table
        self._layout = access.table.about.layout
        self.adjustment = self._table.about.adjustment
        self._lock = Lock()
        self._read: dict[str, pd.DataFrame] | None = None

    def history(self, symbol: str, start: date, end: date, interval: str = "1d") -> History:
        """Return the bars of the days from ``start`` to ``end``, and the actions of these days.

        Rows without a date are part of every answer, so that they can be put into quarantine.

        Raises
        ------
        CatalogError
            If the entry cannot be read, or its table lacks a column that the layout names.
        UnknownNameError
            For a symbol that the table does not have.
        UnsupportedError
            For an interval other than a day.
        """
        if interval not in self.intervals:
            raise UnsupportedError(f"dataset {self._table.name!r} has no bars of {interval!r}; it has those of '1d'")
        own = self._own(symbol)
        inside = own["time"].isna() | own["time"].between(pd.Timestamp(start), pd.Timestamp(end))
        bars = own.loc[inside, ["time", *FIELDS]].reset_index(drop=True)
        return History(bars, self.actions(symbol, start, end), self._table.about.currency)

    def actions(self, symbol: str, start: date, end: date) -> pd.DataFrame:
        """Return the splits and dividends that the adjusted closes imply, none where there are no such closes.

        Raises
        ------
        CatalogError, UnknownNameError
            Like ``history``.
        """
        found = _actions(self._own(symbol), self._table.about, self._layout)
        inside = found["time"].between(pd.Timestamp(start), pd.Timestamp(end))
        return found[inside].reset_index(drop=True)

    def search(self, text: str) -> pd.DataFrame:
        """Return the symbols of the table that contain a text, all of them for an empty one.

        Raises
        ------
        CatalogError
            Like ``history``.
        """
        about = self._table.about
        symbols = [symbol for symbol in sorted(self._by_symbol()) if text.casefold() in symbol.casefold()]
        rows = [(symbol, "", about.calendar, about.currency, about.asset_class) for symbol in symbols]
        return pd.DataFrame(rows, columns=["symbol", "name", "exchange", "currency", "asset_class"], dtype="str")

    def _own(self, symbol: str) -> pd.DataFrame:
        known = self._by_symbol()
        if symbol not in known:
            raise UnknownNameError("symbol", symbol, known, f"dataset {self._table.name}")
        return known[symbol]

    def _by_symbol(self) -> dict[str, pd.DataFrame]:
        with self._lock:
            if self._read is None:
                groups = _rows(self._table, self._layout).groupby("symbol", sort=False)
                self._read = {str(symbol): own for symbol, own in groups}
            return self._read


def _rows(table: Table, layout: Layout) -> pd.DataFrame:
    """Return columns ``symbol time open high low close volume`` and, where there is one, ``adjusted_close``."""
    try:
        content = table.read()
        rows = _laid_out(content, table.about, layout)
        days = pd.DatetimeIndex(rows["time"])
    except (OSError, KeyError, ValueError, ImportError) as error:
        raise CatalogError(f"dataset {table.name!r} cannot be read ({error}); mend its catalog entry") from error
    return rows.assign(time=days)


def _laid_out(table: pd.DataFrame, about: EntryMetadata, layout: Layout) -> pd.DataFrame:
    if layout.symbol is None and layout.fixed_symbol is None:
        long = table.melt(id_vars=layout.date, var_name="symbol", value_name="close")
        return long.rename(columns={layout.date: "time"}).reindex(columns=["symbol", "time", *FIELDS])
    lowered = {column.lower(): column for column in table.columns}
    rows = pd.DataFrame({field: table[lowered[field]].astype("float64") for field in about.fields})
    rows["time"] = table[layout.date]
    rows["symbol"] = table[layout.symbol] if layout.symbol else layout.fixed_symbol
    if layout.adjusted_close:
        rows["adjusted_close"] = table[layout.adjusted_close]
    return rows.reindex(columns=["symbol", "time", *FIELDS, *(["adjusted_close"] if layout.adjusted_close else [])])


def _actions(own: pd.DataFrame, about: EntryMetadata, layout: Layout) -> pd.DataFrame:
    """Return the actions of one symbol; days that are no session of the calendar take no part."""
    if not layout.adjusted_close:
        none = {"time": pd.DatetimeIndex([]), "kind": pd.Series(dtype="str"), "value": pd.Series(dtype="float64")}
        return pd.DataFrame(none)
    is_session = session_closes(about.calendar, pd.DatetimeIndex(own["time"])).notna()
    closes = own[is_session].dropna(subset=["close"]).set_index("time")
    adjusted, decimals = closes["adjusted_close"], layout.adjusted_close_decimals
    return implied_actions(closes["close"], adjusted, decimals, layout.adjusted_by)
