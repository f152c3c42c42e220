"""A backtest written out plainly, bar by bar, without our code or vectorbt, against ours to 1e-9."""

from __future__ import annotations

import math
import statistics as plain

import numpy as np
import pandas as pd
import pytest
from bokeh_sampledata import stocks

from workbench.backtest.engine import simulate, simulate_shared, simulate_weights
from workbench.backtest.terms import Costs, Sizing, Stops, Terms

COMMISSION, SLIPPAGE, BORROW, CASH = 0.001, 0.0005, 0.03, 100_000.0


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
    cash, shares, entry, owed, own = CASH, 0.0, 0.0, 0.0, 0.0
    equity, gains, in_market, traded = [], [], 0, 0.0
    for bar in range(len(closes)):
        signal = signals[bar - 1] if bar else 0
        if signal > 0 and shares <= 0:
            price = opens[bar] * (1 + SLIPPAGE)
            bought = cash / (price * (1 + COMMISSION))
            if shares < 0:
                gains.append(-shares * (entry * (1 - COMMISSION) - price * (1 + COMMISSION)) - own)
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
            shares, entry, own = -short, price, 0.0
        charge = max(-shares, 0.0) * closes[bar] * BORROW / 252
        owed, own = owed + charge, own + charge
        equity.append(cash + shares * closes[bar] - owed)
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
    engine = {"commission": COMMISSION, "slippage": SLIPPAGE, "borrow": BORROW, "cash": CASH, "direction": direction}
    result = bench.backtest("sma_cross", [symbol], fast=fast, slow=slow, **engine)
    assert dict(result.statistics) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_benchmark_buys_at_the_second_open_and_holds(bench):
    opens, closes = adjusted("AAPL")
    price = opens[1] * (1 + SLIPPAGE) * (1 + COMMISSION)
    result = bench.backtest("sma_cross", ["AAPL"], commission=COMMISSION, slippage=SLIPPAGE)
    assert result.benchmark["total_return"] == pytest.approx(closes[-1] / price - 1, rel=1e-9)
    assert result.benchmark["exposure"] == pytest.approx((len(closes) - 1) / len(closes))


def drawn(seed, symbols=1, bars=90):
    """Random opens, highs, lows and closes, and random signals, none on the same bar."""
    random = np.random.default_rng(seed)
    index = pd.date_range("2012-01-02", periods=bars)
    frames, entry, leave = {}, {}, {}
    for name in "ABCD"[:symbols]:
        close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, bars)))
        open_ = close * np.exp(random.normal(0, 0.01, bars))
        high = np.maximum(open_, close) * np.exp(np.abs(random.normal(0, 0.01, bars)))
        low = np.minimum(open_, close) * np.exp(-np.abs(random.normal(0, 0.01, bars)))
        frames[name] = pd.DataFrame({"open": open_, "high": high, "low": low, "close": close}, index=index)
        fired = random.choice([0, 1, -1], bars, p=[0.7, 0.15, 0.15])
        entry[name], leave[name] = pd.Series(fired > 0, index=index), pd.Series(fired < 0, index=index)
    return frames, pd.DataFrame(entry), pd.DataFrame(leave)


def hit(side, paid, best, low, high, open_, stops):
    """The price at which a stop closes a position between ``low`` and ``high``, or None; the loss comes first."""
    below = best * (1 - side * stops.trailing) if stops.trailing else paid * (1 - side * (stops.loss or math.inf))
    above = paid * (1 + side * (stops.profit or math.inf))
    if side * open_ <= side * below:
        return open_
    if low <= below <= high:
        return below
    if side * open_ >= side * above:
        return open_
    return above if low <= above <= high else None


class Plain:
    """An account of one symbol, kept by hand."""

    def __init__(self, costs, stops):
        self.costs, self.stops = costs, stops
        self.cash, self.shares, self.paid, self.best, self.owed = CASH, 0.0, 0.0, 0.0, 0.0

    @property
    def side(self):
        return math.copysign(1, self.shares)

    def trade(self, price, shares):
        got = price * (1 + math.copysign(self.costs.slippage, shares))
        self.cash -= got * (shares + abs(shares) * self.costs.commission)
        self.shares = 0.0 if shares == -self.shares else self.shares + shares
        self.paid = self.best = got

    def open(self, price, side, fraction):
        self.trade(price, side * fraction * self.cash / price / (1 + side * self.costs.slippage) / (1 + COMMISSION))

    def stopped(self, low, high, open_):
        price = hit(self.side, self.paid, self.best, low, high, open_, self.stops) if self.shares else None
        if price:
            self.trade(price, -self.shares)
        return bool(price)

    def seen(self, high, low):
        self.best = max(self.best, high) if self.shares > 0 else min(self.best, low)

    def signalled(self, price, up, down, fraction, both):
        if (up and self.shares < 0) or (down and self.shares > 0):
            self.trade(price, -self.shares)
        if (up or (down and both)) and self.shares == 0:
            self.open(price, 1 if up else -1, fraction)


def walk(frame, entry, leave, *, both, share, stops, costs, fill="next_open"):
    """A bar's story: its open, where a stop may have been passed over, then its range; signals at the open or last."""
    account, equity = Plain(costs, stops), []
    for bar, (open_, high, low, close) in enumerate(frame[["open", "high", "low", "close"]].to_numpy()):
        told = (entry.iloc[bar - 1], leave.iloc[bar - 1], share(bar - 1), both) if bar else None
        if not account.stopped(open_, open_, open_) and told and fill == "next_open":
            account.signalled(open_, *told)
        account.seen(open_, open_)
        account.stopped(low, high, open_)
        account.seen(high, low)
        if told and fill == "next_close":
            account.signalled(close, *told)
        account.owed += max(-account.shares, 0) * close * costs.borrow / 252
        equity.append(account.cash + account.shares * close - account.owed)
    return equity


STOPS = [
    Stops(),
    Stops(loss=0.03),
    Stops(profit=0.04),
    Stops(0.03, 0.04),
    Stops(trailing=0.05),
    Stops(trailing=0.015),
    Stops(None, 0.03, 0.04),
]


@pytest.mark.parametrize("direction", ["long", "both"])
@pytest.mark.parametrize("stops", STOPS, ids=str)
@pytest.mark.parametrize("fraction", [1.0, 0.4])
@pytest.mark.parametrize("fill", ["next_open", "next_close"])
def test_sizes_and_stops_equal_the_plain_account(direction, stops, fraction, fill):
    costs = Costs(COMMISSION, SLIPPAGE, BORROW)
    sizing = Sizing("percent", fraction)
    for seed in range(4):
        frames, entry, leave = drawn(seed)
        terms = Terms(costs, CASH, direction, fill, sizing=sizing, stops=stops)
        chosen = {"both": direction == "both", "share": lambda bar: fraction, "stops": stops, "costs": costs}
        expected = walk(frames["A"], entry["A"], leave["A"], fill=fill, **chosen)
        found = simulate(frames["A"], entry["A"], leave["A"], terms).equity
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["volatility", "kelly"])
def test_sizes_that_look_back_equal_the_plain_account(kind):
    costs = Costs(COMMISSION, SLIPPAGE, BORROW)
    frames, entry, leave = drawn(7)
    closes = frames["A"]["close"].tolist()

    def share(bar):
        if bar < 10:
            return 0.0
        returns = [closes[k] / closes[k - 1] - 1 for k in range(bar - 9, bar + 1)]
        if kind == "volatility":
            return min(0.2 / (plain.stdev(returns) * math.sqrt(252)), 1.0)
        return min(max(0.5 * plain.fmean(returns) / plain.variance(returns), 0.0), 1.0)

    value = {"volatility": 0.2, "kelly": 0.5}[kind]
    terms = Terms(costs, CASH, sizing=Sizing(kind, value, 10))
    expected = walk(frames["A"], entry["A"], leave["A"], both=False, share=share, stops=Stops(), costs=costs)
    account = simulate(frames["A"], entry["A"], leave["A"], terms)
    np.testing.assert_allclose(account.equity, expected, rtol=1e-9)
    assert len(account.trades) > 2


def order(cash, held, wanted, opens, costs):
    """Fill orders from one purse: the largest sale first, the largest purchase last, none beyond the cash."""
    for name in sorted(wanted, key=lambda name: round((wanted[name] - held[name]) * opens[name], 6)):
        change = wanted[name] - held[name]
        unit = opens[name] * (1 + math.copysign(costs.slippage, change))
        if change > 0:
            change = min(change, cash / (unit * (1 + costs.commission)))
        cash -= change * unit + abs(change) * unit * costs.commission
        held[name] += change
    return cash


def test_shared_cash_equals_the_plain_account():
    costs = Costs(COMMISSION, SLIPPAGE)
    for seed in range(5):
        frames, entry, leave = drawn(seed, symbols=3)
        cash, held, expected = CASH, dict.fromkeys(frames, 0.0), []
        for bar in range(len(entry)):
            opens = {name: frame["open"].iloc[bar] for name, frame in frames.items()}
            if bar:
                out = {name: 0.0 for name in frames if leave[name].iloc[bar - 1]}
                cash = order(cash, held, out, opens, costs)
                value = cash + sum(held[name] * opens[name] for name in frames)
                spent = value / 3 / (1 + SLIPPAGE) / (1 + COMMISSION)
                fresh = [name for name in frames if entry[name].iloc[bar - 1] and held[name] == 0]
                cash = order(cash, held, {name: spent / opens[name] for name in fresh}, opens, costs)
            assert cash >= -1e-6
            expected.append(cash + sum(held[name] * frame["close"].iloc[bar] for name, frame in frames.items()))
        found = simulate_shared(frames, entry, leave, Terms(costs, CASH, shared=True)).equity
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("short", [False, True])
def test_target_weights_equal_the_plain_account(short):
    costs = Costs(COMMISSION, SLIPPAGE, BORROW)
    for seed in range(5):
        frames, entry, _ = drawn(seed, symbols=4)
        random = np.random.default_rng(seed)
        weights = pd.DataFrame(random.dirichlet(np.ones(4), len(entry)), index=entry.index, columns=list(frames))
        weights *= np.where(short & (random.random(weights.shape) < 0.5), -1.0, 1.0)
        weights[random.random(len(weights)) < 0.8] = np.nan
        cash, held, owed, expected = CASH, dict.fromkeys(frames, 0.0), 0.0, []
        for bar in range(len(entry)):
            opens = {name: frame["open"].iloc[bar] for name, frame in frames.items()}
            if bar and weights.iloc[bar - 1].notna().all():
                value = cash + sum(held[name] * opens[name] for name in frames)
                wanted = {name: weights[name].iloc[bar - 1] * value / opens[name] for name in frames}
                cash = order(cash, held, wanted, opens, costs)
            assert cash >= -1e-6
            closes = {name: frame["close"].iloc[bar] for name, frame in frames.items()}
            owed += sum(max(-held[name], 0.0) * closes[name] for name in frames) * BORROW / 252
            expected.append(cash + sum(held[name] * closes[name] for name in frames) - owed)
        found = simulate_weights(frames, weights, Terms(costs, CASH, "both" if short else "long")).equity
        np.testing.assert_allclose(found, expected, rtol=1e-9)
