"""``workbench backtest``, ``validate``, ``signals``, ``trials`` and ``strategies``, and a stranger's strategy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from workbench.bench import Workbench
from workbench.core.settings import load_settings

SPAN = ("--start", "2010", "--end", "2012")
RANGE = {"start": "2010", "end": "2012"}
PROGRAM = str(Path(sys.executable).with_name("workbench"))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A home in which the sample is loaded."""
    place = tmp_path_factory.mktemp("loaded")
    Workbench(load_settings(home=place)).bars("AAPL")
    return place


@pytest.fixture(autouse=True)
def own(home, loaded):
    """A home of our own, whose trials are ours alone, and its bench."""
    shutil.copytree(loaded, home)
    return Workbench(load_settings(home=home))


def expect_one_sentence(done, code, text):
    assert (done[0], done[1]) == (code, "")
    assert done[2].startswith("Error: ")
    assert len(done[2].splitlines()) == 1
    assert text in done[2]
    assert "Traceback" not in done[2]
    assert "unexpected" not in done[2]


# ---------------------------------------------------------------- backtest


TERMS = {
    "commission": (["--commission", "0.004"], {"commission": 0.004}),
    "slippage": (["--slippage", "0.004"], {"slippage": 0.004}),
    "borrow": (["--borrow", "0.2", "--direction", "both"], {"borrow": 0.2, "direction": "both"}),
    "cash": (["--cash", "5000"], {"cash": 5000.0}),
    "fill": (["--fill", "next_close"], {"fill": "next_close"}),
    "size in percent": (["--size", "percent:0.5"], {"size": "percent:0.5"}),
    "size by volatility": (["--size", "volatility:0.15:21"], {"size": "volatility:0.15:21"}),
    "stop loss": (["--stop-loss", "0.04"], {"stop_loss": 0.04}),
    "take profit": (["--take-profit", "0.04"], {"take_profit": 0.04}),
    "trailing stop": (["--trailing-stop", "0.04"], {"trailing_stop": 0.04}),
    "shared": (["--shared"], {"shared": True}),
}


@pytest.fixture(scope="module")
def as_told():
    """What the terms without any option are told as."""
    return {"commission": 0.001, "slippage": 0.0005, "borrow": 0.01, "cash": 100_000.0, "direction": "long"} | {
        "fill": "next_open",
        "size": "all",
        "shared": False,
    }


@pytest.mark.parametrize("name", TERMS)
def test_each_term_reaches_the_account(found, own, as_told, name):
    words, chosen = TERMS[name]
    rule = ("sma_cross", "AAPL", "IBM", *SPAN, "-p", "fast", "10", "-p", "slow", "40")
    told = found("backtest", *rule, *words)
    parameters = told["provenance"]["parameters"]
    assert {each: parameters[each] for each in {**as_told, **chosen}} == {**as_told, **chosen}
    alone = own.backtest("sma_cross", ["AAPL", "IBM"], **RANGE, fast=10, slow=40, **chosen)
    plain = own.backtest("sma_cross", ["AAPL", "IBM"], **RANGE, fast=10, slow=40)
    assert told["statistics"] == alone.to_dict()["statistics"]
    # The term does something: another return, or for the cash another value of the account.
    changed = alone.equity.iloc[-1] if name == "cash" else alone.statistics["total_return"]
    assert changed != (plain.equity.iloc[-1] if name == "cash" else plain.statistics["total_return"])


def test_a_benchmark_of_the_dataset_and_of_another(found, own):
    held = found("backtest", "sma_cross", "AAPL", *SPAN)["benchmark"]
    for name in ("IBM", "sp500_index/SP500"):
        told = found("backtest", "sma_cross", "AAPL", *SPAN, "--benchmark", name)
        expected = own.backtest("sma_cross", "AAPL", **RANGE, benchmark=name).to_dict()
        assert told["benchmark"] == expected["benchmark"] != held
        assert told["relative"] == expected["relative"]


def test_the_trials_of_a_hypothesis_are_counted_from_one_command_to_the_next(found, command):
    assert command("trials") == (0, "no trials yet\n", "")
    assert found("trials") == []
    for number in (1, 2):
        told = found("backtest", "sma_cross", "AAPL", *SPAN, "--hypothesis", "trend of Apple")["trial"]
        assert (told["hypothesis"], told["number"]) == ("trend of Apple", number)
    found("backtest", "macd", "AAPL", *SPAN)
    found(
        "sweep", "sma_cross", "AAPL", *SPAN, "-p", "fast", "5,10", "-p", "slow", "50", "--hypothesis", "trend of Apple"
    )
    table = {row["hypothesis"]: row["trials"] for row in found("trials")}
    assert table == {"trend of Apple": 4, "macd": 1}
    code, out, error = command("trials")
    assert (code, error) == (0, "")
    heading, *rows, unit = out.splitlines()
    assert heading.split() == ["hypothesis", "trials", "measured", "mean_t", "variance_t", "best_t", "first", "last"]
    assert sorted(line.strip().split("  ")[0] for line in rows) == ["macd", "trend of Apple"]
    assert unit == "_t: of the t-statistics, the Sharpe ratio per bar times the square root of its bars"


def test_what_was_known_then_is_what_a_backtest_sees(command, found):
    told = found("backtest", "sma_cross", "AAPL", *SPAN)
    as_of = told["provenance"]["created"]
    assert found("backtest", "sma_cross", "AAPL", *SPAN, "--as-of", as_of)["statistics"] == told["statistics"]
    early = command("backtest", "sma_cross", "AAPL", *SPAN, "--as-of", "1999-01-01")
    expect_one_sentence(early, 2, "1999")


def test_the_check_is_told_beside_the_result(command):
    code, out, error = command("backtest", "sma_cross", "AAPL", *SPAN, "-p", "fast", "10", "--check", "--json")
    assert code == 0
    assert json.loads(out)["provenance"]["parameters"]["fast"] == 10
    assert error.startswith("strategy 'sma_cross' was not seen to look ahead: nothing changed in ")
    assert len(error.splitlines()) == 1


def test_a_report_is_written_where_it_is_asked_for(command, tmp_path):
    words = ("backtest", "sma_cross", "AAPL", *SPAN, "--report")
    code, out, error = command(*words, tmp_path / "one.html")
    assert (code, error) == (0, "")
    assert out.splitlines()[-1] == str(tmp_path / "one.html")
    page = (tmp_path / "one.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html")
    assert "sma_cross" in page
    # With JSON stdout is JSON and nothing else.
    code, out, error = command(*words, tmp_path / "two.html", "--json")
    assert (code, error) == (0, f"{tmp_path / 'two.html'}\n")
    assert json.loads(out)["trial"]["number"] == 2
    assert (tmp_path / "two.html").exists()


def test_a_backtest_for_people_ends_in_its_trial(command):
    code, out, error = command("backtest", "sma_cross", "AAPL", *SPAN, "--stop-loss", "0.1")
    assert (code, error) == (0, "")
    assert out.splitlines()[-1].startswith("trial 1 of this idea; deflated Sharpe ")


# ---------------------------------------------------------------- a stranger's strategy


STRANGER = '''
from typing import Annotated

from pydantic import Field

import workbench as wb


@wb.strategy
def peek(bars, ahead: Annotated[int, Field(ge=0)] = 1):
    """Buy what rises tomorrow."""
    close = bars["close"]
    rise = close.shift(time=-ahead) / close - 1 if ahead else close / close.shift(time=1) - 1
    return wb.make_signals(rise > 0, rise < 0, rise.fillna(0.0))
'''


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A package with a strategy that looks ahead, installed for processes that are started."""
    facts = tmp_path / "site" / "peeker-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: peeker\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[workbench.strategies]\npeek = peeker_strategies:peek\n")
    (tmp_path / "site" / "peeker_strategies.py").write_text(STRANGER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


def process(*words):
    done = subprocess.run([PROGRAM, *words], env=dict(os.environ), capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_a_strategy_that_looks_ahead_is_stopped_by_the_check(home, stranger):
    done = process("backtest", "peek", "AAPL", *SPAN, "--check", "--json")
    expect_one_sentence(done, 1, "strategy 'peek' looks ahead: ")
    # It was stopped before it was tried.
    assert Workbench(load_settings(home=home)).trials.table().empty


def test_the_check_looks_at_the_parameters_that_are_run(home, stranger):
    code, out, error = process("backtest", "peek", "AAPL", *SPAN, "-p", "ahead", "0", "--check", "--json")
    assert code == 0, error
    assert error.startswith("strategy 'peek' was not seen to look ahead")
    assert json.loads(out)["provenance"]["parameters"]["ahead"] == 0


def test_a_strangers_strategy_is_listed_beside_ours(home, stranger):
    code, out, error = process("strategies")
    assert (code, error) == (0, "")
    assert "peek(ahead=1)\n    Buy what rises tomorrow." in out
    assert "sma_cross(" in out


# ---------------------------------------------------------------- validate


GRID = ("-p", "fast", "5:20:5", "-p", "slow", "50,100")


def test_a_validation_as_json_is_that_of_the_bench(found, own):
    told = found("validate", "sma_cross", "AAPL", *SPAN, *GRID, "--commission", "0.002")
    points = {"fast": [5, 10, 15], "slow": [50, 100]}
    asked = {**RANGE, **points, "commission": 0.002, "progress": False}
    # As the first trials of another idea, since these count already.
    expected = own.validate("sma_cross", "AAPL", hypothesis="another", **asked).to_dict()
    assert told == json.loads(json.dumps(expected))
    assert (told["n_points"], told["n_trials"]) == (6, 6)
    assert told["verdict"].startswith("best of 6: Sharpe ")
    assert found("trials")[-1]["trials"] == 6


def test_a_validation_for_people_says_its_verdict(command):
    code, out, _ = command("validate", "sma_cross", "AAPL", *SPAN, *GRID, "--hypothesis", "trend")
    heading, verdict, *lines = out.splitlines()
    assert code == 0
    assert heading.startswith("sma_cross(fast=")
    assert heading.endswith("best of 6 points on 754 bars")
    assert verdict.startswith("best of 6: Sharpe ")
    assert len(lines) == 6


# ---------------------------------------------------------------- signals, strategies


def test_signals_are_those_of_the_bench(found, own):
    words = ("AAPL", "FB", *SPAN, "--strategy", "macd", "--strategy", "momentum")
    told = found("signals", *words)
    expected = own.signals(["AAPL", "FB"], ["macd", "momentum"], **RANGE)
    assert [(row["symbol"], row["strategy"], row["state"], row["reason"]) for row in told] == list(
        expected[["symbol", "strategy", "state", "reason"]].itertuples(index=False, name=None)
    )
    assert len(told) == 4
    last = [pd.Timestamp(row["time"]) for row in told if row["time"]]
    assert set(last) == {pd.Timestamp("2012-12-31 21:00")}


def test_signals_for_people(command):
    code, out, error = command("signals", "AAPL", *SPAN)
    assert (code, error) == (0, "")
    assert out.splitlines()[0].split() == ["date", "symbol", "strategy", "state", "strength", "reason"]
    rows = [line.split()[:3] for line in out.splitlines()[1:]]
    assert {(day, symbol) for day, symbol, _ in rows} == {("2012-12-31", "AAPL")}
    told = {strategy for _, _, strategy in rows}
    assert {"macd", "sma_cross", "volatility_target"} <= told
    # What needs two symbols cannot say anything of one.
    assert "pairs" not in told


def test_signals_as_of_a_moment_before_anything_was_known(command):
    expect_one_sentence(command("signals", "AAPL", "--as-of", "1999-01-01", "--json"), 2, "1999")


def test_a_strategy_tells_its_parameters(command):
    code, out, error = command("strategies", "sma_cross")
    assert (code, error) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines() if line.split()[:1] in (["fast"], ["slow"])}
    assert set(rows) == {"fast", "slow"}
    assert "2 <= value" in rows["fast"]
    listed = command("strategies")[1]
    assert "sma_cross(fast=20, slow=100)\n" in listed
    assert out.splitlines()[0] in listed


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("backtest", "sma_cros", "AAPL"), "unknown strategy 'sma_cros'"),
        (("backtest", "sma_cross", "APPL", *SPAN), "unknown symbol 'APPL'"),
        (("backtest", "sma_cross", "AAPL", "-p", "fats", "5"), "unknown parameter 'fats'"),
        (("backtest", "sma_cross", "AAPL", "-p", "fast", "much"), "fast='much' is not valid"),
        (("backtest", "sma_cross", "AAPL", "-p", "fast", "200"), "fast must be below slow"),
        (("backtest", "sma_cross", "AAPL", "-p", "fast", "5", "-p", "fast", "6"), "'fast' is given twice"),
        (("backtest", "sma_cross", "AAPL", "-p", "stop_loss", "0.1"), "write --stop-loss 0.1"),
        (("backtest", "sma_cross", "AAPL", "-p", "hypothesis", "mine"), "write --hypothesis mine"),
        (("backtest", "sma_cross", "AAPL", "--commission", "2"), "commission=2.0 is out of range"),
        (("backtest", "sma_cross", "AAPL", "--borrow", "-1"), "borrow=-1.0 is out of range"),
        (("backtest", "sma_cross", "AAPL", "--cash", "0"), "cash=0.0 must be positive"),
        (("backtest", "sma_cross", "AAPL", "--size", "half"), "unknown sizing 'half'"),
        (("backtest", "sma_cross", "AAPL", "--size", "percent:2"), "out of range"),
        (("backtest", "sma_cross", "AAPL", "--size", "percent:x"), "has no number"),
        (("backtest", "sma_cross", "AAPL", "--stop-loss", "1"), "loss=1.0 is out of range"),
        (("backtest", "sma_cross", "AAPL", "--trailing-stop", "nan"), "trailing=nan is out of range"),
        (("backtest", "sma_cross", "AAPL", "--stop-loss", "0.1", "--trailing-stop", "0.1"), "do not go together"),
        (("backtest", "sma_cross", "AAPL", "--direction", "short"), "unknown direction 'short'"),
        (("backtest", "sma_cross", "AAPL", "--fill", "now"), "unknown fill 'now'"),
        (("backtest", "sma_cross", "AAPL", "--benchmark", "SPX"), "unknown symbol 'SPX'"),
        (("backtest", "sma_cross", "AAPL", "--benchmark", "nowhere/SPX"), "unknown bars dataset 'nowhere'"),
        (("backtest", "sma_cross", "AAPL", "--hypothesis", " "), "is no name of an idea"),
        (("backtest", "sma_cross", "AAPL", "--hypothesis", "x" * 201), "is no name of an idea"),
        (("backtest", "sma_cross", "AAPL", "--as-of", "yesterdy"), "yesterdy"),
        (("backtest", "sma_cross", "AAPL", "--adjust", "some"), "'some'"),
        (("backtest", "sma_cross", "AAPL", "--start", "2012", "--end", "2010"), "2012"),
        (("backtest", "sma_cross", "MTUM", "--dataset", "factor_etfs"), "next_close"),
        (("backtest", "pairs", "AAPL"), "needs 2 symbols"),
        (("validate", "sma_cross", "AAPL", *SPAN, "-p", "fast", "5", "-p", "slow", "50"), "at least 2 points"),
        (("validate", "sma_cross", "AAPL", "-p", "fast", "5:x"), "'5:x' is no range"),
        (("validate", "sma_cross", "AAPL", "-p", "fast", "5:20:0"), "'5:20:0' is no range"),
        (("validate", "sma_cross", "AAPL", "-p", "fast", ","), "no values for 'fast'"),
        (("validate", "sma_cross", "AAPL", "-p", "fats", "5,6"), "unknown parameter 'fats'"),
        (("sweep", "sma_cross", "AAPL", "-p", "fast", "5,6", "--statistic", "sharp"), "unknown statistic 'sharp'"),
        (("signals", "APPL"), "unknown symbol 'APPL'"),
        (("signals", "AAPL", "--strategy", "macdd"), "unknown strategy 'macdd'"),
        (("signals", "AAPL", "--strategy", "pairs"), "needs 2 symbols"),
        (("strategies", "macdd"), "unknown strategy 'macdd'"),
    ],
    ids=lambda given: " ".join(given)[:60] if isinstance(given, tuple) else "",
)
def test_a_mistake_is_told_in_one_sentence(command, words, text):
    expect_one_sentence(command(*words), 2, text)


def test_a_mistake_is_counted_as_no_trial(command, own):
    command("backtest", "sma_cross", "AAPL", "-p", "fast", "200")
    command("backtest", "pairs", "AAPL")
    command("validate", "sma_cross", "AAPL", *SPAN, "-p", "fast", "5", "-p", "slow", "50")
    assert own.trials.table().empty


def test_a_report_that_cannot_be_written_is_told(command, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, _, error = command("backtest", "sma_cross", "AAPL", *SPAN, "--report", tmp_path / "file" / "one.html")
    assert code in (1, 2)
    assert len(error.splitlines()) == 1
    assert "unexpected" not in error
    assert str(tmp_path / "file") in error
