"""The account of a cross rule and its statistics, compiled: what a sweep runs for each point.

vectorbt keeps every equity curve of a sweep in memory; here a point leaves its statistics and nothing else. Fills,
costs and statistics are those of ``engine`` and ``statistics``; a test holds them equal to 1e-9 on random prices.

A point is followed from order to order, not from bar to bar: while the position stands still, the account's value is
``cash + shares * close``, and a few sums that the processor takes eight bars at a time say all that the statistics need
to know of the stretch. Mean and variance of the stretches are put together as in T. F. Chan, G. H. Golub and R. J.
LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979), equation 2.1; within a
stretch the sums are of differences from its first return, which keeps the variance of nearly equal returns exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from workbench.risk.measures import NOISE

Array = NDArray[np.float64]
Places = NDArray[np.int64]

Function = TypeVar("Function", bound=Callable[..., Any])

_INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # called from compiled code only
_REORDERED = {"reassoc", "contract", "nnan", "nsz"}  # the terms of a sum, none of them NaN
_WITHIN = {"forceinline": True, **_INNER}  # for sums: else a compile and the cache differ in the last digits

_CLOSED, _WINS, _GAINS, _LOSSES, _TRADED, _INSIDE = range(6)
"""Places in the tally: round trips, those with a gain, gains, losses, value of orders, bars that end with a position"""


def _compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile once for all processes to come, to run without the interpreter's lock; division follows numpy."""
    decorator: Callable[[Function], Function] = numba.njit(cache=True, nogil=True, error_model="numpy", **options)
    return decorator


class Terms(NamedTuple):
    """Costs as fractions, the starting cash, the borrow cost of a bar, bars in a year, and whether to turn short."""

    commission: float
    slippage: float
    cash: float
    borrow: float
    periods: float
    both: bool


class Account(NamedTuple):
    """Money, shares (negative when short), the price paid for them, borrow cost so far, and before this position."""

    cash: float
    shares: float
    paid: float
    owed: float
    owed_before: float


class Path(NamedTuple):
    """What the statistics need to know of the equity so far.

    The last value and the highest, the lowest value over its running peak (``floor``), and of the returns their mean,
    the sum of squared differences from it, and the sum of squared losses (``below``); ``worth`` is the sum of values.
    """

    bars: int
    value: float
    peak: float
    floor: float
    mean: float
    squares: float
    below: float
    worth: float


@_compiled()
def run_points(fill: Array, close: Array, lines: Array, points: Places, terms: Terms, equity: Array) -> Array:
    """Return the statistics of each point.

    Parameters
    ----------
    fill, close : array
        The price at which an order is filled (NaN: it is not) and the one at which a bar is valued, shape (n_bars,).
    lines : array
        Every line that a point may use, shape (n_lines, n_bars); NaN where there is none yet.
    points : array of int
        For each point the lines ``a b c d``: enter where ``a`` crosses above ``b``, leave where ``c`` crosses above
        ``d``; shape (n_points, 4).
    terms : Terms
    equity : array
        Is given the account's value at each close, shape (n_points, n_bars); of shape (n_points, 0) nothing is kept.

    Returns
    -------
    array
        In the order of ``statistics.NAMES``, shape (n_points, 12). NaN (and ``equity`` as it was) where no bar knows
        both lines of the entry: too few bars for the rule.
    """
    bars = close.shape[0]
    found, values = np.full((points.shape[0], 12), np.nan), np.empty(bars)
    marks, orders = np.zeros((bars + 7) // 8 * 8, np.uint8), np.empty(bars, np.int64)
    for i in range(points.shape[0]):
        a, b, c, d = lines[points[i, 0]], lines[points[i, 1]], lines[points[i, 2]], lines[points[i, 3]]
        count = _orders(a, b, c, d, marks, orders)
        if count or _known(a, b):
            _run(fill, close, orders[:count], terms, values, equity[i], found[i])
    return found


@_compiled(**_INNER)
def _known(a: Array, b: Array) -> bool:
    return not np.isnan(a - b).all()


@_compiled(**_INNER)
def _orders(a: Array, b: Array, c: Array, d: Array, marks: NDArray[np.uint8], orders: Places) -> int:
    """Find the bars on which a cross of the bar before is filled: ``t`` to enter, ``-t`` to leave; return how many.

    A bar that says both says nothing.
    """
    # Slices and an index from zero: the compiler then compares eight bars at once.
    a_now, b_now, c_now, d_now, filled = a[1:], b[1:], c[1:], d[1:], marks[2:]
    for t in range(a.shape[0] - 2):
        enter = (a_now[t] > b_now[t]) & (a[t] <= b[t])
        leave = (c_now[t] > d_now[t]) & (c[t] <= d[t])
        filled[t] = np.uint8(enter) + 2 * np.uint8(leave)
    words, count = marks.view(np.uint64), 0
    for word in range(words.shape[0]):
        if words[word] == 0:
            continue
        for t in range(8 * word, 8 * word + 8):
            orders[count] = t if marks[t] == 1 else -t
            count += (marks[t] == 1) | (marks[t] == 2)
    return count


@_compiled(**_WITHIN)
def _run(fill: Array, close: Array, orders: Places, terms: Terms, values: Array, equity: Array, found: Array) -> None:
    """Follow an account from order to order, and write down what came of it."""
    bars, tally = close.shape[0], np.zeros(6)
    account = Account(terms.cash, 0.0, 0.0, 0.0, 0.0)
    path = Path(0, terms.cash, terms.cash, 1.0, 0.0, 0.0, 0.0, 0.0)
    for k in range(orders.shape[0] + 1):
        order = orders[k] if k < orders.shape[0] else bars
        if k < orders.shape[0] and not _acts(account, order > 0, fill[abs(order)], terms.both):
            continue
        first, end = path.bars, abs(order)
        if first < end:
            count, owed = _follow(close[first:end], account, terms.borrow, values)
            account = Account(account.cash, account.shares, account.paid, owed, account.owed_before)
            if account.shares == 0.0:
                path = _rested(_joined(path, values[:1]), count - 1)
            else:
                path = _joined(path, values[:count])
                tally[_INSIDE] += count
            for t in range(min(count, equity.shape[0])):
                equity[first + t] = values[t]
        if path.value <= 0.0:
            break
        if k < orders.shape[0]:
            account = _filled(account, order > 0, fill[end], terms, tally)
    if path.value <= 0.0:
        _close_out(account, close[path.bars - 1], terms.commission, tally)
        for t in range(path.bars, equity.shape[0]):
            equity[t] = 0.0
        path = _rested(path, bars - path.bars)
    _statistics(path, tally, terms, found)


@_compiled(**_INNER)
def _acts(account: Account, enter: bool, price: float, both: bool) -> bool:
    """Say whether an order changes the position; one without a price does not."""
    if enter:
        return account.shares <= 0.0 and account.cash > 0.0 and not math.isnan(price)
    return (account.shares > 0.0 or (both and account.shares == 0.0)) and not math.isnan(price)


@_compiled(**_INNER)
def _filled(account: Account, enter: bool, price: float, terms: Terms, tally: Array) -> Account:
    """Buy with all of the cash; or sell everything, and where it may turn short as much again as the money covers."""
    cash, shares, paid, owed, owed_before = account
    price *= 1 + terms.slippage if enter else 1 - terms.slippage
    pays, gets, pnl = price * (1 + terms.commission), price * (1 - terms.commission), math.nan
    if enter:
        bought = cash / pays
        if shares < 0.0:
            covered = min(bought / -shares, 1.0)
            charged = covered * (owed - owed_before)
            pnl = covered * -shares * (paid * (1 - terms.commission) - pays) - charged
            owed_before += charged
        cash, shares, paid = 0.0, shares + bought, price if shares + bought > 0.0 else paid
        tally[_TRADED] += bought * price
    else:
        short = max((cash + shares * gets) / pays, 0.0) if terms.both else 0.0
        if shares > 0.0:
            pnl = shares * (gets - paid * (1 + terms.commission))
        cash, shares, paid, owed_before = cash + (shares + short) * gets, -short, price, owed
        tally[_TRADED] += (account.shares + short) * price
    if not math.isnan(pnl):
        _count_trade(pnl, tally)
    return Account(cash, shares, paid, owed, owed_before)


@_compiled(**_INNER)
def _close_out(account: Account, close: float, commission: float, tally: Array) -> None:
    """Close a position that left nothing of the account, at the close that brought it there."""
    entry = abs(account.shares) * account.paid * commission
    _count_trade(account.shares * (close - account.paid) - entry - (account.owed - account.owed_before), tally)
    tally[_INSIDE] -= 1


@_compiled(**_INNER)
def _count_trade(pnl: float, tally: Array) -> None:
    tally[_CLOSED] += 1
    tally[_WINS] += pnl > 0.0
    tally[_GAINS] += max(pnl, 0.0)
    tally[_LOSSES] -= min(pnl, 0.0)


@_compiled(**_INNER)
def _follow(close: Array, account: Account, borrow: float, values: Array) -> tuple[int, float]:
    """Write the account's value at each close; return how many, the first without value included, and what it owes."""
    cash, shares, _, owed, _ = account
    if shares >= 0.0 and owed == 0.0:
        for t in range(close.shape[0]):
            values[t] = cash + shares * close[t]
        return close.shape[0], owed
    charged = -min(shares, 0.0) * borrow
    for t in range(close.shape[0]):
        owed += charged * close[t]
        values[t] = cash + shares * close[t] - owed
        if values[t] <= 0.0:
            values[t] = 0.0
            return t + 1, owed
    return close.shape[0], owed


@_compiled(fastmath=_REORDERED, **_WITHIN)
def _joined(path: Path, values: Array) -> Path:
    """Take a stretch of values into the path; only the last may be zero."""
    bars, pivot = values.shape[0], values[0] / path.value - 1
    gap, squares, below, worth = 0.0, 0.0, min(pivot, 0.0) ** 2, values[0]
    before, after = values[: bars - 1], values[1:]
    for t in range(bars - 1):
        change = after[t] / before[t] - 1
        apart, loss = change - pivot, min(change, 0.0)
        gap += apart
        squares += apart * apart
        below += loss * loss
        worth += after[t]
    peak, floor = _deepest(values, path.peak, path.floor)
    total = path.bars + bars
    step = pivot + gap / bars - path.mean
    spread = max(squares - gap * gap / bars, 0.0) + step * step * path.bars * (bars / total)
    mean, last = path.mean + step * (bars / total), values[bars - 1]
    return Path(total, last, peak, floor, mean, path.squares + spread, path.below + below, path.worth + worth)


@_compiled(**_INNER)
def _rested(path: Path, bars: int) -> Path:
    """Take bars into the path on which the value stands still."""
    total = path.bars + bars
    mean, spread = path.mean * (path.bars / total), path.mean * path.mean * path.bars * (bars / total)
    worth = path.worth + path.value * bars
    return Path(total, path.value, path.peak, path.floor, mean, path.squares + spread, path.below, worth)


@_compiled(**_INNER)
def _deepest(values: Array, peak: float, floor: float) -> tuple[float, float]:
    for value in values:
        if value > peak:
            peak = value
        elif value < floor * peak:
            floor = value / peak
    return peak, floor


@_compiled(**_INNER)
def _statistics(path: Path, tally: Array, terms: Terms, found: Array) -> None:
    n, start, deepest = path.bars, terms.cash, path.floor - 1
    spread, downside, year = math.sqrt(path.squares / (n - 1)), math.sqrt(path.below / n), math.sqrt(terms.periods)
    annual, noise = max(path.value / start, 0.0) ** (terms.periods / n) - 1, NOISE * max(1.0, abs(path.mean))
    found[0] = path.value / start - 1
    found[1] = annual
    found[2] = spread * year
    found[3] = path.mean / spread * year if spread > noise else np.nan
    found[4] = path.mean / downside * year if downside > noise else np.nan
    found[5] = annual / -deepest if -deepest > NOISE else np.nan
    found[6] = deepest
    found[7] = tally[_CLOSED]
    found[8] = tally[_WINS] / tally[_CLOSED] if tally[_CLOSED] else np.nan
    found[9] = tally[_GAINS] / tally[_LOSSES] if tally[_LOSSES] > 0 else (np.inf if tally[_GAINS] > 0 else np.nan)
    found[10] = tally[_INSIDE] / n
    found[11] = tally[_TRADED] / (path.worth / n) / (n / terms.periods)
