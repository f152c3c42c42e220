"""A rule on the data themselves: sessions without a bar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import Field

from workbench.alerts.rules import AlertRule
from workbench.core.calendar import WITHIN_SESSION, check_known, exchange_calendar
from workbench.core.errors import InputError


class MissingData(AlertRule):
    """Sessions that have ended and have no bar, by the calendar of the dataset.

    Attributes
    ----------
    sessions : int
        After how many of them in a row the rule holds.
    grace : float
        How many hours after a session's close its bar may arrive.
    """

    sessions: int = Field(default=1, ge=1, le=2520)
    grace: float = Field(default=0.0, ge=0, le=240)

    @property
    def condition(self) -> str:
        """The rule in words."""
        late = f", {self.grace:g} h after the close" if self.grace else ""
        return f"no bar for {_sessions(self.sessions)}{late}"

    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:
        """Return, for each session from the first bar on, for how many sessions in a row there has been none.

        Times are when that could be said, up to ``at``: each session's close, and the grace after it.

        Raises
        ------
        DateRangeError
            If the calendar does not reach as far as ``at``.
        InputError
            For bars of more than a session.
        """
        if bars.attrs["interval"] not in ("1d", *WITHIN_SESSION):
            interval, dataset = bars.attrs["interval"], bars.attrs["dataset"]
            raise InputError(
                f"dataset {dataset!r} has no bar for each session, its interval is {interval}; watch one of daily bars"
            )
        calendar = str(bars.attrs["calendar"])
        check_known(calendar, at.normalize())
        closes = pd.DatetimeIndex(exchange_calendar(calendar).closes).tz_convert(None).as_unit("ns")
        times = bars.indexes["time"]
        ended = closes[(closes >= times[0]) & (closes <= at - self._late)]
        # A bar belongs to the session that ends with it, or in which it ends.
        place = closes.get_indexer(times, method="bfill")
        bar: pd.DataFrame = bars["close"].notnull().to_series().unstack("symbol")  # noqa: PD010
        there = bar[bars.indexes["symbol"]].groupby(closes[place]).any().reindex(ended, fill_value=False)
        count = there.apply(_in_a_row)
        return _reading(count, there.cummax(), self.sessions, ended + self._late)

    @property
    def widest_gap(self) -> float:
        """As many sessions as it asks for."""
        return float(self.sessions)

    @property
    def _late(self) -> pd.Timedelta:
        return pd.Timedelta(hours=self.grace)

    def distance(self, own: xr.Dataset) -> float:
        """Return how many sessions are left; NaN after one that has its bar."""
        return float(own["gap"][-1]) if float(own["value"][-1]) > 0 else float("nan")

    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:
        """Return how many sessions there are without a bar, and the day of the last one."""
        missing = int(row["value"])
        if not missing:
            return "every session has its bar"
        own = bars["close"].sel(symbol=str(row["symbol"].item())).dropna("time").indexes["time"]
        last = own[own <= pd.Timestamp(row["time"].item()) - self._late]
        return f"no bar for {_sessions(missing)}, the last on {last[-1]:%Y-%m-%d}"


def _reading(count: pd.DataFrame, begun: pd.DataFrame, sessions: int, times: pd.DatetimeIndex) -> xr.Dataset:
    """Put the reading together; before a symbol's first bar nothing is missing."""
    holds = count.to_numpy() >= sessions
    gap = np.where(holds, 0.0, sessions - count.to_numpy())
    parts = {"value": count, "level": count * 0.0 + sessions, "here": begun}
    named = {name: (("time", "symbol"), table.to_numpy()) for name, table in parts.items()}
    both = {"holds": (("time", "symbol"), holds & begun.to_numpy()), "gap": (("time", "symbol"), gap)}
    coords = {"time": times.to_numpy(), "symbol": count.columns.to_numpy()}
    return xr.Dataset({**named, **both}, coords=coords)


def _in_a_row(there: pd.Series) -> pd.Series:
    """Return, for each session, how many have gone by since the last one with a bar."""
    return (~there).groupby(there.cumsum()).cumsum().astype("float64")


def _sessions(count: int) -> str:
    return "1 session" if count == 1 else f"{count:,} sessions"
