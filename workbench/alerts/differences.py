"""Alerts of parity: reported signals that are no longer what the backtest says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from workbench.alerts.firings import USUAL, raise_alert
from workbench.backtest.told import Told

SHOWN = 8
"""How many signals an alert names."""


def raise_differences(
    connection: sa.Connection, differing: Sequence[Told], at: datetime, usual: Sequence[str] = USUAL
) -> int:
    """Raise an alert for each strategy and cause, and return how many are new.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        The transaction in which they were noted as differing.
    differing : sequence of Told
        In the order of their bars.
    at : datetime
        The present instant.
    usual : sequence of str
        Where they are told.
    """
    groups: dict[tuple[str, str, str], list[Told]] = {}
    for each in differing:
        name = json.dumps(each.parameters, sort_keys=True)
        groups.setdefault((each.strategy, name, each.cause or ""), []).append(each)
    return sum(_raise(connection, group, at, usual) for group in groups.values())


def _raise(connection: sa.Connection, group: Sequence[Told], at: datetime, usual: Sequence[str]) -> bool:
    first, count = group[0], len(group)
    ids = hashlib.sha256(json.dumps([each.id for each in group]).encode()).hexdigest()[:32]
    what = "1 reported signal is" if count == 1 else f"{count:,} reported signals are"
    subject = f"{first.strategy}: {what} no longer what the backtest says ({first.cause})"
    named = ", ".join(
        f"{each.symbol} {each.session:%Y-%m-%d %H:%M} UTC ({each.said.signal})" for each in group[-SHOWN:]
    )
    left = f" and {count - SHOWN:,} before" if count > SHOWN else ""
    given = ", ".join(f"{name}={value}" for name, value in first.parameters.items())
    text = f"{first.strategy}({given}) on {first.dataset}: {named}{left}"
    span = first.session, group[-1].session
    return raise_alert(connection, f"parity:{ids}", subject, text, at, span, usual=usual)
