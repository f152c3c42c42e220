"""Where a warm process and those who ask it meet: a folder, the names in it, and who is at the other end."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from workbench.core.settings import default_home

COMING, READY = "coming", "ready"
"""Endings of a socket's name: the process is still importing; it answers at once."""
LOCK = "lock"
"""Ending of the file that a warm process has locked while it lives."""

MESSAGE_BYTES = 1 << 20

USELESS = 3
"""Exit code of one whose imports start threads, or whose folder holds no sockets: another would fare no better.

Imports that fail are no such case: an installation may be under way.
"""


def meeting_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder for the sockets of a kernel with these variables; it need not be there."""
    return Path(environment.get("WORKBENCH_HOME") or default_home()).absolute() / "kernels"


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user can enter, if need be.

    Raises
    ------
    PermissionError
        If it is another user's.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    folder.chmod(0o700)
    return folder


def lock(folder: Path, key: str) -> int | None:
    """Lock a key's file for as long as the descriptor is open; ``None`` where another process has it."""
    path = folder / f"{key}.{LOCK}"
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it may have taken the file away: then this is a lock on nothing.
            if path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        os.close(handle)


def clear(folder: Path, key: str) -> None:
    """Take away what a warm process has put there; who calls it has the lock."""
    for ending in (COMING, READY, LOCK):
        (folder / f"{key}.{ending}").unlink(missing_ok=True)


@contextmanager
def cleared(folder: Path, key: str) -> Iterator[None]:
    """Take away what lies in the folder when this process ends, also by SIGTERM; its forks leave it there."""
    owner = os.getpid()

    def end(*_: object) -> None:
        # Not an exception: it is lost where it is raised in a destructor.
        if os.getpid() == owner:
            clear(folder, key)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if os.getpid() == owner:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            clear(folder, key)


def sweep(folder: Path) -> None:
    """Take away what those have left that were killed; one that lives has its lock."""
    for path in folder.glob(f"*.{LOCK}"):
        if (handle := lock(folder, path.stem)) is not None:
            clear(folder, path.stem)
            os.close(handle)


@contextmanager
def inside(path: Path) -> Iterator[str]:
    """Give a short address of a socket, whose whole path may be longer than the 107 characters that are allowed."""
    handle = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return the process and the user at the other end of a unix socket."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid = (int.from_bytes(found[at : at + 4], sys.byteorder) for at in (0, 4))
    return pid, uid
