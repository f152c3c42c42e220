"""Records of both kinds, and rules in them as far as their alerts need them."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from workbench.alerts.policy import Policy, make_policy
from workbench.alerts.tables import ALERTS, MESSAGES, RULES, SILENCES, TELL


@dataclass(frozen=True)
class KeptRule:
    """As much of a rule as its alerts need."""

    id: str
    name: str
    policy: Policy


@pytest.fixture
def database(records):
    """Records of either kind without any alert."""
    with records.writing() as connection:
        for table in (TELL, MESSAGES, ALERTS, SILENCES, RULES):
            connection.execute(table.delete())
    return records


@pytest.fixture
def make_rule(database):
    """Keep a rule with a name and a policy, and return it."""

    def made(name, **policy):
        rule = KeptRule(f"id-{name}", name, make_policy(policy))
        row = {"id": rule.id, "name": name, "kind": "price", "definition": {}, "policy": rule.policy.plain()}
        with database.writing() as connection:
            connection.execute(RULES.insert().values({**row, "created": datetime(2026, 1, 1, tzinfo=UTC)}))
        return rule

    return made
