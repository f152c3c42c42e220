"""The processes beside a server: each in a session of its own, which sees this process's end on its standard input."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from contextlib import suppress

STOP_SECONDS = 5.0


async def end_child(process: Process) -> None:
    """End a child that was started with ``start_new_session`` and ``stdin=PIPE``.

    Its input ends first, then it is asked by SIGTERM, then it is killed with its session.
    """
    if process.returncode is not None:
        return
    assert process.stdin is not None  # noqa: S101 - it was asked for
    process.stdin.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
            return
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
    await process.wait()
