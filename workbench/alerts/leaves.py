"""What rules compare a quote with, as arrays: a level, or a move since a close, of many rules and symbols at once.

Each *leaf* is a price or a move rule at one symbol. The quote's *measure* is its price, or its move in per cent; a leaf
holds where that is above ``high`` or below ``low``, and of a cross where the close before was not. All of it is what
``Price.reading`` and ``Move.reading`` say of a bar that closes at the quote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.alerts.forming import History, Place
from workbench.alerts.prices import ROUNDING, Move, Price
from workbench.core.market import Adjustment

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Leaf = Price | Move


@dataclass(frozen=True, slots=True)
class Found:
    """What leaves say, each of shape (m,): see ``workbench.alerts.rules``."""

    value: Floats
    holds: Bools
    gap: Floats


class Leaves:
    """Leaves in a fixed order.

    Attributes
    ----------
    rules : sequence of Price or Move
    base : ndarray of float
        The close that a move is counted from, or the close before that a cross is seen against, shape (n,); NaN where
        it is not known, and for rules that need none.
    """

    def __init__(self, rules: Sequence[Leaf]) -> None:
        self.rules = tuple(rules)
        edges = np.array([_edges(each) for each in rules], dtype=np.float64).reshape(-1, 2)
        self._above, self._below = edges[:, 0].copy(), edges[:, 1].copy()
        self.is_move = np.array([isinstance(each, Move) for each in rules], dtype=bool)
        self._crosses = np.array([_is_cross(each) for each in rules], dtype=bool)
        # A move of the limit itself holds; a price at the level does not.
        self._high = np.where(self.is_move, self._above - ROUNDING, self._above)
        self._low = np.where(self.is_move, self._below + ROUNDING, self._below)
        self.base = np.full(len(self.rules), np.nan)

    def compare(self, which: Integers, history: History, place: Place, previous_close: float) -> None:
        """Compare some leaves, all of one symbol, with the bars before a quote from now on."""
        for leaf in which.tolist():
            adjust, count = base_of(self.rules[leaf])
            if count:
                self.base[leaf] = history.back(place, count, adjust, previous_close)

    def compare_closed(self, which: Integers, history: History, bar: int) -> Floats:
        """Compare some leaves with the bars before a closed one; return that one's close as each leaf sees it."""
        self.compare(which, history, history.place(int(history.times[bar])), np.nan)
        return np.array([history.closes[base_of(self.rules[leaf])[0]][bar] for leaf in which.tolist()])

    def measure(self, which: Integers, price: Floats) -> Found:
        """Return what leaves say at prices, each of shape (m,)."""
        base, high, low = self.base[which], self._high[which], self._low[which]
        value = np.where(self.is_move[which], (price / base - 1) * 100, price)
        crosses = self._crosses[which]
        rises = (value > high) & (~crosses | (base <= high))
        falls = (value < low) & (~crosses | (base >= low))
        holds = rises | falls
        return Found(value, holds, np.where(holds, 0.0, self._gap(which, value, crosses)))

    def _gap(self, which: Integers, value: Floats, crosses: Bools) -> Floats:
        up, down = self._above[which] - value, value - self._below[which]
        # The far side of a line is no way to cross it.
        up[crosses & (up < 0)], down[crosses & (down < 0)] = np.nan, np.nan
        gap = np.fmin(up, down)
        gap[np.isinf(gap)] = np.nan
        return np.maximum(gap, 0.0)


def base_of(rule: Leaf) -> tuple[Adjustment, int]:
    """Return which close a rule compares a quote with: how it is adjusted, and how many bars before; 0 for none."""
    if isinstance(rule, Move):
        return rule.adjust, rule.window
    return rule.adjust, int(_is_cross(rule))


def _is_cross(rule: Leaf) -> bool:
    return isinstance(rule, Price) and rule.when.startswith("crosses")


def _edges(rule: Leaf) -> tuple[float, float]:
    """Return from where on upwards and downwards a rule holds; an infinite one is never passed."""
    sides = {"up": (1, 0), "down": (0, 1), "above": (1, 0), "below": (0, 1)}
    if isinstance(rule, Move):
        up, down = sides.get(rule.direction, (1, 1))
        return (rule.percent if up else np.inf, -rule.percent if down else -np.inf)
    up, down = sides.get(rule.when.removeprefix("crosses "), (1, 1))
    return (rule.level if up else np.inf, rule.level if down else -np.inf)
