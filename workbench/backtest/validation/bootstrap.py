"""Stationary-bootstrap intervals for a statistic of returns.

The stationary bootstrap draws blocks of bars of random length, so that what follows what is kept (D. N. Politis and
J. P. Romano, "The Stationary Bootstrap", J. American Statistical Association 89, 1994). The mean length of a block is
estimated from the returns (D. N. Politis and H. White, "Automatic Block-Length Selection", Econometric Reviews 23,
2004; corrected by A. Patton, D. N. Politis and H. White, Econometric Reviews 28, 2009). The drawing is ``arch``'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from workbench.backtest.validation.plain import plain
from workbench.backtest.validation.scores import finite
from workbench.core.errors import InputError, ParameterError, UnknownNameError
from workbench.risk import measures

Statistic = str | Callable[[NDArray[np.float64]], float]
Method = Literal["percentile", "bca"]

BY_YEAR = ("annual_return", "volatility", "sharpe", "sortino", "calmar")
STATISTICS = (*BY_YEAR, "total_return", "max_drawdown")
"""Statistics that are known by name; see ``workbench.risk.measures``."""

FEWEST = 10
"""Returns without which a bootstrap says nothing: the rule for the length of a block looks at autocorrelations."""


@dataclass(frozen=True)
class Interval:
    """A statistic of returns and the range in which its true value plausibly lies.

    Attributes
    ----------
    statistic : str
    estimate, low, high : float
        In the statistic's own unit.
    standard_error : float
        Standard deviation over the resamples.
    confidence : float
    method : {"percentile", "bca"}
    block : float
        Mean length of a block, in bars.
    n_bars, n_resamples : int
        ``n_resamples`` counts those on which the statistic is defined.
    seed : int
    """

    statistic: str
    estimate: float
    low: float
    high: float
    standard_error: float
    confidence: float
    method: str
    block: float
    n_bars: int
    n_resamples: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; what is not finite becomes ``None``."""
        return plain(asdict(self))

    def __repr__(self) -> str:
        return (
            f"{self.statistic} {self.estimate:.3g}, {self.confidence:.0%} interval {self.low:.3g} to {self.high:.3g} "
            f"({self.method}, {self.n_resamples:,} resamples, blocks of {self.block:.1f} bars)"
        )

    def _repr_html_(self) -> str:
        return f"<div>{escape(repr(self))}</div>"


def block_length(returns: ArrayLike) -> float:
    """Return the optimal mean length of a block for the stationary bootstrap, in bars, at least 1.

    Politis and White 2004, as corrected by Patton, Politis and White 2009. Returns are of shape (n_bars,), with NaN at
    the head dropped.

    Raises
    ------
    InputError
        For fewer than 10 returns, constant ones, or NaN that are not at the head.
    """
    return _block(require_enough(finite(returns)))


def bootstrap_interval(
    returns: ArrayLike,
    statistic: Statistic = "sharpe",
    *,
    periods: float,
    confidence: float = 0.95,
    method: Method = "percentile",
    n_resamples: int = 1000,
    block: float | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Interval:
    """Return a stationary-bootstrap interval for a statistic of returns.

    Parameters
    ----------
    returns : array-like
        Simple returns per bar, shape (n_bars,); NaN at the head are dropped.
    statistic : str or callable
        A name out of ``STATISTICS``, or a function of an array of returns that gives one number.
    periods : float
        Bars a year, for the statistics that are scaled to one.
    confidence : float
        Probability that the interval covers, such as 0.95: it cuts off half of the rest at each end.
    method : {"percentile", "bca"}
        Quantiles of the resamples; or corrected for bias and acceleration (B. Efron, "Better Bootstrap Confidence
        Intervals", J. American Statistical Association 82, 1987), which needs the statistic once more for each bar.
    n_resamples : int
    block : float, optional
        Mean length of a block in bars; the optimal one where ``None``. 1 draws bars independently.
    seed : int
        The same seed gives the same interval.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Interval
        Resamples on which the statistic is not defined (a Sharpe ratio of constant returns) are left out.

    Raises
    ------
    UnknownNameError, ParameterError
        For a statistic, a method or a number that is none.
    InputError
        For fewer than 10 returns, constant ones, NaN that are not at the head, or a statistic that is not a number.
    """
    if method not in ("percentile", "bca"):
        raise UnknownNameError("method", method, ("percentile", "bca"))
    if not 0 < confidence < 1:
        raise ParameterError(f"confidence={confidence!r} is out of range; give a probability, such as 0.95")
    values = require_enough(finite(returns))
    name, measure = _measure(statistic, periods)
    estimate = _number(measure(values), name)
    if math.isnan(estimate):
        raise InputError(f"{name} is not defined for these {len(values)} returns; choose another statistic")
    length = mean_length(values, block)
    draws = np.empty(require_resamples(n_resamples))
    for place, rows in enumerate(draw(len(values), length, n_resamples, seed, progress)):
        draws[place] = _number(measure(values[rows]), name)
    draws = draws[np.isfinite(draws)]
    if len(draws) < 2:
        raise InputError(
            f"{name} is not defined on {n_resamples:,} resamples of these returns; choose another statistic"
        )
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if method == "bca":
        tails = _corrected(
            tails, draws, estimate, np.array([measure(np.delete(values, i)) for i in range(len(values))])
        )
    low, high = np.quantile(draws, tails)
    error = float(draws.std(ddof=1))
    counts = {"n_bars": len(values), "n_resamples": len(draws), "seed": seed}
    return Interval(name, estimate, float(low), float(high), error, confidence, method, length, **counts)


def draw(n: int, block: float, n_resamples: int, seed: int, progress: bool) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each resample, shape (n,), of blocks with a mean length of ``block``."""
    from arch.bootstrap import StationaryBootstrap

    # The mean length of a block may be a fraction: only its inverse, the odds of a new block, is used.
    drawn = StationaryBootstrap(block, np.arange(n), seed=seed).bootstrap(n_resamples)  # type: ignore[arg-type]
    for data, _ in tqdm(drawn, total=n_resamples, desc="bootstrap", unit="resample", disable=not progress):
        yield np.asarray(data[0])


def _corrected(
    tails: NDArray[np.float64], draws: NDArray[np.float64], estimate: float, left_out: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the quantiles to read, corrected for bias and acceleration (Efron 1987, eq. 6.8)."""
    from scipy.special import ndtr, ndtri

    below = float((draws < estimate).mean())
    if not 0 < below < 1:
        raise InputError(
            f"all resamples lie on one side of the estimate {estimate:g}, which bca cannot correct; "
            "choose method='percentile'"
        )
    bias = ndtri(below)
    away = np.nanmean(left_out) - left_out[np.isfinite(left_out)]
    acceleration = np.sum(away**3) / (6 * np.sum(away**2) ** 1.5) if away.any() else 0.0
    moved = bias + ndtri(tails)
    found: NDArray[np.float64] = ndtr(bias + moved / (1 - acceleration * moved))
    return found


def _measure(statistic: Statistic, periods: float) -> tuple[str, Callable[[NDArray[np.float64]], float]]:
    if not isinstance(statistic, str):
        return getattr(statistic, "__name__", "statistic"), statistic
    if statistic not in STATISTICS:
        raise UnknownNameError("statistic", statistic, STATISTICS)
    measure = getattr(measures, statistic)
    if statistic in BY_YEAR:
        return statistic, lambda values: measure(values, periods)
    return statistic, measure


def _number(found: Any, name: str) -> float:
    if np.ndim(found) or not isinstance(found, int | float | np.number):
        raise InputError(f"the statistic {name!r} gives {type(found).__name__}; it must give one number")
    return float(found)


def require_enough(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``values``, shape (n_bars,), where there are enough and they vary; raise InputError otherwise."""
    if len(values) < FEWEST:
        raise InputError(f"{len(values)} returns are too few for a bootstrap; {FEWEST} are needed at least")
    if np.ptp(values) == 0:
        raise InputError(f"the returns are all {values[0]:g}; a bootstrap needs returns that vary")
    return values


def mean_length(values: NDArray[np.float64], block: float | None) -> float:
    """Return the mean length of a block: what is given and valid, else the optimal one of ``values``."""
    if block is None:
        return _block(values)
    if not 1 <= block <= len(values):
        raise ParameterError(f"block={block!r} is out of range; give a mean length from 1 to {len(values)} bars")
    return float(block)


def _block(values: NDArray[np.float64]) -> float:
    from arch.bootstrap import optimal_block_length

    return max(1.0, float(optimal_block_length(values)["stationary"].iloc[0]))


def require_resamples(n_resamples: int) -> int:
    """Return a number of resamples that is possible; raise ParameterError otherwise."""
    if not 2 <= n_resamples <= 1_000_000:
        raise ParameterError(f"n_resamples={n_resamples!r} is out of range; give a number from 2, such as 1000")
    return n_resamples
