"""How tables of facts lie in PostgreSQL: their names, columns and indices, and how time cuts them into parts.

Everything is in the schema ``workbench``. ``versions`` has a row for each table; who holds its lock writes. A table
whose key has ``time`` is a compressed hypertable where the extension timescaledb is there, and elsewhere it is
partitioned by the year in UTC, a partition being made when its first row arrives.
"""

# ruff: noqa: S608 - names come from our own schemas and are quoted, and every value is a parameter

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa

from workbench.core.errors import StoreError
from workbench.data.tables.base import INSTANT
from workbench.data.tables.postgres_connection import Database, Session

SCHEMA = "workbench"
VERSIONS = f"{SCHEMA}.versions"

LONGEST = 55
"""Bytes of a table's name: PostgreSQL takes 63, and a partition adds a dot and the year."""

COMPRESS_AFTER = "90 days"

TYPES = {
    # Bytes order text as Python does, whatever the database's own language is.
    pa.string(): 'text COLLATE "C"',
    pa.float64(): "double precision",
    pa.int64(): "bigint",
    pa.int32(): "integer",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    INSTANT: "timestamptz",
}

ONE_MAKER = "SELECT pg_advisory_xact_lock(hashtext('workbench tables'))::text"

MAKE_VERSIONS = f"""
CREATE TABLE IF NOT EXISTS {VERSIONS} (
    dataset text, name text, version bigint NOT NULL DEFAULT 0, PRIMARY KEY (dataset, name)
)"""


def table_name(dataset: str, name: str) -> str:
    """Return the quoted name of a dataset's table; two tables never share one.

    A dot parts dataset and table, as neither has one. What is too long is cut and told apart by its hash.
    """
    full = f"{dataset}.{name}"
    if len(full) > LONGEST:
        digest = hashlib.sha256(full.encode()).hexdigest()[:20]
        full = f"{full[: LONGEST - len(digest) - 1]}~{digest}"
    return f'{SCHEMA}."{full}"'


def partition_name(table: str, year: int) -> str:
    """Return the quoted name of the part of ``table`` that has one year."""
    return f'{table[:-1]}.{year}"'


def listed(names: Sequence[str], of: str = "") -> str:
    """Return quoted names of columns with commas between, each of the table ``of`` if that is given."""
    return ", ".join(f'{of}."{name}"' if of else f'"{name}"' for name in names)


def table_statements(table: str, schema: pa.Schema, keys: Sequence[str], *, partitioned: bool) -> list[str]:
    """Return the statements that make a table and its indices."""
    needed = {*keys, "learned_at"}
    columns = [f'"{each.name}" {TYPES[each.type]}{" NOT NULL" * (each.name in needed)}' for each in schema]
    by_time = ' PARTITION BY RANGE ("time")' if partitioned else ""
    # Its index serves reading by symbol as well: the keys start with it.
    primary = f"PRIMARY KEY ({listed([*keys, 'learned_at'])})"
    statements = [f"CREATE TABLE {table} ({', '.join(columns)}, {primary}){by_time}"]
    if "time" in schema.names:
        statements.append(f'CREATE INDEX ON {table} ("time")')
    return statements


def hypertable_statements(table: str, keys: Sequence[str]) -> list[str]:
    """Return the statements that turn an empty table into a hypertable whose old chunks are compressed."""
    order = listed([name for name in keys if name != "symbol"] + ["learned_at"])
    return [
        f"SELECT create_hypertable('{table}', 'time', chunk_time_interval => INTERVAL '1 year', "
        "create_default_indexes => false)::text",
        f"ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol', "
        f"timescaledb.compress_orderby = '{order}')",
        f"SELECT add_compression_policy('{table}', INTERVAL '{COMPRESS_AFTER}')::text",
    ]


def partition_statements(table: str, year: int) -> list[str]:
    """Return the statements that add one year to a partitioned table.

    A table is made and then attached, as that locks out neither readers nor writers of the other years.
    """
    part = partition_name(table, year)
    return [
        f"CREATE TABLE {part} (LIKE {table} INCLUDING ALL)",
        f"ALTER TABLE {table} ATTACH PARTITION {part} "
        f"FOR VALUES FROM ('{year}-01-01 00:00:00+00') TO ('{year + 1}-01-01 00:00:00+00')",
    ]


def kind(session: Session, table: str) -> str | None:
    """Return what PostgreSQL calls a relation: ``"p"`` if partitioned, ``"r"`` if not, ``None`` if not there."""
    statement = "SELECT relkind::text AS kind FROM pg_class WHERE oid = to_regclass($1)"
    found = session.run(statement, pa.array([table]))["kind"].to_pylist()
    return str(found[0]) if found else None


def missing(session: Session, tables: Sequence[str]) -> list[str]:
    """Return those of the tables that are not there."""
    statement = "SELECT name FROM unnest($1) AS name WHERE to_regclass(name) IS NULL"
    found: list[str] = session.run(statement, pa.array([list(tables)], pa.list_(pa.string())))["name"].to_pylist()
    return found


def has_timescale(database: Database) -> bool:
    """Say whether the database can have hypertables, after adding the extension if the server offers it."""
    offered = "SELECT installed_version FROM pg_available_extensions WHERE name = 'timescaledb'"
    installed = "SELECT 1 AS one FROM pg_extension WHERE extname = 'timescaledb'"
    with database.transaction("look for timescaledb") as session:
        there, available = session.run(installed).num_rows, session.run(offered).num_rows
    if there or not available:
        return bool(there)
    # A server that did not load the library at its start cuts the connection here.
    with suppress(StoreError), database.transaction("add timescaledb") as session:
        session.run("CREATE EXTENSION IF NOT EXISTS timescaledb")
        return True
    return False


class Layout:
    """One table's place in the database.

    Parameters
    ----------
    dataset, name : str
        Names that were checked.
    schema : pyarrow.Schema
    keys : sequence of str
    """

    def __init__(self, dataset: str, name: str, schema: pa.Schema, keys: Sequence[str]) -> None:
        self.table = table_name(dataset, name)
        self.row = (pa.array([dataset]), pa.array([name]))
        self.schema = schema
        self.keys = list(keys)
        # A partition's unique keys must have the column that it is cut by.
        self.cut = "time" in keys

    def make(self, database: Database, years: Sequence[int]) -> None:
        """Make what is not there: the table, and its partitions for some years."""
        task = f"make table {self.table}"
        with database.transaction(task) as session:
            found = kind(session, self.table)
            parts = [partition_name(self.table, year) for year in years]
            if found and not (found == "p" and missing(session, parts)):
                return
        timescale = self.cut and not found and has_timescale(database)
        with database.transaction(task) as session:
            # One at a time: PostgreSQL fails where two make the same table at once.
            session.run(ONE_MAKER)
            found = kind(session, self.table) or self._make_table(session, timescale)
            if found == "p":
                absent = set(missing(session, parts))
                for year in years:
                    if partition_name(self.table, year) in absent:
                        _run_all(session, partition_statements(self.table, year))

    def _make_table(self, session: Session, timescale: bool) -> str:
        if not session.run(f"SELECT 1 AS one FROM pg_namespace WHERE nspname = '{SCHEMA}'").num_rows:
            session.run(f"CREATE SCHEMA {SCHEMA}")
        session.run(MAKE_VERSIONS)
        partitioned = self.cut and not timescale
        _run_all(session, table_statements(self.table, self.schema, self.keys, partitioned=partitioned))
        if timescale:
            _run_all(session, hypertable_statements(self.table, self.keys))
        added = f"INSERT INTO {VERSIONS} (dataset, name) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        session.run(added, *self.row)
        return "p" if partitioned else "r"


def _run_all(session: Session, statements: Sequence[str]) -> None:
    for statement in statements:
        session.run(statement)
