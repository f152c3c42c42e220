"""An alert is there once, in the transaction of what it tells of; on SQLite and on PostgreSQL."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from workbench.alerts.firings import Alert, Alerts, goes_on, raise_alert
from workbench.core.database import open_database
from workbench.core.errors import DateRangeError
from workbench.core.settings import load_settings

MOMENT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(f"d{time.monotonic_ns()}")
    opened = open_database(load_settings(home=tmp_path / "home", database_url=url))
    yield opened
    opened.close()


def test_a_key_raises_one_alert_whoever_comes_first(database):
    for turn in range(3):
        with database.writing() as connection:
            is_new = raise_alert(connection, "run:1", "a run failed", f"turn {turn}", MOMENT + timedelta(hours=turn))
        assert is_new is (turn == 0)
    assert Alerts(database).list() == [Alert("run:1", "a run failed", "turn 0", MOMENT)]


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
