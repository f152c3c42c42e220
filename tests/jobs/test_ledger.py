"""Every test runs on SQLite and on a real PostgreSQL: both must answer alike."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from workbench.core.errors import ParameterError, UnknownNameError
from workbench.jobs import tables
from workbench.jobs.attempts import Attempts, Pulse
from workbench.jobs.claims import Claims
from workbench.jobs.ledger import Ledger, Planning
from workbench.jobs.planning import AGAIN
from workbench.jobs.records import Identity
from workbench.jobs.schedule import Job, Schedule
from workbench.jobs.services import Services
from workbench.jobs.source import sha256_of

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TEXT = "the notebook's text"
TABLES = (tables.PINS, tables.SCHEDULES, tables.RUNS, tables.ATTEMPTS, tables.SERVICES)
SERVICE, RUNNER = Identity("here", "boot", 10, 100), Identity("here", "boot", 20, 200)


class Room:
    """The whole of the ledger on one database, with a clock to turn."""

    def __init__(self, database):
        self.now = NOON
        self.database = database
        parts = (part(database, lambda: self.now) for part in (Ledger, Services, Claims, Attempts))
        self.ledger, self.services, self.claims, self.attempts = parts
        self.services.register("a", SERVICE)
        self.services.register("b", SERVICE)

    def add(self, name="hourly", cron="0 * * * *", **values):
        schedule = Schedule.of({"name": name, "notebook": "/n.ipynb", "cron": cron, **values})
        self.ledger.add(schedule, TEXT)
        return schedule

    def due(self, hours=1, **values):
        """A schedule with a run that is due."""
        schedule = self.add(**values)
        self.now += hours * HOUR
        self.ledger.plan()
        return schedule

    def running(self, **values):
        """A run with an attempt that runs."""
        self.due(**values)
        [run] = self.claims.claim("a", 1)
        self.start(run.id)
        return run.id

    def start(self, run, service="a", resolved=None):
        attempt = self.claims.start(run, service, f"/reports/{run}", resolved or {"day": "2026-01-05"}, {"now": "noon"})
        assert self.attempts.begin(run, attempt.n, attempt.token, RUNNER, "sha")
        return attempt

    def states(self, schedule=None):
        return [run.state for run in reversed(self.ledger.runs(schedule))]


@pytest.fixture
def room(records):
    with records.writing() as connection:
        for table in TABLES:
            connection.execute(table.delete())
    return Room(records)


def at_once(count, function):
    """Call a function with 0, 1, ... in threads that begin together, and return the answers."""
    gate, answers = threading.Barrier(count), [None] * count

    def call(place):
        gate.wait()
        answers[place] = function(place)

    threads = [threading.Thread(target=call, args=[place]) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


# Tables


def test_the_migration_makes_the_tables_that_the_code_reads_and_writes(room):
    seen = sa.inspect(room.database.engine)
    for table in TABLES:
        made = {each["name"]: each["nullable"] for each in seen.get_columns(table.name)}
        assert made == {column.name: column.nullable for column in table.columns}, table.name


def test_a_second_run_of_a_due_time_breaks_a_constraint(room):
    schedule = room.due()
    with room.database.reading() as connection:
        row = connection.execute(tables.RUNS.select()).one()._mapping
    with pytest.raises(sa.exc.IntegrityError), room.database.writing() as connection:
        connection.execute(tables.RUNS.insert().values({**row, "id": "another"}))
    assert room.states(schedule.id) == ["due"]


# Schedules


def test_a_schedule_comes_back_as_it_was_kept(room):
    schedule = room.add(
        parameters={"symbols": ["A"], "level": 0.5, "none": None},
        policies={"retries": 3, "back_off": 90, "keep": 7},
        zone="Europe/Berlin",
        kernel="trii-pytorch",
        formats=("html", "pdf"),
    )
    [kept] = room.ledger.schedules()
    assert (
        kept.schedule
        == schedule
        == room.ledger.schedule("hourly").schedule
        == room.ledger.schedule(schedule.id).schedule
    )
    assert (kept.created, kept.planned_until, kept.next_look, kept.fault) == (NOON, NOON, NOON + HOUR, None)


def test_a_name_is_taken_until_its_schedule_is_removed(room):
    first, other = room.add(), room.add("other")
    with pytest.raises(ParameterError, match="'hourly' already; choose"):
        room.add()
    with pytest.raises(ParameterError, match="'hourly' already; choose"):
        room.ledger.replace(other.model_copy(update={"name": "hourly"}), TEXT)
    room.ledger.remove("hourly")
    second = room.add()
    assert [each.schedule.id for each in room.ledger.schedules()] == [second.id, other.id]
    assert {each.schedule.id for each in room.ledger.schedules(removed=True)} == {first.id, second.id, other.id}


def test_an_unknown_schedule_run_or_pin_is_told(room):
    room.add()
    for call in (room.ledger.schedule, room.ledger.remove, lambda name: room.ledger.set_active(name, False)):
        with pytest.raises(UnknownNameError, match=r"unknown schedule 'hurly'.*hourly"):
            call("hurly")
    for call in (room.ledger.run, lambda run: room.claims.cancel(run, "why")):
        with pytest.raises(UnknownNameError, match="unknown run"):
            call("none")
    with pytest.raises(UnknownNameError, match="pinned"):
        room.ledger.pinned_text("none")


def test_a_pinned_text_is_kept_for_runs_that_were_planned_with_it(room):
    schedule = room.due(mode="pinned", sha256=sha256_of(TEXT))
    room.ledger.replace(schedule.model_copy(update={"sha256": sha256_of("new")}), "new")
    [run] = room.ledger.runs(schedule.id)
    assert room.ledger.pinned_text(run.job.sha256) == TEXT
    assert room.ledger.pinned_text(room.ledger.schedule("hourly").schedule.sha256) == "new"


def test_a_pause_was_not_missed(room):
    room.add(policies={"catch_up": "all"})
    room.now += 1.5 * HOUR
    assert not room.ledger.set_active("hourly", False).active
    # What was due before the pause is there.
    assert room.states() == ["due"]
    room.now += 3 * HOUR
    assert (room.ledger.plan().due, room.ledger.next_look()) == (0, None)
    room.ledger.set_active("hourly", True)
    assert (room.ledger.plan().due, room.ledger.next_look()) == (0, NOON + 5 * HOUR)


def test_an_edit_plans_what_was_due_by_the_old_rule_and_makes_up_for_nothing_of_the_new_one(room):
    schedule = room.add(policies={"catch_up": "all"})
    room.now += 2.5 * HOUR
    room.ledger.replace(schedule.model_copy(update={"cron": "*/5 * * * *"}), TEXT)
    assert [run.due for run in reversed(room.ledger.runs())] == [NOON + HOUR, NOON + 2 * HOUR]
    assert room.ledger.plan().due == 0
    assert room.ledger.next_look() == NOON + 2.5 * HOUR + 5 * MINUTE


def test_an_edit_after_the_clock_went_back_does_not_double(room):
    schedule = room.due()
    room.now -= 0.5 * HOUR
    room.ledger.replace(schedule, TEXT)
    room.now += 0.5 * HOUR
    assert room.ledger.plan() == Planning(0, 0, 0, False)
    assert len(room.states()) == 1


def test_removing_cancels_what_is_not_claimed_and_keeps_the_history(room):
    schedule = room.due(policies={"catch_up": "all", "overlap": "queue"}, hours=2)
    [run] = room.claims.claim("a", 1)
    room.ledger.remove("hourly")
    assert room.states(schedule.id) == ["claimed", "cancelled"]
    room.start(run.id)
    assert room.attempts.finish(run.id, 1, "succeeded") == "succeeded"
    room.now += 5 * HOUR
    assert room.ledger.plan() == Planning(0, 0, 0, False)


def test_how_the_last_run_of_each_schedule_stands_is_one_query(room):
    first, removed, asked = room.due(hours=2), room.due(name="gone"), []
    room.ledger.remove("gone")
    second = room.add("other")
    sa.event.listen(room.database.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    assert room.ledger.last_states() == {first.id: room.states(first.id)[-1]}
    assert len([each for each in asked if "row_number" in each]) == 1
    room.now += HOUR
    room.ledger.plan()
    assert room.ledger.last_states() == {first.id: "skipped", second.id: "due"}
    assert room.states(removed.id) == ["cancelled"]


# Planning


def test_runs_and_skips_are_rows_with_their_reasons(room):
    schedule = room.due(hours=3.5)
    first, second, third = reversed(room.ledger.runs(schedule.id))
    assert [each.state for each in (first, second, third)] == ["skipped", "skipped", "due"]
    assert "missed while no service ran; a later one was due" in first.reason
    assert (first.finished, third.finished, third.reason) == (room.now, None, None)
    assert (third.due, third.kind, third.attempt, third.job.name) == (NOON + 3 * HOUR, "scheduled", 1, "hourly")


def test_planning_again_and_by_several_at_once_changes_nothing(room):
    for number in range(5):
        room.add(f"n{number}", policies={"catch_up": "all"})
    room.now += 3 * HOUR
    made = at_once(4, lambda place: room.ledger.plan())
    assert sorted(each.due for each in made) == [0, 0, 0, 15]
    assert len(room.ledger.runs()) == 15


def test_only_what_has_begun_or_waits_for_a_free_place_has_a_later_due_time_skipped(room):
    schedule = room.add(policies={"catch_up": "all", "overlap": "skip"})

    def next_hour(hours=1.0):
        room.now += hours * HOUR
        room.ledger.plan()
        return room.states(schedule.id)

    # Missed at 13 and 14 o'clock, on time at 15, and all of them wait: in no one's way is what is made up for.
    assert next_hour(3) == ["due", "due", "due"]
    # That of 15 o'clock waits for a free place.
    assert next_hour() == ["due", "due", "due", "skipped"]
    assert "15:00:00 UTC still waited for a free place" in room.ledger.runs(schedule.id)[0].reason
    for _ in range(3):
        [run] = room.claims.claim("a", 1)
        room.start(run.id)
        room.attempts.finish(run.id, 1, "succeeded")
    assert next_hour() == ["succeeded"] * 3 + ["skipped", "due"]
    [run] = room.claims.claim("a", 1)
    assert next_hour()[-2:] == ["claimed", "skipped"]
    assert "17:00:00 UTC had not ended" in room.ledger.runs(schedule.id)[0].reason
    # In its pause before a retry it has begun, too.
    room.start(run.id)
    with room.database.writing() as connection:
        connection.execute(tables.RUNS.update().where(tables.RUNS.c.id == run.id).values(state="due"))
    assert next_hour()[-3:] == ["due", "skipped", "skipped"]
    assert "17:00:00 UTC had not ended" in room.ledger.runs(schedule.id)[0].reason


def test_a_run_that_waits_for_its_sessions_data_does_not_keep_the_next_session_from_its_run(room):
    ready = {"dataset": "d", "symbols": ["AAPL"], "deadline": 86400}
    schedule = Schedule.of({"name": "m", "notebook": "/n.ipynb", "market": "XNYS close", "ready": ready})
    room.ledger.add(schedule, TEXT)
    for day in (5, 6):
        room.now = datetime(2026, 1, day, 21, tzinfo=UTC)
        room.ledger.plan()
    assert room.states(schedule.id) == ["waiting", "waiting"]


def test_many_schedules_and_many_due_times_are_planned_in_pieces(room):
    room.add("busy", "* * * * *", policies={"catch_up": "all", "overlap": "queue"})
    for number in range(3):
        room.add(f"n{number}")
    room.now += 10 * HOUR
    calls = 1
    while room.ledger.plan(most=2).more:
        calls += 1
    assert 3 <= calls < 10
    assert len(room.ledger.runs(room.ledger.schedule("busy").schedule.id)) == 600
    assert len(room.ledger.runs(most=1000)) == 630


def test_one_schedule_that_cannot_be_planned_does_not_hold_up_the_others(room):
    broken = room.add("broken")
    room.add("sound")
    with room.database.writing() as connection:
        spoilt = tables.SCHEDULES.update().where(tables.SCHEDULES.c.id == broken.id)
        connection.execute(spoilt.values(cron="61 * * * *"))
    room.now += HOUR
    assert room.ledger.plan() == Planning(1, 0, 0, False)
    kept = room.ledger.schedule("broken")
    assert ("61" in kept.fault, kept.planned_until, kept.next_look) == (True, NOON, room.now + AGAIN)
    room.ledger.replace(broken, TEXT)
    assert room.ledger.schedule("broken").fault is None


def test_the_clock_back_an_hour_plans_nothing_twice(room):
    room.due()
    room.now -= HOUR
    assert room.ledger.plan() == Planning(0, 0, 0, False)
    # What is due already may run all the same.
    assert len(room.claims.claim("a", 1)) == 1
    room.now += 2 * HOUR
    room.ledger.plan()
    assert [run.due for run in reversed(room.ledger.runs())] == [NOON + HOUR, NOON + 2 * HOUR]


def test_the_later_one_cancels_what_is_open(room):
    room.running(policies={"overlap": "cancel", "catch_up": "all"})
    first = room.ledger.runs()[0].id
    room.now += HOUR
    assert room.ledger.plan() == Planning(1, 0, 1, False)
    # The running one is asked; the next waits until it has ended.
    assert "overlap: cancel" in room.attempts.pulse(first, 1).cancel
    assert room.claims.claim("a", 9) == []
    room.now += HOUR
    assert room.ledger.plan().cancelled == 2
    assert room.states() == ["running", "cancelled", "due"]
    assert room.attempts.finish(first, 1, "cancelled") == "cancelled"
    assert "overlap: cancel" in room.ledger.run(first).reason
    assert len(room.claims.claim("a", 9)) == 1


# Runs that somebody asks for


def test_a_run_now_stands_in_nobodys_way(room):
    schedule = room.due()
    asked = room.ledger.submit(schedule, TEXT)
    assert {run.id for run in room.claims.claim("a", 9)} == {asked, *(run.id for run in room.ledger.runs(schedule.id))}
    assert (room.ledger.run(asked).kind, room.ledger.run(asked).schedule) == ("now", schedule.id)


def test_a_request_that_is_repeated_with_its_token_makes_one_run(room):
    job = Job.of({"name": "once", "notebook": "/n.ipynb", "mode": "pinned", "sha256": sha256_of(TEXT)})
    made = at_once(4, lambda place: room.ledger.submit(job, TEXT, token="t", kind="rerun", as_of=NOON))
    assert len(set(made)) == 1
    assert room.ledger.submit(job, TEXT, token="other") != made[0]
    run = room.ledger.run(made[0])
    assert (run.kind, run.schedule, run.as_of, run.job) == ("rerun", None, NOON, job)


# Waiting for data


def test_a_run_waits_for_its_data_until_its_deadline(room):
    # The XNYS session of 2026-01-05 closes at 21:00 UTC.
    ready = {"dataset": "us", "symbols": ["A"], "deadline": 3600}
    for name in ("one", "two"):
        room.add(name, cron=None, market="XNYS close + 20 min", ready=ready)
    room.now = datetime(2026, 1, 5, 21, 20, tzinfo=UTC)
    room.ledger.plan()
    first, second = room.claims.waiting()
    assert (first.deadline, first.ready["symbols"]) == (room.now + HOUR, ["A"])
    assert room.claims.claim("a", 9) == []
    assert room.claims.make_ready(first.id, room.now)
    assert not room.claims.make_ready(first.id, room.now + HOUR)
    assert not room.claims.expire(first.id, "too late")
    assert room.claims.expire(second.id, "data not complete by 17:20")
    assert (room.ledger.run(second.id).state, room.ledger.run(second.id).reason) == (
        "failed",
        "data not complete by 17:20",
    )
    [run] = room.claims.claim("a", 9)
    assert (run.id, run.as_of) == (first.id, room.now)


# Claims


def test_the_lowest_priority_number_goes_first_and_then_what_was_due_first(room):
    policies = {"catch_up": "all", "overlap": "queue"}
    for name, cron, priority in (("c", "0 * * * *", 5), ("a", "30 * * * *", 5), ("z", "45 * * * *", 0)):
        room.add(name, cron, policies={**policies, "priority": priority})
    room.now += HOUR
    room.ledger.plan()
    assert [run.job.name for run in room.claims.claim("a", 9)] == ["z", "a", "c"]


def test_the_limit_counts_the_runs_of_all_services(room):
    for number in range(6):
        room.add(f"n{number}")
    room.now += HOUR
    room.ledger.plan()
    assert len(room.claims.claim("a", 3, most=2)) == 2
    assert len(room.claims.claim("b", 3)) == 1
    assert room.claims.claim("a", 3) == []
    first = room.ledger.runs(states=["claimed"])[0]
    assert room.claims.release(first.id, first.owner)
    assert not room.claims.release(first.id, first.owner)
    assert len(room.claims.claim("a", 3)) == 1


def test_of_many_that_claim_at_once_each_run_goes_to_one(room):
    for number in range(12):
        room.add(f"n{number}")
    room.now += HOUR
    room.ledger.plan()
    found = at_once(4, lambda place: room.claims.claim("ab"[place % 2], 10, most=5))
    ids = [run.id for each in found for run in each]
    assert len(ids) == len(set(ids)) == 10
    assert sorted(room.states()) == ["claimed"] * 10 + ["due"] * 2


def test_runs_of_one_schedule_go_one_after_the_other_also_while_one_waits_for_its_retry(room):
    policies = {"catch_up": "all", "retries": 1, "back_off": 600}
    schedule = room.due(hours=2.5, policies=policies)
    [first] = room.claims.claim("a", 9)
    assert first.due == NOON + HOUR
    assert room.claims.claim("b", 9) == []
    room.start(first.id)
    assert room.attempts.finish(first.id, 1, "failed", "boom") == "due"
    assert room.claims.claim("a", 9) == []
    room.now += 10 * MINUTE
    assert [run.id for run in room.claims.claim("a", 9)] == [first.id]
    room.start(first.id)
    assert room.attempts.finish(first.id, 2, "failed", "boom") == "failed"
    assert [run.due for run in room.claims.claim("a", 9)] == [NOON + 2 * HOUR]
    assert room.states(schedule.id) == ["failed", "claimed"]


def test_only_the_one_that_claimed_starts_and_only_the_runner_with_the_token_begins(room):
    room.due()
    [run] = room.claims.claim("a", 1)
    assert room.claims.start(run.id, "b", "/f", {}, {}) is None
    attempt = room.claims.start(run.id, "a", "/f", {}, {})
    assert room.claims.start(run.id, "a", "/f", {}, {}) is None
    assert not room.attempts.begin(run.id, 1, "guessed", RUNNER, "sha")
    began = at_once(4, lambda place: room.attempts.begin(run.id, 1, attempt.token, RUNNER, "sha"))
    assert sorted(began) == [False, False, False, True]
    [at_work] = room.attempts.at_work()
    assert (at_work.state, at_work.pid, at_work.ticks, at_work.sha256) == ("running", 20, 200, "sha")
    assert room.ledger.run(run.id).sha256 == "sha"


def test_a_run_that_cannot_be_started_is_refused_by_its_owner_alone(room):
    room.due()
    [run] = room.claims.claim("a", 1)
    assert not room.claims.refuse(run.id, "b", "no notebook")
    assert room.claims.refuse(run.id, "a", "no notebook")
    assert not room.claims.refuse(run.id, "a", "no notebook")
    assert (room.ledger.run(run.id).state, room.ledger.run(run.id).reason) == ("failed", "no notebook")


# Attempts


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "timed out", "limit", "cancelled"])
def test_a_run_ends_as_its_attempt_does_and_a_second_time_changes_nothing(room, outcome):
    run = room.running()
    room.now += MINUTE
    assert room.attempts.finish(run, 1, outcome, "because") == outcome
    assert room.attempts.finish(run, 1, "failed", "again") is None
    assert room.attempts.orphan(run, 1, 1, "again") is None
    found = room.ledger.run(run)
    assert (found.state, found.reason, found.finished, found.owner) == (outcome, "because", room.now, None)
    assert (found.folder, found.started) == (f"/reports/{run}", room.now - MINUTE)
    [attempt] = room.attempts.of(run)
    assert (attempt.state, attempt.reason, attempt.finished) == (outcome, "because", room.now)
    assert room.attempts.at_work() == []


def test_of_many_that_end_an_attempt_at_once_one_does(room):
    run = room.running(policies={"retries": 3})
    ended = at_once(4, lambda place: room.attempts.finish(run, 1, "failed", f"{place}"))
    assert sorted(map(str, ended)) == ["None", "None", "None", "due"]
    assert [attempt.state for attempt in room.attempts.of(run)] == ["failed", "waiting"]


def test_a_retry_is_a_row_of_its_own_with_its_reason_and_the_same_parameters(room):
    run = room.running(policies={"retries": 2, "back_off": 60})
    assert room.attempts.finish(run, 1, "timed out", "after 1:00:00") == "due"
    found = room.ledger.run(run)
    assert (found.attempt, found.not_before, found.owner) == (2, room.now + MINUTE, None)
    first, second = room.attempts.of(run)
    assert second.reason == found.reason == "retry 1 of 2; attempt 1 ended as timed out: after 1:00:00"
    assert (second.state, second.planned) == ("waiting", room.now)
    room.now += MINUTE
    room.claims.claim("b", 1)
    again = room.start(run, "b", resolved={"day": "another"})
    assert again.n == 2
    assert again.token != first.token
    assert room.ledger.run(run).resolved == {"day": "2026-01-05"}
    assert room.attempts.finish(run, 1, "succeeded") is None
    assert room.attempts.finish(run, 2, "failed", "boom") == "due"
    assert room.ledger.run(run).not_before == room.now + 2 * MINUTE
    room.now += 2 * MINUTE
    room.claims.claim("b", 1)
    room.start(run, "b")
    assert room.attempts.finish(run, 3, "failed", "boom") == "failed"
    assert [attempt.state for attempt in room.attempts.of(run)] == ["timed out", "failed", "failed"]


def test_a_clock_that_is_put_back_an_hour_does_not_lengthen_the_pause_before_a_retry(room):
    run = room.running(policies={"retries": 1, "back_off": 60})
    assert room.attempts.finish(run, 1, "failed") == "due"
    room.now -= timedelta(seconds=10)
    assert (room.claims.agenda().due, room.claims.claim("a", 1)) == (False, [])
    room.now -= HOUR
    assert room.claims.agenda().due
    assert [each.id for each in room.claims.claim("a", 1)] == [run]


def test_a_service_gives_back_what_it_claimed_and_did_not_start_and_nothing_else(room):
    for name in ("one", "two", "three"):
        room.add(name, policies={"catch_up": "all"})
    room.now += HOUR
    room.ledger.plan()
    [started, left] = room.claims.claim("a", 8, most=2)
    [others] = room.claims.claim("b", 8)
    room.start(started.id)
    assert room.claims.give_back("a") == [left.id]
    states = {run: room.ledger.run(run).state for run in (started.id, left.id, others.id)}
    assert states == {started.id: "running", left.id: "due", others.id: "claimed"}
    assert [each.id for each in room.claims.claim("b", 8)] == [left.id]


def test_an_attempt_that_stands_still_is_orphaned_and_one_that_beats_is_not(room):
    run = room.running(policies={"retries": 1})
    [seen] = room.attempts.at_work()
    assert room.attempts.pulse(run, 1) == Pulse(True, None)
    assert room.attempts.orphan(run, 1, seen.beat, "its runner is gone") is None
    assert room.attempts.orphan(run, 1, seen.beat + 1, "its runner is gone") == "due"
    # A runner that was only paused hears that it is no longer its own.
    assert room.attempts.pulse(run, 1) == Pulse(False, None)
    assert room.attempts.finish(run, 1, "succeeded") is None
    assert [attempt.state for attempt in room.attempts.of(run)] == ["orphaned", "waiting"]
    assert room.ledger.run(run).reason == "retry 1 of 1; attempt 1 ended as orphaned: its runner is gone"


def test_a_runner_that_does_not_begin_is_started_anew_at_once_three_times(room):
    room.due()
    for n in range(1, 5):
        [run] = room.claims.claim("a", 1)
        attempt = room.claims.start(run.id, "a", "/f", {}, {})
        assert attempt.n == n
        assert room.attempts.orphan(run.id, n, 0, "did not begin") == ("due" if n < 4 else "failed")
        assert not room.attempts.begin(run.id, n, attempt.token, RUNNER, "sha")
    assert [attempt.state for attempt in room.attempts.of(run.id)] == ["lost"] * 4
    assert room.ledger.run(run.id).reason == "did not begin"


def test_an_attempt_that_has_begun_is_never_lost(room):
    run = room.running()
    assert room.attempts.finish(run, 1, "lost", "it could not be started") is None
    assert room.attempts.finish(run, 1, "succeeded") == "succeeded"


def test_an_unknown_outcome_is_refused(room):
    run = room.running()
    with pytest.raises(UnknownNameError, match="outcome 'orphaned'"):
        room.attempts.finish(run, 1, "orphaned")


# Cancelling


def test_a_run_is_cancelled_at_each_of_its_stages(room):
    room.due(policies={"catch_up": "all", "overlap": "queue"}, hours=3)
    first, second, third = (run.id for run in reversed(room.ledger.runs()))
    assert room.claims.cancel(third, "not wanted") == "cancelled"
    assert room.claims.cancel(third, "again") is None
    room.claims.claim("a", 1)
    assert room.claims.cancel(first, "not wanted") == "asked"
    assert room.claims.start(first, "a", "/f", {}, {}) is None
    assert (room.ledger.run(first).state, room.ledger.run(first).reason) == ("cancelled", "not wanted")
    room.claims.claim("a", 1)
    room.start(second)
    assert room.claims.cancel(second, "not wanted") == "asked"
    assert room.claims.cancel(second, "a later reason") == "asked"
    assert room.attempts.pulse(second, 1) == Pulse(True, "not wanted")
    assert room.attempts.finish(second, 1, "failed", "killed") == "cancelled"
    assert room.states() == ["cancelled"] * 3


def test_a_cancelled_run_is_not_repeated_and_one_that_had_succeeded_stays_so(room):
    run = room.running(policies={"retries": 5})
    room.attempts.finish(run, 1, "failed", "boom")
    assert room.claims.cancel(run, "enough") == "cancelled"
    assert [(each.state, each.reason) for each in room.attempts.of(run)] == [
        ("failed", "boom"),
        ("cancelled", "enough"),
    ]
    room.ledger.remove("hourly")
    other = room.running(name="other")
    room.claims.cancel(other, "too late")
    assert room.attempts.finish(other, 1, "succeeded") == "succeeded"


# Services


def test_what_a_dead_service_claimed_is_due_again_and_what_it_ran_is_adopted_once(room):
    for name in ("n1", "n2", "n3"):
        room.add(name)
    room.now += HOUR
    room.ledger.plan()
    running, claimed, unwanted = (run.id for run in room.claims.claim("a", 3))
    room.start(running)
    room.claims.cancel(unwanted, "not wanted")
    assert room.services.adopt("b") == {}
    assert room.services.beat("a")
    assert not room.services.bury("a", 0)
    assert sorted(at_once(3, lambda place: room.services.bury("a", 1))) == [False, False, True]
    states = {run: room.ledger.run(run).state for run in (running, claimed, unwanted)}
    assert states == {running: "running", claimed: "due", unwanted: "cancelled"}
    assert sorted(at_once(3, lambda place: len(room.services.adopt("b")))) == [0, 0, 1]
    assert room.ledger.run(running).owner == "b"
    assert [each.id for each in room.services.services()] == ["b"]


def test_a_service_that_was_taken_for_dead_can_do_nothing_with_its_old_name(room):
    room.add("other")
    room.due()
    [run] = room.claims.claim("a", 1)
    room.services.bury("a", 0)
    assert not room.services.beat("a")
    assert room.claims.start(run.id, "a", "/f", {}, {}) is None
    assert room.claims.claim("a", 9) == []
    assert room.services.adopt("a") == {}
    assert len(room.claims.claim("b", 9)) == 2


def test_a_service_that_ends_by_itself_leaves_its_runs_to_the_next(room):
    run = room.running()
    assert room.services.bury("a")
    assert not room.services.bury("a")
    assert room.services.adopt("b") == {run: "a"}
    assert room.attempts.finish(run, 1, "succeeded") == "succeeded"
