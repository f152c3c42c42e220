"""The points of a sweep: every combination of the values on its axes, none of them written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Any

import numpy as np

from workbench.backtest.strategy import Check, Strategy
from workbench.core.errors import ParameterError

CELLS = 20_000_000
"""Cells, a point for a symbol, that a sweep may have: its result takes 96 bytes for each, 1.9 GB in all."""


@dataclass(frozen=True)
class Grid:
    """The axes of a sweep. A point is known by its place: the last axis runs fastest.

    Attributes
    ----------
    strategy : str
    axes : mapping of str to list
        The values of each parameter that the grid names, typed.
    fixed : mapping
        The defaults of the others.
    check : callable, optional
        The strategy's condition between parameters.
    """

    strategy: str
    axes: Mapping[str, list[Any]]
    fixed: Mapping[str, Any]
    check: Check | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Values on each axis."""
        return tuple(len(values) for values in self.axes.values())

    @property
    def size(self) -> int:
        """Number of points."""
        return prod(self.shape)

    def points(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Yield all parameters of the points from ``first`` up to ``last``, which is left out."""
        if not self.axes:
            yield from ([dict(self.fixed)] * self.size)[first:last]
            return
        places = np.unravel_index(np.arange(first, last), self.shape)
        columns = [[values[k] for k in place] for values, place in zip(self.axes.values(), places, strict=True)]
        for point in zip(*columns, strict=True):
            yield {**self.fixed, **dict(zip(self.axes, point, strict=True))}

    def fault(self, point: Mapping[str, Any]) -> str | None:
        """Say what is wrong with the parameters of a point together."""
        return self.check(point) if self.check else None

    def first_valid(self) -> dict[str, Any]:
        """Return the first point whose parameters go together.

        Raises
        ------
        ParameterError
            Where there is none, telling what is wrong with the first point.
        """
        said = None
        for point in self.points(0, self.size):
            fault = self.fault(point)
            if fault is None:
                return point
            said = said or fault
        raise ParameterError(f"no point of the grid is valid; the first says: strategy {self.strategy!r}: {said}")

    def told(self, point: Mapping[str, Any]) -> str:
        """Return a point in words, such as ``fast=10, slow=50``: what the grid names of it."""
        return ", ".join(f"{name}={point[name]!r}" for name in self.axes) or "its default parameters"


def read_grid(strategy: Strategy, given: Mapping[str, Any], symbols: int) -> Grid:
    """Read a grid; each value is looked at once.

    Parameters
    ----------
    strategy : Strategy
    given : mapping
        A value or an iterable of values for each parameter; parameters not named keep their default.
    symbols : int
        How many symbols each point is run for.

    Raises
    ------
    UnknownNameError, ParameterError
        For a parameter that the strategy does not have, an empty axis, a value that is never valid or given twice, or
        more than ``CELLS`` cells.
    """
    raw = {name: _axis(name, values, CELLS + 1) for name, values in given.items()}
    cells = prod(len(values) for values in raw.values()) * symbols
    if cells > CELLS:
        sizes = " x ".join(f"{len(values):,} {name}" for name, values in raw.items())
        raise ParameterError(
            f"the grid has {cells:,} cells ({sizes} x {symbols:,} symbols), more than the {CELLS:,} that a sweep may "
            "have; give fewer values or fewer symbols"
        )
    axes = {name: [strategy.typed({name: value})[name] for value in values] for name, values in raw.items()}
    for name, values in axes.items():
        _require_distinct(name, values)
    fixed = {name: value for name, value in strategy.typed({}).items() if name not in axes}
    return Grid(strategy.name, axes, fixed, strategy.check)


def _axis(name: str, values: Any, most: int) -> list[Any] | range:
    """Return the values of an axis, as they were given; fewer than ``most`` where they say how many they are."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    if isinstance(values, range):
        axis: list[Any] | range = values
    elif isinstance(values, Sized) and len(values) >= most:
        raise ParameterError(
            f"the grid has {len(values):,} values for {name!r}, more than the {CELLS:,} cells that a sweep may have; "
            "give fewer values"
        )
    else:
        # An array's own scalars are not what a parameter's type knows.
        axis = [value.item() if hasattr(value, "item") else value for value in islice(values, most)]
    if not axis:
        raise ParameterError(f"the grid has no values for {name!r}; give at least one")
    return axis


def _require_distinct(name: str, values: list[Any]) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise ParameterError(f"the grid has {name}={value!r} twice; give each value once")
        seen.add(value)
