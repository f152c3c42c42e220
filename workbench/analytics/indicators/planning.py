"""A function of TA-Lib with everything it needs but the bars: checked before anything is computed."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from workbench.analytics.indicators.panel import Values
from workbench.analytics.indicators.reference import Indicator, Parameter, describe, lookback
from workbench.core.errors import ParameterError

Given = Values | float
"""A parameter's number (or the name of a moving average), or what an input is to be."""


@dataclass(frozen=True)
class Plan:
    """What a function reads, in order, its parameters, in order, and how many first values it does not give."""

    about: Indicator
    inputs: tuple[Values, ...]
    numbers: dict[str, float]
    head: int


def plan(name: str, given: Mapping[str, Given]) -> Plan:
    """Check what is given to a function, and fill in the rest.

    Raises
    ------
    UnknownNameError
        For an unknown function.
    ParameterError
        For a parameter that it does not have, or that is out of its range.
    """
    about = describe(name)
    known = {one.name: one for one in about.parameters}
    for key in given:
        if key not in known and key not in about.choosable:
            takes = ", ".join((*about.choosable, *known)) or "no parameters"
            raise ParameterError(f"{about.name} has no parameter {key!r}; it takes: {takes}")
    numbers = {key: number(about.name, one, given.get(key, one.default)) for key, one in known.items()}
    head = lookback(about.name, numbers)
    if head < 0:
        said = ", ".join(f"{key}={value}" for key, value in numbers.items())
        raise ParameterError(f"{about.name} cannot be computed with {said}; see describe({about.name!r}).doc")
    return Plan(about, _inputs(about, given), numbers, head)


def _inputs(about: Indicator, given: Mapping[str, Given]) -> tuple[Values, ...]:
    chosen: list[Values] = []
    for key, default in about.choosable.items():
        values = given.get(key, default)
        if not isinstance(values, str | xr.DataArray):
            raise ParameterError(f"{about.name} cannot read {key}={values!r}; give a field or a DataArray")
        chosen.append(values)
    free = iter(chosen)
    return tuple(next(free) if field is None else field for field in about.inputs)


def number(function: str, parameter: Parameter, value: Given) -> float:
    """Return a parameter's value in TA-Lib's own type.

    Raises
    ------
    ParameterError
        If it is of another type, or out of its range.
    """
    whole = isinstance(parameter.default, int)
    if isinstance(value, str) and value.upper() in parameter.choices:
        value = parameter.choices.index(value.upper())
    try:
        if isinstance(value, bool | np.bool_ | str | xr.DataArray):
            raise TypeError
        plain = operator.index(value) if whole else float(value)  # type: ignore[arg-type]
        if parameter.minimum <= plain <= parameter.maximum:
            return plain
    except (TypeError, ValueError):
        pass
    kind = "a whole number" if whole else "a number"
    names_too = f", or one of: {', '.join(parameter.choices)}" if parameter.choices else ""
    raise ParameterError(
        f"{function} does not take {parameter.name}={value!r}; "
        f"give {kind} from {parameter.minimum:g} to {parameter.maximum:g}{names_too}"
    )
