"""The server extension that shows alerts inside JupyterLab, and brings the service along that watches and sends."""

from __future__ import annotations

from typing import Any, ClassVar

from jupyter_server.extension.application import ExtensionApp

from workbench.bench import Workbench
from workbench.lab.alerts.handlers import HANDLERS
from workbench.lab.alerts.standing import Standing
from workbench.lab.alerts.telling import SCHEMA, Telling
from workbench.lab.services import PROGRAM, ServiceProcess

COMMAND = (*PROGRAM, "alerts", "serve", "--until-parent")


class AlertsApp(ExtensionApp):
    """The extension; ``configure`` sets what it is about before the server reads its extensions."""

    name = "workbench_alerts"
    app_name = "TRII Workbench alerts"
    load_other_extensions = True
    open_browser = False
    desk: ClassVar[Workbench]
    page: ClassVar[str]

    def initialize_settings(self) -> None:
        """Make the parts, and tell the front end where the app about alerts is."""
        assert self.serverapp is not None  # noqa: S101 - a server loads its extensions
        events = self.serverapp.event_logger
        assert events is not None  # noqa: S101 - made before
        self.telling = Telling(Standing(self.desk), events, self.log)
        self.service = ServiceProcess(self.log, COMMAND, "the service that watches and sends alerts")
        self.settings["trii_alerts"] = self.telling
        page = {"schema": SCHEMA, "app": self.page}
        self.serverapp.web_app.settings.setdefault("page_config_data", {})["triiAlerts"] = page

    def initialize_handlers(self) -> None:
        """Add what the front end asks."""
        self.handlers.extend(HANDLERS)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:  # noqa: ARG002
        self.telling.start()
        await self.service.start()

    async def stop_extension(self) -> None:
        """Look no longer, and end the service."""
        await self.telling.stop()
        await self.service.stop()


def configure(desk: Workbench, page: str) -> str:
    """Say what the extension is about, and return its name.

    Parameters
    ----------
    desk : Workbench
    page : str
        Where alerts and their rules are shown, below the server's base URL; empty where they are not.
    """
    AlertsApp.desk, AlertsApp.page = desk, page
    return __name__


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": AlertsApp}]
