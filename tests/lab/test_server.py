"""Ports: a free one is found, a taken one is told."""

from __future__ import annotations

import socket

import pytest

from workbench.core.errors import ServerError
from workbench.lab.server import HOST, require_free


@pytest.fixture
def taken():
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_is_told_with_the_remedy(taken):
    with pytest.raises(ServerError, match=rf"port {taken} on 127.0.0.1 is in use; choose another with --port"):
        require_free(taken)


def test_a_free_port_may_be_had():
    with socket.socket() as other:
        other.bind((HOST, 0))
        port = other.getsockname()[1]
    require_free(port)
