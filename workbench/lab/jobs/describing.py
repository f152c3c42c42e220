"""Runs and schedules as jupyter-scheduler's pages show them: its models, its seven states, times in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jupyter_scheduler.models import DescribeJob, DescribeJobDefinition, JobFile, Status

from workbench.jobs.records import AttemptRecord, RunRecord, ScheduleRecord
from workbench.lab.jobs.options import job_options, schedule_options

ENVIRONMENT = "trii-workbench"
LABELS = {"ipynb": "Notebook", "html": "HTML", "pdf": "PDF"}
STATES: dict[str, Status] = {
    "waiting": Status.QUEUED,
    "due": Status.QUEUED,
    "claimed": Status.QUEUED,
    "running": Status.IN_PROGRESS,
    "succeeded": Status.COMPLETED,
    "failed": Status.FAILED,
    "timed out": Status.FAILED,
    "limit": Status.FAILED,
    "orphaned": Status.FAILED,
    "cancelled": Status.STOPPED,
    "skipped": Status.STOPPED,
}
_MODES = {"now": "the file as it was then", "pinned": "the file as it was pinned"}
_KINDS = {"scheduled": "when it was due", "now": "when somebody asked for it", "rerun": "again, as an earlier one"}


class Describing:
    """Makes the models.

    Parameters
    ----------
    root : Path
        The server's root folder: paths are told relative to it.
    reports : Path
        Where runs keep their files.
    place : callable
        The folder of what a run left, by what its row says; ``None`` if it is not there.
    """

    def __init__(self, root: Path, reports: Path, place: Callable[[str | None], Path | None]) -> None:
        self.root = root
        self.place = place
        self.output = self.relative(reports) or ""

    def job(self, run: RunRecord, attempts: Sequence[AttemptRecord] = (), *, files: bool = True) -> DescribeJob:
        """Return a run; with its attempts for the page that shows one."""
        values = run.job.parameters if run.resolved is None else run.resolved
        return DescribeJob(
            job_id=run.id,
            job_definition_id=run.schedule,
            name=run.job.name,
            input_filename=run.job.notebook.name,
            runtime_environment_name=ENVIRONMENT,
            runtime_environment_parameters={**_facts(run, attempts), **job_options(run.job)},
            output_formats=list(run.job.formats),
            parameters=_texts(values),
            status=_status(run),
            status_message=_message(run),
            create_time=_milliseconds(run.planned),
            update_time=_milliseconds(run.finished or run.started or run.planned),
            start_time=_milliseconds(run.started),
            end_time=_milliseconds(run.finished),
            job_files=self.files(run) if files else [],
            # What a run leaves lies in the workspace from the start: there is nothing to fetch.
            downloaded=True,
            package_input_folder=True,
            url=f"/jobs/{run.id}",
        )

    def definition(self, record: ScheduleRecord) -> DescribeJobDefinition:
        """Return a schedule; one with a market trigger has no cron line, which the list would take for one."""
        schedule = record.schedule
        fault = {} if record.fault is None else {"fault": record.fault}
        return DescribeJobDefinition(
            job_definition_id=schedule.id,
            name=schedule.name,
            input_filename=self.shown(schedule.notebook),
            runtime_environment_name=ENVIRONMENT,
            runtime_environment_parameters={**fault, **schedule_options(schedule)},
            output_formats=list(schedule.formats),
            parameters=_texts(schedule.parameters),
            output_filename_template=self.output,
            schedule=schedule.cron,
            timezone=schedule.zone,
            active=schedule.active,
            create_time=_milliseconds(record.created),
            update_time=_milliseconds(record.changed),
            package_input_folder=True,
        )

    def files(self, run: RunRecord) -> list[JobFile]:
        """Return what a run left, as far as it is there and in the workspace, and its notebook."""
        found = [JobFile(display_name="Input", file_format="input", file_path=self.relative(run.job.notebook))]
        folder = None if run.finished is None else self.place(run.folder)
        if folder is None:
            return found
        for name, label in LABELS.items():
            path = folder / f"{run.job.notebook.stem}.{name}"
            if path.is_file():
                found.append(JobFile(display_name=label, file_format=name, file_path=self.relative(path)))
        return [*found, JobFile(display_name="Files", file_format="files", file_path=self.relative(folder))]

    def shown(self, notebook: Path) -> str:
        """Return how a schedule's notebook is named: as the file browser does it, or by its whole path."""
        return self.relative(notebook) or str(notebook)

    def relative(self, path: Path) -> str | None:
        """Return a path as the file browser names it; ``None`` for one outside of its root."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else None


def _status(run: RunRecord) -> Status:
    stopping = run.cancel is not None and run.finished is None
    return Status.STOPPING if stopping else STATES[run.state]


def _message(run: RunRecord) -> str | None:
    """Return what the detail page shows in red: why a run is not, or not yet, what it was meant to be."""
    if run.state == "waiting":
        return f"waits for its data, until {run.deadline:%Y-%m-%d %H:%M} UTC"
    if run.finished is None and run.cancel:
        return f"is being stopped: {run.cancel}"
    if run.state in ("running", "succeeded"):
        return None
    return f"{run.state}: {run.reason}" if run.reason else (None if run.state in ("due", "claimed") else run.state)


def _facts(run: RunRecord, attempts: Sequence[AttemptRecord]) -> dict[str, str | int]:
    """Return what a run knows of itself, in words, for the page that shows one."""
    facts: dict[str, str | int | None] = {
        "run_state": run.state,
        "run_kind": _KINDS[run.kind],
        "run_due": _instant(run.due),
        "run_when": run.market,
        "run_notebook": _MODES[run.job.mode],
        "run_sha256": None if run.sha256 is None else f"sha256:{run.sha256}",
        "run_as_of": None if run.as_of is None else _instant(run.as_of),
        "run_moments": _moments(run.moments),
        "run_attempts": "\n".join(map(_attempt, attempts)) or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _attempt(attempt: AttemptRecord) -> str:
    began = "" if attempt.started is None else f" at {_instant(attempt.started)}"
    return f"{attempt.n}: {attempt.state}{began}{f', {attempt.reason}' if attempt.reason else ''}"


def _moments(moments: Mapping[str, Any] | None) -> str | None:
    return "\n".join(f"{name} = {_text(value)}" for name, value in (moments or {}).items()) or None


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as the dialog has them: texts, which the notebook's types turn back into values."""
    return {name: _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
