"""What a service does in one turn of its loop, with a clock and a stopwatch to turn; the engine is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
import sqlalchemy as sa

from workbench.core.database import open_database
from workbench.core.errors import DateRangeError, StoreError
from workbench.core.settings import load_settings
from workbench.jobs import cron
from workbench.jobs.driver import Driver
from workbench.jobs.identity import own_identity
from workbench.jobs.outcome import Ending, write_outcome
from workbench.jobs.processes import ATTEMPT, RUN
from workbench.jobs.reaper import BEGINS, HANGS, STANDS, Reaper, Watch
from workbench.jobs.records import Identity
from workbench.jobs.schedule import Schedule
from workbench.jobs.service import Service

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ELSEWHERE = Identity("another machine", "boot", 7, 7)


class Recorder:
    """In the engine's place: what was begun."""

    def __init__(self):
        self.begun = []
        self.name = self.fault = ""
        self.recoveries = 0

    def begin(self, run, n):
        if self.fault:
            raise StoreError(self.fault)
        # As the engine does: what was begun already is left to that.
        if (run, n) not in self.begun:
            self.begun.append((run, n))

    def recover(self, living):
        self.living = set(living)
        self.recoveries += 1

    def rename(self, service):
        self.name = service


class Room:
    """One service at a home, its clock, its stopwatch and what it was told of."""

    def __init__(self, home, **values):
        self.now, self.seconds, self.alarms, self.fault = NOON, 0.0, [], None
        settings = load_settings(home=home, runs_at_once=8, **values)
        self.service = Service(settings, open_database(settings), alarm=self.hear, clock=lambda: self.now)
        self.service.engine = self.engine = Recorder()
        self.service.reaper = Reaper(self.service.services, self.service.driver, lambda: self.seconds)
        self.service._register()
        self.ledger, self.claims = self.service.ledger, self.service.claims
        self.attempts, self.services = self.service.driver.attempts, self.service.services

    def hear(self, connection, key, subject, text):
        assert connection.in_transaction()
        if self.fault:
            connection.execute(sa.text(self.fault))
        self.alarms.append((key, subject, text))

    def add(self, cron="0 * * * *", **values):
        rule = {"cron": cron} if "market" not in values else {}
        self.ledger.add(Schedule.of({"name": "report", "notebook": "/n.ipynb", **rule, **values}), "")

    def turn(self, later=timedelta(), seconds=0.0):
        self.now += later
        self.seconds += seconds
        self.service._beat.next = self.service._data.next = 0.0
        return self.service._tick()

    def states(self):
        return [(run.due, run.state) for run in reversed(self.ledger.runs())]

    def running(self, identity=ELSEWHERE, **values):
        """A run whose runner has begun."""
        self.add(**values)
        self.turn(HOUR)
        [(run, n)] = self.engine.begun
        token = self.attempts.one(run, n).token
        assert self.attempts.begin(run, n, token, identity, "sha")
        return run


@pytest.fixture
def room(home):
    return Room(home)


# ---------------------------------------------------------------- due times


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("skip", ["skipped", "skipped", "skipped"]),
        ("latest", ["skipped", "skipped", "running"]),
        ("all", ["running", "due", "due"]),
    ],
)
def test_three_due_times_while_no_service_ran_are_what_the_catch_up_policy_says(room, catch_up, expected):
    room.add(policies={"catch_up": catch_up, "overlap": "queue"})
    room.turn(3 * HOUR + timedelta(minutes=10))
    assert room.states() == [(NOON + hour * HOUR, state) for hour, state in zip((1, 2, 3), expected, strict=True)]
    assert len(room.engine.begun) == expected.count("running")


def test_a_clock_that_goes_an_hour_back_and_forward_again_doubles_nothing(room):
    room.add(policies={"overlap": "queue"})
    for step in (HOUR, -HOUR, HOUR, -HOUR, 2 * HOUR):
        room.turn(step)
    assert [due for due, _ in room.states()] == [NOON + HOUR, NOON + 2 * HOUR]


@pytest.mark.parametrize(("catch_up", "state"), [("skip", "skipped"), ("latest", "running")])
def test_what_a_clock_jumped_over_was_missed(room, catch_up, state):
    room.add("30 * * * *", policies={"catch_up": catch_up})
    room.turn(HOUR)
    assert room.states() == [(NOON + HOUR / 2, state)]


@pytest.mark.parametrize(
    ("start", "dues"),
    [
        # 2:30 is not on the clock in New York on 8 March 2026; the line runs right after the gap, at 3:00 EDT.
        (datetime(2026, 3, 8, 0, tzinfo=UTC), [datetime(2026, 3, 8, 7, tzinfo=UTC)]),
        # 1:30 comes twice on 1 November 2026, and the line runs the first time, in EDT.
        (datetime(2026, 11, 1, 0, tzinfo=UTC), [datetime(2026, 11, 1, 5, 30, tzinfo=UTC)]),
    ],
)
def test_a_daily_line_runs_once_on_the_day_that_daylight_saving_changes(room, start, dues):
    room.now = start
    line = "30 2 * * *" if start.month == 3 else "30 1 * * *"
    room.add(line, zone="America/New_York", policies={"catch_up": "all", "overlap": "queue"})
    for _ in range(23 * 2):
        room.turn(HOUR / 2)
    assert [due for due, _ in room.states()] == dues


def test_the_pause_ends_when_something_is_due_and_no_later_than_a_second_from_now(room):
    room.add()
    assert room.turn() == 1.0
    assert room.turn(HOUR - timedelta(seconds=0.25)) == pytest.approx(0.25)


def test_more_schedules_than_are_planned_at_once_are_planned_in_the_next_turn_without_a_pause(room):
    for number in range(30):
        room.add(name=f"s{number}")
    assert room.turn(HOUR) == 0.0
    assert (len(room.states()), len(room.engine.begun)) == (20, 8)
    assert room.turn() == 1.0
    assert len(room.states()) == 30


# ---------------------------------------------------------------- a run's start and its data


def test_relative_dates_are_those_of_the_due_time_however_late_the_run_starts(room):
    room.add(market="XNYS close", cron=None, parameters={"day": "last_session"}, policies={"catch_up": "all"})
    room.turn(timedelta(days=1))
    [run] = room.ledger.runs(states=("running",))
    assert run.resolved == {"day": "2026-01-05"}


def test_a_run_whose_dates_cannot_be_told_fails_with_the_reason_and_an_alarm(room):
    room.add(parameters={"day": "last_session + 90000 sessions"})
    room.turn(HOUR)
    [run] = room.ledger.runs()
    assert run.state == "failed"
    assert "known up to 2049-12-31" in run.reason or "90000" in run.reason
    assert room.alarms == [(f"run:{run.id}", "report: failed", room.alarms[0][2])]
    assert run.reason in room.alarms[0][2]


def test_a_run_whose_data_never_comes_fails_at_its_deadline_with_an_alarm(room):
    ready = {"dataset": "mine", "symbols": ["AAPL", "IBM"], "deadline": 7200}
    room.add(market="XNYS close + 20 min", zone="America/New_York", cron=None, ready=ready)
    room.turn(timedelta(hours=9, minutes=20))
    assert room.states() == [(NOON + timedelta(hours=9, minutes=20), "waiting")]
    room.turn(timedelta(minutes=119))
    assert room.alarms == []
    room.turn(timedelta(minutes=1))
    [run] = room.ledger.runs()
    assert run.reason == "data not complete by 2026-01-05 18:20 America/New_York: no bars of AAPL, IBM"
    assert [key for key, _, _ in room.alarms] == [f"run:{run.id}"]


def test_a_schedule_whose_due_times_cannot_be_told_any_more_raises_one_alarm(room, monkeypatch):
    room.add()
    room.add("30 * * * *", name="other")
    ends = NOON + 2 * HOUR

    def dues(line, zone, after, until):
        yield from cron.dues(line, zone, after, min(until, ends))
        if until > ends and line.startswith("0"):
            raise DateRangeError(f"known up to {ends}, not for {until}")

    monkeypatch.setattr("workbench.jobs.schedule.dues", dues)
    for _ in range(8):
        room.turn(HOUR)
    [schedule] = {each.schedule.id for each in room.ledger.schedules() if each.fault}
    assert {key for key, _, _ in room.alarms} == {f"schedule:{schedule}:{ends.isoformat()}"}
    assert room.alarms[0][1] == "report: cannot be planned"
    assert "due after 2026-01-05 14:00:00 UTC cannot be told, so it does not run: known up to" in room.alarms[0][2]


@pytest.mark.parametrize("url", [None, "postgresql"])
def test_an_alarm_that_cannot_be_raised_holds_back_no_run_and_is_raised_later(home, request, caplog, url):
    address = request.getfixturevalue("postgres_server").create_database("alarms") if url else None
    room = Room(home, database_url=address)
    room.fault = "INSERT INTO no_such_table VALUES (1)"
    room.add(parameters={"day": "last_session + 90000 sessions"})
    room.turn(HOUR)
    [run] = room.ledger.runs()
    assert (run.state, room.alarms) == ("failed", [])
    told = f"the alert 'report: failed' (run:{run.id}) could not be raised and is tried again: "
    assert [each for each in caplog.messages if each.startswith(told)]
    room.turn()
    assert (room.alarms, len(caplog.messages)) == ([], 1)
    room.fault = None
    room.turn()
    room.turn()
    assert [key for key, _, _ in room.alarms] == [f"run:{run.id}"]


def test_an_alarm_that_is_never_raised_is_named_as_lost(room, caplog, monkeypatch):
    monkeypatch.setattr("workbench.jobs.alarms.MOST_TRIES", 3)
    room.fault = "INSERT INTO no_such_table VALUES (1)"
    room.add(parameters={"day": "last_session + 90000 sessions"})
    for later in (HOUR, timedelta(), timedelta(), timedelta()):
        room.turn(later)
    [run] = room.ledger.runs()
    assert f"the alert 'report: failed' (run:{run.id}) is lost" in caplog.messages[-1]
    assert len(caplog.messages) == 2
    room.turn(HOUR)
    room.service.alarms.lose()
    assert sum("is lost, it could not be raised" in each for each in caplog.messages) == 2


def test_a_run_that_its_runner_closed_is_told_of_later_too(room, caplog):
    run = room.running()
    room.attempts.finish(run, 1, "failed", "cell 1 failed")
    room.fault = "INSERT INTO no_such_table VALUES (1)"
    room.service._see_through(run, 1)
    assert (room.alarms, "tried again" in caplog.text) == ([], True)
    room.fault = None
    room.turn()
    assert [key for key, _, _ in room.alarms] == [f"run:{run}"]


# ---------------------------------------------------------------- the dead


def test_a_runner_on_another_machine_is_orphaned_once_its_beat_stood_still_and_not_before(room):
    run = room.running()
    for _ in range(4):
        room.turn(seconds=STANDS / 4 - 0.1)
    assert room.ledger.run(run).state == "running"
    room.attempts.pulse(run, 1)
    for _ in range(4):
        room.turn(seconds=STANDS / 4 + 0.1)
    assert room.ledger.run(run).state == "running"
    room.turn(seconds=STANDS / 4)
    assert room.ledger.run(run).state == "orphaned"
    assert room.alarms[0][1] == "report: orphaned"


def test_no_setting_of_the_clock_makes_an_orphan(room):
    run = room.running()
    for _ in range(10):
        room.turn(HOUR)
    assert room.ledger.run(run).state == "running"


def test_a_watcher_that_stood_still_itself_kills_nobody_at_once():
    seconds = [0.0]
    watch = Watch(lambda: seconds[0])
    watch.look("a", 1)
    seconds[0] = 3600.0
    assert [watch.look("a", 1)[0] for _ in range(3)] == [0.0, 0.0, 3600.0]


def test_a_killed_runner_on_this_machine_is_found_at_once_and_its_kernel_is_ended(room):
    run = room.running(identity=dead_process())
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, env={**os.environ, RUN: run, ATTEMPT: "1"}) as kernel:
        room.turn()
        assert kernel.wait(10) < 0
    assert room.ledger.run(run).state == "orphaned"
    assert room.ledger.run(run).reason == "its runner was killed"


def test_a_killed_runner_that_left_its_outcome_is_not_run_again(room, tmp_path):
    run = room.running(identity=dead_process(), policies={"retries": 3})
    folder = room.service.settings.reports / run / "1"
    folder.mkdir(parents=True)
    write_outcome(folder, Ending(run, 1, "succeeded", None))
    room.turn()
    assert (room.ledger.run(run).state, room.ledger.run(run).attempt) == ("succeeded", 1)


def test_a_runner_that_never_begins_is_started_anew(room):
    room.add()
    room.turn(HOUR)
    for _ in range(5):
        room.turn(seconds=BEGINS / 4)
    [run] = room.ledger.runs()
    assert [each.state for each in room.attempts.of(run.id)] == ["lost", "starting"]
    assert room.engine.begun == [(run.id, 1), (run.id, 2)]


def test_what_a_dead_service_claimed_and_ran_is_taken_over(room):
    room.services.register("dead", dead_process())
    room.add()
    room.now += HOUR
    room.ledger.plan()
    [run] = room.claims.claim("dead", 8)
    attempt = room.claims.start(run.id, "dead", "/f", {}, {})
    room.turn()
    assert room.engine.begun == [(run.id, attempt.n)]
    assert room.ledger.run(run.id).owner == room.service.id
    assert room.engine.living == {room.service.id}


@pytest.mark.parametrize("fault", [ConnectionResetError("reset by peer"), sa.exc.TimeoutError("no connection is free")])
def test_what_the_driver_lets_pass_ends_no_service(room, monkeypatch, fault):
    room.add()
    with monkeypatch.context() as broken:
        broken.setattr(room.claims, "agenda", mock.Mock(side_effect=fault))
        assert room.turn(HOUR) == 1.0
    room.turn()
    assert len(room.engine.begun) == 1


def test_runs_that_were_claimed_when_the_records_did_not_answer_are_not_left_behind(room):
    for name in ("one", "two", "three"):
        room.add(name=name)
    room.engine.fault = "the server is restarted"
    room.turn(HOUR)
    assert sorted(state for _, state in room.states()) == ["claimed", "claimed", "running"]
    room.engine.fault = ""
    room.turn()
    assert [state for _, state in room.states()] == ["running"] * 3
    assert len(room.engine.begun) == 3


def test_a_service_that_hangs_on_this_machine_keeps_nothing_for_itself(room):
    room.services.register("hangs", own_identity())
    room.add()
    room.now += HOUR
    room.ledger.plan()
    [run] = room.claims.claim("hangs", 8)
    room.turn()
    for _ in range(4):
        room.turn(seconds=HANGS / 4 - 0.1)
    assert room.ledger.run(run.id).owner == "hangs"
    room.turn(seconds=1)
    assert room.ledger.run(run.id).owner == room.service.id
    assert not room.services.beat("hangs")


def test_what_a_service_that_ended_has_left_in_the_engine_is_looked_for_once(room):
    room.services.register("another", own_identity())
    room.turn()
    room.turn()
    assert (room.engine.recoveries, room.engine.living) == (1, {room.service.id, "another"})
    room.services.bury("another")
    room.turn()
    room.turn()
    assert (room.engine.recoveries, room.engine.living) == (2, {room.service.id})


def test_a_service_that_was_taken_for_dead_goes_on_under_another_name(room):
    first = room.service.id
    assert room.services.bury(first)
    room.add()
    room.turn(HOUR)
    assert room.engine.name == room.service.id != first
    assert len(room.engine.begun) == 1


def test_a_service_can_be_asked_to_end_by_a_signal_at_any_moment(room):
    heard = signal.signal(signal.SIGALRM, lambda *_: room.service.stop())
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        for _ in range(20_000):
            room.service._rest(0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, heard)
    assert room.service._stopped


def test_a_service_and_a_runner_import_nothing_that_only_some_schedules_need():
    heavy = ("pandas", "pyarrow", "numpy", "nbformat", "papermill", "exchange_calendars", "dbos")
    script = f"import sys, workbench.jobs.service, workbench.jobs.runner; print({{*sys.modules}} & {{*{heavy!r}}})"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "set()\n"


def dead_process():
    """The identity of a process of this machine that has ended."""
    own = own_identity()
    return Identity(own.host, own.boot, own.pid, own.ticks - 1)


# ---------------------------------------------------------------- an attempt seen through


def driver(room, script):
    settings = room.service.settings
    return Driver(
        settings, room.service.database, lambda: room.now, lambda *_: [sys.executable, "-c", script], room.hear
    )


def test_a_runner_that_cannot_begin_is_lost_and_tried_again_up_to_three_times(room):
    room.add()
    room.turn(HOUR)
    for _ in range(4):
        driver(room, "raise SystemExit(5)").see_through(*room.engine.begun[-1])
        room.turn()
    [run] = room.ledger.runs()
    assert (run.state, run.attempt) == ("failed", 4)
    assert run.reason == "its runner ended with code 5 and left no outcome"
    assert {key for key, _, _ in room.alarms} == {f"run:{run.id}"}


def test_a_runner_that_begins_while_it_is_given_up_is_left_alone(room):
    room.add()
    room.turn(HOUR)
    [(run, n)] = room.engine.begun
    seen = room.attempts.one(run, n)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, env={**os.environ, RUN: run, ATTEMPT: str(n)}) as runner:
        assert room.attempts.begin(run, n, seen.token, own_identity(), "sha")
        assert driver(room, "").settle(seen, "it did not begin") is None
        assert runner.poll() is None
        runner.kill()
    assert room.attempts.one(run, n).state == "running"


def test_a_command_that_is_not_there_is_told_as_such(room):
    room.add()
    room.turn(HOUR)
    one = driver(room, "")
    one.command = lambda *_: ["/there/is/no/such/runner"]
    one.see_through(*room.engine.begun[-1])
    assert "could not be started (No such file or directory)" in room.attempts.of(room.engine.begun[-1][0])[0].reason
