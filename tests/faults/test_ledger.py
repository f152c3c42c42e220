"""Services that plan, claim and run, and are killed in the middle: one run for each due time, and none lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from workbench.core.database import open_database
from workbench.core.settings import load_settings
from workbench.jobs.attempts import Attempts
from workbench.jobs.claims import Claims
from workbench.jobs.ledger import Ledger
from workbench.jobs.records import Identity
from workbench.jobs.schedule import Schedule
from workbench.jobs.services import Services
from workbench.jobs.tables import ATTEMPTS, RUNS

FIRST = datetime(2026, 1, 5, 12, tzinfo=UTC)
STEP = timedelta(minutes=5)
SCHEDULES, ROUNDS = 8, 8

# Imports once; each line that it reads is what the clock says to the two services that it forks then. They tell of
# every claim and every end after the fact.
SERVER = """
import os, sys, uuid
from datetime import datetime
from workbench.core.database import open_database
from workbench.core.settings import load_settings
from workbench.jobs.attempts import Attempts
from workbench.jobs.claims import Claims
from workbench.jobs.ledger import Ledger
from workbench.jobs.records import Identity
from workbench.jobs.services import Services
database = open_database(load_settings())

def serve(now):
    ledger, services, claims, attempts = (part(database, lambda: now) for part in (Ledger, Services, Claims, Attempts))
    me = uuid.uuid4().hex
    me_here = Identity("here", "boot", os.getpid(), 1)
    tell = lambda *words: os.write(1, (" ".join(map(str, words)) + "\\n").encode())
    services.register(me, me_here)
    tell("service", os.getpid(), me)
    while True:
        ledger.plan(most=2)
        for run in claims.claim(me, 1000, most=2):
            tell("claimed", run.id)
            attempt = claims.start(run.id, me, "/f", {}, {})
            attempts.begin(run.id, attempt.n, attempt.token, me_here, "sha")
            if attempts.finish(run.id, attempt.n, "succeeded"):
                tell("ended", run.id)
        services.beat(me)

print("ready", flush=True)
for line in sys.stdin:
    pair = []
    for _ in range(2):
        pair.append(os.fork())
        if pair[-1] == 0:
            serve(datetime.fromisoformat(line.strip()))
    print("started", *pair, flush=True)
    for process in pair:
        os.waitpid(process, 0)
    print("over", flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, tmp_path):
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(f"d{time.monotonic_ns()}")
    return load_settings(home=tmp_path / "home", database_url=url)


def answers_until_killed(server, now, count, pause):
    """Start two services, kill both after so many answers and a pause, and return what they told."""
    server.stdin.write(f"{now.isoformat()}\n")
    server.stdin.flush()
    told, pair = [], []
    while not pair or len(told) < count + 3:
        told.append(server.stdout.readline().split())
        pair += told[-1][1:] if told[-1][0] == "started" else []
    time.sleep(pause)
    for process in pair:
        os.kill(int(process), signal.SIGKILL)
    while (words := server.stdout.readline().split()) != ["over"]:
        told.append(words)
    return told


def bury_the_dead(database, now):
    """Do what a service does that finds the others standing still: end them, their claims and their attempts."""
    services, attempts = Services(database, lambda: now), Attempts(database, lambda: now)
    for dead in services.services():
        assert services.bury(dead.id, dead.beat)
    for attempt in attempts.at_work():
        assert attempts.orphan(attempt.run, attempt.n, attempt.beat, "killed")


def test_each_due_time_has_one_run_that_ends_once_however_often_its_services_are_killed(settings):
    database = open_database(settings)
    ledger = Ledger(database, lambda: FIRST)
    policies = {"catch_up": "all", "overlap": "queue", "retries": 10, "back_off": 1}
    for number in range(SCHEDULES):
        values = {"name": f"s{number}", "notebook": "/n.ipynb", "cron": "*/5 * * * *", "policies": policies}
        ledger.add(Schedule.of(values), "")
    environment, choose, ended = {**os.environ, **settings.environment()}, random.Random(5), []
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "ready\n"
        for place in range(1, ROUNDS + 1):
            # A new due time of each schedule, two answers for each run, and what the rounds before have left.
            told = answers_until_killed(server, FIRST + place * STEP, choose.randrange(14), choose.uniform(0, 0.02))
            claimed = [words[1] for words in told if words[0] == "claimed"]
            assert len(claimed) == len(set(claimed)), "two services claimed one run"
            ended += [words[1] for words in told if words[0] == "ended"]
            bury_the_dead(database, FIRST + place * STEP)
        server.stdin.close()
    drain(database, FIRST + ROUNDS * STEP)
    with database.reading() as connection:
        runs = connection.execute(RUNS.select()).all()
        attempts = connection.execute(sa.select(ATTEMPTS.c.run, ATTEMPTS.c.state)).all()
    database.close()
    found = [(run.schedule, run.due) for run in runs]
    counts = {
        "due": SCHEDULES * ROUNDS,
        "recorded": len(found),
        "missing": SCHEDULES * ROUNDS - len(set(found)),
        "duplicated": len(found) - len(set(found)),
        "stuck": sum(run.state != "succeeded" for run in runs),
    }
    assert counts == {"due": 64, "recorded": 64, "missing": 0, "duplicated": 0, "stuck": 0}
    assert {due for _, due in found} == {FIRST + place * STEP for place in range(1, ROUNDS + 1)}
    # However many attempts there were, each run succeeded in one of them, and was told of at most once.
    assert sorted(run for run, state in attempts if state == "succeeded") == sorted(run.id for run in runs)
    assert len(ended) == len(set(ended))
    assert ended, "no service lived long enough to end a run"
    assert len(attempts) > len(runs), "no service was killed at work"


def drain(database, now):
    """Plan, claim and end whatever is left, a day later by the clock: each retry's time has come."""
    ledger = Ledger(database, lambda: now)
    services, claims, attempts = (
        part(database, lambda: now + timedelta(days=1)) for part in (Services, Claims, Attempts)
    )
    me = Identity("here", "boot", 2, 2)
    services.register("last", me)
    while ledger.plan().more:
        pass
    while found := claims.claim("last", 1000):
        for run in found:
            attempt = claims.start(run.id, "last", "/f", {}, {})
            assert attempts.begin(run.id, attempt.n, attempt.token, me, "sha")
            assert attempts.finish(run.id, attempt.n, "succeeded") == "succeeded"
