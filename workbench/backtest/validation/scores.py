"""Sharpe ratios over many unions of bars at once, and what an array of returns must be for that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.core.errors import InputError

LEVEL = 1e-9
"""Sharpe ratios that are this near to each other, relatively or per bar, are equal: the sums leave rounding."""

STILL = 1e-10
"""A variance below this share of the mean square is what rounding leaves of no movement at all."""


@dataclass(frozen=True)
class Sums:
    """Moments of blocks of bars, from which the Sharpe ratio over any union of them follows.

    The columns are centred first, so that nothing is lost when the square of a sum is subtracted from a sum of squares.

    Attributes
    ----------
    mean : numpy.ndarray
        Of each column over all bars, shape (n_columns,).
    counts : numpy.ndarray
        Bars in each block, shape (n_blocks,).
    sums, squares : numpy.ndarray
        Of the centred returns in each block, shape (n_blocks, n_columns).
    """

    mean: NDArray[np.float64]
    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, returns: NDArray[np.float64], starts: NDArray[np.int64]) -> Sums:
        """Return the sums of ``returns``, shape (n_bars, n_columns), for blocks that begin at ``starts``."""
        mean = returns.mean(axis=0)
        centred = returns - mean
        counts = np.diff(np.append(starts, len(returns))).astype("float64")
        sums = np.add.reduceat(centred, starts, axis=0)
        return cls(mean, counts, sums, np.add.reduceat(centred**2, starts, axis=0))


def scores(sums: Sums, members: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return per-bar Sharpe ratios over unions of blocks.

    Parameters
    ----------
    sums : Sums
    members : numpy.ndarray
        One where a block belongs to a union, zero elsewhere, shape (n_unions, n_blocks).

    Returns
    -------
    numpy.ndarray
        Shape (n_unions, n_columns); zero for a column that does not move.
    """
    counts = (members @ sums.counts)[:, None]
    away = members @ sums.sums / counts
    square = members @ sums.squares / counts
    variance = square - away**2
    moving = variance > STILL * square
    spread = np.sqrt(np.where(moving, variance * counts / (counts - 1), 1.0))
    found: NDArray[np.float64] = np.where(moving, (sums.mean + away) / spread, 0.0)
    return found


def ranks(found: NDArray[np.float64], chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the rank of a chosen column among all columns, 1 the lowest; equal columns share the mean of theirs.

    Parameters
    ----------
    found : numpy.ndarray
        Scores, shape (n_unions, n_columns).
    chosen : numpy.ndarray
        A column for each union, shape (n_unions,).

    Returns
    -------
    numpy.ndarray
        Shape (n_unions,).
    """
    reached = np.take_along_axis(found, chosen[:, None], axis=1)
    # Columns that are the same have sums that are not, to the last bit: a matrix product adds in another order.
    level = np.isclose(found, reached, rtol=LEVEL, atol=LEVEL)
    below = (found < reached) & ~level
    ranked: NDArray[np.float64] = below.sum(axis=1) + (level.sum(axis=1) + 1) / 2
    return ranked


def finite(returns: ArrayLike) -> NDArray[np.float64]:
    """Return a series of returns without the NaN at its head.

    Raises
    ------
    InputError
        For a value after the first number that is not finite, or an array that is no series.
    """
    values = np.asarray(returns, dtype="float64")
    if values.ndim != 1:
        raise InputError(f"returns of shape {values.shape} are no series; give one dimension, (n_bars,)")
    return matrix(values[:, None])[:, 0]


def matrix(returns: ArrayLike) -> NDArray[np.float64]:
    """Return columns of returns without the rows of NaN at their head.

    Raises
    ------
    InputError
        For a value after the head that is not finite, or an array that is no matrix.
    """
    values = np.asarray(returns, dtype="float64")
    if values.ndim != 2:
        raise InputError(f"returns of shape {values.shape} are no matrix; give two dimensions, (n_bars, n_columns)")
    there = ~np.isnan(values).all(axis=1)
    values = values[there.argmax() if there.any() else len(values) :]
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = (int(place) for place in wrong[0])
        raise InputError(
            f"the returns hold {values[row, column]} at row {row} of column {column}, counted from the first numbers; "
            "leave such columns out or fill their gaps"
        )
    return values
