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
from workbench.core.market import FIELDS, Adjustment
from workbench.data.actions import adjust_panel
from workbench.data.entries import EntryMetadata
from workbench.data.store import DatasetTables
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
        self.known = None if as_of is None else min(instant(as_of, end_of_day=True), now).floor("us")

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
            raise InputError(f"no symbols given; dataset {self.dataset!r} has {', '.join(self.tables.bars.symbols())}")
        return wanted

    def _check_symbols(self, wanted: list[str] | None, panel: Panel) -> list[str]:
        there = set(panel.symbols)
        if not there and self.known is None and not self.tables.bars.symbols():
            raise DateRangeError(
                f"dataset {self.dataset!r} has no bars; see why with: workbench data quarantine {self.dataset}"
            )
        for symbol in wanted or []:
            if symbol not in there:
                every = self.tables.bars.symbols()
                if symbol in every:
                    raise DateRangeError(
                        f"nothing was known of {symbol} as of {self.known:%Y-%m-%d %H:%M} UTC; choose a later as_of"
                    )
                raise UnknownNameError("symbol", symbol, every, where=f"dataset {self.dataset!r}")
        if not there:
            raise DateRangeError(
                f"nothing of dataset {self.dataset!r} was known as of {self.known}; choose a later as_of"
            )
        return wanted or panel.symbols

    @staticmethod
    def _reach(panel: Panel, symbol: str) -> str:
        own = panel.times[np.isfinite(panel.fields["close"][:, panel.symbols.index(symbol)])]
        return f"{symbol}: {pd.Timestamp(own[0]):%Y-%m-%d} to {pd.Timestamp(own[-1]):%Y-%m-%d}"


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
