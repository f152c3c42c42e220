"""An alert is there once, in the transaction of what it tells of; on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from workbench.alerts.firings import Alert, Alerts, Firing, raise_alert, raise_alerts
from workbench.alerts.ongoing import goes_on, let_go
from workbench.alerts.outbox import Outbox
from workbench.core.errors import DateRangeError, UnknownNameError

MOMENT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def test_a_key_raises_one_alert_whoever_comes_first(database):
    for turn in range(3):
        with database.writing() as connection:
            is_new = raise_alert(connection, "run:1", "a run failed", f"turn {turn}", MOMENT + timedelta(hours=turn))
        assert is_new is (turn == 0)
    (alert,) = Alerts(database).list()
    assert alert == Alert("run:1", "a run failed", "turn 0", MOMENT, id=alert.id)
    assert alert.source == "run"


def test_what_goes_on_is_known_by_its_bars_and_by_what_it_is_about(database):
    day = [MOMENT + timedelta(days=n) for n in range(8)]
    with database.writing() as connection:
        assert raise_alert(connection, "rule:a_b:AAPL:1", "a", "", day[2], (day[1], day[2]))
        assert goes_on(connection, "rule:a_b:AAPL:", day[2], day[4])
        # It went on up to the fifth day, and is known by that from now on.
        assert goes_on(connection, "rule:a_b:AAPL:", day[4], day[5])
        assert goes_on(connection, "rule:a_b:AAPL:", day[0], day[1])
        assert not goes_on(connection, "rule:a_b:AAPL:", day[6], day[7])
        assert not goes_on(connection, "rule:a_b:AAPL:", day[0], day[0])
        for other in ("rule:a_b:AAP:", "rule:aXb:AAPL:", "rule:c:AAPL:"):
            assert not goes_on(connection, other, day[1], day[2])


def test_an_alert_of_a_transaction_that_failed_was_never_raised(database):
    def failing():
        with database.writing() as connection:
            assert raise_alert(connection, "run:1", "a run failed", "", MOMENT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert Alerts(database).list() == []
    with database.writing() as connection:
        assert raise_alert(connection, "run:1", "a run failed", "", MOMENT)


def test_alerts_are_listed_newest_first_by_source_and_moment(database):
    keys = ["run:1", "rule:a:AAPL", "run_late:2", "parity:3"]
    with database.writing() as connection:
        for place, key in enumerate(keys):
            raise_alert(connection, key, key, "", MOMENT + timedelta(days=place))
    alerts = Alerts(database)
    assert [each.key for each in alerts.list()] == keys[::-1]
    assert [each.key for each in alerts.list(source="run")] == ["run:1"]
    assert [each.key for each in alerts.list(since=MOMENT + timedelta(days=2))] == ["parity:3", "run_late:2"]
    assert [each.key for each in alerts.list(until=MOMENT + timedelta(days=1))] == ["rule:a:AAPL", "run:1"]
    assert [each.key for each in alerts.list(most=1)] == ["parity:3"]
    assert [each.key for each in alerts.list(since="2026-01-07", until="2026-01-07")] == ["run_late:2"]
    with pytest.raises(DateRangeError, match="'soon'"):
        alerts.list(since="soon")


def test_what_an_alert_says_is_escaped_where_it_is_shown(database):
    with database.writing() as connection:
        raise_alert(connection, "run:<b>", "<script>alert(1)</script>", "<img src=x>", MOMENT)
    page = Alerts(database).list()._repr_html_()
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "<small>" not in page, "an alert is read, so it is no small print"


def test_what_a_stream_has_told_reaches_up_to_now_until_it_is_let_go(database, make_rule):
    rule, day = make_rule("over"), [MOMENT + timedelta(days=n) for n in range(8)]
    with database.writing() as connection:
        key = f"rule:{rule.id}:AAPL:1"
        assert raise_alert(connection, key, "a", "", day[1], (day[1], day[1]), rule=rule, symbol="AAPL", holds=True)
        assert not goes_on(connection, f"rule:{rule.id}:AAPL:", day[0], day[0]), "it began later"
        assert goes_on(connection, f"rule:{rule.id}:AAPL:", day[4], day[5])
        assert not let_go(connection, rule.id, "IBM", day[5])
        assert let_go(connection, rule.id, "AAPL", day[3])
        assert not let_go(connection, rule.id, "AAPL", day[6]), "once is enough"
        assert goes_on(connection, f"rule:{rule.id}:AAPL:", day[5], day[6]), "it was seen holding on that day"
        assert not goes_on(connection, f"rule:{rule.id}:AAPL:", day[7], day[7])
    (alert,) = Alerts(database).list()
    assert (alert.since, alert.until, alert.holds) == (day[1], day[6], False)


def test_alerts_are_acknowledged_once_by_whoever_comes_first(database):
    with database.writing() as connection:
        for number in range(3):
            raise_alert(connection, f"run:{number}", "a run failed", "", MOMENT)
    alerts = Alerts(database, lambda: MOMENT + timedelta(hours=1))
    first, second, third = (each.id for each in alerts.list()[::-1])
    assert alerts.acknowledge(first, "mia") == 1
    assert alerts.acknowledge([first, second], "ben") == 1
    assert [each.acknowledged_by for each in alerts.list()] == [None, "ben", "mia"]
    assert alerts.get(first).acknowledged == MOMENT + timedelta(hours=1)
    assert [each.id for each in alerts.list(acknowledged=False)] == [third]
    assert [each.id for each in alerts.list(acknowledged=True)] == [second, first]
    with pytest.raises(UnknownNameError, match="unknown alert '999999'"):
        alerts.acknowledge([third, 999_999], "ben")
    assert alerts.get(third).acknowledged is None, "all of them or none"
    with pytest.raises(UnknownNameError, match="unknown alert '999999'"):
        alerts.get(999_999)


def test_alerts_are_listed_by_rule_and_symbol(database, make_rule):
    rules = [make_rule(name) for name in ("over", "under")]
    with database.writing() as connection:
        for rule in rules:
            for symbol in ("AAPL", "IBM"):
                key = f"rule:{rule.id}:{symbol}:1"
                raise_alert(connection, key, f"{rule.name} {symbol}", "", MOMENT, rule=rule, symbol=symbol)
    alerts = Alerts(database)
    assert [each.subject for each in alerts.list(rule="over")] == ["over IBM", "over AAPL"]
    assert [each.subject for each in alerts.list(rule="id-over", symbol="AAPL")] == ["over AAPL"]
    assert [each.subject for each in alerts.list(symbol="IBM")] == ["under IBM", "over IBM"]
    assert alerts.list(rule="sideways") == []


@pytest.mark.parametrize(
    ("policy", "acknowledged", "words"),
    [({"priority": "urgent"}, False, ">urgent<"), ({}, False, ">open<"), ({}, True, ">known to &lt;mia&gt;<")],
)
def test_a_list_says_what_has_become_of_each_alert(database, make_rule, policy, acknowledged, words):
    rule = make_rule("over", **policy)
    with database.writing() as connection:
        raise_alert(connection, "rule:a:b:1", "fired", "", MOMENT, rule=rule, symbol="AAPL")
    alerts = Alerts(database)
    if acknowledged:
        alerts.acknowledge(alerts.list()[0].id, "<mia>")
    assert words in alerts.list()._repr_html_()


def test_an_error_with_half_a_letter_in_it_is_told(database):
    # What an unreadable file name becomes: PEP 383.
    with database.writing() as connection:
        assert raise_alert(connection, "run:1", "no file caf\udce9", "\ud83d", MOMENT)
    (alert,) = Alerts(database).list()
    assert (alert.subject, alert.text) == ("no file caf?", "?")


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**30])
def test_a_number_that_no_alert_can_have_is_unknown(database, number):
    with pytest.raises(UnknownNameError, match=f"unknown alert '{number}'"):
        Alerts(database).get(number)
    with pytest.raises(UnknownNameError, match=f"unknown alert '{number}'"):
        Alerts(database).acknowledge([number], "mia")


def test_alerts_that_are_raised_at_once_are_those_that_would_be_raised_one_by_one(database, make_rule):
    calm, other = make_rule("calm", cool_down="1 h", group="desk"), make_rule("other", priority="urgent", group="desk")
    firings = [
        Firing("rule:calm:AAPL:1", "first", "", rule=calm, symbol="AAPL"),
        Firing("rule:calm:AAPL:1", "the same", "", rule=calm, symbol="AAPL"),
        Firing("rule:calm:AAPL:2", "within the cool-down", "", rule=calm, symbol="AAPL"),
        Firing("rule:calm:IBM:1", "another symbol", "", rule=calm, symbol="IBM"),
        Firing("rule:other:AAPL:1", "another rule", "", rule=other, symbol="AAPL"),
        Firing("run:1", "a run", ""),
    ]
    with database.writing() as connection:
        assert raise_alert(connection, "run:1", "before", "", MOMENT)
    with database.writing() as connection:
        new = raise_alerts(connection, firings, MOMENT)
    assert new == {"rule:calm:AAPL:1", "rule:calm:AAPL:2", "rule:calm:IBM:1", "rule:other:AAPL:1"}
    told = [(each.subject, each.held) for each in Alerts(database).list()[::-1]]
    assert told == [
        ("before", None),
        ("first", None),
        ("within the cool-down", "cool-down"),
        ("another symbol", None),
        ("another rule", None),
    ]
    messages = Outbox(database, lambda: MOMENT).messages()
    assert [(each.topic, each.alerts, each.priority) for each in messages] == [
        ("desk", 3, "urgent"),
        ("run", 1, "normal"),
    ]


def test_a_key_that_was_raised_long_ago_begins_no_cool_down(database, make_rule):
    calm = make_rule("calm", cool_down="1 h")
    firings = [Firing(f"rule:calm:AAPL:{n}", str(n), "", rule=calm, symbol="AAPL") for n in (1, 2)]
    with database.writing() as connection:
        raise_alerts(connection, firings[:1], MOMENT - timedelta(days=1))
        raise_alerts(connection, firings, MOMENT)
    assert [each.held for each in Alerts(database).list()] == [None, None]


def test_it_takes_as_many_statements_to_raise_many_alerts_as_to_raise_a_few(database, make_rule):
    rules, counts = [make_rule(f"r{n}", channels=["lab", "mail"]) for n in range(30)], []

    def count(*_given):
        counts[-1] += 1

    sa.event.listen(database.engine, "before_cursor_execute", count)
    for turn, many in enumerate((2, 30, 300)):
        chosen = [(n, rules[n % len(rules)]) for n in range(many)]
        firings = [Firing(f"rule:{r.id}:S{n}:{turn}", "", "", rule=r, symbol=f"S{n}") for n, r in chosen]
        counts.append(0)
        with database.writing() as connection:
            assert len(raise_alerts(connection, firings, MOMENT)) == many
    sa.event.remove(database.engine, "before_cursor_execute", count)
    assert max(counts) <= 12, counts
