"""The book of rules: how a rule is told is kept with it, and what could not be told is refused."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from workbench.alerts.book import RuleBook
from workbench.alerts.policy import Policy, make_policy
from workbench.alerts.tables import RULES
from workbench.core.errors import FailureError, InputError, ParameterError, UnknownNameError

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
APPLE = {"symbols": "AAPL", "when": "above", "level": 600}


def any_rule(rule):
    """Let every rule pass: what bars say of it is tested elsewhere."""


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def book(database, clock):
    return RuleBook(database, clock, "us_equities", any_rule)


def test_a_rule_keeps_its_policy_and_can_be_snoozed_until_it_is_removed(book, clock):
    policy = {"channels": ["mail"], "priority": "high", "cool_down": "1 h", "quiet": "22:00-07:00"}
    made = book.add("price", "over", **APPLE, policy=policy)
    assert book.list() == [book.get("over")] == [book.get(made.id)] == [made]
    assert (made.policy.channels, made.policy.cool_down) == (("mail",), timedelta(hours=1))
    assert book.snooze("over", NOW + timedelta(hours=2)).snoozed == NOW + timedelta(hours=2)
    assert book.table().loc["over", "snoozed"] == NOW + timedelta(hours=2)
    clock.now += timedelta(hours=3)
    assert book.table().loc["over", "snoozed"] is None
    assert book.snooze(made.id, None) == made
    book.remove("over")
    for call in (lambda: book.get("over"), lambda: book.snooze("over", None), lambda: book.remove(made.id)):
        with pytest.raises(UnknownNameError, match="unknown alert rule"):
            call()


def test_a_policy_may_be_given_by_name_where_the_kind_takes_no_such_name(book):
    move = book.add("move", "move", symbols="AAPL", percent=5, window=3, channels=["mail"], cool_down="1 h")
    assert (move.rule.window, move.policy.window, move.policy.channels) == (3, timedelta(minutes=5), ("mail",))
    both = book.add("move", "both", symbols="AAPL", percent=5, window=3, policy={"window": "2 min"})
    assert (both.rule.window, both.policy.window) == (3, timedelta(minutes=2))
    price = book.add("price", "price", **APPLE, window="2 min", policy=Policy(priority="low"))
    assert price.policy == make_policy({"window": "2 min", "priority": "low"})
    assert [each.policy for each in book.list()] == [both.policy, move.policy, price.policy]


def test_a_rule_of_before_there_were_policies_has_the_usual_one(book, database):
    made = book.add("price", "over", **APPLE)
    with database.writing() as connection:
        connection.execute(sa.update(RULES).values(policy={}))
    assert book.list() == [made]
    assert made.policy == Policy()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"expires": "2026-01-04"}, "expires='2026-01-04 23:59 UTC' has passed"),
        ({"expires": "soon"}, "expires='soon'"),
        ({"quiet": "night"}, "quiet='night'"),
        ({"quiet": "22:00-25:00"}, "quiet='22:00-25:00'"),
        ({"zone": "Mars/Olympus"}, "zone='Mars/Olympus'"),
        ({"priority": "now"}, "priority='now'"),
        ({"cool_down": "a while"}, "cool_down='a while'"),
        ({"release": -1}, "release=-1"),
        ({"escalate_to": ["mail"]}, "give both or neither"),
        ({"import os": 1}, "import os=1"),
        ({"policy": {"import os": 1}}, "import os=1"),
        ({"policy": {"level": 1}}, "level=1"),
    ],
)
def test_what_could_not_be_told_is_refused_and_not_kept(book, values, said):
    with pytest.raises(ParameterError, match=re.escape(said)):
        book.add("price", "over", **{**APPLE, **values})
    assert book.list() == []


def test_a_rule_whose_channel_is_refused_is_not_kept_but_can_be_drafted(database, clock):
    def refused(policy):
        raise UnknownNameError("channel", str(policy.channels), ["lab"])

    book = RuleBook(database, clock, "us_equities", any_rule, refused)
    assert book.draft("price", **APPLE, channels=["pigeon"]).policy.channels == ("pigeon",)
    with pytest.raises(InputError, match="unknown channel"):
        book.add("price", "over", **APPLE, channels=["pigeon"])
    assert book.list() == []


ABOVE = {"kind": "price", "when": "above", "level": 600}


@pytest.mark.parametrize(
    ("kind", "values", "widest"),
    [
        ("price", {"when": "above", "level": 600}, 600),
        ("move", {"percent": 5}, 5),
        ("move", {"percent": 5, "direction": "up"}, 105),
        ("volume", {"multiple": 3}, 3),
        ("missing", {"sessions": 2}, 2),
        ("pattern", {"pattern": "doji"}, 1),
        ("all", {"parts": [ABOVE, ABOVE]}, 2),
        ("any", {"parts": [ABOVE, ABOVE]}, 1),
        ("not", {"parts": [ABOVE]}, 1),
    ],
)
def test_a_release_that_no_value_can_reach_is_refused(book, kind, values, widest):
    assert book.draft(kind, symbols="AAPL", release=widest, **values).policy.release == widest
    with pytest.raises(ParameterError, match=rf"release={widest + 1} can never be reached, .*; give at most {widest}$"):
        book.draft(kind, symbols="AAPL", release=widest + 1, **values)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("price", {"when": "below", "level": 600}),
        ("price", {"when": "crosses", "level": 600}),
        ("move", {"percent": 5, "direction": "down"}),
        ("indicator", {"indicator": "rsi", "when": "below", "level": 30}),
        ("signal", {"strategy": "macd"}),
    ],
)
def test_a_release_of_what_has_no_bound_is_taken(book, kind, values):
    assert book.draft(kind, symbols="AAPL", release=10_000, **values).policy.release == 10_000


def test_a_release_of_what_does_not_say_how_far_it_is_is_refused(book):
    with pytest.raises(ParameterError, match=r"release=0.5 can never be reached, candlestick changes does not say"):
        book.draft("signal", symbols="AAPL", strategy="candlestick", release=0.5)


def test_a_rule_is_not_snoozed_into_the_past(book):
    book.add("price", "over", **APPLE)
    with pytest.raises(ParameterError, match="has passed"):
        book.snooze("over", NOW)
    assert book.get("over").snoozed is None


def test_a_rule_whose_package_is_gone_stops_no_other_and_says_so(book, database):
    book.add("price", "kept", **APPLE)
    with database.writing() as connection:
        gone = {"id": "x", "name": "gone", "kind": "moon", "definition": {}, "policy": {}, "created": NOW}
        connection.execute(RULES.insert().values(gone))
    assert [each.name for each in book.list()] == ["kept"]
    assert list(book.unusable()) == ["gone"]
    assert "unknown kind of alert rule 'moon'" in book.unusable()["gone"]
    assert book.table().loc["gone", "condition"] == book.unusable()["gone"]
    with pytest.raises(FailureError, match=r"alert rule 'gone' cannot be watched \(unknown kind"):
        book.get("gone")
    book.remove("gone")
    assert book.unusable() == {}


def test_a_rule_may_end_after_a_length_of_time(book, clock):
    assert book.add("price", "three days", expires="3 days", **APPLE).policy.expires == NOW + timedelta(days=3)
    assert book.get("three days").policy.expires == NOW + timedelta(days=3)
