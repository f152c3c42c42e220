"""A rule on patterns: a candlestick, or a chart pattern at the bar at which it could be known."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import Field

from workbench.alerts.rules import AlertRule, Given, make_reading
from workbench.analytics import patterns


class Pattern(AlertRule):
    """A candlestick or chart pattern, at the bar at whose close it became known.

    Attributes
    ----------
    pattern : str
        A name out of ``bench.patterns()``, such as ``"double top"`` or ``"hammer"``.
    direction : {"any", "bullish", "bearish", "neutral"}
        Which of them: the one that the pattern's authors claim.
    parameters : mapping
        How a chart pattern is looked for; see ``workbench.analytics.patterns.Rules``.
    """

    pattern: str
    direction: Literal["any", "bullish", "bearish", "neutral"] = "any"
    parameters: dict[str, Given] = Field(default={})

    @property
    def condition(self) -> str:
        """The rule in words."""
        told = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        own = f"{self.pattern}({told})" if told else self.pattern
        return own if self.direction == "any" else f"{self.direction} {own}"

    @property
    def momentary(self) -> bool:
        """Yes."""
        return True

    @property
    def widest_gap(self) -> float:
        """One: it is there or it is not."""
        return 1.0

    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:  # noqa: ARG002 - as every kind is asked
        """Return how many became known at each bar."""
        here = bars["close"].notnull().transpose("time", "symbol")
        count = np.zeros(here.shape)
        told = np.full(here.shape, "", dtype=object)
        times, symbols = bars.indexes["time"], bars.indexes["symbol"]
        for found in patterns.find(bars, self.pattern, **self.parameters):
            if self.direction in ("any", found.direction):
                place = times.get_loc(found.known), symbols.get_loc(found.symbol)
                told[place] = f"{told[place]}; {_words(found)}" if count[place] else _words(found)
                count[place] += 1
        value = here.copy(data=np.where(here, count, np.nan))
        return make_reading(value, 1.0, value >= 1, 1.0 - value, here, told=here.copy(data=told))

    def usual(self, own: pd.DataFrame) -> float:  # noqa: ARG002 - as every kind is asked
        """Return NaN: nothing says how near a pattern is."""
        return float("nan")

    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:  # noqa: ARG002
        """Return which it is, from when to when, and why it is one."""
        return str(row["told"].item()) or f"no {self.condition}"


def _words(found: patterns.Pattern) -> str:
    level = "" if found.level is None else f", level {found.level:,.4g}"
    first, last = f"{found.start:%Y-%m-%d}", f"{found.end:%Y-%m-%d}"
    span = first if first == last else f"{first} to {last}"
    return f"{found.direction} {found.name}, {span}{level}: {found.reason}"
