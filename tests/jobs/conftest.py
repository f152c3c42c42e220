"""A home with runs that are past."""

from __future__ import annotations

import pytest
from past_runs import Past


@pytest.fixture(scope="module")
def home_of_runs(tmp_path_factory):
    made = Past(tmp_path_factory.mktemp("home"))
    yield made
    made.database.close()


@pytest.fixture
def past(home_of_runs):
    return home_of_runs.emptied()
