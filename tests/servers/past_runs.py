"""Runs that have been, with the files that they left: what a service and its runners would have written."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat

from workbench.core.database import open_database
from workbench.core.settings import load_settings
from workbench.data.uses import USES, Use, UseLedger
from workbench.jobs import tables
from workbench.jobs.attempts import Attempts
from workbench.jobs.claims import Claims
from workbench.jobs.history import History
from workbench.jobs.ledger import Ledger
from workbench.jobs.records import Identity
from workbench.jobs.report import report_html
from workbench.jobs.schedule import Job, Schedule
from workbench.jobs.services import Services

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
LIBRARIES = {"numpy": "2.4.6", "pandas": "3.1.1"}


class Past:
    """A home whose clock is turned by hand."""

    def __init__(self, home: Path):
        self.now = NOON
        self.settings = load_settings(home=home)
        self.database = open_database(self.settings)
        self.folder = self.settings.reports
        parts = (part(self.database, lambda: self.now) for part in (Ledger, Claims, Attempts, Services))
        self.ledger, self.claims, self.attempts, self.services = parts
        self.history = History(self.database, lambda: self.now, self.folder)
        self.services.register("service", Identity("here", "boot", 1, 1))

    def emptied(self):
        """Itself without any schedule, run or file: making the tables takes longer than most tests."""
        with self.database.writing() as connection:
            for table in (tables.RUNS, tables.ATTEMPTS, tables.SCHEDULES, tables.PINS, USES):
                connection.execute(table.delete())
        shutil.rmtree(self.folder, ignore_errors=True)
        self.now = NOON
        return self

    def schedule(self, name="daily", **values):
        """A schedule that is never due by itself within a test."""
        made = Schedule.of({"name": name, "notebook": "/books/daily.ipynb", "cron": "0 0 1 1 *", **values})
        self.ledger.add(made, "")
        return made

    def job(self, notebook="/books/daily.ipynb", **values):
        return Job.of({"name": Path(notebook).stem, "notebook": notebook, **values})

    def due(self, job=None, parameters=None, hours=1.0):
        """A run that is due; the clock goes on before."""
        self.now += timedelta(hours=hours)
        job = job or self.job()
        return self.ledger.submit(job.model_copy(update={"parameters": dict(parameters or job.parameters)}), "")

    def ran(self, job=None, parameters=None, *, book=None, ended="succeeded", reason=None, hours=1.0, seconds=30):
        """A run that has ended, with its executed notebook and its report."""
        run = self.due(job, parameters, hours)
        self.start(run)
        self.leave(run, book if book is not None else executed("1 + 1"))
        self.now += timedelta(seconds=seconds)
        self.attempts.finish(run, 1, ended, reason)
        return run

    def start(self, run, resolved=None):
        [claimed] = self.claims.claim("service", 1)
        assert claimed.id == run
        folder = self.folder / run / "1"
        attempt = self.claims.start(run, "service", str(folder), resolved or claimed.job.parameters, {})
        assert self.attempts.begin(run, 1, attempt.token, Identity("here", "boot", 2, 2), "sha")
        folder.mkdir(parents=True)
        return folder

    def leave(self, run, book):
        """Write what a runner writes: the notebook, its report, and what the notebook itself wrote."""
        record = self.ledger.run(run)
        folder, stem = self.folder / run / "1", record.job.notebook.stem
        book.metadata["trii_workbench"] = {"code": "0.1.0", "libraries": LIBRARIES}
        nbformat.write(book, folder / f"{stem}.ipynb")
        (folder / f"{stem}.html").write_text(report_html(book, stem))
        return folder

    def used(self, run, version="1.1", symbols=("AAPL",), last=NOON):
        """Say that a run read bars."""
        link = str(self.folder / run / "1" / "daily.ipynb")
        first = datetime(2025, 1, 2, 21, tzinfo=UTC)
        values = ("run", "daily", NOON, "us_equities", f"us_equities@{version}", symbols, first, last, "all", NOON)
        UseLedger(self.database).record(Use(*values, link))


def executed(*cells, parameters=None, injected=None):
    """An executed notebook: each cell is a source, or a source with its outputs."""
    book = nbformat.v4.new_notebook()
    if parameters:
        book.cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    if injected:
        book.cells.append(nbformat.v4.new_code_cell(injected, metadata={"tags": ["injected-parameters"]}))
    for cell in cells:
        source, outputs = (cell, []) if isinstance(cell, str) else cell
        book.cells.append(nbformat.v4.new_code_cell(source, outputs=outputs))
    return book


def printed(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def displayed(data, mime="text/html"):
    return nbformat.v4.new_output("display_data", {mime: data, "text/plain": "<object at 0x7fd3b9199150>"})
