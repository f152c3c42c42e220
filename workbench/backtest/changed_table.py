"""How the tables of two strategies that follow one differ."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import getclosurevars
from types import FunctionType

import pandas as pd

from workbench.backtest.strategy import Strategy

_OUTSIDE = "workbench.backtest.strategies.outside"
"""Where strategies are made of tables; their rules close over ``rows``."""


def changed_table(a: Strategy, b: Strategy) -> Iterator[tuple[str, str]]:
    """Yield what is said of the table of each, once, if both follow a table and the tables are not the same."""
    one, two = _table(a), _table(b)
    if one is not None and two is not None and not one.equals(two):
        yield _told(one, two), _told(two, one)


def _table(strategy: Strategy) -> pd.DataFrame | None:
    rule = strategy.rule
    if not isinstance(rule, FunctionType) or rule.__module__ != _OUTSIDE:
        return None
    found: pd.DataFrame | None = getclosurevars(rule).nonlocals.get("rows")
    return found


def _told(rows: pd.DataFrame, others: pd.DataFrame) -> str:
    # A column that only one of the tables has counts as empty in the other.
    columns = sorted({*rows, *others})
    own, foreign = (pd.util.hash_pandas_object(each.reindex(columns=columns), index=False) for each in (rows, others))
    return f"{len(rows):,} rows, {int((~own.isin(foreign)).sum()):,} only here"
