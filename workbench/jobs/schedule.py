"""What is to be run, when, and by which rules; refused with the reason when it is saved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from workbench.core.errors import ParameterError
from workbench.jobs.cron import check_cron, check_zone, dues
from workbench.jobs.market import parse_trigger
from workbench.jobs.moments import resolve
from workbench.jobs.parameters import check_parameters
from workbench.jobs.refusal import sentence
from workbench.jobs.source import check_kernel, parse_notebook, read_text, sha256_of

Mode = Literal["now", "pinned"]
CatchUp = Literal["skip", "latest", "all"]
Overlap = Literal["skip", "queue", "cancel"]
Format = Literal["ipynb", "html", "pdf"]
Setback = Literal["failed", "timed out", "limit", "orphaned"]
"""How an attempt ends that may be tried again."""

CALENDAR = "XNYS"
"""The exchange whose sessions relative dates mean where no market trigger names another."""

FORMATS: tuple[Format, ...] = get_args(Format)
NAME = r"^[a-zA-Z0-9._][a-zA-Z0-9._ -]{0,62}$"
"""What JupyterLab's dialog takes as a name."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the object with these values.

        Raises
        ------
        ParameterError
            For a value that is unknown, mistyped or out of its range.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            what = cls.__name__.lower() if cls is not Ready else "data to wait for"
            raise ParameterError(sentence(error, cls, what)) from error


class Policies(_Frozen):
    """What is done when things do not go as planned.

    Attributes
    ----------
    catch_up : {"skip", "latest", "all"}
        Which of the due times that no service was there for are made up for: none, the last one, or each.
    window : timedelta
        How far back that reaches, up to 31 days; what was missed before is skipped.
    overlap : {"skip", "queue", "cancel"}
        What becomes of a run that is due while one of its schedule has not ended: it is skipped, it waits, or the
        others are cancelled. One that makes up for a missed due time, or waits for its session's data, makes none be
        skipped before it has begun.
    retries : int
        How often an attempt is repeated, 0 to 10.
    retry_on : tuple of {"failed", "timed out", "limit", "orphaned"}
        After which endings.
    back_off, longest_back_off : timedelta
        The pause before the first repetition; each later one is twice as long, up to the longest.
    time_out : timedelta
        How long an attempt may take, 1 s to 7 days.
    priority : int
        0 to 9; of what is due, lower goes first.
    keep : int
        How many runs keep their files.
    keep_for : timedelta
        How long a run keeps its files.
    """

    catch_up: CatchUp = "latest"
    window: timedelta = Field(default=timedelta(days=1), gt=timedelta(0), le=timedelta(days=31))
    overlap: Overlap = "skip"
    retries: int = Field(default=0, ge=0, le=10, strict=True)
    retry_on: tuple[Setback, ...] = ("failed", "timed out", "orphaned")
    back_off: timedelta = Field(default=timedelta(minutes=1), ge=timedelta(seconds=1), le=timedelta(days=1))
    longest_back_off: timedelta = Field(default=timedelta(hours=1), ge=timedelta(seconds=1), le=timedelta(days=1))
    time_out: timedelta = Field(default=timedelta(hours=1), ge=timedelta(seconds=1), le=timedelta(days=7))
    priority: int = Field(default=5, ge=0, le=9, strict=True)
    keep: int = Field(default=100, ge=1, le=100_000, strict=True)
    keep_for: timedelta = Field(default=timedelta(days=365), ge=timedelta(days=1), le=timedelta(days=36_525))


class Ready(_Frozen):
    """Data that a run waits for: the session's bars of these symbols.

    Attributes
    ----------
    dataset : str
    symbols : tuple of str
    deadline : timedelta
        How long after its due time a run waits, up to a day.
    """

    dataset: str = Field(min_length=1)
    symbols: tuple[str, ...] = Field(min_length=1)
    deadline: timedelta = Field(default=timedelta(hours=2), gt=timedelta(0), le=timedelta(days=1))


class Job(_Frozen):
    """A notebook with its parameters, and the rules for running it.

    Attributes
    ----------
    name : str
        As JupyterLab takes it: 1 to 63 letters, digits, dots, blanks, underscores and dashes.
    notebook : Path
    mode : {"now", "pinned"}
        Run the notebook as it is then, or as it was when this was saved.
    sha256 : str, optional
        Of a pinned notebook's text in UTF-8.
    parameters : mapping
        JSON values by the names that the notebook declares; relative dates such as ``today`` are resolved by each run.
    policies : Policies
    formats : tuple of {"ipynb", "html", "pdf"}
        What a run leaves.
    kernel : str, optional
        Instead of the notebook's own.
    """

    name: str = Field(pattern=NAME)
    notebook: Path
    mode: Mode = "now"
    sha256: str | None = None
    parameters: dict[str, JsonValue] = {}
    policies: Policies = Policies()
    formats: tuple[Format, ...] = Field(default=("ipynb", "html"), min_length=1)
    kernel: str | None = None


class Schedule(Job):
    """A job with its due times.

    Attributes
    ----------
    id : str
    cron : str, optional
        Five fields, in the zone's wall time.
    zone : str
        An IANA time zone; relative dates are read in it, too. For a market trigger that of its exchange.
    market : str, optional
        A trigger such as ``"XNYS close + 20 min"``. Either this or ``cron`` is given.
    ready : Ready, optional
        For a market trigger: the data of its session that a run waits for.
    active : bool
        Whether it is not paused.
    """

    id: str = Field(default_factory=lambda: str(uuid4()))
    cron: str | None = None
    zone: str = "UTC"
    market: str | None = None
    ready: Ready | None = None
    active: bool = True

    @model_validator(mode="after")
    def _has_one_rule(self) -> Self:
        if (self.cron is None) == (self.market is None):
            raise ValueError("give either a cron line or a market trigger")
        if self.ready is not None and self.market is None:
            raise ValueError("only a market trigger has a session whose data can be waited for; remove ready")
        return self

    @property
    def when(self) -> str:
        """The rule in words, such as ``"30 16 * * 1-5 America/New_York"``."""
        return f"{self.cron} {self.zone}" if self.cron is not None else str(self.market)

    def dues(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the due times with ``after < due <= until`` as UTC instants, ascending.

        Raises
        ------
        WorkbenchError
            Where the calendar of a market trigger does not reach.
        """
        if self.cron is not None:
            return iter(dues(self.cron, self.zone, after, until))
        return iter(parse_trigger(str(self.market)).dues(after, until))


def job_name(notebook: Path) -> str:
    """Return the name of a job that is given none: the notebook's, in the letters that a name may have."""
    return re.sub(r"[^a-zA-Z0-9._ -]", "_", notebook.stem).lstrip(" -")[:63] or "notebook"


AnyJob = TypeVar("AnyJob", bound=Job)


def check(
    job: AnyJob,
    folder: Path,
    now: datetime,
    *,
    calendar: str = CALENDAR,
    zone: str = "UTC",
    pinned: str | None = None,
) -> tuple[AnyJob, str]:
    """Return a job in its normal form, and the text of its notebook.

    Parameters
    ----------
    job : Job or Schedule
    folder : Path
        Where a relative path of a notebook begins.
    now : datetime
        With a zone; relative dates must be able to be resolved now.
    calendar : str
        Exchange whose sessions relative dates mean, where no market trigger names another.
    zone : str
        In which relative dates of a job without a schedule are read.
    pinned : str, optional
        A text that was kept before, to be run instead of the one that is in the file now.

    Returns
    -------
    Job or Schedule
        Path absolute, parameters in their declared types, the rule in its normal form, the zone of a market trigger
        that of its exchange; a pinned one with the sha256 of its text.
    str
        The text: ``pinned``, or what the file holds.

    Raises
    ------
    InputError
        For a file that is no notebook.
    UnknownNameError
        For a kernel, a zone, a calendar or a parameter that is not there.
    ParameterError
        For a cron line, a trigger, a parameter's value or a relative date that cannot be used.
    """
    path = (folder / job.notebook).resolve()
    text = read_text(path) if pinned is None else pinned
    notebook = parse_notebook(text, path)
    check_kernel(job.kernel or notebook.metadata.get("kernelspec", {}).get("name"), path)
    rule = dict[str, Any]()
    if isinstance(job, Schedule):
        rule, calendar = _rule(job, calendar)
        zone = rule["zone"]
    values = check_parameters(notebook, job.parameters, path.name)
    resolve(values, now, calendar, zone)
    sha256 = sha256_of(text) if job.mode == "pinned" else None
    return job.model_copy(update={"notebook": path, "parameters": values, "sha256": sha256, **rule}), text


def _rule(schedule: Schedule, calendar: str) -> tuple[dict[str, Any], str]:
    """Return when a schedule is due, in the normal form, and the exchange that it means."""
    if schedule.cron is not None:
        return {"cron": check_cron(schedule.cron), "zone": check_zone(schedule.zone)}, calendar
    trigger = parse_trigger(str(schedule.market))
    return {"market": str(trigger), "zone": trigger.zone}, trigger.calendar
