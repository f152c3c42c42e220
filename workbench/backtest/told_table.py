"""The table of what strategies were reported to say, as the migrations make it."""

from __future__ import annotations

import sqlalchemy as sa

from workbench.core.database import Instant

TOLD = sa.Table(
    "signals_told",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
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
    sa.Column("first", Instant, nullable=False),
    sa.Column("known", Instant, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("session", Instant, nullable=False),
    sa.Column("signal", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("strength", sa.Double, nullable=False),
    sa.Column("told", Instant, nullable=False),
    sa.Column("disagreed", Instant),
    sa.Column("cause", sa.Text),
)
