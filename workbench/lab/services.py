"""A service beside a Lab server: a command of the workbench that is watched, and ends with the server."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

from workbench.lab.children import end_child

# -P: a file of the user's that is named like a library must not take its place. What runs start is not bound by it.
PROGRAM = (sys.executable, "-P", "-m", "workbench")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class ServiceProcess:
    """One service, which is started again when it ends by itself.

    It reads an end of file where this process ends, however that happens, and then takes up nothing more; runs that are
    at work go on by themselves.

    Parameters
    ----------
    log : logging.Logger
    command : sequence of str
    name : str
        What it is, for the log.
    """

    def __init__(self, log: logging.Logger, command: Sequence[str], name: str) -> None:
        self.log = log
        self.command = command
        self.name = name
        self.process: Process | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and go on watching it."""
        await self._start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End it; a run has a session of its own, and goes on."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        process, self.process = self.process, None
        if process is not None:
            await end_child(process)

    async def _start(self) -> None:
        # The folder for sockets of this server is removed with it; a run may still need its own then.
        environment = {name: value for name, value in os.environ.items() if name != "JUPYTER_RUNTIME_DIR"}
        self.process = await asyncio.create_subprocess_exec(
            *self.command, env=environment, start_new_session=True, stdin=PIPE, stdout=DEVNULL
        )

    async def _watch(self) -> None:
        pause, clock = FIRST_PAUSE, asyncio.get_running_loop().time
        while self.process is not None:
            began = clock()
            code = await self.process.wait()
            pause = FIRST_PAUSE if clock() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            self.log.warning("%s ended with code %s; it is started again in %g s", self.name, code, pause)
            await asyncio.sleep(pause)
            try:
                await self._start()
            except OSError as error:
                # Such as no process being left: it is tried again, with the one that has ended in its place.
                self.log.error("%s cannot be started (%s)", self.name, error)
