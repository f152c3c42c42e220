"""Who used which rows: one row for each run or result."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "v0001", None


def upgrade() -> None:
    """Make the table."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "uses",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("made", moment, nullable=False),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("symbols", sa.JSON, nullable=False),
        sa.Column("first", moment, nullable=False),
        sa.Column("last", moment, nullable=False),
        sa.Column("adjustment", sa.Text, nullable=False),
        sa.Column("known", moment, nullable=False),
        sa.Column("link", sa.Text),
    )
    op.create_index("ix_uses_dataset", "uses", ["dataset"])
