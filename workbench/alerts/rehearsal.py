"""Rehearsal: what a rule would have told, had it been armed; by the code that tells it then.

A rule is looked at once at each bar's close, as the scheduled evaluation does, from the rehearsal's first bar on: one
that holds by then is told at that bar. Prices are those of today's shares, so that a rule's level means the same on
every day. A message counts once, however many channels it goes to. Snoozes and silences are a person's, and so is what
would have been acknowledged: none of them is rehearsed, and no escalation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from workbench.alerts.evaluate import NamedRule, own_rows
from workbench.alerts.latch import firing_of
from workbench.alerts.outbox import BREATH
from workbench.alerts.policy import Policy, quiet_until
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
        The firings in the order of time: ``time`` (the bar at whose close it fired), ``symbol``, ``found``, ``since``
        (the bar at which it began, before ``start`` for what held by then), ``told`` (bool), ``held`` (why it was not
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
    found = {symbol: _firings(named, symbol, reading, first) for symbol in known}
    unknown |= {symbol: "not enough bars" for symbol in known if _is_unknown(named, reading, symbol, first)}
    table = _table(named, found, reading, own)
    table, messages = _told(table, named.policy, pd.Timedelta(hours=getattr(named.rule, "grace", 0.0)))
    nearest = "" if len(table) else _nearest(named, reading, own, first)
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
        raise DateRangeError(f"there is no bar to rehearse on from {first} to {last}; there are {known}")
    return cut


def _own(named: NamedRule, reading: xr.Dataset, symbol: str) -> xr.Dataset:
    """Return one symbol's own bars of a reading."""
    return own_rows(named, reading.sel(symbol=symbol))


def _firings(
    named: NamedRule, symbol: str, reading: xr.Dataset, first: pd.Timestamp | None
) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Return when a symbol is told of and when that began: once for each time that the rule fired."""
    own = _own(named, reading, symbol)
    times = own.indexes["time"]
    begun = firing_of(own["holds"].to_numpy(), own["gap"].to_numpy(), named.policy.release)
    looked = np.ones(len(times), dtype=bool) if first is None else np.asarray(times >= first)
    places = np.flatnonzero(looked & (begun >= 0))
    _, at = np.unique(begun[places], return_index=True)
    return [(times[place], times[begun[place]]) for place in places[at]]


def _table(
    named: NamedRule,
    found: Mapping[str, Sequence[tuple[pd.Timestamp, pd.Timestamp]]],
    reading: xr.Dataset,
    by: Mapping[Adjustment, xr.Dataset],
) -> pd.DataFrame:
    """Return the firings as they come, those of one moment in the order of the rule's symbols."""
    rows = []
    for symbol, fired in found.items():
        own = _own(named, reading, symbol)
        places = own.indexes["time"].get_indexer(pd.DatetimeIndex([time for time, _ in fired]))
        for (time, since), place in zip(fired, places, strict=True):
            rows.append((time, symbol, named.rule.tell(own.isel(time=place), by), since))
    rows.sort(key=lambda row: row[0])
    frame = pd.DataFrame(rows, columns=["time", "symbol", "found", "since"])
    return frame.astype({"time": "datetime64[ns]", "since": "datetime64[ns]"})


def _told(table: pd.DataFrame, policy: Policy, late: pd.Timedelta) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the firings with what became of each, and the messages."""
    last: dict[str, datetime] = {}
    held, places, messages = [], [], list[tuple[datetime, list[int]]]()
    for row, (time, symbol) in enumerate(zip(table["time"], table["symbol"], strict=True)):
        now = (time + late).tz_localize(UTC).to_pydatetime()
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


def due(policy: Policy, now: datetime, before: datetime | None) -> datetime:
    """Return when a message goes that is begun at ``now``, the one before it having gone at ``before``.

    As ``workbench.alerts.outbox.queue`` has it, where every message gets through at once.
    """
    at = now + BREATH if before is None else max(now + BREATH, before + policy.window)
    quiet = None if policy.priority == "urgent" else quiet_until(policy, at)
    return at if quiet is None else max(at, quiet)


def stamp_of(moment: datetime) -> pd.Timestamp:
    """Return an instant as bars have it, UTC without a zone."""
    return pd.Timestamp(moment).tz_convert("UTC").tz_localize(None)


def _is_unknown(named: NamedRule, reading: xr.Dataset, symbol: str, first: pd.Timestamp | None) -> bool:
    """Say whether a rule never had anything to look at."""
    values = _own(named, reading, symbol)["value"].sel(time=slice(first, None))
    return not bool(values.notnull().any())


def _nearest(
    named: NamedRule, reading: xr.Dataset, by: Mapping[Adjustment, xr.Dataset], first: pd.Timestamp | None
) -> str:
    """Return what came nearest to firing, and when; empty where nothing can be compared."""
    gaps = reading["gap"].where(reading["here"]).sel(time=slice(first, None))
    # Where all are as far away, as with data that never were missing, none is the nearest.
    if not float(gaps.max()) > float(gaps.min()):
        return ""
    place = gaps.argmin(...)
    row = reading.sel(time=gaps.indexes["time"][int(place["time"])]).isel(symbol=int(place["symbol"]))
    return f"{row['symbol'].item()} on {pd.Timestamp(row['time'].item()):%Y-%m-%d}: {named.rule.tell(row, by)}"
