"""What every door does with schedules and runs: refused with the reason, or kept as it will run."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from workbench.core.database import open_database
from workbench.core.errors import FailureError, InputError, ParameterError, UnknownNameError, UnsupportedError
from workbench.core.settings import load_settings
from workbench.core.spans import read_span
from workbench.jobs import formats
from workbench.jobs.claims import Claims
from workbench.jobs.identity import own_identity
from workbench.jobs.ledger import Ledger
from workbench.jobs.records import Identity
from workbench.jobs.schedule import Job, Ready, Schedule, job_name
from workbench.jobs.schedules import Schedules, next_due
from workbench.jobs.services import Services
from workbench.jobs.wording import read_policies, read_ready, read_when

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CELL = 'symbols: list[str] = ["AAPL"]\nfast: int = 20\nday: str = ""\n'


class Door:
    """Schedules on an own database with a clock to turn."""

    def __init__(self, database, folder):
        self.now, self.folder = NOON, folder
        self.ledger, self.claims = Ledger(database, self.clock), Claims(database, self.clock)
        self.services = Services(database, self.clock)
        self.schedules = Schedules(self.ledger, self.claims, folder, "XNYS", self.known)

    def clock(self):
        return self.now

    def known(self, ready):
        if ready.dataset != "us":
            raise UnknownNameError("bars dataset", ready.dataset, ["us"])

    def add(self, name="daily", **values):
        rule = {} if "market" in values else {"cron": "30 16 * * 1-5"}
        return self.schedules.add(Schedule.of({"name": name, "notebook": "small.ipynb", **rule, **values}))


@pytest.fixture
def door(tmp_path, notebook):
    folder = notebook("1", parameters=CELL).parent
    database = open_database(load_settings(home=tmp_path / "home"))
    yield Door(database, folder)
    database.close()


def test_a_schedule_is_kept_in_its_normal_form(door):
    kept = door.add(cron="30 16 * * mon-fri", parameters={"symbols": "A,B", "fast": "5"})
    assert (kept.cron, kept.parameters) == ("30 16 * * MON-FRI", {"symbols": ["A", "B"], "fast": 5})
    assert kept.notebook == (door.folder / "small.ipynb").resolve()
    assert door.schedules.get("daily").schedule == door.schedules.get(kept.id).schedule == kept
    assert [record.schedule for record in door.schedules.list()] == [kept]


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        ({"notebook": "nix.ipynb"}, InputError, "there is no notebook"),
        ({"kernel": "nix"}, UnknownNameError, "unknown kernel 'nix'"),
        ({"cron": "61 * * * *"}, ParameterError, "61"),
        ({"cron": "0 0 31 2 *"}, ParameterError, "never due"),
        ({"zone": "Mars"}, UnknownNameError, "unknown time zone 'Mars'"),
        ({"market": "XNYZ close"}, UnknownNameError, "unknown calendar 'XNYZ'"),
        ({"parameters": {"import os": 1}}, UnknownNameError, "unknown parameter 'import os'"),
        ({"parameters": {"fast": "x"}}, ParameterError, "parameter 'fast'"),
        ({"parameters": {"day": "last_sesion"}}, ParameterError, "last_sesion"),
        ({"market": "XNYS close", "ready": {"dataset": "eu", "symbols": ["A"]}}, UnknownNameError, "'eu'"),
    ],
)
def test_what_could_not_run_is_refused_when_it_is_saved(door, values, error, text):
    with pytest.raises(error, match=text):
        door.add(**values)
    assert door.schedules.list() == []
    door.add()
    with pytest.raises(error, match=text):
        door.schedules.change("daily", **values)
    assert door.schedules.get("daily").schedule.cron == "30 16 * * 1-5"


def test_a_format_that_cannot_be_made_here_is_refused(door, monkeypatch):
    monkeypatch.setattr(formats, "_browser", lambda: None)
    with pytest.raises(UnsupportedError, match="Chromium"):
        door.add(formats=["html", "pdf"])
    with pytest.raises(UnsupportedError, match="Chromium"):
        door.schedules.submit(Job.of({"name": "one", "notebook": "small.ipynb", "formats": ["pdf"]}))
    monkeypatch.setattr(formats, "_browser", lambda: "/usr/bin/chromium")
    assert door.add(formats=["html", "pdf"]).formats == ("html", "pdf")


def test_a_change_names_what_changes_and_leaves_the_rest(door):
    first = door.add(parameters={"fast": 5}, policies={"retries": 2, "priority": 1})
    changed = door.schedules.change("daily", name="nightly", policies={"retries": 3})
    assert (changed.id, changed.name, changed.parameters) == (first.id, "nightly", {"fast": 5})
    assert (changed.policies.retries, changed.policies.priority) == (3, 1)
    assert [record.schedule for record in door.schedules.list()] == [changed]


def test_one_rule_takes_the_place_of_the_other(door):
    door.add()
    by_market = door.schedules.change("daily", market="XNYS close", ready={"dataset": "us", "symbols": ["A"]})
    assert (by_market.cron, by_market.market, by_market.zone) == (None, "XNYS close", "America/New_York")
    by_clock = door.schedules.change("daily", cron="@daily", zone="UTC")
    assert (by_clock.cron, by_clock.market, by_clock.ready) == ("0 0 * * *", None, None)


def test_the_id_cannot_be_changed(door):
    door.add()
    with pytest.raises(ParameterError, match="id='other'"):
        door.schedules.change("daily", id="other")


def test_a_pinned_notebook_stays_pinned_until_it_is_pinned_anew(door, notebook):
    first = door.add(mode="pinned")
    notebook("2", parameters=CELL)
    assert door.schedules.change("daily", policies={"retries": 1}).sha256 == first.sha256
    run = door.ledger.run(door.schedules.run_now("daily"))
    assert run.job.sha256 == first.sha256
    anew = door.schedules.change("daily", mode="pinned")
    assert anew.sha256 != first.sha256
    assert door.schedules.change("daily", mode="now").sha256 is None
    again = door.ledger.run(door.schedules.rerun(run.id))
    assert again.job.sha256 == first.sha256


def test_pause_resume_and_remove(door):
    door.add(cron="0 * * * *")
    assert not door.schedules.pause("daily").active
    assert next_due(door.schedules.get("daily"), door.now) is None
    assert door.schedules.resume("daily").active
    assert next_due(door.schedules.get("daily"), door.now) == NOON + HOUR
    door.schedules.remove("daily")
    assert door.schedules.list() == []
    with pytest.raises(UnknownNameError, match="'daily'"):
        door.schedules.remove("daily")


def test_a_run_that_is_asked_for_takes_its_own_parameters_over_the_schedules(door):
    kept = door.add(parameters={"fast": 5, "day": "last_session"}, cron="@daily", zone="America/New_York")
    run = door.ledger.run(door.schedules.run_now("daily", {"fast": "7"}))
    assert (run.state, run.kind, run.schedule, run.due) == ("due", "now", kept.id, NOON)
    assert (run.job.parameters, run.zone) == ({"fast": 7, "day": "last_session"}, "America/New_York")
    with pytest.raises(UnknownNameError, match="'slow'"):
        door.schedules.run_now("daily", {"slow": 1})


def test_a_request_that_is_repeated_makes_one_run(door):
    door.add()
    job = Job.of({"name": "one", "notebook": "small.ipynb"})
    assert door.schedules.run_now("daily", token="a") == door.schedules.run_now("daily", token="a")
    assert door.schedules.submit(job, token="b") == door.schedules.submit(job, token="b")
    assert len(door.ledger.runs()) == 2


def test_a_run_that_waits_for_nothing_starts_though_its_schedule_waits_for_data(door):
    door.add(market="XNYS close", ready={"dataset": "us", "symbols": ["A"]})
    assert door.ledger.run(door.schedules.run_now("daily")).state == "due"


def begun(door, run, resolved):
    """Let a run start, with the values that it got."""
    door.services.register("a", Identity("here", "boot", 1, 1))
    [claimed] = door.claims.claim("a", 1)
    assert claimed.id == run
    door.claims.start(run, "a", "folder", resolved, {})


def test_a_rerun_has_the_days_of_the_first_run(door):
    door.add(parameters={"day": "last_session"}, market="XLON close")
    first = door.schedules.run_now("daily")
    begun(door, first, {"day": "2026-01-02"})
    door.now += 10 * DAY
    again = door.ledger.run(door.schedules.rerun(first))
    assert (again.kind, again.due, again.schedule) == ("rerun", door.now, door.ledger.run(first).schedule)
    assert (again.job.parameters, again.market, again.zone) == ({"day": "2026-01-02"}, "XLON close", "Europe/London")
    changed = door.ledger.run(door.schedules.rerun(first, {"day": "today", "fast": 3}))
    assert changed.job.parameters == {"day": "today", "fast": 3}


def test_a_text_that_means_itself_still_does_in_a_rerun(door):
    first = door.schedules.submit(
        Job.of({"name": "one", "notebook": "small.ipynb", "parameters": {"symbols": ["\\today", "A"]}})
    )
    begun(door, first, {"symbols": ["today", "A"]})
    assert door.ledger.run(door.schedules.rerun(first)).job.parameters == {"symbols": ["\\today", "A"]}


def test_a_rerun_knows_what_the_first_one_knew(door):
    schedule = door.add(market="XNYS close", ready={"dataset": "us", "symbols": ["A"]})
    door.now += DAY
    door.ledger.plan()
    [first] = door.ledger.runs(schedule.id)
    door.claims.make_ready(first.id, door.now)
    door.now += DAY
    again = door.ledger.run(door.schedules.rerun(first.id))
    assert (again.as_of, again.state) == (NOON + DAY, "due")


def test_a_run_goes_by_the_beginning_of_its_id(door):
    job = Job.of({"name": "one", "notebook": "small.ipynb"})
    runs = [door.schedules.submit(job) for _ in range(17)]
    assert all(door.schedules.run(run[:13].upper()).id == run for run in runs)
    # Of 17 hexadecimal digits, two are the same.
    first = next(run[0] for run in runs if sum(other[0] == run[0] for other in runs) > 1)
    with pytest.raises(ParameterError, match=f"several runs begin with '{first}'"):
        door.schedules.run(first)
    for wrong in ("", "nix", "%", "_"):
        with pytest.raises((UnknownNameError, ParameterError)):
            door.schedules.run(wrong)


def test_a_run_is_cancelled_with_a_reason(door):
    run = door.schedules.submit(Job.of({"name": "one", "notebook": "small.ipynb"}))
    assert door.schedules.cancel(run[:20], "no longer needed") == "cancelled"
    assert door.schedules.cancel(run, "again") is None
    assert (door.ledger.run(run).state, door.ledger.run(run).reason) == ("cancelled", "no longer needed")


def test_who_waits_sees_the_end_or_hears_that_there_is_none(door):
    run = door.schedules.submit(Job.of({"name": "one", "notebook": "small.ipynb"}))
    with pytest.raises(FailureError, match=r"still due after 0\.1 s"):
        door.schedules.wait(run, 0.1)
    threading.Timer(0.3, door.claims.cancel, (run, "enough")).start()
    assert door.schedules.wait(run, 30).state == "cancelled"


def test_a_service_is_up_only_while_its_process_lives(door):
    assert not door.schedules.served()
    own = own_identity()
    door.services.register("dead", Identity(own.host, own.boot, own.pid, own.ticks + 1))
    assert not door.schedules.served()
    door.services.register("alive", own)
    assert door.schedules.served()


def test_the_next_due_time_may_lie_years_ahead_and_a_calendar_may_end(door):
    door.add("leap", cron="0 0 29 2 *")
    assert next_due(door.schedules.get("leap"), NOON) == datetime(2028, 2, 29, tzinfo=UTC)
    door.add("bell", market="XNYS close")
    assert next_due(door.schedules.get("bell"), NOON) == datetime(2026, 1, 5, 21, tzinfo=UTC)
    assert next_due(door.schedules.get("bell"), datetime(2049, 12, 31, 23, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("text", "zone", "found"),
    [
        (" 30 17 * * MON-FRI ", None, {"cron": "30 17 * * MON-FRI", "zone": "UTC", "market": None}),
        ("*/5 * * * *", "Asia/Tokyo", {"cron": "*/5 * * * *", "zone": "Asia/Tokyo", "market": None}),
        ("@hourly", None, {"cron": "@hourly", "zone": "UTC", "market": None}),
        ("XNYS close + 20 min", None, {"cron": None, "market": "XNYS close + 20 min"}),
        ("XLON 5 minutes before the open", None, {"cron": None, "market": "XLON 5 minutes before the open"}),
    ],
)
def test_when_is_a_cron_line_or_a_market_trigger(text, zone, found):
    assert read_when(text, zone) == found


@pytest.mark.parametrize(
    ("text", "zone", "told"), [("tomorrow", None, "'tomorrow' does not say when"), ("XNYS close", "UTC", "zone='UTC'")]
)
def test_when_is_neither_or_too_much(text, zone, told):
    with pytest.raises(ParameterError, match=told):
        read_when(text, zone)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("90 s", 90), ("20min", 1200), ("2 H", 7200), ("1.5 hours", 5400), ("30 days", 30 * 86400), (5, 5), (HOUR, 3600)],
)
def test_a_length_of_time_is_read(given, seconds):
    assert read_span("time_out", given) == timedelta(seconds=seconds)


@pytest.mark.parametrize("given", ["1 week", "5", "", "-5 min", "1e3 s", True, None, float("nan"), 1e11])
def test_what_is_no_length_of_time_is_told(given):
    with pytest.raises(ParameterError, match=r"time_out=.* is no length of time"):
        read_span("time_out", given)


def test_policies_and_data_to_wait_for_are_read():
    found = read_policies({"time_out": "20 min", "retries": 2, "keep_for": "30 d"})
    assert (found.time_out, found.retries, found.keep_for) == (20 * HOUR / 60, 2, 30 * DAY)
    with pytest.raises(ParameterError, match="patience='1 h'"):
        read_policies({"patience": "1 h"})
    assert read_ready(None, "us") is None
    assert read_ready("A", "us") == read_ready(["A"], "us") == Ready(dataset="us", symbols=("A",))
    waits = {"symbols": ["A", "B"], "dataset": "eu", "deadline": "90 min"}
    assert read_ready(waits, "us") == Ready(dataset="eu", symbols=("A", "B"), deadline=1.5 * HOUR)
    with pytest.raises(ParameterError, match="symbols"):
        read_ready([], "us")


def test_a_job_is_named_after_its_notebook(door):
    assert job_name(door.folder / "small.ipynb") == "small"
    for stem in ("-x", "Größe/2", "a" * 100, "  ", "été"):
        assert Job.of({"name": job_name(door.folder / f"{stem}.ipynb"), "notebook": "small.ipynb"})
