from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.analytics.signals import crossed_above, make_signals
from workbench.backtest.diff import diff
from workbench.backtest.run import backtest
from workbench.backtest.statistics import NAMES
from workbench.backtest.strategies.outside import signals_from
from workbench.backtest.strategy import find_strategy, strategy
from workbench.backtest.terms import Terms


@pytest.fixture(scope="module")
def run(bench):
    """Run a backtest of Bars or of Apple since 2008."""

    def ran(name="sma_cross", bars=None, since=None, terms=None, **parameters):
        chosen = bench.bars(["AAPL"], start="2008") if bars is None else bars
        agreed = Terms.agreed(bench.settings, **(terms or {}))
        return backtest(chosen, find_strategy(name), parameters, agreed, created=bench.clock(), since=since)

    return ran


@pytest.fixture(scope="module")
def plain(run):
    return run()


def rows(found, section):
    own = found.changes[found.changes["section"] == section]
    return {row.what: (row.a, row.b) for row in own.itertuples()}


def test_nothing_changed_is_said(run, plain):
    found = diff(plain, run())
    assert found.sections == []
    assert "data, code, parameters and terms are the same" in repr(found)
    assert "the numbers are not" not in repr(found)
    assert (found.figures["change"] == 0).all()
    assert found.effects.empty
    assert "are the same" in found._repr_html_()


def test_a_changed_parameter_is_all_that_changed(run, plain):
    other = run(fast=30)
    found = diff(plain, other)
    assert found.sections == ["parameters"]
    assert rows(found, "parameters") == {"fast": (20, 30)}
    assert list(found.effects) == ["parameters"]
    expected = {name: other.statistics[name] - plain.statistics[name] for name in NAMES}
    assert found.figures["change"].to_dict() == pytest.approx(expected)
    assert found.effects["parameters"].to_dict() == pytest.approx(expected)


def test_costs_are_told_from_the_rest(run, plain):
    found = diff(plain, run(terms={"commission": 0.0, "direction": "both"}))
    assert rows(found, "terms") == {"commission": (0.001, 0.0), "direction": ("long", "both")}
    assert found.sections == ["terms"]


def test_the_effects_of_several_changes_add_up_and_each_is_what_its_step_does(bench, run, plain):
    bars = bench.bars(["AAPL"], start="2009")
    found = diff(plain, run(bars=bars, fast=30, terms={"commission": 0.01}))
    assert list(found.effects) == ["data", "parameters", "terms"]
    # Since 2009 there is no loss: on the way the profit factor is infinite.
    finite = [name for name in NAMES if name != "profit_factor"]
    total = found.effects.loc[finite].sum(axis=1, skipna=False)
    np.testing.assert_allclose(total, found.figures["change"][finite], rtol=1e-9, atol=1e-12)
    steps = [plain, run(bars=bars), run(bars=bars, fast=30), run(bars=bars, fast=30, terms={"commission": 0.01})]
    for name, before, after in zip(found.effects, steps, steps[1:], strict=False):
        moved = after.statistics["total_return"] - before.statistics["total_return"]
        assert found.effects.loc["total_return", name] == pytest.approx(moved)
    assert found.effects.loc["total_return", "terms"] < 0


def test_a_restated_price_is_found_and_its_effect_told(run, plain):
    bars = plain.bars.copy(deep=True)
    time = bars.indexes["time"][500]
    before = float(bars["close"].sel(time=time, symbol="AAPL"))
    bars["close"].loc[{"time": time, "symbol": "AAPL"}] = before * 0.5
    bars["low"].loc[{"time": time, "symbol": "AAPL"}] = before * 0.5
    bars.attrs["version"] = "us_equities@2.1"
    found = diff(plain, run(bars=bars))
    (what,) = (what for what in rows(found, "data") if "values" in what)
    # Fields are told in the order of Bars: low stands before close.
    assert what == f"2 values of the same bars, first low of AAPL on {time:%Y-%m-%d}"
    assert rows(found, "data")[what][1] == pytest.approx(before * 0.5)
    assert rows(found, "data")["version"] == (plain.provenance.data["version"], "us_equities@2.1")
    assert found.effects.loc["max_drawdown", "data"] < 0


def test_other_symbols_and_another_adjustment_are_data(bench, run, plain):
    found = diff(plain, run(bars=bench.bars(["AAPL", "IBM"], start="2008", adjust="splits")))
    told = rows(found, "data")
    assert told["symbols"] == (["AAPL"], ["AAPL", "IBM"])
    assert told["adjustment"] == ("all", "splits")
    assert found.sections == ["data"]


def momentum_of(window, sign):
    def rule(bars, length: int = window):
        """Follow the last days."""
        move = sign * (bars["close"] - bars["close"].shift(time=length))
        zero = move.copy(data=np.zeros(move.shape)).where(move.notnull())
        return make_signals(crossed_above(move, zero), crossed_above(zero, move), move / bars["close"])

    rule.__name__ = "follow"
    return strategy(rule)


def test_the_same_name_with_another_rule_is_code(run):
    found = diff(run(momentum_of(20, 1)), run(momentum_of(20, -1)))
    assert found.sections == ["code"]
    assert set(rows(found, "code")) == {"rule"}
    assert list(found.effects) == ["code"]
    assert diff(run(momentum_of(20, 1)), run(momentum_of(20, 1))).sections == []


def test_another_table_is_code_and_is_told(run, plain):
    times = plain.bars.indexes["time"][:1000]
    table = pd.DataFrame({"symbol": "AAPL", "time": times, "signal": np.arange(1000) % 2})
    other = table.assign(signal=np.where((np.arange(1000) > 300) & (np.arange(1000) < 562), 0, table["signal"]))
    a, b = (run(signals_from(each, name="model")) for each in (table, other))
    found = diff(a, b)
    assert found.sections == ["code"]
    differing = int((table["signal"] != other["signal"]).sum())
    assert rows(found, "code")["table"] == tuple([f"1,000 rows, {differing} only here"] * 2)
    assert list(found.effects) == ["code"]
    assert diff(a, run(signals_from(table.copy(), name="model"))).sections == []
    assert set(rows(diff(a, run(signals_from(table.assign(reason="so"), name="model"))), "code")) == {"rule", "table"}


def test_rules_that_cannot_be_read_are_not_said_to_be_the_same(run):
    def holding(file, name):
        made = momentum_of(20, 1)
        rule = made.rule
        return replace(made, name=name, rule=lambda bars, length: rule(bars, length) if file else None)

    with Path(__file__).open() as file:
        a = run(holding(file, "follow"))
        found = diff(a, run(holding(file, "follow")))
        assert found.sections == []
        assert "code cannot be compared" in repr(found)
        assert "cannot be compared" in found.notes[0]
        assert "what changed: parameters, and perhaps code" in repr(diff(a, run(holding(file, "follow"), length=30)))
        assert rows(diff(a, run(momentum_of(20, 1))), "code")["rule"][0] == "cannot be read"


def test_a_rule_that_takes_other_parameters_is_changed_together_with_them(run, plain):
    found = diff(plain, run("rsi_reversion"))
    assert list(found.effects) == ["code and parameters"]
    assert found.notes[0].startswith("code alone cannot be changed: unknown parameter 'fast'")
    assert rows(found, "parameters")["fast"] == (20, None)
    assert found.notes[0] in repr(found)


def test_numbers_that_moved_without_a_cause_are_told(plain):
    moved = replace(plain, statistics={**plain.statistics, "sharpe": 9.0})
    found = diff(plain, moved)
    assert "the numbers are not" in repr(found)
    assert found.effects.loc["sharpe", "not explained"] == pytest.approx(9.0 - plain.statistics["sharpe"])


def test_other_versions_are_told_and_get_a_step_of_their_own(plain):
    libraries = {**plain.provenance.libraries, "numpy": "1.0"}
    old = replace(
        plain,
        provenance=replace(plain.provenance, libraries=libraries),
        statistics={**plain.statistics, "sharpe": 0.0},
    )
    found = diff(old, plain)
    assert rows(found, "code") == {"numpy": ("1.0", plain.provenance.libraries["numpy"])}
    assert found.effects.loc["sharpe", "versions"] == pytest.approx(plain.statistics["sharpe"])


def test_an_account_that_begins_later_cannot_be_run_again(run, plain):
    found = diff(plain, run(since="2010"))
    assert "since" in rows(found, "terms")
    assert found.effects.empty
    assert "does not keep the history before it" in found.notes[0]


def test_what_is_undefined_or_infinite_on_both_sides_did_not_change(run, plain):
    quiet = replace(plain, statistics={**plain.statistics, "profit_factor": math.inf, "win_rate": math.nan})
    found = diff(quiet, quiet)
    assert found.figures.loc[["profit_factor", "win_rate"], "change"].tolist() == [0, 0]


def test_a_diff_becomes_json_and_escapes_what_a_user_wrote(run):
    names = [replace(momentum_of(20, 1), name="<script>alert(1)</script>"), momentum_of(20, -1)]
    found = diff(*(run(each) for each in names))
    assert "<script>" not in found._repr_html_()
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["changes"][0] == {
        "section": "code",
        "what": "strategy",
        "a": "<script>alert(1)</script>",
        "b": "follow",
    }
    assert set(told["figures"]["change"]) == set(NAMES)


def test_a_change_of_a_percentage_is_in_points_and_has_a_sign(run, plain):
    found = diff(plain, run(terms={"commission": 0.05}))
    line = next(line for line in repr(found).splitlines() if line.startswith("total_return"))
    assert line.rstrip().endswith("pp")
    assert " -" in line
    assert isinstance(found.figures, pd.DataFrame)
