"""What people write, as the values of a schedule: when, by which rules, what it waits for, and for how long."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.core.errors import ParameterError
from workbench.core.spans import read_span
from workbench.jobs.schedule import Policies, Ready, Schedule

SPANS = ("window", "back_off", "longest_back_off", "time_out", "keep_for", "deadline")
"""Values that are lengths of time, which may be written as ``"90 min"``."""


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


def read_change(kept: Schedule, dataset: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be changed of a schedule, as ``Schedules.change`` takes it.

    Parameters
    ----------
    kept : Schedule
        As it is.
    dataset : str
        Of what a run waits for, where neither the schedule nor ``given`` names one.
    given : mapping
        ``when`` and ``zone`` as for ``read_when``, ``ready`` as for ``read_ready``, the policies as for
        ``read_policies``, and other fields of a schedule by their names. A new cron line keeps the zone of the one
        before; what is not said of ``ready`` stays as it is.

    Raises
    ------
    ParameterError
        If there is nothing to change, or a value cannot be used.
    """
    if not given:
        raise ParameterError(f"nothing is to be changed of {kept.name!r}; say what, such as when or time_out")
    values = {name: value for name, value in given.items() if name in Schedule.model_fields and name != "ready"}
    if "when" in given:
        rule = read_when(given["when"], given.get("zone"))
        same = rule["cron"] and kept.cron and given.get("zone") is None
        values |= {**rule, "zone": kept.zone} if same else rule
    elif "zone" in given and kept.market:
        raise ParameterError(
            f"zone={given['zone']!r} does not go with {kept.market!r}, whose exchange has its own; leave it out"
        )
    if "ready" in given:
        asked, before = given["ready"], {} if kept.ready is None else kept.ready.model_dump()
        named = (
            asked if isinstance(asked, Mapping | Ready) else {"symbols": [asked] if isinstance(asked, str) else asked}
        )
        values["ready"] = read_ready(named if isinstance(named, Ready) else {**before, **named}, dataset)
    policies = {name: value for name, value in given.items() if name not in (*Schedule.model_fields, "when")}
    if policies:
        read_policies(policies)
        spans = {name: read_span(name, value) for name, value in policies.items() if name in SPANS}
        values["policies"] = {**policies, **spans}
    return values
