"""``workbench schedule`` and ``workbench reports``, with a real service for what they let run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest

from workbench.cli import main

KERNEL = {"name": "trii-workbench", "display_name": "TRII Workbench", "language": "python"}


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


@pytest.fixture
def command(capsys, home):
    """Run a command in this process; return its exit code, stdout and stderr."""

    def ran(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return ended.value.code, *capsys.readouterr()

    return ran


@pytest.fixture
def found(command):
    """Run a command that must succeed, and read its JSON."""

    def read(*words):
        code, out, error = command(*words, "--json")
        assert (code, error) == (0, "")
        return json.loads(out)

    return read


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
    assert (code, "no service is up" in error) == (0, True)
    run = out.split()[1]
    assert command("schedule", "cancel", run[:12], "--reason", "enough")[1] == f"run {run} cancelled\n"
    [kept] = found("schedule", "history")
    assert (kept["id"], kept["state"], kept["reason"]) == (run, "cancelled", "enough")
    assert "enough" in command("schedule", "history")[1]


@pytest.fixture
def service(home):
    """A service of its own, which ends when its standard input does."""
    words = [sys.executable, "-m", "workbench", "schedule", "serve", "--until-parent"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=os.environ.copy()) as process:
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
    [listed] = found("reports", "list", "--notebook", "small", "-p", "number", "2")
    assert listed["id"] == other["id"]
    assert any(path.endswith("small.html") for path in listed["files"])

    page = command("reports", "open", one["id"][:13], "--print")[1].strip()
    assert "it is 3" in Path(page).read_text()
    differing = found("reports", "compare", one["id"], other["id"])
    assert differing["parameters"] == {"number": ["4", "2"]}
    assert command("reports", "compare", one["id"], other["id"], "--output", tmp_path / "both.html")[0] == 0
    assert "<html" in (tmp_path / "both.html").read_text()
    assert found("reports", "prune", "--dry-run") == {"pruned": [], "dry_run": True}
    assert command("reports", "prune")[1] == "the files of 0 runs are gone\n"
