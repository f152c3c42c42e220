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

from workbench.cli import main
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


@pytest.fixture
def command(capsys):
    """Run a command in this process; return its exit code, stdout and stderr."""

    def ran(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return ended.value.code, *capsys.readouterr()

    return ran


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
    assert list(found) == ["statistics", "benchmark", "provenance"]
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
    (path,) = shipped("catalogs").glob("*.yaml")
    return path


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
