"""The durable engine beneath a service: each attempt at a run is a workflow that is seen through, whoever dies.

DBOS keeps a row for every workflow that has begun, with the service that it belongs to. What a dead service left behind
is put back into a queue, once, and a living one takes it up from there. Whether a run is claimed, by whom and how it
ended is told by the tables of ``workbench.jobs``; nothing there refers to what is kept here.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from workbench.core.errors import StoreError
from workbench.core.postgresql import connection_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from workbench.core.settings import Settings

FILE = "jobs.sqlite"
SCHEMA = "workbench_jobs"
"""Where DBOS has its tables on PostgreSQL."""

VERSION = "jobs-1"
"""Of the workflow below: what another version began is not taken up. DBOS would take a hash of the source."""

PATIENCE = 30.0
"""How long services of another version are waited for, in seconds."""

_POLLING = 5.0
"""How often DBOS looks for what was put back, in seconds: each look costs a query."""


class Engine:
    """The one engine of a process.

    Parameters
    ----------
    settings : Settings
    service : str
        To whom the workflows belong that begin here; another one than ever before.
    see_through : callable
        Called with a run's id and the number of an attempt that was started, in a thread of its own; called again, here
        or elsewhere, if it did not return: it must attach to what goes on already.
    most : int
        How many go on at once.

    Raises
    ------
    StoreError
        If the tables of DBOS cannot be made, read or written.
    """

    def __init__(self, settings: Settings, service: str, see_through: Callable[[str, int], None], most: int) -> None:
        # What its makers' cloud would set turns on connections to it; read when it is imported.
        for name in [name for name in os.environ if name.startswith("DBOS")]:
            del os.environ[name]
        with _told():
            address, self._held = _place(settings)
            self._dbos = _launched(address, service, most)
            self._workflow = _workflow(see_through)
            self._dbos.launch()
            # Its look for time-outs, once a second, is for nothing: runs end at theirs by themselves.
            self._dbos._workflow_timeout_stop_event.set()
            # Waiting for a server to come back is up to who calls: it would be for longer and longer, a minute at last.
            self._dbos._sys_db._retry_connection_errors = False

    def begin(self, run: str, n: int) -> None:
        """See an attempt through; one that is seen to already, here or elsewhere, is left to that.

        Raises
        ------
        StoreError
        """
        from dbos import SetWorkflowID

        with _told(), SetWorkflowID(f"{run}:{n}"):
            self._dbos.start_workflow(self._workflow, run, n)

    def recover(self, living: Collection[str]) -> int:
        """Put back what belongs to a service that does not live; return how many attempts that were.

        Raises
        ------
        StoreError
        """
        from dbos._recovery import recover_pending_workflows

        with _told():
            pending = self._dbos.list_workflows(status="PENDING", load_input=False, load_output=False)
            dead = {str(each.executor_id) for each in pending} - set(living)
            return len(recover_pending_workflows(self._dbos, sorted(dead))) if dead else 0

    def rename(self, service: str) -> None:
        """Let what begins from now on belong to another service: this one was taken for dead."""
        from dbos._utils import GlobalParams

        GlobalParams.executor_id = service

    def tidy(self, before: datetime) -> None:
        """Forget the workflows that ended before an instant.

        Raises
        ------
        StoreError
        """
        from dbos._workflow_commands import garbage_collect

        with _told():
            garbage_collect(self._dbos, round(before.timestamp() * 1000), None)


def _launched(address: str, service: str, most: int) -> Any:
    """Return the instance of DBOS, configured and not yet launched: quiet, and without a server of its own."""
    import dbos._serialization
    from dbos import DBOS
    from dbos._serialization import DBOSPortableJSON

    # Ours are JSON, but a row can say that it is a pickle, and would be loaded: code from whoever can write the tables.
    dbos._serialization.DefaultSerializer.deserialize = _refuse  # type: ignore[method-assign, assignment]
    instance = DBOS(
        config={
            "name": "trii-workbench",
            "system_database_url": address,
            "dbos_system_schema": SCHEMA,
            "executor_id": service,
            "application_version": VERSION,
            "serializer": DBOSPortableJSON,
            "log_level": "ERROR",
            # Listening costs PostgreSQL a hundred wake-ups a second.
            "use_listen_notify": False,
            "run_migrations": not address.startswith("sqlite"),
            "scheduler_polling_interval_sec": 3600.0,
            "notification_listener_polling_interval_sec": 3600.0,
            "max_executor_threads": most,
            "sys_db_pool_size": 4,
        }
    )
    instance._registry.get_internal_queue()._polling_interval_sec = _POLLING
    return instance


def _workflow(see_through: Callable[[str, int], None]) -> Any:
    from dbos import DBOS

    # No steps: all that it does can be done again, and each step would be a row more.
    def attempt(run: str, n: int) -> None:
        see_through(run, n)

    # However often services die, it is taken up.
    return DBOS.workflow(name="attempt", max_recovery_attempts=None)(attempt)


def _refuse(*_: object) -> NoReturn:
    raise TypeError("what was kept as a pickle is not loaded")


def _place(settings: Settings) -> tuple[str, int | None]:
    """Return the address of the tables, which are there then, and the handle of the lock that says so."""
    if settings.database_url is None:
        path = settings.require_home() / FILE
        return f"sqlite:///{path}", _made(path)
    address = settings.database_url.get_secret_value()
    # What it refuses the records refuse, too: here libpq would have its own words for it.
    connection_arguments(address)
    return make_url(address).set(drivername="postgresql").render_as_string(hide_password=False), None


def _made(path: Path) -> int:
    """Make the SQLite file whole or not at all, and hold a lock that lets no later version change it meanwhile.

    DBOS makes its tables one by one without a transaction: two that do so at once fail, and a file in which one was
    killed cannot be mended.
    """
    handle = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_SH)
    if not _is_newest(path):
        _lock_alone(handle, path)
        if not _is_newest(path):
            _replace(path)
        fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def _lock_alone(handle: int, path: Path) -> None:
    fcntl.flock(handle, fcntl.LOCK_UN)
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.monotonic() > deadline:
            raise StoreError(f"services of an earlier version hold {path}; stop them and try again")
        time.sleep(0.05)


def _is_newest(path: Path) -> bool:
    from dbos._migration import sqlite_migrations

    if not path.exists():
        return False
    with _opened(path) as connection:
        found = connection.execute("SELECT max(version) FROM dbos_migrations").fetchone()[0]
    return bool(found is not None and found >= len(sqlite_migrations))


def _replace(path: Path) -> None:
    """Put the tables of the installed version in the file's place, with what it held."""
    from dbos import DBOS

    for left in path.parent.glob(f"{path.name}.part-*"):
        left.unlink()
    part = path.with_name(f"{path.name}.part-{secrets.token_hex(6)}")
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if path.exists():
        with _opened(path) as source, _opened(part) as target:
            source.backup(target)
    DBOS.migrate(f"sqlite:///{part}")
    handle = os.open(part, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    os.replace(part, path)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, timeout=PATIENCE)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _told() -> Iterator[None]:
    from dbos._error import DBOSException

    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, DBOSException) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0][:160]
        raise StoreError(f"cannot read or write the tables of the engine ({reason}); check the database") from error
