"""Start a real PostgreSQL on a unix socket, and end it whatever happens."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60
PORT = 5432  # only the name of the socket
USER = "workbench"
PASSWORD = "not-to-be-shown"

CONFIGURATION = f"""
listen_addresses = ''
port = {PORT}
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 64MB
max_connections = 40
log_min_messages = warning
"""


@dataclass
class PostgresServer:
    """A cluster in ``folder``: ``url`` is a database's address."""

    folder: Path
    process: subprocess.Popen | None = None

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://{USER}:{password}@/{database}?host={self.folder}&port={PORT}"

    def create_database(self, name: str) -> str:
        self.run("createdb", "--template=template0", name)
        return self.url(name)

    def query(self, database: str, statement: str) -> str:
        return self.run("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", statement, database)

    def run(self, tool: str, *arguments: str) -> str:
        """Run one of PostgreSQL's own tools as the cluster's user."""
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        command = [str(tools() / tool), "--host", str(self.folder), "--port", str(PORT), "--username", USER, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{tool} ended with {done.returncode}: {done.stderr}"
        return done.stdout.strip()

    def start(self) -> None:
        log = (self.folder / "server.log").open("a")
        command = [str(tools() / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        with log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **_as_owner())
        ready = [str(tools() / "pg_isready"), "-q", "-t", "1", "-h", str(self.folder), "-p", str(PORT)]
        for _ in range(START_SECONDS * 20):
            if subprocess.run(ready).returncode == 0:
                return
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(f"PostgreSQL did not start:\n{(self.folder / 'server.log').read_text()}")

    def stop(self) -> None:
        """End at once, as a crash does, but with the clients told."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)  # the fast shutdown: connections are cut, work is rolled back
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)
        self.process = None


def tools() -> Path:
    """The newest PostgreSQL here; Debian keeps its tools off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    own = shutil.which("postgres")
    assert found or own, "the tests need PostgreSQL; install it: apt-get install postgresql"
    return found[-1] if found else Path(own).resolve().parent


def _as_owner() -> dict:
    """PostgreSQL refuses to run as root: be another user then."""
    if os.getuid():
        return {}
    for name in ("postgres", "nobody"):
        try:
            owner = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    raise AssertionError("PostgreSQL needs a user that is not root; add one: useradd --system postgres")


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A cluster that holds nothing, in a folder with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    owner = _as_owner()
    if owner:
        os.chown(folder, owner["user"], owner["group"])
    server = PostgresServer(folder)
    try:
        folder.chmod(0o755)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        command = [str(tools() / "initdb"), "-D", str(folder / "data"), "--username", USER, "--auth=scram-sha-256"]
        options = ["--pwfile", str(secret), "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=folder, **owner)
        assert done.returncode == 0, f"initdb ended with {done.returncode}: {done.stderr}"
        with (folder / "data" / "postgresql.conf").open("a") as stream:
            stream.write(CONFIGURATION)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
