"""Rules on a stream: many rules and symbols at once, as arrays, quote by quote.

What a rule says of a quote is what it would say of the bar that is forming if that closed there; see
``workbench.alerts.forming``. So at a bar's close the stream has told what the scheduled evaluation of that bar tells.
It may have told more: what held for a while within a bar and does not at its close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from workbench.alerts.evaluate import NamedRule
from workbench.alerts.forming import History, Series, histories
from workbench.alerts.latch import Latch
from workbench.alerts.leaves import Bools, Floats, Integers
from workbench.alerts.prices import Move
from workbench.alerts.trees import Trees, words
from workbench.core.market import Adjustment
from workbench.data.providers.base import Quote

LONG_AGO = np.iinfo(np.int64).min

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Told:
    """A rule that fired at a quote, or was let go by one.

    Attributes
    ----------
    rule : NamedRule
    dataset, symbol : str
    time : datetime
        The quote's, UTC.
    price : float
    found : str
        What was found, in words.
    """

    rule: NamedRule
    dataset: str
    symbol: str
    time: datetime
    price: float
    found: str


@dataclass(frozen=True, slots=True)
class Step:
    """What came of some quotes.

    Attributes
    ----------
    fired : tuple of Told
        In the order of their quotes.
    let_go : tuple of Told
        Which do not hold any more, as far as their policy's release asks for: the next time they hold they fire again.
    evaluated : int
        How many times a rule was evaluated at a symbol.
    """

    fired: tuple[Told, ...] = ()
    let_go: tuple[Told, ...] = ()
    evaluated: int = 0

    def __add__(self, later: Step) -> Step:
        return Step(self.fired + later.fired, self.let_go + later.let_go, self.evaluated + later.evaluated)


class Watcher:
    """Rules and where each stands; not for several threads at once.

    A rule at a symbol fires as it begins to hold, and again only once it was let go. What holds at the last bar that
    closed before its first quote does not fire: that is for the scheduled evaluation to tell. A bar that closes between
    two of its quotes is looked at with the later one, as the scheduled evaluation does. While it is not known whether a
    rule holds, it stays as it stands.

    Attributes
    ----------
    series : tuple of (str, str)
        The datasets and symbols that are watched.

    Parameters
    ----------
    rules : sequence of NamedRule
        Such as are told on a stream; see ``is_streamed``.
    bars : mapping
        Bars by dataset and adjustment, as many as the rules look back.
    """

    def __init__(self, rules: Sequence[NamedRule], bars: Mapping[tuple[str, Adjustment], xr.Dataset]) -> None:
        self.rules = tuple(rules)
        known = histories(bars)
        cells = [(each, (each.rule.dataset, symbol)) for each in rules for symbol in each.rule.symbols]
        # What there are no bars of is told by the scheduled evaluation.
        self.cells: list[tuple[NamedRule, Series]] = [
            (named, own) for named, own in cells if own in known and {*named.rule.adjusts} <= {*known[own].closes}
        ]
        self.series = tuple(dict.fromkeys(series for _, series in self.cells))
        self._history: list[History] = [known[each] for each in self.series]
        place = {series: number for number, series in enumerate(self.series)}
        self._by_symbol: dict[str, list[int]] = {}
        for series, number in place.items():
            self._by_symbol.setdefault(series[1], []).append(number)
        self._trees = Trees([each.rule for each, _ in self.cells], [place[own] for _, own in self.cells])
        self._latch = Latch.of(np.array([each.policy.release for each, _ in self.cells], dtype=np.float64))
        either = [isinstance(each.rule, Move) and each.rule.direction == "either" for each, _ in self.cells]
        self._has_sides = np.array(either, dtype=bool)
        self._series_of = np.array([place[series] for _, series in self.cells], dtype=np.int64)
        count = len(self.series)
        # Nothing seen, and nothing that it could be compared with, yet.
        self._seen, self._until = np.full(count, LONG_AGO), np.full(count, LONG_AGO)
        # The last session's close as it was told, and the end of the day that it was told on.
        self._previous, self._midnight = np.full(count, np.nan), np.full(count, LONG_AGO)
        # Up to when each cell's latch has been told, and whether that was by a quote here.
        self._settled = np.full(len(self.cells), LONG_AGO)
        self._quoted = np.zeros(len(self.cells), dtype=bool)
        self.foreign: set[tuple[str, str]] = set()

    @property
    def symbols(self) -> list[str]:
        """The symbols to follow, sorted."""
        return sorted(self._by_symbol)

    def follow_up(self, before: Watcher) -> None:
        """Go on where another one stands, as far as the rules and symbols are the same."""
        cells = {(each.id, series): cell for cell, (each, series) in enumerate(before.cells)}
        for cell, (each, series) in enumerate(self.cells):
            old = cells.get((each.id, series))
            if old is not None:
                self._latch.armed[cell], self._latch.side[cell] = before._latch.armed[old], before._latch.side[old]
                self._settled[cell], self._quoted[cell] = before._settled[old], before._quoted[old]
        places = {series: number for number, series in enumerate(before.series)}
        for number, series in enumerate(self.series):
            if series in places:
                old = places[series]
                self._seen[number] = before._seen[old]
                self._previous[number], self._midnight[number] = before._previous[old], before._midnight[old]

    def disarm(self, holding: Mapping[tuple[str, str], datetime]) -> None:
        """Take as told what holds, by the rule's id and the symbol, since then."""
        for cell, (each, series) in enumerate(self.cells):
            since = holding.get((str(each.id), series[1]))
            if since is not None:
                self._latch.armed[cell] = False
                self._settled[cell] = max(self._settled[cell], _nanoseconds(since))

    def take(self, quotes: Sequence[Quote]) -> Step:
        """Evaluate quotes in their order; see ``evaluate``.

        One in another currency than the dataset's bars is noted in ``foreign`` and not looked at.
        """
        rows = [
            (number, quote.price, _nanoseconds(quote.time), quote.previous_close or np.nan)
            for quote in quotes
            for number in self._by_symbol.get(quote.symbol, ())
            if self._is_comparable(quote, number)
        ]
        if not rows:
            return Step()
        series, prices, times, previous = zip(*rows, strict=True)
        own = np.array(series, dtype=np.int64), np.array(prices, dtype=np.float64), np.array(times, dtype=np.int64)
        return self.evaluate(*own, np.array(previous, dtype=np.float64))

    def _is_comparable(self, quote: Quote, number: int) -> bool:
        own = self._history[number].currency
        if quote.currency in (None, own):
            return True
        self.foreign.add((quote.symbol, f"{quote.currency}, not {own}"))
        return False

    def evaluate(self, series: Integers, prices: Floats, times: Integers, previous: Floats | None = None) -> Step:
        """Evaluate all rules on some symbols.

        Parameters
        ----------
        series : ndarray of int
            Places in ``series``, shape (n,). Where one is given more than once, its quotes go one after the other.
        prices : ndarray of float
            One that is not positive and finite is no price and is passed over.
        times : ndarray of int
            When each price was made, ns since 1970, UTC. One that is not newer than what was seen is passed over.
        previous : ndarray of float, optional
            The last session's close as the source tells it, NaN where it does not: then it is what was told before on
            that day.
        """
        told = np.full(len(series), np.nan) if previous is None else previous
        good = np.isfinite(prices) & (prices > 0)
        found = Step()
        for which in _rounds(series, good):
            newer = which[times[which] > self._seen[series[which]]]
            if len(newer):
                found += self._round(series[newer], prices[newer], times[newer], told[newer])
        return found

    def _round(self, series: Integers, prices: Floats, times: Integers, previous: Floats) -> Step:
        """Evaluate one quote of each of some series."""
        closed = Step()
        previous = np.where(np.isnan(previous) & (times <= self._midnight[series]), self._previous[series], previous)
        moved = (times > self._until[series]) | ~_same(previous, self._previous[series])
        for row in np.flatnonzero(moved):
            closed += self._compare(int(series[row]), int(times[row]), float(previous[row]))
        self._seen[series] = times
        leaves, counts = self._trees.leaves_of(series)
        cells = self._trees.cells_of(series)
        fired, loose = self._step(cells, *self._trees.evaluate(series, leaves, np.repeat(prices, counts), cells))
        self._settled[cells], self._quoted[cells] = self._seen[self._series_of[cells]], True
        price_of = dict(zip(series.tolist(), prices.tolist(), strict=True)) if len(fired) or len(loose) else {}
        tell = partial(self._told, price_of)
        told, gone = map(tell, fired.tolist()), _gone(tell, fired, loose)
        return closed + Step(tuple(sorted(told, key=_by_time)), tuple(sorted(gone, key=_by_time)), len(cells))

    def _compare(self, number: int, time: int, previous: float) -> Step:
        """Compare a symbol with the bars that close before a time, and take in those of them that are news."""
        history, only = self._history[number], np.array([number])
        place = history.place(time)
        leaves, _ = self._trees.leaves_of(only)
        cells, step = self._trees.cells_of(only), Step()
        # Of what was not quoted here yet, the last bar says how it stands.
        first = np.searchsorted(history.times, self._settled[cells], side="right")
        first = np.where(self._quoted[cells], first, np.maximum(first, place.closed - 1))
        for bar in range(int(first.min(initial=place.closed)), place.closed):
            step += self._take_closed(number, leaves, cells[first <= bar], bar)
        self._trees.leaves.compare(leaves, history, place, previous)
        self._until[number], self._previous[number] = place.until, previous
        self._midnight[number] = place.midnight
        return step

    def _take_closed(self, number: int, leaves: Integers, cells: Integers, bar: int) -> Step:
        """Evaluate some cells of a symbol at a closed bar; what was not quoted here yet may let go, not fire."""
        history = self._history[number]
        closes = self._trees.leaves.compare_closed(leaves, history, bar)
        self._seen[number] = history.times[bar]
        fired, loose = self._step(cells, *self._trees.evaluate(np.array([number]), leaves, closes, cells))
        tell = partial(self._told, {number: history.close(bar)}, what="close")
        own = fired[self._quoted[fired]]
        return Step(tuple(map(tell, own.tolist())), tuple(_gone(tell, own, loose)))

    def _step(self, cells: Integers, holds: Bools, gap: Floats, value: Floats) -> tuple[Integers, Integers]:
        """Have the latches of cells take what is known, and return which fired and which were let go."""
        known = ~np.isnan(value)
        side = np.where(self._has_sides[cells] & (value < 0), -1, 1)
        return self._latch.step(holds[known], gap[known], cells[known], side[known])

    def _told(self, price_of: Mapping[int, float], cell: int, what: str = "quote") -> Told:
        (named, (dataset, symbol)), number = self.cells[cell], int(self._series_of[cell])
        price, currency = price_of[number], self._history[number].currency
        found = f"{what} {price:,.2f} {currency}{words(self._trees, cell)}"
        moment = pd.Timestamp(int(self._seen[number]), tz="UTC").to_pydatetime(warn=False)
        return Told(named, dataset, symbol, moment, price, found)


def _gone(tell: Callable[[int], Told], fired: Integers, loose: Integers) -> Iterator[Told]:
    """Yield what was let go: right before it fired anew where it did both."""
    both = np.isin(loose, fired)
    for cell, is_anew in zip(loose.tolist(), both.tolist(), strict=True):
        told = tell(cell)
        yield replace(told, time=told.time - _MICROSECOND) if is_anew else told


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND * 1000


def _by_time(told: Told) -> datetime:
    return told.time


def _same(one: Floats, other: Floats) -> Bools:
    equal: Bools = (one == other) | (np.isnan(one) & np.isnan(other))
    return equal


def _rounds(series: Integers, good: Bools) -> list[Integers]:
    """Return the rows of each round: every symbol's first good quote, then the second ones, ..."""
    rows = np.flatnonzero(good)
    own = series[rows]
    order = np.argsort(own, kind="stable")
    ordered = own[order]
    first = np.searchsorted(ordered, ordered)
    turn = np.empty(len(rows), dtype=np.int64)
    turn[order] = np.arange(len(rows)) - first
    return [rows[turn == number] for number in range(int(turn.max()) + 1)] if len(rows) else []
