"""The outbox: messages that are made together with their alerts, and that reach each channel at least once.

Of the messages of a topic to a channel one gathers alerts until it is due, and one at the most is under way; so there
are never more than these two open, however many alerts there are and however long a channel is down. What is sent
again has the same key and the very same words. Each change of a message is one compare-and-set on its id and its claim:
a sender that was too slow, whose message another one has taken, changes nothing.

Whoever writes alerts, or more than one message, does so one after the other (``one_at_a_time``); so no alert can join a
message whose words are being written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from workbench.alerts.history import source_of
from workbench.alerts.messages import (
    ESCALATED,
    OPEN,
    PRIORITIES,
    Message,
    MessageState,
    count_alerts,
    message_of,
    named_alerts,
    storable,
    worded,
)
from workbench.alerts.policy import Policy, due, make_policy, quiet_until
from workbench.alerts.queueing import Letter, one_at_a_time, queue
from workbench.alerts.silences import Hushed
from workbench.alerts.tables import ALERTS, MESSAGES, RULES, TELL
from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import ParameterError

BACK_OFF, LONGEST_BACK_OFF, LONGEST_ASKED = timedelta(seconds=30), timedelta(hours=1), timedelta(days=1)
GIVE_UP, TRIES = timedelta(days=3), 8
"""A message is given up that is older and has been tried so often; one may have waited long for the one before it."""

LONGEST_ERROR = 500
_LATEST = timedelta(days=36_525)


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

    def claim(self, who: str, lease: timedelta, most: int = 20, *, without: Collection[str] = ()) -> list[Message]:
        """Take messages that are due, the most urgent first; nobody else gets them until the lease is over.

        The words of a message are written when it is taken first, and never after. One that has become late, and would
        now go in quiet hours, is left until they are over.

        Parameters
        ----------
        who : str
            The sender.
        lease : timedelta
            How long it may take; what is not settled by then is sent again, by whoever comes first.
        most : int
        without : collection of str
            Channels whose messages are left to others, or for later.
        """
        with self.database.reading() as connection:
            if connection.execute(_ready(self.clock(), 1, without)).first() is None:
                return []
        with self.database.writing() as connection:
            one_at_a_time(connection)
            now, taken = self.clock(), list[Message]()
            while rows := connection.execute(_ready(now, most - len(taken), without)).all():
                for row in rows:
                    if not _is_quiet(connection, row, now):
                        taken += _take(connection, row, f"{who}:{uuid4()}", now, lease)
                if len(taken) == most:
                    break
        return taken

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
        now, error = self.clock(), storable(error)[:LONGEST_ERROR]
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
            letters = _unheard_letters(connection, connection.execute(_unheard(now, most)).all(), now)
            queue(connection, letters, now)
        return len(letters)

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


def _ready(now: datetime, most: int, without: Collection[str] = (), *, by_time: bool = False) -> sa.Select[Any]:
    """Select the messages that may be taken: what gathers waits until the one before it is done with."""
    under_way = sa.select(MESSAGES.c.channel, MESSAGES.c.topic).where(MESSAGES.c.state.in_(("sending", "waiting")))
    is_next = sa.tuple_(MESSAGES.c.channel, MESSAGES.c.topic).not_in(under_way)
    free = [MESSAGES.c.state.in_(OPEN), sa.or_(MESSAGES.c.state != "gathering", is_next)]
    if without:
        free.append(MESSAGES.c.channel.not_in(sorted(without)))
    rank = sa.case({name: place for place, name in enumerate(PRIORITIES)}, value=MESSAGES.c.priority)
    order = [MESSAGES.c.not_before] if by_time else [rank.desc(), MESSAGES.c.not_before]
    return MESSAGES.select().where(*free, MESSAGES.c.not_before <= now).order_by(*order, MESSAGES.c.id).limit(most)


def _is_quiet(connection: sa.Connection, row: sa.Row[Any], now: datetime) -> bool:
    """Say whether a message has to wait for the end of quiet hours, and have it wait."""
    if row.priority == "urgent":
        return False
    told = sa.select(ALERTS.c.rule).join(TELL, TELL.c.alert == ALERTS.c.id).where(TELL.c.message == row.id)
    rules = set(connection.execute(told.distinct()).scalars())
    policies = _policies(connection, rules)
    ends = [quiet_until(policies.get(rule, Policy()), now) for rule in rules]
    # It goes with the first of its alerts that may.
    if not ends or None in ends:
        return False
    until = min(end for end in ends if end is not None)
    connection.execute(MESSAGES.update().where(MESSAGES.c.id == row.id).values(not_before=until))
    return True


def _take(connection: sa.Connection, row: sa.Row[Any], claim: str, now: datetime, lease: timedelta) -> list[Message]:
    """Take a message with its words."""
    named = named_alerts(connection, row.id)
    values: dict[str, Any] = {"state": "sending", "claim": claim, "claimed": now, "not_before": now + lease}
    # A sender that died has not been refused: what it had in hand is no reason to wait longer next time.
    values["attempts"] = row.attempts + (row.state != "sending")
    if row.subject is None:
        values["alerts"] = count_alerts(connection, row.id)
        values["subject"], values["text"] = worded(row.topic, values["alerts"], named)
    # Its last sender may have noted, meanwhile, what has become of it.
    same = MESSAGES.c.id == row.id, MESSAGES.c.state == row.state, MESSAGES.c.claim.is_not_distinct_from(row.claim)
    taken = connection.execute(MESSAGES.update().where(*same).values(values).returning(*MESSAGES.c)).all()
    return [message_of(each, tuple(one.key for one in named)) for each in taken]


def _settle(connection: sa.Connection, message: Message, values: dict[str, Any]) -> bool:
    mine = MESSAGES.c.id == message.id, MESSAGES.c.claim == message.claim, MESSAGES.c.state == "sending"
    return connection.execute(MESSAGES.update().where(*mine).values(values)).rowcount == 1


def _space(connection: sa.Connection, message: Message, now: datetime) -> None:
    """Keep the next message of a topic a window away from one that went late."""
    mine = MESSAGES.c.channel == message.channel, MESSAGES.c.topic == message.topic
    row = connection.execute(MESSAGES.select().where(*mine, MESSAGES.c.state == "gathering")).first()
    if row is None:
        return
    newest = sa.select(ALERTS.c.rule).join(TELL, TELL.c.alert == ALERTS.c.id).where(TELL.c.message == row.id)
    rule = connection.execute(newest.order_by(ALERTS.c.id.desc()).limit(1)).scalar()
    if rule is None and message.attempts == 1:
        return
    policy = _policies(connection, {rule}).get(rule, Policy()).model_copy(update={"priority": row.priority})
    at = max(row.not_before, due(policy, now, message.claimed))
    connection.execute(MESSAGES.update().where(MESSAGES.c.id == row.id).values(not_before=at))


def _policies(connection: sa.Connection, rules: Collection[str | None]) -> Mapping[str | None, Policy]:
    """Return the policies of rules by their ids, but for those that cannot be read."""
    wanted = sa.select(RULES.c.id, RULES.c.policy).where(RULES.c.id.in_(sorted(each for each in rules if each)))
    found = dict[str | None, Policy]()
    for rule, values in connection.execute(wanted):
        # One of a later version, or a zone that is gone, must not keep messages from being sent or noted.
        with suppress(ParameterError):
            found[rule] = make_policy(values)
    return found


_UNHEARD = ALERTS.c.escalates.is_not(None), ALERTS.c.escalated.is_(None), ALERTS.c.acknowledged.is_(None)


def _unheard(now: datetime, most: int) -> sa.Select[Any]:
    return ALERTS.select().where(*_UNHEARD, ALERTS.c.escalates <= now).order_by(ALERTS.c.escalates).limit(most)


def _unheard_letters(connection: sa.Connection, alerts: Sequence[sa.Row[Any]], now: datetime) -> list[Letter]:
    """Return what those are told who hear of what nobody has acknowledged; what is hushed waits."""
    hushed, letters = Hushed(connection, now), list[Letter]()
    policies = _policies(connection, {each.rule for each in alerts})
    names = dict(connection.execute(sa.select(RULES.c.id, RULES.c.name).where(RULES.c.id.in_(list(policies)))).all())
    for alert in alerts:
        quiet, policy = hushed.of(source_of(alert.key), alert.rule, alert.symbol), policies.get(alert.rule)
        if quiet is not None or policy is None:
            values = {"escalates": quiet[1] if quiet is not None else now + LONGEST_BACK_OFF}
        else:
            values, topic = {"escalated": now}, f"{ESCALATED}{policy.group or names[alert.rule]}"
            own = policy.model_copy(update={"priority": alert.priority})
            letters.append(Letter(alert.id, policy.escalate_to, own, topic))
        connection.execute(ALERTS.update().where(ALERTS.c.id == alert.id).values(values))
    return letters
