"""The service beside a Lab server that carries runs out: ``workbench schedule serve``, watched and ended with it."""

from __future__ import annotations

from typing import Any

from jupyter_scheduler.task_runner import BaseTaskRunner

from workbench.lab.services import PROGRAM, ServiceProcess

COMMAND = (*PROGRAM, "schedule", "serve", "--until-parent")


class WorkbenchTaskRunner(BaseTaskRunner):  # type: ignore[misc]
    """Keeps the service alive; what is due is planned by it, not by the server.

    Parameters
    ----------
    scheduler : BaseScheduler
    config : traitlets.config.Config, optional
    """

    def __init__(self, scheduler: Any, config: Any = None) -> None:
        super().__init__(config=config)
        self.scheduler = scheduler
        self.service = ServiceProcess(self.log, COMMAND, "the service that runs jobs")

    async def start(self) -> None:
        """Start it."""
        await self.service.start()

    async def stop(self) -> None:
        """End it."""
        await self.service.stop()

    def add_job_definition(self, job_definition_id: str) -> None:
        """Do nothing: the service sees a new schedule in the records within a second."""
