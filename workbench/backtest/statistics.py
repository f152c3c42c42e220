"""The statistics of a backtest, from its equity, holdings, orders and round trips."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from workbench.risk import measures

NAMES = (
    "total_return",
    "annual_return",
    "volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "trades",
    "win_rate",
    "profit_factor",
    "exposure",
    "turnover",
)
RELATIVE = ("alpha", "beta", "correlation", "tracking_error", "information_ratio")


def best_end(name: str) -> Literal["highest", "lowest"] | None:
    """Return which end of a statistic is the better one; ``None`` where neither is."""
    if name in ("trades", "exposure"):
        return None
    return "lowest" if name in ("volatility", "turnover") else "highest"


def returns_of(equity: pd.Series, cash: float) -> pd.Series:
    """Return simple returns per bar; the first is against the starting cash, and from nothing it is zero.

    Shape (n_bars,).
    """
    before = equity.shift(1, fill_value=cash)
    return (equity / before.where(before > 0) - 1).fillna(0.0)


def statistics(
    equity: pd.Series, cash: float, held: pd.DataFrame, traded: pd.Series, trades: pd.DataFrame, periods: float
) -> dict[str, float]:
    """Return the statistics named in ``NAMES``.

    Parameters
    ----------
    equity : pandas.Series
        Value at each close, shape (n_bars,).
    cash : float
        Starting cash.
    held : pandas.DataFrame
        Shares held at each close, NaN where a symbol has no bar, shape (n_bars, n_symbols).
    traded : pandas.Series
        Value of the orders filled on each bar, shape (n_bars,).
    trades : pandas.DataFrame
        Round trips with ``pnl`` and ``status``.
    periods : float
        Bars in a year.

    Returns
    -------
    dict of str to float
        Decimal fractions, a year where the name says so. ``max_drawdown`` is zero or negative. ``trades`` counts
        closed round trips; ``win_rate`` (with a gain after costs) and ``profit_factor`` (gains over losses, infinite
        without a loss) are over these and NaN without any. ``exposure`` is the share of a symbol's bars that ended
        with a position, averaged over symbols. ``turnover`` is the value of all orders, bought and sold, a year, over
        the mean equity.
    """
    returns = returns_of(equity, cash)
    pnl = trades.loc[trades["status"] == "closed", "pnl"].to_numpy()
    gains, losses = pnl[pnl > 0].sum(), -pnl[pnl < 0].sum()
    in_market = (held != 0).where(held.notna()).mean().mean()
    years = len(equity) / periods
    return {
        "total_return": measures.total_return(returns),
        "annual_return": measures.annual_return(returns, periods),
        "volatility": measures.volatility(returns, periods),
        "sharpe": measures.sharpe(returns, periods),
        "sortino": measures.sortino(returns, periods),
        "calmar": measures.calmar(returns, periods),
        "max_drawdown": measures.max_drawdown(returns),
        "trades": float(len(pnl)),
        "win_rate": float((pnl > 0).mean()) if len(pnl) else np.nan,
        "profit_factor": float(gains / losses) if losses > 0 else np.inf if gains > 0 else np.nan,
        "exposure": float(in_market),
        "turnover": float(traded.sum() / equity.mean() / years),
    }


def relative(returns: pd.Series, benchmark: pd.Series, periods: float) -> dict[str, float]:
    """Return the measures named in ``RELATIVE``, of returns against a benchmark's over the same bars.

    Parameters
    ----------
    returns, benchmark : pandas.Series
        Simple returns per bar, shape (n_bars,).
    periods : float
        Bars in a year.

    Returns
    -------
    dict of str to float
        ``alpha`` and ``tracking_error`` are decimal fractions a year; see ``workbench.risk.measures``.
    """
    return {
        "alpha": measures.alpha(returns, benchmark, periods),
        "beta": measures.beta(returns, benchmark),
        "correlation": measures.correlation(returns, benchmark),
        "tracking_error": measures.tracking_error(returns, benchmark, periods),
        "information_ratio": measures.information_ratio(returns, benchmark, periods),
    }
