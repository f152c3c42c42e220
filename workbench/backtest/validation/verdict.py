"""One verdict on the best point of a grid: deflated Sharpe ratio, probability of overfitting, interval, test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.backtest.run import backtest
from workbench.backtest.statistics import returns_of
from workbench.backtest.strategy import Strategy
from workbench.backtest.terms import Terms
from workbench.backtest.validation.bootstrap import Interval, bootstrap_interval
from workbench.backtest.validation.cscv import Overfitting, probability_of_overfitting
from workbench.backtest.validation.overfitting import (
    deflated_sharpe_ratio,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    skew_and_kurtosis,
)
from workbench.backtest.validation.plain import plain
from workbench.backtest.validation.selection import cell_returns
from workbench.backtest.validation.superior_ability import SuperiorAbility, superior_predictive_ability
from workbench.core.calendar import periods_per_year

Counting = Callable[[NDArray[np.float64], int], tuple[int, float]]
"""Takes the per-bar Sharpe ratios of the points and their number of bars; returns the number of trials so far, and the
variance of such ratios over as many bars."""

PROVEN = 0.95
"""A deflated Sharpe ratio that is taken for proof."""


@dataclass(frozen=True, repr=False)
class Validation:
    """What is left of the best Sharpe ratio of a grid.

    Attributes
    ----------
    strategy : str
    parameters : mapping
        The point with the highest Sharpe ratio, as the grid names it.
    sharpe : float
        Of that point, a year.
    probabilistic : float
        Probability that its true Sharpe ratio is above zero, were it the only trial.
    deflated : float
        The same, for the best of ``n_trials``.
    minimum_bars : float
        Bars that would prove a Sharpe ratio above zero at the interval's confidence, were it the only trial; infinite
        where it is not above zero.
    overfitting : Overfitting
    interval : Interval
        Of the chosen point's Sharpe ratio, a year; blind to the choice.
    superior : SuperiorAbility
        Against buy-and-hold with the same costs, by mean return.
    n_points, n_bars : int
        Of the grid that are valid, and of the bars.
    n_trials : int
        Of the idea, so far.
    """

    strategy: str
    parameters: Mapping[str, Any]
    sharpe: float
    probabilistic: float
    deflated: float
    minimum_bars: float
    overfitting: Overfitting
    interval: Interval
    superior: SuperiorAbility
    n_points: int
    n_bars: int
    n_trials: int

    @property
    def conclusion(self) -> str:
        """What the figures say together, the first of these that is true.

        - ``"likely luck"``: a deflated Sharpe ratio below 0.5; or a probability of overfitting above 0.5 while the
          deflated Sharpe ratio is below 0.95.
        - ``"the choice of this point is luck"``: a probability of overfitting above 0.5: the points of the grid are
          good, and the best of them is no better than the others.
        - ``"holds up"``: a deflated Sharpe ratio of at least 0.95, a probability of overfitting of at most 0.1, an
          interval above zero, and a p-value of at most 0.05 against buy-and-hold.
        - ``"not proven"``: all else.
        """
        likely = self.overfitting.probability > 0.5
        if self.deflated < 0.5 or (likely and self.deflated < PROVEN):
            return "likely luck"
        if likely:
            return "the choice of this point is luck"
        sound = self.deflated >= PROVEN and self.overfitting.probability <= 0.1
        return "holds up" if sound and self.interval.low > 0 and self.superior.consistent <= 0.05 else "not proven"

    @property
    def verdict(self) -> str:
        """One line in plain English."""
        return (
            f"best of {self.n_trials:,}: Sharpe {self.sharpe:.2f}, deflated {self.deflated:.2f}, "
            f"PBO {self.overfitting.probability:.0%}: {self.conclusion}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; what is not finite becomes ``None``."""
        own = {name: getattr(self, name) for name in ("sharpe", "probabilistic", "deflated", "minimum_bars")}
        counts = {name: getattr(self, name) for name in ("n_points", "n_bars", "n_trials")}
        return {
            "strategy": self.strategy,
            "parameters": dict(self.parameters),
            "verdict": self.verdict,
            "conclusion": self.conclusion,
            **plain(own),
            **counts,
            "overfitting": self.overfitting.to_dict(),
            "interval": self.interval.to_dict(),
            "superior": self.superior.to_dict(),
        }

    def __repr__(self) -> str:
        return "\n".join([self._heading(), self.verdict, *(f"  {name}: {text}" for name, text in self._lines())])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in self._lines()
        )
        head = f"<strong>{escape(self._heading())}</strong><p>{escape(self.verdict)}</p>"
        return f"<div>{head}<table><tbody>{rows}</tbody></table></div>"

    def _heading(self) -> str:
        chosen = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.strategy}({chosen}), best of {self.n_points:,} points on {self.n_bars:,} bars"

    def _lines(self) -> list[tuple[str, str]]:
        over, inside, better = self.overfitting, self.interval, self.superior
        bars = "no number of bars" if math.isinf(self.minimum_bars) else f"{math.ceil(self.minimum_bars):,} bars"
        return [
            ("probabilistic Sharpe ratio", f"{self.probabilistic:.3f}, as the only trial; {bars} would prove it"),
            ("deflated Sharpe ratio", f"{self.deflated:.3f}, as the best of {self.n_trials:,} trials"),
            ("probability of overfitting", f"{over.probability:.1%} over {len(over.logits):,} halvings"),
            ("probability of a loss out of sample", f"{over.probability_of_loss:.1%}"),
            (f"{inside.confidence:.0%} interval of the Sharpe ratio", f"{inside.low:.2f} to {inside.high:.2f}"),
            ("against buy-and-hold", f"p = {better.consistent:.3f} ({better.lower:.3f} to {better.upper:.3f})"),
        ]


def validate(
    bars: xr.Dataset,
    strategy: Strategy,
    grid: Mapping[str, Any],
    terms: Terms,
    *,
    created: datetime,
    counting: Counting | None = None,
    n_blocks: int = 16,
    confidence: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> Validation:
    """Find the point of a grid with the highest Sharpe ratio and say what is left of it.

    Several symbols have an equal share of the cash each; their accounts are added up.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    strategy : Strategy
    grid : mapping
        A value or an iterable of values for each parameter; at least two points must be valid.
    terms : Terms
    created : datetime
        The moment for the provenance of the benchmark's backtest.
    counting : callable, optional
        Takes the points' per-bar Sharpe ratios (NaN for one that never traded) and the number of bars, and returns the
        number of trials of the idea so far, these included, and the variance of Sharpe ratios per bar over that number
        of bars; such as a trial ledger's (``Standing.variance_per_bar``). Without it the points of this grid are all
        the trials there are.
    n_blocks : int
        For the probability of overfitting.
    confidence, n_resamples, seed
        For the interval and the test.
    progress : bool
        Show progress bars.

    Returns
    -------
    Validation

    Raises
    ------
    UnknownNameError, ParameterError
        For a grid or a number that is not valid.
    InputError
        For fewer than two valid points, points that never trade, or too few bars.
    """
    everything = cell_returns(bars, strategy, grid, terms)
    cells = everything.traded
    sharpes = cells.sharpes
    overfitting = probability_of_overfitting(cells.returns, n_blocks, periods=_periods(bars), progress=progress)
    n_trials, variance = (counting or _alone)(everything.sharpes, len(cells.returns))
    best = int(sharpes.argmax())
    held = backtest(bars, strategy, cells.points[best], terms, created=created).benchmark_equity
    drawing: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed, "progress": progress}
    own = cells.returns.iloc[:, best].to_numpy()
    interval = bootstrap_interval(own, "sharpe", periods=_periods(bars), confidence=confidence, **drawing)
    superior = superior_predictive_ability(returns_of(held, terms.cash), cells.returns, **drawing)
    shape = skew_and_kurtosis(own)
    ratio = float(sharpes[best])
    return Validation(
        strategy=strategy.name,
        parameters=cells.points[best],
        sharpe=ratio * math.sqrt(_periods(bars)),
        probabilistic=probabilistic_sharpe_ratio(ratio, 0.0, len(own), *shape),
        deflated=deflated_sharpe_ratio(own, n_trials, variance),
        minimum_bars=minimum_track_record_length(ratio, 0.0, *shape, confidence=confidence),
        overfitting=overfitting,
        interval=interval,
        superior=superior,
        n_points=len(everything.points),
        n_bars=len(own),
        n_trials=n_trials,
    )


def of_grid(sharpes: NDArray[np.float64]) -> tuple[int, float]:
    """Return number and sample variance of Sharpe ratios, shape (n_points,), as if there had been no other trials."""
    found = sharpes[np.isfinite(sharpes)]
    return len(sharpes), float(found.var(ddof=1)) if len(found) > 1 else 0.0


def _alone(sharpes: NDArray[np.float64], n_bars: int) -> tuple[int, float]:  # noqa: ARG001 - as a ``Counting`` is called
    return of_grid(sharpes)


def _periods(bars: xr.Dataset) -> float:
    return periods_per_year(bars.attrs["interval"], bars.attrs["calendar"])
