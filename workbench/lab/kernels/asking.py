"""Ask a warm process for a kernel, or to stay."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

from workbench.lab.kernels.meeting import COMING, MESSAGE_BYTES, READY, inside, peer
from workbench.lab.kernels.surroundings import Circumstances

ANSWER_SECONDS = 5.0
COMING_SECONDS = 30.0
"""How long to wait for one that is still importing: a cold kernel would have to import, too."""
UNKNOWN_EXIT = 1


class NotWarmError(Exception):
    """There is no kernel to be had from a warm process.

    Attributes
    ----------
    missing : bool
        None is there; otherwise there is one, and it did not do.
    hung : bool
        It did not answer in time.
    """

    def __init__(self, reason: str, *, missing: bool = False, hung: bool = False) -> None:
        super().__init__(reason)
        self.missing, self.hung = missing, hung


class ForkedKernel:
    """A forked kernel, as far as ``subprocess.Popen`` is asked for one.

    Parameters
    ----------
    pid : int
    watch : int
        The process's descriptor: it stays true where the number would be given to another process.
    lifeline : socket
        Tells how the kernel ended; the kernel ends when this side is closed.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, watch: int, lifeline: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._watch = watch
        # Not the object: a kernel does not end because nobody in this process refers to it any more.
        self._lifeline = lifeline.detach()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or ``None`` while it runs."""
        if self.returncode is None and _ended(self._watch, 0):
            self.returncode = self._how()
            os.close(self._watch)
            os.close(self._lifeline)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended.

        Raises
        ------
        TimeoutError
        """
        if self.returncode is None and not _ended(self._watch, timeout):
            raise TimeoutError(f"the kernel {self.pid} did not end within {timeout} s")
        code = self.poll()
        return UNKNOWN_EXIT if code is None else code

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel alone."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._watch, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _how(self) -> int:
        """Return how it ended; where the warm process is gone, only who was given the orphan knows."""
        with suppress(ChildProcessError):
            # In a container the server may be the first process: then it is the one to bury it.
            found = os.waitid(os.P_PIDFD, self._watch, os.WEXITED | os.WNOHANG)
            if found:
                return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        with socket.socket(fileno=os.dup(self._lifeline)) as line, suppress(OSError, ValueError):
            line.settimeout(1.0)
            return int(json.loads(line.recv(MESSAGE_BYTES))["exit"])
        return UNKNOWN_EXIT


def _ended(watch: int, timeout: float | None) -> bool:
    # Not ``select``, which knows the first 1,024 descriptors only.
    poller = select.poll()
    poller.register(watch, select.POLLIN)
    return bool(poller.poll(None if timeout is None else 1000 * timeout))


def ask_for_kernel(
    folder: Path, key: str, arguments: list[str], circumstances: Circumstances, streams: tuple[int, int], *, bound: bool
) -> ForkedKernel:
    """Return a kernel that a warm process has forked.

    Parameters
    ----------
    folder : Path
    key : str
        See ``surroundings_key``.
    arguments : list of str
        The kernel's.
    circumstances : Circumstances
    streams : tuple of int
        Descriptors for its standard output and error.
    bound : bool
        It ends with this process.

    Raises
    ------
    NotWarmError
    """
    connection = connect(folder, key)
    asked = {"ask": "kernel", "arguments": arguments, "bound": bound, "circumstances": circumstances.as_json()}
    try:
        socket.send_fds(connection, [json.dumps(asked).encode()], list(streams))
        packet, handles, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    except TimeoutError as error:
        connection.close()
        raise NotWarmError("the warm process does not answer", hung=True) from error
    except OSError as error:
        connection.close()
        raise NotWarmError(f"the warm process cannot be asked ({error.strerror})") from error
    answer = json.loads(packet or b"{}")
    if not handles:
        connection.close()
        raise NotWarmError(answer.get("refused", "the warm process ended"))
    return ForkedKernel(answer["pid"], handles[0], connection)


def ask_to_hold(connection: socket.socket) -> int | None:
    """Keep a warm process for as long as a connection is open; wait until it has answered with its process id.

    Returns
    -------
    int or None
        ``None`` where it ended first.
    """
    connection.settimeout(None)
    try:
        connection.send(json.dumps({"ask": "hold"}).encode())
        return int(json.loads(connection.recv(MESSAGE_BYTES))["pid"])
    except (OSError, ValueError, KeyError):
        return None


def connect(folder: Path, key: str) -> socket.socket:
    """Return a connection that gives up after the time that the warm process's state allows.

    Raises
    ------
    NotWarmError
    """
    until = time.monotonic() + 0.2
    while True:
        for state, seconds in ((READY, ANSWER_SECONDS), (COMING, COMING_SECONDS)):
            path = folder / f"{key}.{state}"
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.settimeout(seconds)
            try:
                with inside(path) as address:
                    connection.connect(address)
            except OSError:
                connection.close()
                continue
            if peer(connection)[1] == os.getuid():
                return connection
            connection.close()
            raise NotWarmError(f"{path} is another user's")
        # Between the two looks it may have got its other name.
        if time.monotonic() > until or not any((folder / f"{key}.{state}").exists() for state in (READY, COMING)):
            raise NotWarmError("there is no warm process", missing=True)
        time.sleep(0.02)
