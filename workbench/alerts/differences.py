"""Alerts of parity: reported signals that are no longer what the backtest says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import sqlalchemy as sa

from workbench.alerts.evaluate import Alarm
from workbench.backtest.told import Told

SHOWN = 8
"""How many signals an alert names."""


def raise_differences(connection: sa.Connection, differing: Sequence[Told], alarm: Alarm) -> int:
    """Raise an alert for each strategy and cause, and return how many are new.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        The transaction in which they were noted as differing.
    differing : sequence of Told
        In the order of their bars.
    alarm : callable
    """
    groups: dict[tuple[str, str, str], list[Told]] = {}
    for each in differing:
        name = json.dumps(each.parameters, sort_keys=True)
        groups.setdefault((each.strategy, name, each.cause or ""), []).append(each)
    return sum(_raise(connection, group, alarm) for group in groups.values())


def _raise(connection: sa.Connection, group: Sequence[Told], alarm: Alarm) -> bool:
    first, count = group[0], len(group)
    ids = hashlib.sha256(json.dumps([each.id for each in group]).encode()).hexdigest()[:32]
    what = "1 reported signal is" if count == 1 else f"{count:,} reported signals are"
    subject = f"{first.strategy}: {what} no longer what the backtest says ({first.cause})"
    named = ", ".join(f"{each.symbol} {each.session:%Y-%m-%d} ({each.said.signal})" for each in group[-SHOWN:])
    left = f" and {count - SHOWN:,} before" if count > SHOWN else ""
    given = ", ".join(f"{name}={value}" for name, value in first.parameters.items())
    return alarm(connection, f"parity:{ids}", subject, f"{first.strategy}({given}) on {first.dataset}: {named}{left}")
