"""What a detector hands over: a pattern, where it lies, and the bar at which it could be known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import pandas as pd

Direction = Literal["bullish", "bearish", "neutral"]
Point = tuple[pd.Timestamp, float]
"""A time, as in Bars, and a price in the bars' currency."""


@dataclass(frozen=True)
class Pattern:
    """One pattern of one symbol.

    Parameters
    ----------
    name, symbol : str
    direction : {"bullish", "bearish", "neutral"}
        Where the definition expects prices to go. It is what the pattern's authors claim, not a forecast of ours.
    start, end : pandas.Timestamp
        The first and the last bar that it spans; the last is never after ``known``.
    known : pandas.Timestamp
        The bar at whose close it could be known: the breakout, or the bar that confirms the last swing, whichever is
        later. Nothing after this bar has any part in it.
    points : tuple of (pandas.Timestamp, float)
        The turning points, in order of time.
    lines : tuple of pairs of points
        Necklines and trendlines, each from its first point to the breakout, ``end``; levels, to the bar ``known``.
    level : float, optional
        The price broken, as at the breakout, or of support and resistance; ``None`` where the definition has none.
    target : float, optional
        The price that the definition's measuring rule names; ``None`` where there is no rule, or it gives no price
        above zero.
    reason : str
        Why it is one, in words and figures.
    """

    name: str
    symbol: str
    direction: Direction
    start: pd.Timestamp
    end: pd.Timestamp
    known: pd.Timestamp
    points: tuple[Point, ...] = ()
    lines: tuple[tuple[Point, Point], ...] = ()
    level: float | None = None
    target: float | None = None
    reason: str = ""


def table(patterns: Iterable[Pattern]) -> pd.DataFrame:
    """Lay patterns out as a table, in the order given.

    Returns
    -------
    pandas.DataFrame
        One row per pattern: ``pattern`` (its name), ``symbol``, ``direction``, ``start``, ``end``, ``known``,
        ``points``, ``lines``, ``level`` and ``target`` (NaN where there is none), ``reason``.
    """
    names = [field.name for field in fields(Pattern)]
    rows = [[getattr(pattern, name) for name in names] for pattern in patterns]
    frame = pd.DataFrame(rows, columns=names).rename(columns={"name": "pattern"})
    numbers = {name: frame[name].astype("float64") for name in ("level", "target")}
    times = {name: frame[name].astype(np.dtype("datetime64[ns]")) for name in ("start", "end", "known")}
    return frame.assign(**numbers, **times)
