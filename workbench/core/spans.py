"""Lengths of time as people write them, such as ``"90 min"``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from workbench.core.errors import ParameterError

_SPAN = re.compile(
    r"(?P<count>\d{1,9}(?:\.\d{1,6})?) ?(?:(?P<s>s|sec|seconds?)|(?P<min>m|min|minutes?)|(?P<h>h|hours?)"
    r"|(?P<days>d|days?))",
    re.IGNORECASE | re.ASCII,
)
_UNITS = {"days": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1), "s": timedelta(seconds=1)}
_MOST = 1e10
"""Of seconds; some 300 years."""


def read_span(name: str, value: Any) -> timedelta:
    """Return a length of time that is one, a number of seconds, or a text such as ``"90 min"`` or ``"2 hours"``.

    Raises
    ------
    ParameterError
        For anything else; ``name`` is named.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST:
        return timedelta(seconds=value)
    match = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = _UNITS[str(match.lastgroup)] if match else timedelta()
    if match is None or float(match["count"]) * unit.total_seconds() >= _MOST:
        raise ParameterError(f"{name}={str(value)[:60]!r} is no length of time; write it as '90 s', '20 min' or '2 h'")
    return float(match["count"]) * unit


def span_text(span: timedelta) -> str:
    """Return a length of time in the largest unit that it fills, such as ``"90 min"`` or ``"7 days"``."""
    for unit, length in _UNITS.items():
        if span and not span % length:
            return f"{span // length} {'day' if span == length == _UNITS['days'] else unit}"
    return f"{span.total_seconds():.15g} s"
