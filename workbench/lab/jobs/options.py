"""What Lab's dialog has no field for, as its "additional options" carry it: plain values by flat names.

The names are those of ``Policies``, with ``when`` (a market trigger), ``mode``, ``kernel``, and ``ready_dataset``,
``ready_symbols`` and ``ready_deadline``. Lengths of time are texts such as ``"90 min"``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workbench.core.errors import ParameterError
from workbench.core.spans import span_text
from workbench.jobs.schedule import Job, Mode, Policies, Ready, Schedule
from workbench.jobs.wording import read_policies, read_ready

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1), "s": timedelta(seconds=1)}


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one request: what was given, and ``None`` for the rest; ``policies`` holds only what was given."""

    market: str | None
    mode: Mode | None
    kernel: str | None
    policies: Mapping[str, Any]
    ready: Ready | None


def read_options(given: Mapping[str, Any] | None, dataset: str) -> Options:
    """Return the options of a request; a text that is empty counts as not given.

    Parameters
    ----------
    given : mapping, optional
    dataset : str
        Whose bars are waited for where none is named.

    Raises
    ------
    ParameterError
        For an option that is unknown, or a value that cannot be used.
    """
    values = {name: value for name, value in (given or {}).items() if value not in ("", None)}
    market, mode = values.pop("when", None), values.pop("mode", None)
    if mode not in (None, "now", "pinned"):
        raise ParameterError(f"mode={mode!r} cannot be used; choose 'now' or 'pinned'")
    kernel = values.pop("kernel", None)
    waits = {name: values.pop(f"ready_{name}") for name in Ready.model_fields if f"ready_{name}" in values}
    if "symbols" in waits:
        waits["symbols"] = _symbols(waits["symbols"])
    unknown = [name for name in values if name not in Policies.model_fields]
    if unknown:
        raise ParameterError(f"{unknown[0]!r} is no option of a job; leave it out")
    if isinstance(values.get("retry_on"), str):
        values["retry_on"] = [part.strip() for part in values["retry_on"].split(",") if part.strip()]
    checked = read_policies(values)
    own = {name: getattr(checked, name) for name in values}
    text = {"market": None if market is None else str(market), "kernel": None if kernel is None else str(kernel)}
    return Options(**text, mode=mode, policies=own, ready=read_ready(waits or None, dataset))


def schedule_options(schedule: Schedule) -> dict[str, str | int]:
    """Return the options of a schedule, as ``read_options`` reads them."""
    ready = schedule.ready
    waits = (
        {}
        if ready is None
        else {
            "ready_dataset": ready.dataset,
            "ready_symbols": json.dumps(ready.symbols),
            "ready_deadline": span_text(ready.deadline),
        }
    )
    return {**({} if schedule.market is None else {"when": schedule.market}), **waits, **job_options(schedule)}


def default_options() -> dict[str, str | int]:
    """Return what counts where nothing is given."""
    plain = {name: _plain(value) for name, value in Policies()}
    return {**plain, "mode": "now", "ready_deadline": span_text(Ready.model_fields["deadline"].default)}


def job_options(job: Job) -> dict[str, str | int]:
    """Return the options that a job has by itself."""
    kernel = {} if job.kernel is None else {"kernel": job.kernel}
    return {"mode": job.mode, **kernel, **{name: _plain(value) for name, value in job.policies}}


def _symbols(given: Any) -> list[Any]:
    """Return the symbols of a text: names with commas between, or a JSON list of such."""
    if not isinstance(given, str):
        # What jupyter-scheduler's model has made of a text such as "005930".
        raise ParameterError(f"ready_symbols={given!r} was read as a number; write it as a JSON list of texts")
    texts = [given]
    if given.lstrip().startswith("["):
        try:
            texts = [str(each) for each in json.loads(given)]
        except ValueError as error:
            raise ParameterError(f"ready_symbols={given[:80]!r} is no JSON list ({error}); mend it") from error
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _plain(value: Any) -> str | int:
    if isinstance(value, timedelta):
        return span_text(value)
    return ", ".join(value) if isinstance(value, tuple) else value
