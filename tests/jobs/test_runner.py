"""Attempts in processes of their own, with real kernels: what they leave, and what is left where they are killed."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from run_office import Office

from workbench.core.errors import StoreError
from workbench.jobs import runner as module
from workbench.jobs.formats import available
from workbench.jobs.identity import lives, own_identity, started_ticks
from workbench.jobs.outcome import clear_up, read_outcome
from workbench.jobs.processes import end_tree
from workbench.jobs.records import Identity
from workbench.jobs.runner import Runner
from workbench.jobs.source import sha256_of

LONG = "import time\ntime.sleep(300)"


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path / "home")


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


def executed(run, name="small"):
    return nbformat.read(Path(run.folder) / f"{name}.ipynb", as_version=4)


def shown(run):
    return "".join(output.get("text", "") for cell in executed(run).cells for output in cell.get("outputs", []))


def until(true, seconds=60):
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_run_leaves_notebook_page_and_its_own_files_and_its_record_says_so(office, notebook):
    cell = """
import multiprocessing, os, pathlib, subprocess, sys, tempfile
folder = pathlib.Path(os.environ["WORKBENCH_RUN_FOLDER"])
(folder / "own").mkdir()
(folder / "own" / "table.csv").write_text("a,b")
pathlib.Path(tempfile.gettempdir(), "scratch").write_text("gone")
assert pathlib.Path(tempfile.gettempdir()).resolve().parent == folder
# A library's sockets have 107 characters.
with multiprocessing.Manager() as manager:
    manager.list()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
print(os.environ["WORKBENCH_RUN_ID"], os.getcwd(), fast)
"""
    source = notebook(cell, parameters="fast: int = 2")
    run = office.ended(office.starting(source, parameters={"fast": 40}, formats=("ipynb", "html")))
    assert (run.state, run.reason, run.sha256) == ("succeeded", None, sha256_of(source.read_text()))
    assert shown(run) == f"{run.id} {source.parent} 40\n"
    assert names(run.folder) == ["outcome.json", "own", "own/table.csv", "runner.log", "small.html", "small.ipynb"]
    assert Path(run.folder) == office.settings.reports / run.id / "1"
    about = executed(run).metadata["trii_workbench"]
    told = {"run": run.id, "attempt": 1, "schedule": None, "kind": "now", "mode": "now", "parameters": {"fast": 40}}
    assert {name: about[name] for name in told} == told
    assert (about["state"], about["sha256"], about["due"]) == ("succeeded", run.sha256, run.due.isoformat())
    [attempt] = office.attempts.of(run.id)
    assert (attempt.state, attempt.beat > 1, attempt.host) == ("succeeded", True, own_identity().host)
    assert end_tree(run.id, 1) == 0, "a process outlived its run"
    assert names(source.parent) == ["small.ipynb"]


def test_a_failed_cell_is_a_failed_run_and_a_dead_kernel_too_and_both_keep_their_notebook(office, notebook):
    reasons = {
        "1 / 0": "cell 2 of small.ipynb failed with ZeroDivisionError: division by zero; ",
        "import os; os._exit(3)": "the kernel of small.ipynb died (",
    }
    for cell, reason in reasons.items():
        run = office.ended(office.starting(notebook("print('first')", cell), formats=("ipynb", "html")))
        assert run.state == "failed"
        assert run.reason.startswith(reason)
        assert shown(run).startswith("first\n")
        assert names(run.folder) == ["outcome.json", "runner.log", "small.html", "small.ipynb"]
        assert executed(run).metadata["trii_workbench"]["state"] == "failed"


def test_a_notebook_that_names_no_language_takes_parameters(office, notebook):
    source = notebook("print(fast)", parameters="fast: int = 2")
    book = nbformat.read(source, as_version=4)
    del book.metadata.kernelspec["language"]
    nbformat.write(book, source)
    run = office.ended(office.starting(source, parameters={"fast": 40}))
    assert (run.state, run.reason) == ("succeeded", None)
    assert shown(run) == "40\n"


def test_a_long_error_is_one_line_of_its_run(office, notebook):
    run = office.ended(office.starting(notebook("raise ValueError('one\\ntwo ' + 'x' * 10_000)")))
    head, _, kept = run.reason.partition("…; the notebook up to there is ")
    assert head.startswith("cell 1 of small.ipynb failed with ValueError: one two xxx")
    assert len(head) < 500
    assert kept == str(Path(run.folder) / "small.ipynb")


def test_a_pinned_notebook_runs_as_it_was_saved(office, notebook):
    source = notebook("print('as it was')")
    sha256 = sha256_of(source.read_text())
    attempt = office.starting(source, mode="pinned", sha256=sha256)
    notebook("print('as it is')")
    run = office.ended(attempt)
    assert (shown(run), run.sha256) == ("as it was\n", sha256)


@pytest.mark.parametrize("fault", ["gone", "broken", "another parameter", "another kernel"])
def test_what_was_spoilt_since_it_was_saved_fails_with_the_reason(office, notebook, fault):
    source = notebook("1", parameters="fast: int = 2")
    attempt = office.starting(source, parameters={"fast": 3})
    if fault == "gone":
        source.unlink()
    elif fault == "broken":
        source.write_text("{")
    elif fault == "another parameter":
        notebook("1", parameters="slow: int = 2")
    else:
        notebook("1", parameters="fast: int = 2", kernel="elsewhere")
    run = office.ended(attempt)
    reasons = {
        "gone": f"there is no notebook {source}",
        "broken": f"{source} is no notebook",
        "another parameter": "unknown parameter 'fast' in small.ipynb",
        "another kernel": "small.ipynb wants the kernel 'elsewhere', which is not installed",
    }
    assert run.state == "failed"
    assert run.reason.startswith(reasons[fault])
    assert "\n" not in run.reason
    assert read_outcome(Path(run.folder)).reason == run.reason


def test_one_that_is_not_meant_or_comes_twice_leaves_at_once(office, notebook, tmp_path):
    mark = tmp_path / "mark"
    attempt = office.starting(notebook(f"open({str(mark)!r}, 'x').close()"))
    assert office.runner(attempt, token="another").wait(60) == module.TOO_LATE
    assert not mark.exists()
    assert names(attempt.folder) == ["runner.log"]
    assert office.ended(attempt).state == "succeeded"
    before = names(attempt.folder)
    mark.unlink()
    assert office.runner(attempt).wait(60) == module.TOO_LATE
    assert not mark.exists()
    assert names(attempt.folder) == before


def has_text(folder, text):
    """Whether a notebook in a folder, also one that is not wholly there yet, has a text."""
    return any(text in each.read_text(errors="replace") for each in folder.rglob("*ipynb*") if each.is_file())


def test_of_a_killed_runner_all_processes_are_found_and_the_notebook_so_far_is_kept(office, notebook, tmp_path):
    escaped = tmp_path / "escaped"
    cell = f"""
import os, pathlib, subprocess, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path({str(escaped)!r}).write_text(str(os.getpid()))
        while True: pass
    os._exit(0)
"""
    attempt = office.starting(notebook("print('so far')", cell, LONG))
    other = office.starting(notebook(LONG, name="other.ipynb"))
    runner, _ = office.runner(attempt), office.runner(other)
    until(lambda: escaped.exists() and escaped.read_text())
    until(lambda: {each.state for each in office.attempts.at_work()} == {"running"})
    until(lambda: has_text(Path(attempt.folder), "so far"))
    runner.kill()
    runner.wait()
    [row] = office.attempts.of(attempt.run)
    assert lives(Identity(row.host, row.boot, row.pid, row.ticks)) is False
    # The kernel may have seen by itself that its parent is gone; what it forked has not.
    assert end_tree(attempt.run, 2) == 0
    assert end_tree(attempt.run, 1) >= 1
    assert started_ticks(int(escaped.read_text())) is None
    assert read_outcome(Path(attempt.folder)) is None
    clear_up(Path(attempt.folder))
    assert names(attempt.folder) == ["runner.log", "small.ipynb"]
    assert "so far" in (Path(attempt.folder) / "small.ipynb").read_text()
    # Whoever orphans a runner that lives ends that, too; the other run was left alone until then.
    [row] = office.attempts.of(other.run)
    whom = Identity(row.host, row.boot, row.pid, row.ticks)
    assert lives(whom) is True
    assert end_tree(other.run, 1, whom) >= 2
    assert lives(whom) is False


def test_a_runner_that_was_taken_for_dead_stops_and_says_nothing(office, notebook):
    attempt = office.starting(notebook(LONG))
    runner = office.runner(attempt)
    until(lambda: office.attempts.of(attempt.run)[0].beat > 2)
    beat = office.attempts.of(attempt.run)[0].beat
    while office.attempts.orphan(attempt.run, 1, beat, "it stood still") is None:
        beat = office.attempts.of(attempt.run)[0].beat
    assert runner.wait(60) == module.TOO_LATE
    assert "outcome.json" not in names(attempt.folder)
    assert (office.ledger.run(attempt.run).state, end_tree(attempt.run, 1)) == ("orphaned", 0)


def test_a_runner_that_is_asked_to_end_does_so_and_says_so(office, notebook, tmp_path):
    mark = tmp_path / "mark"
    attempt = office.starting(notebook(f"open({str(mark)!r}, 'x').close()", LONG))
    runner = office.runner(attempt)
    until(mark.exists)
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(60) == 0
    run = office.ledger.run(attempt.run)
    assert (run.state, run.reason) == ("failed", "it was ended by signal 15; run it again")
    assert end_tree(attempt.run, 1) == 0


def test_records_that_do_not_answer_do_not_lose_the_outcome(office, notebook, tmp_path, monkeypatch):
    def broken(*_):
        raise StoreError("the records stayed busy")

    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(module, "PULSE_SECONDS", 0.0)
    monkeypatch.setattr(office.attempts, "finish", broken)
    run = office.claimed(notebook("1"))
    runner = Runner(office.settings, run, 1, tmp_path / "own", office.attempts, office.ledger)
    assert runner._leave("failed", "for a reason") == module.FAULT
    ending = read_outcome(tmp_path / "own")
    assert (ending.run, ending.n, ending.outcome, ending.reason) == (run.id, 1, "failed", "for a reason")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run": "a"}', '{"run":"a","n":1,"outcome":"fine","reason":null}'])
def test_an_outcome_that_is_none_is_none(tmp_path, content):
    (tmp_path / "outcome.json").write_text(content)
    assert read_outcome(tmp_path) is None
    assert read_outcome(tmp_path / "nowhere") is None


def test_a_run_whose_data_was_waited_for_sees_what_was_known_then(office, notebook):
    cell = "import os\nprint(os.environ.get('WORKBENCH_AS_OF'))"
    moment = datetime(2026, 1, 5, 21, 20, tzinfo=UTC)
    run = office.claimed(notebook(cell), as_of=moment)
    assert shown(office.ended(office.again(run.id))) == "2026-01-05T21:20:00+00:00\n"


@pytest.mark.skipif("pdf" not in available(), reason="no Chromium here")
def test_a_pdf_shows_the_report(office, notebook):
    run = office.ended(office.starting(notebook("print('to be printed')"), formats=("pdf",)), 180)
    assert (run.state, run.reason) == ("succeeded", None)
    assert names(run.folder) == ["outcome.json", "runner.log", "small.ipynb", "small.pdf"]
    assert (Path(run.folder) / "small.pdf").read_bytes().startswith(b"%PDF-")


def test_the_environment_of_a_kernel_is_that_of_the_settings(office, notebook):
    cell = "import json, os\nprint(json.dumps({k: v for k, v in os.environ.items() if k.startswith('WORKBENCH_')}))"
    run = office.ended(office.starting(notebook(cell)))
    given = json.loads(shown(run))
    assert given["WORKBENCH_HOME"] == str(office.settings.home)
    assert given["WORKBENCH_RUN_ATTEMPT"] == "1"
    assert given["WORKBENCH_RUN_FOLDER"] == run.folder
