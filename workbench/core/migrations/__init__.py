"""The tables of the records database, in numbered steps that run by themselves when it is opened.

To add a table, add one file ``versions/vNNNN_what.py`` with the next number::

    revision, down_revision = "v0002", "v0001"

    def upgrade() -> None:
        op.create_table("trials", ...)

The revision is the part of the file's name before the first underscore; nothing else is to be told. A step names plain
SQLAlchemy types and no module of the workbench, so that it still means the same when the code has moved on; it adds
tables and columns and never drops what holds records. All missing steps run in one transaction.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text

FOLDER = Path(__file__).parent
VERSION_TABLE = "alembic_version"

# Alembic keeps the connection that it works on in its own modules.
_ALEMBIC = threading.Lock()


@cache
def revisions() -> tuple[str, ...]:
    """Return the revisions that this code knows, oldest first; Alembic itself takes long to import."""
    return tuple(sorted(path.stem.partition("_")[0] for path in (FOLDER / "versions").glob("v*.py")))


def current(connection: Connection) -> str | None:
    """Return the revision of a database, ``None`` for an empty one."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    return found


def upgrade(connection: Connection) -> None:
    """Run the missing steps on a connection that is in a transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    # The value is a template in which a percent sign opens a name.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    with _ALEMBIC:
        command.upgrade(config, "head")
