"""What people write, as the values of a schedule: when, by which rules, what it waits for, and for how long."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from workbench.core.errors import ParameterError
from workbench.jobs.schedule import Policies, Ready

SPANS = ("window", "back_off", "longest_back_off", "time_out", "keep_for", "deadline")
"""Values that are lengths of time, which may be written as ``"90 min"``."""

_SPAN = re.compile(
    r"(?P<count>\d{1,9}(?:\.\d{1,6})?) ?(?:(?P<seconds>s|sec|seconds?)|(?P<minutes>m|min|minutes?)"
    r"|(?P<hours>h|hours?)|(?P<days>d|days?))",
    re.IGNORECASE | re.ASCII,
)


def read_when(text: str, zone: str | None = None) -> dict[str, Any]:
    """Return the fields of a ``Schedule`` that say when: a cron line with its zone, or a market trigger.

    Parameters
    ----------
    text : str
        ``"30 17 * * MON-FRI"``, ``"@hourly"``, or ``"XNYS close + 20 min"``.
    zone : str, optional
        Of a cron line; UTC by default.

    Raises
    ------
    ParameterError
        For a text that is neither, or a zone with a market trigger, whose exchange has its own.
    """
    asked = text.strip()
    if re.match(r"[\d*@]", asked):
        return {"cron": asked, "zone": zone or "UTC", "market": None}
    if not re.search(r"\b(open|close)\b", asked, re.IGNORECASE):
        raise ParameterError(
            f"{text[:100]!r} does not say when; give a cron line such as '30 17 * * MON-FRI', or a market trigger such "
            f"as 'XNYS close + 20 min'"
        )
    if zone is not None:
        raise ParameterError(f"zone={zone!r} does not go with {text!r}, whose exchange has its own; leave it out")
    return {"cron": None, "market": asked}


def read_policies(values: Mapping[str, Any]) -> Policies:
    """Return policies from values in which a length of time may be a text such as ``"90 min"``.

    Raises
    ------
    ParameterError
        For a name that is no policy, or a value that is out of its range.
    """
    return Policies.of({name: read_span(name, value) if name in SPANS else value for name, value in values.items()})


def read_ready(value: Ready | Mapping[str, Any] | Sequence[str] | str | None, dataset: str) -> Ready | None:
    """Return what a run waits for.

    Parameters
    ----------
    value : Ready, mapping or sequence of str, optional
        Symbols of the dataset; or a mapping with ``symbols``, ``dataset`` and ``deadline``, such as ``"90 min"``.
    dataset : str
        Where none is named.

    Raises
    ------
    ParameterError
        For anything else, or nothing to wait for.
    """
    if value is None or isinstance(value, Ready):
        return value
    named = value if isinstance(value, Mapping) else {"symbols": [value] if isinstance(value, str) else value}
    given = {"dataset": dataset, **named}
    if "deadline" in given:
        given["deadline"] = read_span("deadline", given["deadline"])
    return Ready.of(given)


def read_span(name: str, value: Any) -> timedelta:
    """Return a length of time that is one, a number of seconds, or a text such as ``"90 min"`` or ``"2 hours"``.

    Raises
    ------
    ParameterError
        For anything else; ``name`` is named.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e10:
        return timedelta(seconds=value)
    match = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ParameterError(f"{name}={str(value)[:60]!r} is no length of time; write it as '90 s', '20 min' or '2 h'")
    return timedelta(**{str(match.lastgroup): float(match["count"])})
