"""What goes on is told once: an alert reaches as far as its rule was seen to hold, and a stream says when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from workbench.alerts.queueing import one_at_a_time
from workbench.alerts.tables import ALERTS

_CHUNK = 500
"""About how many rules and symbols one statement asks."""


def goes_on(connection: sa.Connection, about: str, since: datetime, until: datetime) -> bool:
    """Say whether an alert tells of some of these bars already, and note that it does so up to the last of them.

    What a stream has told and not let go of reaches up to now.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction that writes.
    about : str
        With what the alert's key begins: ``rule:ID:SYMBOL:``.
    since, until : datetime
        The first and the last bar.
    """
    return going_on(connection, [(about, since, until)]) == {about}


def going_on(connection: sa.Connection, spans: Sequence[tuple[str, datetime, datetime]]) -> set[str]:
    """Return of which of these an alert tells already, as ``goes_on`` does for one; each rule and symbol once."""
    going = set[str]()
    for start in range(0, len(spans), _CHUNK):
        going |= _going_on(connection, spans[start : start + _CHUNK])
    return going


def _going_on(connection: sa.Connection, spans: Sequence[tuple[str, datetime, datetime]]) -> set[str]:
    one_at_a_time(connection)
    abouts = [about.removesuffix(":").split(":", 2) for about, _, _ in spans]
    rules, symbols = (sorted({about[place] for about in abouts}) for place in (1, 2))
    # Those that are older than these columns have neither.
    old = sa.and_(ALERTS.c.rule.is_(None), ALERTS.c.key.startswith("rule:"))
    near = sa.or_(sa.and_(ALERTS.c.rule.in_(rules), ALERTS.c.symbol.in_(symbols)), old)
    last = max(until for _, _, until in spans)
    reaches = sa.or_(ALERTS.c.until >= min(since for _, since, _ in spans), ALERTS.c.holds.is_(sa.true()))
    wanted = sa.select(ALERTS.c.id, ALERTS.c.key, ALERTS.c.since, ALERTS.c.until, ALERTS.c.holds)
    rows = connection.execute(wanted.where(near, ALERTS.c.since <= last, reaches)).all()
    going = set[str]()
    for about, since, until in spans:
        mine = [row for row in rows if row.key.startswith(about) and row.since <= until]
        reach = [row for row in mine if row.holds or (row.until is not None and row.until >= since)]
        if not reach:
            continue
        going.add(about)
        found = max(reach, key=lambda row: row.until or row.since)
        if found.until is None or found.until < until:
            connection.execute(ALERTS.update().where(ALERTS.c.id == found.id).values(until=until))
    return going


def let_go(connection: sa.Connection, rule: str, symbol: str, until: datetime) -> bool:
    """Note that what a stream has found holds no more: the next time is told anew.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction that writes.
    rule : str
        The id of the rule.
    symbol : str
    until : datetime
        The last bar or quote of which it is known, UTC.

    Returns
    -------
    bool
        Whether there was something to let go of.
    """
    one_at_a_time(connection)
    # One that began later is another one's: a watcher may be behind.
    mine = ALERTS.c.rule == rule, ALERTS.c.symbol == symbol, ALERTS.c.holds.is_(sa.true()), ALERTS.c.since <= until
    later = sa.case((ALERTS.c.until > until, ALERTS.c.until), else_=sa.literal(until, ALERTS.c.until.type))
    return connection.execute(ALERTS.update().where(*mine).values(holds=False, until=later)).rowcount > 0
