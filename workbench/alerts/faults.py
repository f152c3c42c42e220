"""What is wrong with given values, in one sentence."""

from __future__ import annotations

from datetime import timedelta
from reprlib import Repr
from typing import Any

from pydantic import ValidationError


def told(error: ValidationError, whose: str) -> str:
    """Return the first thing that is wrong with values, and with which of them.

    Parameters
    ----------
    error : pydantic.ValidationError
    whose : str
        What the values are of, such as ``"an alert rule of kind 'price'"``.
    """
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{whose} needs {name}; give it"
    if first["type"] == "too_long" and not first["ctx"]["max_length"]:
        return f"{whose} takes no {name}; leave them out"
    given = f"{name}={brief(first['input'])} of {whose}" if name else f"the values of {whose}"
    return f"{given} cannot be used: {reason}"


def brief(value: Any) -> str:
    """Return a value as an error shows it: 80 characters at the most, however long or deep it is."""
    if isinstance(value, timedelta):
        return str(value)
    short = Repr()
    short.maxlevel, short.maxstring, short.maxother = 4, 80, 80
    short.maxlist = short.maxtuple = short.maxdict = 8
    return short.repr(value)[:80]
