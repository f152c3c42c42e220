"""The server extension: the index of dashboards, the way to the Panel apps, and Lab's launcher tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, FileSystemLoader
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.extension.handler import ExtensionHandlerMixin
from jupyter_server.utils import url_path_join
from jupyter_server_proxy.config import ServerProcess, make_handlers
from tornado import web

from workbench.core.errors import ServerError
from workbench.lab.dashboards import ALERTS, GALLERY, NOT_FOR_VIEWERS, PANEL_URL, Dashboard
from workbench.lab.panels import PanelProcess
from workbench.lab.viewer import viewer_handlers

PAGES = Path(__file__).parent / "pages"
_ICONS = {GALLERY: "reports", ALERTS: "alerts"}


@dataclass(frozen=True)
class Site:
    """What the extension shows: set by the door that starts the server, before the server reads its extensions.

    Attributes
    ----------
    dashboards : list of Dashboard
    sockets : Path
        Private folder for the Panel apps' socket.
    viewers : bool
        For people who only look: no Lab, no folders.
    ready : callable
        Called with the address, token included, when everything answers.
    failure : list of ServerError
        Why the server stopped by itself; empty while it runs.
    """

    dashboards: list[Dashboard]
    sockets: Path
    viewers: bool
    ready: Callable[[str], None]
    failure: list[ServerError] = field(default_factory=list)


class Index(ExtensionHandlerMixin, JupyterHandler):
    """The page that lists the dashboards."""

    @web.authenticated
    def get(self) -> None:
        """Show it."""
        site: Site = self.settings["trii_site"]
        page = Environment(loader=FileSystemLoader(PAGES), autoescape=True).get_template("index.html.j2")
        lab = "" if site.viewers else url_path_join(self.base_url, "lab")
        self.finish(page.render(base=self.base_url, dashboards=site.dashboards, lab=lab))


class WorkbenchExtension(ExtensionApp):
    """The workbench inside a Jupyter server."""

    name = "workbench"
    app_name = "TRII Workbench"
    extension_url = "/workbench/"
    default_url = "/workbench/"
    load_other_extensions = True
    open_browser = False
    site: Site

    def initialize_handlers(self) -> None:
        """Add the index, the proxy to the Panel apps and, for Lab, the tiles."""
        assert self.serverapp is not None  # noqa: S101 - a server loads its extensions
        base, application = self.serverapp.base_url, self.serverapp.web_app
        prefix = url_path_join(base, PANEL_URL)
        socket = self.site.sockets / "panel.sock"
        apps = [board.path for board in self.site.dashboards if board.kind == "panel"]
        self.panel = PanelProcess(apps, socket, prefix) if apps else None
        self.handlers.append((r"/workbench/?", Index))
        if self.site.viewers:
            self.handlers.extend(viewer_handlers())
        application.settings["trii_site"] = self.site
        # Only the proxy's handler: its extension would also forward any port of this host, and start processes
        # whose signal handlers end this server before its own clean-up.
        proxied = ServerProcess(
            name=PANEL_URL, unix_socket=str(socket), absolute_url=True, launcher_entry={"enabled": False}
        )
        # Bokeh asks for its icon beside the prefix.
        icon = {"url": url_path_join(base, "static/favicons/favicon.ico")}
        application.add_handlers(".*", [(url_path_join(prefix, "favicon.ico"), web.RedirectHandler, icon)])
        application.add_handlers(".*", [without_token(*rule) for rule in make_handlers(base, [proxied])])
        application.settings.setdefault("page_config_data", {})["triiTiles"] = tiles(self.site.dashboards)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        try:
            if self.panel:
                await self.panel.start()
        except ServerError as error:
            # The server only notes an error of an extension; without its apps this one must not go on.
            self.site.failure.append(error)
            serverapp.stop()
            return
        path = serverapp.base_url + ("workbench/" if self.site.viewers else "")
        token = serverapp.identity_provider.token
        self.site.ready(f"http://{serverapp.ip}:{serverapp.port}{path}?token={token}")

    async def stop_extension(self) -> None:
        """End the Panel apps."""
        if self.panel:
            await self.panel.stop()


def without_token(pattern: str, handler: type[Any], *rest: Any) -> tuple[Any, ...]:
    """Return a proxy's rule whose handler keeps the server's token to itself.

    A request that carries the token in its address is sent to the same address without it, once the cookie is set: the
    process behind the proxy, and its log, never see it.
    """

    class Tokenless(handler):  # type: ignore[misc]
        async def prepare(self) -> None:
            await super().prepare()
            if self.request.method == "GET" and "token" in self.request.query_arguments and not self._finished:
                kept = [
                    (name, value)
                    for name, value in parse_qsl(self.request.query, keep_blank_values=True)
                    if name != "token"
                ]
                self.redirect(f"{self.request.path}?{urlencode(kept)}" if kept else self.request.path)

    return (pattern, Tokenless, *rest)


def tiles(dashboards: list[Dashboard]) -> list[dict[str, Any]]:
    """Return Lab's launcher tiles: one for each dashboard, one's own last, and one for the folder of reports."""
    shown: list[dict[str, Any]] = [
        {"name": board.name, "title": board.title, "description": board.description, "url": board.url}
        | icon(_ICONS.get(board.name, board.kind))
        for board in sorted(dashboards, key=lambda board: board.name in NOT_FOR_VIEWERS)
    ]
    files = {"name": "reports", "title": "Report files", "description": "Executed notebooks and their pages"}
    return [*shown, {**files, "folder": "reports", **icon("folder")}]


def icon(name: str) -> dict[str, dict[str, str]]:
    """Return an icon of ``pages`` as Lab's front end takes it."""
    return {"icon": {"name": name, "svg": (PAGES / f"{name}.svg").read_text(encoding="utf-8")}}


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "workbench.lab.extension", "app": WorkbenchExtension}]
