"""Alerts inside a real Lab server: what it tells whom, whom it lets in, and what it costs while nobody listens."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import psutil
import pytest
from jupyter_events import EventLogger
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect
from workbench_server import serving

from workbench.alerts.book import RuleBook
from workbench.alerts.firings import raise_alert
from workbench.alerts.policy import make_policy
from workbench.bench import Workbench
from workbench.core.errors import StoreError, UnknownNameError
from workbench.core.settings import load_settings
from workbench.lab.alerts import telling
from workbench.lab.alerts.standing import MOST, SINCE, Standing
from workbench.lab.alerts.telling import SCHEMA, Telling

MONDAY = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
LEASE = timedelta(seconds=30)
PLACE = "workbench/alerts"


class Time:
    """A clock that is set."""

    def __init__(self):
        self.now = MONDAY

    def __call__(self):
        return self.now

    def pass_by(self, **span):
        self.now += timedelta(**span)


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request, tmp_path):
    """An empty home at a set time, on each database."""
    settings = {"home": tmp_path}
    if request.param == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgres_server").create_database(f"lab_{uuid4().hex}")
    return Workbench(load_settings(**settings), clock=Time())


def fire(desk, *keys, rule=None, subject=None):
    """Raise alerts at once."""
    with desk.records.writing() as connection:
        for key in keys:
            own = key if ":" in key else f"run:{key}"
            raise_alert(connection, own, subject or f"about {key}", "text", desk.clock(), rule=rule)


def send(desk):
    """Send what is due."""
    if isinstance(desk.clock, Time):
        desk.clock.pass_by(minutes=6)
    for message in desk.outbox.claim("test", LEASE, 1000):
        desk.outbox.sent(message)


def a_rule(desk, name="high"):
    book = RuleBook(desk.records, desk.clock, "us_equities", check=lambda rule: None)
    return book.add("price", name, symbols=["AAPL"], when="above", level=1.0)


def shown(standing):
    return [(each.subject, each.alerts) for each in standing.look().values()]


def test_a_message_is_open_until_all_of_its_alerts_are_acknowledged(desk):
    standing = Standing(desk)
    fire(desk, "a", "b")
    assert shown(standing) == [], "it is still gathering"
    send(desk)
    assert shown(standing) == [("run: 2 alerts", 2)]
    first, second = desk.alerts.list()
    desk.acknowledge(first.id)
    assert shown(standing) == [("run: 2 alerts", 2)]
    desk.acknowledge(second.id)
    assert shown(standing) == []


def test_a_message_of_one_alert_says_what_was_found(desk):
    with desk.records.writing() as connection:
        told = "close 601.20 USD, +0.2% from 600; 2012-04-09 20:00 UTC; rule 'over'"
        raise_alert(connection, "run:a", "AAPL: close above 600", told, desk.clock(), symbol="AAPL")
    send(desk)
    fire(desk, "b", "c")
    send(desk)
    found = [(each.subject, each.found) for each in Standing(desk).look().values()]
    assert found == [("run: 2 alerts", ""), ("AAPL: close above 600", "close 601.20 USD, +0.2% from 600")]


def test_acknowledging_a_message_acknowledges_all_that_it_tells_of_and_nothing_else(desk):
    standing = Standing(desk)
    fire(desk, *map(str, range(520)))
    send(desk)
    fire(desk, "other")
    send(desk)
    other, large = standing.look().values()
    assert standing.acknowledge(large.id, "Ada") == 520
    assert standing.acknowledge(large.id, "Bob") == 0
    assert [each.subject for each in standing.look().values()] == [other.subject] == ["about other"]
    by = {each.acknowledged_by for each in desk.alerts.list(most=2000)}
    assert by == {"Ada", None}
    for unknown in (10**9, 10**14):
        with pytest.raises(UnknownNameError, match=str(unknown)):
            standing.acknowledge(unknown)


def test_what_is_snoozed_comes_back_unless_it_is_acknowledged(desk):
    standing = Standing(desk)
    fire(desk, "a", "b", rule=a_rule(desk))
    send(desk)
    [message] = standing.look().values()
    assert message.snoozable
    assert standing.snooze(message.id, timedelta(hours=1)) == 1
    assert shown(standing) == []
    # What was to wait longer is not cut short.
    assert standing.snooze(message.id, timedelta(minutes=5)) == 1
    assert desk.alert_rules.get("high").snoozed == desk.clock() + timedelta(hours=1)
    desk.clock.pass_by(minutes=61)
    assert shown(standing) == [("high: 2 alerts", 2)]


def test_what_no_rule_has_found_cannot_be_snoozed_nor_what_a_removed_one_has(desk):
    standing = Standing(desk)
    fire(desk, "a")
    fire(desk, "b", rule=a_rule(desk))
    desk.alert_rules.remove("high")
    send(desk)
    assert [each.snoozable for each in standing.look().values()] == [False, False]
    assert [standing.snooze(each, timedelta(hours=1)) for each in standing.look()] == [0, 0]
    assert len(shown(standing)) == 2


def test_only_the_newest_messages_of_the_last_days_are_shown(desk):
    standing = Standing(desk)
    for each in range(MOST + 2):
        fire(desk, f"source{each}:x", subject=f"about {each}")
        if each == 0:
            send(desk)
    send(desk)
    assert len(standing.look()) == MOST
    assert "about 0" not in [each.subject for each in standing.look().values()]
    desk.clock.pass_by(days=SINCE.days, hours=1)
    assert standing.look() == {}


def test_what_goes_elsewhere_is_not_shown(desk):
    with desk.records.writing() as connection:
        elsewhere = make_policy({"channels": ["mail"]})
        raise_alert(connection, "run:1", "about mail", "text", desk.clock(), policy=elsewhere)
    send(desk)
    standing = Standing(desk)
    assert shown(standing) == []
    [message] = desk.outbox.messages(state="sent")
    with pytest.raises(UnknownNameError):
        standing.acknowledge(message.id)


class Stub:
    """What is open, as a test says; ``looks`` counts."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.looks = 0

    def look(self):
        self.looks += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_the_records_are_looked_at_while_somebody_listens_and_no_fault_ends_that(monkeypatch, caplog):
    monkeypatch.setattr(telling, "EVERY", 0.01)
    faults = StoreError("the disk is gone"), StoreError("the disk is gone"), ZeroDivisionError("a driver's")
    stub, heard = Stub(*faults, {}), []

    async def listener(logger, schema_id, data):
        heard.append(data)

    async def live():
        events = EventLogger()
        told = Telling(stub, events, logging.getLogger("test"))
        told.start()
        await asyncio.sleep(0.1)
        assert stub.looks == 0
        events.add_listener(schema_id=SCHEMA, listener=listener)
        while stub.looks < 5:
            await asyncio.sleep(0.01)
        await told.stop()

    asyncio.run(live())
    assert caplog.text.count("alerts cannot be shown: the disk is gone") == 1
    assert caplog.text.count("alerts cannot be shown: a driver's") == 1
    assert heard == []


# A real server


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running ``workbench lab`` as a hub would have it."""
    with serving("lab", tmp_path_factory.mktemp("lab"), "/user/x/", WORKBENCH_WARM_KERNELS="0") as server:
        yield server


@pytest.fixture(scope="module")
def second_lab(lab, tmp_path_factory):
    """Another one on the same home."""
    folder = tmp_path_factory.mktemp("second")
    (folder / "home").symlink_to(lab.home)
    with serving("lab", folder, WORKBENCH_WARM_KERNELS="0") as server:
        yield server


@pytest.fixture(scope="module")
def shared(lab):
    """The home of both, seen from here."""
    return Workbench(load_settings(home=lab.home))


def ask(server, path=PLACE, body=None, method=None, headers=None):
    """The status and the answer of a request."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"token {server.token}"} if headers is None else headers
    try:
        with urlopen(Request(server.base + path, data, headers, method=method), timeout=60) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else None


@asynccontextmanager
async def listening(server, token=True):
    """A listener of the server's events, as a browser's page is one."""
    query = f"?token={server.token}" if token else ""
    socket = await websocket_connect(f"{server.base.replace('http', 'ws', 1)}api/events/subscribe{query}")
    try:
        yield socket
    finally:
        socket.close()


async def next_event(socket):
    while True:
        event = json.loads(await asyncio.wait_for(socket.read_message(), 20))
        if event["schema_id"] == SCHEMA:
            return event


def announced(server, desk, subject):
    """The open message of an alert that has just been raised, on a topic of its own."""
    fire(desk, f"{uuid4().hex}:1", subject=subject)
    for _ in range(200):
        send(desk)
        for message in ask(server)[1]["messages"]:
            if message["subject"] == subject:
                return message
        time.sleep(0.1)
    raise AssertionError("waited 20 s for the message")


def test_each_lab_of_a_home_tells_of_a_message_and_that_it_was_acknowledged_in_another(lab, second_lab, shared):
    async def live():
        async with listening(lab) as here, listening(second_lab) as there:
            # Both have looked once: what is open by then is not told of as new.
            assert [(await asyncio.to_thread(ask, each))[0] for each in (lab, second_lab)] == [200, 200]
            message = await asyncio.to_thread(announced, lab, shared, "<b>told</b>")
            events = [await next_event(each) for each in (here, there)]
            began = time.monotonic()
            path = f"{PLACE}/{message['id']}/acknowledge"
            assert (await asyncio.to_thread(ask, second_lab, path, {}))[1] == {"acknowledged": 1}
            gone = [await next_event(each) for each in (there, here)]
            return message, events, gone, time.monotonic() - began

    message, events, gone, seconds = asyncio.run(live())
    for event in events:
        assert event["action"] == "opened"
        assert {name: event[name] for name in message} == message
    assert message["subject"] == "<b>told</b>", "plain text, which the page shows as such"
    assert [(each["action"], each["id"]) for each in gone] == [("closed", message["id"])] * 2
    assert seconds < 15
    assert ask(lab)[1] == ask(second_lab)[1] == {"messages": []}


@pytest.mark.parametrize(
    ("path", "body", "method", "status", "sentence"),
    [
        (f"{PLACE}/999999/acknowledge", {}, "POST", 404, "unknown message in JupyterLab '999999'"),
        (f"{PLACE}/999999/snooze", {"for": "1 h"}, "POST", 404, "unknown message in JupyterLab '999999'"),
        (f"{PLACE}/1/snooze", {"for": "soon"}, "POST", 400, "for='soon' is no length of time"),
        (f"{PLACE}/1/snooze", {"for": "100%"}, "POST", 400, "for='100%' is no length of time"),
        (f"{PLACE}/1/snooze", {"for": -5}, "POST", 400, "for=-5 is no time to wait"),
        (f"{PLACE}/1/snooze", {"for": "100000 days"}, "POST", 400, "up to 366 days"),
        (f"{PLACE}/1/snooze", {"for": None}, "POST", 400, "for='None' is no length of time"),
        (f"{PLACE}/1/snooze", [], "POST", 400, "is no length of time"),
        (f"{PLACE}/1/acknowledge", None, "GET", 405, "Method Not Allowed"),
        (PLACE, {}, "POST", 405, "Method Not Allowed"),
    ],
)
def test_a_mistake_of_the_caller_is_told_as_such(lab, path, body, method, status, sentence):
    found, answer = ask(lab, path, body, method)
    assert (found, sentence in answer["message"]) == (status, True), answer
    assert "Traceback" not in lab.log.read_text()


def test_an_address_that_is_no_message_is_not_there(lab):
    for each in ("x", "-1", "1e3", "9" * 30):
        assert ask(lab, f"{PLACE}/{each}/acknowledge", {})[0] == 404


def test_nobody_reads_or_acknowledges_without_the_token_or_for_another_site(lab, shared):
    message = announced(lab, shared, "private")
    path = f"{PLACE}/{message['id']}/acknowledge"
    event = {"schema_id": SCHEMA, "version": "1", "data": {"action": "closed", "id": message["id"]}}
    assert ask(lab, headers={})[0] == 403
    assert ask(lab, path, {}, headers={})[0] == 403
    assert ask(lab, "api/events", event, headers={})[0] == 403
    with urlopen(lab.url, timeout=60) as answer:
        cookies = "; ".join(each.partition(";")[0] for each in answer.headers.get_all("Set-Cookie"))
    # What a page of another site would send: the cookies, but not what is in them.
    assert ask(lab, path, {}, headers={"Cookie": cookies})[0] == 403
    assert [each["id"] for each in ask(lab)[1]["messages"]] == [message["id"]]

    async def listen_in():
        with pytest.raises(HTTPClientError, match="403"):
            async with listening(lab, token=False):
                pass

    asyncio.run(listen_in())
    [secret] = [each.partition("=")[2] for each in cookies.split("; ") if each.startswith("_xsrf")]
    assert ask(lab, path, {}, headers={"Cookie": cookies, "X-XSRFToken": secret}) == (200, {"acknowledged": 1})


def test_while_the_records_are_locked_the_server_answers_other_requests(lab):
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask(lab)))
    with closing(sqlite3.connect(lab.home / "records.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        asking.start()
        for _ in range(20):
            assert ask(lab, "api/status")[0] == 200
            time.sleep(0.05)
        assert asking.is_alive()
        other.execute("ROLLBACK")
    asking.join()
    assert answers[0][0] == 200


def test_the_service_that_sends_is_the_servers_child_and_one_that_dies_is_started_again(lab):
    def services():
        return [each for each in lab.processes() if {"alerts", "serve", "--until-parent"} <= set(each.cmdline())]

    first = wait_for(services)[0]
    assert first.ppid() == lab.process.pid
    first.kill()
    psutil.wait_procs([first], 10)
    assert wait_for(lambda: [each for each in services() if each.pid != first.pid])
    assert "the service that watches and sends alerts ended with code -9" in lab.log.read_text()


def wait_for(found):
    for _ in range(300):
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError("waited 30 s")
