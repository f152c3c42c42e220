"""Strategies: a signal rule with declared parameters, and the door through which one is found.

A strategy is a function of Bars and of annotated keyword parameters that returns Signals
(see ``workbench.analytics.signals``). The decorator reads its parameters from the signature:

>>> @strategy
... def flat(bars, window: Annotated[int, Field(ge=2)] = 20):
...     "Never enter."
>>> flat.validate({"window": "30"})
{'window': 30}
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, overload

import pandas as pd
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from workbench.analytics import signals as rules
from workbench.analytics.signals import Line, check_signals, latest
from workbench.core.errors import ParameterError, UnknownNameError
from workbench.core.plugins import available, load

GROUP = "workbench.strategies"
Window = Annotated[int, Field(ge=2, le=2000, description="number of bars")]
Level = Annotated[float, Field(ge=0, le=100, description="level of the RSI")]
Check = Callable[[Mapping[str, Any]], str | None]
"""Looks at all parameters together; returns what is wrong with them, or ``None``."""
Crosses = Callable[..., tuple[Line, Line, Line, Line]]
"""Returns the lines ``a b c d``: enter where ``a`` crosses above ``b``, leave where ``c`` crosses above ``d``."""


@dataclass(frozen=True)
class Strategy:
    """A signal rule and its parameters.

    Attributes
    ----------
    name : str
    description : str
        The first line of the rule's docstring.
    rule : callable
        ``rule(bars, **parameters) -> Signals``.
    parameters : type of pydantic.BaseModel
        Types, ranges and defaults.
    check : callable, optional
        A condition between parameters.
    crosses : callable, optional
        The rule told in lines, for a rule made of crosses: a sweep of it runs compiled.
    """

    name: str
    description: str
    rule: Callable[..., xr.Dataset]
    parameters: type[BaseModel]
    check: Check | None = None
    crosses: Crosses | None = None

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters, typed, with the defaults of those not given.

        Raises
        ------
        UnknownNameError
            For a parameter that the strategy does not have.
        ParameterError
            For a value of the wrong type or out of range, or values that do not go together.
        """
        values = self.typed(given)
        fault = self.check(values) if self.check else None
        if fault:
            raise ParameterError(f"strategy {self.name!r}: {fault}")
        return values

    def typed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters, each valid by itself; whether they go together is left open.

        Raises
        ------
        UnknownNameError, ParameterError
        """
        for name in given:
            if name not in self.parameters.model_fields:
                where = f"strategy {self.name!r}"
                raise UnknownNameError("parameter", name, self.parameters.model_fields, where=where)
        try:
            return self.parameters.model_validate(dict(given)).model_dump()
        except ValidationError as error:
            first = error.errors()[0]
            said = f"{first['loc'][0]}={first['input']!r} is not valid for strategy {self.name!r}: {first['msg']}"
            raise ParameterError(said) from error

    def signals(self, bars: xr.Dataset, **parameters: Any) -> xr.Dataset:
        """Return the rule's Signals on ``bars``.

        Raises
        ------
        UnknownNameError, ParameterError
            For parameters that are not valid.
        InputError
            If the rule gives something else than Signals.
        """
        return check_signals(self.rule(bars, **self.validate(parameters)), bars, self.name)


@overload
def strategy(rule: Callable[..., xr.Dataset]) -> Strategy: ...


@overload
def strategy(
    *, check: Check | None = None, crosses: Crosses | None = None
) -> Callable[[Callable[..., xr.Dataset]], Strategy]: ...


def strategy(
    rule: Callable[..., xr.Dataset] | None = None, *, check: Check | None = None, crosses: Crosses | None = None
) -> Strategy | Callable[[Callable[..., xr.Dataset]], Strategy]:
    """Make a strategy of a function.

    Parameters
    ----------
    rule : callable
        Takes Bars first, then keyword parameters with annotations and defaults.
    check : callable, optional
        A condition between parameters.
    crosses : callable, optional
        The rule told in lines; see ``Strategy``.

    Raises
    ------
    ParameterError
        If a parameter has no annotation or no default.
    """
    if rule is None:
        return lambda function: _declare(function, check, crosses)
    return _declare(rule, check, crosses)


def _declare(rule: Callable[..., xr.Dataset], check: Check | None, crosses: Crosses | None) -> Strategy:
    fields: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(rule, eval_str=True).parameters.items())[1:]:
        if parameter.annotation is parameter.empty or parameter.default is parameter.empty:
            raise ParameterError(f"parameter {name!r} of {rule.__name__} needs a type and a default: {name}: int = 20")
        fields[name] = (parameter.annotation, parameter.default)
    model = create_model(f"{rule.__name__}_parameters", __config__=ConfigDict(extra="forbid", frozen=True), **fields)
    description = (inspect.getdoc(rule) or rule.__name__).splitlines()[0]
    return Strategy(rule.__name__, description, rule, model, check, crosses)


def find_strategy(wanted: str | Strategy) -> Strategy:
    """Return a strategy by its name among the installed ones; a strategy itself is passed through.

    Raises
    ------
    UnknownNameError
        If no installed package offers it.
    """
    if isinstance(wanted, Strategy):
        return wanted
    found: Strategy = load(GROUP, "strategy", wanted)
    return found


def _fast_below_slow(values: Mapping[str, Any]) -> str | None:
    if values["fast"] < values["slow"]:
        return None
    return f"fast must be below slow (given: fast={values['fast']}, slow={values['slow']})"


def _low_below_high(values: Mapping[str, Any]) -> str | None:
    if values["low"] < values["high"]:
        return None
    return f"low must be below high (given: low={values['low']:g}, high={values['high']:g})"


def _averages(fast: int, slow: int) -> tuple[Line, Line, Line, Line]:
    return ("sma", fast), ("sma", slow), ("sma", slow), ("sma", fast)


def _reversion(window: int, low: float, high: float) -> tuple[Line, Line, Line, Line]:
    return ("level", low), ("rsi", window), ("rsi", window), ("level", high)


def _macd_lines(fast: int, slow: int, signal: int) -> tuple[Line, Line, Line, Line]:
    macd, average = ("macd", fast, slow, signal), ("macd_signal", fast, slow, signal)
    return macd, average, average, macd


@strategy(check=_fast_below_slow, crosses=_averages)
def sma_cross(bars: xr.Dataset, fast: Window = 20, slow: Window = 100) -> xr.Dataset:
    """Long while the fast moving average is above the slow one."""
    return rules.moving_average_cross(bars, fast, slow)


@strategy(check=_low_below_high, crosses=_reversion)
def rsi_reversion(bars: xr.Dataset, window: Window = 14, low: Level = 30.0, high: Level = 70.0) -> xr.Dataset:
    """Buy when the RSI falls into oversold, sell when it rises into overbought."""
    return rules.rsi_reversion(bars, window, low, high)


@strategy(check=_fast_below_slow, crosses=_macd_lines)
def macd(bars: xr.Dataset, fast: Window = 12, slow: Window = 26, signal: Window = 9) -> xr.Dataset:
    """Long while the MACD is above its signal line."""
    return rules.macd_cross(bars, fast, slow, signal)


def installed() -> dict[str, Strategy]:
    """Return the installed strategies by name."""
    return {name: find_strategy(name) for name in sorted(available(GROUP))}


def last_signals(bars: xr.Dataset, strategies: Sequence[Strategy]) -> pd.DataFrame:
    """Return what each strategy, with its default parameters, says at each symbol's last bar.

    Returns
    -------
    pandas.DataFrame
        Columns ``symbol strategy state strength since reason time``, a row per symbol and strategy; see
        ``workbench.analytics.signals.latest``.
    """
    tables = [latest(each.signals(bars)).reset_index().assign(strategy=each.name) for each in strategies]
    table = pd.concat(tables, ignore_index=True).sort_values(["symbol", "strategy"], ignore_index=True)
    return table[["symbol", "strategy", "state", "strength", "since", "reason", "time"]]
