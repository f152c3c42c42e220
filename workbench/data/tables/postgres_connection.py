"""Connections to one PostgreSQL database, through ADBC: Arrow in and out, bulk loads by COPY.

A thread that works has a connection of its own; what is idle is kept for the next one and asked whether it still lives
before it is used, so that a server that was restarted is noticed and reached again. A forked process starts without
connections: those of its parent are left alone.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
from adbc_driver_manager import Error
from adbc_driver_postgresql.dbapi import Connection, connect
from pydantic import SecretStr

from workbench.core.errors import InputError, StoreError

KEPT = 4
"""Idle connections that are kept open."""

CONNECT_SECONDS = 10
LOCK_SECONDS = 60

SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
"""Every statement of the transaction sees the database as it was at the first one."""

# https://www.postgresql.org/docs/15/errcodes-appendix.html: lock_not_available, deadlock, serialization failure
BUSY = ("55P03", "40P01", "40001")

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(:\d*)?")


class Session:
    """One transaction on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, statement: str, *parameters: pa.Array) -> pa.Table:
        """Run one statement; ``$1``, ``$2``, ... are the parameters, each an array of one value."""
        bound = pa.record_batch(list(parameters), [str(n) for n, _ in enumerate(parameters)]) if parameters else None
        with self._connection.cursor() as cursor:
            cursor.execute(statement, bound)
            return cursor.fetch_arrow_table()

    def load(self, table: str, rows: pa.Table) -> None:
        """Append rows to a temporary table by COPY, its columns found by their names."""
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append", temporary=True)


class Database:
    """One database, for all threads of this process.

    Parameters
    ----------
    url : pydantic.SecretStr or str
        ``postgresql://user:password@host/name``; its password appears in no text.

    Attributes
    ----------
    name : str
        How errors call it: hosts and database.

    Raises
    ------
    InputError
        If the address is not valid.
    """

    def __init__(self, url: SecretStr | str) -> None:
        address = url.get_secret_value() if isinstance(url, SecretStr) else url
        self.name, passwords = _described(address)
        self._passwords = passwords
        joint = "&" if "?" in address else "?"
        limit = "" if "connect_timeout=" in address else f"{joint}connect_timeout={CONNECT_SECONDS}"
        self._url = SecretStr(address + limit)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._inherited: list[Connection] = []
        weakref.finalize(self, _close_all, self._idle, self._process)

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    def close(self) -> None:
        """Close the connections that are idle."""
        _close_all(self._idle, self._process)

    @contextmanager
    def transaction(self, task: str) -> Iterator[Session]:
        """Do some statements together: all of them count, or none.

        Parameters
        ----------
        task : str
            What they do, for the error: ``"read table x"``.

        Raises
        ------
        StoreError
            If the database cannot be reached or refuses a statement.
        """
        connection = self._take()
        try:
            yield Session(connection)
            connection.commit()
        except Error as error:
            _close(connection)
            raise self._failed(task, error) from error
        except BaseException:
            _close(connection)
            raise
        self._give_back(connection)

    def _take(self) -> Connection:
        while connection := self._next_idle():
            try:
                Session(connection).run("SELECT 1")
                connection.commit()
            except Error:
                # The server was restarted, or it has cut what was idle for long.
                _close(connection)
            else:
                return connection
        return self._connect()

    def _next_idle(self) -> Connection | None:
        with self._lock:
            if self._process != os.getpid():
                # Closing these would end the sessions of the process that this one was forked from.
                self._inherited.extend(self._idle)
                self._idle.clear()
                self._process = os.getpid()
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < KEPT:
                self._idle.append(connection)
                return
        _close(connection)

    def _connect(self) -> Connection:
        try:
            return connect(self._url.get_secret_value())
        except Error as error:
            reason = self._without_passwords(brief(error))
        # Outside the handler: no chained error can tell more than this sentence.
        raise StoreError(f"cannot connect to {self.name} ({reason}); check the server and the user and password for it")

    def _failed(self, task: str, error: Error) -> StoreError:
        if error.sqlstate in BUSY:
            return StoreError(f"cannot {task} in {self.name}: it stayed busy; stop other writers and try again")
        reason = self._without_passwords(brief(error))
        return StoreError(f"cannot {task} in {self.name} ({reason}); check the server, its disk and your rights there")

    def _without_passwords(self, text: str) -> str:
        for password in self._passwords:
            text = text.replace(password, "***")
        return text


def brief(error: Error) -> str:
    """Return what PostgreSQL said, without the statement and the rows that it repeats."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = re.search(r"(?:ERROR|FATAL|PANIC): +(.+)", str(error))
    return (said[1] if said else re.sub(r"^.*?\[libpq\] (Failed to connect: )?", "", lines[0])).strip()[:200]


def _described(address: str) -> tuple[str, set[str]]:
    """Return how to call a database, and the passwords in its address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    login, _, hosts = parts.netloc.rpartition("@")
    # What follows an unquoted / ? # or @ of a password would be taken for a host or a name, and told in errors.
    torn = "@" in login + parts.path + parts.query or parts.fragment or re.search(r"%(?![0-9A-Fa-f]{2})", address)
    if parts.scheme not in ("postgresql", "postgres") or torn or not all(map(_HOST.fullmatch, hosts.split(","))):
        raise InputError(
            "the address of the database is not valid; write postgresql://user:password@host/name and quote special "
            "characters, such as %40 for @"
        )
    options = parse_qs(parts.query)
    given = {login.partition(":")[2], *options.get("password", [])}
    passwords = {form for password in given if password for form in (password, unquote(password))}
    place = hosts or ",".join(options.get("host", [])) or "this machine"
    return f"the database {unquote(parts.path).lstrip('/') or 'by default'} of {unquote(place)}", passwords


def _close(connection: Connection) -> None:
    with suppress(Error):
        connection.close()


def _close_all(connections: list[Connection], process: int) -> None:
    while connections and os.getpid() == process:
        _close(connections.pop())
