"""Alerts are raised: one row for each key and its messages, in the transaction of what they tell of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from workbench.alerts.history import Alert, AlertList, Alerts, source_of
from workbench.alerts.messages import storable
from workbench.alerts.policy import Policy
from workbench.alerts.queueing import Letter, one_at_a_time, queue
from workbench.alerts.silences import Hushed
from workbench.alerts.tables import ALERTS

if TYPE_CHECKING:
    from workbench.alerts.evaluate import NamedRule

__all__ = [
    "USUAL",
    "Alert",
    "AlertList",
    "Alerts",
    "Firing",
    "raise_alert",
    "raise_alerts",
]

_CHUNK = 500
"""How many alerts are written with one statement."""

USUAL = ("lab",)
"""Where alerts go unless a rule or the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert to be raised.

    Attributes
    ----------
    key, subject, text : str
    since, until : datetime, optional
        The first and the last bar or quote that it tells of.
    rule : NamedRule, optional
        What found it.
    symbol : str, optional
        Of which symbol.
    policy : Policy, optional
        How it is told; by itself as its rule says.
    holds : bool
        Whether it goes on until ``let_go``, as what a stream has found does.
    """

    key: str
    subject: str
    text: str
    since: datetime | None = None
    until: datetime | None = None
    rule: NamedRule | None = None
    symbol: str | None = None
    policy: Policy | None = None
    holds: bool = False

    @property
    def about(self) -> tuple[str | None, str | None]:
        """The id of its rule, and its symbol."""
        return self.rule.id if self.rule is not None else None, self.symbol

    @property
    def told(self) -> Policy:
        """How it is told."""
        return self.policy if self.policy is not None else self.rule.policy if self.rule is not None else Policy()

    @property
    def topic(self) -> str:
        """What its messages gather."""
        return self.told.group or (self.rule.name if self.rule is not None else source_of(self.key))


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
    """Raise one alert, unless there is one with its key, and return whether it is new; see ``raise_alerts``."""
    firing = Firing(key, subject, text, *span, rule, symbol, policy, holds)
    return bool(raise_alerts(connection, [firing], at, usual))


def raise_alerts(
    connection: sa.Connection, firings: Sequence[Firing], at: datetime, usual: Sequence[str] = USUAL
) -> frozenset[str]:
    """Raise alerts and queue their messages, but for those whose keys there are; return the keys of the new ones.

    Nobody is told of one while its rule is snoozed, while a silence is about it, and within the cool-down after another
    one of the same rule and symbol that was told; it is recorded all the same.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction that writes: the alerts and their messages are there if, and only if, what they tell of is.
    firings : sequence of Firing
        In their order.
    at : datetime
        The present instant.
    usual : sequence of str
        Where they are told, if their policies name no channels.
    """
    new = set[str]()
    for start in range(0, len(firings), _CHUNK):
        new |= _raise(connection, firings[start : start + _CHUNK], at, usual)
    return frozenset(new)


def _raise(connection: sa.Connection, firings: Sequence[Firing], at: datetime, usual: Sequence[str]) -> set[str]:
    one_at_a_time(connection)
    known = connection.execute(sa.select(ALERTS.c.key).where(ALERTS.c.key.in_([each.key for each in firings])))
    # Of two with one key the first counts.
    fresh = {each.key: each for each in reversed(firings)}
    for key in known.scalars():
        del fresh[key]
    ordered = list(fresh.values())[::-1]
    if not ordered:
        return set()
    held = _held(connection, ordered, at)
    rows = [_row(each, held.get(each.key), at) for each in ordered]
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    made = insert(ALERTS).on_conflict_do_nothing().returning(ALERTS.c.id, ALERTS.c.key)
    ids = {row.key: row.id for row in connection.execute(made, rows)}
    told = [each for each in ordered if each.key in ids and each.key not in held]
    queue(connection, [_letter(each, ids[each.key], usual) for each in told], at)
    return set(ids)


def _row(firing: Firing, held: str | None, at: datetime) -> dict[str, Any]:
    rule, symbol = firing.about
    row = {"key": firing.key, "subject": storable(firing.subject), "text": storable(firing.text), "raised": at}
    row |= {"since": firing.since, "until": firing.until, "rule": rule, "symbol": symbol}
    escalates = _escalates(firing.told, rule, held, at)
    return row | {"priority": firing.told.priority, "holds": firing.holds, "held": held, "escalates": escalates}


def _letter(firing: Firing, alert: int, usual: Sequence[str]) -> Letter:
    policy = firing.told
    return Letter(alert, tuple(usual if policy.channels is None else policy.channels), policy, firing.topic)


def _held(connection: sa.Connection, firings: Sequence[Firing], at: datetime) -> dict[str, str]:
    """Return by key why nobody is to be told of an alert."""
    hushed, told, held = Hushed(connection, at), _told_lately(connection, firings, at), dict[str, str]()
    for each in firings:
        quiet = hushed.of(source_of(each.key), *each.about)
        if quiet is not None:
            held[each.key] = quiet[0]
            continue
        if each.rule is None or not each.told.cool_down:
            continue
        if each.about in told and told[each.about] > at - each.told.cool_down:
            held[each.key] = "cool-down"
        else:
            told[each.about] = at
    return held


def _told_lately(
    connection: sa.Connection, firings: Sequence[Firing], at: datetime
) -> dict[tuple[str | None, str | None], datetime]:
    """Return when each rule and symbol with a cool-down was told last."""
    cooling = [each for each in firings if each.rule is not None and each.told.cool_down]
    if not cooling:
        return {}
    since = at - max(each.told.cool_down for each in cooling)
    rules = sorted({str(each.about[0]) for each in cooling})
    last = sa.func.max(ALERTS.c.raised, type_=ALERTS.c.raised.type)
    wanted = sa.select(ALERTS.c.rule, ALERTS.c.symbol, last).group_by(ALERTS.c.rule, ALERTS.c.symbol)
    mine = ALERTS.c.rule.in_(rules), ALERTS.c.held.is_(None), ALERTS.c.raised > since, _symbol_of(cooling)
    return {(rule, symbol): raised for rule, symbol, raised in connection.execute(wanted.where(*mine))}


def _symbol_of(firings: Sequence[Firing]) -> sa.ColumnElement[bool]:
    symbols = {each.symbol for each in firings}
    named = ALERTS.c.symbol.in_(sorted(each for each in symbols if each is not None))
    return sa.or_(named, ALERTS.c.symbol.is_(None)) if None in symbols else named


def _escalates(policy: Policy, rule: str | None, held: str | None, at: datetime) -> datetime | None:
    """Return when others are told; to whom is read from the rule then, so that what none has found is not."""
    if policy.escalate_after is None or rule is None or held is not None:
        return None
    return at + policy.escalate_after
