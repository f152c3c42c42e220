"""How the numbers of a backtest are written for people."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

PERCENT = frozenset(
    {
        "total_return",
        "annual_return",
        "volatility",
        "max_drawdown",
        "win_rate",
        "exposure",
        "alpha",
        "tracking_error",
    }
)
"""Figures that are fractions; the others are ratios, and ``trades`` is a count."""
NAMED = frozenset({"sharpe", "sortino", "calmar"})
"""Ratios that carry a person's name."""
NOTHING = "–"
"""What stands where there is no number."""


def figure(name: str, value: float, *, signed: bool = False) -> str:
    """Write a statistic: a percentage, a ratio or a count, by its name; ``signed`` for a change."""
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    # Without a sign before what rounds to nothing; a change of percentages is in points.
    sign = "+z" if signed else "z"
    if name in PERCENT:
        return f"{100 * value:{sign},.1f} {'pp' if signed else '%'}"
    return f"{value:{sign},.0f}" if name == "trades" else f"{value:{sign},.2f}"


def words(name: str) -> str:
    """Write the name of a figure, or of whatever else was chosen."""
    return f"{name.title()} ratio" if name in NAMED else name.replace("_", " ")


def plain(value: Any) -> str:
    """Write a parameter, or whatever else was chosen."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: NOTHING}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) >= 10_000 else f"{value:g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M UTC}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(each) for each in value)
    return str(value)
