"""jupyter-scheduler's server extension with the workbench's own classes, and errors that are told as what they are."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, NoReturn

from jupyter_scheduler.exceptions import IdempotencyTokenError, InputUriError, SchedulerError
from jupyter_scheduler.executors import ExecutionManager
from jupyter_scheduler.extension import SchedulerApp
from jupyter_scheduler.job_files_manager import JobFilesManager
from jupyter_scheduler.models import JobFeature
from jupyter_scheduler.pydantic_v1 import ValidationError
from jupyter_server.extension.application import ExtensionApp
from tornado import web

from workbench.bench import Workbench
from workbench.core.errors import InputError, UnknownNameError, UnsupportedError
from workbench.lab.extension import icon
from workbench.lab.jobs.options import default_options

_FEATURES = (
    "job_name",
    "parameters",
    "output_formats",
    "job_definition",
    "idempotency_token",
    "stop_job",
    "delete_job",
)
_PACKAGE = "workbench.lab.jobs"


class ServiceExecution(ExecutionManager):  # type: ignore[misc]
    """Stands where jupyter-scheduler asks what can be done; the service, not the server, carries runs out."""

    def execute(self) -> NoReturn:
        """Refuse.

        Raises
        ------
        UnsupportedError
        """
        raise UnsupportedError("a run is carried out by `workbench schedule serve`, not by the server; start that")

    # jupyter-scheduler calls both with the class as their argument.
    def supported_features(cls) -> dict[JobFeature, bool]:  # noqa: N805
        """Say what a request may ask for."""
        return {feature: feature.value in _FEATURES for feature in JobFeature}

    def validate(cls, input_path: str) -> bool:  # noqa: ARG002, N805
        """Accept: a notebook is checked when it is saved as a job."""
        return True


class NoStaging(JobFilesManager):  # type: ignore[misc]
    """A run leaves its files in the workspace: there is nothing to fetch."""

    async def copy_from_staging(self, job_id: str, redownload: bool | None = False) -> None:
        """Do nothing."""


class JobsApp(SchedulerApp):  # type: ignore[misc]
    """The extension; ``configure`` sets what it is about before the server reads its extensions."""

    desk: ClassVar[Workbench]
    gallery: ClassVar[str]

    def initialize_settings(self) -> None:
        """Make the parts; unlike the original, no tables and no processes."""
        ExtensionApp.initialize_settings(self)
        environments = self.environment_manager_class()
        self.scheduler = self.scheduler_class(
            root_dir=self.serverapp.root_dir, environments_manager=environments, desk=self.desk, config=self.config
        )
        files = self.job_files_manager_class(scheduler=self.scheduler)
        self.settings.update(environments_manager=environments, scheduler=self.scheduler, job_files_manager=files)
        page = {"defaults": default_options(), "dataset": self.desk.settings.dataset, "gallery": self.gallery}
        page |= icon("jobs")
        self.serverapp.web_app.settings.setdefault("page_config_data", {})["triiJobs"] = page

    def initialize_handlers(self) -> None:
        """Let every handler tell errors as what they are."""
        self.handlers = [(path, told(handler)) for path, handler in SchedulerApp.handlers]

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:  # noqa: ARG002
        await self.scheduler.task_runner.start()

    async def stop_extension(self) -> None:
        """End the service."""
        await self.scheduler.task_runner.stop()


def configure(config: Any, desk: Workbench, gallery: str) -> str:
    """Set the classes of jupyter-scheduler.

    Parameters
    ----------
    config : traitlets.config.Config
        Of the server that is to be started.
    desk : Workbench
    gallery : str
        Where runs are shown, below the server's base URL; empty where they are not.

    Returns
    -------
    str
        The name of the server extension.
    """
    JobsApp.desk, JobsApp.gallery = desk, gallery
    app = config.SchedulerApp
    app.scheduler_class = f"{_PACKAGE}.scheduler.WorkbenchScheduler"
    app.environment_manager_class = f"{_PACKAGE}.environments.WorkbenchEnvironments"
    app.job_files_manager_class = f"{_PACKAGE}.app.NoStaging"
    scheduler = config.WorkbenchScheduler
    scheduler.task_runner_class = f"{_PACKAGE}.service.WorkbenchTaskRunner"
    scheduler.execution_manager_class = f"{_PACKAGE}.app.ServiceExecution"
    return __name__


def told(handler: type[Any]) -> type[Any]:
    """Return a handler that answers a mistake of the caller's with 400 or 404, and keeps it out of the log."""

    class Told(handler):  # type: ignore[misc]
        def get_json_body(self) -> dict[str, Any]:
            body = super().get_json_body()
            if not isinstance(body, dict):
                raise web.HTTPError(400, "the request's body is no JSON object; send one")
            # jupyter-scheduler's own check of a job stumbles where there is none.
            if self.request.method == "POST" and not self.path_kwargs and not isinstance(body.get("input_uri"), str):
                raise web.HTTPError(400, "a job needs input_uri, the path of a notebook; give it")
            return body

        @property
        def log(self) -> Any:
            return _Quieter(super().log, {})

        def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
            if _mistake(error, self.request.method) is None:
                super().log_exception(kind, error, trace)

        def write_error(self, status_code: int, **details: Any) -> None:
            _kind, error, trace = details.get("exc_info") or (None, None, None)
            answer = _mistake(error, self.request.method)
            if answer is not None:
                self.set_status(answer.status_code)
                status_code, details["exc_info"] = answer.status_code, (type(answer), answer, trace)
            super().write_error(status_code, **details)

    Told.__name__ = Told.__qualname__ = handler.__name__
    return Told


class _Quieter(logging.LoggerAdapter):  # type: ignore[type-arg]
    def exception(self, msg: object, *args: object, **named: Any) -> None:
        """Tell a mistake of the caller's in a line, without where in the code it was found."""
        if isinstance(msg, SchedulerError | ValidationError) and _is_mistake(msg):
            self.debug("%s", msg)
        else:
            super().exception(msg, *args, **named)


def _mistake(error: BaseException | None, method: str) -> web.HTTPError | None:
    """Return how a mistake of the caller's is answered; ``None`` for what is none."""
    cause = error.__cause__ if isinstance(error, web.HTTPError) and error.status_code == 500 else error
    if cause is None or not _is_mistake(cause):
        return None
    # Only these two name nothing but a run or a schedule.
    missing = method in ("GET", "DELETE") and isinstance(cause.__cause__, UnknownNameError)
    return web.HTTPError(404 if missing else 400, _sentence(cause))


def _is_mistake(error: BaseException) -> bool:
    if isinstance(error, SchedulerError):
        return isinstance(error.__cause__, InputError)
    # ValueError: a state or a number in the address that is none; jupyter-scheduler reads them unguarded.
    return isinstance(error, ValidationError | InputUriError | IdempotencyTokenError | ValueError)


def _sentence(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))} of the request cannot be used ({first['msg']}); mend it"
    return str(error)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": JobsApp}]
