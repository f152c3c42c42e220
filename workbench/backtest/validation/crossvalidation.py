"""Combinatorial purged cross-validation: every choice of test folds, and the paths that they make up.

M. Lopez de Prado, "Advances in Financial Machine Learning", Wiley (2018), chapters 7 (purging, embargo) and 12. The
folds and the paths are those of ``skfolio.model_selection.CombinatorialPurgedCV``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from tqdm.auto import tqdm

from workbench.backtest.strategy import Strategy
from workbench.backtest.terms import Terms
from workbench.backtest.validation.plain import plain
from workbench.backtest.validation.scores import Sums, ranks, scores
from workbench.backtest.validation.selection import Cells, cell_returns
from workbench.core.calendar import periods_per_year
from workbench.core.errors import InputError, ParameterError
from workbench.risk import measures

MAX_SPLITS = 5000
"""Each split is a mask over all bars: more of them say nothing new and take memory."""

EMBARGO = 0.01
"""Share of the bars that is the embargo where none is given (Lopez de Prado 2018, section 7.4.2)."""

AT_ONCE = 64
"""Splits whose masks and scores are held at a time."""


@dataclass(frozen=True, repr=False)
class CrossValidation:
    """What choosing the best point of a grid by its Sharpe ratio earned on bars that the choice did not see.

    Attributes
    ----------
    strategy : str
    splits : pandas.DataFrame
        A row for each split: ``test_folds``, the chosen parameters, ``in_sample out_of_sample`` (Sharpe ratio a year)
        and ``rank`` (of the choice out of sample, relative: 1 is above all others, 0.5 the median).
    paths : pandas.DataFrame
        Simple returns per bar of each path, every bar out of sample, shape (n_bars, n_paths).
    path_sharpes : numpy.ndarray
        Sharpe ratio a year of each path, shape (n_paths,); NaN for one on which nothing was traded.
    probability_of_loss : float
        Share of the paths whose Sharpe ratio is below zero.
    probability_below_median : float
        Share of the splits whose choice came out at or below the median of all points.
    purge, embargo : int
        Bars that were left out of the training bars around each test fold, and after it on top of that.
    sharpes : numpy.ndarray
        Per-bar Sharpe ratio of each point over all bars, for the trial ledger; NaN for one that never traded.
    """

    strategy: str
    splits: pd.DataFrame
    paths: pd.DataFrame
    path_sharpes: NDArray[np.float64]
    probability_of_loss: float
    probability_below_median: float
    purge: int
    embargo: int
    sharpes: NDArray[np.float64]

    @property
    def n_trials(self) -> int:
        """How many points were looked at."""
        return len(self.sharpes)

    def summary(self) -> dict[str, float]:
        """Return mean, standard deviation, lowest, median and highest of the paths' Sharpe ratios, and the shares."""
        found = self.path_sharpes[np.isfinite(self.path_sharpes)]
        nothing = [math.nan] * 5
        spread = float(found.std(ddof=1)) if len(found) > 1 else math.nan
        figures = [found.mean(), spread, found.min(), np.median(found), found.max()] if len(found) else nothing
        names = ("mean", "standard_deviation", "lowest", "median", "highest")
        shares = ("probability_of_loss", "probability_below_median")
        return {name: float(value) for name, value in zip(names, figures, strict=True)} | {
            name: getattr(self, name) for name in shares
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without the returns; what is not finite becomes ``None``."""
        counts = {"n_splits": len(self.splits), "n_paths": len(self.path_sharpes), "n_trials": self.n_trials}
        rows = [plain({str(name): value for name, value in row.items()}) for row in self.splits.to_dict("records")]
        return {
            "strategy": self.strategy,
            **plain(self.summary()),
            **counts,
            "purge": self.purge,
            "embargo": self.embargo,
            "path_sharpes": [float(value) if math.isfinite(value) else None for value in self.path_sharpes],
            "splits": rows,
        }

    def __repr__(self) -> str:
        figures = "\n".join(f"{name:<26}{value:.4g}" for name, value in self.summary().items())
        return f"{self._heading()}\n{figures}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name.replace('_', ' '))}</th>"
            f"<td style='text-align:right;padding-left:16px'>{_told(name, value)}</td></tr>"
            for name, value in self.summary().items()
        )
        return f"<div><strong>{escape(self._heading())}</strong><table><tbody>{rows}</tbody></table></div>"

    def _heading(self) -> str:
        return (
            f"cross-validation of {self.strategy}: out-of-sample Sharpe ratio of {len(self.path_sharpes)} paths "
            f"from {len(self.splits)} splits, {self.n_trials:,} trials"
        )


def _told(name: str, value: float) -> str:
    return f"{value:.0%}" if name.startswith("probability") else f"{value:.2f}"


def cross_validate(
    bars: xr.Dataset,
    strategy: Strategy,
    grid: Mapping[str, Any],
    terms: Terms,
    *,
    n_folds: int = 10,
    n_test_folds: int = 2,
    purge: int = 1,
    embargo: int | None = None,
    progress: bool = False,
) -> CrossValidation:
    """Choose the best point of a grid without some folds of the bars, and see what it earned on these.

    Each point is run once over all bars; a split reads its training and its test returns from there. Several symbols
    have an equal share of the cash each, and their accounts are added up. A path takes each fold from a split that
    tested on it; where two folds of a path come from different points, the change itself is not charged.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    strategy : Strategy
    grid : mapping
        A value or an iterable of values for each parameter; at least two points must be valid.
    terms : Terms
    n_folds, n_test_folds : int
        Folds of equal length (the last one takes the remainder), and how many of them are tested on at a time.
    purge : int
        Bars left out of the training bars on both sides of a test fold: the return of a bar was decided on the bar
        before it.
    embargo : int, optional
        Bars left out after a test fold on top of that; 1 % of the bars, rounded up, where ``None``.
    progress : bool
        Show a progress bar.

    Returns
    -------
    CrossValidation

    Raises
    ------
    UnknownNameError, ParameterError
        For a grid or a number that is not valid.
    InputError
        For fewer than two valid points, or too few bars.
    """
    n_bars = bars.sizes["time"]
    held_back = math.ceil(EMBARGO * n_bars) if embargo is None else embargo
    _require_folds(n_bars, n_folds, n_test_folds, purge, held_back)
    cells = cell_returns(bars, strategy, grid, terms)
    return validate_cells(
        cells,
        strategy.name,
        periods_per_year(bars.attrs["interval"], bars.attrs["calendar"]),
        n_folds=n_folds,
        n_test_folds=n_test_folds,
        purge=purge,
        embargo=held_back,
        progress=progress,
    )


def validate_cells(
    cells: Cells,
    name: str,
    periods: float,
    *,
    n_folds: int,
    n_test_folds: int,
    purge: int,
    embargo: int,
    progress: bool = False,
) -> CrossValidation:
    """Cross-validate points whose returns are known; see ``cross_validate``.

    Raises
    ------
    ParameterError, InputError
    """
    from skfolio.model_selection import CombinatorialPurgedCV

    _require_folds(len(cells.returns), n_folds, n_test_folds, purge, embargo)
    everything, cells = cells, cells.traded
    returns = cells.returns.to_numpy()
    splitter = CombinatorialPurgedCV(
        n_folds=n_folds, n_test_folds=n_test_folds, purged_size=purge, embargo_size=embargo
    )
    splits = list(splitter.split(returns))
    chosen, inside, outside, ranked = _choices(Sums.of(returns, np.arange(len(returns))), splits, progress)
    paths = _paths(returns, chosen, splitter.recombined_paths)
    sharpes = np.array([measures.sharpe(path, periods) for path in paths.T])
    scale = math.sqrt(periods)
    table = pd.DataFrame([dict(cells.points[place]) for place in chosen])
    table.insert(0, "test_folds", [", ".join(str(fold) for fold in folds) for folds in splitter.test_set_index])
    return CrossValidation(
        strategy=name,
        splits=table.assign(in_sample=inside * scale, out_of_sample=outside * scale, rank=ranked),
        paths=pd.DataFrame(paths, index=cells.returns.index, columns=range(paths.shape[1])),
        path_sharpes=sharpes,
        probability_of_loss=float(np.mean(sharpes < 0)),
        probability_below_median=float(np.mean(ranked <= 0.5)),
        purge=purge,
        embargo=embargo,
        sharpes=everything.sharpes,
    )


def _choices(sums: Sums, splits: list[Any], progress: bool) -> tuple[NDArray[Any], ...]:
    """Return the chosen column, its score on both sides, and its relative rank out of sample, each (n_splits,)."""
    found = []
    with tqdm(total=len(splits), desc="cross-validation", unit="split", disable=not progress) as bar:
        for first in range(0, len(splits), AT_ONCE):
            part = splits[first : first + AT_ONCE]
            train, test = np.zeros((2, len(part), len(sums.counts)))
            for place, (before, folds) in enumerate(part):
                train[place, before] = 1
                test[place, np.concatenate(folds)] = 1
            inside, outside = scores(sums, train), scores(sums, test)
            best = inside.argmax(axis=1)
            reached = [np.take_along_axis(each, best[:, None], axis=1)[:, 0] for each in (inside, outside)]
            found.append((best, *reached, ranks(outside, best)))
            bar.update(len(part))
    chosen, inside, outside, ranked = (np.concatenate(each) for each in zip(*found, strict=True))
    return chosen, inside, outside, ranked / (sums.mean.size + 1)


def _paths(
    returns: NDArray[np.float64], chosen: NDArray[np.int64], recombined: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the returns of each path, shape (n_bars, n_paths): fold by fold those of the split's choice."""
    n_folds = len(recombined)
    fold = np.minimum(np.arange(len(returns)) // (len(returns) // n_folds), n_folds - 1)
    found: NDArray[np.float64] = np.take_along_axis(returns, chosen[recombined][fold], axis=1)
    return found


def _require_folds(n_bars: int, n_folds: int, n_test_folds: int, purge: int, embargo: int) -> None:
    if not n_folds >= 3 or not 2 <= n_test_folds < n_folds:
        raise ParameterError(
            f"n_folds={n_folds!r} and n_test_folds={n_test_folds!r} do not go together; "
            "give at least 3 folds, and at least 2 but not all of them to test on"
        )
    if purge < 0 or embargo < 0:
        raise ParameterError(f"purge={purge!r} and embargo={embargo!r} must not be negative; 0 leaves nothing out")
    splits = math.comb(n_folds, n_test_folds)
    if splits > MAX_SPLITS:
        raise ParameterError(
            f"{n_folds} folds, {n_test_folds} of them tested, make {splits:,} splits; give fewer folds "
            f"(at most {MAX_SPLITS:,} splits)"
        )
    needed = n_folds * (purge + embargo + 2)
    if n_bars < needed:
        raise InputError(
            f"{n_bars} bars are too few for {n_folds} folds with a purge of {purge} and an embargo of {embargo}; "
            f"{needed} are needed at least"
        )
