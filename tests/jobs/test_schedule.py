"""What is refused when a schedule is saved, with the reason, and the form in which it is kept."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from workbench.core.errors import InputError, ParameterError, UnknownNameError, WorkbenchError
from workbench.jobs.schedule import Job, Policies, Ready, Schedule, check
from workbench.jobs.source import parse_notebook, sha256_of

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
CELL = 'symbols: list[str] = ["AAPL"]\nfast: int = 20\nday: str = ""\n'


def schedule(**values):
    rule = {} if "market" in values else {"cron": "30 16 * * 1-5"}
    return Schedule.of({"name": "daily", "notebook": "small.ipynb", **rule, **values})


@pytest.fixture
def folder(notebook):
    return notebook("1", parameters=CELL).parent


def checked(folder, **values):
    return check(schedule(**values), folder, NOW)


def test_a_sound_one_is_kept_in_its_normal_form(folder):
    found, _ = checked(folder, cron=" 30  16 * * mon-fri ", zone="America/New_York", parameters={"symbols": "A,B"})
    assert (found.cron, found.zone) == ("30 16 * * MON-FRI", "America/New_York")
    assert found.notebook == (folder / "small.ipynb").resolve()
    assert found.parameters == {"symbols": ["A", "B"]}
    assert found.when == "30 16 * * MON-FRI America/New_York"
    assert check(found, folder / "elsewhere", NOW)[0] == found
    assert Schedule.model_validate_json(found.model_dump_json()) == found


def test_a_market_trigger_has_the_zone_of_its_exchange(folder):
    found, _ = checked(folder, market="XNYS  close + 20 min", ready={"dataset": "us", "symbols": ["AAPL"]})
    assert found.zone == "America/New_York"
    assert found.market == found.when == "XNYS close + 20 min"
    # 2026-01-05 was a Monday with a usual session: 16:00 in New York is 21:00 UTC.
    assert list(found.dues(NOW, NOW + timedelta(days=1))) == [datetime(2026, 1, 5, 21, 20, tzinfo=UTC)]


def test_a_pinned_one_keeps_the_text_and_its_sha256(folder):
    path = folder / "small.ipynb"
    found, text = checked(folder, mode="pinned")
    assert text == path.read_text()
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == sha256_of(text)
    path.unlink()
    again, kept = check(found.model_copy(update={"name": "other"}), folder, NOW, pinned=text)
    assert (again.sha256, kept) == (found.sha256, text)


def test_one_that_runs_the_notebook_as_it_is_then_keeps_no_sha256(folder):
    assert checked(folder)[0].sha256 is None


def test_a_job_without_due_times_is_checked_in_the_same_way(folder):
    found, _ = check(Job.of({"name": "a", "notebook": "small.ipynb", "parameters": {"fast": "5"}}), folder, NOW)
    assert found.parameters == {"fast": 5}
    with pytest.raises(UnknownNameError):
        check(found.model_copy(update={"parameters": {"slow": 5}}), folder, NOW)


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"notebook": "missing.ipynb"}, InputError, "there is no notebook .*missing.ipynb; give"),
        ({"notebook": "."}, InputError, "there is no notebook"),
        ({"kernel": "cobol"}, UnknownNameError, "unknown kernel 'cobol'"),
        ({"cron": "0 0 31 2 *"}, ParameterError, "31"),
        ({"cron": "0 0 * * * *"}, ParameterError, "0 0 [*]"),
        ({"cron": "61 0 * * *"}, ParameterError, "61"),
        ({"cron": "every day"}, ParameterError, "every day"),
        ({"zone": "Mars/Olympus"}, UnknownNameError, "Mars/Olympus"),
        ({"zone": "../../etc/passwd"}, UnknownNameError, "etc/passwd"),
        ({"market": "XXXX close + 20 min"}, UnknownNameError, "XXXX"),
        ({"market": "XNYS close + soon"}, ParameterError, "soon"),
        ({"parameters": {"slow": 5}}, UnknownNameError, "unknown parameter 'slow'"),
        ({"parameters": {"fast = 1; import os": 5}}, UnknownNameError, "import os"),
        ({"parameters": {"fast\nimport os": 5}}, UnknownNameError, "import os"),
        ({"parameters": {"fast": "many"}}, ParameterError, "'fast' of small.ipynb is a int, not 'many'"),
        ({"parameters": {"day": "last_sesion"}}, ParameterError, "last_sesion"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_reason(folder, values, error, said):
    with pytest.raises(error, match=said) as told:
        checked(folder, **values)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": ""}, "name=''"),
        ({"name": "../up"}, "name='../up'"),
        ({"name": "a" * 64}, "name="),
        ({"mode": "later"}, "mode='later'"),
        ({"formats": []}, "formats="),
        ({"formats": ["docx"]}, "docx"),
        ({"cron": None}, "either a cron line or a market trigger"),
        ({"cron": "0 0 * * *", "market": "XNYS close + 20 min"}, "either a cron line or a market trigger"),
        ({"ready": {"dataset": "us", "symbols": ["A"]}}, "only a market trigger"),
        ({"market": "XNYS close + 20 min", "ready": {"dataset": "us", "symbols": []}}, "symbols"),
        ({"parameters": {"level": float("nan")}}, "finite"),
        ({"parameters": {"when": datetime(2026, 1, 5)}}, "JSON"),
        ({"colour": "blue"}, "colour='blue'"),
        ({"policies": {"catch_up": "some"}}, "policies.catch_up='some'"),
        ({"policies": {"overlap": "both"}}, "policies.overlap='both'"),
        ({"policies": {"retries": 11}}, "policies.retries=11"),
        ({"policies": {"retries": -1}}, "policies.retries=-1"),
        ({"policies": {"retries": True}}, "policies.retries=True"),
        ({"policies": {"retry_on": ["succeeded"]}}, "succeeded"),
        ({"policies": {"back_off": 0}}, "policies.back_off=0 s"),
        ({"policies": {"time_out": timedelta(days=8)}}, "policies.time_out"),
        ({"policies": {"window": timedelta(days=32)}}, "policies.window"),
        ({"policies": {"window": 0}}, "policies.window=0 s"),
        ({"policies": {"priority": 10}}, "policies.priority=10"),
        ({"policies": {"keep": 0}}, "policies.keep=0"),
        ({"policies": {"keep_for": 60}}, "policies.keep_for=1 min"),
        ({"policies": {"limit": 3}}, "policies.limit=3"),
    ],
)
def test_values_out_of_range_are_refused_with_name_and_value(values, said):
    with pytest.raises(ParameterError) as told:
        schedule(**values)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_text_that_is_no_notebook_and_one_without_a_kernel_are_refused(folder, tmp_path):
    for text in ("", "{}", "[]", "null", '{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}'):
        with pytest.raises(InputError, match="is no notebook"):
            parse_notebook(text, tmp_path / "a.ipynb")
    (folder / "bytes.ipynb").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot read"):
        checked(folder, notebook="bytes.ipynb")
    (folder / "bare.ipynb").write_text('{"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}')
    with pytest.raises(InputError, match="names no kernel"):
        checked(folder, notebook="bare.ipynb")


def test_nothing_of_the_notebook_is_run_when_it_is_checked(notebook, tmp_path):
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')"
    path = notebook(trap, parameters=f"fast: int = 20\n{trap}")
    checked(path.parent, parameters={"fast": 3})
    assert not (tmp_path / "ran").exists()


def test_a_schedule_and_its_policies_cannot_be_changed():
    for held in (schedule(), Policies(), Ready(dataset="us", symbols=("A",))):
        with pytest.raises(ValueError, match="frozen"):
            setattr(held, next(iter(type(held).model_fields)), None)


def test_every_refusal_is_one_of_the_workbench(folder):
    with pytest.raises(WorkbenchError) as told:
        checked(folder, cron="* *")
    assert told.value.exit_code == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"overlap": "nonsense"},
            "overlap='nonsense' of the policies cannot be used; choose 'skip', 'queue' or 'cancel'",
        ),
        ({"retries": -1}, "retries=-1 of the policies cannot be used; give a whole number from 0 to 10"),
        ({"retries": 2.5}, "retries=2.5 of the policies cannot be used; give a whole number from 0 to 10"),
        ({"time_out": timedelta(days=8)}, "time_out=8 days of the policies cannot be used; give 7 days at most"),
        ({"back_off": timedelta(0)}, "back_off=0 s of the policies cannot be used; give 1 second or more"),
        ({"window": timedelta(0)}, "window=0 s of the policies cannot be used; give more than 0 seconds"),
        ({"retry_on": ["limits"]}, "retry_on='limits' of the policies cannot be used; choose 'failed', 'timed out', "),
        ({"retry_on": "failed"}, "retry_on='failed' of the policies cannot be used; give a list"),
        ({"timeout": 5}, "timeout=5 of the policies is not known; nearest known: time_out"),
    ],
)
def test_a_policy_that_cannot_be_is_told_in_one_sentence_with_what_can(values, said):
    with pytest.raises(ParameterError) as told:
        Policies.of(values)
    assert str(told.value).startswith(said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "/x"}, "name='/x' of the schedule cannot be used; take 1 to 63 letters of a to z, digits"),
        ({"name": None}, "name=None of the schedule cannot be used; give a text"),
        ({"formats": []}, "formats=[] of the schedule cannot be used; give at least one"),
        ({"active": "maybe"}, "active='maybe' of the schedule cannot be used; give true or false"),
        ({"notebook": 3}, "notebook=3 of the schedule cannot be used; give a path"),
        ({"parameters": {"day": NOW}}, "parameters.day=datetime.datetime(2026, 1, 5, 12, 0, tzinfo=datetime"),
        ({"parameters": {"fast": float("inf")}}, "parameters.fast=inf of the schedule cannot be used; give a finite"),
        (
            {"ready": {"dataset": "", "symbols": ["A"]}},
            "ready.dataset='' of the schedule cannot be used; write something",
        ),
    ],
)
def test_a_value_that_cannot_be_is_told_in_one_sentence(values, said):
    with pytest.raises(ParameterError) as told:
        schedule(**values)
    assert str(told.value).startswith(said)
    with pytest.raises(ParameterError) as told:
        Schedule.of({"name": "daily", "cron": "@daily"})
    assert str(told.value) == "notebook of the schedule is missing; give it"
