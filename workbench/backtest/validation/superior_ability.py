"""Hansen's test for superior predictive ability: does the best of many models beat a benchmark by more than luck.

P. R. Hansen, "A Test for Superior Predictive Ability", J. Business and Economic Statistics 23 (2005).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.backtest.validation.bootstrap import draw, mean_length, require_enough, require_resamples
from workbench.backtest.validation.plain import plain
from workbench.backtest.validation.scores import finite, matrix
from workbench.core.errors import InputError
from workbench.risk.measures import NOISE


@dataclass(frozen=True)
class SuperiorAbility:
    """Whether the best of many models beats a benchmark by more than luck.

    Attributes
    ----------
    lower, consistent, upper : float
        P-values of the hypothesis that no model is better than the benchmark, from liberal to conservative (the last
        is White's reality check, studentised). ``consistent`` is the one to report.
    statistic : float
        The largest studentised mean difference, times the root of ``n_bars``; not below zero.
    best : int
        Column of the model with it.
    block : float
        Mean length of a block, in bars.
    n_models, n_bars, n_resamples, seed : int
    """

    lower: float
    consistent: float
    upper: float
    statistic: float
    best: int
    block: float
    n_models: int
    n_bars: int
    n_resamples: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; what is not finite becomes ``None``."""
        return plain(asdict(self))

    def __repr__(self) -> str:
        return (
            f"superior predictive ability of the best of {self.n_models:,}: p = {self.consistent:.3f} "
            f"(lower {self.lower:.3f}, upper {self.upper:.3f}; {self.n_resamples:,} resamples of {self.n_bars:,} bars)"
        )

    def _repr_html_(self) -> str:
        return f"<div>{escape(repr(self))}</div>"


def superior_predictive_ability(
    benchmark: ArrayLike,
    models: ArrayLike,
    *,
    n_resamples: int = 1000,
    block: float | None = None,
    seed: int = 0,
    progress: bool = False,
) -> SuperiorAbility:
    """Test whether the best of many return series beats a benchmark's (Hansen 2005).

    P. R. Hansen, "A Test for Superior Predictive Ability", J. Business and Economic Statistics 23 (2005), with the
    kernel variance of its section 3. ``arch.bootstrap.SPA`` takes *losses*, so that a return goes in with its sign
    turned; here returns go in as they are, more being better. Its resampling is used, while the means of all resamples
    come from one matrix product: thousands of models take seconds instead of minutes.

    Parameters
    ----------
    benchmark : array-like
        Simple returns per bar, shape (n_bars,).
    models : array-like
        Simple returns per bar on the same bars, shape (n_bars, n_models).
    n_resamples, seed, progress
        As for ``bootstrap_interval``.
    block : float, optional
        Mean length of a block; the optimal one of the best model's difference from the benchmark where ``None``.

    Returns
    -------
    SuperiorAbility
        A model that equals the benchmark on every bar is left out of the maximum. Where no model has a higher mean
        than the benchmark, all three p-values are 1: there is nothing to reject.

    Raises
    ------
    InputError
        For fewer than 10 bars, lengths that differ, values that are not finite, or models that all equal the benchmark.
    ParameterError
    """
    rows, against = matrix(models), finite(benchmark)
    if len(rows) != len(against):
        raise InputError(f"the models have {len(rows)} bars and the benchmark {len(against)}; give the same bars")
    better = rows - against[:, None]
    moving = np.ptp(better, axis=0) > NOISE
    if not moving.any():
        raise InputError("every model equals the benchmark on every bar; give models that differ from it")
    places, better = np.flatnonzero(moving), better[:, moving]
    n, mean = len(better), better.mean(axis=0)
    lead = better[:, int(np.argmax(mean / better.std(axis=0)))]
    length = mean_length(require_enough(lead), block)
    spread = np.sqrt(_long_run_variance(better - mean, 1 / length))
    ratios = math.sqrt(n) * mean / spread
    statistic = max(0.0, float(ratios.max()))
    weights = np.zeros((require_resamples(n_resamples), n))
    for place, drawn in enumerate(draw(n, length, n_resamples, seed, progress)):
        weights[place] = np.bincount(drawn, minlength=n) / n
    drawn_ratios = math.sqrt(n) * (weights @ better) / spread
    # Hansen's three ways to centre: models far below the benchmark are kept from the maximum but for the upper bound.
    near = ratios >= -math.sqrt(2 * math.log(math.log(n)))
    centres = np.maximum(ratios, 0), np.where(near, ratios, 0), ratios
    lower, consistent, upper = (
        float(((drawn_ratios - centre).max(axis=1) > statistic).mean()) if statistic else 1.0 for centre in centres
    )
    best, n_models = int(places[ratios.argmax()]), moving.size
    return SuperiorAbility(lower, consistent, upper, statistic, best, length, n_models, n, n_resamples, seed)


def _long_run_variance(centred: NDArray[np.float64], p: float) -> NDArray[np.float64]:
    """Return the variance of the root-n mean under the stationary bootstrap, shape (n_models,).

    Politis and Romano 1994, lemma 1: autocovariances weighted by ``(1 - i/n)(1 - p)**i + (i/n)(1 - p)**(n - i)``. The
    sum of weighted autocovariances is taken in the frequency domain, where it costs n log n and not n squared.
    """
    n = len(centred)
    lags = np.arange(n)
    kernel = (1 - lags / n) * (1 - p) ** lags + lags / n * (1 - p) ** (n - lags)
    kernel[1:] *= 2
    size = 2 ** math.ceil(math.log2(2 * n))
    found = np.empty(centred.shape[1])
    for first in range(0, len(found), 64):
        part = np.abs(np.fft.rfft(centred[:, first : first + 64], size, axis=0)) ** 2
        found[first : first + 64] = kernel @ np.fft.irfft(part, size, axis=0)[:n] / n
    # A kernel of positive type leaves nothing below zero but rounding.
    return np.maximum(found, np.finfo(float).tiny)
