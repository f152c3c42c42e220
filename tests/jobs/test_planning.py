"""What is due, what is skipped and why; the due times themselves are those of cron lines, or listed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.errors import DateRangeError
from workbench.jobs.planning import AGAIN, GRACE, LOOK_AHEAD, OpenRun, next_look, next_try, plan
from workbench.jobs.schedule import Policies, Schedule

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class Listed:
    """A rule whose due times are listed, in minutes after noon."""

    minutes: list[float]
    policies: Policies = field(default_factory=Policies)

    def dues(self, after, until):
        instants = (NOON + minute * MINUTE for minute in sorted(self.minutes))
        return (each for each in instants if after < each <= until)


def hourly(**policies):
    return Schedule(name="hourly", notebook="a.ipynb", cron="0 * * * *", policies=Policies(**policies))


def at(*hours):
    return tuple(NOON + hour * HOUR for hour in hours)


@pytest.mark.parametrize(
    ("catch_up", "window", "due", "skipped"),
    [
        ("skip", DAY, (), (1, 2, 3)),
        ("latest", DAY, (3,), (1, 2)),
        ("all", DAY, (1, 2, 3), ()),
        ("all", 2 * HOUR, (2, 3), (1,)),
        ("latest", 0.2 * HOUR, (), (1, 2, 3)),
    ],
)
def test_after_three_missed_due_times_each_policy_does_what_it_says(catch_up, window, due, skipped):
    made = plan(hourly(catch_up=catch_up, window=window), NOON, NOON + 3.5 * HOUR)
    assert made.due == at(*due)
    assert [instant for instant, _ in made.skipped] == list(at(*skipped))
    assert all("missed" in reason and f"catch-up: {catch_up}" in reason for _, reason in made.skipped)
    assert (made.planned_until, made.complete, made.cancelled) == (NOON + 3.5 * HOUR, True, ())


@pytest.mark.parametrize("catch_up", ["skip", "latest", "all"])
def test_a_due_time_within_the_grace_was_not_missed(catch_up):
    schedule = hourly(catch_up=catch_up)
    assert plan(schedule, NOON, NOON + HOUR).due == at(1)
    assert plan(schedule, NOON, NOON + HOUR + GRACE).due == at(1)
    late = plan(schedule, NOON, NOON + HOUR + GRACE + timedelta(microseconds=1))
    assert bool(late.skipped) == (catch_up == "skip")


def test_the_latest_of_what_was_missed_gives_way_to_one_that_was_not():
    made = plan(hourly(catch_up="latest"), NOON, NOON + 3 * HOUR)
    assert (made.due, [instant for instant, _ in made.skipped]) == (at(3), list(at(1, 2)))


@pytest.mark.parametrize(
    ("overlap", "due", "skipped", "cancelled"),
    [("skip", (), (1,), []), ("queue", (1,), (), []), ("cancel", (1,), (), ["a", "b"])],
)
def test_while_a_run_is_open_each_overlap_policy_does_what_it_says(overlap, due, skipped, cancelled):
    runs = [OpenRun("a", NOON - HOUR), OpenRun("b", NOON)]
    made = plan(hourly(overlap=overlap), NOON, NOON + HOUR, runs)
    assert made.due == at(*due)
    assert [instant for instant, _ in made.skipped] == list(at(*skipped))
    assert all("due at 2026-01-05 12:00:00 UTC had not ended" in reason for _, reason in made.skipped)
    assert [run for run, _ in made.cancelled] == cancelled
    assert all("13:00:00 UTC" in reason for _, reason in made.cancelled)


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (OpenRun("a", NOON), "the run that was due at 2026-01-05 12:00:00 UTC had not ended (overlap: skip)"),
        (
            OpenRun("a", NOON, late=True),
            "the run that was due at 2026-01-05 12:00:00 UTC had not ended (overlap: skip)",
        ),
        (
            OpenRun("a", NOON, begun=False),
            "the run that was due at 2026-01-05 12:00:00 UTC still waited for a free place (overlap: skip)",
        ),
        (OpenRun("a", NOON, begun=False, late=True), None),
    ],
)
def test_what_is_at_work_or_waits_for_a_free_place_has_the_next_one_skipped(run, reason):
    made = plan(hourly(overlap="skip"), NOON, NOON + HOUR, [run])
    assert (made.due, made.skipped) == ((), ((NOON + HOUR, reason),)) if reason else (at(1), ())


def test_what_is_caught_up_makes_none_be_skipped_before_it_has_begun():
    made = plan(hourly(catch_up="all", overlap="skip"), NOON, NOON + 3 * HOUR)
    assert (made.due, made.skipped) == (at(1, 2, 3), ())
    runs = [OpenRun(str(due), due, begun=False, late=True) for due in made.due[:2]]
    assert plan(hourly(overlap="skip"), NOON + 3 * HOUR, NOON + 4 * HOUR, runs).due == at(4)
    runs[0] = OpenRun("a", NOON + HOUR, late=True)
    [(_, reason)] = plan(hourly(overlap="skip"), NOON + 3 * HOUR, NOON + 4 * HOUR, runs).skipped
    assert "13:00:00 UTC had not ended" in reason


def test_what_is_caught_up_waits_for_its_turn_and_what_is_on_time_then_overlaps():
    policies = {"catch_up": "all", "overlap": "skip"}
    assert plan(hourly(**policies), NOON, NOON + 2.5 * HOUR, [OpenRun("a", NOON)]).due == at(1, 2)
    made = plan(hourly(**{**policies, "overlap": "cancel"}), NOON, NOON + 2 * HOUR)
    assert (made.due, [instant for instant, _ in made.skipped]) == (at(2), list(at(1)))


@pytest.mark.parametrize("catch_up", ["skip", "latest", "all"])
def test_the_clock_back_an_hour_plans_nothing_until_it_has_caught_up(catch_up):
    schedule = hourly(catch_up=catch_up)
    first = plan(schedule, NOON, NOON + HOUR)
    back = plan(schedule, first.planned_until, NOON + 0.01 * HOUR)
    assert (back.due, back.skipped, back.planned_until) == ((), (), first.planned_until)
    again = plan(schedule, back.planned_until, NOON + HOUR)
    assert (again.due, again.skipped, again.planned_until) == ((), (), first.planned_until)
    assert plan(schedule, again.planned_until, NOON + 2 * HOUR).due == at(2)


@pytest.mark.parametrize(("catch_up", "due"), [("skip", 0), ("latest", 1), ("all", 3)])
def test_the_clock_forward_an_hour_leaves_the_time_in_between_to_the_catch_up_policy(catch_up, due):
    # Every 20 minutes: due at 12:20, 12:40 and 13:00 while the clock went from 12:10 to 13:10.
    schedule = Listed([20, 40, 60], Policies(catch_up=catch_up))
    made = plan(schedule, NOON + 10 * MINUTE, NOON + 70 * MINUTE)
    assert (len(made.due), len(made.due) + len(made.skipped)) == (due, 3)


# New York in 2026: 2:00 to 3:00 is left out on 8 March and 1:00 to 2:00 comes twice on 1 November (tz database).
@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("0 * * * *", "2026-03-08", ["05:00", "06:00", "07:00", "08:00", "09:00"]),
        ("30 2 * * *", "2026-03-08", ["07:00"]),
        ("0 * * * *", "2026-11-01", ["04:00", "05:00", "06:00", "07:00", "08:00"]),
        ("30 1 * * *", "2026-11-01", ["05:30"]),
    ],
)
def test_a_change_of_the_clocks_neither_loses_nor_doubles_a_run(cron, day, expected):
    schedule = Schedule(
        name="a", notebook="a.ipynb", cron=cron, zone="America/New_York", policies=Policies(catch_up="all")
    )
    midnight = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=UTC)
    start = midnight + (5 if "03-08" in day else 4) * HOUR - MINUTE
    until, found = start, []
    # As a service does: every few minutes from midnight there on, four hours long.
    for step in range(1, 50):
        made = plan(schedule, until, start + 5 * step * MINUTE)
        until = made.planned_until
        found += made.due
        assert not made.skipped
    at_once = plan(schedule, start, until)
    assert found == list(at_once.due)
    assert [f"{each:%H:%M}" for each in found] == expected


def test_the_next_look_is_at_the_next_due_time_or_after_eight_days():
    assert next_look(Listed([90, 500]), NOON) == NOON + 90 * MINUTE
    assert next_look(Listed([90]), NOON + 90 * MINUTE) == NOON + 90 * MINUTE + LOOK_AHEAD


def test_a_calendar_that_ends_is_an_error_only_when_its_time_has_come():
    class Ending(Listed):
        def dues(self, after, until):
            yield from super().dues(after, until)
            if until > NOON + DAY:
                raise DateRangeError("past the end")

    assert next_look(Ending([90]), NOON) == NOON + 90 * MINUTE
    assert next_look(Ending([]), NOON) == NOON + AGAIN
    assert plan(Ending([90]), NOON, NOON + 2 * HOUR).complete
    known = plan(Ending([90]), NOON, NOON + 2 * DAY)
    assert ([at for at, _ in known.skipped], known.fault) == ([NOON + 90 * MINUTE], "past the end")
    assert known.planned_until == NOON + 90 * MINUTE
    with pytest.raises(DateRangeError):
        plan(Ending([90]), known.planned_until, NOON + 2 * DAY)


@pytest.mark.parametrize(
    ("state", "tries", "lost", "seconds"),
    [
        ("failed", 1, 0, 10),
        ("failed", 2, 0, 20),
        ("timed out", 3, 0, 40),
        ("orphaned", 4, 0, 60),
        ("failed", 10, 0, 60),
        ("failed", 11, 0, None),
        ("limit", 1, 0, None),
        ("succeeded", 1, 0, None),
        ("cancelled", 1, 0, None),
        ("lost", 0, 1, 0),
        ("lost", 0, 3, 0),
        ("lost", 0, 4, None),
    ],
)
def test_the_pause_doubles_up_to_the_longest_and_the_retries_end(state, tries, lost, seconds):
    policies = Policies(retries=10, back_off=timedelta(seconds=10), longest_back_off=MINUTE)
    expected = None if seconds is None else NOON + timedelta(seconds=seconds)
    assert next_try(policies, state, tries, lost, NOON) == expected


minutes = st.lists(st.integers(1, 4000), unique=True, max_size=40)
policies = st.builds(
    Policies,
    catch_up=st.sampled_from(["skip", "latest", "all"]),
    overlap=st.sampled_from(["skip", "queue", "cancel"]),
    window=st.sampled_from([MINUTE, HOUR, DAY]),
)
clocks = st.lists(st.integers(-100, 5000), min_size=1, max_size=12)


@given(minutes, policies, clocks)
def test_each_due_time_is_decided_once_however_the_clock_jumps(found, rules, ticks):
    schedule, until = Listed(found, rules), NOON
    decided: list[datetime] = []
    for tick in ticks:
        made = plan(schedule, until, NOON + tick * MINUTE)
        assert made.planned_until >= until
        until = made.planned_until
        decided += [*made.due, *(instant for instant, _ in made.skipped)]
    expected = [NOON + each * MINUTE for each in found if NOON + each * MINUTE <= until]
    assert sorted(decided) == sorted(expected)
    assert len(set(decided)) == len(decided)


@given(minutes, policies, st.integers(0, 5000), st.integers(1, 5))
def test_planning_piece_by_piece_decides_the_same(found, rules, end, most):
    schedule, now = Listed(found, rules), NOON + end * MINUTE
    whole = plan(schedule, NOON, now)
    until, runs, ran, skipped = NOON, [], [], []
    complete = False
    while not complete:
        made = plan(schedule, until, now, runs, most)
        assert len(made.due) + len(made.skipped) <= most
        gone = {run for run, _ in made.cancelled}
        runs = [run for run in runs if run.id not in gone] + [
            OpenRun(str(due), due, begun=False, late=now - due > GRACE) for due in made.due
        ]
        ran = [due for due in ran if str(due) not in gone] + list(made.due)
        skipped += [instant for instant, _ in made.skipped]
        until, complete = made.planned_until, made.complete
    assert tuple(ran) == whole.due
    assert until == whole.planned_until
    # What was planned and gave way later was not skipped, but cancelled.
    assert {*skipped} <= {instant for instant, _ in whole.skipped}


@given(minutes, policies, st.integers(0, 5000))
def test_only_what_the_policies_say_is_skipped(found, rules, end):
    now = NOON + end * MINUTE
    made = plan(Listed(found, rules), NOON, now, [OpenRun("a", NOON)])
    for instant, reason in made.skipped:
        assert f"catch-up: {rules.catch_up}" in reason or f"overlap: {rules.overlap}" in reason
        assert ("overlap: skip" not in reason) or now - instant <= GRACE
    missed = [due for due in made.due if now - due > GRACE]
    assert all(now - due <= rules.window for due in missed)
    assert len(missed) <= {"skip": 0, "latest": 1, "all": len(found)}[rules.catch_up]
    assert bool(made.cancelled) <= (rules.overlap == "cancel")
