"""The outbox: messages that are made together with their alerts, and that reach each channel at least once.

Of the messages of a topic to a channel one gathers alerts until it is due, and one at the most is under way; so there
are never more than these two open, however many alerts there are and however long a channel is down. What is sent
again has the same key and the very same words. Each change of a message is one compare-and-set on its id and its claim:
a sender that was too slow, whose message another one has taken, changes nothing.

Whoever writes alerts, or more than one message, does so one after the other (``one_at_a_time``); so no alert can join a
message whose words are being written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from workbench.alerts.messages import (
    ESCALATED,
    OPEN,
    PRIORITIES,
    Message,
    MessageState,
    count_alerts,
    message_of,
    named_alerts,
    worded,
)
from workbench.alerts.policy import Policy, make_policy, quiet_until
from workbench.alerts.silences import hush
from workbench.alerts.tables import ALERTS, MESSAGES, RULES, TELL
from workbench.core.clock import Clock
from workbench.core.database import Database

__all__ = ["Message", "MessageState", "Outbox", "one_at_a_time", "queue"]

BREATH = timedelta(seconds=1)
"""How long a message waits at least for other alerts of the same moment."""
BACK_OFF, LONGEST_BACK_OFF, LONGEST_ASKED = timedelta(seconds=30), timedelta(hours=1), timedelta(days=1)
GIVE_UP, TRIES = timedelta(days=3), 8
"""A message is given up that is older and has been tried so often; one may have waited long for the one before it."""

_LOCK = 0x5452494D
"""The number of PostgreSQL's advisory lock."""
_LATEST = timedelta(days=36_525)


def one_at_a_time(connection: sa.Connection) -> None:
    """Wait until nobody else writes alerts, up to the end of this transaction, which may call it again."""
    # On SQLite a writer has the whole file to itself already.
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def queue(
    connection: sa.Connection, alert: int, channels: Iterable[str], policy: Policy, topic: str, now: datetime
) -> None:
    """Have an alert told to channels: by the message of its topic that gathers, or by a new one.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        The transaction in which the alert is raised, after ``one_at_a_time``.
    alert : int
        Its id.
    channels : iterable of str
    policy : Policy
        Its window, quiet hours and priority count.
    topic : str
    now : datetime
    """
    names = list(dict.fromkeys(channels))
    if not names:
        return
    same, went = _gathering_and_went(connection, names, topic, now - policy.window)
    due = {name: _due(went.get(name), policy, now) for name in names}
    for row in same.values():
        rank = max(row.priority, policy.priority, key=PRIORITIES.index)
        # What may go earlier takes along what would have waited longer, as urgent alerts do in quiet hours.
        if rank != row.priority or due[row.channel] < row.not_before:
            values = {"priority": rank, "not_before": min(row.not_before, due[row.channel])}
            connection.execute(MESSAGES.update().where(MESSAGES.c.id == row.id).values(values))
    ids = [row.id for row in same.values()]
    if ids:
        connection.execute(MESSAGES.update().where(MESSAGES.c.id.in_(ids)).values(alerts=MESSAGES.c.alerts + 1))
    new = [name for name in names if name not in same]
    ids += [_gather(connection, name, topic, policy.priority, due[name], now) for name in new]
    connection.execute(TELL.insert().values([{"message": id_, "alert": alert} for id_ in ids]))


def _gathering_and_went(
    connection: sa.Connection, channels: Sequence[str], topic: str, since: datetime
) -> tuple[dict[str, sa.Row[Any]], dict[str, datetime]]:
    """Return by channel the message that gathers a topic's alerts, and when one went last, of those after ``since``."""
    columns = (MESSAGES.c[name] for name in ("id", "channel", "state", "priority", "not_before", "claimed"))
    wanted: sa.Select[Any] = sa.select(*columns)
    # What went is not before then in either column; the index has one of them.
    lately = sa.and_(MESSAGES.c.claimed > since, MESSAGES.c.not_before > since)
    mine = MESSAGES.c.channel.in_(channels), MESSAGES.c.topic == topic
    rows = connection.execute(wanted.where(*mine, sa.or_(MESSAGES.c.state == "gathering", lately))).all()
    went: dict[str, datetime] = {}
    for row in rows:
        if row.claimed is not None:
            went[row.channel] = max(row.claimed, went.get(row.channel, row.claimed))
    return {row.channel: row for row in rows if row.state == "gathering"}, went


def _gather(connection: sa.Connection, channel: str, topic: str, priority: str, due: datetime, now: datetime) -> int:
    row = {"key": f"message:{uuid4()}", "channel": channel, "topic": topic, "state": "gathering", "priority": priority}
    counts = {"alerts": 1, "attempts": 0, "created": now, "not_before": due}
    made = connection.execute(MESSAGES.insert().values({**row, **counts}).returning(MESSAGES.c.id))
    return int(made.scalar_one())


def _due(went: datetime | None, policy: Policy, now: datetime) -> datetime:
    """Return when a message may go: a window after the last one went, and not in quiet hours unless it is urgent."""
    due = now + BREATH if went is None else max(now + BREATH, went + policy.window)
    quiet = None if policy.priority == "urgent" else quiet_until(policy, due)
    return due if quiet is None else max(due, quiet)


class Outbox:
    """The messages of a home; any number of senders work on it at once.

    Parameters
    ----------
    database : Database
    clock : callable
        The present instant.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def claim(self, who: str, lease: timedelta, most: int = 20) -> list[Message]:
        """Take messages that are due, the most urgent first; nobody else gets them until the lease is over.

        The words of a message are written when it is taken first, and never after.

        Parameters
        ----------
        who : str
            The sender.
        lease : timedelta
            How long it may take; what is not settled by then is sent again, by whoever comes first.
        most : int
        """
        with self.database.reading() as connection:
            if connection.execute(_ready(self.clock(), 1)).first() is None:
                return []
        with self.database.writing() as connection:
            one_at_a_time(connection)
            now = self.clock()
            rows = connection.execute(_ready(now, most)).all()
            taken = [_take(connection, row, f"{who}:{uuid4()}", now, lease) for row in rows]
        return [each for each in taken if each is not None]

    def sent(self, message: Message) -> bool:
        """Note that a claimed message has been sent; ``False`` where it is another sender's by now."""
        with self.database.writing() as connection:
            one_at_a_time(connection)
            now = self.clock()
            mine = _settle(connection, message, {"state": "sent", "settled": now, "error": None})
            if mine:
                _space(connection, message, now)
        return mine

    def failed(
        self, message: Message, error: str, retry_after: float | None = None, *, permanent: bool = False
    ) -> bool:
        """Note that a claimed message could not be sent; ``False`` where it is another sender's by now.

        It is tried again after 30 s, 1 min, 2 min, ... up to an hour, for three days; then it has failed for good.

        Parameters
        ----------
        message : Message
        error : str
            Why, in a sentence without any secret.
        retry_after : float, optional
            How many seconds the channel asks to be left alone, a day at the most.
        permanent : bool
            Whether there is no point in trying again.
        """
        now = self.clock()
        old = message.created is not None and now - message.created >= GIVE_UP and message.attempts >= TRIES
        if permanent or old:
            values: dict[str, Any] = {"state": "failed", "settled": now, "error": error}
        else:
            values = {"state": "waiting", "not_before": now + back_off(message.attempts, retry_after), "error": error}
        with self.database.writing() as connection:
            return _settle(connection, message, values)

    def escalate(self, most: int = 100) -> int:
        """Tell others of the alerts that nobody has acknowledged in time, once each; return of how many.

        What is snoozed or silenced by now waits until that is over.
        """
        with self.database.reading() as connection:
            if connection.execute(_unheard(self.clock(), 1)).first() is None:
                return 0
        with self.database.writing() as connection:
            one_at_a_time(connection)
            now = self.clock()
            return sum(_escalate(connection, row, now) for row in connection.execute(_unheard(now, most)).all())

    def messages(self, state: MessageState | Sequence[MessageState] = (), most: int = 200) -> list[Message]:
        """Return messages, the newest first: in a state, in one of several, or all."""
        wanted = MESSAGES.select().order_by(MESSAGES.c.id.desc()).limit(most)
        states = [state] if isinstance(state, str) else list(state)
        if states:
            wanted = wanted.where(MESSAGES.c.state.in_(states))
        with self.database.reading() as connection:
            return [message_of(row) for row in connection.execute(wanted)]

    def next_due(self) -> datetime | None:
        """Return when there is something to send, to take over or to escalate next; ``None`` where there is not."""
        with self.database.reading() as connection:
            first = connection.execute(_ready(self.clock() + _LATEST, 1, by_time=True)).first()
            wanted = sa.select(sa.func.min(ALERTS.c.escalates, type_=ALERTS.c.escalates.type))
            late: datetime | None = connection.execute(wanted.where(*_UNHEARD)).scalar()
        moments = ([first.not_before] if first else []) + ([late] if late else [])
        return min(moments, default=None)


def back_off(attempts: int, retry_after: float | None = None) -> timedelta:
    """Return how long to wait after so many attempts, at least 1: 30 s, then twice as long each time, up to an hour."""
    own = min(BACK_OFF * int(2 ** min(attempts - 1, 20)), LONGEST_BACK_OFF)
    return own if retry_after is None else max(own, min(timedelta(seconds=retry_after), LONGEST_ASKED))


def _ready(now: datetime, most: int, *, by_time: bool = False) -> sa.Select[Any]:
    """Select the messages that may be taken: what gathers waits until the one before it is done with."""
    under_way = sa.select(MESSAGES.c.channel, MESSAGES.c.topic).where(MESSAGES.c.state.in_(("sending", "waiting")))
    is_next = sa.tuple_(MESSAGES.c.channel, MESSAGES.c.topic).not_in(under_way)
    free = MESSAGES.c.state.in_(OPEN), sa.or_(MESSAGES.c.state != "gathering", is_next)
    rank = sa.case({name: place for place, name in enumerate(PRIORITIES)}, value=MESSAGES.c.priority)
    order = [MESSAGES.c.not_before] if by_time else [rank.desc(), MESSAGES.c.not_before]
    return MESSAGES.select().where(*free, MESSAGES.c.not_before <= now).order_by(*order, MESSAGES.c.id).limit(most)


def _take(connection: sa.Connection, row: sa.Row[Any], claim: str, now: datetime, lease: timedelta) -> Message | None:
    """Take a message unless another sender has been faster, with its words."""
    named = named_alerts(connection, row.id)
    values: dict[str, Any] = {"state": "sending", "claim": claim, "claimed": now, "not_before": now + lease}
    # A sender that died has not been refused: what it had in hand is no reason to wait longer next time.
    values["attempts"] = row.attempts + (row.state != "sending")
    if row.subject is None:
        values["alerts"] = count_alerts(connection, row.id)
        values["subject"], values["text"] = worded(row.topic, values["alerts"], named)
    same = MESSAGES.c.id == row.id, MESSAGES.c.state == row.state, MESSAGES.c.claim.is_not_distinct_from(row.claim)
    taken = connection.execute(MESSAGES.update().where(*same).values(values).returning(*MESSAGES.c)).first()
    return None if taken is None else message_of(taken, tuple(each.key for each in named))


def _settle(connection: sa.Connection, message: Message, values: dict[str, Any]) -> bool:
    mine = MESSAGES.c.id == message.id, MESSAGES.c.claim == message.claim, MESSAGES.c.state == "sending"
    return connection.execute(MESSAGES.update().where(*mine).values(values)).rowcount == 1


def _space(connection: sa.Connection, message: Message, now: datetime) -> None:
    """Keep the next message of a topic a window away from one that went late."""
    mine = MESSAGES.c.channel == message.channel, MESSAGES.c.topic == message.topic
    row = connection.execute(MESSAGES.select().where(*mine, MESSAGES.c.state == "gathering")).first()
    if row is None:
        return
    policies = sa.select(RULES.c.policy).join(ALERTS, ALERTS.c.rule == RULES.c.id)
    newest = policies.join(TELL, TELL.c.alert == ALERTS.c.id).where(TELL.c.message == row.id)
    found = connection.execute(newest.order_by(ALERTS.c.id.desc()).limit(1)).scalar()
    if found is None and message.attempts == 1:
        return
    policy = make_policy(found or {})
    due = max(row.not_before, (message.claimed or now) + policy.window)
    connection.execute(MESSAGES.update().where(MESSAGES.c.id == row.id).values(not_before=due))


_UNHEARD = ALERTS.c.escalates.is_not(None), ALERTS.c.escalated.is_(None), ALERTS.c.acknowledged.is_(None)


def _unheard(now: datetime, most: int) -> sa.Select[Any]:
    return ALERTS.select().where(*_UNHEARD, ALERTS.c.escalates <= now).order_by(ALERTS.c.escalates).limit(most)


def _escalate(connection: sa.Connection, alert: sa.Row[Any], now: datetime) -> bool:
    """Queue an alert for those who hear of what nobody has acknowledged."""
    mine = ALERTS.c.id == alert.id, *_UNHEARD
    quiet = hush(connection, alert.key.partition(":")[0], alert.rule, alert.symbol, now)
    if quiet is not None:
        connection.execute(ALERTS.update().where(*mine).values(escalates=quiet[1]))
        return False
    if not connection.execute(ALERTS.update().where(*mine).values(escalated=now)).rowcount:
        return False
    rule = connection.execute(RULES.select().where(RULES.c.id == alert.rule)).one()
    policy = make_policy(rule.policy).model_copy(update={"priority": alert.priority})
    queue(connection, alert.id, policy.escalate_to, policy, f"{ESCALATED}{policy.group or rule.name}", now)
    return True
