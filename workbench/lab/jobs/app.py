"""jupyter-scheduler's server extension with the workbench's own classes."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from jupyter_scheduler.executors import ExecutionManager
from jupyter_scheduler.extension import SchedulerApp
from jupyter_scheduler.job_files_manager import JobFilesManager
from jupyter_scheduler.models import JobFeature
from jupyter_server.extension.application import ExtensionApp

from workbench.bench import Workbench
from workbench.core.errors import UnsupportedError
from workbench.lab.extension import icon
from workbench.lab.jobs.answering import told
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


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": JobsApp}]
