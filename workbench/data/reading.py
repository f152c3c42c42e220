"""From a dataset's name to Bars: load into the store on first use, read, adjust, cut, validate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pandas as pd
import xarray as xr
from intake.readers.entry import Catalog

from workbench.core.calendar import Moment, date_range, instant
from workbench.core.errors import DateRangeError, InputError, UnknownNameError
from workbench.core.frames import bars_from_rows
from workbench.core.market import Adjustment
from workbench.core.plugins import load
from workbench.data.actions import adjust_rows
from workbench.data.catalog import EntryMetadata, entry_metadata
from workbench.data.providers.base import Provider
from workbench.data.store import BarStore, Written

_TAKEN_OUT = {"none": 0, "splits": 1, "all": 2}


class MarketData:
    """Bars of the datasets in a catalog.

    Parameters
    ----------
    catalog : intake.readers.entry.Catalog
    store : BarStore
    """

    def __init__(self, catalog: Catalog, store: BarStore) -> None:
        self.catalog = catalog
        self.store = store

    def load(self, dataset: str) -> Written:
        """Read a dataset from its provider into the store; rows that are there already are left alone."""
        about = entry_metadata(self.catalog, dataset, kind="bars")
        provider: Provider = load("workbench.providers", "provider", about.provider)()
        return self.store.write(dataset, provider.history(self.catalog, dataset))

    def symbols(self, dataset: str) -> list[str]:
        """Return the symbols of a dataset, sorted."""
        self._ensure(dataset)
        return sorted(self.store.tables(dataset).bars.read()["symbol"].unique())

    def bars(
        self,
        symbols: Sequence[str] | str | None,
        start: Moment | None,
        end: Moment | None,
        *,
        dataset: str,
        adjust: Adjustment,
        as_of: Moment | None = None,
    ) -> xr.Dataset:
        """Return Bars of one dataset.

        Parameters
        ----------
        symbols : str or sequence of str, optional
            Which ones, in this order; all that have bars in the range where ``None``.
        start, end : date-like, optional
            First and last day, both included.
        dataset : str
            The dataset; prices of two datasets are never mixed.
        adjust : {"none", "splits", "all"}
            What to take out of the prices: nothing, splits, splits and dividends. The factors are those of all
            actions known ``as_of``, so that a price does not depend on ``end``.
        as_of : date-like, optional
            Answer with what the store knew then.

        Returns
        -------
        xarray.Dataset
            Bars, shape (n_bars, n_symbols), see ``workbench.core.frames``.

        Raises
        ------
        UnknownNameError
            For a dataset or a symbol that is not there.
        DateRangeError
            For a reversed range, or one without bars of a symbol that was asked for.
        InputError
            If the source's prices are adjusted for more than was asked.
        """
        about = self._ensure(dataset)
        check_adjustment(adjust, about, dataset)
        first, last = date_range(start, end)
        known = None if as_of is None else instant(as_of, end_of_day=True).floor("us")
        tables = self.store.tables(dataset)
        wanted = [symbols] if isinstance(symbols, str) else None if symbols is None else list(dict.fromkeys(symbols))
        for symbol in wanted or []:
            if not isinstance(symbol, str):
                raise InputError(f"{symbol!r} is no symbol; give texts, such as ['AAPL']")
        if wanted == []:
            raise InputError(f"no symbols given; dataset {dataset!r} has {', '.join(self.symbols(dataset))}")
        rows = tables.bars.read(wanted, known)
        wanted = self._check_symbols(wanted, rows, dataset, known)
        actions = tables.actions.read(wanted, known)
        version = f"{dataset}@{rows.attrs['version']}.{actions.attrs['version']}"
        inside = self._cut(adjust_rows(rows, actions, adjust, about.adjustment), first, last)
        absent = [symbol for symbol in wanted if symbol not in set(inside["symbol"])]
        if absent and (symbols is not None or inside.empty):
            reach = rows[rows["symbol"].isin(absent)].groupby("symbol")["time"].agg(["min", "max"])
            spans = ", ".join(
                f"{name}: {span['min']:%Y-%m-%d} to {span['max']:%Y-%m-%d}" for name, span in reach.iterrows()
            )
            asked = f"from {start or 'the first'} to {end or 'the last'}"
            raise DateRangeError(f"no bars {asked} of {', '.join(absent)}; dataset {dataset!r} has {spans}")
        attrs = {
            "dataset": dataset,
            "version": version,
            "interval": about.interval,
            "currency": about.currency,
            "calendar": about.calendar,
            # An index has no splits and pays no dividends: whatever was asked, nothing was taken out.
            "adjustment": "none" if about.asset_class == "index" else adjust,
            "source": about.source,
            "as_of": (known or max([*rows["learned_at"], *actions["learned_at"]])).isoformat(),
            "fields": about.fields,
        }
        return bars_from_rows(inside, [symbol for symbol in wanted if symbol not in absent], attrs)

    @staticmethod
    def _cut(rows: pd.DataFrame, first: pd.Timestamp | None, last: pd.Timestamp | None) -> pd.DataFrame:
        after = rows["time"] >= first if first is not None else rows["time"].notna()
        before = rows["time"] <= last if last is not None else rows["time"].notna()
        return rows[after & before]

    def _ensure(self, dataset: str) -> EntryMetadata:
        about = entry_metadata(self.catalog, dataset, kind="bars")
        if not self.store.has(dataset):
            self.load(dataset)
        return about

    def _check_symbols(
        self, wanted: list[str] | None, rows: pd.DataFrame, dataset: str, known: pd.Timestamp | None
    ) -> list[str]:
        there = sorted(rows["symbol"].unique())
        for symbol in wanted or []:
            if symbol not in there:
                every = self.symbols(dataset)
                if symbol in every:
                    raise DateRangeError(
                        f"nothing was known of {symbol} as of {known:%Y-%m-%d %H:%M} UTC; choose a later as_of"
                    )
                raise UnknownNameError("symbol", symbol, every, where=f"dataset {dataset!r}")
        if rows.empty:
            raise DateRangeError(f"nothing of dataset {dataset!r} was known as of {known}; choose a later as_of")
        return wanted or there


def check_adjustment(adjust: str, about: EntryMetadata, dataset: str) -> None:
    """Raise where ``adjust`` is unknown or asks for less than the source has already taken out.

    Raises
    ------
    UnknownNameError, InputError
    """
    if adjust not in get_args(Adjustment):
        raise UnknownNameError("adjustment", adjust, get_args(Adjustment))
    if _TAKEN_OUT[adjust] < _TAKEN_OUT[about.adjustment]:
        raise InputError(
            f"adjust={adjust!r} cannot be had from dataset {dataset!r}: its prices arrive adjusted for "
            f"{'splits' if about.adjustment == 'splits' else 'splits and dividends'}; use adjust={about.adjustment!r}"
        )
