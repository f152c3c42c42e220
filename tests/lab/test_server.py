"""Ports: a free one is found, a taken one is told."""

from __future__ import annotations

import socket

import pytest

from workbench.core.errors import ServerError
from workbench.lab.server import DEFAULT_PORT, HOST, free_port


@pytest.fixture
def taken():
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_is_told_with_the_remedy(taken):
    with pytest.raises(ServerError, match=rf"port {taken} on 127.0.0.1 is in use; choose another with --port"):
        free_port(taken)


def test_a_free_port_is_taken_as_it_is():
    with socket.socket() as other:
        other.bind((HOST, 0))
        port = other.getsockname()[1]
    assert free_port(port) == port


def test_without_a_wish_the_next_free_port_is_found():
    first = free_port(None)
    assert first >= DEFAULT_PORT
    with socket.socket() as other:
        other.bind((HOST, first))
        other.listen()
        assert free_port(None) > first
