"""Kernels started through Jupyter's own clients, beside a pool of warm processes, in a home of their own."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager

import workbench.lab
from workbench.lab.kernels.asking import ForkedKernel
from workbench.lab.kernels.pool import Keeper, WarmPool
from workbench.lab.kernels.surroundings import surroundings_key

SHARE = Path(workbench.lab.__file__).parent / "share" / "jupyter"
SECONDS = 120
LONG = "a-folder-with-a-long-name-" * 5
"""A unix socket's own path may have 107 characters."""


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Return the first true answer; fail after a while."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {SECONDS} s for {what}")


def gone(pid: int) -> bool:
    """Whether there is no such process, not even one that nobody has buried."""
    return not Path(f"/proc/{pid}").exists()


def listening(pid: int) -> set[tuple[str, int]]:
    """Return the TCP addresses where a process waits for connections."""
    found = psutil.Process(pid).net_connections("tcp")
    return {tuple(each.laddr) for each in found if each.status == psutil.CONN_LISTEN}


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def private_megabytes(pid: int) -> float:
    """Return what a process shares with no other, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


class Session:
    """One kernel and a client of it."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.ended = False
        self.sockets = Path(manager.ip).parent
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    @property
    def pid(self) -> int:
        return self.manager.provisioner.pid

    @property
    def warm(self) -> bool:
        return isinstance(self.manager.provisioner.process, ForkedKernel)

    def run(self, code: str, answer: str | None = None) -> str:
        """Return what a cell says, an error's name and sentence included; ``answer`` is typed where it asks."""
        said: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "error":
                said.append(f"{content['ename']}: {content['evalue']}")
            said.append(content.get("text") or content.get("data", {}).get("text/plain") or "")

        def type_in(_message: dict[str, Any]) -> None:
            self.client.input(answer)

        # After an error a kernel would drop what it is sent at once.
        options = {"allow_stdin": answer is not None, "stop_on_error": False, "timeout": SECONDS}
        self.client.execute_interactive(code, output_hook=hear, stdin_hook=type_in, **options)
        return "".join(said).strip()

    def tell(self, code: str) -> Any:
        """Return what the last line of a cell prints as JSON."""
        said = self.run(code)
        try:
            return json.loads(said.splitlines()[-1])
        except (ValueError, IndexError):
            raise AssertionError(said) from None

    def end(self, *, now: bool = False) -> None:
        """Shut the kernel down."""
        if not self.ended:
            self.ended = True
            self.client.stop_channels()
            self.manager.shutdown_kernel(now=now)


class Place:
    """A home with its pool and its kernels; ``log`` has every line that was told."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "kernels"
        self.log: list[str] = []
        self.logger = logging.Logger("kernels at work", logging.INFO)
        handler = logging.Handler()
        handler.emit = lambda record: self.log.append(record.getMessage())  # type: ignore[method-assign]
        self.logger.addHandler(handler)
        WarmPool.clear_instance()
        self.pool = WarmPool.instance(log=self.logger)
        self.sessions: list[Session] = []

    def environment(self, profile: str = "workbench", **variables: str) -> dict[str, str]:
        spec = KernelSpecManager().get_kernel_spec(f"trii-{profile}")
        # With this one ipykernel would leave out what it does outside of tests.
        own = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        return {**own, "WORKBENCH_HOME": str(self.home), **spec.env, **variables}

    def keep(self, profile: str = "workbench", **variables: str) -> int:
        """Keep a warm process; return its process id once it answers."""
        self.pool.keep(profile, self.environment(profile, **variables))
        return self.warm_pid(profile, **variables)

    def warm_pid(self, profile: str = "workbench", *, other_than: int | None = None, **variables: str) -> int:
        """Return the process id of the warm process, once there is one that answers."""
        keeper = self.keeper(profile, **variables)
        return wait_for(lambda: keeper.pid != other_than and keeper.pid, "a warm process")

    def keeper(self, profile: str = "workbench", **variables: str) -> Keeper:
        return self.pool._keepers[self.folder, surroundings_key(profile, self.environment(profile, **variables))]

    def manager(self, profile: str = "workbench", kind: type = KernelManager) -> Any:
        return kind(kernel_name=f"trii-{profile}", log=self.logger)

    def start(self, profile: str = "workbench", *, variables: dict[str, str] | None = None, **options: Any) -> Session:
        """Start a kernel and wait until it answers."""
        manager = self.manager(profile)
        manager.start_kernel(env=self.environment(profile, **(variables or {})), **options)
        self.sessions.append(Session(manager))
        return self.sessions[-1]

    def start_many(self, count: int, profile: str = "workbench") -> list[Session]:
        """Start kernels at once, the way Papermill and a server do, and wait until all answer."""
        managers = [self.manager(profile, AsyncKernelManager) for _ in range(count)]

        async def begin() -> None:
            await asyncio.gather(*(each.start_kernel(env=self.environment(profile)) for each in managers))

        asyncio.run(begin())
        started = []
        for each in managers:
            # From here on through a blocking client.
            blocking = self.manager(profile)
            blocking.load_connection_info(each.get_connection_info())
            blocking.provisioner = each.provisioner
            started.append(Session(blocking))
        self.sessions += started
        return started

    def close(self) -> None:
        for session in self.sessions:
            session.end(now=True)
        self.pool.close()
        WarmPool.clear_instance()


@contextmanager
def kernels_at_work(home: Path) -> Iterator[Place]:
    """Give a place to start kernels; everything is ended afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(SHARE))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(home.parent / "runtime"))
        patch.setenv("JUPYTER_CONFIG_DIR", str(home.parent / "config"))
        patch.setenv("IPYTHONDIR", str(home.parent / "ipython"))
        patch.setenv("WORKBENCH_HOME", str(home))
        place = Place(home)
        try:
            yield place
        finally:
            place.close()
