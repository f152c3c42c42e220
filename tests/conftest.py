"""What every test may ask for: an empty home, and a bench with the sample loaded once."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import settings

from workbench.bench import Workbench
from workbench.core.settings import load_settings

pytest_plugins = ["server_fixtures", "small_notebooks"]

# The same examples each time: a change that is right lands. Others are looked for with HYPOTHESIS_PROFILE=default.
settings.register_profile("same", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

MOMENT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
"""What the clock says in tests."""


def pytest_xdist_auto_num_workers():
    """As many workers as cores, four at most: each starts servers, kernels and browsers beside itself."""
    return min(4, os.cpu_count() or 1)


@pytest.fixture(autouse=True, scope="module")
def main_module():
    """Put ``__main__`` back after a file's tests: IPython takes its place, and then no process can be spawned."""
    found = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = found


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home, for this process and for what it starts."""
    folder = tmp_path / "home"
    monkeypatch.setenv("WORKBENCH_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    """A bench whose home is shared by all tests that only read."""
    return Workbench(load_settings(home=tmp_path_factory.mktemp("home")), clock=lambda: MOMENT)


@pytest.fixture(scope="session")
def bars(bench):
    """Adjusted bars of Apple, Facebook (from 2012-05-18 on) and IBM."""
    return bench.bars(["AAPL", "FB", "IBM"], start="2005")
