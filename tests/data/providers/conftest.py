"""A source that says what it is told to."""

import pytest
from answering_server import AnsweringServer


@pytest.fixture
def answers():
    """A running ``AnsweringServer``."""
    server = AnsweringServer()
    yield server
    server.close()
