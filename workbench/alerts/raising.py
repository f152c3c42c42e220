"""The alerts that come of what rules say: one each time that a rule fires at a symbol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd
import sqlalchemy as sa

from workbench.alerts.evaluate import Verdict
from workbench.alerts.firings import Firing, raise_alerts
from workbench.alerts.ongoing import going_on, let_go
from workbench.alerts.tables import ALERTS, RULES
from workbench.backtest.statements import stamped
from workbench.core.clock import Clock
from workbench.core.database import Database


def raise_fired(
    database: Database, verdicts: Sequence[Verdict], clock: Clock, usual: tuple[str, ...] = ("lab",)
) -> frozenset[str]:
    """Raise an alert for each verdict that fired and that none tells of yet, and return the keys of the new ones.

    What goes on is told of, also where data that were adjusted or restated let it begin at another bar. What a stream
    has told goes on until it has let go of it, or a closed bar after it has.

    Parameters
    ----------
    database : Database
    verdicts : sequence of Verdict
    clock : callable
    usual : tuple of str
        The channels of a rule whose policy names none.
    """
    keyed = [each for each in verdicts if each.key is not None]
    away = {(each.rule.id, each.symbol): each for each in verdicts if not pd.isna(each.released)}
    with database.reading() as connection:
        loose = _loose(connection, away)
    if not keyed and not loose:
        return frozenset()
    with database.writing() as connection:
        ids = sorted({str(each.rule.id) for each in keyed})
        # Two that look at once go one after the other; on SQLite they do so in any case.
        wanted = RULES.select().where(RULES.c.id.in_(ids), RULES.c.removed.is_(None)).order_by(RULES.c.id)
        kept = {row.id for row in connection.execute(wanted.with_for_update())}
        for each in _loose(connection, away):
            let_go(connection, str(each.rule.id), each.symbol, stamped(each.released))
        now, new = clock(), set[str]()
        for part in _parts([each for each in keyed if each.rule.id in kept]):
            going = going_on(connection, [(_about(each), *_span(each)) for each in part])
            fired = [_firing(each) for each in part if _about(each) not in going]
            new |= raise_alerts(connection, fired, now, usual)
        return frozenset(new)


def _loose(connection: sa.Connection, away: Mapping[tuple[str | None, str], Verdict]) -> list[Verdict]:
    """Return those of which a stream's alert says that they hold, though they began by the bar that says otherwise."""
    if not away:
        return []
    wanted = sa.select(ALERTS.c.rule, ALERTS.c.symbol, ALERTS.c.since).where(ALERTS.c.holds.is_(sa.true()))
    found = [(away.get((row.rule, row.symbol)), row.since) for row in connection.execute(wanted)]
    return [each for each, since in found if each and since and since <= stamped(each.released)]


def _parts(verdicts: Sequence[Verdict]) -> list[list[Verdict]]:
    """Return verdicts in parts that have each rule and symbol once: the first of each, then the second ones, ..."""
    counts, parts = Counter[str](), list[list[Verdict]]()
    for each in verdicts:
        place = counts[_about(each)]
        counts[_about(each)] += 1
        if place == len(parts):
            parts.append([])
        parts[place].append(each)
    return parts


def _about(verdict: Verdict) -> str:
    return f"rule:{verdict.rule.id}:{verdict.symbol}:"


def _span(verdict: Verdict) -> tuple[datetime, datetime]:
    return stamped(verdict.since), stamped(verdict.time)


def _firing(verdict: Verdict) -> Firing:
    told = verdict.subject, verdict.text, *_span(verdict)
    return Firing(str(verdict.key), *told, rule=verdict.rule, symbol=verdict.symbol)
