"""The tables of the trial ledger, as the migrations make them: every record, and each idea's running total."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from workbench.core.database import Instant


def _moment_columns() -> list[sa.Column[Any]]:
    whole = sa.Column("measured", sa.BigInteger, nullable=False)
    broken = [sa.Column(name, sa.Double, nullable=False) for name in ("mean", "deviations")]
    return [whole, *broken, sa.Column("best", sa.Double)]


# The columns as the migrations make them; `id` counts by itself.
_META = sa.MetaData()
TRIALS = sa.Table(
    "trials",
    _META,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("hypothesis", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    *_moment_columns(),
    sa.Column("made", Instant, nullable=False),
    sa.Column("run", sa.Text),
    sa.UniqueConstraint("hypothesis", "number", name="uq_trials_number"),
)
HYPOTHESES = sa.Table(
    "hypotheses",
    _META,
    sa.Column("hypothesis", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    *_moment_columns(),
    sa.Column("hurdle", sa.Double, nullable=False),
    sa.Column("first", Instant, nullable=False),
    sa.Column("last", Instant, nullable=False),
)
