"""``workbench schedule`` and ``workbench reports``, with a real service for what they let run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import nbformat
import pandas as pd
import pytest

import workbench as wb
from workbench.cli.printing import print_records
from workbench.jobs.ledger import Ledger

NO_SERVICE = "no service is up; start one: workbench schedule serve (JupyterLab brings one along)\n"
KERNEL = {"name": "trii-workbench", "display_name": "TRII Workbench", "language": "python"}

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def small(tmp_path, home):
    book = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    book.cells = [
        nbformat.v4.new_code_cell("number: int = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print('it is', 12 // number)"),
    ]
    path = tmp_path / "small.ipynb"
    nbformat.write(book, path)
    return path


def test_a_schedule_is_added_listed_paused_resumed_and_removed(command, found, small):
    words = (
        "--name",
        "nightly",
        "--zone",
        "Europe/Berlin",
        "-p",
        "number",
        "3",
        "--retries",
        "2",
        "--time-out",
        "20 min",
    )
    [added] = found("schedule", "add", small, "30 7 * * mon-fri", *words, "--retry-on", "limit", "--pinned")
    assert (added["cron"], added["zone"], added["parameters"]) == ("30 7 * * MON-FRI", "Europe/Berlin", {"number": 3})
    assert (added["policies"]["retries"], added["policies"]["time_out"]) == (2, "PT20M")
    assert (added["mode"], added["policies"]["retry_on"]) == ("pinned", ["limit"])
    [listed] = found("schedule", "list")
    assert (listed["name"], listed["mode"], listed["last"]) == ("nightly", "pinned", None)
    assert datetime.fromisoformat(listed["next"]) > datetime.now(UTC)
    assert "nightly" in command("schedule", "list")[1]
    assert command("schedule", "pause", "nightly")[1].startswith("paused nightly: 30 7 * * MON-FRI Europe/Berlin")
    assert (found("schedule", "list")[0]["active"], found("schedule", "list")[0]["next"]) == (False, None)
    assert found("schedule", "resume", "nightly")[0]["active"]
    assert command("schedule", "remove", "nightly")[0] == 0
    assert command("schedule", "list")[:2] == (0, "no schedules\n")


def test_a_schedule_is_changed_and_what_is_not_said_stays(command, found, small):
    words = ("--zone", "Europe/Berlin", "--name", "nightly", "-p", "number", "3", "--retries", "2", "--pinned")
    [before] = found("schedule", "add", small, "30 7 * * *", *words)
    said = ("--when", "0 8 * * *", "--time-out", "20 min", "--overlap", "queue", "-p", "number", "4")
    [after] = found("schedule", "change", "nightly", *said)
    policies = {**before["policies"], "time_out": "PT20M", "overlap": "queue"}
    assert after == {**before, "cron": "0 8 * * *", "parameters": {"number": 4}, "policies": policies}
    [market] = found("schedule", "change", "nightly", "--when", "XNYS close", "--ready", "AAPL", "--not-pinned")
    assert (market["cron"], market["market"], market["mode"]) == (None, "XNYS close", "now")
    [later] = found("schedule", "change", "nightly", "--deadline", "3 h", "--name", "evening", "-P", "{}")
    assert (later["ready"]["symbols"], later["ready"]["deadline"], later["parameters"]) == (["AAPL"], "PT3H", {})
    assert command("schedule", "change", "evening", "--kernel", "trii-workbench")[1].startswith(
        "changed evening: XNYS close, "
    )
    assert [each["name"] for each in found("schedule", "list")] == ["evening"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "nothing is to be changed of 'nightly'; say what"),
        (("--when", "soon"), "'soon' does not say when"),
        (("--when", "XNYS close", "--zone", "UTC"), "whose exchange has its own"),
        (("--zone", "Mars"), "unknown time zone 'Mars'"),
        (("--retries", "-1"), "retries=-1 of the policies cannot be used; give a whole number from 0 to 10"),
        (("--overlap", "nonsense"), "overlap='nonsense' of the policies cannot be used; choose 'skip', 'queue' or"),
        (("--window", "long"), "window='long' is no length of time; write it as"),
        (("-p", "slow", "1"), "unknown parameter 'slow'"),
        (("--notebook", "gone.ipynb"), "there is no notebook"),
        (("--name", "other"), "there is a schedule named 'other' already"),
        (("--name", "/x"), "name='/x' cannot be used; take 1 to 63 letters"),
        (("--deadline", "1 h"), "symbols of the data to wait for is missing"),
        (("--ready", "AAPL"), "only a market trigger"),
    ],
)
def test_a_change_that_cannot_be_is_refused_in_one_sentence_and_changes_nothing(command, found, small, words, text):
    for name in ("nightly", "other"):
        found("schedule", "add", small, "@daily", "--name", name)
    before = wb.open().jobs.get("nightly")
    code, out, error = command("schedule", "change", "nightly", *words)
    assert (code, out, len(error.splitlines())) == (2, "", 1)
    assert text in error
    assert wb.open().jobs.get("nightly") == before


def test_where_nothing_ran_there_is_nothing_to_list(command, found):
    assert command("schedule", "history") == (0, "no runs\n", "")
    assert command("reports", "list") == (0, "no runs\n", "")
    assert found("schedule", "history") == found("reports", "list") == found("schedule", "list") == []


def test_a_cell_of_a_table_keeps_to_its_line_and_moves_no_cursor(capsys):
    print_records(pd.DataFrame({"state": ["failed"], "reason": ["one\ntwo\x1b[2J"]}), "none")
    assert capsys.readouterr().out == "state   reason\nfailed  one two [2J\n"


@pytest.mark.parametrize(
    ("when", "words", "text"),
    [
        ("tomorrow", (), "'tomorrow' does not say when"),
        ("0 0 31 2 *", (), "never due"),
        ("XNYZ close", (), "unknown calendar 'XNYZ'"),
        ("XNYS close", ("--zone", "UTC"), "whose exchange has its own"),
        ("@daily", ("--zone", "Mars"), "unknown time zone 'Mars'"),
        ("@daily", ("--kernel", "nix"), "unknown kernel 'nix'"),
        ("@daily", ("-p", "import os", "1"), "unknown parameter 'import os'"),
        ("@daily", ("-p", "number", "x"), "parameter 'number'"),
        ("@daily", ("--retries", "99"), "retries=99"),
        ("@daily", ("--time-out", "1 week"), "time_out='1 week'"),
        ("@daily", ("--overlap", "wait"), "overlap='wait'"),
        ("@daily", ("--format", "docx"), "'docx'"),
        ("@daily", ("--name", "/x"), "name='/x'"),
        ("@daily", ("--name", ""), "name=''"),
        ("@daily", ("--name", "../../x"), "take 1 to 63 letters of a to z, digits"),
        ("@daily", ("--ready", "AAPL"), "only a market trigger"),
        ("XNYS close", ("--deadline", "1 h"), "name it with --ready"),
        ("XNYS close", ("--ready", "APPL"), "unknown symbol 'APPL'"),
        ("XNYS close", ("--ready", "AAPL", "--dataset", "nowhere"), "'nowhere'"),
    ],
)
def test_what_could_not_run_is_refused_in_one_sentence(command, small, when, words, text):
    code, out, error = command("schedule", "add", small, when, *words)
    assert (code, out, len(error.splitlines())) == (2, "", 1)
    assert text in error
    assert command("schedule", "list")[1] == "no schedules\n"


def test_names_that_are_not_there_are_told(command):
    for words in (("schedule", "pause", "nix"), ("schedule", "history", "nix"), ("reports", "open", "nix")):
        code, _, error = command(*words)
        assert (code, len(error.splitlines())) == (2, 1)
        assert "'nix'" in error


def test_without_a_service_a_run_waits_and_says_so_and_can_be_cancelled(command, found, small):
    code, out, error = command("schedule", "run-now", small)
    assert (code, error) == (0, NO_SERVICE)
    run = out.split()[1]
    assert command("schedule", "cancel", run[:12], "--reason", "enough")[1] == f"run {run} cancelled\n"
    [kept] = found("schedule", "history")
    assert (kept["id"], kept["state"], kept["reason"]) == (run, "cancelled", "enough")
    assert "enough" in command("schedule", "history")[1]


def test_without_a_service_a_schedule_that_is_due_says_so_and_a_paused_one_need_not(command, small):
    assert command("schedule", "add", small, "@daily", "--name", "nightly")[2] == NO_SERVICE
    assert command("schedule", "list")[2] == NO_SERVICE
    command("schedule", "pause", "nightly")
    assert command("schedule", "list")[2] == ""


def test_removing_a_schedule_says_which_waiting_runs_went_with_it(command, found, small):
    for name in ("one", "two"):
        found("schedule", "add", small, "* * * * *", "--name", name, "--catch-up", "all", "--overlap", "queue")
    bench = wb.open()
    Ledger(bench.records, lambda: datetime.now(UTC) + timedelta(minutes=3, seconds=1)).plan()
    due = {name: {run["id"] for run in found("schedule", "history", name, "--state", "due")} for name in ("one", "two")}
    by_hand = min(due["one"])
    command("schedule", "cancel", by_hand)
    code, out, error = command("schedule", "remove", "one")
    assert (code, error, len(due["one"])) == (0, "", 3)
    removed, cancelled = out.splitlines()
    assert removed.startswith("removed one: * * * * * UTC")
    assert cancelled.startswith("cancelled 2 of its runs")
    assert {run for run in due["one"] if run[:8] in cancelled} == due["one"] - {by_hand}
    [other] = found("schedule", "remove", "two")
    assert (other["name"], {*other["cancelled"]}) == ("two", due["two"])


def test_a_notebook_by_its_path_takes_a_time_out_and_a_schedule_has_its_own(command, found, small):
    assert found("schedule", "run-now", small, "--time-out", "20 min")["policies"]["time_out"] == "PT20M"
    found("schedule", "add", small, "@yearly", "--name", "yearly")
    code, _, error = command("schedule", "run-now", "yearly", "--time-out", "20 min")
    assert (code, "time_out='20 min' does not go with 'yearly'" in error) == (2, True)
    assert command("schedule", "run-now", small, "--time-out", "soon")[0] == 2


def test_a_service_says_that_it_serves(home):
    words = [sys.executable, "-m", "workbench", "schedule", "serve"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=os.environ.copy()) as process:
        first = process.stderr.readline()
        until_served()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    settings = wb.open().settings
    assert first == f"serving {settings.home}: {settings.runs_at_once} runs at once; Ctrl-C ends it, runs go on\n"


def until_served():
    """Wait until a service has registered."""
    jobs, ends = wb.open().jobs, monotonic() + 60
    while not jobs.served():
        assert monotonic() < ends, "no service came up"
        sleep(0.1)


@pytest.fixture
def service(home):
    """A service of its own, which ends when its standard input does."""
    words = [sys.executable, "-m", "workbench", "schedule", "serve", "--until-parent"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=os.environ.copy()) as process:
        until_served()
        yield process
        process.stdin.close()
        assert process.wait(60) == 0


def test_runs_their_history_and_their_reports(command, found, small, service, tmp_path):
    found("schedule", "add", small, "@yearly", "--name", "yearly", "-p", "number", "4")
    one = found("schedule", "run-now", "yearly", "--wait")
    assert (one["state"], one["resolved"], one["kind"]) == ("succeeded", {"number": 4}, "now")
    code, out, _ = command("schedule", "run-now", "yearly", "-p", "number", "0", "--wait")
    assert (code, "failed" in out, "ZeroDivisionError" in out) == (1, True, True)
    other = found("reports", "rerun", one["id"], "-p", "number", "2", "--wait")
    assert (other["kind"], other["state"]) == ("rerun", "succeeded")

    assert [run["state"] for run in found("schedule", "history", "yearly")] == ["succeeded", "failed", "succeeded"]
    [failed] = found("schedule", "history", "--state", "failed", "--attempts")
    assert [each["state"] for each in failed["attempts"]] == ["failed"]
    [alert] = wb.open().alerts.list()
    assert (alert.source, alert.subject) == ("run", "yearly: failed")
    assert "ZeroDivisionError" in alert.text
    [listed] = found("reports", "list", "--notebook", "small", "-p", "number", "2")
    assert listed["id"] == other["id"]
    assert any(path.endswith("small.html") for path in listed["files"])

    page = command("reports", "open", one["id"][:13], "--print")[1].strip()
    assert "it is 3" in Path(page).read_text()
    differing = found("reports", "compare", one["id"], other["id"])
    assert differing["parameters"] == {"number": ["4", "2"]}
    code, out, error = command("reports", "compare", one["id"], other["id"], "--output", tmp_path / "both.html")
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"before  run {one['id'][:8]} of small.ipynb")
    assert "Parameters" in lines
    assert "  number: 4 -> 2" in lines
    assert [line for line in lines if line.startswith(("  -it", "  +it"))] == ["  -it is 3", "  +it is 6"]
    assert lines[-1] == str(tmp_path / "both.html")
    assert "<html" in (tmp_path / "both.html").read_text()
    assert found("reports", "prune", "--dry-run") == {"pruned": [], "dry_run": True}
    assert command("reports", "prune")[1] == "the files of 0 runs are gone\n"


@pytest.fixture
def on_postgres(postgres_server, monkeypatch):
    """The records and the engine's tables on a server."""
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", postgres_server.create_database("commands"))


def test_on_a_server_a_schedule_is_added_run_and_listed(on_postgres, request, command, found, small, home):
    found("schedule", "add", small, "@yearly", "--name", "yearly", "-p", "number", "4")
    assert command("schedule", "list")[2] == NO_SERVICE
    request.getfixturevalue("service")
    found("schedule", "change", "yearly", "-p", "number", "3", "--retries", "1")
    run = found("schedule", "run-now", "yearly", "--wait")
    assert (run["state"], run["resolved"]) == ("succeeded", {"number": 3})
    assert [(each["name"], each["last"]) for each in found("schedule", "list")] == [("yearly", "succeeded")]
    [kept] = found("schedule", "history", "yearly", "--attempts")
    assert (kept["id"], [each["state"] for each in kept["attempts"]]) == (run["id"], ["succeeded"])
    assert "it is 4" in Path(command("reports", "open", run["id"], "--print")[1].strip()).read_text()
    assert [*home.glob("*.sqlite")] == []
