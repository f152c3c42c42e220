"""Start the real ``workbench lab`` or ``workbench apps``, and see that it ends well."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

START_SECONDS = 60
STOP_SECONDS = 30
MARK = "TRII_TEST_SERVER"


@dataclass(frozen=True)
class Server:
    """A server that answers: ``url`` is what it printed, ``base`` its address with the prefix."""

    process: subprocess.Popen
    url: str
    base: str
    token: str
    home: Path
    log: Path
    mark: str

    @property
    def port(self) -> int:
        return int(re.search(r":(\d+)/", self.base)[1])

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def processes(self) -> list[psutil.Process]:
        """Itself and everything it started, also what has left its process tree."""
        return [process for process in psutil.process_iter() if self._has_started(process)]

    def _has_started(self, process: psutil.Process) -> bool:
        try:
            # A warm process knows nothing of the server's variables, and a forked kernel looks as that was started: the
            # folder of their sockets is in the command.
            return process.environ().get(MARK) == self.mark or str(self.home / "kernels") in process.cmdline()
        except psutil.Error:
            return False


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(mode: str, folder: Path, prefix: str = "/", **environment: str) -> Iterator[Server]:
    """Serve with an empty HOME and WORKBENCH_HOME under ``folder``; end with Ctrl-C and look at what is left."""
    user, home, log, mark = folder / "user", folder / "home", folder / "server.log", uuid.uuid4().hex
    user.mkdir(parents=True, exist_ok=True)
    port = unused_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "JUPYTER"))}
    own = {"HOME": str(user), "WORKBENCH_HOME": str(home), "WORKBENCH_NO_BROWSER": "1", MARK: mark}
    command = [str(Path(sys.executable).with_name("workbench")), mode, "--port", str(port), "--base-url", prefix]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, env={**kept, **own, **environment}, stdout=stream, stderr=stream, cwd=user, start_new_session=True
        )
    try:
        url = _announced(process, log)
        base = f"http://127.0.0.1:{port}{prefix}"
        server = Server(process, url, base, url.partition("?token=")[2], home, log, mark)
        yield server
        _end(server)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _announced(process: subprocess.Popen, log: Path) -> str:
    for _ in range(START_SECONDS * 10):
        found = re.search(r"http://\S+\?token=\w+", log.read_text())
        if found:
            return found[0]
        assert process.poll() is None, f"the server ended with {process.returncode}:\n{log.read_text()}"
        time.sleep(0.1)
    raise AssertionError(f"no address within {START_SECONDS} s:\n{log.read_text()}")


def _end(server: Server) -> None:
    started = server.processes()
    server.process.send_signal(signal.SIGINT)
    code = server.process.wait(STOP_SECONDS)
    psutil.wait_procs(started, timeout=2)
    left = server.processes()
    names = [" ".join(process.cmdline()) for process in left]
    for process in left:
        process.kill()
    assert code == 0, f"the server ended with {code}:\n{server.log.read_text()}"
    assert not names, f"still running after the server: {names}"
