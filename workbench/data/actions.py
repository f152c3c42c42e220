"""Corporate actions: facts with an ex-date, and the factors by which they adjust prices.

Raw prices are stored; adjustment happens on reading. With raw close ``C``, dividend ``D`` per share and split ratio
``s`` (2 for two-for-one), all prices *before* an ex-date ``t`` are multiplied by

- split:     ``1 / s``
- dividend:  ``C[t] / (C[t] + D)``

so that the adjusted simple return over the ex-date, ``(C[t] + D) / C[t-1] - 1``, is the holder's total return (the
definition of CRSP, "Data Definitions: Returns"). Sources that use ``1 - D / C[t-1]`` differ from it by the ex-day's
return on the dividend.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from workbench.core.market import PRICES, Adjustment
from workbench.data.tables.base import Panel

COLUMNS = ("symbol", "time", "kind", "value")
SMALLEST_SPLIT = 1.2
"""A ratio from here on is read as a split where it is a fraction of small whole numbers."""

Reference = Literal["ex_close", "previous_close"]
"""Which close a source relates a dividend to: ``1 + D / C[t]``, or ``1 / (1 - D / C[t-1])``."""


def implied_actions(
    close: pd.Series, adjusted_close: pd.Series, decimals: int | None = None, reference: Reference = "ex_close"
) -> pd.DataFrame:
    """Read splits and dividends out of a source's adjusted closes.

    The ratio of adjusted to raw close is constant between actions and jumps on each ex-date. Where the adjusted close
    is rounded, the ratio of a stretch between two actions is its mean, so that rounding averages out.

    Parameters
    ----------
    close, adjusted_close : pandas.Series
        One symbol's closes by time, shape (n,), without NaN.
    decimals : int, optional
        To how many decimals the closes are rounded; ``None`` where they are exact.
    reference : {"ex_close", "previous_close"}
        How the source adjusts for a dividend.

    Returns
    -------
    pandas.DataFrame
        Columns ``time`` (the ex-date's bar), ``kind`` (``"split"`` or ``"dividend"``) and ``value`` (the split ratio,
        or currency per share, in the shares of the closes); one row per action.
    """
    ratio = adjusted_close / close
    rounding = 0.0 if decimals is None else 0.5 * 10.0**-decimals
    # Both closes are rounded: neighbours can differ by this much without an action between them.
    wobble = rounding * (1 / adjusted_close + 1 / close)
    noise = 1e-6 + wobble + wobble.shift()
    jumps = (ratio / ratio.shift() - 1).abs() > noise
    level = ratio.groupby(jumps.cumsum()).transform("mean")
    steps = (level / level.shift())[jumps]
    rows = []
    # step = 1 + D / C[t], or 1 / (1 - D / C[t-1])
    per_price = steps - 1 if reference == "ex_close" else 1 - 1 / steps
    dividends = per_price * (close if reference == "ex_close" else close.shift())[jumps]
    for time, step, dividend in zip(steps.index, steps.to_numpy(), dividends.to_numpy(), strict=True):
        split = _split_ratio(float(step))
        rows.append((time, "split" if split else "dividend", split or round(float(dividend), 4)))
    return pd.DataFrame(rows, columns=["time", "kind", "value"])


def _split_ratio(step: float) -> float | None:
    """Return the small fraction that ``step`` is, or ``None`` for a dividend, which only ever raises the ratio."""
    if step < 1:
        merged = _split_ratio(1 / step)
        return 1 / merged if merged else step
    if step < SMALLEST_SPLIT:
        return None
    for below in (1, 2, 3, 4, 5):
        above = round(step * below)
        if abs(step * below / above - 1) < 2e-3:
            return above / below
    return None


NEUTRAL = {"split": 1.0, "dividend": 0.0}
"""The value of an action that changes nothing: one that its source has withdrawn."""


def withdrawn(known: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """Return the known actions that are told no more, with the value that changes nothing.

    A source that moves an ex-date by a day tells a new action; without this the old one would adjust prices, too.

    Parameters
    ----------
    known, told : pandas.DataFrame
        Columns ``symbol``, ``time``, ``kind`` and ``value``, of the same symbols and days.
    """
    keys = ["symbol", "time", "kind"]
    still = pd.MultiIndex.from_frame(known[keys]).isin(pd.MultiIndex.from_frame(told[keys]))
    neutral = known["kind"].map(NEUTRAL).astype("float64")
    gone = known[~still & (known["value"] != neutral).to_numpy()]
    return gone.assign(value=neutral[gone.index])[[*keys, "value"]]


def adjust_panel(panel: Panel, actions: pd.DataFrame, adjust: Adjustment, stored: Adjustment) -> dict[str, np.ndarray]:
    """Apply actions to wide arrays of prices and volumes.

    Parameters
    ----------
    panel : Panel
        With ``close``, and *all* bars of each symbol: a factor needs the ex-date's close.
    actions : pandas.DataFrame
        Columns ``symbol``, ``time``, ``kind`` and ``value``.
    adjust : {"none", "splits", "all"}
        What to take out.
    stored : {"none", "splits", "all"}
        What the bars are adjusted for already.

    Returns
    -------
    dict of str to numpy.ndarray
        The panel's fields, shape (n_times, n_symbols): prices multiplied by the factor, volume divided by the split
        factor.
    """
    wanted = {"none": set(), "splits": {"split"}, "all": {"split", "dividend"}}
    kinds = wanted[adjust] - wanted[stored]
    chosen = actions[actions["kind"].isin(kinds) & actions["symbol"].isin(panel.symbols)]
    if chosen.empty:
        return dict(panel.fields)
    splits, dividends = (_of_later(steps) for steps in _steps(panel, chosen))
    price = splits * dividends
    return {
        name: values * price if name in PRICES else values / splits if name == "volume" else values
        for name, values in panel.fields.items()
    }


def _of_later(steps: np.ndarray) -> np.ndarray:
    """Return the product of the steps after each bar: one at an ex-date holds for all bars before it."""
    if (steps == 1.0).all():
        return np.ones((1, 1))
    return np.cumprod(steps[::-1], axis=0)[::-1][1:]


def _steps(panel: Panel, actions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the factor that each ex-date brings, by splits and by dividends, shape (n_times + 1, n_symbols)."""
    closes = panel.fields["close"]
    splits = np.ones((len(panel.times) + 1, len(panel.symbols)))
    paid = np.zeros_like(splits)
    columns = pd.Index(panel.symbols).get_indexer(pd.Index(actions["symbol"]))
    stamps = pd.DatetimeIndex(actions["time"]).tz_localize(None).to_numpy(dtype="datetime64[us]")
    places = np.searchsorted(panel.times, stamps)
    # The last row is that of actions after the last bar, which adjust nothing yet.
    there = np.vstack([np.isfinite(closes), np.ones((1, closes.shape[1]), dtype=bool)])
    for lacking in np.flatnonzero(~there[places, columns]):
        # No bar of the symbol's own on the ex-date: its next one.
        places[lacking] += np.argmax(there[places[lacking] :, columns[lacking]])
    is_split, values = (actions["kind"] == "split").to_numpy(), actions["value"].to_numpy(dtype="float64")
    np.divide.at(splits, (places[is_split], columns[is_split]), values[is_split])
    np.add.at(paid, (places[~is_split], columns[~is_split]), values[~is_split])
    splits[-1], paid[-1] = 1.0, 0.0
    # Two dividends between two bars add up before they are related to the close.
    dividends = np.ones_like(splits)
    at = np.nonzero(paid)
    dividends[at] = closes[at] / (closes[at] + paid[at])
    return splits, dividends
