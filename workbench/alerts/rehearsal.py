"""Rehearsal: what a rule would have told, had it been armed; by the code that tells it then.

A rule is looked at once at each bar's close, and when the grace of one on missing data is over, as the scheduled
evaluation does, from the rehearsal's first bar on: one that holds by then is told at that bar. Prices are those of
today's shares, so that a rule's level means the same on every day. A message counts once, however many channels it goes
to. Snoozes and silences are a person's, and so is what would have been acknowledged: none of them is rehearsed, and no
escalation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from workbench.alerts.evaluate import NamedRule, firings_of, own_rows
from workbench.alerts.policy import Policy, due
from workbench.core.calendar import Moment, date_range
from workbench.core.errors import DateRangeError, InputError
from workbench.core.market import Adjustment

if TYPE_CHECKING:
    import holoviews as hv

TABLE = ("time", "symbol", "found", "since", "told", "held", "message")
MESSAGES = ("sent", "alerts", "symbols")
MONTH = pd.Timedelta(days=365.25 / 12)


@dataclass(frozen=True, repr=False, eq=False)
class Rehearsal:
    """What a rule would have told.

    Attributes
    ----------
    rule : NamedRule
    start, end : pandas.Timestamp
        The first and the last bar that was looked at, UTC without a zone.
    bars : int
        At how many bars, those of a time counted once.
    table : pandas.DataFrame
        The firings in the order of time: ``time`` (when it fired, mostly a bar's close), ``symbol``, ``found``,
        ``since`` (when it began, before ``start`` for what held by then), ``told`` (bool), ``held`` (why it was not
        told, or empty) and ``message`` (the row of ``messages`` that told of it, -1 where none did).
    messages : pandas.DataFrame
        ``sent`` (UTC without a zone), ``alerts`` (of how many it told) and ``symbols``.
    unknown : mapping of str to str
        Of which symbols nothing could be said, and why.
    channels : tuple of str
        Where each message would have gone.
    nearest : str
        For a rule that never fired, what came nearest to it, and when; else empty.
    """

    rule: NamedRule
    start: pd.Timestamp
    end: pd.Timestamp
    bars: int
    table: pd.DataFrame
    messages: pd.DataFrame
    unknown: Mapping[str, str]
    channels: tuple[str, ...]
    nearest: str
    _by: Mapping[Adjustment, xr.Dataset] = field(repr=False)
    _reading: xr.Dataset = field(repr=False)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def monthly(self) -> pd.Series:
        """Messages by the first day of each month, from the first to the last month that was looked at."""
        last = max([self.end, *self.messages["sent"][-1:]])
        months = pd.period_range(self.start, last, freq="M")
        counts = self.messages.groupby(pd.PeriodIndex(self.messages["sent"], freq="M")).size()
        return counts.reindex(months, fill_value=0).to_timestamp().rename("messages").rename_axis("month")

    @property
    def per_month(self) -> float:
        """Messages in a month of a twelfth of a year, over all that was looked at; NaN for a single bar."""
        span = (self.end - self.start) / MONTH
        return len(self.messages) / span if span > 0 else float("nan")

    def plot(self, symbol: str | None = None) -> hv.Layout | None:
        """Draw the firings and the messages of each month; ``None`` where nothing fired.

        Parameters
        ----------
        symbol : str, optional
            Draw its values beside the level; by itself done for a rule of one symbol. A rule of several is drawn as a
            row for each that fired.

        Raises
        ------
        InputError
            For a symbol that the rule does not watch.
        """
        from workbench.alerts.moment import picture_of

        return picture_of(self, symbol)

    def __str__(self) -> str:
        from workbench.alerts.rehearsal_page import sentence

        return sentence(self)

    def __repr__(self) -> str:
        return f"<Rehearsal {self}>"

    def _repr_html_(self) -> str:
        from workbench.alerts.rehearsal_page import rehearsal_html

        return rehearsal_html(self)


def rehearse(
    named: NamedRule,
    by: Mapping[Adjustment, xr.Dataset],
    start: Moment | None = None,
    end: Moment | None = None,
    usual: tuple[str, ...] = ("lab",),
) -> Rehearsal:
    """Say what a rule would have told.

    Parameters
    ----------
    named : NamedRule
        Kept or a draft.
    by : mapping of Adjustment to xarray.Dataset
        Bars of each adjustment that the rule looks at, shape (n_bars, n_symbols); those before ``start`` are what it
        needs to begin with.
    start, end : date-like, optional
        A day to its end; all bars where ``None``.
    usual : tuple of str
        The channels of a policy that names none.

    Raises
    ------
    DateRangeError
        For a range without bars.
    InputError
        If the rule cannot look at these bars, or none of its symbols has any.
    """
    first, last = (None if each is None else each.tz_localize(None) for each in date_range(start, end))
    times = _times(by, first, last)
    by = {adjust: bars.sel(time=slice(None, last)) for adjust, bars in by.items()}
    known = [symbol for symbol in named.rule.symbols if all(symbol in each.indexes["symbol"] for each in by.values())]
    unknown = {symbol: "no bars of it" for symbol in named.rule.symbols if symbol not in known}
    if not known:
        raise InputError(f"there are no bars of {', '.join(named.rule.symbols)} to rehearse on; fetch them")
    own = {adjust: bars.sel(symbol=known) for adjust, bars in by.items()}
    until = times[-1] if last is None else last
    reading = named.rule.read(own, until)
    rows = {symbol: own_rows(named, reading.sel(symbol=symbol)) for symbol in known}
    looked = {symbol: each.sel(time=slice(first, None)) for symbol, each in rows.items()}
    unknown |= {symbol: "not enough bars" for symbol, each in looked.items() if not each["value"].notnull().any()}
    table, messages = _told(_table(named, rows, first, own), named.policy)
    nearest = "" if len(table) else _nearest(named, looked, own)
    channels = usual if named.policy.channels is None else named.policy.channels
    return Rehearsal(named, times[0], times[-1], len(times), table, messages, unknown, channels, nearest, own, reading)


def _times(
    by: Mapping[Adjustment, xr.Dataset], first: pd.Timestamp | None, last: pd.Timestamp | None
) -> pd.DatetimeIndex:
    """Return the bars of the range, those of all adjustments together."""
    there = [bars["time"].to_numpy() for bars in by.values()]
    times = pd.DatetimeIndex(np.unique(np.concatenate(there))) if there else pd.DatetimeIndex([])
    cut = times[times.slice_indexer(first, last)]
    if not len(cut):
        known = f"{times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}" if len(times) else "none at all"
        span = "".join(
            f" {word} {each:%Y-%m-%d %H:%M} UTC" for word, each in (("from", first), ("to", last)) if each is not None
        )
        raise DateRangeError(f"there is no bar to rehearse on{span}; there are {known}")
    return cut


def _firings(named: NamedRule, own: xr.Dataset, first: pd.Timestamp | None) -> list[tuple[int, int]]:
    """Return at which of a symbol's own rows it is told of, and at which that began: once for each firing."""
    begun = firings_of(named, own)
    looked = np.arange(len(begun)) >= (0 if first is None else own.indexes["time"].searchsorted(first))
    places = np.flatnonzero(looked & (begun >= 0))
    _, at = np.unique(begun[places], return_index=True)
    return [(int(place), int(begun[place])) for place in places[at]]


def _table(
    named: NamedRule,
    rows_of: Mapping[str, xr.Dataset],
    first: pd.Timestamp | None,
    by: Mapping[Adjustment, xr.Dataset],
) -> pd.DataFrame:
    """Return the firings as they come, those of one moment in the order of the rule's symbols."""
    rows = []
    for symbol, own in rows_of.items():
        times = own.indexes["time"]
        for place, begun in _firings(named, own, first):
            rows.append((times[place], symbol, named.rule.tell(own.isel(time=place), by), times[begun]))
    rows.sort(key=lambda row: row[0])
    frame = pd.DataFrame(rows, columns=["time", "symbol", "found", "since"])
    return frame.astype({"time": "datetime64[ns]", "since": "datetime64[ns]"})


def _told(table: pd.DataFrame, policy: Policy) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the firings with what became of each, and the messages."""
    last: dict[str, datetime] = {}
    held, places, messages = [], [], list[tuple[datetime, list[int]]]()
    for row, (time, symbol) in enumerate(zip(table["time"], table["symbol"], strict=True)):
        now = time.tz_localize(UTC).to_pydatetime()
        if symbol in last and now < last[symbol] + policy.cool_down:
            held.append("cool-down")
            places.append(-1)
            continue
        last[symbol] = now
        if not messages or now >= messages[-1][0]:
            messages.append((due(policy, now, messages[-1][0] if messages else None), []))
        messages[-1][1].append(row)
        held.append("")
        places.append(len(messages) - 1)
    full = table.assign(told=[not why for why in held], held=held, message=places)[list(TABLE)]
    rows = [
        (stamp_of(sent), len(told), ", ".join(dict.fromkeys(table["symbol"].iloc[told]))) for sent, told in messages
    ]
    frame = pd.DataFrame(rows, columns=list(MESSAGES)).astype({"sent": "datetime64[ns]"})
    return full.astype({"told": bool, "held": object, "message": int}), frame.astype({"alerts": int})


def stamp_of(moment: datetime) -> pd.Timestamp:
    """Return an instant as bars have it, UTC without a zone."""
    return pd.Timestamp(moment).tz_convert("UTC").tz_localize(None)


def _nearest(named: NamedRule, looked: Mapping[str, xr.Dataset], by: Mapping[Adjustment, xr.Dataset]) -> str:
    """Return what came nearest to firing, and when; empty where nothing can be compared."""
    gaps = pd.concat({symbol: own["gap"].to_series() for symbol, own in looked.items()}).dropna()
    # Where all are as far away, as with data that never were missing, none is the nearest.
    if not gaps.max() > gaps.min():
        return ""
    symbol, time = gaps.idxmin()
    return f"{symbol} on {time:%Y-%m-%d}: {named.rule.tell(looked[symbol].sel(time=time), by)}"
