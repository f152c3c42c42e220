"""Alerts are raised: one row for each key and its messages, in the transaction of what they tell of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from workbench.alerts.history import Alert, AlertList, Alerts, source_of
from workbench.alerts.outbox import one_at_a_time, queue
from workbench.alerts.policy import Policy
from workbench.alerts.silences import hush
from workbench.alerts.tables import ALERTS

if TYPE_CHECKING:
    from workbench.alerts.evaluate import NamedRule

__all__ = ["USUAL", "Alert", "AlertList", "Alerts", "goes_on", "let_go", "raise_alert"]

USUAL = ("lab",)
"""Where alerts go unless a rule or the settings say otherwise."""


def raise_alert(
    connection: sa.Connection,
    key: str,
    subject: str,
    text: str,
    at: datetime,
    span: tuple[datetime | None, datetime | None] = (None, None),
    *,
    rule: NamedRule | None = None,
    symbol: str | None = None,
    policy: Policy | None = None,
    usual: Sequence[str] = USUAL,
    holds: bool = False,
) -> bool:
    """Raise an alert and queue its messages, unless there is one with its key.

    Nobody is told of it while its rule is snoozed, while a silence is about it, and within the cool-down after another
    one of the same rule and symbol that was told; it is recorded all the same.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction that writes: the alert and its messages are there if, and only if, what it tells of is.
    key, subject, text : str
    at : datetime
        The present instant.
    span : tuple of datetime, optional
        The first and the last bar or quote that it tells of.
    rule : NamedRule, optional
        What found it.
    symbol : str, optional
        Of which symbol.
    policy : Policy, optional
        How it is told; by itself as its rule says.
    usual : sequence of str
        Where it is told, if the policy names no channels.
    holds : bool
        Whether it goes on until ``let_go``, as what a stream has found does.

    Returns
    -------
    bool
        Whether it is new.
    """
    one_at_a_time(connection)
    chosen = policy if policy is not None else rule.policy if rule is not None else Policy()
    id_ = rule.id if rule is not None else None
    held = _held(connection, source_of(key), id_, symbol, chosen, at)
    row: dict[str, Any] = {"key": key, "subject": _storable(subject), "text": _storable(text), "raised": at}
    row |= {"since": span[0], "until": span[1], "rule": id_, "symbol": symbol, "priority": chosen.priority}
    row |= {"holds": holds, "held": held, "escalates": _escalates(chosen, id_, held, at)}
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    made = insert(ALERTS).values(row).on_conflict_do_nothing().returning(ALERTS.c.id)
    alert = connection.execute(made).scalar()
    if alert is not None and held is None:
        topic = chosen.group or (rule.name if rule is not None else source_of(key))
        queue(connection, alert, usual if chosen.channels is None else chosen.channels, chosen, topic, at)
    return alert is not None


def _storable(text: str) -> str:
    """Return a text as PostgreSQL takes it: no alert is lost because an error had a null byte in it."""
    return text.replace("\x00", "\ufffd")


def _held(
    connection: sa.Connection, source: str, rule: str | None, symbol: str | None, policy: Policy, at: datetime
) -> str | None:
    """Return why nobody is to be told of an alert."""
    quiet = hush(connection, source, rule, symbol, at)
    if quiet is not None:
        return quiet[0]
    if rule is None or not policy.cool_down:
        return None
    same = ALERTS.c.rule == rule, ALERTS.c.symbol.is_not_distinct_from(symbol), ALERTS.c.held.is_(None)
    told = sa.select(ALERTS.c.id).where(*same, ALERTS.c.raised > at - policy.cool_down).limit(1)
    return None if connection.execute(told).first() is None else "cool-down"


def _escalates(policy: Policy, rule: str | None, held: str | None, at: datetime) -> datetime | None:
    """Return when others are told; to whom is read from the rule then, so that what none has found is not."""
    if policy.escalate_after is None or rule is None or held is not None:
        return None
    return at + policy.escalate_after


def goes_on(connection: sa.Connection, about: str, since: datetime, until: datetime) -> bool:
    """Say whether an alert tells of some of these bars already, and note that it does so up to the last of them.

    What a stream has told and not let go of reaches up to now.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction that writes.
    about : str
        With what the alert's key begins.
    since, until : datetime
        The first and the last bar.
    """
    one_at_a_time(connection)
    reaches = sa.or_(ALERTS.c.until >= since, ALERTS.c.holds.is_(sa.true()))
    same = ALERTS.c.key.startswith(about, autoescape=True), _near(about), ALERTS.c.since <= until, reaches
    found = connection.execute(ALERTS.select().where(*same).order_by(ALERTS.c.until.desc())).first()
    if found is not None and (found.until is None or found.until < until):
        connection.execute(ALERTS.update().where(ALERTS.c.id == found.id).values(until=until))
    return found is not None


def _near(about: str) -> sa.ColumnElement[bool]:
    """Return where alerts can be that begin so, for the index: the beginning of a key has none on every database."""
    source, _, rest = about.partition(":")
    rule, _, symbol = rest.partition(":")
    if source != "rule" or not symbol.endswith(":"):
        return sa.true()
    # Those that are older than these columns have neither.
    return sa.or_(ALERTS.c.rule.is_(None), sa.and_(ALERTS.c.rule == rule, ALERTS.c.symbol == symbol[:-1]))


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
