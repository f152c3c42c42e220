"""Rules on prices and volume: at a level, a move within some bars, a volume spike."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import xarray as xr
from pydantic import Field

from workbench.alerts.rules import AlertRule, make_reading, one_sided
from workbench.analytics.lines import on_own_bars, past_return

Side = Literal["above", "below", "crosses above", "crosses below", "crosses"]


ROUNDING = 1e-9
"""Per cent: by so little less a move is still one of its limit, whatever the quotient was rounded to."""


def is_cross(when: Side) -> bool:
    """Say whether a side is one of a cross, which is at one bar."""
    return when.startswith("crosses")


class Price(AlertRule):
    """The close against a level, in the dataset's currency and today's shares (adjusted for splits, not dividends).

    A split leaves the level as it is: give the rule a new one then.

    Attributes
    ----------
    when : {"above", "below", "crosses above", "crosses below", "crosses"}
        ``above`` and ``below`` hold for as long as the close is there; a cross holds at its one bar.
    level : float
    """

    adjust = "splits"

    when: Side
    level: float = Field(gt=0)

    @property
    def condition(self) -> str:
        """The rule in words."""
        return f"close {self.when} {self.level:,.10g}"

    @property
    def streamed(self) -> bool:
        """Yes."""
        return True

    @property
    def momentary(self) -> bool:
        """Whether it is a cross."""
        return is_cross(self.when)

    @property
    def widest_gap(self) -> float:
        """The level itself where it lies above: no price is below 0."""
        return self.level if self.when in ("above", "crosses above") else float("inf")

    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:  # noqa: ARG002 - as every kind is asked
        """Return the close, the level, and where the rule holds."""
        close = bars["close"]
        return make_reading(close, self.level, *one_sided(close, self.level, self.when), close.notnull())

    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:
        """Return the close, and how far it lies from the level."""
        value = float(row["value"])
        return f"close {value:,.2f} {bars.attrs['currency']}, {value / self.level - 1:+.1%} from {self.level:,.10g}"


class Move(AlertRule):
    """A rise or fall by some per cent within some bars, dividends counted in.

    Attributes
    ----------
    percent : float
        How large a move must be at least, in per cent: 5 is 5 %.
    window : int
        Within how many of the symbol's own bars, close to close.
    direction : {"up", "down", "either"}
    """

    percent: float = Field(gt=0)
    window: int = Field(default=1, ge=1, le=2520)
    direction: Literal["up", "down", "either"] = "either"

    @property
    def condition(self) -> str:
        """The rule in words."""
        sign = {"up": "+", "down": "−", "either": "±"}[self.direction]
        return f"move of {sign}{self.percent:g} % in {_bars(self.window)}"

    @property
    def streamed(self) -> bool:
        """Yes."""
        return True

    @property
    def widest_gap(self) -> float:
        """The limit where it is on both sides, and 100 more for a rise: no price falls by more."""
        return {"up": self.percent + 100.0, "down": float("inf"), "either": self.percent}[self.direction]

    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:  # noqa: ARG002
        """Return the move, in per cent, and the limit on its side."""
        move = past_return(bars, self.window) * 100
        sizes: dict[str, xr.DataArray] = {"up": move, "down": -move, "either": abs(move)}
        size = sizes[self.direction]
        limit = xr.where(move < 0, -self.percent, self.percent) if self.direction == "either" else self._limit()
        # A fall after a rise is another move.
        turns = {"direction": xr.where(move < 0, -1, 1)} if self.direction == "either" else {}
        here = bars["close"].notnull()
        return make_reading(move, limit, size >= self.percent - ROUNDING, self.percent - size, here, **turns)

    def _limit(self) -> float:
        return self.percent if self.direction == "up" else -self.percent

    def usual(self, own: pd.DataFrame) -> float:
        """Return a usual change of the move itself: its limit changes side with it."""
        return super().usual(own.assign(level=0.0))

    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:  # noqa: ARG002
        """Return the move."""
        return f"{float(row['value']):+.2f} % in {_bars(self.window)}, limit {float(row['level']):+g} %"


class Volume(AlertRule):
    """A bar's volume that is a multiple of the usual one.

    Attributes
    ----------
    multiple : float
        How many times the mean volume of the ``window`` own bars before, the bar itself left out.
    window : int
    """

    fields = ("close", "volume")

    multiple: float = Field(default=3.0, gt=1)
    window: int = Field(default=20, ge=2, le=2520)

    @property
    def condition(self) -> str:
        """The rule in words."""
        return f"volume {self.multiple:g} × the mean of {_bars(self.window)}"

    @property
    def widest_gap(self) -> float:
        """The multiple itself, where nothing is traded."""
        return self.multiple

    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:  # noqa: ARG002
        """Return the volume as a multiple of its mean; without any volume in the window it is not known."""
        self.require(bars)
        here = bars["close"].notnull()
        before = on_own_bars(bars["volume"], here, lambda own: own.rolling(self.window).mean().shift(1))
        ratio = bars["volume"] / before.where(before > 0)
        return make_reading(ratio, self.multiple, ratio >= self.multiple, self.multiple - ratio, here)

    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:  # noqa: ARG002
        """Return the multiple."""
        return (
            f"volume {float(row['value']):.2f} × the mean of the {_bars(self.window)} before, limit {self.multiple:g} ×"
        )


def _bars(count: int) -> str:
    return "1 bar" if count == 1 else f"{count} bars"
