"""From the store to Bars: read, adjust, cut, validate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import pandas as pd
import xarray as xr

from workbench.core.calendar import Moment, date_range, exchange_calendar, instant
from workbench.core.errors import DateRangeError, InputError, UnknownNameError
from workbench.core.frames import validate_bars
from workbench.core.known import LIFT, last_moment, limit, told
from workbench.core.market import FIELDS, Adjustment
from workbench.data.actions import adjust_panel
from workbench.data.entries import EntryMetadata
from workbench.data.store import BarStore, DatasetTables
from workbench.data.tables.base import Panel

_TAKEN_OUT = {"none": 0, "splits": 1, "all": 2}


class Reading:
    """One dataset as it was known at an instant.

    Parameters
    ----------
    dataset : str
    about : EntryMetadata
    tables : DatasetTables
    now : pandas.Timestamp
        The present instant.
    as_of : date-like, optional
        Leave out what was learned later.
    """

    def __init__(
        self, dataset: str, about: EntryMetadata, tables: DatasetTables, now: pd.Timestamp, as_of: Moment | None = None
    ) -> None:
        self.dataset = dataset
        self.about = about
        self.tables = tables
        # Of today, or of a day to come, no more is known than now.
        self.known = None if as_of is None else min(last_moment(as_of), now).floor("us")

    def bars(
        self, symbols: Sequence[str] | str | None, start: Moment | None, end: Moment | None, adjust: Adjustment
    ) -> xr.Dataset:
        """Return Bars; see ``workbench.data.market.MarketData.bars``."""
        first, last = date_range(start, end)
        wanted = self._wanted(symbols)
        panel, fields, version, learned = self._panel(FIELDS, wanted, adjust)
        wanted = self._check_symbols(wanted, panel)
        rows = _inside(panel.times, first, last)
        there = np.isfinite(panel.fields["close"][rows]).any(axis=0)
        place = {name: column for column, name in enumerate(panel.symbols)}
        absent = [name for name in wanted if not there[place[name]]]
        if absent and (symbols is not None or len(absent) == len(wanted)):
            asked = f"from {start or 'the first'} to {end or 'the last'}"
            spans = ", ".join(self._reach(panel, name) for name in absent)
            raise DateRangeError(f"no bars {asked} of {', '.join(absent)}; dataset {self.dataset!r} has {spans}")
        kept = [name for name in wanted if there[place[name]]]
        columns = np.array([place[name] for name in kept], dtype=np.intp)
        # A time at which none of these symbols has a bar belongs to others.
        rows = rows[np.isfinite(panel.fields["close"][np.ix_(rows, columns)]).any(axis=1)]
        cells = np.ix_(rows, columns)
        variables = {name: (("time", "symbol"), values[cells]) for name, values in fields.items()}
        coords = {"time": panel.times[rows].astype("datetime64[ns]"), "symbol": np.asarray(kept, dtype=object)}
        attrs = self._attrs(adjust, version, learned)
        return validate_bars(xr.Dataset(variables, coords=coords, attrs=attrs))

    def symbols(self) -> list[str]:
        """Return the symbols of which something was known, sorted.

        Raises
        ------
        DateRangeError
            If nothing was known.
        """
        found = _symbols(self.tables, self.known)
        if not found and self.known is not None:
            raise self._nothing_known()
        return found

    def field(self, name: str, symbols: Sequence[str] | str | None, adjust: Adjustment) -> pd.DataFrame:
        """Return one field as a wide frame; see ``workbench.data.market.MarketData.field``."""
        if name not in self.about.fields:
            raise UnknownNameError("field", name, self.about.fields, where=f"dataset {self.dataset!r}")
        wanted = self._wanted(symbols)
        columns = tuple(dict.fromkeys([name, "close"])) if adjust != "none" else (name,)
        panel, fields, version, learned = self._panel(columns, wanted, adjust)
        names = self._check_symbols(wanted, panel)
        times = pd.DatetimeIndex(panel.times, name="time").as_unit("ns")
        wide = pd.DataFrame(fields[name], index=times, columns=pd.Index(panel.symbols, name="symbol"), copy=False)
        chosen = wide if names == panel.symbols else wide[names]
        chosen.attrs.update(self._attrs(adjust, version, learned))
        return chosen

    def _panel(
        self, columns: Sequence[str], wanted: list[str] | None, adjust: Adjustment
    ) -> tuple[Panel, Mapping[str, np.ndarray], str, pd.Timestamp | None]:
        """Return the panel as stored, its fields adjusted, the version, and when the last of it was learned."""
        check_adjustment(adjust, self.about, self.dataset)
        panel = self.tables.bars.panel(columns, wanted, self.known)
        actions = self._actions(wanted)
        version = f"{self.dataset}@{panel.version}.{actions.attrs['version']}"
        learned = [stamp for stamp in (panel.learned, actions["learned_at"].max()) if stamp is not None]
        latest = max((stamp for stamp in learned if not pd.isna(stamp)), default=None)
        return panel, adjust_panel(panel, actions, adjust, self.about.adjustment), version, latest

    def _actions(self, wanted: list[str] | None) -> pd.DataFrame:
        """Return the actions; of bars that are shorter than a session the whole ex-date comes after the action."""
        actions = self.tables.actions.read(wanted, self.known)
        if self.about.interval == "1d" or actions.empty:
            return actions
        sessions = exchange_calendar(self.about.calendar)
        place = pd.DatetimeIndex(sessions.closes).searchsorted(pd.DatetimeIndex(actions["time"]))
        return actions.assign(time=pd.DatetimeIndex(sessions.opens)[np.minimum(place, len(sessions.opens) - 1)])

    def _attrs(self, adjust: Adjustment, version: str, learned: pd.Timestamp | None) -> dict[str, object]:
        about, known = self.about, self.known or learned
        assert known is not None  # noqa: S101 - there are bars
        return {
            "dataset": self.dataset,
            "version": version,
            "interval": about.interval,
            "currency": about.currency,
            "calendar": about.calendar,
            # An index has no splits and pays no dividends: whatever was asked, nothing was taken out.
            "adjustment": "none" if about.asset_class == "index" else adjust,
            "source": about.source,
            "as_of": known.isoformat(),
            "fields": about.fields,
        }

    def _wanted(self, symbols: Sequence[str] | str | None) -> list[str] | None:
        if symbols is None:
            return None
        asked = [symbols] if isinstance(symbols, str) else list(symbols)
        for symbol in asked:
            if not isinstance(symbol, str):
                raise InputError(f"{symbol!r} is no symbol; give texts, such as ['AAPL']")
        wanted = list(dict.fromkeys(asked))
        if not wanted:
            raise InputError(f"no symbols given; dataset {self.dataset!r} has {', '.join(self._every())}")
        return wanted

    def _check_symbols(self, wanted: list[str] | None, panel: Panel) -> list[str]:
        there = set(panel.symbols)
        if not there and self.known is None and not self.tables.bars.symbols():
            raise DateRangeError(
                f"dataset {self.dataset!r} has no bars; see why with: workbench data quarantine {self.dataset}"
            )
        if not there and limit() is not None and not self._every():
            raise self._nothing_known()
        for symbol in wanted or []:
            if symbol not in there:
                every = self._every()
                if symbol in every:
                    raise DateRangeError(
                        f"nothing was known of {symbol} as of {self.known:%Y-%m-%d %H:%M} UTC; choose a later as_of"
                    )
                ends = limit()
                where = f"dataset {self.dataset!r}" + (f" by the limit {told(ends)}" if ends is not None else "")
                raise UnknownNameError("symbol", symbol, every, where=where)
        if not there:
            raise self._nothing_known()
        return wanted or panel.symbols

    def _every(self) -> list[str]:
        """Return the symbols that an error may name: all of the dataset, up to the limit of the process."""
        return _symbols(self.tables, limit())

    def _nothing_known(self) -> DateRangeError:
        if (ends := limit()) is not None:
            return DateRangeError(
                f"nothing of dataset {self.dataset!r} was known by the limit {told(ends)}, as the store learns rows "
                f"when it loads or fetches them; {LIFT}, and cut bars by their own date with end"
            )
        moment = "now" if self.known is None else told(self.known)
        return DateRangeError(f"nothing of dataset {self.dataset!r} was known as of {moment}; choose a later as_of")

    @staticmethod
    def _reach(panel: Panel, symbol: str) -> str:
        own = panel.times[np.isfinite(panel.fields["close"][:, panel.symbols.index(symbol)])]
        return f"{symbol}: {pd.Timestamp(own[0]):%Y-%m-%d} to {pd.Timestamp(own[-1]):%Y-%m-%d}"


def check_moment(store: BarStore, dataset: str, moment: Moment) -> None:
    """Raise where nothing of a dataset can be read as of a moment.

    Raises
    ------
    DateRangeError
        For a moment that is still to come, one at which nothing of the dataset was known, one before its first bar, or
        what is no date; it names the first day that works.
    """
    now, last = pd.Timestamp(store.clock()), last_moment(moment)
    if instant(moment) > now:
        raise DateRangeError(f"{str(moment)!r} is still to come; give a day up to {now:%Y-%m-%d}")
    if last >= now:
        return
    tables = store.tables(dataset)
    if not store.has(dataset):
        raise DateRangeError(
            f"nothing of dataset {dataset!r} was known by {told(last)}: it is not stored yet; the first day that "
            f"works is {now:%Y-%m-%d}"
        )
    # One symbol mostly answers it.
    for some in (tables.bars.symbols()[:1], None):
        if len(tables.bars.read(some, last, end=last, columns=[])):
            return
    rows = tables.bars.history()
    first = rows[["time", "learned_at"]].max(axis=1).min()
    told_first = f"the first day that works is {first:%Y-%m-%d}" if len(rows) else "it has no bars"
    raise DateRangeError(
        f"nothing of dataset {dataset!r} was known by {told(last)}, as the store learns rows when it loads or "
        f"fetches them; {told_first}"
    )


def _symbols(tables: DatasetTables, known: pd.Timestamp | None) -> list[str]:
    if known is None:
        return tables.bars.symbols()
    return sorted(str(symbol) for symbol in tables.bars.read(as_of=known, columns=[])["symbol"].unique())


def _inside(times: np.ndarray, first: pd.Timestamp | None, last: pd.Timestamp | None) -> np.ndarray:
    """Return the places of the times from ``first`` to ``last``."""
    # A day's last moment has nanoseconds.
    stamps = pd.DatetimeIndex(times).as_unit("ns")
    begin = 0 if first is None else stamps.searchsorted(first.tz_localize(None))
    end = len(stamps) if last is None else stamps.searchsorted(last.tz_localize(None), side="right")
    return np.arange(begin, end)


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
