"""A backtest written out plainly, bar by bar, without our code or vectorbt, against ours to 1e-9."""

from __future__ import annotations

import math
import statistics as plain

import pytest
from bokeh_sampledata import stocks

COMMISSION, SLIPPAGE, CASH = 0.001, 0.0005, 100_000.0


def adjusted(symbol):
    """Opens and closes with the source's own split and dividend adjustment, the last bar as traded."""
    data = getattr(stocks, symbol)
    last = data["adj_close"][-1] / data["close"][-1]
    factors = [a / c / last for a, c in zip(data["adj_close"], data["close"], strict=True)]
    opens = [price * factor for price, factor in zip(data["open"], factors, strict=True)]
    closes = [price * factor for price, factor in zip(data["close"], factors, strict=True)]
    return opens, closes


def average(values, end, window):
    return sum(values[end - window + 1 : end + 1]) / window


def crosses(closes, fast, slow):
    """For each bar +1 where the fast average crosses above the slow one, -1 below, else 0."""
    found = [0] * len(closes)
    for bar in range(slow, len(closes)):
        gap = average(closes, bar, fast) - average(closes, bar, slow)
        before = average(closes, bar - 1, fast) - average(closes, bar - 1, slow)
        if gap > 0 >= before:
            found[bar] = 1
        if gap < 0 <= before:
            found[bar] = -1
    return found


def trade(opens, closes, signals, both):
    """Fill each signal at the next open; return equity, closed round trips, bars in the market and value traded."""
    cash, shares, entry = CASH, 0.0, 0.0
    equity, gains, in_market, traded = [], [], 0, 0.0
    for bar in range(len(closes)):
        signal = signals[bar - 1] if bar else 0
        if signal > 0 and shares <= 0:
            price = opens[bar] * (1 + SLIPPAGE)
            bought = cash / (price * (1 + COMMISSION))
            if shares < 0:
                gains.append(-shares * (entry * (1 - COMMISSION) - price * (1 + COMMISSION)))
            cash, shares, entry = 0.0, shares + bought, price
            traded += bought * price
        elif signal < 0 and (shares > 0 or (both and shares == 0)):
            price = opens[bar] * (1 - SLIPPAGE)
            proceeds = shares * price * (1 - COMMISSION)
            short = (cash + proceeds) / (price * (1 + COMMISSION)) if both else 0.0
            if shares > 0:
                gains.append(shares * (price * (1 - COMMISSION) - entry * (1 + COMMISSION)))
            cash += (shares + short) * price * (1 - COMMISSION)
            traded += (shares + short) * price
            shares, entry = -short, price
        equity.append(cash + shares * closes[bar])
        in_market += shares != 0
    return equity, gains, in_market, traded


def figures(equity, gains, in_market, traded):
    returns = [now / before - 1 for now, before in zip(equity, [CASH, *equity[:-1]], strict=True)]
    mean, downside = plain.fmean(returns), math.sqrt(plain.fmean(min(r, 0) ** 2 for r in returns))
    peak, deepest = CASH, 0.0
    for value in equity:
        peak = max(peak, value)
        deepest = min(deepest, value / peak - 1)
    annual = (equity[-1] / CASH) ** (252 / len(equity)) - 1
    won, lost = sum(g for g in gains if g > 0), -sum(g for g in gains if g < 0)
    return {
        "total_return": equity[-1] / CASH - 1,
        "annual_return": annual,
        "volatility": plain.stdev(returns) * math.sqrt(252),
        "sharpe": mean / plain.stdev(returns) * math.sqrt(252),
        "sortino": mean / downside * math.sqrt(252),
        "calmar": annual / -deepest,
        "max_drawdown": deepest,
        "trades": len(gains),
        "win_rate": sum(g > 0 for g in gains) / len(gains),
        "profit_factor": won / lost,
        "exposure": in_market / len(equity),
        "turnover": traded / plain.fmean(equity) / (len(equity) / 252),
    }


@pytest.mark.parametrize("direction", ["long", "both"])
@pytest.mark.parametrize(("symbol", "fast", "slow"), [("AAPL", 20, 100), ("MSFT", 5, 50), ("IBM", 10, 200)])
def test_every_statistic_equals_the_plain_account(bench, symbol, fast, slow, direction):
    opens, closes = adjusted(symbol)
    expected = figures(*trade(opens, closes, crosses(closes, fast, slow), direction == "both"))
    engine = {"commission": COMMISSION, "slippage": SLIPPAGE, "cash": CASH, "direction": direction}
    result = bench.backtest("sma_cross", [symbol], fast=fast, slow=slow, **engine)
    assert dict(result.statistics) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_benchmark_buys_at_the_second_open_and_holds(bench):
    opens, closes = adjusted("AAPL")
    price = opens[1] * (1 + SLIPPAGE) * (1 + COMMISSION)
    result = bench.backtest("sma_cross", ["AAPL"], commission=COMMISSION, slippage=SLIPPAGE)
    assert result.benchmark["total_return"] == pytest.approx(closes[-1] / price - 1, rel=1e-9)
    assert result.benchmark["exposure"] == pytest.approx((len(closes) - 1) / len(closes))
