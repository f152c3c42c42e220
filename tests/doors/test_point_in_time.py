"""From a restated price to the results that it touches, through the bench, the command line and a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from workbench.bench import Workbench
from workbench.core.settings import load_settings

SPAN = {"start": "2012-06", "end": "2012-12"}
METADATA = {"kernelspec": {"name": "trii-workbench", "display_name": "TRII Workbench", "language": "python"}}


class Clock:
    """A clock that a test puts forward."""

    def __init__(self):
        self.now = datetime(2026, 1, 5, 12, tzinfo=UTC)

    def __call__(self):
        return self.now

    def later(self, **span):
        self.now += timedelta(**span)
        return self.now


@pytest.fixture
def prices(bench):
    """Apple's own bars of half a year, by day."""
    frame = bench.bars("AAPL", adjust="none", **SPAN).sel(symbol="AAPL", drop=True).to_dataframe()
    return frame.set_axis(pd.DatetimeIndex(frame.index.normalize(), name="date"))


@pytest.fixture
def folder(tmp_path, home, monkeypatch):
    """The files of a source, which a test may restate."""
    place = tmp_path / "files"
    place.mkdir()
    monkeypatch.setenv("WORKBENCH_PROVIDERS__FILES__FOLDER", str(place))
    return place


@pytest.fixture
def own(folder, prices):
    """A bench of our own over these files, with a clock, and Apple fetched."""
    prices.to_csv(folder / "AAPL.csv")
    clock = Clock()
    opened = Workbench(load_settings(), clock)
    assert opened.fetch("files", "AAPL", progress=False, **SPAN).complete
    return opened


def restate(own, folder, prices, day="2012-10-05", by=10.0):
    changed = prices.copy()
    changed.loc[day, ["close", "high"]] += by
    changed.to_csv(folder / "AAPL.csv")
    own.clock.later(days=1)
    return own.fetch("files", "AAPL", again=True, progress=False, **SPAN)


def test_a_restated_close_is_kept_beside_the_old_one_and_listed(own, folder, prices):
    before = own.bars("AAPL", dataset="files_1d", adjust="none")
    first = own.clock()
    assert restate(own, folder, prices).added == 1
    found = own.revisions("AAPL", dataset="files_1d")
    assert found[["table", "symbol", "field"]].to_numpy().tolist() == [
        ["bars", "AAPL", "high"],
        ["bars", "AAPL", "close"],
    ]
    close = found.iloc[1]
    assert close["new"] - close["old"] == pytest.approx(10)
    assert close["change"] == pytest.approx(close["new"] / close["old"] - 1)
    assert (close["learned_before"], close["learned"]) == (pd.Timestamp(first), pd.Timestamp(own.clock()))
    then = own.bars("AAPL", dataset="files_1d", adjust="none", as_of=first)
    assert then.drop_attrs().equals(before.drop_attrs())
    now = own.bars("AAPL", dataset="files_1d", adjust="none")
    assert float((now["close"] - then["close"]).sum()) == pytest.approx(10)


def test_only_the_results_that_used_the_row_are_touched(own, folder, prices):
    own.backtest("sma_cross", "AAPL", dataset="files_1d", fast=5, slow=20)
    own.backtest("sma_cross", "AAPL", dataset="files_1d", end="2012-09", fast=5, slow=20)
    own.sweep("sma_cross", "AAPL", dataset="files_1d", fast=[5, 6], slow=[20], progress=False)
    own.backtest("sma_cross", "AAPL", fast=5, slow=20)
    assert own.impact().empty
    restate(own, folder, prices)
    own.clock.later(minutes=1)
    own.backtest("sma_cross", "AAPL", dataset="files_1d", fast=7, slow=20)
    found = own.impact()
    assert found["kind"].tolist() == ["backtest", "sweep"]
    assert found["name"].tolist() == ["sma_cross(fast=5, slow=20)", "sma_cross(fast=2 values, slow=[20])"]
    assert found["restated"].tolist() == [1, 1]
    assert found["largest_change"].tolist() == [pytest.approx(10 / prices.loc["2012-10-05", "close"])] * 2
    assert own.impact("us_equities").empty


def test_a_row_that_arrives_late_touches_what_was_made_without_it(own, folder, prices):
    prices.drop(index=pd.Timestamp("2012-10-05")).to_csv(folder / "B.csv")
    own.fetch("files", "B", progress=False, **SPAN)
    own.backtest("sma_cross", "B", dataset="files_1d", fast=5, slow=20)
    prices.to_csv(folder / "B.csv")
    own.clock.later(days=1)
    own.fetch("files", "B", again=True, progress=False, **SPAN)
    assert own.impact()[["symbol", "restated", "late"]].to_numpy().tolist() == [["B", 0, 1]]


def test_a_run_is_listed_with_its_executed_notebook(own, folder, prices, tmp_path):
    code = "import workbench as wb\nclose = wb.open().bars('AAPL', dataset='files_1d')['close']"
    notebook = nbformat.v4.new_notebook(metadata=METADATA, cells=[nbformat.v4.new_code_cell(code)])
    nbformat.write(notebook, tmp_path / "small.ipynb")
    done = own.run(tmp_path / "small.ipynb", output=tmp_path / "out", progress=False)
    restate(own, folder, prices)
    found = own.impact()
    assert found["kind"].tolist() == ["run"]
    assert found["name"].tolist() == [done.executed.stem]
    assert [Path(use.link) for use in own.uses.list()] == [done.executed]


def test_a_universe_of_the_past_has_the_members_of_the_past(own, tmp_path):
    (tmp_path / "members.csv").write_text("symbol,start,end\nAAPL,2005-01-01,\nIBM,2000-01-01,2010-12-31\n")
    own.market.universes.load("demo", tmp_path / "members.csv")
    assert own.universe("demo", as_of="2008") == ["AAPL", "IBM"]
    assert own.universe("demo", as_of="2010-12-31") == ["AAPL", "IBM"]
    assert own.universe("demo", as_of="2011-01-01") == own.universe("demo") == ["AAPL"]


def test_the_commands_tell_the_same(own, folder, prices, command, tmp_path):
    own.backtest("sma_cross", "AAPL", dataset="files_1d", fast=5, slow=20)
    code, out, _ = command("data", "impact")
    assert (code, out) == (0, "no result is touched\n")
    restate(own, folder, prices)
    code, out, _ = command("data", "revisions", "AAPL", "--dataset", "files_1d", "--json")
    assert (code, [row["field"] for row in json.loads(out)]) == (0, ["high", "close"])
    code, out, _ = command("data", "impact", "--json")
    assert (code, [row["name"] for row in json.loads(out)]) == (0, ["sma_cross(fast=5, slow=20)"])
    (tmp_path / "members.csv").write_text("symbol,start,end\nAAPL,2005-01-01,\n")
    code, out, _ = command("data", "universe", "load", "demo", tmp_path / "members.csv")
    assert (code, out) == (0, "demo: 1 memberships, 1 of them new or changed, 0 withdrawn\n")
    assert command("data", "universe", "show", "demo", "--as-of", "2008")[:2] == (0, "AAPL\n")
    assert command("data", "fetch", "files", "--universe", "demo", "--start", "2012-06", "--end", "2012-12")[0] == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("universe", "show", "nobody"), "unknown universe 'nobody'"),
        (("universe", "load", "demo", "/nowhere.csv"), "/nowhere.csv"),
        (("revisions", "NOPE"), "unknown symbol 'NOPE'"),
        (("quote", "twelve_data", "AAPL"), "WORKBENCH_KEYS__TWELVE_DATA"),
        (("quote", "fred", "AAPL"), "has no quotes"),
        (("lookup", "nobody", "AAPL"), "unknown provider 'nobody'"),
        (("fetch", "files", "../AAPL"), "is no symbol"),
        (("fetch", "fred", "GDP"), "no bars"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(home, command, words, text):
    code, out, err = command("data", *words)
    assert (code, out) == (2, "")
    assert text in err
    assert len(err.splitlines()) == 1


def test_providers_are_listed_with_what_they_offer_and_whether_the_key_is_there(home, command, monkeypatch):
    monkeypatch.setenv("WORKBENCH_KEYS__FRED", "not-for-anyone")
    code, out, _ = command("data", "providers", "--json")
    table = json.loads(out)
    assert code == 0
    assert "not-for-anyone" not in out
    assert (table["fred"]["key"], table["twelve_data"]["key"], table["yahoo"]["key"]) == ("there", "missing", "")
    assert {"alpha_vantage", "files", "gdelt", "sample", "world_bank"} < set(table)
    assert "history" in table["yahoo"]["offers"]


def test_symbols_are_looked_up_at_a_provider(home, folder, prices, command):
    prices.to_csv(folder / "AAPL.csv")
    code, out, _ = command("data", "lookup", "files", "aap", "--json")
    assert (code, [row["symbol"] for row in json.loads(out)]) == (0, ["AAPL"])
