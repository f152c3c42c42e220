"""Lab's dialog and lists over the workbench's own schedules and runs, without a server."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import nbformat
import pytest
from jupyter_scheduler import models
from jupyter_scheduler.exceptions import SchedulerError
from nbformat.v4 import new_code_cell, new_notebook
from traitlets.config import Config

from workbench.bench import Workbench
from workbench.core.errors import InputError, ParameterError, UnknownNameError
from workbench.core.settings import load_settings
from workbench.core.spans import span_text
from workbench.jobs.attempts import Attempts
from workbench.jobs.records import Identity
from workbench.jobs.schedule import Policies, Schedule
from workbench.jobs.services import Services
from workbench.lab.jobs.app import configure
from workbench.lab.jobs.environments import WorkbenchEnvironments
from workbench.lab.jobs.options import default_options, read_options, schedule_options
from workbench.lab.jobs.scheduler import WorkbenchScheduler

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CELL = 'symbols: list[str] = ["AAPL"]\nfast: int = 20\nday: str = ""\n'
QUERY = {"next_token": None, "max_items": 25}


class Dialog:
    """What Lab's pages do, on an own home with a clock to turn."""

    def __init__(self, home):
        self.now = NOON
        self.desk = Workbench(load_settings(home=home), clock=lambda: self.now)
        self.root = self.desk.settings.workspace
        config = Config()
        configure(config, self.desk, "")
        self.scheduler = WorkbenchScheduler(str(self.root), WorkbenchEnvironments(), self.desk, config)
        self.claims, self.ledger = self.desk.jobs.claims, self.desk.jobs.ledger
        self.services = Services(self.desk.records, self.desk.clock)
        self.services.register("a", Identity("here", "boot", 1, 1))

    def ask(self, method, *given):
        return asyncio.run(getattr(self.scheduler, method)(*given))

    def define(self, name="daily", **values):
        asked = {"name": name, "input_uri": "notebooks/small.ipynb", "runtime_environment_name": "trii-workbench"}
        rule = {} if "runtime_environment_parameters" in values else {"schedule": "0 * * * *", "timezone": "UTC"}
        return self.ask("create_job_definition", models.CreateJobDefinition(**{**asked, **rule, **values}))

    def submit(self, name="once", **values):
        asked = {"name": name, "input_uri": "notebooks/small.ipynb", "runtime_environment_name": "trii-workbench"}
        return self.ask("create_job", models.CreateJob(**{**asked, **values}))

    def change(self, definition, **values):
        return self.ask("update_job_definition", definition, models.UpdateJobDefinition(**values))

    def listed(self, **query):
        return self.ask("list_jobs", models.ListJobsQuery(**{**QUERY, **query}))

    def finish(self, run, state="failed"):
        """Let a run end as one that a runner worked at."""
        [claimed] = [each for each in self.claims.claim("a", 9) if each.id == run]
        folder = self.desk.settings.reports / run / "1"
        attempt = self.claims.start(claimed.id, "a", str(folder), claimed.job.parameters, {})
        folder.mkdir(parents=True)
        for suffix in ("ipynb", "html"):
            (folder / f"small.{suffix}").write_text("{}")
        attempts = Attempts(self.desk.records, self.desk.clock)
        attempts.begin(run, 1, attempt.token, Identity("here", "boot", 2, 2), "0" * 64)
        attempts.finish(run, 1, state, "for a reason")


@pytest.fixture
def dialog(tmp_path):
    made = Dialog(tmp_path / "home")
    path = made.root / "notebooks" / "small.ipynb"
    path.parent.mkdir(parents=True)
    kernel = {"kernelspec": {"name": "trii-workbench", "display_name": "", "language": "python"}}
    nbformat.write(new_notebook(cells=[new_code_cell(CELL, metadata={"tags": ["parameters"]})], metadata=kernel), path)
    outside = tmp_path / "outside.ipynb"
    outside.write_bytes(path.read_bytes())
    path.with_name("leads-out.ipynb").symlink_to(outside)
    yield made
    made.desk.records.close()


def refused(dialog, method, *given, **named):
    """The sentence with which something is refused, and the kind of mistake that it is."""
    with pytest.raises(SchedulerError) as caught:
        getattr(dialog, method)(*given, **named)
    return str(caught.value), type(caught.value.__cause__)


def test_the_dialogs_cron_line_makes_a_schedule(dialog):
    definition = dialog.define(parameters={"symbols": '["A", "B"]', "fast": "5"}, output_formats=["html"])
    kept = dialog.desk.jobs.get(definition).schedule
    assert (kept.name, kept.cron, kept.zone, kept.formats) == ("daily", "0 * * * *", "UTC", ("html",))
    assert kept.parameters == {"symbols": ["A", "B"], "fast": 5}
    assert kept.notebook == dialog.root / "notebooks" / "small.ipynb"


def test_a_market_trigger_takes_the_place_of_the_cron_line_that_the_dialog_always_sends(dialog):
    options = {"when": "XNYS close + 20 min", "mode": "pinned", "retries": "2", "time_out": "90 min"}
    definition = dialog.define(schedule="0 0 * * MON-FRI", timezone="UTC", runtime_environment_parameters=options)
    kept = dialog.desk.jobs.get(definition).schedule
    assert (kept.market, kept.cron, kept.zone) == ("XNYS close + 20 min", None, "America/New_York")
    assert (kept.mode, kept.policies) == ("pinned", Policies(retries=2, time_out=90 * MINUTE))
    shown = dialog.ask("get_job_definition", definition)
    # A text that is no cron line would end the list of definitions with an internal error.
    assert (shown.schedule, shown.runtime_environment_parameters["when"]) == (None, "XNYS close + 20 min")


def test_what_a_schedule_shows_as_its_options_makes_the_same_schedule_again(dialog):
    options = {"when": "XNYS close", "ready_symbols": '["AAPL, IBM"]', "catch_up": "all", "keep_for": "7 d"}
    first = dialog.define("one", runtime_environment_parameters=options)
    shown = dialog.ask("get_job_definition", first).runtime_environment_parameters
    kept, again = (
        dialog.desk.jobs.get(each).schedule
        for each in (first, dialog.define("two", runtime_environment_parameters=shown))
    )
    assert kept.ready.symbols == ("AAPL", "IBM")
    assert again.model_dump(exclude={"id", "name"}) == kept.model_dump(exclude={"id", "name"})


@pytest.mark.parametrize(
    ("values", "sentence", "kind"),
    [
        ({"input_uri": "../small.ipynb"}, "there is no notebook '../small.ipynb' in the workspace", InputError),
        ({"input_uri": "notebooks/none.ipynb"}, "there is no notebook", InputError),
        ({"schedule": "61 * * * *"}, "61", ParameterError),
        ({"schedule": None}, "a schedule needs a cron line, or a market trigger", ParameterError),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus", UnknownNameError),
        ({"parameters": {"__import__('os')": "1"}}, "unknown parameter", UnknownNameError),
        ({"parameters": {"fast": "quick"}}, "parameter 'fast' of small.ipynb is a int", ParameterError),
        ({"tags": ["mine"]}, "a job's tags would not be kept", InputError),
        ({"package_input_folder": False}, "a notebook always runs in its own folder", InputError),
        ({"output_filename_template": "{{name}}"}, "each run leaves its files in a folder of its own", InputError),
        ({"runtime_environment_name": "conda"}, "unknown environment 'conda'", UnknownNameError),
        ({"input_uri": "a\0b"}, "there is no notebook", InputError),
        ({"input_uri": "n" * 5000}, "there is no notebook", InputError),
        ({"input_uri": "/etc/passwd"}, "there is no notebook '/etc/passwd'", InputError),
        ({"input_uri": "notebooks/leads-out.ipynb"}, "there is no notebook", InputError),
        ({"name": "../etc"}, "name='../etc' of the schedule cannot be used", ParameterError),
        ({"output_formats": ["docx"]}, "docx", ParameterError),
        ({"runtime_environment_parameters": {"when": "XNYZ close"}}, "unknown calendar 'XNYZ'", UnknownNameError),
        ({"runtime_environment_parameters": {"wen": "XNYS close"}}, "'wen' is no option of a job", ParameterError),
        ({"runtime_environment_parameters": {"when": "XNYS close", "retries": 99}}, "retries=99", ParameterError),
        ({"runtime_environment_parameters": {"when": "XNYS close", "mode": "later"}}, "mode='later'", ParameterError),
        (
            {"runtime_environment_parameters": {"when": "XNYS close", "ready_symbols": '["NONE"]'}},
            "unknown symbol 'NONE'",
            UnknownNameError,
        ),
        (
            {"runtime_environment_parameters": {"when": "XNYS close", "kernel": "cobol"}},
            "unknown kernel 'cobol'",
            UnknownNameError,
        ),
    ],
)
def test_what_cannot_run_is_refused_when_it_is_saved(dialog, values, sentence, kind):
    said, cause = refused(dialog, "define", **values)
    assert sentence in said
    assert issubclass(cause, kind)
    assert dialog.desk.jobs.list() == []


def test_a_symbol_that_became_a_number_on_its_way_is_refused_with_the_remedy(dialog):
    # jupyter-scheduler's model reads the text "005930" as a number.
    options = {"when": "XNYS close", "ready_symbols": "005930"}
    said, _ = refused(dialog, "define", runtime_environment_parameters=options)
    assert said == "ready_symbols=5930 was read as a number; write it as a JSON list of texts"


def test_a_job_that_is_sent_twice_with_one_token_runs_once(dialog):
    first, second = dialog.submit(idempotency_token="x"), dialog.submit(idempotency_token="x")
    assert first == second
    assert dialog.listed().total_count == 1


def test_a_job_that_runs_now_has_no_trigger(dialog):
    said, _ = refused(dialog, "submit", runtime_environment_parameters={"when": "XNYS close"})
    assert said.startswith("a job that runs now has no market trigger")


def test_a_definition_is_paused_resumed_changed_and_removed(dialog):
    definition = dialog.define()
    dialog.change(definition, active=False)
    assert not dialog.ask("get_job_definition", definition).active
    dialog.change(definition, active=True)
    assert dialog.ask("get_job_definition", definition).active
    # As Lab's form sends it, with the notebook that it had.
    dialog.change(definition, schedule="30 * * * *", timezone="Europe/Vienna", input_uri="notebooks/small.ipynb")
    kept = dialog.desk.jobs.get(definition).schedule
    assert (kept.cron, kept.zone) == ("30 * * * *", "Europe/Vienna")
    dialog.ask("delete_job_definition", definition)
    assert dialog.ask("list_job_definitions", models.ListJobDefinitionsQuery()).total_count == 0


def test_a_pinned_notebook_stays_pinned_when_the_time_is_changed(dialog):
    definition = dialog.define(schedule="0 * * * *", timezone="UTC", runtime_environment_parameters={"mode": "pinned"})
    before = dialog.desk.jobs.get(definition).schedule.sha256
    path = dialog.root / "notebooks" / "small.ipynb"
    path.write_text(path.read_text().replace("AAPL", "IBM"))
    dialog.change(definition, schedule="5 * * * *", input_uri="notebooks/small.ipynb")
    kept = dialog.desk.jobs.get(definition).schedule
    assert (kept.cron, kept.sha256) == ("5 * * * *", before)


def test_what_is_not_given_of_the_options_stays(dialog):
    given = {"when": "XNYS close", "mode": "pinned", "retries": 3, "ready_symbols": "AAPL"}
    definition = dialog.define(runtime_environment_parameters=given)
    before = dialog.desk.jobs.get(definition).schedule
    dialog.change(definition, runtime_environment_parameters={"priority": 1})
    kept = dialog.desk.jobs.get(definition).schedule
    assert kept == before.model_copy(update={"policies": Policies(retries=3, priority=1)})


@pytest.mark.parametrize("place", ["gone", "elsewhere"])
def test_the_time_of_a_notebook_that_the_file_browser_does_not_show_can_be_changed(dialog, tmp_path, place):
    path = dialog.root / "notebooks" / "small.ipynb"
    if place == "gone":
        definition = dialog.define(schedule="0 * * * *", runtime_environment_parameters={"mode": "pinned"})
        path.unlink()
    else:
        other = path.rename(tmp_path / "other.ipynb")
        rule = {"name": "daily", "notebook": other, "cron": "0 * * * *"}
        definition = dialog.desk.jobs.add(Schedule.of(rule)).id
    shown = dialog.ask("get_job_definition", definition)
    dialog.change(definition, schedule="5 * * * *", timezone=shown.timezone, input_uri=shown.input_filename)
    assert dialog.desk.jobs.get(definition).schedule.cron == "5 * * * *"


def test_what_a_definition_shows_can_be_sent_back(dialog):
    definition = dialog.define(output_formats=["html"])
    before = dialog.desk.jobs.get(definition).schedule
    shown = dialog.ask("get_job_definition", definition).dict()
    fields = models.UpdateJobDefinition.__fields__.keys() & shown.keys()
    dialog.change(definition, **{name: shown[name] for name in fields})
    assert dialog.desk.jobs.get(definition).schedule == before


def test_the_form_for_a_change_leaves_a_market_trigger_alone(dialog):
    definition = dialog.define(runtime_environment_parameters={"when": "XNYS close"})
    # What the form sends for a definition without a cron line when nothing was touched.
    dialog.change(definition, schedule="* * * * *", timezone="America/New_York", input_uri="notebooks/small.ipynb")
    assert dialog.desk.jobs.get(definition).schedule.market == "XNYS close"
    dialog.change(definition, schedule="5 * * * *", timezone="UTC")
    kept = dialog.desk.jobs.get(definition).schedule
    assert (kept.market, kept.cron) == (None, "5 * * * *")


def test_a_definition_runs_now_with_other_parameters(dialog):
    definition = dialog.define(parameters={"fast": "5"})
    run = dialog.ask("create_job_from_definition", definition, models.CreateJobFromDefinition(parameters={"fast": "7"}))
    shown = dialog.ask("get_job", run)
    assert (shown.job_definition_id, shown.parameters, shown.status) == (definition, {"fast": "7"}, "QUEUED")


def test_each_skipped_run_is_shown_with_its_reason(dialog):
    definition = dialog.define(schedule="0 * * * *", timezone="UTC", runtime_environment_parameters={"window": "2 h"})
    dialog.now += 5 * HOUR
    dialog.ledger.plan()
    jobs = dialog.listed(job_definition_id=definition).jobs
    assert [job.status for job in jobs].count("STOPPED") == 4
    assert {job.status_message for job in jobs if job.status == "STOPPED"} == {
        "skipped: " + str(run.reason) for run in dialog.ledger.runs(states=["skipped"])
    }
    assert all(run.reason for run in dialog.ledger.runs(states=["skipped"]))


def test_a_run_that_ended_shows_why_its_attempts_and_its_files(dialog):
    run = dialog.submit()
    dialog.now += MINUTE
    dialog.finish(run)
    shown = dialog.ask("get_job", run)
    assert (shown.status, shown.status_message) == ("FAILED", "failed: for a reason")
    paths = {each.file_format: each.file_path for each in shown.job_files}
    folder = f"reports/{run}/1"
    assert paths == {
        "input": "notebooks/small.ipynb",
        "ipynb": f"{folder}/small.ipynb",
        "html": f"{folder}/small.html",
        "files": folder,
    }
    assert "1: failed at 2026-01-05 12:01:00 UTC" in shown.runtime_environment_parameters["run_attempts"]
    assert shown.end_time == int(dialog.now.timestamp() * 1000)


def test_deleting_a_run_removes_its_files_and_keeps_its_row(dialog):
    run = dialog.submit()
    dialog.finish(run)
    dialog.ask("delete_job", run)
    assert not (dialog.desk.settings.reports / run).exists()
    assert dialog.listed().jobs == []
    assert dialog.ledger.run(run).state == "failed"


def test_deleting_a_run_that_waits_cancels_it_and_one_at_work_is_refused(dialog):
    waits, works = dialog.submit("waits"), dialog.submit("works")
    [claimed] = [each for each in dialog.claims.claim("a", 9) if each.id == works]
    dialog.claims.start(claimed.id, "a", str(dialog.desk.settings.reports / works / "1"), {}, {})
    said, _ = refused(dialog, "ask", "delete_job", works)
    assert said == "the run of 'works' is at work; stop it first, then delete what it left"
    dialog.claims.release(waits, "a")
    dialog.ask("delete_job", waits)
    assert dialog.ledger.run(waits).state == "cancelled"
    said, _ = refused(dialog, "ask", "stop_job", works[:13])
    assert said.startswith("unknown run")
    dialog.ask("stop_job", works)
    assert dialog.ask("get_job", works).status == "STOPPING"
    assert dialog.ask("count_jobs", models.CountJobsQuery(status="STOPPING")) == 1


def test_pages_of_a_list_hold_each_run_once_in_their_order(dialog):
    for number in range(5):
        dialog.submit(f"job {number}")
        dialog.now += MINUTE
    names, token = [], None
    for _ in range(3):
        page = dialog.listed(max_items=2, next_token=token, sort_by=[{"name": "create_time", "direction": "desc"}])
        names += [job.name for job in page.jobs]
        token = page.next_token
        assert page.total_count == 5
    assert (names, token) == ([f"job {number}" for number in (4, 3, 2, 1, 0)], None)
    assert [job.name for job in dialog.listed(name="job 3").jobs] == ["job 3"]
    assert dialog.listed(status="COMPLETED").jobs == []
    assert len(dialog.listed(status="QUEUED").jobs) == 5


@pytest.mark.parametrize("query", [{"sort_by": [{"name": "job_files", "direction": "asc"}]}, {"next_token": "-1"}])
def test_a_list_that_cannot_be_made_is_refused(dialog, query):
    with pytest.raises(SchedulerError, match=r"choose one of|is none that was given"):
        dialog.listed(**query)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(days=365), "365 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=36), "36 h"),
        (90 * MINUTE, "90 min"),
        (timedelta(seconds=61), "61 s"),
        (timedelta(milliseconds=1500), "1.5 s"),
    ],
)
def test_a_length_of_time_is_told_in_its_largest_whole_unit(span, text):
    assert span_text(span) == text


def test_the_options_of_a_new_schedule_are_the_defaults_that_the_dialog_shows():
    shown = schedule_options(Schedule.of({"name": "n", "notebook": "n.ipynb", "cron": "0 * * * *"}))
    assert {**shown, "ready_deadline": "2 h"} == default_options()
    assert json.loads(json.dumps(shown)) == shown


def test_empty_fields_count_as_not_given():
    options = read_options({"when": "", "ready_symbols": "", "retries": ""}, "us")
    assert (options.market, options.ready, dict(options.policies)) == (None, None, {})
