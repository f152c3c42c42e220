"""A home with runs that are to be run: what a service does before it starts a runner, and the runner itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import nbformat
import psutil

from workbench.core.clock import utc_now
from workbench.core.database import open_database
from workbench.core.settings import load_settings
from workbench.jobs.attempts import Attempts
from workbench.jobs.claims import Claims
from workbench.jobs.identity import own_identity
from workbench.jobs.ledger import Ledger
from workbench.jobs.outcome import attempt_folder, read_outcome
from workbench.jobs.processes import RUN
from workbench.jobs.runner import command
from workbench.jobs.schedule import Job
from workbench.jobs.services import Services

HOLD = "import time\ntime.sleep(300)"
"""A cell that does not end by itself."""


class Office:
    """The records of a home, a service of it, and the runners that it starts."""

    def __init__(self, home, **settings):
        self.settings = load_settings(home=home, **settings)
        self.database = open_database(self.settings)
        parts = (part(self.database, utc_now) for part in (Ledger, Services, Claims, Attempts))
        self.ledger, self.services, self.claims, self.attempts = parts
        self.services.register("office", own_identity())
        self.started = []

    def claimed(self, notebook, as_of=None, **job):
        """A run that is about to start."""
        order = Job.of({"name": notebook.stem, "notebook": notebook, "formats": ("ipynb",), **job})
        self.ledger.submit(order, notebook.read_text(), zone="UTC", as_of=as_of)
        [run] = self.claims.claim("office", 1000, most=1)
        return run

    def starting(self, notebook, **job):
        """The attempt at such a run, without a runner yet."""
        run = self.claimed(notebook, **job)
        return self.again(run.id)

    def again(self, run, n=1):
        folder = attempt_folder(self.settings.reports, run, n)
        return self.claims.start(run, "office", str(folder), self.ledger.run(run).job.parameters, {})

    def runner(self, attempt, token=None):
        """Start the runner of an attempt."""
        folder = Path(attempt.folder)
        folder.mkdir(parents=True, exist_ok=True)
        variables = {**os.environ, **self.settings.environment()}
        # It keeps ipykernel from gathering what its children print.
        variables.pop("PYTEST_CURRENT_TEST", None)
        words = command(attempt.run, attempt.n, token or attempt.token)
        with (folder / "runner.log").open("ab") as log:
            process = subprocess.Popen(words, env=variables, stdout=log, stderr=log, start_new_session=True)
        self.started.append((process, attempt))
        return process

    def ended(self, attempt, seconds=90):
        """Run an attempt to its end; return the run's record then."""
        process = self.runner(attempt)
        assert process.wait(seconds) == 0, (Path(attempt.folder) / "runner.log").read_text()
        return self.ledger.run(attempt.run)


def left_of(run):
    """The processes of a run that live."""
    found = []
    for process in psutil.process_iter():
        try:
            variables = process.environ()
        except psutil.Error:
            continue
        if variables.get(RUN) == run and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def shown(folder, name="small"):
    cells = nbformat.read(Path(folder) / f"{name}.ipynb", as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def stopped(office, notebook, *cells, begun=True, **policies):
    """Run a notebook that is stopped, after its first cell has told of itself if it has begun; return its run."""
    source = notebook("print('the first cell')", *cells)
    attempt = office.starting(source, policies=policies)
    run = office.ended(attempt)
    ending = read_outcome(Path(attempt.folder))
    assert (ending.run, ending.n, ending.outcome, ending.reason) == (run.id, 1, run.state, run.reason)
    assert left_of(run.id) == []
    told = shown(attempt.folder)
    assert told.startswith("the first cell\n") or not begun
    assert f"The run was stopped: {run.reason}\n" in told
    names = sorted(path.name for path in Path(attempt.folder).iterdir())
    assert names == ["outcome.json", "runner.log", "small.ipynb"]
    assert run.reason in (Path(attempt.folder) / "runner.log").read_text()
    return run


def assert_stopped_for_what_it_wrote(tmp_path, notebook, where):
    """A notebook that writes without end to a folder, an expression of its own, is stopped and says why."""
    office = Office(tmp_path / "home", run_disk="100MiB")
    cell = f"""
import os, time
with open(os.path.join({where}, "much"), "wb", buffering=0) as file:
    while True:
        file.write(os.urandom(4 << 20))
        time.sleep(0.01)
"""
    run = stopped(office, notebook, cell)
    assert run.state == "limit"
    assert run.reason.startswith("it wrote 1")
    told, *left, remedy = run.reason.split("; ")
    assert told.endswith(", more than the 100 MiB allowed")
    assert remedy == "write less or raise run_disk"
    much = run.job.notebook.parent / "much"
    # What lies beside the run's own folder is named, as it stays.
    assert [each.partition(" (")[0] for each in left] == ([str(much)] if much.exists() else [])


def assert_stopped_for_what_it_printed(tmp_path, notebook, cell):
    """A notebook whose cell prints too much is stopped, says why, and is kept without most of it."""
    office = Office(tmp_path / "home", run_output="2MiB", run_memory="3GiB")
    run = stopped(office, notebook, cell + "\n" + HOLD)
    assert (run.state, run.reason) == (
        "limit",
        "its cells put out more than the 2 MiB allowed; print less or raise run_output",
    )
    assert (Path(run.folder) / "small.ipynb").stat().st_size < 4 << 20
