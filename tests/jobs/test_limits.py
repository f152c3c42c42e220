"""Notebooks that take too much, with real kernels and processes: each is ended wholly, and its run says why."""

from __future__ import annotations

import time

import pytest
from run_office import (
    HOLD,
    Office,
    assert_stopped_for_what_it_printed,
    assert_stopped_for_what_it_wrote,
    left_of,
    stopped,
)

from workbench.jobs.disks import Usage
from workbench.jobs.limits import size_text

ESCAPE = """
import os, sys, time
for number in range({number}):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(300)
        os._exit(0)
    os.wait()
"""


def test_one_that_never_ends_is_stopped_at_its_time_out(tmp_path, notebook):
    office = Office(tmp_path / "home")
    run = stopped(office, notebook, "while True: pass", begun=False, time_out="PT4S")
    assert (run.state, run.reason) == (
        "timed out",
        "it was not done within its time-out of 0:00:04; raise time_out or do less",
    )


def test_one_that_forks_is_stopped_however_its_children_hide(tmp_path, notebook):
    office = Office(tmp_path / "home", run_processes=8)
    run = stopped(office, notebook, ESCAPE.format(number=20) + HOLD)
    assert run.state == "limit"
    assert run.reason.endswith(" processes, more than the 8 allowed; start fewer or raise run_processes")


def test_one_that_fills_the_disk_is_stopped_and_leaves_room(tmp_path, notebook):
    assert_stopped_for_what_it_wrote(tmp_path, notebook, "os.environ['TMPDIR']")


def test_one_that_prints_a_gigabyte_is_stopped_before_it_takes_memory(tmp_path, notebook):
    assert_stopped_for_what_it_printed(tmp_path, notebook, "print('x' * 1_000_000_000)")


def test_one_that_removes_its_own_folders_has_its_limits_still(tmp_path, notebook):
    office = Office(tmp_path / "home")
    cell = "import os, shutil\nshutil.rmtree(os.environ['WORKBENCH_RUN_FOLDER'])\nshutil.rmtree(os.getcwd())\n"
    attempt = office.starting(notebook(cell + HOLD), policies={"time_out": "PT6S"})
    assert office.runner(attempt).wait(60) == 0
    run = office.ledger.run(attempt.run)
    assert (run.state, run.reason.partition(" of ")[0]) == ("timed out", "it was not done within its time-out")
    assert left_of(run.id) == []


def test_a_large_file_that_was_written_beside_the_runs_folder_is_named(tmp_path):
    own, beside = tmp_path / "own", tmp_path / "books"
    for folder in (own, beside, beside / "data"):
        folder.mkdir()
    (beside / "old").write_bytes(bytes(40 << 20))
    # Files are dated by the kernel's tick.
    time.sleep(0.05)
    usage = Usage([own, beside], {own}, own)
    (own / "large").write_bytes(bytes(30 << 20))
    (beside / "small").write_bytes(bytes(1 << 20))
    assert usage.left() is None
    (beside / "data" / "large").write_bytes(bytes(20 << 20))
    assert usage.left() == f"{beside}/data/large (20 MiB) was left there"
    assert usage.growth() == (usage.growth()[0], str(own))


def test_what_room_is_left_is_known_where_a_folder_is_gone(tmp_path, monkeypatch):
    (folder := tmp_path / "own").mkdir()
    usage = Usage([folder], set(), folder)
    folder.rmdir()
    assert usage.shortage() is None
    assert usage.growth()[0] == 0
    monkeypatch.setattr("workbench.jobs.disks._free", lambda path: 5)
    assert usage.shortage().startswith("only 5 bytes was left on the disk of ")


def test_one_that_is_cancelled_is_stopped(tmp_path, notebook):
    office = Office(tmp_path / "home")
    started = tmp_path / "started"
    attempt = office.starting(notebook(f"open({str(started)!r}, 'w').close()\n{HOLD}"))
    runner = office.runner(attempt)
    while not started.exists():
        assert runner.poll() is None
        time.sleep(0.05)
    assert office.claims.cancel(attempt.run, "not wanted any more") == "asked"
    assert runner.wait(30) == 0
    run = office.ledger.run(attempt.run)
    assert (run.state, run.reason) == ("cancelled", "not wanted any more")
    assert left_of(run.id) == []


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (10 << 20, "10 MiB"),
        (3 << 40, "3072.0 GiB"),
    ],
)
def test_a_size_is_told_in_its_unit(size, text):
    assert size_text(size) == text
