"""Tops and bottoms that turn a trend: double, triple, head and shoulders.

Each is written for a top and finds the bottom on the prices upside down. The shapes are those of ``shapes``; beyond
them, as R. D. Edwards and J. Magee ask in "Technical Analysis of Stock Trends" (chapters VI, VII and IX):

- prices came from beyond the neckline, for a reversal needs something to reverse;
- the pattern is complete, and ends, at the first close after the last swing that lies beyond the neckline. Where a
  close passes the highest top before, or none breaks the neckline within ``wait`` bars after the last swing is known,
  it never becomes one. Where it breaks before the last swing is known, the pattern is known with that swing, even if
  prices have come back by then;
- the target lies as far beyond the neckline, at the breakout, as the highest top lies above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workbench.analytics.patterns.pattern import Pattern
from workbench.analytics.patterns.shapes import is_double_top, is_head_and_shoulders, is_triple_top
from workbench.analytics.patterns.swings import Swing
from workbench.analytics.patterns.track import Line, Place, Track, places, without_overlap


@dataclass(frozen=True)
class Shape:
    """Swings that make a pattern once the neckline breaks; ``known`` is the bar that confirms the last of them."""

    points: tuple[Place, ...]
    known: int
    neckline: Line
    peak: Place
    words: str


def double_tops(track: Track) -> list[Pattern]:
    """Find double tops, or double bottoms on a mirrored track."""
    return _complete(track, "double top" if track.sign > 0 else "double bottom", _doubles(track))


def triple_tops(track: Track) -> list[Pattern]:
    """Find triple tops, or triple bottoms on a mirrored track."""
    return _complete(track, "triple top" if track.sign > 0 else "triple bottom", _triples(track))


def head_and_shoulders(track: Track) -> list[Pattern]:
    """Find head and shoulders, or the inverse on a mirrored track."""
    name = "head and shoulders" if track.sign > 0 else "inverse head and shoulders"
    return _complete(track, name, _heads(track))


def _doubles(track: Track) -> Iterator[Shape]:
    rules = track.rules
    for history in track.histories:
        second, later = history[-1], [history[-1].price]
        if not second.top:
            continue
        for place in range(len(history) - 3, 0, -2):
            first = history[place]
            apart = second.bar - first.bar
            if apart > rules.span or max(later) > second.price:
                break
            if is_double_top(first.price, later[::-1], apart, rules.tolerance, rules.separation):
                shape = _double(track, history[place - 1], first, second)
                yield from [shape] if shape else []
                break
            later.append(first.price)


def _double(track: Track, before: Swing, first: Swing, second: Swing) -> Shape | None:
    valley = first.bar + 1 + int(np.argmin(track.low[first.bar + 1 : second.bar]))
    floor = float(track.low[valley])
    peak = max(first, second, key=lambda swing: swing.price)
    if before.price >= floor or peak.price - floor < track.rules.depth * abs(peak.price):
        return None
    words = f"two turns {second.bar - first.bar} bars apart, {track.told(first.price)} and {track.told(second.price)}"
    points = ((first.bar, first.price), (valley, floor), (second.bar, second.price))
    return Shape(points, second.known, Line((valley, floor)), (peak.bar, peak.price), words)


def _fives(track: Track) -> Iterator[tuple[Swing, list[Swing]]]:
    """Yield the last five swings where they begin and end with a top, and the swing before them."""
    for history in track.histories:
        if len(history) >= 6 and history[-1].top:
            before, *five = history[-6:]
            if five[-1].bar - five[0].bar <= track.rules.span:
                yield before, five


def _triples(track: Track) -> Iterator[Shape]:
    for before, five in _fives(track):
        prices = [swing.price for swing in five]
        floor, peak = min(prices[1::2]), max(prices)
        deep = peak - floor >= track.rules.depth * abs(peak)
        if not deep or before.price >= floor or not is_triple_top(prices, track.rules.tolerance):
            continue
        lowest = five[1] if prices[1] <= prices[3] else five[3]
        words = "three turns, " + ", ".join(track.told(price) for price in prices[::2])
        top = five[prices.index(peak)]
        yield Shape(tuple(places(five)), five[-1].known, Line((lowest.bar, floor)), (top.bar, peak), words)


def _heads(track: Track) -> Iterator[Shape]:
    for before, five in _fives(track):
        prices = [swing.price for swing in five]
        if before.price >= prices[1] or not is_head_and_shoulders(prices, track.rules.tolerance):
            continue
        neckline = Line.through(*places([five[1], five[3]]))
        words = f"shoulders at {track.told(prices[0])} and {track.told(prices[4])}, head at {track.told(prices[2])}"
        yield Shape(tuple(places(five)), five[-1].known, neckline, (five[2].bar, prices[2]), words)


def _complete(track: Track, name: str, shapes: Iterator[Shape]) -> list[Pattern]:
    found = (_broken(track, name, shape) for shape in shapes)
    return without_overlap([pattern for pattern in found if pattern is not None])


def _broken(track: Track, name: str, shape: Shape) -> Pattern | None:
    """Return the pattern at the first close beyond the neckline, if the shape still stands there."""
    bars = np.arange(shape.points[-1][0] + 1, min(shape.known + track.rules.wait, len(track.close)))
    close = track.close[bars]
    below, above = close < shape.neckline.at(bars), close > shape.peak[1]
    ends = np.flatnonzero(below | above)
    if not len(ends) or above[ends[0]]:
        return None
    end = int(bars[ends[0]])
    level = shape.neckline.price(end)
    side = "below" if track.sign > 0 else "above"
    return track.pattern(
        name,
        bullish=False,
        known=max(end, shape.known),
        end=end,
        points=shape.points,
        lines=[shape.neckline.until(end)],
        level=level,
        target=level - (shape.peak[1] - shape.neckline.price(shape.peak[0])),
        reason=f"{shape.words}; close {track.told(float(track.close[end]))} {side} the neckline {track.told(level)}",
    )
