"""What a rule says bar by bar, in the words of a report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import xarray as xr

from workbench.analytics.signals import side

_WORDS = {1: "long", 0: "flat", -1: "short"}


@dataclass(frozen=True, slots=True)
class Said:
    """What a rule says of one symbol at one bar.

    Attributes
    ----------
    signal : {"enter", "exit", "long", "flat", "short"}
        ``enter`` and ``exit`` where the rule fires on that bar, else the state that it is in.
    position : {1, 0, -1}
        The side that the rule is on after that bar's close.
    strength : float
        From -1, the short side, to 1.
    """

    signal: str
    position: int
    strength: float


class Statements:
    """What Signals say, bar by bar.

    Parameters
    ----------
    signals : xarray.Dataset
        As ``Strategy.signals`` gives them, shape (n_bars, n_symbols).
    """

    def __init__(self, signals: xr.Dataset) -> None:
        self._times = pd.DatetimeIndex(signals.indexes["time"]).floor("us")
        self._columns = {str(name): place for place, name in enumerate(signals["symbol"].to_numpy())}
        self._entry, self._exit = signals["entry"].to_numpy(), signals["exit"].to_numpy()
        self._sides, self._strength = side(signals).to_numpy(), signals["strength"].to_numpy()

    def at(self, symbol: str, bar: datetime) -> Said | None:
        """Return what is said of a symbol at a bar (UTC); ``None`` without that bar, or without a strength there."""
        moment = pd.Timestamp(bar).tz_convert("UTC").tz_localize(None)
        row = int(self._times.searchsorted(moment))
        if row == len(self._times) or self._times[row] != moment or symbol not in self._columns:
            return None
        return self._said(row, self._columns[symbol])

    def last(self, symbol: str) -> tuple[datetime, Said] | None:
        """Return the last bar of a symbol at which the rule has a strength, and what is said there."""
        column = self._columns[symbol]
        known = np.flatnonzero(~np.isnan(self._strength[:, column]))
        said = self._said(int(known[-1]), column) if len(known) else None
        return None if said is None else (stamped(self._times[known[-1]]), said)

    def _said(self, row: int, column: int) -> Said | None:
        strength, position = float(self._strength[row, column]), int(self._sides[row, column])
        if np.isnan(strength):
            return None
        word = "enter" if self._entry[row, column] else "exit" if self._exit[row, column] else _WORDS[position]
        return Said(word, position, strength)


def stamped(stamp: pd.Timestamp) -> datetime:
    """Return a bar's time, UTC without a zone, as the instant that is kept of it: in microseconds."""
    return stamp.tz_localize(UTC).floor("us").to_pydatetime()
