"""The command line: JSON where it prints a result, one sentence for a mistake, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from workbench.core.files import shipped

STATISTICS = [
    "total_return",
    "annual_return",
    "volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "trades",
    "win_rate",
    "profit_factor",
    "exposure",
    "turnover",
]
SHORT = ["--start", "2010", "--end", "2012"]


@pytest.fixture
def filled(bench, monkeypatch):
    """The home in which the sample is loaded; for commands that only read."""
    bench.bars(["AAPL"])
    monkeypatch.setenv("WORKBENCH_HOME", str(bench.settings.home))
    return bench.settings.home


def process(*words, **environment):
    """Run a command as a person does."""
    program = str(Path(sys.executable).with_name("workbench"))
    return subprocess.run(
        [program, *words], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} if folder.exists() else {}


def expect_one_sentence(error):
    lines = error.strip().splitlines()
    assert len(lines) == 1, error
    assert lines[0].startswith("Error: ")
    assert "unexpected" not in lines[0]
    assert "Traceback" not in error


# ---------------------------------------------------------------- what works


def test_a_backtest_as_a_process_prints_exactly_the_documented_json(filled):
    done = process("backtest", "sma_cross", "AAPL", *SHORT, "-p", "fast", "10", "-p", "slow", "50", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert list(found) == ["statistics", "benchmark", "relative", "trial", "provenance"]
    assert list(found["statistics"]) == list(found["benchmark"]) == STATISTICS
    chosen = found["provenance"]["parameters"]
    assert (chosen["strategy"], chosen["fast"], chosen["slow"]) == ("sma_cross", 10, 50)
    assert found["provenance"]["data"]["symbols"] == ["AAPL"]


def test_the_same_numbers_as_the_bench(filled, bench, command):
    code, out, _ = command("backtest", "macd", "IBM", *SHORT, "--commission", "0.002", "--json")
    assert code == 0
    expected = bench.backtest("macd", ["IBM"], start="2010", end="2012", commission=0.002).statistics
    assert json.loads(out)["statistics"] == pytest.approx(dict(expected))


def test_a_backtest_for_people(filled, command):
    code, out, err = command("backtest", "sma_cross", "AAPL", *SHORT)
    assert (code, err) == (0, "")
    assert out.startswith("sma_cross(fast=20, slow=100) on AAPL, 2010-01-04 to 2012-12-31")
    assert "buy and hold" in out


def test_a_sweep_prints_its_best_points(filled, command):
    grid = ["-p", "fast", "5:15:5", "-p", "slow", "50,100"]
    code, out, _ = command("sweep", "sma_cross", "AAPL", *SHORT, *grid, "--top", 3, "--json")
    points = json.loads(out)
    assert (code, len(points)) == (0, 3)
    assert [point["sharpe"] for point in points] == sorted((point["sharpe"] for point in points), reverse=True)
    assert {(point["fast"], point["slow"]) for point in points} <= {(5, 50), (5, 100), (10, 50), (10, 100)}


def test_the_data_commands(filled, command):
    code, out, _ = command("data", "list", "--json")
    assert code == 0
    assert json.loads(out)["us_equities"]["kind"] == "bars"
    assert "us_equities" in command("data", "list")[1]
    assert command("data", "symbols")[1].split()[0] == "AAPL"
    assert json.loads(command("data", "load", "us_equities", "--json")[1]) == {
        "dataset": "us_equities",
        "bars": 0,
        "actions": 0,
        "quarantined": 0,
    }


def test_every_installed_catalog_is_listed(filled, command):
    found = json.loads(command("data", "list", "--json")[1])
    assert {"us_equities", "yahoo_1d", "files_1d", "fred_series"} <= set(found)
    assert {row["kind"] for row in found.values()} == {"bars", "series", "feed"}
    assert found["us_equities"]["fields"] == "open, high, low, close, volume"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["volatility index"], ["vix"]),
        (["S&P", "--kind", "bars", "--asset-class", "equity"], ["sp500_stocks"]),
        (["--interval", "1q", "--kind", "series"], ["us_macro"]),
        (["--licence", "bsd-3"], ["sp500_stocks", "sp500_index", "factor_etfs"]),
        (["nothing has this"], []),
    ],
)
def test_datasets_are_searched(filled, command, words, found):
    code, out, err = command("data", "search", *words, "--json")
    assert (code, err) == (0, "")
    assert list(json.loads(out)) == found
    listed = command("data", "search", *words)[1]
    assert [line.split()[0] for line in listed.splitlines()[::2]] == found


def test_symbols_as_json(filled, command):
    assert json.loads(command("data", "symbols", "us_equities", "--json")[1]) == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]


HEAD = "Date,Symbol,Open,High,Low,Close,Volume"
OWN = """
2012-11-12,A,10,11,9,10,100
2012-11-13,A,11,12,10,11,0
2012-11-15,A,10,1,9,10,100
2012-11-16,A,20,21,19,20,100
2012-11-17,A,20,21,19,20,100
2012-11-12,B,5,5,5,5,100
2012-11-13,B,6,6,6,6,100
"""
THEIRS = """
2012-11-12,A,10,11,9,10,100
2012-11-13,A,11,12,10,11.0005,7
2012-11-16,A,20,21,15,16,100
2012-11-12,BEE,5,5,5,5,100
2012-11-13,BEE,6,6,6,6,
2012-11-12,ONLY,5,5,5,5,100
"""


@pytest.fixture
def own(home, monkeypatch):
    """A home with the datasets ``own``, which has every fault, and ``theirs``, which differs."""
    folder = home / "catalogs"
    folder.mkdir(parents=True)
    about = {
        "kind": "bars",
        "description": "A small dataset for a test",
        "source": "a test",
        "licence": "none",
        "asset_class": "equity",
        "interval": "1d",
        "currency": "USD",
        "calendar": "XNYS",
        "fields": ["open", "high", "low", "close", "volume"],
        "layout": {"date": "Date", "symbol": "Symbol"},
    }
    catalog = {"version": 2, "entries": {}, "data": {}}
    for name, rows in (("own", OWN), ("theirs", THEIRS)):
        (home / f"{name}.csv").write_text(HEAD + rows)
        catalog["entries"][name] = {
            "reader": "intake.readers.readers:PandasCSV",
            "kwargs": {"args": [f"{{data({name}_file)}}"], "parse_dates": ["Date"]},
            "metadata": about,
        }
        url = str(home / f"{name}.csv")
        catalog["data"][f"{name}_file"] = {"datatype": "intake.readers.datatypes:CSV", "kwargs": {"url": url}}
    (folder / "own.yaml").write_text(yaml.safe_dump(catalog))
    monkeypatch.setenv("WORKBENCH_DATASET", "own")
    return home


def test_a_dataset_is_looked_over(own, command):
    code, out, err = command("data", "check", "own", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [(row["symbol"], row["rule"], row["rows"], str(row["first"])[:10]) for row in found] == [
        ("A", "in quarantine", 1, "2012-11-15"),
        ("A", "in quarantine", 1, "None"),
        ("A", "jump without an action", 1, "2012-11-16"),
        ("A", "missing sessions", 2, "2012-11-14"),
        ("A", "zero volume", 1, "2012-11-13"),
    ]
    told = {row["detail"] for row in found}
    assert {"high below open or close", "+82% on 2012-11-16", "2012-11-14, 2012-11-15"} <= told
    # For people: the settings' dataset is the default.
    assert "missing sessions" in command("data", "check")[1]
    assert command("data", "check", "own", "B") == (0, "nothing odd\n", "")
    assert json.loads(command("data", "check", "own", "B", "--json")[1]) == []


def kept_out(command, *words):
    code, out, err = command("data", "quarantine", "own", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_a_row_that_was_kept_out_is_seen_fixed_and_not_questioned_again(own, command):
    by_reason = {row["reason"]: row for row in kept_out(command)}
    assert list(by_reason) == ["high below open or close", "not in a session of the calendar"]
    row = by_reason["high below open or close"]
    assert (row["symbol"], row["date"], row["high"], row["state"]) == ("A", "2012-11-15", 1, "open")
    assert row["id"] in command("data", "quarantine", "own")[1]

    code, out, err = command("data", "fix", "own", row["id"], "-p", "high", "11", "-p", "volume", "50")
    assert (code, out, err) == (0, "own: 1 bars added\n", "")
    assert [each["id"] for each in kept_out(command, "--state", "fixed")] == [row["id"]]
    command("data", "load", "own")
    assert [each["reason"] for each in kept_out(command)] == ["not in a session of the calendar"]
    found = json.loads(command("data", "check", "own", "A", "--json")[1])
    assert [each["rows"] for each in found if each["rule"] == "missing sessions"] == [1]


def test_a_row_that_was_kept_out_is_accepted(own, command):
    name = kept_out(command)[0]["id"]
    assert command("data", "accept", "own", name) == (0, "own: 1 bars added\n", "")
    assert [row["state"] for row in kept_out(command, "--state", "accepted")] == ["accepted"]
    assert json.loads(command("data", "load", "own", "--json")[1])["quarantined"] == 0


@pytest.mark.parametrize(
    ("words", "named", "remedy"),
    [
        (["accept", "own", "00000000"], "unknown open row '00000000' in the quarantine of 'own'", "nearest known"),
        (["accept", "own", "{no session}"], "can be no bar", "correct it"),
        (["accept", "owm", "00000000"], "unknown bars dataset 'owm'", "own"),
        (["fix", "own", "{high}", "-p", "high", "2"], "still cannot be trusted (high below", "other values"),
        (["fix", "own", "{high}", "-p", "high", "much"], "high='much' is no number", "12.5"),
        (["fix", "own", "{high}", "-p", "hgih", "12"], "'hgih' is no field", "open, high"),
        (["fix", "own", "{high}", "-p", "high", "nan"], "high='nan' is no number", "12.5"),
        (["fix", "own", "{high}", "-p", "high", "11", "-p", "high", "12"], "'high' is given twice", "once"),
        (["quarantine", "own", "--state", "opne"], "unknown state 'opne'", "open"),
        (["quarantine", "vix"], "unknown bars dataset 'vix'", "nearest known"),
        (["check", "own", "C"], "unknown symbol 'C' in dataset 'own'", "nearest known: A, B"),
        (["reconcile", "own", "theirs", "B"], "unknown symbol 'B' in dataset 'theirs'", "nearest known"),
        (["reconcile", "own", "theirs", "A:"], "unknown symbol ''", "nearest known"),
        (["reconcile", "own", "thiers"], "unknown bars dataset 'thiers'", "theirs"),
        (["reconcile", "own", "yahoo_1h"], "'own' has 1d bars and 'yahoo_1h' 1h ones", "compare equal ones"),
        (["reconcile", "own", "sp500_ohlc"], "have no symbol in common", "name pairs, such as"),
        (["reconcile", "own", "theirs", "--tolerance", "-1"], "tolerance=-1.0", "0 or more"),
        (["reconcile", "own", "theirs", "--tolerance", "nan"], "tolerance=nan", "0 or more"),
        (["reconcile", "own", "yahoo_1d"], "has no table to load", "workbench data fetch yahoo SYMBOL"),
        (["load", "yahoo_1d"], "has no table to load", "workbench data fetch yahoo SYMBOL"),
        (["search", "--interval", "1y"], "unknown interval '1y'", "1"),
        (["search", "--kind", "bears"], "unknown kind 'bears'", "bars"),
        (["search", "--asset-class", "shares"], "unknown asset class 'shares'", "nearest known"),
        (["lookup", "yaho", "apple"], "unknown provider 'yaho'", "yahoo"),
    ],
)
def test_a_mistake_about_rows_is_told_in_one_sentence(own, command, words, named, remedy):
    ids = {row["reason"].split()[0]: row["id"] for row in kept_out(command)}
    names = {"{high}": ids["high"], "{no session}": ids["not"]}
    before = kept_out(command)
    code, out, err = command("data", *(names.get(word, word) for word in words))
    assert (code, out) == (2, "")
    expect_one_sentence(err)
    assert named in err
    assert remedy in err.partition(named)[2] + err.partition(named)[0]
    assert kept_out(command) == before


def test_two_datasets_are_compared(own, command):
    code, out, err = command("data", "reconcile", "own", "theirs", "--json")
    assert (code, err) == (0, "")
    found = {(row["symbol"], row["field"]): row for row in json.loads(out)}
    assert list(found) == [("A", name) for name in ("open", "high", "low", "close", "volume")]
    close = found["A", "close"]
    assert (close["common"], close["only_one"], close["only_other"], close["differ"]) == (3, 0, 0, 1)
    assert close["largest"] == pytest.approx(0.25)
    assert close["where"].startswith("2012-11-16")
    assert (found["A", "open"]["differ"], found["A", "open"]["where"]) == (0, None)
    assert found["A", "volume"]["largest"] == -1
    finer = json.loads(command("data", "reconcile", "own", "theirs", "A", "--tolerance", "1e-6", "--json")[1])
    assert [row["differ"] for row in finer if row["field"] == "close"] == [2]


def test_a_symbol_may_have_another_name_there(own, command):
    code, out, _ = command("data", "reconcile", "own", "theirs", "B:BEE", "A", "--json")
    assert code == 0
    found = json.loads(out)
    assert [row["symbol"] for row in found] == ["B"] * 5 + ["A"] * 5
    # What they do not say is told where we say something.
    assert [row["differ"] for row in found[:5]] == [0, 0, 0, 0, 1]


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "workbench", "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("workbench, version ")


# ---------------------------------------------------------------- mistakes

MISTAKES = {
    "unknown symbol": (["backtest", "sma_cross", "APPL"], "unknown symbol 'APPL'", "AAPL"),
    "unknown strategy": (["backtest", "sma_cros", "AAPL"], "unknown strategy 'sma_cros'", "sma_cross"),
    "unknown dataset": (["data", "symbols", "us_equitys"], "unknown bars dataset", "us_equities"),
    "unknown dataset to load": (["data", "load", "us_equitys"], "unknown bars dataset", "us_equities"),
    "series as bars": (["data", "symbols", "us_macro"], "unknown bars dataset 'us_macro'", "nearest known"),
    "empty range": (["backtest", "sma_cross", "AAPL", "--start", "2050"], "no bars", "2013-03-01"),
    "reversed range": (["backtest", "sma_cross", "AAPL", "--start", "2012", "--end", "2010"], "2012", "2010"),
    "no date": (["backtest", "sma_cross", "AAPL", "--start", "soon"], "'soon'", "date"),
    "unknown parameter": (["backtest", "sma_cross", "AAPL", "-p", "fats", "5"], "parameter 'fats'", "fast"),
    "mistyped parameter": (["backtest", "sma_cross", "AAPL", "-p", "fast", "many"], "fast='many'", "integer"),
    "parameter out of range": (["backtest", "sma_cross", "AAPL", "-p", "fast", "0"], "fast='0'", "2"),
    "fast above slow": (["backtest", "sma_cross", "AAPL", "-p", "fast", "200"], "fast must be below slow", "200"),
    "fast equal to slow": (["backtest", "sma_cross", "AAPL", "-p", "fast", "100"], "fast must be below slow", "100"),
    "parameter twice": (["backtest", "macd", "AAPL", "-p", "fast", "5", "-p", "fast", "6"], "given twice", "'fast'"),
    "option as parameter": (["backtest", "macd", "AAPL", "-p", "cash", "5"], "'cash' is an option", "--cash"),
    "unknown adjustment": (["backtest", "macd", "AAPL", "--adjust", "splitz"], "unknown adjustment", "splits"),
    "unknown direction": (["backtest", "macd", "AAPL", "--direction", "up"], "'up'", "long"),
    "unknown fill": (["backtest", "macd", "AAPL", "--fill", "now"], "'now'", "next_open"),
    "negative costs": (["backtest", "macd", "AAPL", "--commission", "-0.1"], "commission", "0.1"),
    "costs that are no number": (["backtest", "macd", "AAPL", "--commission", "nan"], "commission", "nan"),
    "no cash": (["backtest", "macd", "AAPL", "--cash", "0"], "cash", "0"),
    "infinite cash": (["backtest", "macd", "AAPL", "--cash", "inf"], "cash", "inf"),
    "unknown statistic": (["sweep", "macd", "AAPL", "--statistic", "sharp"], "unknown statistic", "sharpe"),
    "broken grid": (["sweep", "sma_cross", "AAPL", "-p", "fast", "5:x"], "'5:x' is no range", "start:stop"),
    "empty grid": (["sweep", "sma_cross", "AAPL", "-p", "fast", "9:5:5"], "fast", "value"),
    "grid of step zero": (["sweep", "sma_cross", "AAPL", "-p", "fast", "5:9:0"], "'5:9:0' is no range", "start:stop"),
    "unknown axis": (["sweep", "sma_cross", "AAPL", "-p", "fats", "5,6"], "parameter 'fats'", "fast"),
    "no notebook": (["run", "nowhere.ipynb"], "there is no notebook", "nowhere.ipynb"),
    "catalog that is not there": (["data", "list", "--catalog", "nowhere.yaml"], "catalog nowhere.yaml", "mend"),
}


@pytest.mark.parametrize(("words", "named", "remedy"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_sentence(filled, command, words, named, remedy):
    before = files(filled)
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    expect_one_sentence(err)
    assert named in err
    assert remedy in err.partition(named)[2] + err.partition(named)[0]
    assert files(filled) == before


@pytest.mark.parametrize("words", [["backtest", "sma_cross"], ["backtset"], ["sweep", "macd", "AAPL", "--top", "0"]])
def test_wrong_usage_is_told_with_code_2(command, words):
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert "Error: " in err
    assert "Traceback" not in err


def test_json_parameters_that_are_no_object_are_refused(filled, command):
    for text in ("[1]", "{", '"x"'):
        code, _, err = command("run", "nowhere.ipynb", "-P", text)
        assert code == 2
        expect_one_sentence(err)
        assert "-P" in err


@pytest.mark.parametrize("place", [0, 1, -1])
def test_debug_shows_the_traceback_wherever_it_stands(filled, command, place):
    words = ["backtest", "sma_cross", "APPL"]
    words.insert(place % 4, "--debug")
    code, _, err = command(*words)
    assert code == 2
    assert "Traceback (most recent call last)" in err
    assert "UnknownNameError" in err
    assert err.strip().splitlines()[-1].startswith("Error: unknown symbol 'APPL'")


def test_a_mistake_as_a_process(filled):
    done = process("backtest", "sma_cross", "APPL")
    assert (done.returncode, done.stdout) == (2, "")
    expect_one_sentence(done.stderr)
    shown = process("--debug", "data", "list", "--catalog", "nowhere.yaml")
    assert shown.returncode == 2
    assert "Traceback" in shown.stderr


# ---------------------------------------------------------------- what cannot be done


@pytest.mark.parametrize("server", ["lab", "apps"])
def test_a_port_in_use_is_told(home, command, server):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = command(server, "--port", port)
    assert (code, out) == (1, "")
    expect_one_sentence(err)
    assert f"port {port}" in err
    assert "--port" in err
    assert not home.exists()


@pytest.mark.parametrize("words", [["data", "symbols"], ["backtest", "macd", "AAPL"], ["lab"], ["apps"]])
def test_a_home_that_is_a_file_is_told(tmp_path, monkeypatch, command, words):
    file = tmp_path / "home"
    file.write_text("mine")
    monkeypatch.setenv("WORKBENCH_HOME", str(file))
    code, out, err = command(*words)
    assert (code, out) == (1, "")
    expect_one_sentence(err)
    assert str(file) in err
    assert "WORKBENCH_HOME" in err
    assert file.read_text() == "mine"


@pytest.mark.parametrize("name", ["WORKBENCH_CASH", "WORKBENCH_COMMISSION", "WORKBENCH_NO_BROWSER"])
def test_a_setting_that_is_not_valid_is_told(home, monkeypatch, command, name):
    monkeypatch.setenv(name, "plenty")
    code, _, err = command("backtest", "macd", "AAPL")
    assert code == 2
    expect_one_sentence(err)
    assert name.removeprefix("WORKBENCH_").lower() in err
    assert "plenty" in err
    assert not home.exists()


def test_a_broken_settings_file_is_told(home, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("workbench.toml").write_text("cash = = 5")
    code, _, err = command("data", "list")
    assert code == 2
    expect_one_sentence(err)
    assert "workbench.toml" in err


def cut_log(table):
    (table / "_delta_log" / f"{0:020}.json").write_text('{"protocol":')


def lose_log(table):
    shutil.rmtree(table / "_delta_log")


def cut_rows(table):
    for path in table.glob("**/*.parquet"):
        path.write_bytes(path.read_bytes()[:100])


def lose_rows(table):
    for path in table.glob("**/*.parquet"):
        path.unlink()


@pytest.mark.parametrize("damage", [cut_log, lose_log, cut_rows, lose_rows])
def test_a_damaged_table_is_told_and_left_as_it_is(filled, home, command, damage):
    shutil.copytree(filled / "store" / "us_equities", home / "store" / "us_equities")
    damage(home / "store" / "us_equities" / "bars")
    before = files(home)
    code, out, err = command("backtest", "macd", "AAPL")
    assert (code, out) == (1, "")
    expect_one_sentence(err)
    assert str(home / "store" / "us_equities" / "bars") in err
    assert files(home) == before


BAD_CATALOGS = {
    "a loader of its own": ("reader: intake.readers.readers:PandasCSV", "reader: os:system", "reader"),
    "a template": ("{data(bokeh_stocks)}", "{env(HOME)}", "template"),
    "data of nowhere": ("{data(bokeh_stocks)}", "{data(nowhere)}", "nowhere"),
    "an unknown key": ("kind: bars", "surprise: 1, kind: bars", "surprise"),
    "an unknown kind": ("kind: bars", "kind: beers", "kind"),
    "another version": ("version: 2", "version: 1", "version"),
    "no YAML": ("version: 2", "version: [2", "cannot be read"),
}


@pytest.fixture
def sample_catalog():
    return shipped("catalogs") / "sample.yaml"


@pytest.mark.parametrize(("good", "bad", "named"), BAD_CATALOGS.values(), ids=BAD_CATALOGS)
def test_a_catalog_with_a_bad_entry_is_told(home, tmp_path, command, sample_catalog, good, bad, named):
    text = sample_catalog.read_text()
    assert good in text
    catalog = tmp_path / "own.yaml"
    catalog.write_text(text.replace(good, bad, 1))
    code, out, err = command("data", "list", "--catalog", catalog)
    assert (code, out) == (2, "")
    expect_one_sentence(err)
    assert str(catalog) in err
    assert named in err
    assert not home.exists()


def test_a_good_catalog_is_listed(home, command, sample_catalog):
    code, out, _ = command("data", "list", "--catalog", sample_catalog)
    assert code == 0
    assert "us_equities" in out


def test_a_bad_catalog_in_the_home_is_told(home, command):
    (home / "catalogs").mkdir(parents=True)
    (home / "catalogs" / "own.yaml").write_text("version: 2\nentries:\n  mine: {reader: 'os:system'}\n")
    code, _, err = command("data", "list")
    assert code == 2
    expect_one_sentence(err)
    assert "own.yaml" in err
    assert "mine" in err
