"""Support and resistance: heights at which prices turned several times.

A level is known when a swing comes to lie at one height with ``touches - 1`` earlier swings, high or low, of the last
``lookback`` bars: what was resistance serves as support once it is passed, and the other way about (R. D. Edwards and
J. Magee, "Technical Analysis of Stock Trends", chapter XIII). It is support where the last swing is a low, resistance
where it is a high. It stands until a close passes it by more than ``level_tolerance``; while it stands a further touch
is no new level.
"""

from __future__ import annotations

import numpy as np

from workbench.analytics.patterns.pattern import Pattern
from workbench.analytics.patterns.shapes import level_with
from workbench.analytics.patterns.swings import Swing
from workbench.analytics.patterns.track import Track, places


def levels(track: Track) -> list[Pattern]:
    """Find levels of support and of resistance; a mirrored track has the same."""
    found: list[Pattern] = []
    standing: list[tuple[bool, float, int]] = []
    for i, swing in enumerate(track.pivots):
        touching = _touching(track, track.pivots[: i + 1])
        if len(touching) < track.rules.touches:
            continue
        level = float(np.mean([one.price for one in touching]))
        standing = [one for one in standing if stands(track, one[0], one[1], one[2], swing.known)]
        near = track.rules.level_tolerance * level
        if any(top == swing.top and abs(known - level) <= 2 * near for top, known, _ in standing):
            continue
        standing.append((swing.top, level, swing.known))
        found.append(_pattern(track, touching, level))
    return found


def stands(track: Track, top: bool, level: float, since: int, until: int) -> bool:
    """Say whether no close from bar ``since`` to ``until`` passed a level, and it is not forgotten by then."""
    close, slack = track.close[since : until + 1], track.rules.level_tolerance * level
    passed = close > level + slack if top else close < level - slack
    return until - since <= track.rules.lookback and not passed.any()


def _touching(track: Track, swings: list[Swing]) -> list[Swing]:
    """Return the last swing and the earlier ones at its height, those nearest in time first to be taken."""
    last, taken = swings[-1], [swings[-1]]
    for swing in reversed(swings[:-1]):
        if last.bar - swing.bar > track.rules.lookback:
            break
        if level_with([swing.price, *(one.price for one in taken)], track.rules.level_tolerance):
            taken.append(swing)
    return taken[::-1]


def _pattern(track: Track, touching: list[Swing], level: float) -> Pattern:
    last = touching[-1]
    return track.pattern(
        "resistance" if last.top else "support",
        bullish=not last.top,
        known=last.known,
        end=last.bar,
        points=places(touching),
        lines=[((touching[0].bar, level), (last.known, level))],
        level=level,
        reason=f"{len(touching)} turns within {track.rules.level_tolerance:.1%} of {track.told(level)}",
    )
