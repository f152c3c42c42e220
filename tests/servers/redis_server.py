"""Start a real Redis on a unix socket, and end it whatever happens."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quote_server import until


@dataclass
class RedisServer:
    """A server: ``url`` is its address."""

    url: str
    process: subprocess.Popen

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def answers(path: Path) -> bool:
    """Return whether somebody listens: the file is there a little earlier."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """Run ``redis-server`` with no TCP port and nothing on disk."""
    program = shutil.which("redis-server")
    assert program, "redis-server is not installed"
    # Not pytest's own folder: the name of a socket may have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        path = Path(folder) / "redis.sock"
        command = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
        process = subprocess.Popen([*command, "--dir", folder, *options], stdout=subprocess.DEVNULL)
        try:
            until(lambda: answers(path))
            yield RedisServer(f"unix://{path}", process)
        finally:
            process.kill()
            process.wait()
