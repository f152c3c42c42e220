"""Servers that live as long as the tests; started for the first one that asks."""

import time

import pytest
from postgres_server import postgres
from s3_server import s3

from workbench.core.database import open_database
from workbench.core.settings import load_settings


@pytest.fixture(scope="session")
def postgres_server():
    with postgres() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def records(request, tmp_path_factory):
    """Records of either kind, opened once for a file's tests, which empty the tables that they use."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(f"d{time.monotonic_ns()}")
    opened = open_database(load_settings(home=tmp_path_factory.mktemp("home"), database_url=url))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def s3_server():
    with s3() as server:
        yield server
