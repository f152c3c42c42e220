"""Rules on what is computed: an indicator against a level or another one, and a strategy's change of mind."""

from __future__ import annotations

from typing import Literal, Self

import pandas as pd
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.alerts.prices import Side, is_cross
from workbench.alerts.rules import AlertRule, Given, make_reading, one_sided
from workbench.analytics.indicators import indicator
from workbench.analytics.lines import line
from workbench.analytics.signals import held, side
from workbench.backtest.strategy import find_strategy
from workbench.core.errors import ParameterError, UnknownNameError

_TOLD = "told "


class Line(BaseModel):
    """One line of an indicator, or the close.

    Attributes
    ----------
    indicator : str
        A name out of ``bench.indicators()``, or ``"close"``.
    parameters : mapping
        The indicator's; its defaults where left out.
    output : str, optional
        Which line of an indicator that has several, such as ``"signal"`` of ``macd``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    indicator: str
    parameters: dict[str, Given] = {}
    output: str | None = None

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        name = f"{self.indicator}({told})" if told else self.indicator
        return f"{name} {self.output}" if self.output else name

    def values(self, bars: xr.Dataset) -> xr.DataArray:
        """Return the line, shape (n_bars, n_symbols).

        Raises
        ------
        UnknownNameError, ParameterError, InputError
            For an indicator, parameter or output that there is none of, or a field that the dataset lacks.
        """
        if self.indicator == "close":
            return bars["close"]
        found = indicator(self.indicator, bars, **self.parameters)
        outputs = [str(name) for name in found.data_vars]
        if self.output is None and len(outputs) > 1:
            raise ParameterError(f"{self.indicator} has several lines; choose an output: {', '.join(outputs)}")
        name = self.output or outputs[0]
        if name not in outputs:
            raise UnknownNameError("output", name, outputs, where=f"indicator {self.indicator}")
        return found[name].transpose("time", "symbol")


class Indicator(AlertRule):
    """An indicator against a level, or against another indicator.

    Attributes
    ----------
    indicator, parameters, output
        What is looked at; see ``Line``.
    when : {"above", "below", "crosses above", "crosses below", "crosses"}
    level : float, optional
    against : Line, optional
        Instead of a level: ``{"indicator": "sma", "parameters": {"window": 50}}``.
    """

    indicator: str
    parameters: dict[str, Given] = Field(default={})
    output: str | None = None
    when: Side
    level: float | None = None
    against: Line | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.level is None) == (self.against is None):
            raise ValueError("give either a level or against, the line that it is compared with")
        return self

    @property
    def line(self) -> Line:
        """What is looked at."""
        return Line(indicator=self.indicator, parameters=self.parameters, output=self.output)

    @property
    def condition(self) -> str:
        """The rule in words."""
        other = str(self.against) if self.against else f"{self.level:,.10g}"
        return f"{self.line} {self.when} {other}"

    @property
    def momentary(self) -> bool:
        """Whether it is a cross."""
        return is_cross(self.when)

    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:  # noqa: ARG002 - as every kind is asked
        """Return the indicator and what it is compared with."""
        value = self.line.values(bars)
        level = self.against.values(bars) if self.against else xr.full_like(value, float(self.level or 0.0))
        return make_reading(value, level, *one_sided(value, level, self.when), bars["close"].notnull())

    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:  # noqa: ARG002
        """Return both numbers."""
        other = f"{self.against} " if self.against else "level "
        return f"{self.line} {float(row['value']):,.4g}, {other}{float(row['level']):,.4g}"


class SignalChange(AlertRule):
    """A strategy that enters or leaves at a bar's close; the trade would be filled on the next bar.

    An entry while it is in, or an exit while it is out, changes nothing.

    Attributes
    ----------
    strategy : str
        An installed one.
    parameters : mapping
        The strategy's; its defaults where left out.
    change : {"enter", "exit", "any"}
        Of target weights, ``enter`` is on either side and ``exit`` from either.
    """

    strategy: str
    parameters: dict[str, Given] = Field(default={})
    change: Literal["enter", "exit", "any"] = "any"

    @property
    def condition(self) -> str:
        """The rule in words."""
        told = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        verb = {"enter": "enters", "exit": "leaves", "any": "changes"}[self.change]
        return f"{self.strategy}({told}) {verb}" if told else f"{self.strategy} {verb}"

    @property
    def momentary(self) -> bool:
        """Yes."""
        return True

    @property
    def widest_gap(self) -> float:
        """Without bound where the strategy is made of crosses; others do not say how far they are."""
        return 0.0 if find_strategy(self.strategy).crosses is None else float("inf")

    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:  # noqa: ARG002
        """Return where the strategy turns; its lines as value and level where it is made of crosses.

        Without lines, the value is the strength and nothing says how near a turn is.
        """
        rule = find_strategy(self.strategy)
        signals = rule.signals(bars, **self.parameters)
        here = bars["close"].notnull()
        entry, leave = _turns(side(signals), here)
        holds = {"enter": entry, "exit": leave, "any": entry | leave}[self.change]
        # With a prefix, evidence may be called as a part of the reading is.
        evidence = {f"{_TOLD}{name}": signals[name] for name in signals.attrs["evidence"]}
        if rule.crosses is None:
            strength = signals["strength"]
            nothing = xr.full_like(strength, float("nan"))
            found = make_reading(strength, nothing, holds, nothing, here, side=side(signals), **evidence)
        else:
            a, b, c, d = (line(bars, spec) for spec in rule.crosses(**rule.validate(self.parameters)))
            inside = held(signals) > 0
            value, level = xr.where(inside, c, a), xr.where(inside, d, b)
            watched = {"enter": ~inside, "exit": inside, "any": inside | ~inside}[self.change]
            gap = (level - value).where(watched & (level >= value))
            found = make_reading(value, level, holds, gap, here, side=side(signals), **evidence)
            # A rule whose lines are not known yet has no strength either.
            found["value"] = found["value"].where(signals["strength"].notnull())
        return found.assign_attrs(reason=signals.attrs["reason"])

    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:  # noqa: ARG002
        """Return what the strategy says and why."""
        word = {1: "long", 0: "flat", -1: "short"}[int(row["side"])]
        evidence = {str(name)[len(_TOLD) :]: row[name].item() for name in row.data_vars if str(name).startswith(_TOLD)}
        reason = row.attrs["reason"].format(**evidence)
        turned = "turned " if bool(row["holds"]) else ""
        return f"{turned}{word}: {reason}" if reason else f"{turned}{word}"


def _turns(sides: xr.DataArray, here: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return where a strategy comes to a side and where it leaves one, on the symbol's own bars; a short is a side."""
    now = pd.DataFrame(sides.where(here).transpose(*sides.dims).to_numpy()).ffill().fillna(0.0)
    before = now.shift(1, fill_value=0.0)
    turned = now != before
    enters, leaves = turned & (now != 0), turned & (before != 0)
    return sides.copy(data=enters.to_numpy()), sides.copy(data=leaves.to_numpy())
