"""Kernels and their warm process, killed, stopped and out of memory in turn: the others live, and nothing is left."""

import json
import os
import random
import signal

import psutil
import pytest
from kernels_at_work import gone, kernels_at_work, wait_for

from workbench.lab.kernels import asking

AT_ONCE = 20
LIMITED = (
    "import resource\nresource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))\nbytearray(64 << 30)"
)


def kill_a_kernel(place, session):
    os.kill(session.pid, signal.SIGKILL)
    wait_for(lambda: not session.manager.is_alive(), "the manager to see it")


def exhaust_a_kernel(place, session):
    assert session.run(LIMITED).startswith("MemoryError")


def kill_the_warm_one(place, session):
    before = place.warm_pid()
    os.kill(before, signal.SIGKILL)
    place.warm_pid(other_than=before)


def stop_the_warm_one(place, session):
    before = place.warm_pid()
    os.kill(before, signal.SIGSTOP)
    cold = place.start()
    assert not cold.warm
    cold.end(now=True)
    place.warm_pid(other_than=before)


def turns(home, faults, at_once):
    """Let each fault happen beside a kernel that must not notice, then start kernels at once; return the counts."""
    with kernels_at_work(home) as place:
        place.keep()
        neighbour = place.start()
        neighbour.run("kept = 41")
        unharmed, pids = 0, {neighbour.pid}
        for fault in faults:
            session = place.start()
            pids.add(session.pid)
            fault(place, session)
            unharmed += neighbour.run("kept + 1") == "42"
            session.end(now=True)
        many = place.start_many(at_once)
        answered = sum(each.run("6 * 7") == "42" for each in many)
        pids |= {each.pid for each in many}
        warm = place.warm_pid()
        for each in [*many, neighbour]:
            each.end(now=True)
        wait_for(lambda: all(gone(pid) for pid in pids), "all kernels to end")
        zombies = sum(each.status() == psutil.STATUS_ZOMBIE for each in psutil.Process(warm).children())
        # Those of the listener and of the one who holds it.
        wait_for(lambda: len(psutil.Process(warm).net_connections("unix")) == 2, "the warm process to close the others")
    left = {
        "processes": sum(not gone(pid) for pid in {*pids, warm}) + zombies,
        "sockets": sum(each.sockets.exists() for each in place.sessions) + len(list(place.folder.iterdir())),
    }
    return {"faults": len(faults), "unharmed": unharmed, "at_once": at_once, "answered": answered, "left": left}


def assert_nothing_lost(counts):
    assert counts["unharmed"] == counts["faults"]
    assert counts["answered"] == counts["at_once"]
    assert counts["left"] == {"processes": 0, "sockets": 0}


def test_faults_of_a_kernel_and_of_the_warm_process_harm_no_other(tmp_path):
    faults = [kill_a_kernel, exhaust_a_kernel, kill_the_warm_one]
    assert_nothing_lost(turns(tmp_path / "home", faults, at_once=3))


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_hundred_faults_harm_no_other_kernel(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 1.0)
    choose = random.Random(5)
    faults = [*[kill_a_kernel] * 60, *[exhaust_a_kernel] * 20, *[kill_the_warm_one] * 15, *[stop_the_warm_one] * 5]
    choose.shuffle(faults)
    counts = turns(tmp_path / "home", faults, AT_ONCE)
    print(json.dumps(counts))
    assert_nothing_lost(counts)
