"""``workbench data fetch`` as a person or a schedule runs it: exit codes, the summary, and an interrupt."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from stranger_provider import asked, install, write_daily, write_entry

from workbench.core.settings import load_settings
from workbench.data.market import open_market

WEEK = {f"2024-07-{day:02}": float(day) for day in (1, 2, 3, 5, 8, 9, 10, 11, 12)}
RANGE = ("--start", "2024-07-01", "--end", "2024-07-12")
PROGRAM = str(Path(sys.executable).with_name("workbench"))
SERVERS = Path(__file__).parents[1] / "servers"


@pytest.fixture
def folder(home, tmp_path, monkeypatch):
    """The stranger's folder; its package is installed, its dataset has an entry."""
    site = install(tmp_path / "site")
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(SERVERS)]))
    monkeypatch.setenv("WORKBENCH_PROVIDERS__STRANGER__FOLDER", str(folder))
    write_entry(home)
    return folder


def command(*words, **environment):
    variables = {**os.environ, **environment}
    return [PROGRAM, "data", "fetch", *map(str, words)], variables


def fetch(*words, **environment):
    words, variables = command(*words, **environment)
    return subprocess.run(words, env=variables, capture_output=True, text=True, timeout=120)


def rows(home):
    return open_market(load_settings(home=home)).store.tables("stranger_1d").bars.history()


def expect_one_sentence(done, code, text):
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1
    assert text in done.stderr


def test_all_arrived_is_0_and_a_second_fetch_asks_for_nothing(home, folder):
    write_daily(folder, "A", WEEK)
    write_daily(folder, "B", WEEK)
    done = fetch("stranger", "A", "B", *RANGE, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert {name: told[name] for name in told if name != "symbols"} == {
        "provider": "stranger",
        "dataset": "stranger_1d",
        "complete": True,
        "added": 18,
        "quarantined": 0,
        "requests": 2,
    }
    assert told["symbols"][1] == {
        "symbol": "B", "state": "arrived", "requests": 1, "bars": 9, "actions": 0, "missing": 0, "error": ""
    }  # fmt: skip
    assert sorted(asked(folder)) == ["history A 2024-07-01 2024-07-12", "history B 2024-07-01 2024-07-12"]
    again = fetch("stranger", "A", "B", *RANGE)
    assert again.returncode == 0
    assert again.stdout.splitlines() == [
        "A          up to date",
        "B          up to date",
        "stranger_1d: 0 bars added, 0 rows kept out",
    ]
    assert asked(folder) == []
    assert len(rows(home)) == 18


def test_a_universe_out_of_a_file(home, folder, tmp_path):
    write_daily(folder, "A", WEEK)
    write_daily(folder, "B", WEEK)
    (tmp_path / "own.csv").write_text("symbol\nA\nB\n")
    done = fetch("stranger", "--universe", tmp_path / "own.csv", *RANGE, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [each["symbol"] for each in json.loads(done.stdout)["symbols"]] == ["A", "B"]


def test_one_symbol_that_did_not_arrive_is_1_and_the_others_are_kept(home, folder):
    write_daily(folder, "A", WEEK)
    write_daily(folder, "DOWN", WEEK)
    done = fetch("stranger", "DOWN", "GONE", "A", *RANGE)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("DOWN       failed      provider 'stranger' answered 503")
    assert lines[1].startswith("GONE       failed      unknown symbol 'GONE'")
    assert lines[2] == "A          arrived     9 bars"
    assert "Traceback" not in done.stderr
    assert len(rows(home)) == 9


def test_a_session_that_is_still_to_come_is_1(home, folder):
    # The clock is the machine's: of the last sessions the source has none.
    today = pd.Timestamp.now("UTC").tz_localize(None).normalize()
    write_daily(folder, "A", WEEK)
    done = fetch("stranger", "A", "--start", f"{today - pd.Timedelta(days=20):%Y-%m-%d}", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["complete"], told["symbols"][0]["state"]) == (False, "incomplete")
    assert told["symbols"][0]["missing"] >= 2


def test_what_broke_a_provider_is_not_printed(folder):
    write_daily(folder, "ODD", WEEK)
    done = fetch("stranger", "ODD", *RANGE)
    assert done.returncode == 1
    assert "broke with ZeroDivisionError; report it to its makers" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("stranger",), "no symbols given; name some, or a --universe"),
        (("strangr", "A"), "unknown provider 'strangr'; nearest known: stranger"),
        (("stranger", "../A"), "'../A' is no symbol"),
        (("stranger", "A", "--start", "soon"), "'soon' is no date"),
        (("stranger", "A", "--start", "2024-07-12", "--end", "2024-07-01"), "reversed"),
        (("stranger", "A", "--start", "2200"), "no session has ended"),
        (("stranger", "A", "--interval", "5m"), "has no bars of '5m'; it has bars of 1d, 1h, 1m"),
        (("stranger", "A", "--dataset", "us_equities"), "holds 1d bars of sample"),
        (("fred", "GDP"), "provider 'fred' has no bars"),
    ],
)
def test_a_users_mistake_is_2_and_one_sentence(home, folder, words, text):
    expect_one_sentence(fetch(*words), 2, text)
    assert not (home / "store" / "stranger_1d").exists()


def test_a_missing_key_is_2_and_says_how_to_give_it(folder):
    done = fetch("alpha_vantage", "IBM", *RANGE, "--json", PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring")
    expect_one_sentence(done, 2, "WORKBENCH_KEYS__ALPHA_VANTAGE")


def test_a_refused_key_is_2_at_once(folder):
    write_daily(folder, "KEY", WEEK)
    expect_one_sentence(fetch("stranger", "KEY", *RANGE, "--json"), 2, "provider 'stranger' refuses its key")


def test_an_interrupt_keeps_what_has_arrived_and_the_next_fetch_goes_on(home, folder):
    names = [f"S{number:02}" for number in range(60)]
    for name in names:
        write_daily(folder, name, WEEK)
    words, variables = command("stranger", *names, *RANGE, WORKBENCH_PROVIDERS__STRANGER__SECONDS="0.1")
    process = subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        notes, patience = folder / "asked.txt", time.monotonic() + 60
        while not notes.exists() or len(notes.read_text().splitlines()) < 20:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < patience
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    finally:
        process.kill()
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert out == ""
    kept = set(rows(home)["symbol"])
    questions = {line.split()[1] for line in asked(folder)}
    # All that were asked for but those under way, eight at most.
    assert kept < questions < set(names)
    assert len(questions - kept) <= 8
    assert len(kept) >= 8

    done = fetch("stranger", *names, *RANGE, "--json")
    assert done.returncode == 0
    assert {line.split()[1] for line in asked(folder)} == set(names) - kept
    every = rows(home)
    assert len(every) == len(names) * len(WEEK)
    assert not every.duplicated(["symbol", "time"]).any()


def test_an_interrupt_before_anything_has_arrived_leaves_nothing(home, folder):
    write_daily(folder, "A", WEEK)
    words, variables = command("stranger", "A", *RANGE, WORKBENCH_PROVIDERS__STRANGER__SECONDS="1.5")
    process = subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not (folder / "asked.txt").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.communicate()
    assert rows(home).empty
    assert fetch("stranger", "A", *RANGE).returncode == 0
    assert len(rows(home)) == 9


def test_the_progress_goes_to_stderr_only(folder):
    write_daily(folder, "A", WEEK)
    done = fetch("stranger", "A", *RANGE)
    assert "stranger_1d" in done.stderr
    assert "1/1" in done.stderr
    assert done.stdout.splitlines()[-1] == "stranger_1d: 9 bars added, 0 rows kept out"


def test_restated_rows_are_learned_with_again(home, folder):
    write_daily(folder, "A", WEEK)
    fetch("stranger", "A", *RANGE)
    write_daily(folder, "A", {**WEEK, "2024-07-03": 3.5})
    done = fetch("stranger", "A", *RANGE, "--again", "--json")
    assert json.loads(done.stdout)["added"] == 1
    assert len(rows(home)) == 10
