"""The account of a cross rule and its statistics in one pass, compiled: what a sweep runs for each point.

vectorbt keeps every equity curve of a sweep in memory; here a point leaves its statistics and nothing else. Fills,
costs and statistics are those of ``engine`` and ``statistics``; a test holds them equal to 1e-9 on random prices.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from workbench.risk.measures import NOISE

Array = NDArray[np.float64]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def run_points(
    open_: Array, close: Array, lines: Array, points: NDArray[np.int64], terms: Array, periods: float, both: bool
) -> Array:
    """Return the statistics of each point.

    Parameters
    ----------
    open_, close : array
        The price at which an order is filled and the one at which a bar is valued, shape (n_bars,).
    lines : array
        Every line that a point may use, shape (n_lines, n_bars); NaN where there is none yet.
    points : array of int
        For each point the lines ``a b c d``: enter where ``a`` crosses above ``b``, leave where ``c`` crosses above
        ``d``; shape (n_points, 4).
    terms : array
        Commission, slippage, starting cash.
    periods : float
        Bars in a year.
    both : bool
        Turn short on leaving.

    Returns
    -------
    array
        In the order of ``statistics.NAMES``, shape (n_points, 12).
    """
    found = np.empty((points.shape[0], 12))
    for i in range(points.shape[0]):
        a, b, c, d = points[i]
        _run(open_, close, lines[a], lines[b], lines[c], lines[d], terms, periods, both, found[i])
    return found


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _run(
    open_: Array,
    close: Array,
    a: Array,
    b: Array,
    c: Array,
    d: Array,
    terms: Array,
    periods: float,
    both: bool,
    found: Array,
) -> None:
    fee, slip, start = terms
    n = close.shape[0]
    cash, shares, paid = start, 0.0, 0.0
    before, peak, deepest = start, start, 0.0
    mean, squares, below = 0.0, 0.0, 0.0
    worth, traded, inside = 0.0, 0.0, 0
    trades, wins, gains, losses = 0, 0, 0.0, 0.0
    for t in range(n):
        # Known at the close of t - 1, filled on t; a cross needs both bars.
        known = not math.isnan(open_[t])
        enter = known and t >= 2 and a[t - 1] > b[t - 1] and a[t - 2] <= b[t - 2]
        leave = known and t >= 2 and c[t - 1] > d[t - 1] and c[t - 2] <= d[t - 2]
        pnl, closed = 0.0, False
        if enter and not leave and shares <= 0.0 and cash > 0.0:
            price = open_[t] * (1 + slip)
            bought = cash / (price * (1 + fee))
            if shares < 0.0:
                pnl, closed = min(bought, -shares) * (paid * (1 - fee) - price * (1 + fee)), True
            cash, shares, traded = 0.0, shares + bought, traded + bought * price
            if shares > 0.0:
                paid = price
        elif leave and not enter and (shares > 0.0 or (both and shares == 0.0)):
            price = open_[t] * (1 - slip)
            short = 0.0
            if both:
                short = max((cash + shares * price * (1 - fee)) / (price * (1 + fee)), 0.0)
            if shares > 0.0:
                pnl, closed = shares * (price * (1 - fee) - paid * (1 + fee)), True
            sold = shares + short
            cash, shares, paid, traded = cash + sold * price * (1 - fee), -short, price, traded + sold * price
        if closed:
            trades += 1
            wins += pnl > 0
            gains += max(pnl, 0.0)
            losses -= min(pnl, 0.0)
        value = cash + shares * close[t]
        change = value / before - 1 if before > 0.0 else 0.0
        if value <= 0.0 and shares != 0.0:
            # A short that lost all there was is closed out; nothing is left to trade with.
            pnl = shares * (close[t] - paid) + shares * paid * fee
            trades += 1
            wins += pnl > 0
            gains += max(pnl, 0.0)
            losses -= min(pnl, 0.0)
            cash, shares, value, change = 0.0, 0.0, 0.0, -1.0
        before = value
        # Welford: mean and sum of squared deviations in one pass.
        step = change - mean
        mean += step / (t + 1)
        squares += step * (change - mean)
        below += min(change, 0.0) ** 2
        peak = max(peak, value)
        deepest = min(deepest, value / peak - 1)
        worth += value
        inside += shares != 0.0
    spread, downside, year = math.sqrt(squares / (n - 1)), math.sqrt(below / n), math.sqrt(periods)
    annual = max(before / start, 0.0) ** (periods / n) - 1
    found[0] = before / start - 1
    found[1] = annual
    found[2] = spread * year
    found[3] = mean / spread * year if spread > NOISE * abs(mean) else np.nan
    found[4] = mean / downside * year if downside > 0 else np.nan
    found[5] = annual / -deepest if deepest < 0 else np.nan
    found[6] = deepest
    found[7] = trades
    found[8] = wins / trades if trades else np.nan
    found[9] = gains / losses if losses > 0 else (np.inf if gains > 0 else np.nan)
    found[10] = inside / n
    found[11] = traded / (worth / n) / (n / periods)
