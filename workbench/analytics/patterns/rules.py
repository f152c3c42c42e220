"""How exact a chart pattern has to be."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

from workbench.core.errors import ParameterError, UnknownNameError

LEAST: dict[str, float] = {
    "left": 1,
    "right": 1,
    "wait": 1,
    "span": 5,
    "touches": 2,
    "lookback": 2,
    "flag_least": 3,
    "flag_most": 4,
    "pole_bars": 1,
}
"""The smallest value of each option that counts bars or touches; the others start at 0."""


@dataclass(frozen=True)
class Rules:
    """The options of the chart patterns; prices are compared as fractions, windows are in the symbol's own bars.

    Parameters
    ----------
    left, right : int
        A swing high is higher than the ``left`` bars before it and not lower than the ``right`` bars after it; it is
        known ``right`` bars later. Swing lows likewise.
    tolerance : float
        Prices "at one height" lie within this fraction of their average: 0.015 in Lo, Mamaysky and Wang (2000).
    flat : float
        The side of a triangle is flat where its swings lie within this fraction of their average: 0.0075, as the sides
        of their rectangle.
    separation : int
        The tops of a double top are more than this many bars apart: 22 (about a month) in the same paper.
    depth : float
        How far below its tops the valley of a double or triple top reaches at least. The paper asks for none; Bulkowski
        (2005) for 0.1.
    span : int
        The longest pattern made of swings, in bars.
    wait : int
        For how many bars after its last swing is known a pattern may break out.
    touches, lookback : int
        Support and resistance: that many swings at one height within so many bars.
    level_tolerance : float
        What is one height there, as ``tolerance``.
    pole : float
        A flag's pole is at least this many standard deviations of what the symbol moves in ``pole_bars`` bars.
    pole_bars : int
        The longest pole.
    flag_least, flag_most : int
        The bars of a flag: at most three weeks in Edwards and Magee.
    retrace : float
        The largest fraction of the pole that a flag gives back.

    Raises
    ------
    ParameterError
        For a value out of its range.
    """

    left: int = 5
    right: int = 5
    tolerance: float = 0.015
    flat: float = 0.0075
    separation: int = 22
    depth: float = 0.05
    span: int = 130
    wait: int = 40
    touches: int = 3
    lookback: int = 250
    level_tolerance: float = 0.01
    pole: float = 2.5
    pole_bars: int = 10
    flag_least: int = 5
    flag_most: int = 15
    retrace: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), LEAST.get(field.name, 0)
            whole = field.type == "int"
            number = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
            if not number or not float(value) >= least:
                kind = "a whole number" if whole else "a number"
                raise ParameterError(f"{field.name} is {value!r}; give {kind} of at least {least}")
        if self.flag_most < self.flag_least:
            raise ParameterError(f"flag_most is {self.flag_most}; give at least flag_least, {self.flag_least}")


def make_rules(options: dict[str, Any]) -> Rules:
    """Return the rules with some options changed.

    Raises
    ------
    UnknownNameError, ParameterError
        For an option that there is none of, or a value out of its range.
    """
    known = [field.name for field in fields(Rules)]
    for name in options:
        if name not in known:
            raise UnknownNameError("option of patterns", name, known)
    return Rules(**options)
