"""The inequalities that make a row of turning points a pattern, on plain numbers.

A. W. Lo, H. Mamaysky and J. Wang, "Foundations of Technical Analysis: Computational Algorithms, Statistical Inference,
and Empirical Implementation", Journal of Finance 55 (2000), section II.A, definitions 1 to 5, in their notation: five
consecutive extrema ``E1 ... E5``, of which ``E1`` is a maximum. The inverse of a pattern is the pattern of the negated
prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

Triangle = Literal["ascending triangle", "descending triangle", "symmetrical triangle"]


def level_with(values: Sequence[float], tolerance: float) -> bool:
    """Say whether all values lie within a fraction of their average."""
    average = sum(values) / len(values)
    return all(abs(value - average) <= tolerance * abs(average) for value in values)


def rising(values: Sequence[float]) -> bool:
    """Say whether each value is above the one before."""
    return all(first < second for first, second in pairwise(values))


def is_head_and_shoulders(extrema: Sequence[float], tolerance: float) -> bool:
    """Definition 1: ``E3`` above ``E1`` and ``E5``, which are level, as are ``E2`` and ``E4``.

    Parameters
    ----------
    extrema : sequence of float
        ``E1 ... E5``, from a maximum on.
    tolerance : float
        A fraction of the average: 0.015 in the paper.
    """
    left, first_dip, head, second_dip, right = extrema
    if head <= left or head <= right:
        return False
    return level_with((left, right), tolerance) and level_with((first_dip, second_dip), tolerance)


def is_double_top(first: float, later: Sequence[float], bars_apart: int, tolerance: float, separation: int) -> bool:
    """Definition 5: a maximum level with the highest later one, more than ``separation`` (22) bars apart.

    Parameters
    ----------
    first : float
        ``E1``.
    later : sequence of float
        The later maxima up to the second top, which is the last of them.
    bars_apart : int
        Bars from the first top to the second.
    tolerance : float
        A fraction of the average: 0.015 in the paper.
    separation : int
    """
    second = later[-1]
    return second >= max(later) and bars_apart > separation and level_with((first, second), tolerance)


def is_triple_top(extrema: Sequence[float], tolerance: float) -> bool:
    """Say whether three tops are level and are no head and shoulders.

    Not in the paper; T. N. Bulkowski, "Encyclopedia of Chart Patterns" (2005), asks for three tops near one price.
    """
    return level_with(extrema[::2], tolerance) and not is_head_and_shoulders(extrema, tolerance)


def triangle(tops: Sequence[float], bottoms: Sequence[float], flat: float) -> Triangle | None:
    """Name the triangle of tops and bottoms, if they make one.

    Definition 3 asks for falling tops and rising bottoms. Where neither side is flat that is the symmetrical one; a
    flat top over rising bottoms is ascending, a flat bottom under falling tops descending (R. D. Edwards and J. Magee,
    "Technical Analysis of Stock Trends", chapter VIII). With both sides flat it is the paper's rectangle: none.

    Parameters
    ----------
    tops, bottoms : sequence of float
        At least two of each, in order of time.
    flat : float
        A side is flat where its points lie within this fraction of their average.
    """
    flat_top, flat_bottom = level_with(tops, flat), level_with(bottoms, flat)
    falling_top, rising_bottom = rising([-top for top in tops]) and not flat_top, rising(bottoms) and not flat_bottom
    if falling_top and rising_bottom:
        return "symmetrical triangle"
    if flat_top and rising_bottom:
        return "ascending triangle"
    if flat_bottom and falling_top:
        return "descending triangle"
    return None
