"""A real Lab server with its service: what it answers, whom it lets in, and that both end together."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
from workbench_server import serving

WELCOME = {"name": "welcome", "input_uri": "notebooks/00_welcome.ipynb", "runtime_environment_name": "trii-workbench"}
DAILY = {**WELCOME, "schedule": "0 0 1 1 *", "timezone": "UTC"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running ``workbench lab``."""
    with serving("lab", tmp_path_factory.mktemp("lab"), WORKBENCH_WARM_KERNELS="0") as server:
        yield server


def ask(server, path, body=None, method=None, token=True):
    """The status and the answer of a request."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"token {server.token}"} if token else {}
    try:
        with urlopen(Request(server.base + path, data, headers, method=method), timeout=60) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else None


def service(server):
    """The process that carries runs out."""
    [found] = [process for process in server.processes() if "--until-parent" in process.cmdline()]
    return found


def wait_for(found, what):
    for _ in range(300):
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited 30 s for {what}")


def test_mistakes_of_the_caller_are_told_as_such(lab):
    jobs, definitions = "scheduler/jobs", "scheduler/job_definitions"
    mistakes = [
        ask(lab, definitions, {**DAILY, "input_uri": "nothing.ipynb"}),
        ask(lab, definitions, {**DAILY, "schedule": "0 0 31 2 *"}),
        ask(lab, definitions, {**DAILY, "runtime_environment_parameters": {"when": "XNYZ close"}}),
        ask(lab, definitions, {**DAILY, "parameters": {"x; import os": "1"}}),
        ask(lab, jobs, {}),
        ask(lab, jobs, []),
        ask(lab, f"{jobs}?sort_by=asc(job_files)"),
        ask(lab, f"{jobs}?status=nonsense"),
        ask(lab, f"{jobs}/count?status=nonsense"),
        ask(lab, f"{jobs}/no-run", {"status": "NONSENSE"}, "PATCH"),
    ]
    assert [status for status, _ in mistakes] == [400] * len(mistakes)
    assert [answer["message"] for _, answer in mistakes if "Unexpected" in answer["message"]] == []
    missing = [ask(lab, f"{jobs}/no-run"), ask(lab, f"{definitions}/no-schedule", method="DELETE")]
    assert [status for status, _ in missing] == [404, 404]
    assert "SchedulerError" not in lab.log.read_text()


def test_nothing_is_made_without_the_token(lab):
    assert ask(lab, "scheduler/jobs", WELCOME, token=False)[0] == 403
    assert ask(lab, "scheduler/jobs", token=False)[0] == 403
    assert ask(lab, "scheduler/jobs?max_items=0")[1]["total_count"] == 0


def test_while_the_records_are_locked_the_server_answers_other_requests(lab):
    ask(lab, "scheduler/job_definitions")
    answers = []
    saving = threading.Thread(target=lambda: answers.append(ask(lab, "scheduler/job_definitions", DAILY)))
    with closing(sqlite3.connect(lab.home / "records.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        saving.start()
        for _ in range(20):
            assert ask(lab, "api/status")[0] == 200
            time.sleep(0.05)
        assert saving.is_alive()
        other.execute("ROLLBACK")
    saving.join()
    assert answers[0][0] == 200
    definition = answers[0][1]["job_definition_id"]
    assert ask(lab, f"scheduler/job_definitions/{definition}", method="DELETE")[0] == 204


def test_the_server_itself_has_no_engine_and_the_service_is_its_child(lab):
    assert service(lab).ppid() == lab.process.pid
    maps = psutil.Process(lab.process.pid).memory_maps()
    assert [each.path for each in maps if "psycopg" in each.path] == []


def test_a_service_that_dies_is_started_again(lab):
    first = wait_for(lambda: service(lab), "the service")
    first.kill()
    first.wait(10)
    second = wait_for(
        lambda: [p for p in lab.processes() if "--until-parent" in p.cmdline() and p.pid != first.pid], "another one"
    )
    assert len(second) == 1
    assert "the service that runs jobs ended with code -9" in lab.log.read_text()


def kill_server(folder):
    """Kill a server when its service is at work, and wait for the service's end."""
    with serving("lab", folder, WORKBENCH_WARM_KERNELS="0") as server:
        mine = wait_for(lambda: service(server), "the service")
        wait_for(lambda: (server.home / "jobs.sqlite").exists(), "the service to be at work")
        os.kill(server.process.pid, signal.SIGKILL)
        wait_for(lambda: not mine.is_running() or mine.status() == psutil.STATUS_ZOMBIE, "its end")


def test_a_server_that_is_killed_takes_its_service_with_it(tmp_path):
    with pytest.raises(AssertionError, match="the server ended with -9"):
        kill_server(tmp_path)


def test_people_who_only_look_have_no_jobs_and_no_service(viewers):
    assert [process for process in viewers.processes() if "--until-parent" in process.cmdline()] == []
    assert ask(viewers, "scheduler/jobs")[0] == 404
    assert b"Reports" not in urlopen(viewers.url, timeout=30).read()
