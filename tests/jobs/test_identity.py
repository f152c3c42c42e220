"""Whether a process lives, asked of real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from workbench.jobs import identity
from workbench.jobs.identity import lives, own_identity, started_ticks

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_this_process_lives():
    assert lives(own_identity()) is True
    assert own_identity().pid == os.getpid()


def test_the_start_is_the_kernels_own_count():
    started = psutil.Process().create_time() - psutil.boot_time()
    assert started_ticks(os.getpid()) / os.sysconf("SC_CLK_TCK") == pytest.approx(started, abs=1.5)


def test_a_process_lives_until_it_is_killed_not_until_it_is_buried():
    process = subprocess.Popen(SLEEP)
    child = replace(own_identity(), pid=process.pid, ticks=started_ticks(process.pid))
    assert lives(child) is True
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert lives(child) is False
    process.wait()
    assert lives(child) is False


def test_another_process_of_the_same_number_is_not_taken_for_it():
    own = own_identity()
    assert lives(replace(own, ticks=own.ticks - 1)) is False


def test_no_process_survives_the_start_of_its_machine():
    assert lives(replace(own_identity(), boot="another")) is False


def test_of_another_machine_nothing_is_said():
    assert lives(replace(own_identity(), host="elsewhere")) is None
    assert lives(replace(own_identity(), host="elsewhere", boot="another")) is None


def test_a_name_with_brackets_and_blanks_is_read(tmp_path):
    odd = tmp_path / "a) Z 1 (b"
    odd.symlink_to(sys.executable)
    process = subprocess.Popen([str(odd), "-c", "import time; time.sleep(60)"])
    try:
        assert started_ticks(process.pid) >= started_ticks(os.getpid())
    finally:
        process.kill()
        process.wait()


def test_a_container_is_a_machine_of_its_own(monkeypatch):
    own = own_identity()
    monkeypatch.setattr(identity, "_link", lambda _path: "pid:[4026532999]")
    identity._machine.cache_clear()
    try:
        assert own_identity().host == f"{own.host}/4026532999"
        assert lives(own) is None
    finally:
        identity._machine.cache_clear()
