"""Walk-forward: choose parameters on the past, trade them on what comes next, move on.

R. Pardo, "The Evaluation and Optimization of Trading Strategies", 2nd edition, Wiley (2008), chapters 11 and 12.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from tqdm.auto import tqdm

from workbench.backtest.figures import figure, words
from workbench.backtest.result import BacktestResult
from workbench.backtest.run import backtest
from workbench.backtest.statistics import returns_of
from workbench.backtest.strategy import Strategy
from workbench.backtest.terms import Terms
from workbench.backtest.validation.plain import plain
from workbench.backtest.validation.selection import Choice, best_point, cell_returns, require_choice, return_statistics
from workbench.backtest.validation.windows import windows
from workbench.core.calendar import periods_per_year
from workbench.risk import measures


@dataclass(frozen=True, repr=False)
class WalkForward:
    """A strategy whose parameters were chosen anew before each stretch that they were traded on.

    Attributes
    ----------
    strategy, statistic : str
        What was run, and by which statistic each choice was made.
    anchored : bool
        Whether each training window began with the first bar.
    folds : pandas.DataFrame
        A row for each fold: ``train_start train_end test_start test_end`` (UTC), the chosen parameters,
        ``in_sample out_of_sample`` (the statistic), ``in_sample_return out_of_sample_return`` (a year).
    returns, benchmark_returns : pandas.Series
        Simple returns per bar of the test windows, one after the other; of the strategy and of buy-and-hold.
    equity : pandas.Series
        The returns compounded from the starting cash.
    statistics, benchmark : mapping of str to float
        Of the stitched returns: total_return annual_return volatility sharpe sortino calmar max_drawdown.
    efficiency : float
        Annual return out of sample over the folds' mean annual return in sample (Pardo 2008); NaN unless the latter is
        positive.
    stability : pandas.DataFrame
        A row for each parameter: ``distinct`` values chosen, ``most_common`` one and its ``share`` of the folds, and
        how many times the choice ``changes`` from one fold to the next.
    sharpes : numpy.ndarray
        Per-bar Sharpe ratios of all points on all training windows, fold after fold, shape (n_trials,); NaN for one
        that never traded.
    untested : int
        Bars at the end that do not fill a test window.
    t_statistics : numpy.ndarray
        The same for the trial ledger, shape (n_trials,): times the square root of the window's bars, and each fold's
        moved to a common centre.
    """

    strategy: str
    statistic: str
    anchored: bool
    folds: pd.DataFrame
    returns: pd.Series
    benchmark_returns: pd.Series
    equity: pd.Series
    statistics: Mapping[str, float]
    benchmark: Mapping[str, float]
    efficiency: float
    stability: pd.DataFrame
    sharpes: NDArray[np.float64]
    t_statistics: NDArray[np.float64]
    untested: int

    @property
    def n_trials(self) -> int:
        """How many backtests were looked at to choose."""
        return len(self.sharpes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, times as ISO text; what is not finite becomes ``None``."""
        rows = self.folds.assign(**{name: self.folds[name].map(pd.Timestamp.isoformat) for name in _TIMES})
        stability = self.stability.reset_index().to_dict("records")
        return {
            "strategy": self.strategy,
            "statistic": self.statistic,
            "anchored": self.anchored,
            "folds": [plain({str(name): value for name, value in row.items()}) for row in rows.to_dict("records")],
            "statistics": plain(self.statistics),
            "benchmark": plain(self.benchmark),
            "stability": [{str(name): value for name, value in row.items()} for row in stability],
            **plain({"efficiency": self.efficiency, "n_trials": self.n_trials}),
        }

    def table(self) -> pd.DataFrame:
        """Return the statistics out of sample beside those of buy-and-hold, shape (7, 2)."""
        return pd.DataFrame({self.strategy: self.statistics, "buy and hold": self.benchmark})

    def __repr__(self) -> str:
        figures = self.table().map(lambda value: f"{value:.4g}")
        return f"{self._heading()}\n{figures.to_string()}\n{self._shown().to_string(index=False)}"

    def _repr_html_(self) -> str:
        figures = self.table().apply(
            lambda row: [figure(str(row.name), value) for value in row], axis=1, result_type="expand"
        )
        figures.index, figures.columns = [words(str(name)) for name in figures.index], self.table().columns
        tables = (figures.to_html(), self._shown().rename(columns=words).to_html(index=False))
        return f"<div><strong>{escape(self._heading())}</strong>{''.join(tables)}</div>"

    def _heading(self) -> str:
        kind = "anchored" if self.anchored else "rolling"
        return (
            f"walk-forward of {self.strategy}, {kind}, {len(self.folds)} folds by {self.statistic}, "
            f"efficiency {self.efficiency:.2f}, {self.n_trials:,} trials, {self.untested:,} bars at the end not tested"
        )

    def _shown(self) -> pd.DataFrame:
        days = {name: self.folds[name].dt.strftime("%Y-%m-%d") for name in _TIMES}
        earned = {name: self.folds[name].map(lambda value: figure("total_return", value)) for name in _EARNED}
        scores = {name: self.folds[name].map(lambda value: figure(self.statistic, value)) for name in _SCORES}
        return self.folds.assign(**days, **earned, **scores)


_TIMES = ("train_start", "train_end", "test_start", "test_end")
_SCORES = ("in_sample", "out_of_sample")
_EARNED = ("in_sample_return", "out_of_sample_return")


def walk_forward(
    bars: xr.Dataset,
    strategy: Strategy,
    grid: Mapping[str, Any],
    terms: Terms,
    *,
    train: int,
    test: int,
    created: datetime,
    anchored: bool = False,
    purge: int = 0,
    frequency: str | None = None,
    statistic: str = "sharpe",
    progress: bool = False,
) -> WalkForward:
    """Choose the best point of a grid on each training window and trade it on the test window after it.

    Several symbols have an equal share of the cash each, and it is their account together that chooses, as it is the
    one that is traded; each point on each training window is one trial.

    A choice sees the bars of its training window and no others: indicators start anew there. On the test window the
    rule sees all bars up to it, so that it needs no warming up, while its account begins with the window in the state
    that the rule is in. The costs of entering are paid in each fold; a position that is open at the end of a window is
    valued at its last close. Buy-and-hold is bought anew with each test window. Bars at the end that do not fill a test
    window are not used.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    strategy : Strategy
    grid : mapping
        A value or an iterable of values for each parameter.
    terms : Terms
    train, test : int
        Lengths of the windows in bars, or in periods of ``frequency``.
    created : datetime
        The moment for the provenance of the test backtests.
    anchored : bool
        Let every training window begin with the first bar, instead of rolling along.
    purge : int
        Bars left out between the windows. A signal of the last training bar is filled on the first test bar, so that
        none is needed for fills on the next bar; give more where decisions take longer.
    frequency : str, optional
        Let windows begin with a calendar period, in pandas' words, such as ``"MS"`` or ``"QS"``. A period that lacks
        sessions of the exchange at either end of the bars is not used, but for the training bars of anchored windows.
    statistic : str
        Chooses, at its better end: ``total_return annual_return volatility sharpe sortino calmar max_drawdown``. Those
        that need the trades of a symbol cannot be told of an account of several. A point that never traded is not
        chosen.
    progress : bool
        Show a progress bar.

    Returns
    -------
    WalkForward

    Raises
    ------
    UnknownNameError, ParameterError
        For a grid, a window or a statistic that is not valid, and a grid whose accounts do not fit into memory.
    InputError
        For too few bars, or a training window on which no point traded.
    """
    require_choice(statistic)
    periods = periods_per_year(bars.attrs["interval"], bars.attrs["calendar"])
    rows, results, sharpes = [], [], []
    folds = windows(bars, train, test, anchored, purge, frequency)
    for before, after in tqdm(folds, desc="walk-forward", unit="fold", disable=not progress):
        cells = cell_returns(bars.isel(time=before), strategy, grid, terms)
        sharpes.append(cells.sharpes)
        choice = best_point(cells, statistic, periods)
        # Nothing after the test window is handed down; what is before it only warms the rule up.
        until, since = bars.isel(time=slice(0, int(after[-1]) + 1)), bars.indexes["time"][after[0]]
        result = backtest(until, strategy, choice.parameters, terms, created=created, since=since)
        results.append(result)
        rows.append(_row(bars.indexes["time"], before, after, choice, result, statistic))
    returns = _stitched([each.equity for each in results], terms.cash, rows)
    held = _stitched([each.benchmark_equity for each in results], terms.cash, rows)
    table = pd.DataFrame(rows)
    annual = measures.annual_return(returns, periods)
    earned = float(table["in_sample_return"].mean())
    return WalkForward(
        strategy=strategy.name,
        statistic=statistic,
        anchored=anchored,
        folds=table,
        returns=returns,
        benchmark_returns=held,
        equity=terms.cash * (1 + returns).cumprod(),
        statistics=return_statistics(returns, periods),
        benchmark=return_statistics(held, periods),
        efficiency=annual / earned if earned > 0 else math.nan,
        stability=_stability(table[list(grid)]),
        sharpes=np.concatenate(sharpes),
        t_statistics=_t_statistics(sharpes, [before for before, _ in folds]),
        untested=bars.sizes["time"] - 1 - int(folds[-1][1][-1]),
    )


def _t_statistics(sharpes: list[NDArray[np.float64]], trained: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return t-statistics of folds that can be compared with each other and with those of the whole history.

    What all points of a fold have in common is its window's market: no choice between points brought it, and it would
    pass for a wide spread of the trials. So the folds' means are replaced by the t-statistic that their mean ratio has
    over all training bars. A mean takes a degree of freedom from the spread about it, which is given back; the only
    point of a fold has no spread, NaN.
    """
    centres = [float(np.nanmean(each)) for each in sharpes if np.isfinite(each).any()]
    level = float(np.mean(centres)) * math.sqrt(len(np.unique(np.concatenate(trained))))
    found = []
    for each, before in zip(sharpes, trained, strict=True):
        n_points = int(np.isfinite(each).sum())
        if n_points < 2:
            found.append(np.full(len(each), math.nan))
            continue
        scale = math.sqrt(len(before) * n_points / (n_points - 1))
        found.append(level + (each - np.nanmean(each)) * scale)
    return np.concatenate(found)


def _row(
    times: pd.Index,
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    choice: Choice,
    result: BacktestResult,
    statistic: str,
) -> dict[str, Any]:
    spans = dict(zip(_TIMES, (times[place] for place in (before[0], before[-1], after[0], after[-1])), strict=True))
    inside, outside = choice.statistics, result.statistics
    return {
        **spans,
        **choice.parameters,
        "in_sample": inside[statistic],
        "out_of_sample": outside[statistic],
        "in_sample_return": inside["annual_return"],
        "out_of_sample_return": outside["annual_return"],
    }


def _stitched(equities: list[pd.Series], cash: float, rows: list[dict[str, Any]]) -> pd.Series:
    own = [equity.loc[row["test_start"] : row["test_end"]] for equity, row in zip(equities, rows, strict=True)]
    stitched: pd.Series = pd.concat([returns_of(equity, cash) for equity in own])
    return stitched.rename("returns")


def _stability(chosen: pd.DataFrame) -> pd.DataFrame:
    rows = {}
    for name, values in chosen.items():
        counts = values.value_counts()
        changes = int((values != values.shift()).iloc[1:].sum())
        rows[name] = {
            "distinct": len(counts),
            "most_common": counts.index[0],
            "share": float(counts.iloc[0] / len(values)),
            "changes": changes,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("parameter")
