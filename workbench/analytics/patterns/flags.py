"""Flags and pennants: a short rest after a sharp move, which then goes on.

After R. D. Edwards and J. Magee, "Technical Analysis of Stock Trends", chapter XI, with figures in place of their
words; written for a rise, and found after a fall on the prices upside down:

- the pole: the highest high of ``pole_bars`` bars lies above their lowest low by at least ``pole`` standard deviations
  of what the symbol moves in ``pole_bars`` bars (the one-bar log returns of the ``NOISE`` bars before the pole, times
  the root of ``pole_bars``);
- the rest: ``flag_least`` to ``flag_most`` bars that neither pass the top of the pole nor give back more than
  ``retrace`` of it. Its sides have the slopes of the least-squares lines of its highs and lows, moved out until no high
  or low lies outside. A flag's sides lean against the pole or are level, and stay as far apart (0.5 to 1.5 times); a
  pennant's lean towards each other and come to 0.7 times the distance or less;
- it is complete at the first close beyond the side that faces on. The pole's height on top of that is the target
  ("flags fly at half-mast").
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from workbench.analytics.patterns.pattern import Pattern
from workbench.analytics.patterns.track import Line, Track, without_overlap

NOISE = 60
"""Bars over which the symbol's usual movement is taken."""

Kind = Literal["flag", "pennant"]


def flags(track: Track) -> list[Pattern]:
    """Find rising flags, or falling ones on a mirrored track."""
    return _find(track, "flag")


def pennants(track: Track) -> list[Pattern]:
    """Find rising pennants, or falling ones on a mirrored track."""
    return _find(track, "pennant")


def _find(track: Track, kind: Kind) -> list[Pattern]:
    rules = track.rules
    tops, bases = _poles(track)
    found = []
    for length in range(rules.flag_least, rules.flag_most + 1):
        fits = tops + length + 1 < len(track.close)
        tops, bases = tops[fits], bases[fits]
        floor = track.high[tops] - rules.retrace * (track.high[tops] - track.low[bases])
        bars = tops[:, None] + 1 + np.arange(length)
        rests = (track.high[bars].max(axis=1) <= track.high[tops]) & (track.low[bars].min(axis=1) >= floor)
        tops, bases = tops[rests], bases[rests]
        upper, lower, is_kind = _sides(track, tops, length, kind)
        edge = upper[:, 0] + upper[:, 1] * length
        breaks = track.close[tops + length + 1] > edge
        found += [
            _pattern(track, kind, int(tops[i]), int(bases[i]), length, (upper[i], lower[i]))
            for i in np.flatnonzero(breaks & is_kind)
        ]
        # A close beyond the side ends the rest, whether or not its sides were those of this kind.
        tops, bases = tops[~breaks], bases[~breaks]
    return without_overlap(found)


def _poles(track: Track) -> tuple[np.ndarray, np.ndarray]:
    """Return the bars at the top and at the base of every pole, each of shape (n_poles,)."""
    size, n = track.rules.pole_bars, len(track.close)
    first = size + NOISE
    if n <= first:
        return np.empty(0, dtype=int), np.empty(0, dtype=int)
    returns = np.diff(np.log(np.abs(track.close)))
    # Copied, so that numpy adds each window up in the same order however many there are.
    noise = np.lib.stride_tricks.sliding_window_view(returns, NOISE).copy().std(axis=1, ddof=1)
    tops = np.arange(first, n)
    lows = np.lib.stride_tricks.sliding_window_view(track.low, size)[tops - size]
    highs = np.lib.stride_tricks.sliding_window_view(track.high, size)[tops - size]
    bases = tops - size + np.argmin(lows, axis=1)
    rise = np.abs(np.log(np.abs(track.high[tops] / track.low[bases])))
    usual = noise[tops - size - NOISE] * np.sqrt(size)
    sharp = (track.high[tops] > highs.max(axis=1)) & (track.high[tops] > track.low[bases]) & (usual > 0)
    sharp &= rise >= track.rules.pole * usual
    return tops[sharp], bases[sharp]


def _sides(track: Track, tops: np.ndarray, length: int, kind: Kind) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sides as price at the rest's first bar and slope, each of shape (n, 2), and whether they fit."""
    bars = tops[:, None] + 1 + np.arange(length)
    step = np.arange(length) - (length - 1) / 2
    lines = []
    for values, outward in ((track.high[bars], 1), (track.low[bars], -1)):
        # Not a matrix product, whose last digits depend on how many rows there are.
        slope = (values * step).sum(axis=1) / (step * step).sum()
        lines.append(
            np.column_stack([outward * (outward * (values - slope[:, None] * np.arange(length))).max(1), slope])
        )
    upper, lower = lines
    at_first = upper[:, 0] - lower[:, 0]
    at_last = at_first + (upper[:, 1] - lower[:, 1]) * (length - 1)
    if kind == "flag":
        fits = (upper[:, 1] <= 0) & (lower[:, 1] <= 0) & (at_last >= 0.5 * at_first) & (at_last <= 1.5 * at_first)
    else:
        fits = (upper[:, 1] < 0) & (lower[:, 1] > 0) & (at_last <= 0.7 * at_first)
    return upper, lower, fits


def _pattern(
    track: Track, kind: Kind, top: int, base: int, length: int, sides: tuple[np.ndarray, np.ndarray]
) -> Pattern:
    known = top + length + 1
    upper, lower = (Line((top + 1, float(price)), float(slope)) for price, slope in sides)
    level, foot, peak = upper.price(known), float(track.low[base]), float(track.high[top])
    return track.pattern(
        kind,
        bullish=True,
        known=known,
        points=[(base, foot), (top, peak)],
        lines=[upper.until(known), lower.until(known)],
        level=level,
        target=level + peak - foot,
        reason=f"pole from {track.told(foot)} to {track.told(peak)} in {top - base} bars, {length} bars of rest; "
        f"close {track.told(float(track.close[known]))} beyond its side {track.told(level)}",
    )
