import json
import tomllib
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from workbench.core.provenance import Provenance, code_version, library_versions

MOMENT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_the_code_version_is_the_projects():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert code_version() == project["project"]["version"]


def test_the_versions_of_what_makes_numbers_are_known():
    found = library_versions()
    assert set(found) == {"python", "numpy", "pandas", "xarray", "ta-lib", "vectorbt"}
    assert found["numpy"] == version("numpy")


def test_provenance_goes_through_json_unchanged():
    made = Provenance({"dataset": "x"}, {"fast": 20}, MOMENT, seed=7)
    assert json.loads(json.dumps(made.to_dict())) == {
        "data": {"dataset": "x"},
        "parameters": {"fast": 20},
        "created": "2026-01-05T12:00:00+00:00",
        "seed": 7,
        "code": code_version(),
        "libraries": library_versions(),
    }


def test_provenance_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Provenance({}, {}, MOMENT).seed = 1
