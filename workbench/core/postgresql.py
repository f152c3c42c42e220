"""An engine for a PostgreSQL server, from an address as the server's own tools take it."""

from __future__ import annotations

import os
import ssl
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError

from workbench.core.errors import ParameterError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, ExceptionContext

WANTED = "postgresql://user:password@host:5432/name"
_OPTIONS = ("host", "port", "sslmode")

_SSL_MODES: dict[str, Callable[[], ssl.SSLContext | bool | None]] = {
    # pg8000: None encrypts where the server can, True insists, a context checks the certificate.
    "disable": lambda: False,
    "allow": lambda: None,
    "prefer": lambda: None,
    "require": lambda: True,
    "verify-full": ssl.create_default_context,
}


def postgresql_engine(address: str, patience: float) -> tuple[Engine, str]:
    """Return an engine that connects when it is first used, and where that is, without a user or a password.

    A transaction reads only, unless its connection has the execution option ``writes``.

    Parameters
    ----------
    address : str
        ``postgresql://user:password@host:5432/name``; ``?host=/folder`` for a unix socket, ``&sslmode=`` one of
        ``disable allow prefer require verify-full``.
    patience : float
        How long a silent server is waited for, in seconds.

    Raises
    ------
    ParameterError
        For an address that cannot be used.
    """
    arguments = connection_arguments(address)
    where = arguments.get("unix_sock") or f"{arguments['host']}:{arguments['port']}"

    def connect() -> Any:
        return _connect({**arguments, "timeout": patience, "application_name": "workbench"})

    # The driver is called here and not by SQLAlchemy, so that no URL with a password is kept.
    engine = create_engine(
        "postgresql+pg8000://", creator=connect, pool_pre_ping=True, pool_size=2, hide_parameters=True
    )
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _name_broken_constraint)
    _start_anew_after_fork(engine)
    return engine, f"PostgreSQL database {arguments['database']!r} at {where}"


def connection_arguments(address: str) -> dict[str, Any]:
    """Return what pg8000 is called with for an address.

    Raises
    ------
    ParameterError
        Without any part of the address that may be one of the password.
    """
    url, port = _parse(address)
    if url is None:
        raise ParameterError(f"database_url is no address; write {WANTED}")
    if url.drivername not in ("postgresql", "postgres", "postgresql+pg8000"):
        raise ParameterError(f"database_url begins with {url.drivername!r}; write {WANTED}")
    host, mode = str(url.query.get("host", url.host or "localhost")), str(url.query.get("sslmode", "prefer"))
    strange = [name for name in url.query if name not in _OPTIONS]
    if strange or mode not in _SSL_MODES:
        stray = strange[0] if strange else f"sslmode={mode}"
        raise ParameterError(f"database_url has {stray!r}; known: host, port, sslmode={'|'.join(_SSL_MODES)}")
    return {
        "user": url.username or "",
        "password": url.password,
        "host": host,
        "port": port,
        "database": url.database or url.username,
        "ssl_context": _SSL_MODES[mode](),
        **({"unix_sock": f"{host}/.s.PGSQL.{port}"} if host.startswith("/") else {}),
    }


def _parse(address: str) -> tuple[URL | None, int]:
    # What is raised here may repeat a part of the password: it is left behind, not chained.
    try:
        url = make_url(address)
        return url, int(str(url.query.get("port", url.port or 5432)))
    except (ArgumentError, ValueError):
        return None, 0


def _connect(arguments: Mapping[str, Any]) -> Any:
    import pg8000.dbapi

    try:
        return pg8000.dbapi.connect(**arguments)
    except pg8000.dbapi.InterfaceError as error:
        # Closing what the server refused and closed itself hides why it did.
        refusal = error.__cause__.__context__ if error.__cause__ else None
        raise (refusal if isinstance(refusal, pg8000.dbapi.DatabaseError) else error) from None
    except OSError as error:
        # pg8000 lets some pass, such as a server that stays silent when asked for TLS.
        raise pg8000.dbapi.InterfaceError(str(error)) from error


def _begin(connection: Connection) -> None:
    if not connection.get_execution_options().get("writes"):
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _start_anew_after_fork(engine: Engine) -> None:
    """Leave a process's connections to it: with a forked one, two would talk on one socket."""
    engine_or_none = weakref.ref(engine)

    def forget() -> None:
        found = engine_or_none()
        if found is not None:
            found.dispose(close=False)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget)


def _name_broken_constraint(context: ExceptionContext) -> IntegrityError | None:
    """Raise for PostgreSQL what SQLAlchemy raises elsewhere: pg8000 has one class for all that a server refuses."""
    fault = context.original_exception
    told = fault.args[0] if fault.args else None
    # Class 23 of the SQL standard's states: integrity constraint violation.
    broken = isinstance(told, dict) and str(told.get("C")).startswith("23")
    return IntegrityError(context.statement, None, fault) if broken else None
