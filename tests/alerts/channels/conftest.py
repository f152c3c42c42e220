"""A message, servers that answer as the test says, and all that is logged."""

import logging
from datetime import UTC, datetime

import pytest
from web_answers import web_server

from workbench.alerts.messages import Message


@pytest.fixture
def message():
    """A message of two alerts."""
    return Message(
        key="message:0b5e",
        channel="hook",
        topic="momentum",
        subject="momentum: 2 alerts",
        text="AAPL close above 600\nIBM close above 200",
        priority="high",
        alerts=2,
        attempts=1,
        created=datetime(2026, 1, 5, 12, 0, tzinfo=UTC),
        tells=("rule:a:AAPL:2026-01-05", "rule:a:IBM:2026-01-05"),
    )


@pytest.fixture
def web():
    with web_server() as server:
        yield server


@pytest.fixture
def inner():
    """A second one, that nobody should reach."""
    with web_server() as server:
        yield server


@pytest.fixture
def logged(caplog):
    """All that is logged, at whatever level, by anyone."""
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(1, logger=name)
    caplog.set_level(1)
    for name in ("apprise", "urllib3.connectionpool"):
        caplog.set_level(1, logger=name)
    return lambda: "\n".join(record.getMessage() for record in caplog.records)
