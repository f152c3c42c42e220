"""Where training leaves its records: MLflow's runs and TensorBoard's curves, all in files of the home.

MLflow's tables lie in a SQLite file of their own, ``mlflow/tracking.sqlite``, also where ``database_url`` names a
PostgreSQL server: MLflow and the workbench both keep their revision in a table ``alembic_version``, and MLflow would
get the server's password through a variable that every child process sees. A team sets ``MLFLOW_TRACKING_URI`` to its
own MLflow server instead. The file keeps SQLite's rollback journal, as older versions can corrupt a write-ahead log.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.clock import Clock, utc_now
from workbench.core.errors import ParameterError, StoreError
from workbench.core.plugins import extra

if TYPE_CHECKING:
    from types import ModuleType

    from workbench.core.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Tracking:
    """Where MLflow and TensorBoard write; nothing is created until one of the methods is called.

    Attributes
    ----------
    uri : str
        MLflow's tracking URI: the user's own from the environment, else a SQLite file in the home.
    database : Path
        That file.
    artifacts : Path
        Folder of the artifacts of runs in that file.
    tensorboard : Path
        Folder of TensorBoard's logs, one folder for each writer; ``tensorboard --logdir`` takes it.
    clock : callable
        Gives the time in a writer's folder name.
    """

    # It may hold a password, and a notebook shows what a cell ends with.
    uri: str = field(repr=False)
    database: Path
    artifacts: Path
    tensorboard: Path
    clock: Clock = field(default=utc_now, repr=False)

    def mlflow(self) -> ModuleType:
        """Return MLflow with its tables made, ready for ``start_run``.

        A plain ``import mlflow`` writes to the same place. But it makes the tables in steps when it first writes, which
        breaks if two processes do so at once; this makes them in one.

        Raises
        ------
        FailureError
            If MLflow is not installed.
        StoreError
            If the home cannot be written.
        """
        with extra("models", "tracking"):
            import mlflow
        if self.uri == _address(self.database) and not self.database.exists():
            with _told(self.database):
                self._make_tables()
        return mlflow

    def writer(self, name: str, **options: Any) -> Any:
        """Return a ``torch.utils.tensorboard.SummaryWriter`` on a fresh folder ``<name>-<UTC time>``.

        Writers of the same name and second get ``-2``, ``-3``, ... It writes from a thread that ``close`` ends; use it
        in a ``with`` block.

        Parameters
        ----------
        name : str
            Up to 100 letters of ASCII, digits, ``_``, ``.`` and ``-``, the first one a letter or a digit.
        **options
            Further arguments of ``SummaryWriter``, such as ``flush_secs``.

        Raises
        ------
        ParameterError
            For another name.
        FailureError
            If PyTorch or TensorBoard is not installed.
        StoreError
            If the home cannot be written.
        """
        if not _NAME.fullmatch(name):
            message = f"{name!r} is no name of a TensorBoard log; use letters, digits, '_', '.' and '-', up to 100"
            raise ParameterError(message)
        with extra("models", "TensorBoard"):
            from torch.utils.tensorboard import SummaryWriter
        with _told(self.tensorboard):
            folder = _fresh_folder(self.tensorboard / f"{name}-{self.clock():%Y%m%dT%H%M%SZ}")
            return SummaryWriter(str(folder), **options)

    def _make_tables(self) -> None:
        """Make the database beside its place and rename it: another process sees it whole or not at all."""
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        self.database.parent.mkdir(parents=True, exist_ok=True)
        with _alone(self.database.with_suffix(".lock")):
            if self.database.exists():
                return
            beside = self.database.with_name(f".{self.database.name}.{secrets.token_hex(6)}.part")
            try:
                # MLflow would try for minutes to open a file that cannot be written.
                beside.touch(exist_ok=False)
                SqlAlchemyStore(_address(beside), self.artifacts.as_uri()).engine.dispose()  # type: ignore[no-untyped-call]
                os.replace(beside, self.database)
            finally:
                beside.unlink(missing_ok=True)


def ready(settings: Settings, clock: Clock = utc_now) -> Tracking:
    """Point MLflow, in this process and its children, at the home; create nothing and import nothing.

    Set, where they are not yet: ``MLFLOW_TRACKING_URI``; ``MLFLOW_DISABLE_TELEMETRY``, without which importing MLflow
    writes an identity into the user's configuration and its use is reported to its makers; and, when the runs go to
    the home, where their artifacts go, which would else be ``./mlruns``. Call it before MLflow is imported. What the
    user has set is kept, and an artifact location given to ``create_experiment`` is obeyed.

    Raises
    ------
    ParameterError
        If the home's path has a ``%`` or a ``?``, which have a meaning of their own in SQLite's address.
    """
    folder = settings.home / "mlflow"
    database, artifacts = folder / "tracking.sqlite", folder / "artifacts"
    if {"%", "?"} & set(str(database)):
        raise ParameterError(
            f"MLflow cannot use the home {settings.home}; set WORKBENCH_HOME to one without '%' or '?'"
        )
    uri = _unless_set("MLFLOW_TRACKING_URI", _address(database))
    _unless_set("MLFLOW_DISABLE_TELEMETRY", "true")
    if uri == _address(database):
        # MLflow has no public setting for this without its server: it reads the one that its server gives to workers.
        _unless_set("_MLFLOW_SERVER_ARTIFACT_ROOT", artifacts.as_uri())
    return Tracking(uri, database, artifacts, settings.home / "tensorboard", clock)


def _unless_set(variable: str, value: str) -> str:
    """Return a variable of the environment, given this value if it had none."""
    os.environ[variable] = os.environ.get(variable) or value
    return os.environ[variable]


def _address(database: Path) -> str:
    return f"sqlite:///{database}"


def _fresh_folder(wanted: Path) -> Path:
    """Make a folder that was not there, with a number at its end if need be."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    folder, number = wanted, 1
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
        else:
            return folder


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is inside with the same file; a process that dies leaves it free."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"cannot write {place} ({reason}); set WORKBENCH_HOME to a writable folder") from error
