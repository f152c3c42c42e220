"""What jupyter-scheduler's pages ask for, answered from the records; whatever waits for them does so in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from jupyter_scheduler import models
from jupyter_scheduler.environments import EnvironmentManager
from jupyter_scheduler.exceptions import SchedulerError
from jupyter_scheduler.scheduler import BaseScheduler
from traitlets import Instance, Type

from workbench.bench import Workbench
from workbench.core.errors import InputError, ParameterError, UnknownNameError, UnsupportedError, WorkbenchError
from workbench.jobs.schedule import Job, Policies, Schedule
from workbench.lab.jobs.describing import ENVIRONMENT, Describing
from workbench.lab.jobs.listing import count_runs, list_runs, page_of
from workbench.lab.jobs.options import Options, read_options
from workbench.lab.jobs.pruning import delete_run

EDITED = "* * * * *"
"""What Lab's form for a change sends as the cron line of a schedule that has a market trigger."""

P = ParamSpec("P")
R = TypeVar("R")
AnyScheduler = TypeVar("AnyScheduler", bound="WorkbenchScheduler")


def in_thread(
    method: Callable[Concatenate[AnyScheduler, P], R],
) -> Callable[Concatenate[AnyScheduler, P], Coroutine[Any, Any, R]]:
    """Carry a method out in a thread, and tell its errors as jupyter-scheduler does."""

    @wraps(method)
    async def answered(self: AnyScheduler, /, *given: P.args, **named: P.kwargs) -> R:
        try:
            return await asyncio.to_thread(method, self, *given, **named)
        except WorkbenchError as error:
            raise SchedulerError(str(error)) from error

    return answered


class WorkbenchScheduler(BaseScheduler):  # type: ignore[misc]
    """Jobs are runs, job definitions are schedules.

    Parameters
    ----------
    root_dir : str
        The server's root folder.
    environments_manager : EnvironmentManager
    desk : Workbench
        Whose schedules and runs these are.
    config : traitlets.config.Config, optional
    """

    task_runner_class = Type(klass="jupyter_scheduler.task_runner.BaseTaskRunner", config=True)
    task_runner = Instance(klass="jupyter_scheduler.task_runner.BaseTaskRunner")

    def __init__(
        self, root_dir: str, environments_manager: EnvironmentManager, desk: Workbench, config: Any = None
    ) -> None:
        super().__init__(root_dir=root_dir, environments_manager=environments_manager, config=config)
        self.root = Path(root_dir).resolve()
        self.describing = Describing(self.root, desk.settings.reports, lambda folder: desk.history.place(folder))
        self.task_runner = self.task_runner_class(scheduler=self, config=config)
        self._given = desk
        self._opening = threading.Lock()

    @property
    def desk(self) -> Workbench:
        """The workbench; threads that come first at the same time open its records once."""
        with self._opening:
            _ = self._given.history
        return self._given

    # Jobs

    @in_thread
    def create_job(self, model: models.CreateJob) -> str:
        """Let a notebook run now; return the run's id."""
        options = read_options(model.runtime_environment_parameters, self.desk.settings.dataset)
        self._refuse_unkept(model)
        if options.market is not None or options.ready is not None:
            raise ParameterError(
                "a job that runs now has no market trigger and waits for no data; clear them, or run it on a schedule"
            )
        if model.job_definition_id:
            raise UnsupportedError("a job of a definition is made by that definition; leave job_definition_id out")
        job = Job.of(self._values(model, options))
        return self.desk.jobs.submit(job, token=model.idempotency_token or None)

    @in_thread
    def update_job(self, job_id: str, model: models.UpdateJob) -> None:  # noqa: ARG002
        """Refuse: a run is what it was planned as."""
        raise UnsupportedError(f"the run {job_id} cannot be changed; stop it, or run it again")

    @in_thread
    def list_jobs(self, query: models.ListJobsQuery) -> models.ListJobsResponse:
        """Return a page of runs."""
        if query.tags:
            return models.ListJobsResponse(jobs=[], total_count=0)
        runs, total, token = list_runs(self.desk.records, query)
        jobs = [self.describing.job(run) for run in runs]
        return models.ListJobsResponse(jobs=jobs, total_count=total, next_token=token)

    @in_thread
    def count_jobs(self, query: models.CountJobsQuery) -> int:
        """Return how many runs are in a state."""
        return count_runs(self.desk.records, query.status)

    @in_thread
    def get_job(self, job_id: str, job_files: bool | None = True) -> models.DescribeJob:
        """Return a run with its attempts."""
        run = self.desk.jobs.ledger.run(job_id)
        return self.describing.job(run, self.desk.history.attempts(job_id), files=bool(job_files))

    @in_thread
    def delete_job(self, job_id: str) -> None:
        """Delete what a run left; one that waits is cancelled. Its row stays."""
        delete_run(self.desk, job_id)

    @in_thread
    def stop_job(self, job_id: str) -> None:
        """Let a run end."""
        run = self.desk.jobs.ledger.run(job_id)
        self.desk.jobs.cancel(run.id, "stopped in JupyterLab")

    # Job definitions

    @in_thread
    def create_job_definition(self, model: models.CreateJobDefinition) -> str:
        """Keep a schedule; return its id."""
        options = read_options(model.runtime_environment_parameters, self.desk.settings.dataset)
        self._refuse_unkept(model)
        values = self._values(model, options)
        # The dialog always sends a cron line: a trigger that somebody wrote beside it is what they mean.
        if options.market is not None:
            rule: dict[str, Any] = {"market": options.market, "ready": options.ready}
        elif not model.schedule:
            raise ParameterError("a schedule needs a cron line, or a market trigger among its additional options")
        else:
            rule = {"cron": model.schedule, "zone": model.timezone or "UTC", "ready": options.ready}
        return self.desk.jobs.add(Schedule.of({**values, **rule})).id

    @in_thread
    def update_job_definition(self, job_definition_id: str, model: models.UpdateJobDefinition) -> None:
        """Pause, resume or change a schedule; what is not given stays."""
        given = {name: value for name, value in model.dict(exclude_unset=True).items() if value is not None}
        active = given.pop("active", None)
        values = self._changes(self.desk.jobs.get(job_definition_id).schedule, given, model)
        if values:
            self.desk.jobs.change(job_definition_id, **values)
        if active is not None:
            (self.desk.jobs.resume if active else self.desk.jobs.pause)(job_definition_id)

    @in_thread
    def delete_job_definition(self, job_definition_id: str) -> None:
        """Remove a schedule; the history of its runs stays."""
        self.desk.jobs.remove(job_definition_id)

    @in_thread
    def get_job_definition(self, job_definition_id: str) -> models.DescribeJobDefinition:
        """Return a schedule."""
        return self.describing.definition(self.desk.jobs.get(job_definition_id))

    @in_thread
    def list_job_definitions(self, query: models.ListJobDefinitionsQuery) -> models.ListJobDefinitionsResponse:
        """Return a page of schedules."""
        return page_of(query, [self.describing.definition(each) for each in self.desk.jobs.list()])

    @in_thread
    def create_job_from_definition(self, job_definition_id: str, model: models.CreateJobFromDefinition) -> str:
        """Let a schedule's notebook run now; return the run's id."""
        schedule = self.desk.jobs.get(job_definition_id).schedule
        return self.desk.jobs.run_now(schedule.id, model.parameters or {})

    # What the dialog's values mean

    def _values(self, model: models.CreateJob | models.CreateJobDefinition, options: Options) -> dict[str, Any]:
        own = {} if model.output_formats is None else {"formats": tuple(model.output_formats)}
        return {
            "name": model.name,
            "notebook": self._notebook(model.input_uri),
            "parameters": model.parameters or {},
            "mode": options.mode or "now",
            "kernel": options.kernel,
            "policies": Policies.of(options.policies),
            **own,
        }

    def _changes(self, kept: Schedule, given: dict[str, Any], model: models.UpdateJobDefinition) -> dict[str, Any]:
        self._refuse_unkept(model)
        values: dict[str, Any] = {name: given[name] for name in ("name", "parameters") if name in given}
        if "output_formats" in given:
            values["formats"] = tuple(given["output_formats"])
        # The form sends the notebook that it shows back, which may have gone, or lie outside of the workspace.
        if given.get("input_uri") not in (None, self.describing.shown(kept.notebook)):
            values["notebook"] = self._notebook(given["input_uri"])
        if "runtime_environment_parameters" in given:
            options = read_options(given["runtime_environment_parameters"], self.desk.settings.dataset)
            named = {"mode": options.mode, "kernel": options.kernel, "market": options.market, "ready": options.ready}
            values |= {name: value for name, value in named.items() if value is not None}
            values |= {"policies": dict(options.policies)} if options.policies else {}
        values |= _new_rule(kept, given)
        return {name: value for name, value in values.items() if value != getattr(kept, name)}

    def _notebook(self, uri: str) -> Path:
        """Return the path of a notebook in the workspace; nothing outside of it is told apart from what is not there.

        Raises
        ------
        InputError
        """
        missing = InputError(f"there is no notebook {uri[:200]!r} in the workspace; choose one in the file browser")
        try:
            path = (self.root / uri.lstrip("/")).resolve()
            there = path.is_relative_to(self.root) and path.is_file()
        except (OSError, ValueError) as error:
            # A text that cannot be a path: too long, or with a zero in it.
            raise missing from error
        if not there:
            raise missing
        return path

    def _refuse_unkept(self, model: Any) -> None:
        """Raise for what jupyter-scheduler's models have a place for and a job here has not."""
        for name in ("tags", "compute_type", "url"):
            if getattr(model, name, None):
                raise UnsupportedError(f"a job's {name} would not be kept; leave it out")
        environment = model.runtime_environment_name
        if environment not in (None, ENVIRONMENT):
            raise UnknownNameError("environment", environment, [ENVIRONMENT])
        if getattr(model, "package_input_folder", None) is False:
            raise UnsupportedError("a notebook always runs in its own folder; leave package_input_folder out")
        template = model.output_filename_template
        # What a schedule is shown with is no template, and may come back.
        if template not in (None, models.OUTPUT_FILENAME_TEMPLATE, self.describing.output):
            raise UnsupportedError(
                "each run leaves its files in a folder of its own; leave output_filename_template out"
            )


def _new_rule(kept: Schedule, given: dict[str, Any]) -> dict[str, Any]:
    cron, zone = given.get("schedule"), given.get("timezone")
    if kept.market is not None and cron in (None, EDITED):
        return {}
    rule = {"cron": cron, "zone": zone}
    return {name: value for name, value in rule.items() if value is not None}
