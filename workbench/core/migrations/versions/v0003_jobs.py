"""Schedules, the runs that come of them, each attempt at one, and the services that see to it.

A due time of a schedule has one run, whichever service plans it. A name is free again when its schedule is removed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "v0003", "v0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "pins",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
    _schedules()
    _runs()
    _attempts_and_services()


def _job() -> list[sa.Column[object]]:
    return [
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("notebook", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("pin", sa.Text),
        sa.Column("kernel", sa.Text),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("formats", sa.JSON, nullable=False),
        sa.Column("policies", sa.JSON, nullable=False),
        sa.Column("ready", sa.JSON),
    ]


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", sa.Text, primary_key=True),
        *_job(),
        sa.Column("cron", sa.Text),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("market", sa.Text),
        sa.Column("active", sa.Boolean, nullable=False),
        _moment("planned_until", nullable=False),
        _moment("next_look", nullable=False),
        sa.Column("fault", sa.Text),
        _moment("created", nullable=False),
        _moment("changed", nullable=False),
        _moment("removed"),
    )
    kept = sa.text("removed IS NULL")
    op.create_index("uq_schedules_name", "schedules", ["name"], unique=True, sqlite_where=kept, postgresql_where=kept)
    op.create_index("ix_schedules_next_look", "schedules", ["next_look"], sqlite_where=kept, postgresql_where=kept)


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("schedule", sa.Text),
        _moment("due", nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("token", sa.Text, unique=True),
        *_job(),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("market", sa.Text),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("cancel", sa.Text),
        sa.Column("owner", sa.Text),
        sa.Column("attempt", sa.Integer, nullable=False),
        _moment("not_before"),
        _moment("deadline"),
        _moment("as_of"),
        sa.Column("resolved", sa.JSON),
        sa.Column("moments", sa.JSON),
        sa.Column("sha256", sa.Text),
        sa.Column("folder", sa.Text),
        _moment("planned", nullable=False),
        _moment("started"),
        _moment("finished"),
    )
    # Runs that somebody asked for have due times of their own making.
    planned = sa.text("kind = 'scheduled'")
    op.create_index(
        "uq_runs_due", "runs", ["schedule", "due"], unique=True, sqlite_where=planned, postgresql_where=planned
    )
    op.create_index("ix_runs_due", "runs", ["due"])
    still_open = sa.text("state IN ('waiting', 'due', 'claimed', 'running')")
    columns = ["state", "priority", "due"]
    op.create_index("ix_runs_open", "runs", columns, sqlite_where=still_open, postgresql_where=still_open)
    op.create_index(
        "ix_runs_open_of", "runs", ["schedule", "due"], sqlite_where=still_open, postgresql_where=still_open
    )


def _attempts_and_services() -> None:
    op.create_table(
        "attempts",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("token", sa.Text),
        sa.Column("host", sa.Text),
        sa.Column("boot", sa.Text),
        sa.Column("pid", sa.BigInteger),
        sa.Column("ticks", sa.BigInteger),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text),
        sa.Column("folder", sa.Text),
        _moment("planned", nullable=False),
        _moment("started"),
        _moment("finished"),
    )
    at_work = sa.text("state IN ('starting', 'running')")
    op.create_index("ix_attempts_at_work", "attempts", ["run"], sqlite_where=at_work, postgresql_where=at_work)
    op.create_table(
        "services",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("ticks", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        _moment("started", nullable=False),
        _moment("ended"),
    )
