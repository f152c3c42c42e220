"""Patterns: candlesticks, and chart patterns that carry the bar at which they could be known."""

from workbench.analytics.patterns.candlesticks import CANDLESTICKS, candlesticks
from workbench.analytics.patterns.pattern import Pattern, Point, table
from workbench.analytics.patterns.rules import Rules
from workbench.analytics.patterns.search import PATTERNS, events, find, standing_levels

__all__ = [
    "CANDLESTICKS",
    "PATTERNS",
    "Pattern",
    "Point",
    "Rules",
    "candlesticks",
    "events",
    "find",
    "standing_levels",
    "table",
]
