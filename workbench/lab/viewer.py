"""What somebody who only looks at dashboards may do, and what a dashboard's page needs from the server.

A viewer sees Voilà pages and Panel apps, and moves their widgets. Running code, reading files, starting kernels and
opening terminals are not offered: the handlers are not there, and a kernel's channel lets only widget messages pass.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.auth import Authorizer
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.handlers import KernelHandler
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from tornado import web
from traitlets.config import Config
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler

WIDGET_MESSAGES = ["comm_open", "comm_close", "comm_msg", "comm_info_request", "kernel_info_request"]
IDLE_SECONDS = 60
KERNEL = r"/api/kernels/(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"


class DashboardServer(ServerApp):
    """A Jupyter server without files, kernels, sessions or terminals to ask for."""

    name = "workbench-apps"
    default_services = ("auth", "security")  # type: ignore[assignment]


class KernelState(KernelHandler):
    """A kernel's state, which a Voilà page asks for; nothing can be changed."""

    SUPPORTED_METHODS = ("GET",)


class ViewOnly(Authorizer):
    """Allow a page's own kernel to be looked at and its widgets to be moved; nothing else."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:  # noqa: ARG002
        """Say whether a request may pass."""
        if resource != "kernels":
            return False
        looks = action == "read" and isinstance(handler, KernelState)
        return looks or (action == "execute" and isinstance(handler, KernelWebsocketHandler))


def viewer_handlers() -> list[tuple[Any, ...]]:
    """Return what a Voilà page needs of the kernels API."""
    return [(KERNEL, KernelState), (KERNEL + "/channels", KernelWebsocketHandler)]


def restrict(config: Config) -> None:
    """Set a server up for viewers; kernels of pages that were closed are ended."""
    config.ServerApp.authorizer_class = ViewOnly
    config.ServerApp.terminals_enabled = False
    kernels = config.AsyncMappingKernelManager
    kernels.allowed_message_types = WIDGET_MESSAGES
    kernels.cull_idle_timeout = IDLE_SECONDS
    kernels.cull_interval = 10
    kernels.cull_connected = False


def accept_goodbye() -> None:
    """Let a closing Voilà page end its kernel.

    The page says goodbye with ``navigator.sendBeacon``, which cannot carry the XSRF token, so that the kernel would
    live on. The request is taken without the token where origin and referrer are this server's own.
    """

    def same_origin(handler: Any) -> None:
        # Tornado calls this before the user is known, and the server calls it again after.
        if hasattr(handler, "_jupyter_current_user") and not (handler.check_origin() and handler.check_referer()):
            raise web.HTTPError(403)

    VoilaShutdownKernelHandler.check_xsrf_cookie = same_origin
