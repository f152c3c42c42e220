"""Start kernels from a warm process, cold where there is none; over sockets in a private folder either way."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from pydantic import TypeAdapter, ValidationError

from workbench.core.files import socket_folder
from workbench.lab.kernels.asking import ForkedKernel, NotWarmError, ask_for_kernel
from workbench.lab.kernels.meeting import meeting_folder
from workbench.lab.kernels.pool import WarmPool
from workbench.lab.kernels.surroundings import Circumstances, surroundings_key

TAKEN_OVER = {"env", "cwd", "stdin", "stdout", "stderr", "independent", "kernel_id", "extra_arguments"}
"""What of a process's options a fork can follow."""

END_SECONDS = 5.0

COMMAND = [sys.executable, "-m", "workbench.lab.kernels.kernel", "--profile"]
"""How the command of our kernels begins; the profile comes next."""


class WarmProvisioner(LocalProvisioner):
    """A local kernel that is forked from a warm process where that gives the same kernel.

    A kernel of another user, control group, resource limit or import-time variable than the warm process has starts
    cold, and so does every kernel on a system without process descriptors (anything but Linux).
    """

    _sockets: ExitStack | None = None
    _before: tuple[str, str] = ("tcp", "127.0.0.1")

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Choose sockets instead of TCP ports, whatever the one who starts the kernel has set."""
        manager: Any = self.parent
        if manager.transport != "ipc":
            self._sockets, self._before = ExitStack(), (manager.transport, manager.ip)
            manager.transport, manager.ip = "ipc", f"{self._sockets.enter_context(socket_folder())}/k"
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel and return its connection."""
        # A fork takes a moment, or a warm process that is still importing some seconds.
        asked = asyncio.get_running_loop().run_in_executor(None, self._forked, cmd, kwargs)
        try:
            forked = await asyncio.shield(asked)
        except asyncio.CancelledError:
            # The thread goes on; nobody would know of what it brings.
            asked.add_done_callback(_end)
            raise
        if forked is None:
            return await super().launch_kernel(cmd, **kwargs)
        # Its own group, as soon as it is there; until then the group is the warm process's.
        process: Any = forked
        self.process, self.pid, self.pgid = process, forked.pid, forked.pid
        self.cwd = kwargs.get("cwd") or Path.cwd()
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel's group; to nobody once the kernel has ended, as its number is then free."""
        process: Any = self.process
        if process and process.poll() is None:
            await super().send_signal(signum)

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the folder of the sockets; a manager that starts another kernel gets another folder."""
        await super().cleanup(restart=restart)
        if self._sockets and not restart:
            self._sockets.close()
            manager: Any = self.parent
            manager.transport, manager.ip = self._before
            self._sockets = None

    def _forked(self, cmd: list[str], options: Mapping[str, Any]) -> ForkedKernel | None:
        """Return a forked kernel, or ``None`` for a cold start, which the log explains."""
        environment: dict[str, str] = options.get("env") or dict(os.environ)
        if cmd[: len(COMMAND)] != COMMAND:
            self.log.info("the kernel starts cold: %s is another's command", " ".join(cmd[:3]))
            return None
        if not _wanted(environment):
            return None
        profile = cmd[len(COMMAND)]
        pool = WarmPool.instance() if WarmPool.initialized() else None
        try:
            return self._ask(profile, cmd, environment, options)
        except NotWarmError as error:
            kept = pool is not None and pool.keep(profile, environment)
            # The first of its kind starts cold, and so does each where no server keeps warm processes.
            tell = self.log.warning if kept or not error.missing else self.log.info
            tell("the kernel starts cold: %s", error)
            if pool and error.hung:
                pool.replace(profile, environment)
            return None

    def _ask(
        self, profile: str, cmd: list[str], environment: dict[str, str], options: Mapping[str, Any]
    ) -> ForkedKernel:
        if not hasattr(os, "pidfd_open") or not sys.platform.startswith("linux"):
            raise NotWarmError("this system has no process descriptors", missing=True)
        if unknown := options.keys() - TAKEN_OVER:
            raise NotWarmError(f"a fork cannot follow the option {min(unknown)!r}")
        streams = _descriptor(options.get("stdout"), 1), _descriptor(options.get("stderr"), 2)
        folder = options.get("cwd")
        if folder and not os.access(folder, os.X_OK):
            raise NotWarmError(f"there is no folder {folder}")
        own = {name: value for name, value in environment.items() if name != "JPY_PARENT_PID"}
        try:
            return ask_for_kernel(
                meeting_folder(environment),
                surroundings_key(profile, environment),
                cmd[len(COMMAND) + 1 :],
                Circumstances.here(own, folder),
                streams,
                bound=not options.get("independent"),
            )
        except (OSError, KeyError) as error:
            # A system that is nearly Linux has a /proc without some of its lines.
            raise NotWarmError(f"the warm process cannot be asked ({error})") from error


def _wanted(environment: Mapping[str, str]) -> bool:
    """Whether the settings of the kernel to be let it come from a warm process; what is no answer, it says itself."""
    try:
        return TypeAdapter(bool).validate_python(environment.get("WORKBENCH_WARM_KERNELS", "true"))
    except ValidationError:
        return True


def _end(asked: asyncio.Future[ForkedKernel | None]) -> None:
    """End the kernel that a start has brought after it was cancelled."""
    if not asked.cancelled() and not asked.exception() and (kernel := asked.result()):
        kernel.kill()
        kernel.wait(END_SECONDS)


def _descriptor(stream: Any, own: int) -> int:
    """Return the descriptor of a stream of ``subprocess``; a pipe or a redirection is made by a cold start only."""
    if stream is None:
        return own
    if isinstance(stream, int) and stream < 0:
        raise NotWarmError("its output goes to a pipe")
    return stream if isinstance(stream, int) else int(stream.fileno())
