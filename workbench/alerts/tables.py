"""The tables of alert rules and of alerts, as the migrations make them."""

from __future__ import annotations

import sqlalchemy as sa

from workbench.core.database import Instant

_META = sa.MetaData()

RULES = sa.Table(
    "alert_rules",
    _META,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("definition", sa.JSON, nullable=False),
    sa.Column("created", Instant, nullable=False),
    sa.Column("removed", Instant),
)
ALERTS = sa.Table(
    "alerts",
    _META,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("raised", Instant, nullable=False),
    # The first and the last bar that it tells of, where it tells of bars.
    sa.Column("since", Instant),
    sa.Column("until", Instant),
)
