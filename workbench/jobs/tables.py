"""The tables of schedules and runs, as the migrations make them; only ``ledger`` and ``claims`` write to them."""

from __future__ import annotations

import sqlalchemy as sa

from workbench.core.database import Instant

_META = sa.MetaData()
_JSON = sa.JSON(none_as_null=True)


def _job_columns() -> list[sa.Column[object]]:
    """Return the columns of what is run: a run keeps its own copy, so that a later edit does not change it."""
    return [
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("notebook", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("pin", sa.Text),
        sa.Column("kernel", sa.Text),
        sa.Column("parameters", _JSON, nullable=False),
        sa.Column("formats", _JSON, nullable=False),
        sa.Column("policies", _JSON, nullable=False),
        sa.Column("ready", _JSON),
    ]


PINS = sa.Table(
    "pins",
    _META,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)
SCHEDULES = sa.Table(
    "schedules",
    _META,
    sa.Column("id", sa.Text, primary_key=True),
    *_job_columns(),
    sa.Column("cron", sa.Text),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("market", sa.Text),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("planned_until", Instant, nullable=False),
    sa.Column("next_look", Instant, nullable=False),
    sa.Column("fault", sa.Text),
    sa.Column("created", Instant, nullable=False),
    sa.Column("changed", Instant, nullable=False),
    sa.Column("removed", Instant),
)
RUNS = sa.Table(
    "runs",
    _META,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("schedule", sa.Text),
    sa.Column("due", Instant, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("token", sa.Text, unique=True),
    *_job_columns(),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("market", sa.Text),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("cancel", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("not_before", Instant),
    sa.Column("deadline", Instant),
    sa.Column("as_of", Instant),
    sa.Column("resolved", _JSON),
    sa.Column("moments", _JSON),
    sa.Column("sha256", sa.Text),
    sa.Column("folder", sa.Text),
    sa.Column("planned", Instant, nullable=False),
    sa.Column("started", Instant),
    sa.Column("finished", Instant),
)
ATTEMPTS = sa.Table(
    "attempts",
    _META,
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
    sa.Column("planned", Instant, nullable=False),
    sa.Column("started", Instant),
    sa.Column("finished", Instant),
)
SERVICES = sa.Table(
    "services",
    _META,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("boot", sa.Text, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("ticks", sa.BigInteger, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("started", Instant, nullable=False),
    sa.Column("ended", Instant),
)
