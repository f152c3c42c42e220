"""Triangles: ascending, descending and symmetrical.

The shape is definition 3 of Lo, Mamaysky and Wang (2000), divided by its sides as in ``shapes.triangle``. Its sides are
drawn through the first and the last swing of each side, a flat one at the height of its outermost swing; no close up to
the last swing lies outside them by more than ``flat``. It is complete, and ends, at the first later close outside,
whichever side that is, before the sides meet and within ``wait`` bars after its last swing is known; where it breaks
before that swing is known, it is known with the swing. The target lies as far beyond as the
triangle is high at its start (R. D. Edwards and J. Magee, "Technical Analysis of Stock Trends", chapter VIII).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.analytics.patterns.pattern import Pattern
from workbench.analytics.patterns.shapes import level_with, triangle
from workbench.analytics.patterns.swings import Swing
from workbench.analytics.patterns.track import Line, Track, places, without_overlap


def triangles(track: Track) -> list[Pattern]:
    """Find triangles of all three kinds; a mirrored track has the same."""
    found = [_broken(track, list(history[-5:])) for history in track.histories if len(history) >= 5]
    return without_overlap([pattern for pattern in found if pattern is not None])


def _broken(track: Track, five: list[Swing]) -> Pattern | None:
    rules, last = track.rules, five[-1]
    tops, bottoms = [swing for swing in five if swing.top], [swing for swing in five if not swing.top]
    kind = triangle([swing.price for swing in tops], [swing.price for swing in bottoms], rules.flat)
    if kind is None or last.bar - five[0].bar > rules.span:
        return None
    upper, lower = _side(tops, rules.flat, 1), _side(bottoms, rules.flat, -1)
    apex = five[0].bar + (upper.price(five[0].bar) - lower.price(five[0].bar)) / (lower.slope - upper.slope)
    stop = min(last.known + rules.wait, len(track.close), int(np.ceil(apex)))
    bars = np.arange(last.bar + 1, max(stop, last.bar + 1))
    outside = (track.close[bars] > upper.at(bars)) | (track.close[bars] < lower.at(bars))
    if not outside.any() or not _contains(track, upper, lower, five):
        return None
    end = int(bars[np.argmax(outside)])
    bullish = bool(track.close[end] > upper.price(end))
    level, height = (upper if bullish else lower).price(end), upper.price(five[0].bar) - lower.price(five[0].bar)
    side = "above the upper" if bullish else "below the lower"
    return track.pattern(
        kind,
        bullish=bullish,
        known=max(end, last.known),
        end=end,
        points=places(five),
        lines=[upper.until(end), lower.until(end)],
        level=level,
        target=level + height if bullish else level - height,
        reason=f"{_told(track, tops, 'tops')}, {_told(track, bottoms, 'bottoms')}; "
        f"close {track.told(float(track.close[end]))} {side} side {track.told(level)}",
    )


def _side(swings: Sequence[Swing], flat: float, outward: int) -> Line:
    prices = [swing.price for swing in swings]
    if level_with(prices, flat):
        return Line((swings[0].bar, outward * max(outward * price for price in prices)))
    return Line.through(*places([swings[0], swings[-1]]))


def _contains(track: Track, upper: Line, lower: Line, five: list[Swing]) -> bool:
    bars = np.arange(five[0].bar, five[-1].bar + 1)
    close, slack = track.close[bars], track.rules.flat * np.abs(track.close[bars])
    return bool(((close <= upper.at(bars) + slack) & (close >= lower.at(bars) - slack)).all())


def _told(track: Track, swings: Sequence[Swing], word: str) -> str:
    return f"{word} {', '.join(track.told(swing.price) for swing in swings)}"
