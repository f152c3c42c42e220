"""What a stream has found, written down: an alert each time that a rule fires, and the end of what was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from workbench.alerts.firings import goes_on, let_go, raise_alert
from workbench.alerts.streaming import Step, Told
from workbench.alerts.tables import ALERTS, RULES
from workbench.core.clock import Clock
from workbench.core.database import Database

MOST = 100
"""How many alerts are raised in one transaction: others write between two of them."""

Event = tuple[datetime, bool, Told]
"""When, whether it fired, and what."""


def write(database: Database, step: Step, clock: Clock, usual: tuple[str, ...]) -> int:
    """Raise an alert for each rule that fired, and end those that were let go.

    Each alert is there together with its messages. What an alert tells of already is not told again, be it one of
    another monitor, of the scheduled evaluation, or of this step, written once before and broken off midway. Nor is
    what a rule found that has been removed or has expired meanwhile.

    Parameters
    ----------
    database : Database
    step : Step
    clock : callable
    usual : tuple of str
        The channels of rules whose policies name none.

    Returns
    -------
    int
        How many alerts are new.

    Raises
    ------
    StoreError
        If nothing could be written; try again.
    """
    if not step.fired and not _holding(database, step):
        return 0
    # At one instant the end of what was told comes before what is told anew.
    events = [(each.time, False, each) for each in step.let_go] + [(each.time, True, each) for each in step.fired]
    events.sort(key=lambda event: event[:2])
    return sum(_write(database, events[start : start + MOST], clock, usual) for start in range(0, len(events), MOST))


def _write(database: Database, events: Sequence[Event], clock: Clock, usual: tuple[str, ...]) -> int:
    with database.writing() as connection:
        ids = sorted({str(each.rule.id) for _, has_fired, each in events if has_fired})
        # Two that look at once go one after the other; on SQLite they do so in any case.
        wanted = RULES.select().where(RULES.c.id.in_(ids), RULES.c.removed.is_(None)).order_by(RULES.c.id)
        kept = {row.id: row.snoozed for row in connection.execute(wanted.with_for_update())}
        now, new = clock(), 0
        for _, has_fired, told in events:
            if not has_fired:
                let_go(connection, str(told.rule.id), told.symbol, told.time)
            elif told.rule.id in kept and not _expired(told, now):
                new += _raise(connection, told, kept, now, usual)
        return new


def _raise(
    connection: sa.Connection, told: Told, kept: Mapping[str, datetime | None], now: datetime, usual: tuple[str, ...]
) -> bool:
    about = f"rule:{told.rule.id}:{told.symbol}:"
    if goes_on(connection, about, told.time, told.time):
        return False
    # It may have been snoozed since it was read.
    rule = replace(told.rule, snoozed=kept[str(told.rule.id)])
    subject = f"{told.symbol}: {rule.rule.condition}"
    text = f"{told.found}; {told.time:%Y-%m-%d %H:%M:%S} UTC, live; rule {rule.name!r}"
    key, span = f"{about}{told.time.isoformat()}", (told.time, told.time)
    own = {"rule": rule, "symbol": told.symbol, "policy": rule.policy, "usual": usual, "holds": True}
    return raise_alert(connection, key, subject, text, now, span, **own)  # type: ignore[arg-type]


def _holding(database: Database, step: Step) -> bool:
    """Say whether any alert may have to be ended: mostly none, and then nobody is kept from writing."""
    if not step.let_go:
        return False
    wanted = sa.select(ALERTS.c.rule, ALERTS.c.symbol).where(ALERTS.c.holds.is_(sa.true()))
    with database.reading() as connection:
        held = {tuple(row) for row in connection.execute(wanted)}
    return any((each.rule.id, each.symbol) in held for each in step.let_go)


def _expired(told: Told, now: datetime) -> bool:
    expires = told.rule.policy.expires
    return expires is not None and expires <= now
