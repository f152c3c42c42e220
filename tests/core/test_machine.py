"""What this process may compute on."""

import os

from workbench.core.machine import cores, processors


def test_the_processors_are_those_that_the_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert (cores(), processors()) == (1, "cpu (1 core)")
    finally:
        os.sched_setaffinity(0, before)
    if len(before) > 1:
        assert (cores(), processors()) == (len(before), f"cpu ({len(before)} cores)")


def test_where_the_system_does_not_tell_which_processors_it_is_all_of_them(monkeypatch):
    # As on macOS.
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 11)
    assert (cores(), processors()) == (11, "cpu (11 cores)")
