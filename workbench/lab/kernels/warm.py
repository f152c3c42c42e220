"""The warm process: it has imported what a profile's notebooks import, and forks kernels on demand.

It listens on a unix socket in a folder that only its user can enter, and answers that user alone. It starts no thread,
reads no settings and opens no data: a fork is as clean as a fresh interpreter that is done with its imports. It ends
when nobody holds it any more, and when what is installed is no longer what it has loaded; its kernels live on.
"""

from __future__ import annotations

import argparse
import builtins
import gc
import importlib
import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.lab.kernels.birth import Birth, depart, fork, settle
from workbench.lab.kernels.freshness import Stamps, changed, stamps
from workbench.lab.kernels.meeting import COMING, MESSAGE_BYTES, READY, USELESS, cleared, inside, lock, peer, sweep
from workbench.lab.kernels.profiles import PROFILES, Profile
from workbench.lab.kernels.surroundings import apart

LOOK_SECONDS = 2.0
"""How often it asks itself whether it is still needed and still fresh."""

log = logging.getLogger("workbench.kernels")


class Warm:
    """The loop of a warm process.

    Parameters
    ----------
    listener : socket
        A listening unix socket for packets.
    place : Path
        Where its socket lies.
    lock : int
        The descriptor of the locked file that keeps a second one from starting.
    before : Stamps
        What was installed when the imports began.
    brought : mapping
        Variables that the imports have set.
    """

    def __init__(
        self, listener: socket.socket, place: Path, lock: int, before: Stamps, brought: Mapping[str, str]
    ) -> None:
        self.listener = listener
        self.place = place
        self.lock = lock
        self.before = before
        self.brought = brought
        self.selector = selectors.DefaultSelector()
        self.held: set[socket.socket] = set()
        self.kernels: dict[int, socket.socket] = {}
        self.asking: set[socket.socket] = set()
        self.ending = ""

    def serve(self) -> Birth | None:
        """Answer until there is a reason to end.

        Returns
        -------
        Birth or None
            In each fork what it is to become; ``None`` in the warm process, when it ends.
        """
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        looked, idle = time.monotonic(), 0
        while not self.ending:
            events = self.selector.select(LOOK_SECONDS)
            for key, _ in events:
                answer: Callable[[Any], Birth | None] = key.data
                if birth := answer(key.fileobj):
                    return birth
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked, idle = time.monotonic(), 0 if self.held else idle + 1
                self._look(idle)
        return None

    def _look(self, idle: int) -> None:
        if path := changed(self.before):
            self.ending = f"{path} has changed"
        elif not self.place.is_socket():
            self.ending = f"{self.place} was removed"
        elif idle > 1:
            self.ending = "nobody holds it"

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        if peer(connection)[1] != os.getuid():
            connection.close()
            return
        self.asking.add(connection)
        self.selector.register(connection, selectors.EVENT_READ, self._hear)

    def _hear(self, connection: socket.socket) -> Birth | None:
        """Answer one packet of a connection, or notice its end."""
        try:
            packet, handles, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 2, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            packet, handles = b"", []
        if not packet:
            _close(handles)
            self._drop(connection)
            return None
        try:
            wanted = json.loads(packet)
            if wanted["ask"] == "hold":
                _close(handles)
                self.held.add(connection)
                _tell(connection, pid=os.getpid())
                return None
            birth = Birth.asked(wanted, handles, connection, self.brought)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            _close(handles)
            _tell(connection, refused=f"the warm process cannot read what it is asked ({error!r})")
            self._drop(connection)
            return None
        refusal = self._refusal(connection)
        # One that is gone has started a kernel of its own: a second one would take its sockets.
        if refusal or _gone(connection):
            _close(handles)
            _tell(connection, refused=refusal)
            return None
        return self._fork(birth)

    def _refusal(self, connection: socket.socket) -> str | None:
        """Return why whoever is at the other end gets no kernel."""
        if path := changed(self.before):
            self.ending = f"{path} has changed"
            return f"the warm process is older than {path}"
        if difference := apart(peer(connection)[0]):
            return f"the warm process is not in its asker's surroundings ({difference})"
        return None

    def _fork(self, birth: Birth) -> Birth | None:
        connection, handles = birth.lifeline, (birth.output, birth.errors)
        try:
            pid = fork()
        except OSError as error:
            _close(handles)
            _tell(connection, refused=f"the warm process cannot fork ({error.strerror})")
            return None
        if pid == 0:
            os.setsid()
            self._leave_behind(connection)
            return birth
        _close(handles)
        # Both sides know the kernel by this: a process id alone may be another's by the time it is used.
        watch = os.pidfd_open(pid)
        self.kernels[watch] = connection
        self.selector.register(watch, selectors.EVENT_READ, lambda _watch: self._ended(watch, pid))
        try:
            socket.send_fds(connection, [json.dumps({"pid": pid}).encode()], [watch])
        except OSError:
            signal.pidfd_send_signal(watch, signal.SIGKILL)
        return None

    def _leave_behind(self, kept: socket.socket) -> None:
        """Close, in a fork, what belongs to the warm process: while a copy is open, its other end sees no end."""
        self.selector.close()
        self.listener.close()
        os.close(self.lock)
        for connection in self.asking - {kept}:
            connection.close()
        for watch in self.kernels:
            os.close(watch)

    def _ended(self, watch: int, pid: int) -> None:
        """Tell a kernel's asker how it ended."""
        _, status = os.waitpid(pid, 0)
        connection = self.kernels.pop(watch)
        self.selector.unregister(watch)
        os.close(watch)
        _tell(connection, exit=os.waitstatus_to_exitcode(status))
        self._drop(connection)
        connection.close()

    def _drop(self, connection: socket.socket) -> None:
        if connection not in self.asking:
            return
        self.asking.discard(connection)
        self.selector.unregister(connection)
        if connection in self.held:
            self.held.discard(connection)
            if not self.held:
                self.ending = "nobody holds it"
        if connection not in self.kernels.values():
            connection.close()


def _close(handles: Iterable[int]) -> None:
    for handle in handles:
        os.close(handle)


def _gone(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _tell(connection: socket.socket, **answer: Any) -> None:
    # Who asked may be gone; then there is nobody to tell.
    with suppress(OSError):
        connection.send(json.dumps(answer).encode())


def main() -> None:
    """Run a warm process; the arguments are ``--profile NAME FOLDER KEY``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, required=True)
    parser.add_argument("folder", type=Path)
    parser.add_argument("key")
    chosen = parser.parse_args()
    # Not the root's: a notebook's own ``logging.basicConfig`` would do nothing in a fork.
    handler = logging.StreamHandler()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    Path("/proc/self/comm").write_text("trii-warm")
    locked = lock(chosen.folder, chosen.key)
    if locked is None:
        return
    sweep(chosen.folder)
    with cleared(chosen.folder, chosen.key):
        birth = _live(PROFILES[chosen.profile], chosen.folder, chosen.key, locked)
    if birth:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
        from workbench.lab.kernels.kernel import start_kernel

        settle(birth)
        start_kernel(PROFILES[chosen.profile], birth.arguments)
        depart()


def _live(profile: Profile, folder: Path, key: str, locked: int) -> Birth | None:
    before, variables = stamps(), set(os.environ)
    coming, ready = (folder / f"{key}.{state}" for state in (COMING, READY))
    listener = _listen(coming, ready)
    # As IPython does: HoloViews looks for it when it is imported, and would not know the notebook in a fork.
    vars(builtins)["__IPYTHON__"] = True
    # A collection would touch, and so copy, pages that the forks could share.
    gc.disable()
    for name in profile.modules:
        importlib.import_module(name)
    profile.ahead()
    if (count := len(list(Path("/proc/self/task").iterdir()))) > 1:
        log.error("the imports of %s started %d threads, which a fork would not have", profile.title, count - 1)
        sys.exit(USELESS)
    gc.collect()
    gc.freeze()
    coming.rename(ready)
    brought = {name: value for name, value in os.environ.items() if name not in variables}
    warm = Warm(listener, ready, locked, {**stamps(), **before}, brought)
    birth = warm.serve()
    if birth is None:
        log.info("the warm process of %s kernels ends: %s", profile.title, warm.ending)
    return birth


def _listen(coming: Path, ready: Path) -> socket.socket:
    """Take the place of one that was killed."""
    for path in (coming, ready):
        path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with inside(coming) as address:
            listener.bind(address)
    except OSError as error:
        log.error("%s cannot hold a socket (%s)", coming.parent, error.strerror)
        sys.exit(USELESS)
    listener.listen(128)
    return listener


if __name__ == "__main__":
    main()
