"""What has run: found by notebook, parameter, date and state, with the files that each run left."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from workbench.core.calendar import Moment
from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import InputError
from workbench.jobs.framing import framed
from workbench.jobs.matching import has_parameters, has_text, is_notebook, rows_of, text_of
from workbench.jobs.parameters import declared_parameters
from workbench.jobs.records import OPEN, AttemptRecord, RunRecord, attempt_record, read_run, run_record
from workbench.jobs.source import parse_notebook, read_text
from workbench.jobs.tables import ATTEMPTS, RUNS

COLUMNS = ("name", "notebook", "state", "due", "seconds", "kind", "attempt", "parameters", "reason", "files")


class History:
    """The runs of a home, those that are still open included.

    Parameters
    ----------
    database : Database
    clock : callable
        The present instant.
    folder : Path
        Where runs leave their files; what lies elsewhere is not theirs.

    Notes
    -----
    Every method raises ``StoreError`` if the records cannot be read.
    """

    def __init__(self, database: Database, clock: Clock, folder: Path) -> None:
        self.database = database
        self.clock = clock
        self.folder = folder.resolve()

    def search(
        self,
        *,
        schedule: str | None = None,
        notebook: str | Path | None = None,
        parameter: Mapping[str, Any] | None = None,
        state: str | Collection[str] | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        text: str | None = None,
        most: int = 200,
    ) -> list[RunRecord]:
        """Return the runs that all of these are true of, the one that was due last in front.

        Parameters
        ----------
        schedule : str, optional
            Name or id; that of a removed one, too.
        notebook : str or Path, optional
            The name of the file, with or without ``.ipynb``, or its whole path.
        parameter : mapping, optional
            Values by name, as they were given to the run (relative dates resolved, or as they were written); a value of
            a list matches one of its items. What a notebook declares by itself is not recorded.
        state : str or collection of str, optional
            One of ``workbench.jobs.matching.STATES``, or several.
        since, until : date-like, optional
            When the run was due, in UTC; a day without a time includes all of it.
        text : str, optional
            In the name, the notebook's file, the parameters, the reason or the beginning of the id; case does not
            matter.
        most : int

        Raises
        ------
        UnknownNameError
            For a schedule or a state that is not there.
        DateRangeError
            For what is no date, or a reversed range.
        """
        found: list[RunRecord] = []
        for row in rows_of(self.database, schedule=schedule, state=state, since=since, until=until):
            if len(found) >= most:
                break
            if is_notebook(row, notebook) and has_parameters(row, parameter or {}) and has_text(row, text):
                found.append(run_record(row))
        return found

    def mark(self) -> Hashable:
        """Return what is another value once a run has come, begun, been repeated or ended: cheap to ask for often."""
        last = (sa.func.count(), sa.func.max(RUNS.c.planned), sa.func.max(RUNS.c.finished), sa.func.sum(RUNS.c.attempt))
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(RUNS.c.state, *last).group_by(RUNS.c.state).order_by(RUNS.c.state))
            return tuple(tuple(row) for row in rows)

    def run(self, run: str) -> RunRecord:
        """Return a run by its id.

        Raises
        ------
        UnknownNameError
        """
        return read_run(self.database, run)

    def notebooks(self) -> list[Path]:
        """Return the notebooks that have runs, by name."""
        with self.database.reading() as connection:
            found = connection.execute(sa.select(RUNS.c.notebook).distinct()).scalars().all()
        return sorted(map(Path, found), key=lambda path: (path.name, path))

    def attempts(self, run: str) -> list[AttemptRecord]:
        """Return the attempts at a run, the first in front; none for one that was skipped or is due."""
        self.run(run)
        with self.database.reading() as connection:
            rows = connection.execute(ATTEMPTS.select().where(ATTEMPTS.c.run == run).order_by(ATTEMPTS.c.n)).all()
        return [attempt_record(row) for row in rows]

    def files(self, run: str) -> list[Path]:
        """Return what the last attempt left, in the order of their paths; nothing once the run was pruned.

        Raises
        ------
        UnknownNameError
            If there is no such run.
        """
        folder = self.place(self.run(run).folder)
        if folder is None:
            return []
        # What begins with a dot is being written or was the run's own; a link may lead anywhere.
        found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        return sorted(
            path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        )

    def report(self, run: str) -> Path:
        """Return a run's HTML page.

        Raises
        ------
        UnknownNameError
            If there is no such run.
        InputError
            If it has none, or none any more.
        """
        return self._made(run, ".html", "report")

    def framed(self, run: str, *, height: int = 760, dark: bool | None = None) -> str:
        """Return a run's HTML page in a frame, for another page; see ``workbench.jobs.framing.framed``.

        Raises
        ------
        UnknownNameError
            If there is no such run.
        InputError
            If it has none, or none any more.
        """
        path = self.report(run)
        try:
            return framed(path.read_text(encoding="utf-8", errors="replace"), height=height, dark=dark)
        except OSError as error:
            raise InputError(f"cannot read {path} ({error.strerror}); run it again") from error

    def notebook(self, run: str) -> Path:
        """Return a run's executed notebook, up to where it came.

        Raises
        ------
        UnknownNameError
            If there is no such run.
        InputError
            If it has none, or none any more.
        """
        return self._made(run, ".ipynb", "notebook")

    def parameters(self, run: str) -> dict[str, Any]:
        """Return all parameters that a run had: those that its notebook declares, and in their place those given.

        Without its executed notebook only the given ones are known. Relative dates are resolved once it has started.

        Raises
        ------
        UnknownNameError
            If there is no such run.
        """
        record = self.run(run)
        given = record.resolved if record.resolved is not None else record.job.parameters
        try:
            path = self.notebook(run)
            declared = declared_parameters(parse_notebook(read_text(path), path))
        except InputError:
            return dict(given)
        return {**{name: each.default for name, each in declared.items()}, **given}

    def frame(self, runs: Iterable[RunRecord]) -> pd.DataFrame:
        """Return runs as a table, by their ids.

        Returns
        -------
        DataFrame
            ``name notebook state due seconds kind attempt parameters reason files``: ``due`` in UTC; ``seconds`` from
            the first attempt's start to the end, NaN where there is none yet; ``parameters`` as a text; ``files``
            whether it has any.
        """
        rows = {run.id: _shown(run) for run in runs}
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
        frame["due"] = pd.to_datetime(frame["due"], utc=True)
        return frame.astype({"seconds": float, "files": bool}).rename_axis("run")

    def place(self, folder: str | None) -> Path | None:
        """Return the folder that a row names if it is there, below that of all runs and not that itself."""
        if folder is None:
            return None
        path = (self.folder / folder).resolve()
        return path if path != self.folder and path.is_relative_to(self.folder) and path.is_dir() else None

    def _made(self, run: str, suffix: str, kind: str) -> Path:
        record = self.run(run)
        folder = self.place(record.folder)
        path = folder / f"{record.job.notebook.stem}{suffix}" if folder else None
        if path is not None and path.is_file() and not path.is_symlink():
            return path
        when = f"run {record.id} of {record.job.notebook.name} ({record.state})"
        if record.state in OPEN:
            raise InputError(f"{when} has no {kind} yet; wait until it has ended")
        if record.folder is None and record.started is not None:
            raise InputError(f"{when} has no {kind} any more, its files were pruned; run it again")
        raise InputError(f"{when} left no {kind}; run it again")


def _shown(run: RunRecord) -> tuple[Any, ...]:
    given = {**run.job.parameters, **(run.resolved or {})}
    seconds = (run.finished - run.started).total_seconds() if run.started and run.finished else None
    parameters = ", ".join(f"{name}={text_of(value)}" for name, value in given.items())
    where = run.job.notebook.name
    files = run.folder is not None
    told: datetime = run.due
    return run.job.name, where, run.state, told, seconds, run.kind, run.attempt, parameters, run.reason, files
