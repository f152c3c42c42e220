"""Alert rules: what is watched, told in values that are checked; no text of a rule is ever run.

A rule's kind is a class of the entry-point group ``workbench.alert_rules``, a built-in's like a stranger's. It turns
Bars into a *reading*, an ``xarray.Dataset`` over ``(time, symbol)`` with

- ``here`` (bool): where the rule looks at the symbol at all, mostly where it has a bar;
- ``holds`` (bool): whether the rule holds at that bar's close, from what was known then;
- ``value`` (float): what it looks at, NaN where that is not known yet;
- ``level`` (float): what it is compared with;
- ``gap`` (float): how far the value must go until the rule holds, at least 0, in its own unit; NaN where that cannot be
  said, as of a cross whose line lies on the far side already;
- by wish ``direction`` (int): on which side it holds, for a rule that has two: a turn is told anew.

Nothing in a row depends on later bars, so that the last row is today's answer and the others are what the rule would
have said on each day before.

A session at which a symbol has no bar is passed over, but by rules on missing data: a cross is from the bar before it,
a move counts the symbol's own bars. A bar at which nothing was traded is a bar. A comparison with what is not known
(NaN) does not hold, nor does its opposite. At a level a value is neither above nor below it; a cross is from at or
beyond the level to the other side. When what holds is told is for ``workbench.alerts.latch`` to say, but for kinds that
are ``momentary``: theirs is told at each bar at which they hold, unless a release is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from workbench.alerts.faults import told
from workbench.analytics.signals import crossed_above
from workbench.core.errors import InputError, ParameterError
from workbench.core.frames import require_fields
from workbench.core.market import Adjustment, check_symbol
from workbench.core.plugins import available, load

GROUP = "workbench.alert_rules"
USUAL = 20
"""How many own bars say what a usual change is."""


def _symbol(value: str) -> str:
    try:
        return check_symbol(value)
    except InputError as error:
        raise ValueError(str(error)) from error


def _once(symbols: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(symbols))


def _plain(value: Any) -> Any:
    """Return a value as JSON keeps it; numbers of numpy become Python's."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not np.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    if not isinstance(value, bool | int | float | str | None):
        raise ValueError(f"{value!r:.80} is no number, text or truth value, nor a list of them")
    return value


Given = Annotated[Any, AfterValidator(_plain)]
"""A parameter that is handed on to an indicator or a strategy, which checks it."""


class AlertRule(BaseModel, ABC):
    """What is watched; the base of every kind.

    Attributes
    ----------
    dataset : str
    symbols : tuple of str
        Each is watched by itself.
    near : float
        From how many usual changes away the rule counts as nearly firing. A usual change is the median of how much the
        distance between value and level changed from bar to bar, over the last 20 bars of the symbol.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_timedelta="float")

    adjust: ClassVar[Adjustment] = "all"
    """What the prices that it looks at are adjusted for."""
    fields: ClassVar[tuple[str, ...]] = ("close",)
    """What of the bars it looks at."""

    on_bars: ClassVar[bool] = True
    """Whether it looks at bars; such as look at something else are no part of a composition."""

    dataset: str
    symbols: Annotated[tuple[Annotated[str, AfterValidator(_symbol)], ...], AfterValidator(_once)] = Field(min_length=1)
    near: float = Field(default=1.0, ge=0)

    @property
    @abstractmethod
    def condition(self) -> str:
        """The rule in words, without its symbols, such as ``"close above 600"``."""

    @abstractmethod
    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:
        """Return the reading of Bars that have the rule's symbols, all of them closed by ``at`` (UTC, without a zone).

        Raises
        ------
        InputError
            If the rule cannot look at these bars, or its values do not fit together.
        """

    @abstractmethod
    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:
        """Return what was found at one time and symbol of the reading of ``bars``, in words."""

    @property
    def adjusts(self) -> tuple[Adjustment, ...]:
        """What the bars are adjusted for that it looks at: one for most, none where it looks at no bars."""
        return (self.adjust,)

    @property
    def streamed(self) -> bool:
        """Whether it can be watched on a stream of prices between the bars, too."""
        return False

    @property
    def momentary(self) -> bool:
        """Whether each bar at which it holds is one by itself, as at a cross: two in a row are two firings."""
        return False

    @property
    def widest_gap(self) -> float:
        """How large ``gap`` can be, infinite where it has no bound; no wider ``release`` of a policy can be reached.

        0 where the rule does not say how far it is from holding.
        """
        return float("inf")

    def read(self, by: Mapping[Adjustment, xr.Dataset], at: pd.Timestamp) -> xr.Dataset:
        """Return the reading of Bars by their adjustment, each of ``adjusts``; see ``reading``."""
        return self.reading(by[self.adjust], at)

    def tell(self, row: xr.Dataset, by: Mapping[Adjustment, xr.Dataset]) -> str:
        """Return what was found at one time and symbol of what ``read`` gives, in words."""
        return self.said(row, by[self.adjust])

    def distance(self, own: xr.Dataset) -> float:
        """Return how many usual changes away the rule is at the last of a symbol's own bars.

        Parameters
        ----------
        own : xarray.Dataset
            The reading of one symbol, its own bars alone, shape (n_own_bars,), at least one.

        Returns
        -------
        float
            NaN where the gap is not known, or where nothing ever changes.
        """
        numbers = own[["value", "level"]].drop_vars("symbol", errors="ignore").to_dataframe()
        usual = self.usual(numbers)
        return float(own["gap"][-1]) / usual if usual > 0 else float("nan")

    def usual(self, own: pd.DataFrame) -> float:
        """Return a usual change of the distance between value and level.

        Parameters
        ----------
        own : pandas.DataFrame
            ``value`` and ``level`` of a symbol's own bars, shape (n_own_bars, 2).

        Returns
        -------
        float
            NaN where fewer than two bars are known.
        """
        changes = (own["value"] - own["level"]).iloc[-USUAL - 1 :].diff().abs()
        return float(changes.median())

    def require(self, bars: xr.Dataset) -> None:
        """Raise where the bars lack a field that the rule looks at.

        Raises
        ------
        InputError
        """
        require_fields(bars, self.fields, f"an alert on {self.condition}")

    def plain(self) -> dict[str, Any]:
        """Return the rule's values as JSON can hold them."""
        return self.model_dump(mode="json")


def make_reading(
    value: xr.DataArray,
    level: xr.DataArray | float,
    holds: xr.DataArray,
    gap: xr.DataArray,
    here: xr.DataArray,
    **evidence: xr.DataArray,
) -> xr.Dataset:
    """Put a reading together; see this module. A gap below 0, or where the rule holds, is 0."""
    far = xr.where(holds, 0.0, gap.clip(min=0.0))
    levels = level if isinstance(level, xr.DataArray) else xr.full_like(value, level, dtype="float64")
    return xr.Dataset({"value": value, "level": levels, "holds": holds, "gap": far, "here": here, **evidence})


def one_sided(value: xr.DataArray, level: xr.DataArray | float, side: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Return where a value is above or below a level, or crosses it, and how far it has to go.

    Parameters
    ----------
    value, level : xarray.DataArray
        Shape (n_bars, n_symbols).
    side : {"above", "below", "crosses above", "crosses below", "crosses"}

    Returns
    -------
    holds, gap : xarray.DataArray
        Shape (n_bars, n_symbols).
    """
    levels = level if isinstance(level, xr.DataArray) else xr.full_like(value, level, dtype="float64")
    up, down = levels - value, value - levels
    if side == "above":
        return value > levels, up
    if side == "below":
        return value < levels, down
    rises, falls = crossed_above(value, levels), crossed_above(levels, value)
    if side == "crosses above":
        return rises, up.where(up >= 0)
    if side == "crosses below":
        return falls, down.where(down >= 0)
    return rises | falls, abs(up)


def kinds() -> dict[str, type[AlertRule]]:
    """Return the installed kinds of rules by name."""
    return {name: find_kind(name) for name in sorted(available(GROUP))}


def find_kind(name: str) -> type[AlertRule]:
    """Return a kind of rules by its name.

    Raises
    ------
    UnknownNameError
        If no installed package offers it.
    """
    found: type[AlertRule] = load(GROUP, "kind of alert rule", name)
    return found


def make_rule(kind: str, values: Mapping[str, Any]) -> AlertRule:
    """Return the rule of a kind with these values.

    Raises
    ------
    UnknownNameError
        For a kind that there is none of.
    ParameterError
        For a value that is missing, unknown, mistyped or out of its range.
    """
    try:
        return find_kind(kind).model_validate(dict(values))
    except ValidationError as error:
        raise ParameterError(told(error, f"an alert rule of kind {kind!r}")) from error
