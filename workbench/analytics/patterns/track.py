"""One symbol's prices as the detectors see them: its own bars, upright or upside down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from workbench.analytics.patterns.pattern import Direction, Pattern, Point
from workbench.analytics.patterns.rules import Rules
from workbench.analytics.patterns.swings import Swing, histories, pivots

Place = tuple[int, float]
"""A bar's number and a price."""


@dataclass(frozen=True)
class Line:
    """The straight line through a place, by its slope in price per bar."""

    start: Place
    slope: float = 0.0

    @classmethod
    def through(cls, first: Place, second: Place) -> Line:
        """Return the line through two places of different bars."""
        return cls(first, (second[1] - first[1]) / (second[0] - first[0]))

    def at(self, bars: np.ndarray) -> np.ndarray:
        """Return its prices at some bars, shape (n,)."""
        return self.start[1] + self.slope * (bars - self.start[0])

    def price(self, bar: int) -> float:
        """Return its price at one bar."""
        return self.start[1] + self.slope * (bar - self.start[0])

    def until(self, bar: int) -> tuple[Place, Place]:
        """Return the part from its start to a bar."""
        return self.start, (bar, self.price(bar))


@dataclass(frozen=True)
class Track:
    """One symbol's own bars, each array of shape (n_own_bars,) and without NaN.

    ``sign`` is -1 where the prices are negated, so that the pattern of a top finds the pattern of a bottom. Highs and
    lows are the closes where the dataset has nothing else.
    """

    symbol: str
    times: pd.DatetimeIndex
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    rules: Rules
    sign: int = 1

    @cached_property
    def pivots(self) -> list[Swing]:
        """Every swing, in order of time."""
        return pivots(self.high, self.low, self.rules.left, self.rules.right)

    @cached_property
    def histories(self) -> list[tuple[Swing, ...]]:
        """The last swings, highs and lows in turn, each time that they changed."""
        return list(histories(self.pivots))

    @cached_property
    def mirrored(self) -> Track:
        """The same bars upside down."""
        return replace(self, high=-self.low, low=-self.high, close=-self.close, sign=-self.sign)

    def pattern(
        self,
        name: str,
        *,
        bullish: bool,
        known: int,
        points: Sequence[Place],
        lines: Sequence[tuple[Place, Place]],
        reason: str,
        end: int | None = None,
        level: float | None = None,
        target: float | None = None,
    ) -> Pattern:
        """Put a pattern together from bars' numbers; it starts at the first of its points.

        ``bullish``, prices, ``level`` and ``target`` are as seen on this track; they are turned upright here.
        """
        up = bullish == (self.sign > 0)
        direction: Direction = "bullish" if up else "bearish"
        upright = None if target is None or target * self.sign <= 0 else target * self.sign
        return Pattern(
            name=name,
            symbol=self.symbol,
            direction=direction,
            start=self.times[points[0][0]],
            end=self.times[known if end is None else end],
            known=self.times[known],
            points=tuple(self._point(place) for place in points),
            lines=tuple((self._point(first), self._point(second)) for first, second in lines),
            level=None if level is None else level * self.sign,
            target=upright,
            reason=reason,
        )

    def _point(self, place: Place) -> Point:
        return self.times[place[0]], place[1] * self.sign

    def told(self, price: float) -> str:
        """Return a price as a reason tells it: upright, and with figures enough for small ones."""
        value = price * self.sign
        return f"{value:,.2f}" if value >= 1 else f"{value:.4g}"


def places(swings: Sequence[Swing]) -> list[Place]:
    """Return where swings are."""
    return [(swing.bar, swing.price) for swing in swings]


def without_overlap(patterns: Sequence[Pattern]) -> list[Pattern]:
    """Keep, of patterns of one kind, those whose points begin where those of the last one kept end or later.

    They are taken in the order in which they became known, of several at one bar the one with the latest point first,
    so that what is kept up to a bar does not depend on what comes after it.
    """
    kept: list[Pattern] = []
    for pattern in sorted(patterns, key=lambda one: (one.known, -one.points[-1][0].value, one.start)):
        if not kept or pattern.start >= kept[-1].points[-1][0]:
            kept.append(pattern)
    return kept
