"""A rule on the data themselves: prices that jump without a split or dividend, or that stand still."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import Field

from workbench.alerts.prices import ROUNDING
from workbench.alerts.rules import AlertRule, make_reading
from workbench.analytics.lines import on_own_bars, past_return
from workbench.core.market import PRICES
from workbench.data.checks import JUMP, STALE


class BadData(AlertRule):
    """Prices that are hardly right: a jump without a split or dividend, or the same ones again and again.

    Rows that cannot be right at all are kept out of the store, so that a rule on missing data tells of them.

    Attributes
    ----------
    jump : float
        From what move in one bar on, in per cent, splits and dividends taken out; 40.
    stale : int
        From how many bars with the very same prices in a row on; 5.
    """

    jump: float = Field(default=JUMP * 100, gt=0)
    stale: int = Field(default=STALE, ge=2, le=2520)

    @property
    def condition(self) -> str:
        """The rule in words."""
        return f"jump of {self.jump:g} % or the same prices for {self.stale} bars"

    @property
    def widest_gap(self) -> float:
        """One: the data look wrong or they do not."""
        return 1.0

    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:  # noqa: ARG002 - as every kind is asked
        """Return in how many ways, of both, each bar looks wrong."""
        here = bars["close"].notnull().transpose("time", "symbol")
        move = (past_return(bars, 1) * 100).transpose("time", "symbol")
        run = _standing(bars, here)
        count = ((abs(move) >= self.jump - ROUNDING).astype("float64") + (run >= self.stale)).where(here)
        return make_reading(count, 1.0, count >= 1, 1.0 - count, here, move=move, run=run)

    def usual(self, own: pd.DataFrame) -> float:  # noqa: ARG002 - as every kind is asked
        """Return NaN: nothing says how near bad data are."""
        return float("nan")

    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:  # noqa: ARG002
        """Return what looks wrong."""
        move, run = float(row["move"]), int(row["run"])
        found = [f"a jump of {move:+.1f} % without a split or dividend"] if abs(move) >= self.jump - ROUNDING else []
        found += [f"the same prices for {run} bars"] if run >= self.stale else []
        return " and ".join(found) or "prices look as usual"


def _standing(bars: xr.Dataset, here: xr.DataArray) -> xr.DataArray:
    """Return for how many own bars, this one included, all prices have been the same; NaN where there is no bar."""
    same = here.astype("float64")
    for field in PRICES:
        same *= on_own_bars(bars[field].transpose(*here.dims), here, _as_before)
    return on_own_bars(same, here, _in_a_row) + 1


def _as_before(own: pd.DataFrame) -> pd.DataFrame:
    """Say (1 or 0) where prices are those of the bar before, but for rounding; one that neither has is so."""
    same = (own.diff().abs() <= 1e-9 * own.abs()) | (own.isna() & own.shift(1).isna())
    return same.astype("float64")


def _in_a_row(same: pd.DataFrame) -> pd.DataFrame:
    """Return how many bars in a row, up to each, are as the bar before; the first one never is."""
    place = np.arange(len(same), dtype="float64")[:, None]
    changed = pd.DataFrame(np.where((same == 1.0) & (place > 0), np.nan, place)).ffill()
    return -changed + place
