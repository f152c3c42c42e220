"""One server for people who look at dashboards, shared by the tests of this folder."""

from __future__ import annotations

import pytest
from workbench_server import serving


@pytest.fixture(scope="session")
def viewers(tmp_path_factory):
    """A running ``workbench apps``."""
    with serving("apps", tmp_path_factory.mktemp("apps")) as server:
        yield server
