"""The alerts that come of what rules say: one each time that a rule fires at a symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from workbench.alerts.evaluate import Verdict
from workbench.alerts.firings import goes_on, let_go, raise_alert
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
    keyed = [(each.key, each) for each in verdicts if each.key is not None]
    away = {(each.rule.id, each.symbol): each for each in verdicts if not pd.isna(each.released)}
    with database.reading() as connection:
        loose = _loose(connection, away)
    if not keyed and not loose:
        return frozenset()
    with database.writing() as connection:
        ids = sorted({str(each.rule.id) for _, each in keyed})
        # Two that look at once go one after the other; on SQLite they do so in any case.
        wanted = RULES.select().where(RULES.c.id.in_(ids), RULES.c.removed.is_(None)).order_by(RULES.c.id)
        kept = {row.id for row in connection.execute(wanted.with_for_update())}
        for each in _loose(connection, away):
            let_go(connection, str(each.rule.id), each.symbol, stamped(each.released))
        now = clock()
        return frozenset(
            key for key, each in keyed if each.rule.id in kept and _raise(connection, key, each, now, usual)
        )


def _loose(connection: sa.Connection, away: Mapping[tuple[str | None, str], Verdict]) -> list[Verdict]:
    """Return those of which a stream's alert says that they hold, though they began by the bar that says otherwise."""
    if not away:
        return []
    wanted = sa.select(ALERTS.c.rule, ALERTS.c.symbol, ALERTS.c.since).where(ALERTS.c.holds.is_(sa.true()))
    found = [(away.get((row.rule, row.symbol)), row.since) for row in connection.execute(wanted)]
    return [each for each, since in found if each and since and since <= stamped(each.released)]


def _raise(connection: sa.Connection, key: str, verdict: Verdict, now: datetime, usual: tuple[str, ...]) -> bool:
    span, rule = (stamped(verdict.since), stamped(verdict.time)), verdict.rule
    if goes_on(connection, f"rule:{rule.id}:{verdict.symbol}:", *span):
        return False
    told: dict[str, Any] = {"rule": rule, "symbol": verdict.symbol, "policy": rule.policy, "usual": usual}
    return raise_alert(connection, key, verdict.subject, verdict.text, now, span, **told)
