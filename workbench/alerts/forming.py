"""What a quote is compared with: the bar that is still forming, whose close so far is the quote, and those before it.

A quote at ``t`` belongs to the first bar of its symbol that does not close before ``t``. So a rule on quotes says what
it would say of that bar if it closed there, and at the bar's close both say the same. Where the quote's source tells
the last session's close, closed bars are brought to its shares: a split that is effective today is seen by that. A
dividend that goes ex today is known from no closed bar; until its bar has closed, a move is short of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workbench.alerts.evaluate import NamedRule, groups_of
from workbench.core.calendar import WITHIN_SESSION, exchange_calendar
from workbench.core.errors import WorkbenchError
from workbench.core.market import Adjustment

Series = tuple[str, str]
"""A dataset and a symbol."""

ReadBars = Callable[[str, Sequence[str], Adjustment], xr.Dataset]
"""Returns all bars of symbols of a dataset, of those that it has, adjusted so."""

NEVER = np.iinfo(np.int64).max

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where among a symbol's own bars a quote stands.

    Attributes
    ----------
    closed : int
        How many bars close before it; also the place of the bar that is forming.
    last_session : int
        The place of the last bar of an earlier session; -1 where there is none.
    is_behind : bool
        Whether bars are missing that have closed since.
    until : int
        Up to which instant all this stays as it is, ns since 1970.
    midnight : int
        The end of the day at the exchange.
    """

    closed: int
    last_session: int
    is_behind: bool
    until: int
    midnight: int


class History:
    """One symbol's own bars.

    Parameters
    ----------
    bars : mapping of Adjustment to xarray.Dataset
        Bars of one dataset, each adjusted so; shape (n_bars, n_symbols), the same times in all.
    symbol : str
    """

    def __init__(self, bars: Mapping[Adjustment, xr.Dataset], symbol: str) -> None:
        first = next(iter(bars.values()))
        self.calendar, self.interval = str(first.attrs["calendar"]), str(first.attrs["interval"])
        self.currency = str(first.attrs["currency"])
        # When any symbol of the dataset had a bar: one that was halted is not behind.
        self.all_times = _nanoseconds(first)
        self.closes: dict[Adjustment, NDArray[np.float64]] = {}
        for adjust, each in bars.items():
            closes = each["close"].sel(symbol=symbol).to_numpy()
            here = np.isfinite(closes)
            self.times, self.closes[adjust] = _nanoseconds(each)[here], closes[here]
        self.days = _days(self.times, self.calendar)

    @property
    def is_daily_or_shorter(self) -> bool:
        """Whether each session has a bar of its own."""
        return self.interval == "1d" or self.interval in WITHIN_SESSION

    def close(self, bar: int) -> float:
        """Return the close of a bar as it was traded in today's shares, as far as that is known."""
        return float(self.closes["splits" if "splits" in self.closes else "all"][bar])

    def place(self, time: int) -> Place:
        """Return where a quote of ``time`` (ns since 1970, UTC) stands."""
        closed = int(np.searchsorted(self.times, time))
        midnights = _midnights(self.calendar)
        day = int(np.searchsorted(midnights, time, side="right")) - 1
        midnight = int(midnights[day + 1]) - 1
        next_close = int(self.times[closed]) if closed < len(self.times) else NEVER
        last_session = int(np.searchsorted(self.days[:closed], day)) - 1
        behind = self._is_behind(time, day)
        until = min(next_close, midnight)
        if self.interval in WITHIN_SESSION:
            until = min(until, time + WITHIN_SESSION[self.interval].value)
        return Place(closed, last_session, behind, until, midnight)

    def _is_behind(self, time: int, day: int) -> bool:
        """Say whether a session, or within one more than one bar, has gone by of which there is nothing."""
        if not self.is_daily_or_shorter:
            return False
        there = int(np.searchsorted(self.all_times, time))
        if not there:
            return True
        last = int(self.all_times[there - 1])
        opens, closes, days = _sessions(self.calendar)
        today = int(np.searchsorted(days, day))
        if today and last < _midnights(self.calendar)[days[today - 1]]:
            return True
        if self.interval == "1d" or today >= len(days) or days[today] != day:
            return False
        # A bar's last minutes, and the time that it takes to arrive.
        allowed = 2 * WITHIN_SESSION[self.interval].value
        return bool(time > opens[today] + allowed and last < min(time, int(closes[today])) - allowed)

    def back(self, place: Place, count: int, adjust: Adjustment, previous_close: float) -> float:
        """Return the close ``count`` bars before the one that is forming, in the shares of the quote.

        Parameters
        ----------
        place : Place
        count : int
            1 is the last closed bar.
        adjust : {"none", "splits", "all"}
        previous_close : float
            The last session's close as the quote's source tells it, NaN where it does not.

        Returns
        -------
        float
            NaN where there is no such bar, or bars are missing. The last session's close itself is known without them.
        """
        told = np.isfinite(previous_close) and previous_close > 0 and self.is_daily_or_shorter
        if place.is_behind:
            return float(previous_close) if told and count == 1 and self.interval == "1d" else float("nan")
        if place.closed < count:
            return float("nan")
        closes = self.closes[adjust]
        scale = previous_close / closes[place.last_session] if told and place.last_session >= 0 else 1.0
        return float(closes[place.closed - count] * scale)


class KeptBars:
    """The bars that rules look back on, each read once until they are forgotten.

    Attributes
    ----------
    lacks_some : bool
        Whether some of those that were last asked for could not be read.

    Parameters
    ----------
    read : callable
        Returns all bars of symbols of a dataset, of those that it has, adjusted so.
    """

    def __init__(self, read: ReadBars) -> None:
        self._read = read
        self._kept: dict[tuple[str, Adjustment], tuple[tuple[str, ...], xr.Dataset]] = {}
        self._old = self.lacks_some = False

    def forget(self) -> None:
        """Read everything anew the next time; what cannot be read then stays as it was."""
        self._old = True

    def of(self, rules: Sequence[NamedRule]) -> dict[tuple[str, Adjustment], xr.Dataset]:
        """Return the bars of rules; those that could never be read are told in the log and left out."""
        kept: dict[tuple[str, Adjustment], tuple[tuple[str, ...], xr.Dataset]] = {}
        self.lacks_some = False
        for (dataset, adjust), group in groups_of(rules).items():
            symbols = tuple(sorted({symbol for each in group for symbol in each.rule.symbols}))
            known = self._kept.get((dataset, adjust))
            same = known if known and known[0] == symbols else None
            try:
                kept[dataset, adjust] = (
                    same if same and not self._old else (symbols, self._read(dataset, symbols, adjust))
                )
            except WorkbenchError as error:
                self.lacks_some = True
                if same:
                    kept[dataset, adjust] = same
                consequence = (
                    "rules on it are watched on the bars as they were" if same else "rules on it are not watched"
                )
                _LOG.error("bars of dataset %s cannot be read, %s: %s", dataset, consequence, error)
        self._kept, self._old = kept, False
        return {group: bars for group, (_, bars) in kept.items()}


def histories(bars: Mapping[tuple[str, Adjustment], xr.Dataset]) -> dict[Series, History]:
    """Return the history of each symbol of each dataset."""
    found: dict[Series, History] = {}
    for dataset in dict.fromkeys(name for name, _ in bars):
        own = {adjust: each for (name, adjust), each in bars.items() if name == dataset}
        known = [{str(symbol) for symbol in each["symbol"].to_numpy()} for each in own.values()]
        for symbol in sorted(set.union(*known)):
            there = {adjust: each for adjust, each in own.items() if symbol in each.indexes["symbol"]}
            found[dataset, symbol] = History(there, symbol)
    return found


def _nanoseconds(bars: xr.Dataset) -> NDArray[np.int64]:
    return bars["time"].to_numpy().astype("datetime64[ns]").astype(np.int64)


def _days(times: NDArray[np.int64], calendar: str) -> NDArray[np.int64]:
    """Return on which days of the exchange instants fall; see ``_midnights``."""
    return np.searchsorted(_midnights(calendar), times, side="right").astype(np.int64) - 1


@lru_cache(maxsize=8)
def _midnights(calendar: str) -> NDArray[np.int64]:
    """Return when each day begins at the exchange, from 1900 to 2100, ns since 1970, UTC."""
    days = pd.date_range("1900-01-01", "2100-01-01", unit="ns")
    own = days.tz_localize(exchange_calendar(calendar).tz, ambiguous=True, nonexistent="shift_forward")
    return own.tz_convert("UTC").asi8


@lru_cache(maxsize=8)
def _sessions(calendar: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the opens and closes of all sessions, ns since 1970, UTC, and their days."""
    sessions = exchange_calendar(calendar)
    both = (pd.DatetimeIndex(each).tz_convert(None).as_unit("ns").asi8 for each in (sessions.opens, sessions.closes))
    opens, closes = both
    return opens, closes, _days(closes, calendar)
