"""The Panel apps, served by one process on a private unix socket."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path

from workbench.core.errors import ServerError
from workbench.lab.children import end_child

START_SECONDS = 60


class PanelProcess:
    """One ``panel serve``, which ends with this process, however that ends.

    Parameters
    ----------
    apps : sequence of Path
        The apps' files.
    socket : Path
        Where it listens; the folder is private to the user.
    prefix : str
        The URL path under which the apps are reached from outside.
    """

    def __init__(self, apps: Sequence[Path], socket: Path, prefix: str) -> None:
        self.apps = apps
        self.socket = socket
        self.prefix = prefix
        self.process: Process | None = None

    async def start(self) -> None:
        """Start the process and wait until it answers.

        Raises
        ------
        ServerError
            If it stops, or does not answer in time.
        """
        command = [
            *(sys.executable, "-m", "workbench.lab.panel_server", "serve", *map(str, self.apps)),
            *("--unix-socket", str(self.socket), "--prefix", self.prefix, "--log-level", "error"),
            # The socket is private, and the server in front of it checks the origin.
            *("--allow-websocket-origin", "*"),
        ]
        # `server`: pages take every script and stylesheet from this process.
        # A file of the user's that is named like a library must not take its place.
        environment = {**os.environ, "BOKEH_RESOURCES": "server", "PYTHONSAFEPATH": "1"}
        self.process = await asyncio.create_subprocess_exec(
            *command, env=environment, start_new_session=True, stdin=PIPE
        )
        for _ in range(START_SECONDS * 10):
            if self.process.returncode is not None:
                raise ServerError(f"the Panel apps stopped with code {self.process.returncode}; see the lines above")
            if await self._answers():
                return
            await asyncio.sleep(0.1)
        raise ServerError(f"the Panel apps did not answer within {START_SECONDS} s; see the lines above")

    async def stop(self) -> None:
        """End the process and whatever it started."""
        if self.process is not None:
            await end_child(self.process)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        writer.close()
        return True
