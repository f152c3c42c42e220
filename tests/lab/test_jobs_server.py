"""A real Lab server with its service: what it answers, whom it lets in, and that both end together."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect
from workbench_server import serving

WELCOME = {"name": "welcome", "input_uri": "notebooks/00_welcome.ipynb", "runtime_environment_name": "trii-workbench"}
DAILY = {**WELCOME, "schedule": "0 0 1 1 *", "timezone": "UTC"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running ``workbench lab``."""
    with serving("lab", tmp_path_factory.mktemp("lab"), "/user/x/", WORKBENCH_WARM_KERNELS="0") as server:
        yield server


def ask(server, path, body=None, method=None, token=True, cookies=""):
    """The status and the answer of a request."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"token {server.token}"} if token else {"Cookie": cookies}
    try:
        with urlopen(Request(server.base + path, data, headers, method=method), timeout=60) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else None


def service(server):
    """The process that carries runs out."""
    [found] = services(server, "schedule")
    return found


def services(server, *words):
    """The processes beside a server that end with it."""
    return [process for process in server.processes() if {"--until-parent", *words} <= set(process.cmdline())]


def wait_for(found, what):
    for _ in range(300):
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited 30 s for {what}")


JOBS, DEFINITIONS = "scheduler/jobs", "scheduler/job_definitions"
FAR = "9" * 30


@pytest.mark.parametrize(
    ("path", "body", "method", "status", "sentence"),
    [
        (DEFINITIONS, {**DAILY, "input_uri": "nothing.ipynb"}, "POST", 400, "there is no notebook 'nothing.ipynb'"),
        (DEFINITIONS, {**DAILY, "schedule": "0 0 31 2 *"}, "POST", 400, "0 0 31 2 *"),
        (DEFINITIONS, {**DAILY, "parameters": {"x; import os": "1"}}, "POST", 400, "unknown parameter"),
        (DEFINITIONS, {**DAILY, "name": "<img src=x>"}, "POST", 400, "name='<img src=x>'"),
        (f"{DEFINITIONS}/no-schedule", None, "DELETE", 404, "unknown schedule 'no-schedule'"),
        (DEFINITIONS, None, "DELETE", 405, "Method Not Allowed"),
        (f"{DEFINITIONS}?create_time=x", None, "GET", 400, "create_time='x' cannot be used"),
        (JOBS, {}, "POST", 400, "a job needs input_uri"),
        (JOBS, [], "POST", 400, "no JSON object"),
        (JOBS, {**WELCOME, "input_uri": "\ud800"}, "POST", 400, "there is no notebook"),
        (JOBS, {"input_uri": "a"}, "POST", 400, "name of the request cannot be used"),
        (f"{JOBS}?sort_by=asc(job_files)", None, "GET", 400, "jobs cannot be sorted by 'job_files'"),
        (f"{JOBS}?sort_by=", None, "GET", 400, "sort_by='' cannot be used"),
        (f"{JOBS}?status=nonsense", None, "GET", 400, "status='nonsense' cannot be used; choose one of CREATED"),
        (f"{JOBS}?max_items={FAR}", None, "GET", 400, "give a whole number"),
        (f"{JOBS}?start_time={FAR}", None, "GET", 400, "give a whole number"),
        (f"{JOBS}?start_time=-1", None, "GET", 400, "give a whole number"),
        (f"{JOBS}/count?status=nonsense", None, "GET", 400, "status='nonsense' cannot be used"),
        (f"{JOBS}/no-run", None, "GET", 404, "unknown run 'no-run'"),
        (f"{JOBS}/no-run", {}, "POST", 405, "Method Not Allowed"),
        (f"{JOBS}/no-run", {"status": "FAILED"}, "PATCH", 400, "a job can only be STOPPED"),
        (f"{JOBS}/no-run", {"status": ["x"]}, "PATCH", 400, "a job can only be STOPPED"),
        (f"{JOBS}/no-run", {"name": "x"}, "PATCH", 400, "the run no-run cannot be changed"),
    ],
)
def test_a_mistake_of_the_caller_is_told_as_such(lab, path, body, method, status, sentence):
    logged = lab.log.stat().st_size
    found, answer = ask(lab, path, body, method)
    assert (found, sentence in answer["message"]) == (status, True), answer
    assert "Traceback" not in lab.log.read_text()[logged:]


def test_nothing_is_made_without_the_token_or_for_another_site(lab):
    assert ask(lab, JOBS, WELCOME, token=False)[0] == 403
    assert ask(lab, JOBS, token=False)[0] == 403
    assert ask(lab, f"{JOBS}?status=nonsense", token=False)[0] == 403
    with urlopen(lab.url, timeout=60) as answer:
        cookies = "; ".join(each.partition(";")[0] for each in answer.headers.get_all("Set-Cookie"))
    assert ask(lab, JOBS, token=False, cookies=cookies)[0] == 200
    # What a page of another site would send: the cookies, but not what is in them.
    assert ask(lab, JOBS, WELCOME, token=False, cookies=cookies)[0] == 403
    assert ask(lab, f"{JOBS}?max_items=0")[1]["total_count"] == 0


def test_pings_of_websockets_are_not_warned_of(lab):
    name = ask(lab, "api/terminals", {})[1]["name"]
    url = f"{lab.base.replace('http', 'ws', 1)}terminals/websocket/{name}?token={lab.token}"

    async def listen():
        (await websocket_connect(url)).close()

    asyncio.run(listen())
    assert "websocket_ping_timeout" not in lab.log.read_text()
    assert ask(lab, f"api/terminals/{name}", method="DELETE")[0] == 204


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
    second = wait_for(lambda: [p for p in services(lab, "schedule") if p.pid != first.pid], "another one")
    assert len(second) == 1
    assert "the service that runs jobs ended with code -9" in lab.log.read_text()


def kill_server(folder):
    """Kill a server when its service is at work, and wait for the end of all that it started."""
    with serving("lab", folder, WORKBENCH_WARM_KERNELS="0") as server:
        wait_for(lambda: (server.home / "jobs.sqlite").exists(), "the service to be at work")
        assert len(server.processes()) == 4
        os.kill(server.process.pid, signal.SIGKILL)
        wait_for(lambda: not [p for p in server.processes() if p.status() != psutil.STATUS_ZOMBIE], "their end")


def test_a_server_that_is_killed_takes_its_service_and_the_apps_with_it(tmp_path):
    with pytest.raises(AssertionError, match="the server ended with -9"):
        kill_server(tmp_path)


def test_a_run_goes_on_when_its_server_ends(tmp_path):
    kernel = {"kernelspec": {"name": "trii-workbench", "display_name": "", "language": "python"}}
    cell = 'from pathlib import Path; import time\nPath("begun").touch()\ntime.sleep(4)'
    with serving("lab", tmp_path, WORKBENCH_WARM_KERNELS="0") as server:
        path = server.home / "workspace" / "notebooks" / "slow.ipynb"
        nbformat.write(new_notebook(cells=[new_code_cell(cell)], metadata=kernel), path)
        run = ask(server, JOBS, {**WELCOME, "name": "slow", "input_uri": "notebooks/slow.ipynb"})[1]["job_id"]
        wait_for(path.with_name("begun").exists, "the run to begin")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0
        outcome = server.home / "workspace" / "reports" / run / "1" / "outcome.json"
        assert not outcome.exists()
        wait_for(outcome.exists, "the run's end")
        assert json.loads(outcome.read_text())["outcome"] == "succeeded"
        wait_for(lambda: not server.processes(), "the end of its processes")


def test_people_who_only_look_have_no_jobs_no_alerts_and_no_service(viewers):
    assert services(viewers) == []
    assert ask(viewers, "scheduler/jobs")[0] == 404
    assert ask(viewers, "workbench/alerts")[0] == 404
    assert ask(viewers, "workbench/alerts/1/acknowledge", {})[0] in (403, 404)
    assert ask(viewers, "api/events", {})[0] in (403, 404)
    page = urlopen(viewers.url, timeout=30).read()
    assert b"Reports" not in page
    assert b"panel/alerts" not in page

    async def listen_in():
        url = f"{viewers.base.replace('http', 'ws', 1)}api/events/subscribe?token={viewers.token}"
        with pytest.raises(HTTPClientError, match="404"):
            await websocket_connect(url)

    asyncio.run(listen_in())
