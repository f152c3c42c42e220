"""The tables of alert rules, of alerts and of their messages, as the migrations make them."""

from __future__ import annotations

import sqlalchemy as sa

from workbench.core.database import Instant

_META = sa.MetaData()
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")

RULES = sa.Table(
    "alert_rules",
    _META,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("definition", sa.JSON, nullable=False),
    # How it is told; see ``workbench.alerts.policy``.
    sa.Column("policy", sa.JSON, nullable=False, default=dict),
    # Until when it tells nobody.
    sa.Column("snoozed", Instant),
    sa.Column("created", Instant, nullable=False),
    sa.Column("removed", Instant),
)
ALERTS = sa.Table(
    "alerts",
    _META,
    sa.Column("id", _NUMBER, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("raised", Instant, nullable=False),
    # The first and the last bar or quote that it tells of, where it tells of such.
    sa.Column("since", Instant),
    sa.Column("until", Instant),
    # Of which rule's id and symbol; none for what no rule has found.
    sa.Column("rule", sa.Text),
    sa.Column("symbol", sa.Text),
    sa.Column("priority", sa.Text, nullable=False, default="normal"),
    # Whether the rule was still holding when it was last looked at on a stream.
    sa.Column("holds", sa.Boolean, nullable=False, default=False),
    # Why no message was made of it.
    sa.Column("held", sa.Text),
    sa.Column("acknowledged", Instant),
    sa.Column("acknowledged_by", sa.Text),
    # When others are told, unless somebody has acknowledged it, and when they were.
    sa.Column("escalates", Instant),
    sa.Column("escalated", Instant),
)
SILENCES = sa.Table(
    "alert_silences",
    _META,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("about", sa.JSON, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("until", Instant, nullable=False),
    sa.Column("created", Instant, nullable=False),
    sa.Column("removed", Instant),
)
MESSAGES = sa.Table(
    "alert_messages",
    _META,
    sa.Column("id", _NUMBER, primary_key=True),
    # Goes with each delivery: who gets a message twice can tell by it.
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    # gathering, sending, waiting, sent, failed
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("priority", sa.Text, nullable=False),
    # Of how many alerts it tells.
    sa.Column("alerts", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    # Written when it is first sent, and not changed after: the same key has the same words.
    sa.Column("subject", sa.Text),
    sa.Column("text", sa.Text),
    sa.Column("error", sa.Text),
    # Who sends it, until when nobody else does.
    sa.Column("claim", sa.Text),
    sa.Column("created", Instant, nullable=False),
    sa.Column("not_before", Instant, nullable=False),
    sa.Column("claimed", Instant),
    sa.Column("settled", Instant),
)
TELL = sa.Table(
    "alert_messages_tell",
    _META,
    sa.Column("message", _NUMBER, sa.ForeignKey("alert_messages.id"), primary_key=True),
    sa.Column("alert", _NUMBER, sa.ForeignKey("alerts.id"), primary_key=True),
)
SERVICES = sa.Table(
    "alert_services",
    _META,
    sa.Column("id", sa.Text, primary_key=True),
    # When it has said last that it is up.
    sa.Column("seen", Instant, nullable=False),
)
