"""Who a process is, and whether it still lives: its id alone may be another's by now."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import psutil

from workbench.jobs.records import Identity

_PROC = Path("/proc")
_FIRST_NAMESPACE = "pid:[4026531836]"
"""What Linux calls the process ids of a machine that is no container."""


def own_identity() -> Identity:
    """Return the identity of this process."""
    pid = os.getpid()
    host, boot = _machine()
    ticks = started_ticks(pid)
    return Identity(host, boot, pid, ticks if ticks is not None else 0)


def lives(identity: Identity) -> bool | None:
    """Say whether a process still lives.

    Returns
    -------
    bool, optional
        ``False`` if it is surely dead: its machine has started anew since, or its process id is nobody's, another
        one's or a zombie's. ``None`` if that cannot be told from here: it ran on another machine or in another
        container, or belongs to somebody whose processes are hidden.
    """
    host, boot = _machine()
    if identity.host != host:
        return None
    if identity.boot != boot:
        return False
    ticks = started_ticks(identity.pid)
    if ticks is None and _is_hidden(identity.pid):
        return None
    return ticks == identity.ticks


def started_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since its machine did; ``None`` if there is none that runs."""
    if not _PROC.is_dir():
        return _started_elsewhere(pid)
    try:
        # The name, in brackets, may hold blanks and brackets itself: proc(5), fields 2, 3 and 22.
        state, *rest = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(rest[18])


def _started_elsewhere(pid: int) -> int | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time() * 100)
    except psutil.Error:
        return None


def _is_hidden(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not (_PROC / str(pid)).exists()
    except (OSError, OverflowError):
        return False
    return False


@cache
def _machine() -> tuple[str, str]:
    """Return the names of the machine, or container, and of its last start."""
    # Hosts of one name are not one: neither are containers on a machine, whose process ids are their own.
    parts = [socket.gethostname(), _text(Path("/etc/machine-id"))[:12]]
    namespace = _link(_PROC / "self/ns/pid")
    if namespace != _FIRST_NAMESPACE:
        parts.append(namespace.strip("pid:[]"))
    boot = _text(_PROC / "sys/kernel/random/boot_id") or f"{psutil.boot_time():.0f}"
    return "/".join(part for part in parts if part), boot


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
