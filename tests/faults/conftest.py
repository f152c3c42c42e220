"""What the full fault tests have counted, as the last line of ``make faults``: one JSON object."""

from __future__ import annotations

import json

import pytest

ADDED = (
    *("due", "recorded", "missing", "duplicated", "stuck", "effects_doubled"),
    *("kills", "alerts", "alerts_lost", "alerts_repeated", "repeats_with_other_key"),
)
"""Counts that add up over the databases; of all others the largest one is told."""

_FIGURES = pytest.StashKey[dict]()


class Figures:
    """Counts by name, over all tests of a session."""

    def __init__(self, kept):
        self.kept = kept

    def add(self, **counts):
        for name, value in counts.items():
            if name in ADDED:
                self.kept[name] = self.kept.get(name, 0) + value
            else:
                self.kept[name] = max(self.kept.get(name, value), value)


@pytest.fixture
def figures(request):
    return Figures(request.config.stash.setdefault(_FIGURES, {}))


def pytest_unconfigure(config):
    if found := config.stash.get(_FIGURES, {}):
        print(json.dumps(found))
