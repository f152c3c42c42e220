"""Swing points: the turning points of prices, each with the bar at which it is known.

They take the place of the extrema of a kernel regression in Lo, Mamaysky and Wang (2000), whose smoothing looks at both
sides of a bar: a swing needs ``right`` bars after it, and is used only from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

DEPTH = 40
"""How many swings a history keeps; the bars of a pattern are bounded by ``span``."""


@dataclass(frozen=True)
class Swing:
    """A turning point: its bar, its price, whether it is a high, and the bar at which it is known."""

    bar: int
    price: float
    top: bool
    known: int


def pivots(high: np.ndarray, low: np.ndarray, left: int, right: int) -> list[Swing]:
    """Return every swing high and low, in order of time.

    A high is above the ``left`` bars before it and not below the ``right`` bars after it, so that of equal highs side
    by side the first counts.

    Parameters
    ----------
    high, low : numpy.ndarray
        Prices without NaN, shape (n_bars,).
    left, right : int
        Bars on either side.
    """
    turns = [(bar, True) for bar in _highs(high, left, right)] + [(bar, False) for bar in _highs(-low, left, right)]
    return [Swing(bar, float(high[bar] if top else low[bar]), top, bar + right) for bar, top in sorted(turns)]


def _highs(values: np.ndarray, left: int, right: int) -> list[int]:
    if len(values) < left + right + 1:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(values, left + right + 1)
    middle = windows[:, left]
    above = (middle > windows[:, :left].max(axis=1)) & (middle >= windows[:, left + 1 :].max(axis=1))
    return [int(bar) + left for bar in np.flatnonzero(above)]


def histories(turns: Sequence[Swing]) -> Iterator[tuple[Swing, ...]]:
    """Yield what the last swings were each time that they changed: highs and lows in turn, the latest last.

    Of several highs without a low between them the highest counts, so the last swing of a history may give way to a
    higher one in the next; what had been yielded stays as it was. A bar that is both a high and a low counts as the
    one that comes in turn.
    """
    seen: list[Swing] = []
    for _, group in groupby(turns, key=lambda swing: swing.bar):
        swing = _in_turn(list(group), seen)
        if swing is None:
            continue
        if seen and seen[-1].top == swing.top:
            further = swing.price > seen[-1].price if swing.top else swing.price < seen[-1].price
            if not further:
                continue
            seen.pop()
        seen = [*seen[-DEPTH + 1 :], swing]
        yield tuple(seen)


def _in_turn(group: list[Swing], seen: list[Swing]) -> Swing | None:
    if len(group) == 1:
        return group[0]
    return next((swing for swing in group if seen and swing.top != seen[-1].top), None)
