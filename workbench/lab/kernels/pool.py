"""Keep warm processes for a server: start them, hold them, bring them back."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from traitlets.config import SingletonConfigurable

from workbench.lab.kernels.asking import NotWarmError, ask_to_hold, connect
from workbench.lab.kernels.meeting import USELESS, meeting_folder, peer, private_folder
from workbench.lab.kernels.profiles import PROFILES
from workbench.lab.kernels.surroundings import INLINE, READ_AT_IMPORT, surroundings_key

SINGLE = {
    # Threads that these would start while they are imported are not in a fork.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "_RJEM_MALLOC_CONF": "background_thread:false",
    # Where there is a notebook, these two give functions a better signature as they are imported.
    "HVPLOT_PATCH_PLOT_DOCSTRING_SIGNATURE": "true",
    "PARAM_PARAMETER_SIGNATURE": "true",
}
NEEDED = {"PATH", "VIRTUAL_ENV", "TMPDIR", "USER", "LOGNAME"}
"""What else it is started with. All other variables are each kernel's own: those that a process was started with can be
read for as long as it lives, and settings, keys and tokens are among them.
"""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
END_SECONDS = 5.0


class WarmPool(SingletonConfigurable):
    """The warm processes that this server keeps, one for each profile that was asked for.

    With the server end its holds, and with the last hold a warm process.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._keepers: dict[tuple[Path, str], Keeper] = {}
        self._guard = threading.Lock()
        self._closed = False

    def keep(self, profile: str, environment: Mapping[str, str]) -> bool:
        """See to it that there is a warm process for kernels of this profile with these variables.

        Where there can be none (no place for its socket, another system than Linux), the log says so. Once the pool is
        closed, nothing is kept any more.

        Returns
        -------
        bool
            Whether it was kept before.
        """
        try:
            place = _place(profile, environment)
            with self._guard:
                if place in self._keepers:
                    return True
                if not self._closed:
                    self._keepers[place] = Keeper(profile, place[1], environment, self.log)
                    self._keepers[place].start()
        except (OSError, KeyError) as error:
            # A system that is nearly Linux has a /proc without some of its lines.
            self.log.warning("%s kernels start cold: %s", PROFILES[profile].title, error)
        return False

    def replace(self, profile: str, environment: Mapping[str, str]) -> None:
        """End a warm process that does not answer, so that another takes its place."""
        keeper = self._keepers.get(_place(profile, environment))
        if keeper:
            keeper.kill()

    def close(self) -> None:
        """Let go of all of them, and wait until those have ended that nobody else holds."""
        with self._guard:
            self._closed = True
            keepers, self._keepers = list(self._keepers.values()), {}
        for keeper in keepers:
            keeper.close()


def _place(profile: str, environment: Mapping[str, str]) -> tuple[Path, str]:
    # Kernels of two homes do not meet.
    return meeting_folder(environment), surroundings_key(profile, environment)


class Keeper(threading.Thread):
    """Hold one warm process, and start another when it has ended; the pauses grow where they end again and again."""

    def __init__(self, profile: str, key: str, environment: Mapping[str, str], log: logging.Logger) -> None:
        super().__init__(name=f"warm {profile}", daemon=True)
        self.profile = PROFILES[profile]
        self.key, self.log = key, log
        shared = {k: value for k, value in environment.items() if k in NEEDED or k.startswith(READ_AT_IMPORT)}
        # Where a kernel has no other backend, ipykernel sets this one; matplotlib reads it when it is imported.
        self.environment = {"MPLBACKEND": INLINE, **shared, **SINGLE}
        self.folder = private_folder(meeting_folder(environment))
        self.closing = threading.Event()
        self._starting = threading.Lock()
        self.connection: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None
        self.ready = threading.Event()
        # The process's descriptor: a number may be another's by the time it is used.
        self._watch: int | None = None
        self._watching = threading.Lock()

    def run(self) -> None:
        """Keep it."""
        pause = FIRST_PAUSE
        while not self.closing.is_set():
            began = time.monotonic()
            try:
                reason = self._hold_one()
            except OSError as error:
                # No memory for another process, no descriptors.
                reason = str(error)
            if self.closing.is_set():
                return
            if self.process and self.process.returncode == USELESS:
                self.log.error(
                    "%s kernels start cold until the server is started again; see the lines above", self.profile.title
                )
                return
            told = "the warm process of %s kernels is gone (%s); they start cold until another is ready"
            self.log.warning(told, self.profile.title, reason)
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            self.closing.wait(pause)

    def kill(self) -> None:
        """End the warm process, whatever it is doing: also one that hangs while it imports."""
        with self._watching, suppress(ProcessLookupError):
            if self._watch is not None:
                signal.pidfd_send_signal(self._watch, signal.SIGKILL)

    def close(self) -> None:
        """Let go of it."""
        with self._starting:
            self.closing.set()
        if self.connection:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        if self.process and not self.ready.is_set():
            # It is still importing, and would notice only after that.
            self.process.terminate()
        self.join(END_SECONDS)
        if self.process:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(END_SECONDS)

    def _hold_one(self) -> str:
        """Hold the process, started here if need be, until it ends; return why."""
        self.process = self.pid = None
        self.ready.clear()
        while not self.closing.is_set():
            try:
                self.connection = connect(self.folder, self.key)
                break
            except NotWarmError as error:
                if not error.missing:
                    return str(error)
            if self.process is None:
                with self._starting:
                    # What is started after ``close`` has looked would be ended by nobody.
                    self.process = None if self.closing.is_set() else self._start()
            elif self.process.poll():
                return f"it ended with code {self.process.returncode}"
            elif self.process.returncode == 0:
                # Another was there: it is about to listen, or it was about to end.
                self.process = None
                self.closing.wait(FIRST_PAUSE)
            self.closing.wait(0.05)
        else:
            return "closing"
        with self.connection:
            if self.closing.is_set():
                return "closing"
            with self._watched(self.connection):
                self.pid = ask_to_hold(self.connection)
                self.ready.set()
                with suppress(OSError):
                    self.connection.recv(1)
        self.pid = None
        return f"it ended with code {self.process.wait()}" if self.process else "it ended"

    @contextmanager
    def _watched(self, connection: socket.socket) -> Iterator[None]:
        """Have a descriptor of the process at the other end, by which ``kill`` knows it before it has answered."""
        watch = os.pidfd_open(peer(connection)[0])
        self._watch = watch
        try:
            yield
        finally:
            with self._watching:
                self._watch = None
                os.close(watch)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "workbench.lab.kernels.warm", "--profile", self.profile.name]
        return subprocess.Popen(  # noqa: S603 - no part of it is a user's
            [*command, str(self.folder), self.key],
            env=self.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
