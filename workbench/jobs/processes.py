"""The processes of a run: found although they went into sessions of their own, and ended wholly.

A runner is a subreaper, so what its notebook starts stays among its descendants, however it forks. Of a runner that was
killed nobody is a descendant any more: then the run's variables tell, which every process of it was started with.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil

from workbench.jobs.identity import lives
from workbench.jobs.records import Identity

RUN, ATTEMPT = "WORKBENCH_RUN_ID", "WORKBENCH_RUN_ATTEMPT"
"""The variables that each process of an attempt has."""

_SUBREAPER = 36
"""``PR_SET_CHILD_SUBREAPER`` of prctl(2)."""
_PATIENCE = 5.0


def keep_descendants() -> None:
    """Let orphaned descendants become children of this process instead of the machine's first one; Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int | None = None) -> list[psutil.Process]:
    """Return what a process, by itself this one, has started and what that has; none where it is gone."""
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
        return found
    except psutil.Error:
        return []


def bury(children: Iterable[psutil.Process], own: Iterable[int]) -> None:
    """Take leave of dead children that this process did not start itself: ``own`` are waited for by who did."""
    kept = {*own}
    for child in children:
        with suppress(psutil.Error, ChildProcessError):
            if child.ppid() == os.getpid() and child.pid not in kept and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def end_own() -> int:
    """End every descendant of this process; return how many they were."""
    return _end(lambda: descendants(), ())


def end_tree(run: str, n: int, identity: Identity | None = None) -> int:
    """End what an attempt has left on this machine: its runner, if it still lives, and all that it started.

    Parameters
    ----------
    run : str
    n : int
        The attempt; another attempt at the same run is left alone.
    identity : Identity, optional
        Of the runner. One of another machine is left alone.

    Returns
    -------
    int
        How many processes were ended.
    """
    spared = {os.getpid(), *(each.pid for each in psutil.Process().parents())}

    def found() -> list[psutil.Process]:
        tree = _tagged(run, n)
        if identity is not None and identity.pid not in spared and lives(identity):
            with suppress(psutil.Error):
                tree += [psutil.Process(identity.pid), *descendants(identity.pid)]
        # A process forked from one with the variables may have been given others.
        return tree + [child for each in tree for child in descendants(each.pid)]

    return _end(found, spared)


def _tagged(run: str, n: int) -> list[psutil.Process]:
    """Return the processes with an attempt's variables."""
    found, wanted = [], (run, str(n))
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            variables = process.environ()
            if (variables.get(RUN), variables.get(ATTEMPT)) == wanted:
                found.append(process)
    return found


def _end(found: Callable[[], list[psutil.Process]], spared: Iterable[int]) -> int:
    """Stop all before ending any: what runs on would fork while the others are ended."""
    kept, stopped = {*spared}, dict[int, psutil.Process]()
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        new = {each.pid: each for each in found() if each.pid not in kept and each.pid not in stopped}
        if not new:
            break
        _stop(new)
        stopped |= new
    for process in stopped.values():
        _send(process, signal.SIGKILL)
    _wait(stopped.values())
    return len(stopped)


def _stop(processes: dict[int, psutil.Process]) -> None:
    # A group at once first: of one that forks without end, few can be stopped singly before they have forked again.
    groups = {group for pid in processes if (group := _group(pid)) and group != os.getpgrp()}
    for group in groups & processes.keys():
        with suppress(OSError):
            os.killpg(group, signal.SIGSTOP)
    for process in processes.values():
        _send(process, signal.SIGSTOP)


def _send(process: psutil.Process, number: int) -> None:
    # psutil looks first whether the number is still the same process's.
    with suppress(psutil.Error, OSError):
        process.send_signal(number)


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _wait(processes: Iterable[psutil.Process]) -> None:
    """Wait until they have ended; a zombie has, and is left to its parent."""
    until = time.monotonic() + _PATIENCE
    left = [*processes]
    while left and time.monotonic() < until:
        left = [each for each in left if _runs(each)]
        time.sleep(0.02 if left else 0)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False
