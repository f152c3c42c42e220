"""Rules that give each symbol a share of the account: rotation, pairs, a target volatility."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from workbench.analytics.lines import on_own_bars, past_return
from workbench.analytics.signals import make_weights
from workbench.backtest.strategies.crosses import Lookback, Skip, Window
from workbench.backtest.strategies.schedule import Every, rebalancing
from workbench.backtest.strategy import strategy
from workbench.core.calendar import periods_per_year

STALE = 5
"""Times after which a symbol without a bar is no longer ranked."""

FLAT = 1e-12
"""A variance of log prices that is nothing but rounding."""

Top = Annotated[int, Field(ge=1, le=1000, description="symbols held at once")]
Beyond = Annotated[float, Field(gt=0, le=10, description="z-score at which the spread is entered")]
Within = Annotated[float, Field(ge=0, le=10, description="z-score at which it is left")]
Target = Annotated[float, Field(gt=0, le=2, description="volatility a year, as a decimal")]
Band = Annotated[float, Field(ge=0, le=1, description="share of the account that a weight may be off by")]


@strategy(symbols=2)
def rotation(
    bars: xr.Dataset, lookback: Lookback = 126, skip: Skip = 5, top: Top = 2, every: Every = "month"
) -> xr.Dataset:
    """Hold the symbols with the highest past return, in equal parts: cross-sectional momentum.

    The long side of Jegadeesh and Titman, "Returns to buying winners and selling losers", Journal of Finance 48 (1993),
    section I: ranked by the past return, the latest week left out. A symbol is ranked once it has ``lookback + skip``
    bars before its own, and for five times after its last one; where fewer than ``top`` are ranked, all of them are
    held. Ties go to the first in the bars' order. Strength is the place in the ranking, from 1 (best) to -1 (worst).
    """
    past = past_return(bars, lookback, skip)
    known = pd.DataFrame(past.to_numpy()).ffill(limit=STALE).to_numpy()
    ranked = ~np.isnan(known)
    order = np.argsort(np.argsort(np.where(ranked, -known, np.inf), axis=1, kind="stable"), axis=1)
    held = ranked & (order < top)
    due = rebalancing(ranked.any(axis=1), pd.DatetimeIndex(bars.indexes["time"]), every)
    count = ranked.sum(axis=1, keepdims=True)
    share = held / np.maximum(held.sum(axis=1, keepdims=True), 1)
    weight = past.copy(data=np.where(due[:, None], share, np.nan))
    place = np.where(ranked, order + 1.0, np.nan)
    strength = np.where(count > 1, 1 - 2 * (place - 1) / np.maximum(count - 1, 1), np.where(ranked, 1.0, np.nan))
    evidence = {
        "past": past.copy(data=known),
        "place": past.copy(data=place),
        "count": past.copy(data=np.broadcast_to(count.astype("float64"), known.shape)),
    }
    until = f" to {skip} bars ago" if skip else ""
    reason = (
        f"{{place:.0f}} of {{count:.0f}} by return over {lookback} bars{until} ({{past:+.1%}}); the best {top} are held"
    )
    return make_weights(weight, past.copy(data=strength), evidence, reason)


def _leave_within_entry(values: Mapping[str, Any]) -> str | None:
    if values["leave"] < values["entry"]:
        return None
    return f"leave must be below entry (given: entry={values['entry']:g}, leave={values['leave']:g})"


@strategy(check=_leave_within_entry, symbols=2, direction="both")
def pairs(bars: xr.Dataset, window: Window = 60, entry: Beyond = 2.0, leave: Within = 0.5) -> xr.Dataset:
    """Buy the cheap and sell the dear one of two symbols whose prices have parted, until they meet again.

    Of the bars' first two symbols; others stay flat. The spread is ``log(first) - hedge * log(second)`` with the hedge
    ratio of a least-squares fit over the last ``window`` times at which both have a bar, its z-score that of the last
    residual of the fit (Gatev, Goetzmann and Rouwenhorst, "Pairs trading: performance of a relative-value arbitrage
    rule", Review of Financial Studies 19, 2006, enter at two standard deviations; the hedge ratio is Vidyamurthy's,
    "Pairs trading", 2004, chapter 6). Entered where ``abs(z) > entry``, left where it is below ``leave`` or has changed
    its sign, or where the hedge ratio is not positive, which is no pair; between them the shares drift. The two sides
    together are the whole account, 1 to ``hedge``. Strength is ``-z / entry`` on the first symbol, and ``z / entry`` on
    the second.
    """
    both = bars["close"].isel(symbol=slice(2)).notnull().all("symbol").to_numpy()
    logs = np.log(bars["close"].to_numpy()[:, :2])
    hedge, z = (np.full(len(both), np.nan) for _ in range(2))
    hedge[both], z[both] = _spread(logs[both], window)
    state = _side(z, hedge, entry, leave)
    shares = np.column_stack([state, -state * hedge]) / (1 + abs(hedge))[:, None]
    turned = np.diff(state, prepend=0.0) != 0
    weight = np.full(bars["close"].shape, np.nan)
    weight[turned, 2:] = 0.0
    weight[turned, :2] = np.where(state[turned, None] == 0, 0.0, shares[turned])
    strength = np.zeros(weight.shape)
    strength[:, 0], strength[:, 1] = -z / entry, z / entry
    like = bars["close"]
    first, second = (str(symbol) for symbol in bars["symbol"].to_numpy()[:2])
    known = np.where(np.isnan(z), np.nan, strength.T).T
    evidence = {
        name: like.copy(data=np.repeat(values[:, None], like.shape[1], 1))
        for name, values in (("hedge", hedge), ("z", z))
    }
    reason = (
        f"log {first} less {{hedge:.2f}} log {second} is {{z:+.1f}} standard deviations off "
        f"(enter beyond {entry:g}, leave within {leave:g})"
    )
    return make_weights(like.copy(data=weight), like.copy(data=known), evidence, reason)


def _spread(logs: NDArray[np.float64], window: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the hedge ratio and the z-score of the last residual of a rolling least-squares fit, shape (n,) each."""
    # Moments are exact to more digits around 0 than around the logarithm of a price.
    near = pd.DataFrame(logs - logs[:1], columns=["first", "second"])
    rolling = near.rolling(window)
    off, variance = near - rolling.mean(), rolling.var(ddof=0)
    product = near["first"].rolling(window).cov(near["second"], ddof=0)
    hedge = product / variance["second"].where(variance["second"] > FLAT)
    unexplained = variance["first"] - hedge * product
    z = (off["first"] - hedge * off["second"]) / unexplained.where(unexplained > FLAT) ** 0.5
    return hedge.to_numpy(), z.to_numpy()


def _side(z: NDArray[np.float64], hedge: NDArray[np.float64], entry: float, leave: float) -> NDArray[np.float64]:
    """Return 1 while the spread is held, -1 while it is sold, 0 otherwise."""
    pair, broken = hedge > 0, hedge <= 0

    def since(enters: NDArray[np.bool_], leaves: NDArray[np.bool_]) -> pd.Series:
        return pd.Series(np.where(enters, 1.0, np.where(leaves, 0.0, np.nan))).ffill().fillna(0.0)

    held = since((z < -entry) & pair, (z > -leave) | broken)
    sold = since((z > entry) & pair, (z < leave) | broken)
    return (held - sold).to_numpy()


@strategy
def volatility_target(
    bars: xr.Dataset, target: Target = 0.15, window: Window = 63, band: Band = 0.05, every: Every = 1
) -> xr.Dataset:
    """Hold every symbol, each in the measure that brings its volatility to a target.

    A symbol's share of the account is ``1 / n`` of the ``n`` symbols with enough bars, times ``target / volatility``,
    at most 1 (Moreira and Muir, "Volatility-managed portfolios", Journal of Finance 72, 2017, with volatility in place
    of variance; Harvey et al., "The impact of volatility targeting", Journal of Portfolio Management 45, 2018). The
    volatility is that of simple returns per own bar over ``window`` bars (divisor n - 1), times the root of the bars in
    a year. Looked at ``every`` so often, and rebalanced where a share has come off by more than ``band``, by its drift
    with prices or by a new volatility. Strength is ``target / volatility``, cut to 1.
    """
    close, here = bars["close"], bars["close"].notnull()
    returns = on_own_bars(close, here, lambda own: own.pct_change(fill_method=None))
    yearly = periods_per_year(bars.attrs["interval"], bars.attrs["calendar"]) ** 0.5
    volatility = on_own_bars(returns, here, lambda own: own.rolling(window).std()) * yearly
    known = pd.DataFrame(volatility.to_numpy()).ffill(limit=STALE).to_numpy()
    alive: NDArray[np.bool_] = np.greater(known, 0)
    scale = np.where(alive, np.minimum(target / np.where(alive, known, 1.0), 1.0), np.nan)
    wanted = np.nan_to_num(scale) / np.maximum(alive.sum(axis=1, keepdims=True), 1)
    due = rebalancing(np.asarray(alive.any(axis=1)), pd.DatetimeIndex(bars.indexes["time"]), every)
    weight = close.copy(data=_off_band(wanted, np.nan_to_num(returns.to_numpy()), due, band))
    reason = f"volatility {{volatility:.1%}} a year against a target of {target:.1%}: {{scale:.0%}} of its share held"
    evidence = {"volatility": close.copy(data=known), "scale": close.copy(data=scale)}
    return make_weights(weight, close.copy(data=scale), evidence, reason)


def _off_band(
    wanted: NDArray[np.float64], returns: NDArray[np.float64], due: NDArray[np.bool_], band: float
) -> NDArray[np.float64]:
    """Return the weights at the bars where one is off its target by more than ``band``, NaN at the others.

    Shares drift with prices in between: ``w * (1 + r) / (1 + sum(w * r))``.
    """
    chosen, share, started = np.full(wanted.shape, np.nan), np.zeros(wanted.shape[1]), False
    for row in range(len(wanted)):
        grown = share * (1 + returns[row])
        share = grown / (1 + share @ returns[row])
        if due[row] and (not started or abs(wanted[row] - share).max() > band):
            chosen[row] = share = wanted[row]
            started = True
    return chosen
