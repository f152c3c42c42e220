"""The figures of a tear sheet that are not among the statistics: months, windows that move, costs, trades, terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.backtest.figures import NOTHING, plain

if TYPE_CHECKING:
    from workbench.backtest.result import BacktestResult
    from workbench.backtest.terms import Sizing, Terms

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def terms_line(terms: Terms, currency: str) -> str:
    """Write on which terms orders were filled.

    Direction, fill, commission and slippage are always told; size, stops and a shared account where they are not the
    default, borrow where the account may be short.
    """
    both, stops = terms.direction == "both", terms.stops
    distances = {"stop loss": stops.loss, "take profit": stops.profit, "trailing stop": stops.trailing}
    costs = {"commission": terms.costs.commission, "slippage": terms.costs.slippage}
    parts = ["long and short" if both else "long only", f"filled at the {terms.fill[5:]} of the next bar"]
    parts += [_size(terms.sizing, currency)] if terms.sizing.kind != "all" else []
    parts += [f"{name} {100 * value:g} %" for name, value in distances.items() if value is not None]
    parts += ["one account shared by all symbols"] if terms.shared else []
    parts += [f"{name} {100 * value:g} %" for name, value in costs.items()]
    parts += [f"borrow {100 * terms.costs.borrow:g} % a year"] if both else []
    return ", ".join(parts)


def _size(sizing: Sizing, currency: str) -> str:
    if sizing.kind == "fixed":
        return f"{plain(sizing.value)} {currency} in each entry"
    if sizing.kind == "percent":
        return f"{100 * sizing.value:g} % of the account in each entry"
    if sizing.kind == "volatility":
        return f"sized to a volatility of {100 * sizing.value:g} % a year over {sizing.window} bars"
    return f"sized at {sizing.value:g} of Kelly's fraction over {sizing.window} bars"


def monthly_returns(returns: pd.Series) -> pd.DataFrame:
    """Compound returns over calendar months and years, UTC.

    Parameters
    ----------
    returns : pandas.Series
        Simple returns per bar, shape (n_bars,), times of the bars.

    Returns
    -------
    pandas.DataFrame
        A row for each year, columns 1 to 12 and ``year``; NaN for a month without a bar. A month that is not over
        holds what there is of it.
    """
    times = pd.DatetimeIndex(returns.index)
    growth = 1 + returns
    monthly = growth.groupby([times.year, times.month]).prod().unstack() - 1  # noqa: PD010
    yearly = growth.groupby(times.year).prod() - 1
    table = monthly.reindex(columns=range(1, 13)).assign(year=yearly)
    return table.rename_axis(index="year", columns=None)


def rolling_sharpe(returns: pd.Series, window: int, periods: float) -> pd.Series:
    """Return the Sharpe ratio of the last ``window`` bars, scaled to a year (Sharpe 1994, equation 3), shape (n_bars,).

    NaN for the first ``window - 1`` bars, and where all returns of the window are equal.
    """
    spread = _spread(returns, window)
    ratio: pd.Series = returns.rolling(window).mean() / spread.where(spread > 0) * np.sqrt(periods)
    return ratio


def rolling_volatility(returns: pd.Series, window: int, periods: float) -> pd.Series:
    """Return the standard deviation of the last ``window`` returns, scaled to a year, shape (n_bars,).

    NaN for the first ``window - 1`` bars.
    """
    volatility: pd.Series = _spread(returns, window) * np.sqrt(periods)
    return volatility


def _spread(returns: pd.Series, window: int) -> pd.Series:
    rolling = returns.rolling(window)
    # A running sum leaves rounding where there is nothing; the extremes are exact.
    return rolling.std().mask(rolling.max() == rolling.min(), 0.0)


def cost_rows(result: BacktestResult) -> list[tuple[str, float, float, float]]:
    """Return what was paid for what, and in all.

    Returns
    -------
    list of tuple
        For commission, slippage, borrow and all of them: name, money, share of the starting cash, and share of what
        would have been earned without costs (NaN where that is not a gain).
    """
    sums = {name: float(result.costs[name].sum()) for name in ("commission", "slippage", "borrow")}
    total = sum(sums.values())
    gain = float(result.equity.iloc[-1]) - result.terms.cash + total
    return [
        (name, money, money / result.terms.cash, money / gain if gain > 0 else np.nan)
        for name, money in {**sums, "together": total}.items()
    ]


def trade_rows(trades: pd.DataFrame, limit: int, *, daily: bool) -> list[dict[str, Any]]:
    """Return the last ``limit`` trades, the newest first, by their ends, as text for a table."""
    form = "%Y-%m-%d" if daily else "%Y-%m-%d %H:%M"
    last = trades.sort_values(["exit_time", "entry_time", "symbol"]).tail(limit).iloc[::-1]
    return [
        {
            "symbol": trade["symbol"],
            "direction": trade["direction"],
            "entry": f"{trade['entry_time']:{form}}",
            "entry_price": _price(trade["entry_price"]),
            "exit": f"{trade['exit_time']:{form}}" if trade["status"] == "closed" else "open",
            "exit_price": _price(trade["exit_price"]),
            "size": f"{trade['size']:,.4g}" if trade["size"] < 100 else f"{trade['size']:,.0f}",
            "pnl": f"{trade['pnl']:+z,.0f}",
            "return": NOTHING if np.isnan(trade["return"]) else f"{100 * trade['return']:+z.1f} %",
            "gain": trade["pnl"] > 0,
        }
        for trade in last.to_dict("records")
    ]


def _price(value: float) -> str:
    return f"{value:,.2f}" if value >= 10 else f"{value:.4f}"
