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
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, overload

import pandas as pd
import xarray as xr
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from workbench.analytics.lines import Line
from workbench.analytics.signals import check_signals, latest_table
from workbench.backtest.terms import CHOICES
from workbench.core.errors import InputError, ParameterError, StrategyError, UnknownNameError, WorkbenchError
from workbench.core.frames import require_fields
from workbench.core.market import Direction
from workbench.core.plugins import available, load

GROUP = "workbench.strategies"
RESERVED = frozenset(
    {*CHOICES, "strategy", "symbols", "start", "end", "dataset", "adjust", "as_of"}
    | {"benchmark", "hypothesis", "record", "progress", "cluster", "cuts", "seed"}
)
"""What a backtest or a sweep is asked in the same breath as a strategy's parameters."""
_TYPES = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "array": "list"}
Check = Callable[[Mapping[str, Any]], str | None]
"""Looks at all parameters together; returns what is wrong with them, or ``None``."""
Crosses = Callable[..., tuple[Line, Line, Line, Line]]
"""Returns the lines ``a b c d``: enter where ``a`` crosses above ``b``, leave where ``c`` crosses above ``d``."""


@dataclass(frozen=True, repr=False)
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
    direction : {"long", "both"}
        Which positions the rule means to hold where nothing else is asked for.
    symbols : int
        How many symbols it needs at least.
    fields : tuple of str
        What of the bars it looks at.
    """

    name: str
    description: str
    rule: Callable[..., xr.Dataset]
    parameters: type[BaseModel]
    check: Check | None = None
    crosses: Crosses | None = None
    direction: Direction = "long"
    symbols: int = 1
    fields: tuple[str, ...] = ("close",)

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
        """Return the rule's Signals on ``bars``, which the rule can read but not change.

        Raises
        ------
        UnknownNameError, ParameterError
            For parameters that are not valid.
        InputError
            If the bars have too few symbols for the rule, or lack a field that it looks at.
        StrategyError
            If the rule raises, or gives something else than Signals; what it raised is the cause.
        """
        values = self.validate(parameters)
        if bars.sizes["symbol"] < self.symbols:
            count = bars.sizes["symbol"]
            raise InputError(f"strategy {self.name!r} needs {self.symbols} symbols (given: {count}); name more of them")
        require_fields(bars, self.fields, f"strategy {self.name!r}")
        try:
            found = self.rule(_read_only(bars), **values)
        except WorkbenchError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise StrategyError(f"strategy {self.name!r} failed: {said}{_line_of(self.rule, error)}") from error
        return check_signals(found, bars, self.name)

    def table(self) -> pd.DataFrame:
        """Return the parameters by name: ``type``, ``default``, ``range`` and ``description``."""
        schema = self.parameters.model_json_schema().get("properties", {})
        rows = {name: _told(about) for name, about in schema.items()}
        columns = ["type", "default", "range", "description"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=object).rename_axis("parameter")

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={field.default!r}" for name, field in self.parameters.model_fields.items())
        return f"<Strategy {self.name}({given})>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(str(name))}</th>"
            + "".join(f"<td style='text-align:left'>{escape(str(cell))}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in self.table().itertuples()
        )
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in ("parameter", *self.table().columns))
        about = f"<b>{escape(self.name)}</b>: {escape(self.description)}"
        return f"{about}<table><tr>{head}</tr>{rows}</table>" if rows else about


def _told(about: Mapping[str, Any]) -> tuple[str, Any, str, str]:
    """Return type, default, range and description out of a parameter's JSON schema."""
    kinds = about.get("anyOf", [about])
    words = [str(value) for kind in kinds for value in kind.get("enum", [])]
    types = list(dict.fromkeys(_TYPES.get(kind.get("type", ""), "any") for kind in kinds))
    ends = [kind for kind in kinds if {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} & set(kind)]
    return (
        " or ".join(types),
        about.get("default"),
        " or ".join([*words, *map(_range, ends)]),
        about.get("description", ""),
    )


def _range(about: Mapping[str, Any]) -> str:
    low = f"{about['minimum']:g} <= " if "minimum" in about else ""
    low = f"{about['exclusiveMinimum']:g} < " if "exclusiveMinimum" in about else low
    high = f" <= {about['maximum']:g}" if "maximum" in about else ""
    high = f" < {about['exclusiveMaximum']:g}" if "exclusiveMaximum" in about else high
    return f"{low}value{high}"


def _read_only(bars: xr.Dataset) -> xr.Dataset:
    """Return the same bars without a copy; writing into them raises."""
    views = {}
    for name, variable in bars.data_vars.items():
        view = variable.to_numpy().view()
        view.flags.writeable = False
        views[name] = view
    return bars.copy(data=views)


def _line_of(rule: Callable[..., Any], error: BaseException) -> str:
    """Say at which line of the rule (its ``def`` or decorator being the first) something was raised."""
    code = getattr(inspect.unwrap(rule), "__code__", None)
    lines = [number for frame, number in traceback.walk_tb(error.__traceback__) if frame.f_code is code]
    return f" (line {lines[-1] - code.co_firstlineno + 1} of its rule)" if code and lines else ""


@overload
def strategy(rule: Callable[..., xr.Dataset]) -> Strategy: ...


@overload
def strategy(**declared: Any) -> Callable[[Callable[..., xr.Dataset]], Strategy]: ...


def strategy(
    rule: Callable[..., xr.Dataset] | None = None, **declared: Any
) -> Strategy | Callable[[Callable[..., xr.Dataset]], Strategy]:
    """Make a strategy of a function.

    Parameters
    ----------
    rule : callable
        Takes Bars first, then keyword parameters with annotations and defaults.
    declared
        Out of ``check crosses direction symbols fields``; see ``Strategy``.

    Raises
    ------
    ParameterError
        If a parameter has no annotation or no default.
    """
    if rule is None:
        return lambda function: _declare(function, declared)
    return _declare(rule, declared)


def _declare(rule: Callable[..., xr.Dataset], declared: Mapping[str, Any]) -> Strategy:
    fields: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(rule, eval_str=True).parameters.items())[1:]:
        if parameter.annotation is parameter.empty or parameter.default is parameter.empty:
            raise ParameterError(f"parameter {name!r} of {rule.__name__} needs a type and a default: {name}: int = 20")
        if name in RESERVED:
            raise ParameterError(f"parameter {name!r} of {rule.__name__} is a word of every backtest; rename it")
        fields[name] = (parameter.annotation, parameter.default)
    model = create_model(f"{rule.__name__}_parameters", __config__=ConfigDict(extra="forbid", frozen=True), **fields)
    description = (inspect.getdoc(rule) or rule.__name__).splitlines()[0]
    return Strategy(rule.__name__, description, rule, model, **declared)


def find_strategy(wanted: str | Strategy) -> Strategy:
    """Return a strategy by its name among the installed ones; a strategy itself is passed through.

    Raises
    ------
    UnknownNameError
        If no installed package offers it.
    ParameterError
        If it is neither a name nor a strategy.
    """
    if isinstance(wanted, Strategy):
        return wanted
    if not isinstance(wanted, str):
        raise ParameterError(f"{wanted!r} is no strategy; give a name, or a function decorated with @wb.strategy")
    found: Strategy = load(GROUP, "strategy", wanted)
    return found


def installed() -> dict[str, Strategy]:
    """Return the installed strategies by name."""
    return {name: find_strategy(name) for name in sorted(available(GROUP))}


def fitting(bars: xr.Dataset) -> list[Strategy]:
    """Return the installed strategies that can look at ``bars``: enough symbols, and the fields they need."""
    return [
        each
        for each in installed().values()
        if each.symbols <= bars.sizes["symbol"] and set(each.fields) <= set(bars.attrs["fields"])
    ]


def last_signals(bars: xr.Dataset, strategies: Sequence[Strategy] | None = None) -> pd.DataFrame:
    """Return what each strategy, with its default parameters, says at each symbol's last bar.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    strategies : sequence of Strategy, optional
        By default all that are ``fitting``.

    Returns
    -------
    pandas.DataFrame
        See ``workbench.analytics.signals.latest_table``.
    """
    chosen = fitting(bars) if strategies is None else strategies
    return latest_table({each.name: each.signals(bars) for each in chosen})
