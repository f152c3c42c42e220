"""How alerts, rules, messages and silences read in a listing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from workbench.alerts import rows
from workbench.alerts.evaluate import NamedRule, Verdict
from workbench.alerts.history import Alert
from workbench.alerts.messages import Message
from workbench.alerts.policy import make_policy
from workbench.alerts.prices import Price
from workbench.alerts.silences import Silence

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WALL = "<b>not ours</b>"
ALERT = Alert(
    "rule:7:AAPL:x", "AAPL: close above 600", "first\nsecond", NOW, 3, rule="7", symbol="AAPL", priority="high"
)
RULE = NamedRule("over", "price", Price(dataset="d", symbols=("AAPL",), when="above", level=600), "7", NOW)


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, ("open", "warning")),
        ({"held": "snoozed"}, ("snoozed", "plain")),
        ({"escalated": NOW}, ("escalated", "bad")),
        ({"held": "snoozed", "acknowledged": NOW, "acknowledged_by": "Ada"}, ("acknowledged", "good")),
    ],
)
def test_a_row_says_what_became_of_an_alert(values, state):
    row = rows.alert_row(replace(ALERT, **values), {"7": "over"})
    assert row == ["2026-01-05 12:00:00", ALERT.subject, "over", [("high", "warning")], [state]]
    assert len(row) == len(rows.ALERT_HEAD)


def test_an_alert_whose_rule_is_gone_or_never_was_says_so():
    assert rows.alert_row(ALERT, {})[2] == "removed"
    assert rows.alert_row(replace(ALERT, key="run:1", rule=None), {})[2] == "run"


def test_a_rule_says_where_it_tells_and_why_it_tells_nobody():
    def state(**values):
        return rows.rule_row(replace(RULE, **values), said, ["lab", "desk"], NOW)[-1]

    said = [Verdict(RULE, name, found, "") for name, found in (("A", "quiet"), ("B", "fired"), ("C", "quiet"))]
    assert rows.rule_row(RULE, (), ["lab", "desk"], NOW) == [
        *("over", "close above 600", "AAPL", "lab, desk"),
        [("armed", "busy")],
    ]
    assert rows.rule_row(replace(RULE, policy=make_policy({"channels": ["desk"]})), (), ["lab"], NOW)[3] == "desk"
    assert state() == [("1 fired", "bad"), ("2 quiet", "good")]
    assert state(snoozed=NOW + HOUR) == [("snoozed until 01-05 13:00 UTC", "plain")]
    assert state(snoozed=NOW) == state()
    assert state(policy=make_policy({"expires": NOW})) == [("expired", "plain")]


def test_a_message_that_waits_says_when_it_goes_and_one_that_ended_when_it_did():
    waits = Message("k", "desk", "over", "s", "t", alerts=1234, attempts=2, state="waiting", not_before=NOW)
    row = rows.message_row(replace(waits, error="refused"))
    assert row == ["2026-01-05 12:00:00", "desk", "over", "1,234", "2", [("waiting", "warning")], "refused"]
    assert rows.message_row(replace(waits, state="sent", settled=NOW + HOUR))[0] == "2026-01-05 13:00:00"
    assert len(row) == len(rows.MESSAGE_HEAD)


def test_a_silence_names_its_rule():
    silence = Silence("i", {"rule": "7", "symbol": "AAPL"}, NOW, "", NOW)
    assert rows.silence_row(silence, {"7": "over"}) == ["2026-01-05 12:00:00", "rule over, symbol AAPL", "–"]


def test_what_a_stranger_wrote_is_text():
    alert = replace(ALERT, subject=WALL, text=WALL, acknowledged=NOW, acknowledged_by=WALL)
    message = Message("k", "desk", "over", WALL, WALL, error=WALL)
    for html, times in ((rows.alert_html(alert), 3), (rows.message_html(message), 3)):
        assert WALL not in html
        assert html.count("&lt;b&gt;not ours") == times
