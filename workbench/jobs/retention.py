"""Which runs keep their files, and the removal of the others'; what a run was stays in its row."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import StoreError
from workbench.jobs.records import OPEN
from workbench.jobs.schedule import Policies
from workbench.jobs.tables import ATTEMPTS, RUNS, SCHEDULES


def prune(database: Database, clock: Clock, folder: Path, *, dry: bool = False) -> list[str]:
    """Remove the files of runs that their schedule does not keep any longer.

    A schedule keeps the files of the last ``keep`` runs that have any, each up to ``keep_for`` after its end, by the
    policies that it has now. Runs of no schedule are counted by their notebook, each by its own policies. What is open
    is left alone. The files go first: a crash leaves a row that is pruned the next time.

    Parameters
    ----------
    database : Database
    clock : callable
    folder : Path
        Where runs leave their files; nothing else is touched.
    dry : bool
        Only say what would be pruned.

    Returns
    -------
    list of str
        The runs' ids, the one that ended first in front.

    Raises
    ------
    StoreError
        If the records cannot be changed, or files cannot be removed; the others are.
    """
    now, root = clock(), folder.resolve()
    chosen = _unkept(database, now)
    if dry:
        return chosen
    faults: list[OSError] = []
    pruned = []
    for run in chosen:
        try:
            _remove_files(database, run, root)
        except OSError as error:
            faults.append(error)
            continue
        _forget_files(database, run)
        pruned.append(run)
    if faults:
        reason, path = faults[0].strerror or faults[0], faults[0].filename
        raise StoreError(f"cannot remove the files of {len(faults)} runs, such as {path} ({reason}); mend its rights")
    return pruned


def discard(database: Database, folder: Path, run: str) -> None:
    """Remove the files of one run that has ended; its row stays.

    Parameters
    ----------
    database : Database
    folder : Path
        Where runs leave their files; nothing else is touched.
    run : str
        Its id.

    Raises
    ------
    StoreError
        If the records cannot be changed, or files cannot be removed.
    """
    try:
        _remove_files(database, run, folder.resolve())
    except OSError as error:
        reason, path = error.strerror or error, error.filename
        raise StoreError(
            f"cannot remove the files of the run {run}, such as {path} ({reason}); mend its rights"
        ) from error
    _forget_files(database, run)


def _unkept(database: Database, now: datetime) -> list[str]:
    columns = (RUNS.c.id, RUNS.c.schedule, RUNS.c.notebook, RUNS.c.policies, RUNS.c.finished)
    has_files = sa.or_(
        RUNS.c.folder.is_not(None), sa.exists().where(ATTEMPTS.c.run == RUNS.c.id, ATTEMPTS.c.folder.is_not(None))
    )
    ended = sa.select(*columns).where(has_files, RUNS.c.finished.is_not(None), RUNS.c.state.not_in(OPEN))
    with database.reading() as connection:
        rules = {row.id: row.policies for row in connection.execute(sa.select(SCHEDULES.c.id, SCHEDULES.c.policies))}
        rows = connection.execute(ended.order_by(RUNS.c.finished.desc(), RUNS.c.id)).all()
    groups: dict[tuple[str | None, str], list[Any]] = defaultdict(list)
    for row in rows:
        groups[row.schedule, "" if row.schedule else row.notebook].append(row)
    unkept = [row for group in groups.values() for row in _beyond(group, rules, now)]
    return [row.id for row in sorted(unkept, key=lambda row: (row.finished, row.id))]


def _beyond(group: Iterable[Any], rules: dict[str, Any], now: datetime) -> list[Any]:
    """Return those of a group, the newest in front, that are too many or too old."""
    found: list[Any] = []
    for place, row in enumerate(group):
        policies = Policies.of(rules.get(row.schedule, row.policies))
        if place >= policies.keep or now - row.finished > policies.keep_for:
            found.append(row)
    return found


def _remove_files(database: Database, run: str, root: Path) -> None:
    """Remove the folders of a run's attempts, and the one around them if nothing else is in it."""
    named = sa.select(ATTEMPTS.c.folder).where(ATTEMPTS.c.run == run, ATTEMPTS.c.folder.is_not(None))
    own = sa.select(RUNS.c.folder).where(RUNS.c.id == run, RUNS.c.folder.is_not(None))
    with database.reading() as connection:
        folders = {(root / each).resolve() for each in connection.execute(named.union(own)).scalars()}
    for each in folders:
        if each == root or not each.is_relative_to(root):
            continue
        if each.exists():
            shutil.rmtree(each, onerror=_unless_gone)
        around = each.parent
        with suppress(FileNotFoundError):
            if around != root and not any(around.iterdir()):
                around.rmdir()


def _unless_gone(_remove: object, _path: str, fault: tuple[type[BaseException], BaseException, object]) -> None:
    """Raise what kept a file from being removed, unless another process has removed it in the meantime."""
    if not isinstance(fault[1], FileNotFoundError):
        raise fault[1]


def _forget_files(database: Database, run: str) -> None:
    with database.writing() as connection:
        connection.execute(RUNS.update().where(RUNS.c.id == run).values(folder=None))
        connection.execute(ATTEMPTS.update().where(ATTEMPTS.c.run == run).values(folder=None))
