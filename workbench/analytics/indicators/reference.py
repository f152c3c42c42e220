"""TA-Lib's functions, described from its abstract interface: https://ta-lib.org/functions.

TA-Lib keeps unstable periods, the compatibility mode and candle settings for the whole process. They stay at their
defaults here; a program that changes them with ``talib.set_...`` changes these numbers too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from workbench.core.errors import UnknownNameError

_FREE = {
    "price": ("field", "close"),
    "price0": ("first", "high"),
    "price1": ("second", "low"),
    "periods": ("periods", None),
}
_LARGEST_INTEGER, _LARGEST_REAL = 2**31 - 1, 3e37
_ENDS = (-_LARGEST_REAL, 0.0, 0.01, 0.99, 1.0, 100.0, _LARGEST_REAL)
_BESIDE: dict[str, dict[str, float]] = {"minperiod": {"maxperiod": 100_000}, "maxperiod": {"minperiod": 1}}
"""What must stand beside a parameter for the whole of its range to be accepted."""


@cache
def _talib() -> Any:
    """Return TA-Lib, loaded when it is first asked for: it imports polars, which starts a thread.

    A kernel is forked from a process that has no threads (``workbench.lab.kernels.warm``).
    """
    import talib
    from talib import _ta_lib, abstract  # noqa: F401 - an attribute of the package once they are imported

    return talib


@cache
def averages() -> tuple[str, ...]:
    """Return the moving averages that a parameter ending in ``matype`` chooses from, by TA-Lib's numbers."""
    numbered = {name: number for name, number in vars(type(_talib().MA_Type)).items() if name.isupper()}
    return tuple(sorted(numbered, key=numbered.__getitem__))


@dataclass(frozen=True)
class Parameter:
    """A number that a function takes.

    Attributes
    ----------
    name : str
    default : int or float
        Its type is the type of the parameter.
    minimum, maximum : int or float
        The range that TA-Lib accepts, both ends included.
    choices : tuple of str
        For a kind of moving average, the names that may be given instead of the numbers 0, 1, 2, ...
    doc : str
        TA-Lib's own words.
    """

    name: str
    default: float
    minimum: float
    maximum: float
    choices: tuple[str, ...]
    doc: str


@dataclass(frozen=True)
class Indicator:
    """What a function takes and gives.

    Attributes
    ----------
    name, title, group : str
        TA-Lib's name, what it stands for, and the group it belongs to.
    inputs : tuple of str or None
        What the function reads, in order: a field of the bars, or ``None`` for one that can be chosen.
    choosable : mapping of str to str or None
        The inputs that can be chosen, in order, with the field that is taken if none is; ``None``: must be given.
    parameters : tuple of Parameter
    outputs : tuple of str
        The names of the variables in the result.
    whole_numbers : tuple of str
        The outputs that are whole numbers: -200 to 200 for candlestick patterns (below 0 bearish, 0 none), positions
        among the symbol's own bars for ``...INDEX``, 0 or 1 for ``HT_TRENDMODE``, 1 (up) or -1 for ``SUPERTREND``'s
        ``trend``, 100 for a swing of ``FRACTAL``, at the bar at which it is confirmed.
    """

    name: str
    title: str
    group: str
    inputs: tuple[str | None, ...]
    choosable: Mapping[str, str | None]
    parameters: tuple[Parameter, ...]
    outputs: tuple[str, ...]
    whole_numbers: tuple[str, ...]

    @property
    def doc(self) -> str:
        """The description as text, to be read."""
        free = iter(self.choosable)
        reads = ", ".join(name or next(free) for name in self.inputs)
        lines = [f"{self.name}: {self.title} ({self.group})", f"reads {reads}", f"gives {', '.join(self.outputs)}"]
        for name, default in self.choosable.items():
            lines.append(f"  {name}={default!r}: a field or a DataArray")
        for one in self.parameters:
            lines.append(f"  {one.name}={one.default}: {one.doc}, {one.minimum:g} to {one.maximum:g}")
        return "\n".join(lines)


def names(group: str | None = None) -> list[str]:
    """Return the names of TA-Lib's functions, or of those of one group.

    Raises
    ------
    UnknownNameError
        If there is no such group.
    """
    known = _talib().get_function_groups()
    if group is None:
        return sorted(name for members in known.values() for name in members)
    if group not in known:
        raise UnknownNameError("group of indicators", group, known)
    return sorted(known[group])


def groups() -> list[str]:
    """Return the names of the groups that TA-Lib sorts its functions into."""
    return list(_talib().get_function_groups())


@cache
def describe(name: str) -> Indicator:
    """Return what one of TA-Lib's functions takes and gives.

    Parameters
    ----------
    name : str
        One of ``names()``, such as ``"ADX"``; small letters will do.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    function = _function(name)
    info = function.info
    inputs: list[str | None] = []
    choosable = {}
    for kind, fields in info["input_names"].items():
        if kind in _FREE:
            free, default = _FREE[kind]
            inputs.append(None)
            choosable[free] = default
        else:
            inputs += fields
    own = info["name"].lower()
    outputs = tuple(own if output in ("real", "integer") else output for output in info["output_names"])
    nothing = function.func_object(*(np.empty(0) for _ in inputs))
    kinds = [values.dtype.kind for values in (nothing if isinstance(nothing, tuple) else (nothing,))]
    return Indicator(
        name=info["name"],
        title=info["display_name"],
        group=info["group"],
        inputs=tuple(inputs),
        choosable=MappingProxyType(choosable),
        parameters=tuple(
            _parameter(info["name"], index, *pair) for index, pair in enumerate(info["parameters"].items())
        ),
        outputs=outputs,
        whole_numbers=tuple(output for output, kind in zip(outputs, kinds, strict=True) if kind == "i"),
    )


@cache
def function_of(name: str) -> Callable[..., Any]:
    """Return the function itself, which takes contiguous float64 arrays and then the parameters in order."""
    return _function(name).func_object  # type: ignore[no-any-return]


def lookback(name: str, parameters: dict[str, float]) -> int:
    """Return how many of its first bars a function gives no value for; -1 if it refuses a parameter."""
    function = _function(name)
    function.set_parameters(parameters)
    return int(function.lookback)


def _function(name: str) -> Any:
    """Return an object of our own for a function: TA-Lib's shared ones remember what was set on them."""
    if not isinstance(name, str) or name.upper() not in names():
        raise UnknownNameError("indicator", name, names())
    return _talib().abstract.Function(name.upper())


def _parameter(function: str, index: int, name: str, default: float) -> Parameter:
    about = _talib()._ta_lib._ta_getOptInputParameterInfo(function.encode(), index)
    largest = _LARGEST_REAL if isinstance(default, float) else _LARGEST_INTEGER
    return Parameter(
        name=name,
        default=default,
        minimum=_last_accepted(function, name, default, -largest),
        maximum=_last_accepted(function, name, default, largest),
        choices=averages() if name.endswith("matype") else (),
        doc=about["help"].rstrip("."),
    )


def _last_accepted(function: str, name: str, inside: Any, outside: float) -> float:
    """Return the end of a parameter's range: TA-Lib knows the ranges, but its Python interface hides them."""

    def accepted(value: float) -> bool:
        return lookback(function, {**_BESIDE.get(name, {}), name: value}) >= 0

    if isinstance(inside, float):
        # The ends of ranges of fractions are round numbers.
        ends = [float(inside), *(end for end in _ENDS if (end < inside) == (outside < inside) and accepted(end))]
        return min(ends) if outside < inside else max(ends)
    within, beyond = int(inside), int(outside)
    while abs(beyond - within) > 1:
        middle = (within + beyond) // 2
        within, beyond = (middle, beyond) if accepted(middle) else (within, middle)
    return within
