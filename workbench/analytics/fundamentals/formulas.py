"""A formula: a figure of a company out of items of its statements, told with its needs and its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PRICE = "price"
"""The need that is no item: the price of a share, as traded, in the statement's currency."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A figure of a company.

    Attributes
    ----------
    name, group : str
    about : str
        What it is, in terms of the items, with its source.
    needs : tuple of str
        Items, ``"item@1"`` for that of a year before, or ``PRICE``.
    compute : callable
        Takes an array for each need, all of one shape, and returns one of that shape; NaN where it is not defined.
    """

    name: str
    group: str
    about: str
    needs: tuple[str, ...]
    compute: Callable[..., Floats]

    def __call__(self, figure: Callable[[str], Floats]) -> Floats:
        """Return the figure, asking ``figure`` for each need."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self.compute(*(figure(need) for need in self.needs))


def divide(above: Floats, below: Floats) -> Floats:
    """Return the quotient, NaN where ``below`` is zero or negative.

    A ratio to negative earnings or equity has a sign that misleads, and sorts a loss beside a bargain.
    """
    return np.where(below > 0, above / np.where(below > 0, below, np.nan), np.nan)


def average(now: Floats, before: Floats) -> Floats:
    """Return the mean of a balance at both ends of a year; NaN where one is."""
    return (now + before) / 2


def flag(margin: Floats) -> Floats:
    """Return 1 where ``margin`` is above zero, 0 where it is not, and NaN where it is not known."""
    return np.where(np.isnan(margin), np.nan, (margin > 0).astype("float64"))


def joined(name: str, group: str, about: str, parts: Iterable[Formula], join: Callable[..., Floats]) -> Formula:
    """Return a formula of formulas: ``join`` takes the value of each part."""
    own = tuple(parts)
    needs = tuple(dict.fromkeys(need for part in own for need in part.needs))

    def compute(*arrays: Floats) -> Floats:
        known = dict(zip(needs, arrays, strict=True))
        return join(*(part(known.__getitem__) for part in own))

    return Formula(name, group, about, needs, compute)


def table(formulas: Iterable[Formula]) -> Mapping[str, Formula]:
    """Return formulas by name."""
    return {formula.name: formula for formula in formulas}
