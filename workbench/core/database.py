"""The records database: SQLite in the home, or PostgreSQL with a URL. Engine and transactions only.

What is recorded (runs, uses, ...) belongs to the rooms; their tables are made by ``workbench.core.migrations`` when the
database is opened. On SQLite every connection is opened anew and writers take the file's lock before they read, so that
several processes, forked ones too, work at once; the rollback journal is kept, because SQLite before 3.51.3 can corrupt
a write-ahead log.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, DateTime, Dialect, Engine, NullPool, TypeDecorator, create_engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from workbench.core.errors import StoreError
from workbench.core.migrations import current, revisions, upgrade
from workbench.core.postgresql import postgresql_engine

if TYPE_CHECKING:
    from workbench.core.settings import Settings

FILE = "records.sqlite"
PATIENCE = 30.0
"""How long other writers or a silent server are waited for, in seconds."""

_UPGRADE_LOCK = 0x54524949
"""The number of PostgreSQL's advisory lock under which tables are made."""


class Instant(TypeDecorator[datetime]):
    """An instant in UTC, for every column of that kind: aware on the way in and out, microseconds."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what is stored."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; give an aware instant")
        utc = value.astimezone(UTC)
        # A plain datetime: drivers do not know pandas' own kind. SQLite keeps no zone.
        return datetime.combine(utc.date(), utc.time(), None if dialect.name == "sqlite" else UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return an aware instant."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Database:
    """Transactions on the records.

    Parameters
    ----------
    engine : sqlalchemy.Engine
    place : str
        Where it lies, for an error; without a user or a password.
    """

    def __init__(self, engine: Engine, place: str) -> None:
        self.engine = engine
        self.place = place
        self._writer = engine.execution_options(writes=True)

    def __repr__(self) -> str:
        return f"<Database {self.place}>"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the records and can change nothing.

        Raises
        ------
        StoreError
            If the database is damaged, busy or cannot be reached.
        """
        with self._told(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose changes are kept all or, after an exception, none.

        An ORM session is ``Session(connection)``. What breaks a constraint raises SQLAlchemy's ``IntegrityError``.

        Raises
        ------
        StoreError
            If the database is damaged, full, busy or cannot be reached or written.
        """
        with self._told(), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close the connections that are kept open; the next use opens new ones."""
        self.engine.dispose()

    def migrate(self) -> None:
        """Make the tables that are missing; several processes may do so at once.

        Raises
        ------
        StoreError
            If a later version of the workbench made the database, or for what ``writing`` raises.
        """
        with self.reading() as connection:
            if self._is_newest(connection):
                return
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
            # Another process may have been first while this one waited for the lock.
            if not self._is_newest(connection):
                upgrade(connection)

    def _is_newest(self, connection: Connection) -> bool:
        found = current(connection)
        if found is not None and found not in revisions():
            raise StoreError(
                f"{self.place} were made by a later version of the workbench (revision {found!r}); "
                "install that one, or choose another home or database_url"
            )
        return found == revisions()[-1]

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except (DBAPIError, ConnectionError, TimeoutError) as error:
            # Of a server that ends, pg8000 lets the socket's own error pass.
            raise StoreError(_sentence(self.place, getattr(error, "orig", None) or error)) from error


def open_database(settings: Settings) -> Database:
    """Open the records of a home, or those at ``settings.database_url``, and make what tables are missing.

    Raises
    ------
    ParameterError
        For a URL of another kind.
    StoreError
        If the database is damaged, newer than the workbench, or cannot be written or reached.
    """
    if settings.database_url is None:
        database = _sqlite(settings.home / FILE)
    else:
        engine, where = postgresql_engine(settings.database_url.get_secret_value(), PATIENCE)
        database = Database(engine, f"the records in {where}")
    database.migrate()
    return database


def _sqlite(path: Path) -> Database:
    place = f"the records in {path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"cannot write {place} ({error.strerror}); set WORKBENCH_HOME to a writable folder") from error
    # A file that vanished while it was in use is an error, not an empty database.
    address = f"{path.as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine, place)


def _begin_sqlite(connection: Connection) -> None:
    """Begin in earnest: Python's own driver would begin at the first change, and then find the file locked."""
    if connection.get_execution_options().get("writes"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")


def _sentence(place: str, fault: BaseException) -> str:
    """Return what went wrong and what to do, from a driver's error."""
    # SQLite names its faults; pg8000 gives the server's answer as a mapping in which M is the message.
    told = getattr(fault, "strerror", None) or (fault.args[0] if fault.args else fault)
    reason = str(told.get("M", "no reason given") if isinstance(told, dict) else told).strip().splitlines()[0][:160]
    name = getattr(fault, "sqlite_errorname", "")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"{place} are damaged ({reason}); put back a copy, or move that file away to begin anew"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{place} stayed busy for {PATIENCE:.0f} s; stop other writers and try again"
    if isinstance(fault, sqlite3.Error):
        return f"cannot read or write {place} ({reason}); check the disk and its rights"
    return f"cannot read or write {place} ({reason}); check the server, the database and database_url"
