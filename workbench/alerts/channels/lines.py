"""Connections that lead where their host was judged to, and end in time.

A name is looked up once, what it stands for is judged, and the connection is made to that very address: a name server
that gives another answer the second time changes nothing.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Self

from workbench.alerts.channels.addresses import ForbiddenError, allowed, check_host, not_allowed, require_address
from workbench.core.errors import ParameterError

_LOOK_UP = 5.0
"""How long a name server is waited for, in seconds."""


class UnreachableError(OSError):
    """A host whose name is not known, or that cannot be connected to; the text names no part of its address."""


class Line:
    """Connections of one message, which end together when its time is over.

    A socket's own time limit begins anew with each byte; this one does not.

    Parameters
    ----------
    hosts : tuple of str
        Hosts in a private network that are allowed all the same.
    seconds : float
        How long it may take to connect, to send and to be answered.
    """

    def __init__(self, hosts: tuple[str, ...], seconds: float) -> None:
        self.hosts, self._seconds, self._until = hosts, seconds, time.monotonic() + seconds
        self.fault: str | None = None
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._handles: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()
        for handle in self._handles:
            handle.close()

    def dial(self, host: str, port: int) -> socket.socket:
        """Return a connection to a host that messages may be sent to.

        Raises
        ------
        ForbiddenError
            If none may be sent there.
        UnreachableError
            If the name is not known, or nobody answers; ``fault`` then says so, too.
        """
        try:
            return self._dial(host, port)
        except UnreachableError as error:
            self.fault = str(error)
            raise

    def _dial(self, host: str, port: int) -> socket.socket:
        reason = "has a host that does not answer"
        found = resolve(host, port, self.hosts, min(self._left(), _LOOK_UP))
        for place, (family, address) in enumerate(found):
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                # An address that stays silent, as IPv6 often does, leaves half of what there is to those after it.
                connection.settimeout(self._left() / (1 if place == len(found) - 1 else 2))
                connection.connect(address)
                connection.settimeout(self._left())
                # A second handle on the same connection: TLS takes the first one over.
                self._handles.append(connection.dup())
                return connection
            except OSError as error:
                connection.close()
                if not isinstance(error, TimeoutError):
                    reason = "has a host that cannot be connected to"
        raise UnreachableError(reason)

    def _left(self) -> float:
        return max(0.1, self._until - time.monotonic())

    def _shut(self) -> None:
        self.fault = f"did not answer within {self._seconds:g} seconds"
        for handle in self._handles:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)


def resolve(
    host: str, port: int, hosts: tuple[str, ...], seconds: float = _LOOK_UP
) -> list[tuple[int, tuple[str, int]]]:
    """Return the address families and the addresses of a host that messages may be sent to.

    Raises
    ------
    ForbiddenError
        If there are only others.
    UnreachableError
        If its name is not known, or the name server does not answer in time.
    """
    host = check_host(host, hosts)
    free = host in allowed(hosts)
    good, fault = [], None
    for family, address in _looked_up(host, port, seconds):
        try:
            require_address(ip_address(address[0]), free)
            good.append((family, address))
        except ForbiddenError as error:
            fault = error
    if fault is not None and not good:
        raise fault
    return good


def require_public(channel: str, host: str, port: int, hosts: tuple[str, ...]) -> None:
    """Raise where a name stands only for addresses that no message may be sent to.

    Raises
    ------
    ParameterError
    """
    try:
        resolve(host, port, hosts, 2.0)
        return
    except UnreachableError:
        # What is not known now may be later; it is looked up again for each message.
        return
    except ForbiddenError as error:
        reason = str(error)
    raise ParameterError(not_allowed(channel, reason))


def _looked_up(host: str, port: int, seconds: float) -> list[tuple[int, tuple[str, int]]]:
    answers = SimpleQueue[list[tuple[int, tuple[str, int]]]]()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        answers.put([(int(family), (str(address[0]), int(address[1]))) for family, *_rest, address in found])

    # What asks a name server cannot be stopped: the thread is left to itself.
    threading.Thread(target=ask, name="alert channel look-up", daemon=True).start()
    try:
        found = answers.get(timeout=seconds)
    except Empty:
        raise UnreachableError("has a host that cannot be looked up: the name server does not answer") from None
    if not found:
        raise UnreachableError("has a host whose name is not known, or the name server cannot be asked")
    return found
