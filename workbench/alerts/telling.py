"""What a stream has found, written down: an alert each time that a rule fires, and the end of what was told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa

from workbench.alerts.firings import Firing, raise_alerts
from workbench.alerts.ongoing import going_on, let_go
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
    if not step.fired:
        # Mostly there is nothing to be ended, and then nobody is kept from writing.
        with database.reading() as connection:
            if not _held(connection, step.let_go):
                return 0
    # At one instant the end of what was told comes before what is told anew.
    events = [(each.time, False, each) for each in step.let_go] + [(each.time, True, each) for each in step.fired]
    events.sort(key=lambda event: event[:2])
    return sum(_write(database, events[start : start + MOST], clock, usual) for start in range(0, len(events), MOST))


def _write(database: Database, events: Sequence[Event], clock: Clock, usual: tuple[str, ...]) -> int:
    with database.writing() as connection:
        ids = sorted({str(each.rule.id) for _, has_fired, each in events if has_fired})
        # Two that look at once go one after the other; on SQLite they do so in any case.
        wanted = sa.select(RULES.c.id).where(RULES.c.id.in_(ids), RULES.c.removed.is_(None)).order_by(RULES.c.id)
        kept = set(connection.execute(wanted.with_for_update()).scalars())
        now, new = clock(), 0
        for part in _parts(events):
            for told in _held(connection, [each for _, has_fired, each in part if not has_fired]):
                let_go(connection, str(told.rule.id), told.symbol, told.time)
            fired = [each for _, has_fired, each in part if has_fired and each.rule.id in kept]
            new += _raise(connection, [each for each in fired if not _expired(each, now)], now, usual)
        return new


def _parts(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Split events so that no rule and symbol is in a part twice: what happens in one may be written in any order."""
    part, seen = list[Event](), set[tuple[str | None, str]]()
    for event in events:
        about = event[2].rule.id, event[2].symbol
        if about in seen:
            yield part
            part, seen = [], set()
        part.append(event)
        seen.add(about)
    yield part


def _raise(connection: sa.Connection, fired: Sequence[Told], now: datetime, usual: tuple[str, ...]) -> int:
    going = going_on(connection, [(_about(each), each.time, each.time) for each in fired])
    return len(raise_alerts(connection, [_firing(each) for each in fired if _about(each) not in going], now, usual))


def _about(told: Told) -> str:
    return f"rule:{told.rule.id}:{told.symbol}:"


def _firing(told: Told) -> Firing:
    key, subject = f"{_about(told)}{told.time.isoformat()}", f"{told.symbol}: {told.rule.rule.condition}"
    text = f"{told.found}; {told.time:%Y-%m-%d %H:%M:%S} UTC, live; rule {told.rule.name!r}"
    return Firing(key, subject, text, told.time, told.time, rule=told.rule, symbol=told.symbol, holds=True)


def _held(connection: sa.Connection, let_go: Sequence[Told]) -> list[Told]:
    """Return those of which an alert still says that they hold."""
    if not let_go:
        return []
    wanted = sa.select(ALERTS.c.rule, ALERTS.c.symbol).where(ALERTS.c.holds.is_(sa.true()))
    held = {tuple(row) for row in connection.execute(wanted)}
    return [each for each in let_go if (each.rule.id, each.symbol) in held]


def _expired(told: Told, now: datetime) -> bool:
    expires = told.rule.policy.expires
    return expires is not None and expires <= now
