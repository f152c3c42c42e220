"""Words of the market that several rooms share."""

from __future__ import annotations

from typing import Literal, get_args

Adjustment = Literal["none", "splits", "all"]
"""What prices are adjusted for: nothing (as traded), splits, or splits and dividends."""

Direction = Literal["long", "both"]
"""Hold long positions only, or turn short where a long/flat rule would leave the market."""

Fill = Literal["next_open", "next_close"]
"""The price of the bar after the signal's bar at which an order is filled."""

PRICES = ("open", "high", "low", "close")
FIELDS = (*PRICES, "volume")

ADJUSTMENTS: tuple[Adjustment, ...] = get_args(Adjustment)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
FILLS: tuple[Fill, ...] = get_args(Fill)
