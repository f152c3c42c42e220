"""The durable engine's tables, and what it takes up; each in a process of its own: there is one engine in each."""

from __future__ import annotations

import base64
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from postgres_server import postgres

from workbench.core.settings import load_settings
from workbench.jobs.engine import FILE, SCHEMA

# What was put back is looked for more often than a service does: nobody is to wait for it.
HEAD = """
import os, sys, time
from workbench.core.settings import load_settings
from workbench.jobs import engine as own
from workbench.jobs.engine import Engine
own._POLLING = 0.2
def seen(run, n):
    os.write(1, f"{run} {n}\\n".encode())
    time.sleep(60 if run == "long" else 0)
def engine(name):
    return Engine(load_settings(), name, seen, 4)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, tmp_path):
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(f"d{time.monotonic_ns()}")
    return load_settings(home=tmp_path / "home", database_url=url)


def started(settings, script):
    environment = {**os.environ, **settings.environment(), "DBOS__CLOUD": "true"}
    command = [sys.executable, "-c", HEAD + script]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(settings, script):
    with started(settings, script) as process:
        return process.communicate(timeout=60)[0].split()


def test_an_attempt_is_seen_through_once_however_often_it_is_begun(settings):
    script = (
        "one = engine('a')\nfor _ in range(3): one.begin('run', 1)\none.begin('run', 2); time.sleep(2); os._exit(0)"
    )
    assert sorted(answer(settings, script)) == sorted(["run", "1", "run", "2"])


def test_a_living_service_takes_up_what_a_killed_one_had_begun_and_what_lives_is_left(settings):
    with started(settings, "engine('a').begin('long', 1); time.sleep(60)") as first:
        assert first.stdout.readline() == "long 1\n"
        left = "one = engine('b'); print(one.recover({'a', 'b'})); sys.stdout.flush(); time.sleep(1.5); os._exit(0)"
        assert answer(settings, left) == ["0"]
        first.send_signal(signal.SIGKILL)
    taken = "one = engine('c'); print(one.recover({'c'})); sys.stdout.flush(); time.sleep(2); os._exit(0)"
    assert answer(settings, taken) == ["1", "long", "1"]


def test_a_server_that_is_away_is_told_at_once_and_used_again_when_it_is_back(tmp_path):
    script = (
        "one = engine('a'); print('up', flush=True); sys.stdin.readline()\n"
        "try: one.begin('run', 1)\n"
        "except Exception as error: print(type(error).__name__, flush=True)\n"
        "sys.stdin.readline(); one.begin('run', 2); time.sleep(2); os._exit(0)"
    )
    with postgres() as server:
        settings = load_settings(home=tmp_path / "home", database_url=server.create_database("engine"))
        with started(settings, script) as process:
            assert process.stdout.readline() == "up\n"
            server.stop()
            print(file=process.stdin, flush=True)
            assert process.stdout.readline() == "StoreError\n"
            server.start()
            print(file=process.stdin, flush=True)
            assert process.stdout.read() == "run 2\n"


def test_services_that_make_the_tables_at_once_all_start(settings):
    both = [started(settings, f"engine('{name}'); print('up', flush=True); os._exit(0)") for name in "abc"]
    assert [process.communicate(timeout=60)[0] for process in both] == ["up\n"] * 3


def test_a_service_killed_while_it_makes_the_tables_can_be_followed_by_another(settings):
    choose = random.Random(3)
    for _ in range(3):
        with started(settings, "import dbos\nprint('now', flush=True); engine('a'); time.sleep(60)") as process:
            process.stdout.readline()
            time.sleep(choose.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
    assert answer(settings, "engine('b'); print('up', flush=True); os._exit(0)") == ["up"]


def test_a_row_that_says_it_is_a_pickle_is_not_loaded(tmp_path):
    settings, mark = load_settings(home=tmp_path / "home"), tmp_path / "mark"
    assert answer(settings, "engine('a'); print('up', flush=True); os._exit(0)") == ["up"]

    class Planted:
        def __reduce__(self):
            return os.system, (f"touch {mark}",)

    with sqlite3.connect(settings.home / FILE) as connection:
        connection.execute(
            "INSERT INTO workflow_status (workflow_uuid, status, name, created_at, updated_at, application_version,"
            " executor_id, serialization, priority, recovery_attempts, application_name)"
            " VALUES ('planted', 'PENDING', 'attempt', 0, 0, 'jobs-1', 'gone', 'py_pickle', 0, 0, 'trii-workbench')"
        )
        planted = base64.b64encode(pickle.dumps(Planted())).decode()
        connection.execute("INSERT INTO workflow_input (workflow_uuid, inputs) VALUES ('planted', ?)", (planted,))
    connection.close()
    script = "one = engine('b'); print(one.recover({'b'})); sys.stdout.flush(); time.sleep(2); os._exit(0)"
    assert answer(settings, script) == ["1"]
    assert not mark.exists()


def test_nobody_else_can_read_the_tables_and_nothing_listens(tmp_path):
    settings = load_settings(home=tmp_path / "home")
    script = (
        "import psutil; one = engine('a'); one.begin('run', 1); time.sleep(1)\n"
        "print([each for each in psutil.Process().net_connections() if each.status == 'LISTEN']); os._exit(0)"
    )
    assert answer(settings, f"{script.replace('os._exit', 'sys.stdout.flush(); os._exit')}")[-1] == "[]"
    assert (settings.home / FILE).stat().st_mode & 0o077 == 0


def test_all_tables_are_in_a_schema_of_their_own(postgres_server):
    name = f"d{time.monotonic_ns()}"
    settings = load_settings(database_url=postgres_server.create_database(name))
    assert answer(settings, "engine('a'); print('up', flush=True); os._exit(0)") == ["up"]
    found = "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    assert postgres_server.query(name, found).split() == [SCHEMA]
