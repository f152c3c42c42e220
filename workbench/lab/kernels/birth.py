"""What a fork of the warm process does before it is a kernel of its own."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from workbench.lab.kernels.surroundings import Circumstances


@dataclass(frozen=True, slots=True)
class Birth:
    """A kernel that was asked for.

    Attributes
    ----------
    arguments : list of str
        The kernel's own, such as ``-f CONNECTION_FILE``.
    circumstances : Circumstances
    output, errors : int
        The descriptors that become its standard output and error.
    lifeline : socket
        Its other end is held by the process that asked.
    bound : bool
        The kernel ends with the process that asked for it.
    """

    arguments: list[str]
    circumstances: Circumstances
    output: int
    errors: int
    lifeline: socket.socket
    bound: bool

    @classmethod
    def asked(
        cls, wanted: dict[str, Any], handles: list[int], lifeline: socket.socket, brought: Mapping[str, str]
    ) -> Birth:
        """Read a request; ``brought`` are variables that a kernel has where its asker has no other value.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it lacks something, or has what no request has.
        """
        output, errors = handles
        asked = wanted["circumstances"]
        circumstances = Circumstances(**{**asked, "environment": {**brought, **asked["environment"]}})
        return cls(list(wanted["arguments"]), circumstances, output, errors, lifeline, bool(wanted["bound"]))


def fork() -> int:
    """Fork, as ``os.fork``; an interrupt of the fork waits until it has settled, before which it would end it.

    Raises
    ------
    OSError
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def settle(birth: Birth) -> None:
    """Turn this fork into a process that looks as if its asker had started it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # As ipykernel does between two cells: an interrupt does not end a kernel that is about to start.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    Path("/proc/self/comm").write_text("trii-kernel")
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (birth.output, 1), (birth.errors, 2)):
        os.dup2(source, target)
        os.close(source)
    birth.circumstances.take_over()
    # Found with the warm process's TMPDIR.
    tempfile.tempdir = None
    gc.enable()
    _own_randomness()
    _own_threads()
    if birth.bound:
        threading.Thread(target=_end_with, args=(birth.lifeline,), name="lifeline", daemon=True).start()


def _own_randomness() -> None:
    """Seed numpy's global generator anew: Python's own does so after a fork, numpy's would be the same in each."""
    import numpy as np

    np.random.seed()  # noqa: NPY002 - the global one is meant: a user's notebook may draw from it


def _own_threads() -> None:
    """Give BLAS the threads that it would have had: the warm process was started with one."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(blas_threads(os.environ, len(os.sched_getaffinity(0))), user_api="blas")


def blas_threads(environment: Mapping[str, str], processors: int) -> int:
    """Return how many threads OpenBLAS takes by itself: what the first of its variables says, one a processor at most.

    Source: ``blas_get_cpu_number`` in OpenBLAS's ``driver/others/memory.c``.
    """
    told = (environment.get(f"{name}_NUM_THREADS", "").split(",")[0].strip() for name in ("OPENBLAS", "GOTO", "OMP"))
    return min(next((int(each) for each in told if each.isdecimal() and int(each)), processors), processors)


def _end_with(lifeline: socket.socket) -> None:
    """End when the process that asked is gone, as a kernel ends when its parent does."""
    while True:
        try:
            if not lifeline.recv(1):
                os._exit(1)
        except OSError:
            os._exit(1)


def depart() -> NoReturn:
    """End a fork as an interpreter ends, but without taking apart what it shares with the warm process.

    Threads that must end are waited for, exit functions run, and what the notebook made is let go of, so that its files
    are written. The libraries' own objects are left alone: to free them is to copy every page they lie on.
    """
    # The interpreter's own way: it tells executors to let their idle threads go, which to join would wait for ever.
    with suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    vars(sys.modules["__main__"]).clear()
    gc.collect()
    for stream in filter(None, (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)):
        with suppress(Exception):
            stream.flush()
    os._exit(0)
