"""Writers of the trial ledger that are killed in the middle: nothing lost, nothing half counted."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from workbench.backtest.trials import TrialLedger
from workbench.core.database import open_database
from workbench.core.settings import load_settings

MOMENT = datetime(2026, 1, 5, 12, tzinfo=UTC)
KILLS = 8

# Imports once; each line that it reads starts a writer, which tells every number that it was given.
SERVER = """
import os, sys
from workbench.backtest.trials import TrialLedger
from workbench.core.clock import utc_now
from workbench.core.database import open_database
from workbench.core.settings import load_settings
settings = load_settings()
open_database(settings).close()
print("ready", flush=True)
for line in sys.stdin:
    writer = os.fork()
    if writer == 0:
        ledger = TrialLedger(open_database(settings), utc_now)
        while True:
            number = ledger.record("killed idea", "sweep", [0.25, 0.75, float("nan")], n_bars=1).number
            os.write(1, f"{number}\\n".encode())
    print(f"started {writer}", flush=True)
    os.waitpid(writer, 0)
    print("ended", flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, tmp_path):
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(f"d{time.monotonic_ns()}")
    return load_settings(home=tmp_path / "home", database_url=url)


def numbers_until_killed(server, pause):
    """Start a writer, let it tell a first number, kill it after a pause, and return the numbers that it told."""
    server.stdin.write("go\n")
    server.stdin.flush()
    told, writer = [], None
    while not (writer and told):
        line = server.stdout.readline()
        if line.startswith("started"):
            writer = int(line.split()[1])
        else:
            told.append(int(line))
    time.sleep(pause)
    os.kill(writer, signal.SIGKILL)
    while (line := server.stdout.readline()) != "ended\n":
        told.append(int(line))
    return told


def test_a_writer_that_is_killed_loses_and_tears_nothing(settings):
    environment = {**os.environ, **settings.environment()}
    choose, told = random.Random(4), []
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout.readline() == "ready\n"
        for _ in range(KILLS):
            told += numbers_until_killed(server, choose.uniform(0, 0.05))
        server.stdin.close()
    database = open_database(settings)
    ledger = TrialLedger(database, lambda: MOMENT)
    before = ledger.standing("killed idea")
    events = ledger.events("killed idea")
    assert len(told) > KILLS
    # Kept before it was told; at most the last one of each writer was kept and not told.
    assert set(told) <= set(events["number"])
    assert len(events) <= len(told) + KILLS
    assert events["count"].cumsum().tolist() == events["number"].tolist()
    assert (before.number, before.measured) == (3 * len(events), 2 * len(events))
    assert before.mean == pytest.approx(0.5)
    assert ledger.record("killed idea", "sweep", [0.5], n_bars=1).number == before.number + 1
    database.close()
