"""What strategies were reported to say, the rules of alerts, and the alerts that were raised.

A signal that is reported twice from the same data is one row; an alert is raised once for its key, whoever finds it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "v0004", "v0003"


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    _signals_told(number)
    op.create_table(
        "alert_rules",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("definition", sa.JSON, nullable=False),
        _moment("created", nullable=False),
        _moment("removed"),
    )
    kept = sa.text("removed IS NULL")
    op.create_index(
        "uq_alert_rules_name", "alert_rules", ["name"], unique=True, sqlite_where=kept, postgresql_where=kept
    )
    op.create_table(
        "alerts",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        _moment("raised", nullable=False),
        _moment("since"),
        _moment("until"),
    )
    op.create_index("ix_alerts_raised", "alerts", ["raised"])


def _signals_told(number: sa.types.TypeEngine[int]) -> None:
    op.create_table(
        "signals_told",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("run", sa.Text),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("rule", sa.Text),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("adjustment", sa.Text, nullable=False),
        sa.Column("symbols", sa.JSON, nullable=False),
        _moment("first", nullable=False),
        _moment("known", nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        _moment("session", nullable=False),
        sa.Column("signal", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("strength", sa.Double, nullable=False),
        _moment("told", nullable=False),
        _moment("disagreed"),
        sa.Column("cause", sa.Text),
    )
    op.create_index("ix_signals_told_session", "signals_told", ["session"])


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
