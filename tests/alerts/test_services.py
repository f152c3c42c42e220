"""Whether an alert service is up, by what each says of itself, in records of both kinds."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from workbench.alerts import services
from workbench.alerts.services import SILENT, AlertServices
from workbench.alerts.tables import SERVICES
from workbench.core.errors import StoreError

MOMENT = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Clock:
    """A clock that is turned by hand."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def board(database):
    with database.writing() as connection:
        connection.execute(SERVICES.delete())
    return AlertServices(database, Clock(MOMENT))


def test_a_service_is_up_until_it_leaves_or_has_said_nothing_for_three_minutes(board):
    assert not board.served()
    board.speak("one")
    board.clock.now += SILENT - SECOND
    assert board.served()
    board.clock.now += SECOND
    assert not board.served()
    board.speak("two")
    board.speak("three")
    board.leave("two")
    assert board.served()
    board.leave("three")
    assert not board.served()


def test_what_a_killed_service_left_is_swept_by_the_next_one(board):
    board.speak("killed")
    board.clock.now += SILENT
    board.speak("next")
    with board.database.reading() as connection:
        assert connection.execute(SERVICES.select()).all() == [("next", board.clock.now)]


def test_a_process_counts_while_it_is_present_and_not_after(board, monkeypatch):
    monkeypatch.setattr(services, "EVERY", timedelta(milliseconds=10))
    spoken = threading.Event()
    speak, counted = board.speak, []

    def noted(service):
        speak(service)
        counted.append(service)
        if len(counted) == 3:
            spoken.set()

    board.speak = noted
    with board.present():
        assert spoken.wait(30)
        assert board.served()
    assert len(set(counted)) == 1
    assert not board.served()


def test_records_that_do_not_answer_hold_up_nothing(board, caplog):
    tried = threading.Event()

    def fails(_service):
        tried.set()
        raise StoreError("the disk is full")

    board.speak = fails
    with board.present():
        assert tried.wait(30)
    assert "could not be noted: the disk is full" in caplog.text
