"""What is silenced, snoozed or cooling down is recorded and told to nobody; on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta

import pytest

from workbench.alerts.firings import Alerts, raise_alert
from workbench.alerts.outbox import Outbox
from workbench.alerts.silences import Silences
from workbench.alerts.tables import RULES
from workbench.core.errors import DateRangeError, ParameterError, UnknownNameError

MOMENT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def silences(database):
    return Silences(database, lambda: MOMENT)


@pytest.fixture
def rules(make_rule):
    return [make_rule(name) for name in ("over", "under")]


def fire(database, rule, symbol="AAPL", at=MOMENT):
    with database.writing() as connection:
        key = f"rule:{rule.id}:{symbol}:{at.isoformat()}"
        assert raise_alert(connection, key, "fired", "", at, rule=rule, symbol=symbol)
    return Alerts(database).list(most=1)[0].held


@pytest.mark.parametrize(
    ("about", "held"),
    [
        ({"rule": "over"}, [True, True, False]),
        ({"rule": "id-over"}, [True, True, False]),
        ({"symbol": "AAPL"}, [True, False, True]),
        ({"rule": "over", "symbol": "AAPL"}, [True, False, False]),
        ({"source": "rule"}, [True, True, True]),
        ({"source": "run"}, [False, False, False]),
        ({"source": "rule", "symbol": "IBM"}, [False, True, False]),
    ],
)
def test_a_silence_holds_what_has_all_that_it_is_about(database, silences, rules, about, held):
    over, under = rules
    silences.add(about, MOMENT + HOUR, "earnings")
    got = [fire(database, *each) for each in ((over, "AAPL"), (over, "IBM"), (under, "AAPL"))]
    assert got == ["silenced" if each else None for each in held]
    told = sum(each.alerts for each in Outbox(database, lambda: MOMENT).messages())
    assert told == held.count(False)
    assert len(Alerts(database).list()) == 3


def test_a_silence_ends_by_itself_or_when_it_is_removed(database, silences, rules):
    first = silences.add({"symbol": "AAPL"}, MOMENT + HOUR, "noise")
    second = silences.add({"symbol": "IBM"}, MOMENT + 2 * HOUR, "noise")
    assert silences.list() == [first, second]
    silences.remove(second.id)
    assert silences.list() == [first]
    assert fire(database, rules[0], "IBM") is None
    assert fire(database, rules[0], "AAPL", MOMENT + HOUR) is None
    assert Silences(database, lambda: MOMENT + 2 * HOUR).list() == []
    assert len(silences.list(past=True)) == 2
    with pytest.raises(UnknownNameError, match="unknown silence"):
        silences.remove(second.id)


@pytest.mark.parametrize(
    ("about", "until", "error", "words"),
    [
        ({}, "2026-02-01", ParameterError, "names no alerts"),
        ({"price": "AAPL"}, "2026-02-01", ParameterError, "give rule, symbol or source"),
        ({"symbol": ""}, "2026-02-01", ParameterError, "names no alerts"),
        ({"symbol": 7}, "2026-02-01", ParameterError, "names no alerts"),
        ({"rule": "ovr"}, "2026-02-01", UnknownNameError, "over"),
        ({"symbol": "AAPL"}, "2026-01-04", DateRangeError, "is past"),
        ({"symbol": "AAPL"}, "soon", DateRangeError, "soon"),
    ],
)
def test_a_silence_about_nothing_or_in_the_past_is_refused(silences, rules, about, until, error, words):
    with pytest.raises(error, match=words):
        silences.add(about, until)
    assert silences.list(past=True) == []


def test_a_snoozed_rule_tells_nobody_until_its_time(database, rules):
    over, under = rules
    with database.writing() as connection:
        connection.execute(RULES.update().where(RULES.c.id == over.id).values(snoozed=MOMENT + HOUR))
    assert fire(database, over) == "snoozed"
    assert fire(database, under) is None
    assert fire(database, over, at=MOMENT + HOUR) is None


def test_within_the_cool_down_only_the_first_alert_of_a_rule_and_symbol_is_told(database, make_rule):
    rule, other = make_rule("calm", cool_down="1 h"), make_rule("other", cool_down="1 h")
    minutes = [(0, "AAPL", None), (30, "AAPL", "cool-down"), (30, "IBM", None), (59, "AAPL", "cool-down")]
    for minute, symbol, held in minutes:
        assert fire(database, rule, symbol, MOMENT + timedelta(minutes=minute)) == held
    assert fire(database, other, "AAPL", MOMENT + timedelta(minutes=59, seconds=30)) is None
    # It runs from the one that was told, not from those that were not.
    assert fire(database, rule, "AAPL", MOMENT + timedelta(minutes=60)) is None
