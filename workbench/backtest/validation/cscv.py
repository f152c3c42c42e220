"""The probability of backtest overfitting, by combinatorially symmetric cross-validation (CSCV).

D. H. Bailey, J. M. Borwein, M. Lopez de Prado and Q. J. Zhu, "The Probability of Backtest Overfitting", J.
Computational Finance 20 (2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from workbench.backtest.validation.plain import plain
from workbench.backtest.validation.scores import Sums, matrix, ranks, scores
from workbench.core.errors import InputError, ParameterError

MAX_BLOCKS = 20
"""184,756 combinations; every two blocks more are four times as many."""

CHUNK_BYTES = 32 * 2**20
"""Memory of one array of scores, combinations by columns."""


@dataclass(frozen=True, repr=False)
class Overfitting:
    """How the best column of one half of the bars did on the other half, over all ways to halve them.

    Attributes
    ----------
    probability : float
        Share of halvings whose choice ended in the lower half of the ranking (a logit of zero or below): PBO.
    slope, intercept, r_squared : float
        Line through out-of-sample against in-sample Sharpe ratios of the choices: performance degradation.
    probability_of_loss : float
        Share of halvings whose choice had a Sharpe ratio below zero out of sample.
    logits, in_sample, out_of_sample : numpy.ndarray
        Of the choice in each halving, shape (n_combinations,).
    n_columns, n_blocks, n_bars : int
        What was looked at; ``n_bars`` after the oldest bars that do not fill a block were left out.
    """

    probability: float
    slope: float
    intercept: float
    r_squared: float
    probability_of_loss: float
    logits: NDArray[np.float64]
    in_sample: NDArray[np.float64]
    out_of_sample: NDArray[np.float64]
    n_columns: int
    n_blocks: int
    n_bars: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain values, without the arrays; what is not finite becomes ``None``."""
        figures = {name: getattr(self, name) for name in _FIGURES}
        counts = {"n_columns": self.n_columns, "n_blocks": self.n_blocks, "n_bars": self.n_bars}
        return plain({**figures, "n_combinations": len(self.logits), **counts})

    def __repr__(self) -> str:
        return (
            f"probability of overfitting {self.probability:.0%} over {len(self.logits):,} halvings "
            f"({self.n_columns:,} columns, {self.n_blocks} blocks, {self.n_bars:,} bars)\n"
            f"loss out of sample {self.probability_of_loss:.0%}, slope {self.slope:.3g}, R² {self.r_squared:.3g}"
        )

    def _repr_html_(self) -> str:
        first, second = repr(self).split("\n")
        return f"<div><strong>{escape(first)}</strong><br>{escape(second)}</div>"


_FIGURES = ("probability", "slope", "intercept", "r_squared", "probability_of_loss")


def probability_of_overfitting(
    returns: ArrayLike, n_blocks: int = 16, *, periods: float = 1.0, progress: bool = False
) -> Overfitting:
    """Return the probability of backtest overfitting by combinatorially symmetric cross-validation.

    The bars are cut into ``n_blocks`` blocks of equal length; each half of the blocks is once the training half. The
    column with the highest Sharpe ratio there is ranked among all columns on the other half (Bailey, Borwein, Lopez
    de Prado and Zhu 2017, algorithm 2.3). Nothing is random.

    Parameters
    ----------
    returns : array-like
        Simple returns per bar, shape (n_bars, n_columns), a column for each trial; rows of NaN at the head are dropped,
        and so are the oldest bars that do not fill a block.
    n_blocks : int
        Even, from 2 to 20; 16 gives 12,870 halvings.
    periods : float
        Bars a year, to scale the Sharpe ratios; 1 leaves them per bar.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Overfitting
        Columns of equal rank share the mean of their ranks. A column that does not move in a half has a Sharpe ratio
        of zero there: staying out is no loss.

    Raises
    ------
    ParameterError
        If ``n_blocks`` is odd or out of range.
    InputError
        For fewer than two columns, fewer than two bars a block, or NaN that are not at the head.
    """
    if n_blocks % 2 or not 2 <= n_blocks <= MAX_BLOCKS:
        raise ParameterError(f"n_blocks={n_blocks!r} is not an even number from 2 to {MAX_BLOCKS}; 16 is usual")
    values = matrix(returns)
    if values.shape[1] < 2:
        raise InputError("one column cannot be overfitted by choosing; give the returns of at least 2 trials")
    length = len(values) // n_blocks
    if length < 2:
        raise InputError(f"{len(values)} bars are too few for {n_blocks} blocks; {2 * n_blocks} are needed at least")
    values = values[len(values) - length * n_blocks :]
    sums = Sums.of(values, np.arange(0, len(values), length))
    parts = list(_halvings(sums, n_blocks, progress))
    ranked, inside, outside = (np.concatenate(each) for each in zip(*parts, strict=True))
    inside, outside = inside * math.sqrt(periods), outside * math.sqrt(periods)
    logits = np.log(ranked / (values.shape[1] + 1 - ranked))
    slope, intercept, fit = _line(inside, outside)
    return Overfitting(
        probability=float(np.mean(logits <= 0)),
        slope=slope,
        intercept=intercept,
        r_squared=fit,
        probability_of_loss=float(np.mean(outside < 0)),
        logits=logits,
        in_sample=inside,
        out_of_sample=outside,
        n_columns=values.shape[1],
        n_blocks=n_blocks,
        n_bars=len(values),
    )


def _halvings(sums: Sums, n_blocks: int, progress: bool) -> Iterator[tuple[NDArray[np.float64], ...]]:
    """Yield rank, in-sample and out-of-sample score of the choices, a chunk of halvings at a time."""
    chosen = np.array(list(combinations(range(n_blocks), n_blocks // 2)))
    members = np.zeros((len(chosen), n_blocks))
    np.put_along_axis(members, chosen, 1.0, axis=1)
    step = max(1, CHUNK_BYTES // (8 * sums.mean.size))
    with tqdm(total=len(members), desc="overfitting", unit="halving", disable=not progress) as bar:
        for first in range(0, len(members), step):
            train = members[first : first + step]
            inside, outside = scores(sums, train), scores(sums, 1 - train)
            best = inside.argmax(axis=1)
            reached = [np.take_along_axis(each, best[:, None], axis=1)[:, 0] for each in (inside, outside)]
            yield (ranks(outside, best), *reached)
            bar.update(len(train))


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return slope, intercept and R² of ordinary least squares; NaN where ``x`` does not vary."""
    away, aside = x - x.mean(), y - y.mean()
    if np.allclose(away, 0):
        return math.nan, math.nan, math.nan
    slope = float(away @ aside / (away @ away))
    fit = float((away @ aside) ** 2 / ((away @ away) * (aside @ aside))) if aside.any() else math.nan
    return slope, float(y.mean() - slope * x.mean()), fit
