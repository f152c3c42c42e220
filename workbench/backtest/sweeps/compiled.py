"""Blocks of a strategy that is told in crosses: each line is computed once, each point runs compiled."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.analytics.lines import Line, line
from workbench.backtest.statistics import NAMES
from workbench.backtest.strategy import Crosses
from workbench.backtest.sweeps.blocks import Block, Figures, divided
from workbench.backtest.sweeps.grid import Grid
from workbench.backtest.terms import Terms
from workbench.backtest.timing import FILLED_AT
from workbench.core.calendar import periods_per_year
from workbench.core.errors import StrategyError, WorkbenchError
from workbench.core.machine import cores

LINES_BYTES = 160 * 2**20
"""Memory for the lines of a compiled sweep."""

ENOUGH_LINES = 640
"""Lines that should fit in at once: as many symbols as that allows share a block."""

LEAST, MOST = 256, 32_768
"""Cells of a block: from some milliseconds of work to a quarter of a second; a cluster wants few of them."""

Rule = tuple[Line, Line, Line, Line]
Array = NDArray[np.float64]


class Lines:
    """Some symbols' prices and lines; a line is computed when it is asked for, and kept while there is room.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars of these symbols.
    fill : str
        The price that fills an order.
    room : int
        Lines that are kept.
    """

    def __init__(self, bars: xr.Dataset, fill: str, room: int) -> None:
        self.bars, self.room = bars, room
        wide = {name: bars[name].transpose("time", "symbol").to_numpy() for name in (fill, "close")}
        self.own = [~np.isnan(close) for close in wide["close"].T]
        self.prices = [[wide[name][own, k] for name in (fill, "close")] for k, own in enumerate(self.own)]
        self.lock = Lock()
        self.places: dict[Line, int] = {}
        self.values = self._empty()

    def _empty(self) -> list[Array]:
        # Memory that is never written to is never taken.
        return [np.empty((self.room, int(own.sum()))) for own in self.own]

    def _forget(self, but: Container[Line]) -> None:
        """Make room by keeping lines that are wanted only; what a running block was given stays its own."""
        kept, before = [spec for spec in self.places if spec in but], self.values
        places, self.values = [self.places[spec] for spec in kept], self._empty()
        for values, old in zip(self.values, before, strict=True):
            values[: len(kept)] = old[places]
        self.places = {spec: place for place, spec in enumerate(kept)}

    def of(self, rules: Sequence[Rule]) -> tuple[list[Array], NDArray[np.int64]]:
        """Return for each symbol its lines, shape (room, n_own_bars), and each rule's places in them, (n_rules, 4)."""
        with self.lock:
            wanted = {spec for rule in rules for spec in rule}
            if len(self.places.keys() | wanted) > self.room:
                self._forget(wanted)
            for spec in wanted - self.places.keys():
                laid = line(self.bars, spec)
                found = (laid if laid.dims == ("time", "symbol") else laid.transpose("time", "symbol")).to_numpy()
                for column, own in enumerate(self.own):
                    self.values[column][len(self.places)] = found[own, column]
                self.places[spec] = len(self.places)
            return self.values, np.array([[self.places[spec] for spec in rule] for rule in rules], dtype=np.int64)


@dataclass
class CompiledWork:
    """See ``blocks.Work``.

    Attributes
    ----------
    bars : xarray.Dataset
    grid : Grid
    crosses : callable
        The strategy's.
    terms : Terms
        Plain ones.
    """

    bars: xr.Dataset
    grid: Grid
    crosses: Crosses
    terms: Terms
    _lines: dict[int, Lines] = field(default_factory=dict, init=False, repr=False)
    _lock: Any = field(default_factory=Lock, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lines behind: a worker computes those it needs."""
        return {name: getattr(self, name) for name in ("bars", "grid", "crosses", "terms")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def columns(self) -> list[str]:
        """The symbols."""
        return [str(symbol) for symbol in self.bars["symbol"].to_numpy()]

    @property
    def threads(self) -> int:
        """One for each core: compiled code runs side by side."""
        return cores()

    @property
    def most(self) -> int:
        """Cells of a block, at most."""
        return MOST

    def blocks(self) -> list[Block]:
        """Return blocks of as many symbols as share the room for lines; see ``blocks.divided``."""
        at_once = max(1, LINES_BYTES // (8 * self.bars.sizes["time"] * ENOUGH_LINES))
        return divided(self.grid.size, self.bars.sizes["symbol"], at_once, LEAST, MOST)

    def run(self, block: Block) -> Figures:
        """Return the statistics of a block, shape (12, n_points, n_columns)."""
        found = np.full((len(NAMES), *block.shape), np.nan)
        self._each(block, found, None)
        return found

    def equity(self, block: Block) -> list[Array]:
        """Return each symbol's equity on its own bars for the points of a block, shape (n_points, n_own_bars)."""
        prices = self._lines_of(block).prices
        paths = [np.full((block.shape[0], len(close)), np.nan) for _, close in prices]
        self._each(block, np.empty((len(NAMES), *block.shape)), paths)
        return paths

    def _each(self, block: Block, found: Figures, paths: list[Array] | None) -> None:
        from workbench.backtest.sweeps.fused import run_points

        lines, money = self._lines_of(block), self._money()
        places, rules = self._rules(block)
        for batch in _batches(rules, lines.room):
            part = places[batch]
            values, indices = lines.of([rules[k] for k in batch])
            for column, (fill, close) in enumerate(lines.prices):
                if len(close):
                    kept = np.full((len(part), len(close) if paths else 0), np.nan)
                    found[:, part, column] = run_points(fill, close, values[column], indices, money, kept).T
                    if paths:
                        paths[column][part] = kept

    def _money(self) -> Any:
        from workbench.backtest.sweeps import fused

        costs, periods = self.terms.costs, periods_per_year(self.bars.attrs["interval"], self.bars.attrs["calendar"])
        both = self.terms.direction == "both"
        return fused.Terms(
            float(costs.commission),
            float(costs.slippage),
            float(self.terms.cash),
            costs.borrow / periods,
            periods,
            both,
        )

    def _rules(self, block: Block) -> tuple[NDArray[np.int64], list[Rule]]:
        """Return the valid points of a block, counted from its first, and their lines."""
        places, rules = [], []
        for place, point in enumerate(self.grid.points(block.first, block.last)):
            if self.grid.fault(point) is None:
                places.append(place)
                rules.append(crosses_at(self.crosses, self.grid, point))
        return np.array(places, dtype=np.int64), rules

    def _lines_of(self, block: Block) -> Lines:
        """Return the lines of a block's symbols; those of the block of symbols before last are given up."""
        with self._lock:
            if block.begin not in self._lines:
                if len(self._lines) > 1:
                    del self._lines[min(self._lines)]
                room = max(4, LINES_BYTES // (8 * self.bars.sizes["time"] * block.shape[1]))
                part = self.bars.isel(symbol=slice(block.begin, block.end))
                self._lines[block.begin] = Lines(part, FILLED_AT[self.terms.fill], room)
            return self._lines[block.begin]


def crosses_at(crosses: Crosses, grid: Grid, point: dict[str, Any]) -> Rule:
    """Return the lines of a point.

    Raises
    ------
    StrategyError
        If the strategy fails there; the point is named.
    """
    try:
        return crosses(**point)
    except WorkbenchError:
        raise
    except Exception as error:
        said = f"strategy {grid.strategy!r} failed at {grid.told(point)}"
        raise StrategyError(f"{said}: {type(error).__name__}: {error}") from error


def _batches(rules: Sequence[Rule], room: int) -> Iterator[list[int]]:
    """Yield the places of rules that together need no more than ``room`` lines, so that few are computed again."""
    order = list(range(len(rules)))
    if len({spec for rule in rules for spec in rule}) > room:
        order = _by_shared_lines(rules, room)
    batch: list[int] = []
    needed: set[Line] = set()
    for place in order:
        if batch and len(needed.union(rules[place])) > room:
            yield batch
            batch, needed = [], set()
        batch.append(place)
        needed.update(rules[place])
    if batch:
        yield batch


def _by_shared_lines(rules: Sequence[Rule], room: int) -> list[int]:
    """Return the places of rules in an order in which neighbours share lines.

    What the rules have besides their most varied line is divided so that a part of it takes half of the room; that
    stays while the varied lines pass through the other half.
    """
    varied = max(range(4), key=lambda side: len({rule[side] for rule in rules}))
    others = [frozenset(rule) - {rule[varied]} for rule in rules]
    number = {other: k for k, other in enumerate(dict.fromkeys(others))}
    part = max(1, room // (2 * max(1, *map(len, number))))
    return sorted(range(len(rules)), key=lambda place: (number[others[place]] // part, rules[place][varied]))
