"""A rule on runs: those that failed, those that are late, and how many in a row."""

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest

from workbench.alerts.evaluate import NamedRule
from workbench.alerts.rules import make_rule
from workbench.alerts.runs import RunFact, judge_runs
from workbench.bench import Workbench
from workbench.core.errors import ParameterError, UnknownNameError, UnsupportedError
from workbench.core.settings import load_settings

DUE = datetime(2026, 1, 5, 22, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def run(day=0, state="succeeded", ended=HOUR / 2, started=HOUR / 60, name="daily", reason=""):
    """Return a run of a day's due time; ``started`` and ``ended`` are counted from it, ``None`` where it has not."""
    due = DUE + day * DAY
    instants = [None if each is None else due + each for each in (started, ended)]
    return RunFact(name, due, *instants, state, reason)


def say(*facts, at=12 * HOUR, lookback=1, **values):
    named = NamedRule("runs", "run", make_rule("run", values), id="r", created=DUE - DAY)
    return judge_runs(named, facts, pd.Timestamp(DUE + at).tz_convert(None), lookback)


@pytest.mark.parametrize(
    ("fact", "at", "values", "state", "found"),
    [
        (run(), 12 * HOUR, {}, "quiet", "the run was done in time"),
        (run(state="failed", reason="a cell broke"), 12 * HOUR, {}, "fired", "the run ended as failed: a cell broke"),
        (run(state="timed out"), 12 * HOUR, {}, "fired", "the run ended as timed out"),
        (run(state="failed"), 12 * HOUR, {"when": "late"}, "quiet", "the run was done in time"),
        (run(ended=2 * HOUR), 12 * HOUR, {}, "fired", "the run was done 2 h after its due time"),
        (run(ended=2 * HOUR), 12 * HOUR, {"within": "2 h"}, "quiet", "the run was done in time"),
        (run(ended=2 * HOUR), 12 * HOUR, {"when": "failed"}, "quiet", "the run was done in time"),
        (run(state="running", ended=None), 2 * HOUR, {}, "fired", "the run is not done 2 h after its due time"),
        (
            run(state="waiting", ended=None, started=None, reason="no data"),
            26 * HOUR,
            {},
            "fired",
            "the run has not begun 1 day 2 h after its due time: no data",
        ),
    ],
)
def test_what_became_of_a_run(fact, at, values, state, found):
    (verdict,) = say(fact, at=at, **values)
    assert (verdict.state, verdict.found) == (state, found)
    assert (verdict.symbol, verdict.time) == ("daily", pd.Timestamp(DUE).tz_convert(None))


@pytest.mark.parametrize(
    "fact",
    [
        run(state="running", ended=None),
        run(state="skipped"),
        run(state="cancelled"),
        run(day=1, state="failed"),
        run(state="failed", ended=5 * HOUR),
    ],
)
def test_what_cannot_be_said_of_a_run_yet_is_not_said(fact):
    assert say(fact, at=HOUR / 2) == []
    (absent,) = say(fact, at=HOUR / 2, schedules=["daily"])
    assert (absent.state, absent.found) == ("unknown", "no run of it has ended yet")


def test_a_schedule_that_goes_on_failing_fires_once_and_again_after_a_run_that_went_well():
    facts = [run(0, "failed"), run(1, "failed"), run(2), run(3, "failed"), run(4, "skipped"), run(5, "failed")]
    keys = [say(*facts, at=day * DAY + HOUR)[0].key for day in range(6)]
    first, second = (f"rule:r:daily:{(DUE + day * DAY):%Y-%m-%dT%H:%M:%S}" for day in (0, 3))
    assert keys == [first, first, None, second, second, second]
    both = say(*facts, at=6 * DAY, lookback=5)
    assert [each.key for each in both] == [first, second]


def test_several_in_a_row_can_be_asked_for():
    facts = [run(0, "failed"), run(1, "failed"), run(2, "failed")]
    states = [say(*facts, at=day * DAY + HOUR, times=3)[0].state for day in range(3)]
    assert states == ["quiet", "near", "fired"]
    assert make_rule("run", {"times": 3, "when": "failed"}).condition == "3 runs in a row failed"


def test_each_schedule_is_by_itself_and_those_that_are_named_are_looked_at():
    facts = [run(name="b"), run(name="a", state="failed"), run(name="c", state="failed")]
    assert [(each.symbol, each.state) for each in say(*facts)] == [("a", "fired"), ("b", "quiet"), ("c", "fired")]
    assert [(each.symbol, each.state) for each in say(*facts, schedules=["b", "x"])] == [
        ("b", "quiet"),
        ("x", "unknown"),
    ]
    assert say() == []


def test_due_times_of_any_zone_are_told_in_utc():
    there = timezone(timedelta(hours=-5))
    fact = RunFact("daily", DUE.astimezone(there), DUE, DUE + HOUR / 2, "failed")
    assert say(fact)[0].since == pd.Timestamp("2026-01-05 22:00")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"symbols": ["AAPL"]}, "symbols"),
        ({"within": "soon"}, "within='soon'"),
        ({"within": 0}, "within=0"),
        ({"when": "tired"}, "when='tired'"),
        ({"times": 0}, "times=0"),
        ({"command": "rm"}, "command='rm'"),
    ],
)
def test_what_is_no_rule_on_runs_is_refused(values, said):
    with pytest.raises(ParameterError, match=said):
        make_rule("run", values)


def test_it_looks_at_no_bars_and_says_so(bars):
    rule = make_rule("run", {"within": "90 min"})
    assert (rule.adjusts, rule.condition) == ((), "run failed or not done within 90 min")
    assert make_rule("run", rule.plain()) == rule
    with pytest.raises(UnsupportedError, match="looks at no bars"):
        rule.reading(bars, pd.Timestamp("2026-01-05"))


def test_a_bench_tells_of_runs_that_are_given_to_it_once(tmp_path, notebook):
    bench = Workbench(load_settings(home=tmp_path / "home"), clock=lambda: DUE + DAY)
    with pytest.raises(UnknownNameError, match="unknown schedule 'daily'"):
        bench.alert_rules.add("run", "runs", schedules=["daily"])
    bench.schedule(notebook("1"), "0 22 * * *", name="daily")
    bench.alert_rules.add("run", "runs", schedules=["daily"])
    facts = [run(state="failed", reason="a cell broke")]
    found = bench.evaluate_rules(runs=facts)
    assert len(found.raised) == len(found.fired) == 1
    assert found.fired.symbols == []
    assert len(bench.evaluate_rules(runs=facts).raised) == 0
    (alert,) = bench.alerts.list()
    assert alert.subject == "daily: run failed or not done within 1 h"
    assert alert.text == "the run ended as failed: a cell broke; 2026-01-05 22:00 UTC; rule 'runs'"
    assert bench.evaluate_rules(runs=[]).unknown.verdicts[0].found == "no run of it has ended yet"
    bench.records.close()
