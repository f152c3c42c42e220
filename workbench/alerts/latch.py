"""When a rule that holds fires: once, and again only after it was released; over history and step by step.

A latch is armed at first. An armed one fires at the first bar at which its rule holds, and is disarmed by it. It is
armed again at a bar at which the rule does not hold and its ``gap`` is at least ``release``: at ``release=0`` that is
any bar at which the rule does not hold, whether its gap is known or not; above 0 a gap of NaN arms nothing. A bar at
which it is not known whether the rule holds changes nothing. One at which the symbol is not there is none: leave it
out.

A rule that can hold on two sides, as a move either way can, fires anew where it turns: the other side is far away.

Of a cross, which holds at one bar, ``release`` is how far the value has to go back before the next one counts; the gap
of a cross is NaN on the far side of its line, so that only the way back arms it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def released(holds: Bools, gap: Floats, release: float | Floats, known: Bools | None = None) -> Bools:
    """Say where a latch is armed again, elementwise.

    Parameters
    ----------
    holds, gap : ndarray
        Of any shape; see ``workbench.alerts.rules``.
    release : float or ndarray
        At least 0, in the gap's unit.
    known : ndarray of bool, optional
        Where it is known whether the rule holds; everywhere where ``None``.
    """
    # A comparison with NaN is never true.
    loose: Bools = ~np.asarray(holds, dtype=bool) & ((gap >= release) | (np.asarray(release) == 0))
    return loose if known is None else loose & known


def fires(
    holds: Bools, gap: Floats, release: float = 0.0, known: Bools | None = None, side: Integers | None = None
) -> Bools:
    """Say at which bars a rule fires.

    Parameters
    ----------
    holds, gap : ndarray
        Shape (n_bars,), or (n_bars, n_symbols), each column by itself; own bars only.
    release : float
        See this module.
    known : ndarray of bool, optional
        In the same shape; see ``released``.
    side : ndarray of int, optional
        In the same shape; on which side the rule holds, where that may be two.

    Returns
    -------
    ndarray of bool
        In the same shape. A bar depends on itself and on those before it.
    """
    return np.asarray(holds, dtype=bool) & ~_disarmed_before(holds, released(holds, gap, release, known), side)


def _disarmed_before(holds: Bools, loose: Bools, side: Integers | None) -> Bools:
    """Say where the last bar before that held or released, if there is one, held, and on the same side."""
    marks = np.asarray(holds, dtype=bool) | loose
    places = np.arange(1, len(marks) + 1).reshape(-1, *[1] * (marks.ndim - 1))
    last = np.maximum.accumulate(np.where(marks, places, 0), axis=0)
    before = np.concatenate([np.zeros_like(last[:1]), last[:-1]])
    place = np.maximum(before - 1, 0)
    held: Bools = np.take_along_axis(np.asarray(holds, dtype=bool), place, axis=0) & (before > 0)
    return held if side is None else held & (np.take_along_axis(side, place, axis=0) == side)


def firing_of(
    holds: Bools, gap: Floats, release: float = 0.0, known: Bools | None = None, side: Integers | None = None
) -> Integers:
    """Return, for each bar at which a rule holds, the place of the bar at which it fired for that; else -1.

    Parameters
    ----------
    holds, gap : ndarray
        Shape (n_bars,).
    release, known, side
        See ``fires``.
    """
    begun = np.where(fires(holds, gap, release, known, side), np.arange(len(holds)), -1)
    last = np.maximum.accumulate(begun) if len(begun) else begun
    return np.where(holds, last, -1).astype(np.int64)


@dataclass(slots=True)
class Latch:
    """Many latches, each of a rule and a symbol, that are stepped as values arrive.

    Attributes
    ----------
    release : ndarray of float
        Shape (n,).
    armed : ndarray of bool
        Shape (n,).
    side : ndarray of int
        On which side each held when it last did, shape (n,); 0 where that is not known.
    """

    release: Floats
    armed: Bools
    side: Integers

    @classmethod
    def of(cls, release: Floats) -> Latch:
        """Return latches that are all armed."""
        own = np.ascontiguousarray(release, dtype=np.float64)
        return cls(own, np.ones(len(own), dtype=bool), np.zeros(len(own), dtype=np.int64))

    def step(
        self, holds: Bools, gap: Floats, which: Integers | None = None, side: Integers | None = None
    ) -> tuple[Integers, Integers]:
        """Take the next value of latches.

        Parameters
        ----------
        holds, gap : ndarray
            Shape (m,).
        which : ndarray of int, optional
            Of which latches, none of them twice, shape (m,); all of them in order where ``None``.
        side : ndarray of int, optional
            On which side each holds, shape (m,); on one and the same where ``None``.

        Returns
        -------
        fired, let_go : ndarray of int
            Which latches fired, and which were disarmed and are armed again or fire anew, in the order given.
        """
        # A slice is no copy, and most steps are of all latches.
        own: Integers | slice = slice(None) if which is None else which
        armed = self.armed[own]
        fired, loose = holds & armed, released(holds, gap, self.release[own]) & ~armed
        self.armed[own] = (armed & ~fired) | loose
        if side is not None:
            # Of one that was disarmed from without, the side is not known.
            turned = holds & ~armed & (side != self.side[own]) & (self.side[own] != 0)
            self.side[own] = np.where(holds, side, self.side[own])
            fired, loose = fired | turned, loose | turned
        if which is None:
            return np.flatnonzero(fired), np.flatnonzero(loose)
        return which[fired], which[loose]
