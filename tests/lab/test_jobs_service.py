"""A service beside a server, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import sys

from workbench.lab import services
from workbench.lab.services import ServiceProcess

WAITS = (sys.executable, "-c", "from workbench.core.parent import when_parent_ends as e; import os, signal; "
         "e(lambda: os._exit(7)); signal.pause()")  # fmt: skip
STUBBORN = (sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN)\nwhile True: signal.pause()")
LOG = logging.getLogger("test")


async def until(found):
    for _ in range(200):
        if found():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("waited 10 s")


def test_a_service_that_cannot_be_started_again_is_tried_until_it_can(monkeypatch, caplog):
    monkeypatch.setattr(services, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(services, "LONGEST_PAUSE", 0.02)

    async def live():
        process = ServiceProcess(LOG, ("true",), "it")
        await process.start()
        process.command = ("/no/such/program",)
        await until(lambda: "it cannot be started" in caplog.text)
        process.command = ("cat",)
        await until(lambda: process.process.returncode is None)
        await process.stop()

    asyncio.run(live())


def test_it_sees_the_end_of_its_input():
    async def live():
        process = ServiceProcess(LOG, WAITS, "it")
        await process.start()
        child = process.process
        await process.stop()
        return child.returncode

    assert asyncio.run(live()) == 7


def test_one_that_does_not_end_when_asked_is_killed(monkeypatch):
    monkeypatch.setattr("workbench.lab.children.STOP_SECONDS", 0.5)

    async def live():
        process = ServiceProcess(LOG, STUBBORN, "it")
        await process.start()
        child = process.process
        await process.stop()
        return child.returncode

    assert asyncio.run(live()) in (-9, -15)
