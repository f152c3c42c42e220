"""Services and runners that are killed, two services at once: one run for each due time, none lost or stuck."""

from __future__ import annotations

import collections
import os
import random
import time
from datetime import timedelta
from pathlib import Path

import nbformat
import pytest
from killed_service import FIRST, POINTS, Home
from postgres_server import postgres

from workbench.core.settings import load_settings
from workbench.jobs.records import OPEN
from workbench.jobs.schedule import Job, Schedule
from workbench.jobs.tables import ATTEMPTS

# A minute passes in each real second, so that cron's shortest rule is due then.
SPEED = 60.0
POLICIES = {"catch_up": "all", "overlap": "queue", "retries": 10, "back_off": 1}


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, tmp_path):
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(f"d{time.monotonic_ns()}")
    return load_settings(home=tmp_path / "home", database_url=url, runs_at_once=4)


def add_schedules(home, count, cron="*/2 * * * *", notebook="/n.ipynb", **policies):
    for number in range(count):
        values = {"name": f"s{number}", "notebook": notebook, "cron": cron, "policies": {**POLICIES, **policies}}
        home.ledger.add(Schedule.of(values), "")


def count(home, killed=()):
    """Pause the schedules, let what is due come to its end, and return what became of each due time."""
    for kept in home.ledger.schedules():
        home.ledger.set_active(kept.schedule.name, active=False)
    while len(home.up) < 2:
        home.fork()
    home.wait_until_done(60)
    kept = home.ledger.schedules()
    due = {(each.schedule.id, at) for each in kept for at in each.schedule.dues(each.created, each.planned_until)}
    runs = home.ledger.runs(most=100_000)
    found = collections.Counter((run.schedule, run.due) for run in runs)
    effects = collections.Counter(line.split()[0] for line in home.effects.read_text().splitlines())
    with home.database.reading() as connection:
        attempts = {(row.run, row.n): row for row in connection.execute(ATTEMPTS.select())}
    closed = [home.real(attempts[each].finished) - at for each, at in dict(killed).items()]
    return {
        "due": len(due),
        "recorded": len(runs),
        "missing": len(due - set(found)),
        "duplicated": sum(times - 1 for times in found.values()),
        "stuck": sum(run.state in OPEN for run in runs),
        "not_succeeded": sum(run.state != "succeeded" for run in runs),
        "orphans": sum(row.state == "orphaned" for row in attempts.values()),
        "orphans_closed_s": round(max(closed, default=0.0), 1),
        "effects_missing": sum(run.id not in effects for run in runs),
        "effects_doubled": sum(times - 1 for times in effects.values()),
    }


def assert_exactly_once(counts):
    wrong = ("missing", "duplicated", "stuck", "not_succeeded", "effects_missing")
    assert {name: counts[name] for name in wrong} == dict.fromkeys(wrong, 0), counts
    assert counts["recorded"] == counts["due"]
    assert counts["orphans_closed_s"] < 60


def kill(settings, tmp_path, schedules, kills, each, seed):
    """Kill services and runners at random, then services at each place; return what became of the due times."""
    choose = random.Random(seed)
    with Home(settings, tmp_path / "beside", SPEED).serving() as home:
        add_schedules(home, schedules)
        killed = home.kill_randomly(kills, choose)
        deaths = {place: home.kill_at(place, each) for place in POINTS}
        return {"kills": kills, "killed_at": deaths, **count(home, killed)}


def test_each_due_time_has_one_run_that_succeeds_however_services_and_runners_are_killed(settings, tmp_path):
    counts = kill(settings, tmp_path, 9, kills=6, each=1, seed=7)
    assert_exactly_once(counts)
    assert all(deaths >= 1 for deaths in counts["killed_at"].values()), counts
    assert counts["due"] >= 25


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_kills_and_twenty_at_each_place_neither_lose_nor_double_a_run(settings, tmp_path, figures):
    counts = kill(settings, tmp_path, 5, kills=200, each=20, seed=time.time_ns())
    places = counts.pop("killed_at")
    figures.add(**counts)
    assert_exactly_once(counts)
    assert min(places.values()) >= 20, places
    assert counts["due"] >= 500


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_that_is_restarted_under_its_services_loses_doubles_and_holds_up_no_run(tmp_path):
    with postgres() as server:
        address = server.create_database("records")
        settings = load_settings(home=tmp_path / "home", database_url=address, runs_at_once=4)
        with Home(settings, tmp_path / "beside", SPEED).serving() as home:
            add_schedules(home, 4)
            services = [home.fork(), home.fork()]
            assert wait_for(home.effects.exists)
            for restart in range(6):
                time.sleep(2 + restart / 3)
                server.stop()
                time.sleep(restart % 3)
                server.start()
            counts = home.patiently(count, home)
            assert all(map(home.is_up, services))
    # What had begun when its services were cut off may have had its effect, and is not done again.
    assert_exactly_once(counts)
    assert counts["effects_doubled"] == counts["orphans"] == 0


def test_a_real_notebook_runs_once_though_its_service_is_killed_when_it_has_started(settings, tmp_path):
    with Home(settings, tmp_path / "beside").serving() as home:
        run = home.ledger.submit(Job.of({"name": "real", "notebook": notebook(tmp_path), "parameters": {"n": 3}}), "")
        first = home.fork("started", real=True)
        assert wait_for(lambda: not home.is_up(first)), "the service was not killed where it was to be"
        home.kill(first)
        home.fork(real=True)
        assert home.wait_until_done(90)
        record = home.ledger.run(run)
        assert (record.state, record.attempt, record.reason) == ("succeeded", 1, None)
        assert (tmp_path / "three").read_text() == "once\n"
        assert nbformat.read(next(Path(record.folder).glob("*.ipynb")), 4).cells[-1].outputs[0].text == "6\n"


def notebook(folder):
    """Three cells that leave a mark and print twice their parameter."""
    cells = ["n = 1", f"with open({str(folder / 'three')!r}, 'a') as file: file.write('once\\n')", "print(2 * n)"]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.cells[0].metadata.tags = ["parameters"]
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python", "language": "python"}
    path = folder / "notebook.ipynb"
    nbformat.write(made, path)
    return path


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < until:
        time.sleep(0.1)
    return met


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_idle_service_takes_less_than_a_hundredth_of_a_core(settings, tmp_path, figures):
    with Home(settings, tmp_path / "beside").serving() as home:
        add_schedules(home, 20, "0 0 1 7 *")
        service = home.fork()
        # The engine looks more often in its first minute.
        time.sleep(65)
        before = processor_seconds(service)
        time.sleep(60)
        share = (processor_seconds(service) - before) / 60
    figures.add(idle_cpu=round(share, 4))
    assert share < 0.01


def processor_seconds(process):
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_schedules_at_one_instant_start_as_soon_as_there_is_room_for_them(settings, tmp_path, figures):
    limit = settings.runs_at_once
    with Home(settings, tmp_path / "beside", begun=40.0, pause=0.05).serving() as home:
        add_schedules(home, 1000, "1 * * * *", time_out=60)
        assert home.clock() < FIRST + timedelta(minutes=1), "they were not there in time"
        home.fork()
        due = home.real(FIRST + timedelta(minutes=1))
        time.sleep(max(0.0, due + 5 - time.time()))
        assert home.wait_until_done(60)
        runs = home.ledger.runs(most=10_000)
        started = sorted(home.real(attempt.started) for run in runs for attempt in home.attempts.of(run.id))
        ended = sorted(home.real(run.finished) for run in runs)
    # Where there was room for the next one: at the due time for the first few, then whenever one had ended.
    room = [due] * limit + ended
    late = max(at - max(due, free) for at, free in zip(started, room, strict=False))
    figures.add(late_max_s=round(late, 2))
    assert [run.state for run in runs] == ["succeeded"] * 1000
    assert late < 1.0
