"""Words of the market that several rooms share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from workbench.core.errors import InputError

Adjustment = Literal["none", "splits", "all"]
"""What prices are adjusted for: nothing (as traded), splits, or splits and dividends."""

Direction = Literal["long", "both"]
"""Hold long positions only, or turn short where a long/flat rule would leave the market."""

Fill = Literal["next_open", "next_close"]
"""The price of the bar after the signal's bar at which an order is filled."""

Interval = Literal["1d", "1h", "1m"]
"""The length of a bar: a session, an hour, a minute."""

PRICES = ("open", "high", "low", "close")
FIELDS = (*PRICES, "volume")

ADJUSTMENTS: tuple[Adjustment, ...] = get_args(Adjustment)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
FILLS: tuple[Fill, ...] = get_args(Fill)
INTERVALS: tuple[Interval, ...] = get_args(Interval)

_SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^=_-]{0,31}")


def check_symbol(symbol: object) -> str:
    """Return ``symbol`` if it can be one: letters, digits and ``. ^ = _ -``, at most 32 characters.

    What passes is safe as a part of a file's name and of a URL.

    Raises
    ------
    InputError
    """
    if isinstance(symbol, str) and _SYMBOL.fullmatch(symbol) and ".." not in symbol:
        return symbol
    raise InputError(f"{symbol!r} is no symbol; write letters, digits and . ^ = _ - only, such as BRK-B")


def check_symbols(symbols: object) -> None:
    """Raise where something else than one symbol, several, or none at all was given.

    A table of prices would be taken for the names of its columns.

    Raises
    ------
    InputError
    """
    if symbols is None or isinstance(symbols, str):
        return
    if isinstance(symbols, Mapping) or hasattr(symbols, "columns") or not isinstance(symbols, Iterable):
        raise InputError(f"{type(symbols).__name__} is no list of symbols; give names, or Bars (see bench.bars)")
