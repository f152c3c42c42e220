"""How often each idea has been tried: one row for each backtest, sweep or validation, and each idea's running total.

`mean`, `deviations` and `best` are of t-statistics: Sharpe ratios per bar times the square root of their bars.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "v0002", "v0001"


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "trials",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("hypothesis", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("measured", sa.BigInteger, nullable=False),
        sa.Column("mean", sa.Double, nullable=False),
        sa.Column("deviations", sa.Double, nullable=False),
        sa.Column("best", sa.Double),
        sa.Column("made", moment, nullable=False),
        sa.Column("run", sa.Text),
        sa.UniqueConstraint("hypothesis", "number", name="uq_trials_number"),
    )
    op.create_table(
        "hypotheses",
        sa.Column("hypothesis", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("measured", sa.BigInteger, nullable=False),
        sa.Column("mean", sa.Double, nullable=False),
        sa.Column("deviations", sa.Double, nullable=False),
        sa.Column("best", sa.Double),
        sa.Column("hurdle", sa.Double, nullable=False),
        sa.Column("first", moment, nullable=False),
        sa.Column("last", moment, nullable=False),
    )
