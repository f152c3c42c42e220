"""What a notebook does with alerts: rehearse, arm, watch a replay, and hear of runs that nobody ran."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import holoviews as hv
import nbformat
import pytest

from workbench.alerts.firings import raise_alert
from workbench.bench import Workbench
from workbench.core.errors import DateRangeError, InputError, ParameterError, UnknownNameError, UnsupportedError
from workbench.core.settings import load_settings
from workbench.jobs.ledger import Ledger

APPLE = {"symbols": "AAPL", "when": "above", "level": 600}


class Clock:
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(scope="module")
def office(tmp_path_factory, clock):
    made = Workbench(load_settings(home=tmp_path_factory.mktemp("home")), clock=clock)
    yield made
    made.records.close()


@pytest.fixture
def desk(office, clock):
    """A bench without any rule, silence or schedule."""
    clock.now = Clock.now
    for each in office.alert_rules.list():
        office.alert_rules.remove(each.id)
    for each in office.silences.list():
        office.silences.remove(each.id)
    return office


def test_what_was_rehearsed_is_what_is_armed(desk):
    draft = desk.alert_rules.draft("price", "over", **APPLE, release=20)
    assert (
        len(desk.rehearse(draft, start="2012")) == len(desk.rehearse("price", **APPLE, release=20, start="2012")) == 4
    )
    assert desk.alert_rules.list() == []
    armed = desk.arm(draft)
    assert (armed.name, armed.rule, armed.policy) == (draft.name, draft.rule, draft.policy)
    assert desk.arm(draft, "again").rule == draft.rule
    parts = [{"kind": "price", "when": "above", "level": 600}, {"kind": "volume"}]
    both = desk.alert_rules.draft("all", "both", symbols=["AAPL", "IBM"], parts=parts)
    assert desk.arm(both).rule == both.rule
    assert desk.arm(desk.alert_rules.draft("run", "reports", within="2 h")).rule.within == timedelta(hours=2)
    assert [each.name for each in desk.alert_rules.list()] == ["again", "both", "over", "reports"]


def test_what_cannot_be_rehearsed_or_armed_says_why(desk):
    draft = desk.alert_rules.draft("price", "over", **APPLE)
    for call, error, said in (
        (lambda: desk.arm("price", **APPLE), ParameterError, "needs a name"),
        (lambda: desk.arm(draft, release=3), ParameterError, "'over' has its values"),
        (lambda: desk.rehearse("run"), UnsupportedError, "looks at no bars"),
        (lambda: desk.rehearse(draft, start="2031"), DateRangeError, "no bar to rehearse on"),
    ):
        with pytest.raises(error, match=said):
            call()


def test_a_replay_fires_as_the_rehearsal_said_and_each_firing_is_told_once(desk):
    desk.arm("price", "over", **APPLE, release=20)
    rehearsed = desk.rehearse("over", start="2012-06-25")
    for _ in range(2):
        monitor = desk.watch(start="2012-06-25", speed=None)
        assert monitor.join(60)
        monitor.stop()
        assert monitor.error == ""
    alerts = desk.alerts.list(rule="over")
    assert [each.since.replace(tzinfo=None) for each in reversed(alerts)] == list(rehearsed.table["time"])
    closes = desk.bars("AAPL", adjust="splits")["close"].to_pandas()["AAPL"]
    for each in alerts:
        assert f"quote {closes[each.since.replace(tzinfo=None)]:,.2f} USD" in each.text


def test_a_stream_that_could_not_be_followed_is_told_at_once(desk):
    desk.arm("price", "over", **APPLE)
    for wanted, error in (
        ({"source": "nix"}, UnknownNameError),
        ({"symbols": ["APPL"]}, UnknownNameError),
        ({"speed": -1}, ParameterError),
    ):
        with pytest.raises(error):
            desk.watch(**wanted)
    for wanted in ({"every": "soon"}, {"every": "0.5 s"}, {"stream": "nix"}):
        with pytest.raises(InputError):
            desk.serve_alerts(**wanted)


def test_the_moment_of_an_alert_is_drawn_and_what_has_none_says_so(desk):
    desk.arm("price", "under", symbols="AAPL", when="below", level=450)
    desk.evaluate_rules(at="2013-03-01")
    [alert] = desk.alerts.list(rule="under")
    for each in (alert, alert.id):
        assert [str(curve.label) for curve in desk.moment(each).traverse(lambda one: one, [hv.Curve])] == ["level 450"]
    with desk.records.writing() as connection:
        raise_alert(connection, "run:1", "a run failed", "", desk.clock())
    with pytest.raises(InputError, match="nothing to draw"):
        desk.moment(desk.alerts.list(source="run")[0])
    with pytest.raises(UnknownNameError, match="'0'"):
        desk.moment(0)


def test_a_silence_and_a_snooze_end_when_they_were_said_to(desk, clock):
    desk.arm("price", "over", **APPLE)
    assert desk.snooze("over", "90 min").snoozed == clock.now + timedelta(minutes=90)
    assert desk.snooze("over", "2026-01-06 08:00").snoozed == datetime(2026, 1, 6, 8, tzinfo=UTC)
    assert desk.snooze("over", None).snoozed is None
    silence = desk.silence(timedelta(hours=1), rule="over", reason="known")
    assert (silence.until, silence.about) == (
        clock.now + timedelta(hours=1),
        {"rule": desk.alert_rules.get("over").id},
    )
    # A day is silent to its end.
    assert f"{desk.silence('2026-01-06', symbol='IBM').until:%d %H:%M}" == "06 23:59"
    for until in ("soon", "2025-12-31", clock.now):
        with pytest.raises(InputError):
            desk.silence(until, symbol="IBM")
        with pytest.raises(InputError):
            desk.snooze("over", until)
    with pytest.raises(ParameterError, match="names no alerts"):
        desk.silence("1 h")


def test_the_test_of_lab_is_queued_and_told_over_nothing_else(desk):
    assert desk.test_channel("lab")["state"] == "queued"
    [alert] = desk.alerts.list(source="test")
    assert alert.subject == "Test of the channel lab"
    messages = desk.messages(state="gathering")
    assert messages.loc[messages["topic"] == "test", "channel"].tolist() == ["lab"]
    assert messages["not_before"].dt.tz is not None
    assert desk.messages(state=["failed"]).empty
    with pytest.raises(UnknownNameError, match="waiting"):
        desk.messages(state="waitin")


def test_a_run_that_no_service_has_planned_is_late_and_one_that_failed_is_told(desk, clock, tmp_path):
    path = tmp_path / "small.ipynb"
    kernel = {"name": "trii-workbench", "display_name": "TRII Workbench", "language": "python"}
    cells = [nbformat.v4.new_code_cell("1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    desk.arm("run", "reports", within="30 min")
    desk.schedule(path, "@hourly", name="each hour")
    assert desk.run_facts() == []
    clock.now += timedelta(minutes=70)
    [fact] = desk.run_facts()
    assert (fact.schedule, fact.due, fact.started, fact.state) == (
        "each hour",
        datetime(2026, 1, 5, 13, tzinfo=UTC),
        None,
        "due",
    )
    assert len(desk.evaluate_rules().raised) == 0
    clock.now += timedelta(minutes=25)
    assert len(desk.evaluate_rules().raised) == 1
    assert len(desk.evaluate_rules().raised) == 0
    [alert] = desk.alerts.list(rule="reports")
    assert alert.symbol == "each hour"
    assert "no service has planned it" in alert.text
    # A service comes, and finds it: it is a row from now on, and still the same run.
    Ledger(desk.records, clock).plan()
    assert {each.due for each in desk.run_facts()} == {datetime(2026, 1, 5, 13, tzinfo=UTC)}
    assert len(desk.evaluate_rules().raised) == 0
    desk.pause_schedule("each hour")
    clock.now += timedelta(hours=5)
    assert all(each.due.hour == 13 for each in desk.run_facts())
    desk.remove_schedule("each hour")
