"""Start the server: ``workbench lab`` for a researcher, ``workbench apps`` for people who look at dashboards."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from workbench.core.errors import ServerError
from workbench.core.settings import Settings
from workbench.lab.dashboards import ALERTS, GALLERY, NOT_FOR_VIEWERS, panel_apps, voila_notebooks
from workbench.lab.isolation import own_jupyter
from workbench.lab.kernels.profiles import PROFILES
from workbench.lab.workspace import prepare_workspace

HOST = "127.0.0.1"
DEFAULT_PORT = 8888
PORTS = 100
KERNEL = "trii-workbench"
WELCOME = "notebooks/00_welcome.ipynb"
READY = "TRII Workbench is ready (stop it with Ctrl-C)"


def serve_lab(settings: Settings, *, port: int | None = None, base_url: str = "/", say: Callable[[str], None]) -> None:
    """Serve JupyterLab until it is interrupted.

    Parameters
    ----------
    settings : Settings
    port : int, optional
        A free one from 8888 on where ``None``.
    base_url : str
        A prefix, such as ``"/user/x/"``.
    say : callable
        Gets the lines for the person who started it; the last one is the address.

    Raises
    ------
    ServerError
        If the port is taken, or the Panel apps cannot start.
    """
    _serve(settings, port, base_url, say, viewers=False)


def serve_apps(settings: Settings, *, port: int | None = None, base_url: str = "/", say: Callable[[str], None]) -> None:
    """Serve every Panel app and Voilà notebook with an index page; arguments and errors as in ``serve_lab``."""
    _serve(settings, port, base_url, say, viewers=True)


def _serve(settings: Settings, port: int | None, base_url: str, say: Callable[[str], None], *, viewers: bool) -> None:
    if port is not None:
        require_free(port)
    settings.require_home()
    prepare_workspace(settings.workspace, settings.reports)
    with own_jupyter(settings.home / "jupyter") as sockets:
        # From here on, so that Jupyter reads the environment that was set for it.
        from jupyter_server.serverapp import ServerApp

        from workbench.lab.extension import Site, WorkbenchExtension
        from workbench.lab.viewer import DashboardServer, accept_goodbye, restrict

        notebooks = settings.workspace / "notebooks" / "dashboards"
        root = notebooks if viewers else settings.workspace
        boards = [*panel_apps(settings.workspace / "apps", say), *voila_notebooks(notebooks, root)]
        if viewers:
            boards = [board for board in boards if board.name not in NOT_FOR_VIEWERS]
        WorkbenchExtension.site = Site(boards, sockets, viewers, ready=lambda url: say(f"{READY}: {url}"))
        config = _config(root, port, base_url, settings)
        if viewers:
            restrict(config)
        else:
            _configure_lab(config)
        accept_goodbye()
        logging.getLogger("tornado.general").addFilter(_is_not_of_pings)
        # Voilà also reads its configuration from the working folder.
        os.chdir(root)
        os.environ |= settings.environment()
        say("Starting the server and the Panel apps ...")
        extensions = {"workbench.lab.extension": True, "voila.server_extension": True}
        if not viewers:
            own = _configure_desk(config, settings, {board.name: board.url for board in boards})
            extensions |= {"jupyterlab": True, "jupyter_server_terminals": True, **own}
        server: Any = (DashboardServer if viewers else ServerApp).instance(
            config=config, jpserver_extensions=extensions
        )
        with _warm(server) if settings.warm_kernels else nullcontext():
            server.initialize(argv=[], starter_extension="workbench" if viewers else "lab", find_extensions=False)
            # Without asking, and the same way for Ctrl-C and for a service manager.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, server._signal_stop)
            server.start()
        if WorkbenchExtension.site.failure:
            raise WorkbenchExtension.site.failure[0]


@contextmanager
def _warm(server: Any) -> Iterator[None]:
    """Keep warm processes while a server runs: the first kernel is asked for soon after its page is."""
    from jupyter_client.kernelspec import KernelSpecManager

    from workbench.lab.kernels.pool import WarmPool

    pool = WarmPool.instance(parent=server)
    pool.keep("workbench", {**os.environ, **KernelSpecManager().get_kernel_spec(KERNEL).env})
    try:
        yield
    finally:
        pool.close()


def require_free(port: int) -> None:
    """Raise where a port that was asked for is taken.

    Raises
    ------
    ServerError
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            sentence = f"port {port} on {HOST} is in use; choose another with --port, or leave it out"
            raise ServerError(sentence) from error


def _config(root: Path, port: int | None, base_url: str, settings: Settings) -> Any:
    import bokeh
    from traitlets.config import Config

    config = Config()
    server = config.ServerApp
    server.ip, server.port = HOST, port or DEFAULT_PORT
    # Without a wish the next free port will do; two servers may start at the same moment.
    server.port_retries = 0 if port else PORTS
    server.base_url, server.root_dir = base_url, str(root)
    # Jupyter opens a private file that leads to the address: a command line would show the token to others.
    server.open_browser = not settings.no_browser
    server.allow_root, server.answer_yes, server.allow_origin = True, True, ""
    config.Application.log_level = "WARN"
    config.IdentityProvider.token = secrets.token_hex(24)
    config.KernelManager.transport = "ipc"
    config.KernelSpecManager.ensure_native_kernel = False
    config.KernelSpecManager.allowed_kernelspecs = {f"trii-{each.name}" for each in PROFILES.values() if each.installed}
    config.MultiKernelManager.default_kernel_name = KERNEL
    voila = config.VoilaConfiguration
    voila.template = "trii"
    voila.allow_template_override = voila.allow_theme_override = "NO"
    # These would ask other hosts for scripts, or add Lab's tiles to a dashboard.
    voila.extension_denylist = [
        "@trii/workbench",
        "@jupyterlab/scheduler",
        "@pyviz/jupyterlab_pyviz",
        "jupyterlab-plotly",
        "@jupyterhub/jupyter-server-proxy",
    ]
    voila.page_config_hook = _without_mathjax
    config.AsyncIOLoopKernelManager.client_class = "workbench.lab.client.PageClient"
    # The page loads BokehJS while its kernel starts.
    server.extra_static_paths = [str(Path(bokeh.__file__).parent / "server" / "static")]
    voila.resources = {"bokehjs": f"static/js/bokeh.min.js?v={bokeh.__version__}"}
    return config


def _is_not_of_pings(record: logging.LogRecord) -> bool:
    """Leave one warning out: no setting suits both who read it.

    Jupyter takes the times of a websocket's pings as milliseconds and wants a time-out of several pings; Tornado 6.5
    takes the same two as seconds and warns of that (jupyter_server issue 1612).
    """
    return not record.getMessage().startswith("The websocket_ping_timeout")


def _without_mathjax(page_config: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Voilà's page would fetch MathJax from another host."""
    return {**page_config, "fullMathjaxUrl": "null", "mathjaxConfig": "null"}


def _configure_desk(config: Any, settings: Settings, places: dict[str, str]) -> dict[str, bool]:
    """Give Lab its schedules, runs and alerts; returns the names of the extensions."""
    from workbench.bench import Workbench
    from workbench.lab.alerts import app as alerts
    from workbench.lab.jobs import app as jobs

    desk = Workbench(settings)
    jobs_app = jobs.configure(config, desk, places.get(GALLERY, ""))
    return {jobs_app: True, alerts.configure(desk, places.get(ALERTS, "")): True}


def _configure_lab(config: Any) -> None:
    from jupyterlab.labapp import LabApp

    # Not a trait that can be configured from here: the notebook shim would drop the other settings of Lab.
    LabApp.app_name = "TRII Workbench"
    lab = config.LabApp
    lab.app_settings_dir = str(Path(__file__).parent / "settings")
    lab.default_url = f"/lab/tree/{WELCOME}"
    lab.extension_manager = "readonly"
    lab.news_url = None
    lab.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"
    lab.open_browser = False
