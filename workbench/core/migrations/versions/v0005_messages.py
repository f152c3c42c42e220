"""How alerts reach people: what a rule's messages obey, what became of each alert, the messages, and who sends them.

A message is made in the transaction of the alert that it tells of. Of the messages of a topic to a channel one at the
most is still gathering alerts.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "v0005", "v0004"


def upgrade() -> None:
    """Add the columns and make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.add_column("alert_rules", sa.Column("policy", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("alert_rules", _moment("snoozed"))
    for column in (
        sa.Column("rule", sa.Text),
        sa.Column("symbol", sa.Text),
        sa.Column("priority", sa.Text, nullable=False, server_default="normal"),
        sa.Column("holds", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("held", sa.Text),
        _moment("acknowledged"),
        sa.Column("acknowledged_by", sa.Text),
        _moment("escalates"),
        _moment("escalated"),
    ):
        op.add_column("alerts", column)
    op.create_index("ix_alerts_rule", "alerts", ["rule", "symbol"])
    # What is looked for again and again, of which there are few.
    due = sa.text("escalates IS NOT NULL AND escalated IS NULL AND acknowledged IS NULL")
    op.create_index("ix_alerts_escalates", "alerts", ["escalates"], sqlite_where=due, postgresql_where=due)
    op.create_index(
        "ix_alerts_holds",
        "alerts",
        ["rule", "symbol"],
        sqlite_where=sa.text("holds IS 1"),
        postgresql_where=sa.text("holds IS true"),
    )
    op.create_table(
        "alert_silences",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("about", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        _moment("until", nullable=False),
        _moment("created", nullable=False),
        _moment("removed"),
    )
    op.create_table(
        "alert_messages",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("alerts", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("text", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("claim", sa.Text),
        _moment("created", nullable=False),
        _moment("not_before", nullable=False),
        _moment("claimed"),
        _moment("settled"),
    )
    gathering = sa.text("state = 'gathering'")
    op.create_index(
        "uq_alert_messages_gathering",
        "alert_messages",
        ["channel", "topic"],
        unique=True,
        sqlite_where=gathering,
        postgresql_where=gathering,
    )
    op.create_index("ix_alert_messages_state", "alert_messages", ["state", "not_before"])
    op.create_index("ix_alert_messages_topic", "alert_messages", ["channel", "topic", "not_before"])
    op.create_table("alert_services", sa.Column("id", sa.Text, primary_key=True), _moment("seen", nullable=False))
    op.create_table(
        "alert_messages_tell",
        sa.Column("message", number, sa.ForeignKey("alert_messages.id"), primary_key=True),
        sa.Column("alert", number, sa.ForeignKey("alerts.id"), primary_key=True),
    )


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
