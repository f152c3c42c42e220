"""Servers that live as long as the tests; started for the first one that asks."""

import pytest
from postgres_server import postgres
from s3_server import s3


@pytest.fixture(scope="session")
def postgres_server():
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server():
    with s3() as server:
        yield server
