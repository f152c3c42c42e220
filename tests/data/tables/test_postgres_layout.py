"""What is made in the database: names that never collide, partitions by year, hypertables where they can be had."""

import hashlib

import pandas as pd
import pyarrow as pa
import pytest
from table_writer import FIRST, INSTANT, KEYS, SCHEMA, make_rows, open_table

from workbench.core.errors import StoreError
from workbench.data.tables import postgres_layout
from workbench.data.tables.postgres import PostgresTables
from workbench.data.tables.postgres_layout import (
    has_timescale,
    hypertable_statements,
    partition_name,
    partition_statements,
    table_name,
    table_statements,
)

FULL_SCHEMA = SCHEMA.append(pa.field("learned_at", INSTANT))


@pytest.fixture
def server(postgres_server):
    postgres_server.query("postgres", "DROP SCHEMA IF EXISTS workbench CASCADE")
    return postgres_server


@pytest.fixture
def tables(server):
    tables = PostgresTables(server.url())
    yield tables
    tables.close()


@pytest.mark.parametrize(
    ("dataset", "name", "expected"),
    [
        ("own", "bars", 'workbench."own.bars"'),
        ("a" * 50, "bars", f'workbench."{"a" * 50}.bars"'),
    ],
)
def test_a_table_is_called_after_its_dataset(dataset, name, expected):
    assert table_name(dataset, name) == expected


def test_a_long_name_is_cut_and_has_the_hash_of_the_whole():
    digest = hashlib.sha256(f"{'a' * 51}.bars".encode()).hexdigest()[:20]
    assert table_name("a" * 51, "bars") == f'workbench."{"a" * 34}~{digest}"'


def test_every_name_fits_and_none_is_shared():
    datasets = ["a", "a_", "a_b", *("a" * length for length in range(2, 65)), "a" * 63 + "b", "a" * 62 + "bb"]
    names = {table_name(dataset, name) for dataset in datasets for name in ("bars", "b_bars", "actions", "c" * 64)}
    assert len(names) == 4 * len(datasets)
    for name in names:
        assert len(partition_name(name, 12012).removeprefix("workbench.").strip('"')) <= 63


def relations(server, kind):
    query = f"SELECT relname FROM pg_class WHERE relnamespace = 'workbench'::regnamespace AND relkind = '{kind}'"
    return sorted(server.query("postgres", query).splitlines())


def test_a_year_gets_a_partition_when_its_first_row_arrives(server, tables):
    table = open_table(tables)
    table.write(make_rows([1, 2]), FIRST)
    assert (relations(server, "p"), relations(server, "r")) == (["own.bars"], ["own.bars.2012", "versions"])
    turn = pd.DataFrame({"time": pd.to_datetime(["2013-12-31 23:59:59.999999Z", "2014-01-01 00:00:00.000000Z"])})
    table.write(turn.assign(symbol="A", close=1.0, volume=1.0, note=""), FIRST)
    assert relations(server, "r") == ["own.bars.2012", "own.bars.2013", "own.bars.2014", "versions"]
    assert server.query("postgres", 'SELECT count(*) FROM workbench."own.bars.2014"') == "1"


def test_reading_a_year_looks_at_no_other(server, tables):
    table = open_table(tables)
    for year in (2010, 2011, 2012):
        table.write(make_rows([1], first=f"{year}-03-05"), FIRST)
    plan = server.query("postgres", """EXPLAIN SELECT * FROM workbench."own.bars" WHERE "time" < '2011-01-01'""")
    assert "own.bars.2010" in plan
    assert "own.bars.2011" not in plan


@pytest.mark.parametrize("condition", ["symbol = 'S7'", "\"time\" >= '2012-12-29'"])
def test_a_symbol_or_a_time_is_found_by_an_index(server, tables, condition):
    rows = [make_rows(range(200), f"S{number}", "2012-06-14") for number in range(50)]
    open_table(tables).write(pd.concat(rows), FIRST)
    server.query("postgres", 'ANALYZE workbench."own.bars"')
    plan = server.query("postgres", f'EXPLAIN SELECT * FROM workbench."own.bars.2012" WHERE {condition}')
    assert "Index" in plan
    assert "Seq Scan" not in plan


def test_a_table_whose_key_has_no_time_is_not_cut(server, tables):
    schema = pa.schema([("symbol", pa.string()), ("time", INSTANT), ("title", pa.string())])
    rows = pd.DataFrame({"symbol": ["A"], "time": pd.to_datetime([None], utc=True), "title": ["x"]})
    table = tables.table("own", "news", schema, ("symbol", "title"))
    assert [table.write(rows, FIRST), table.write(rows, FIRST)] == [1, 0]
    assert table.write(rows.assign(time=FIRST), FIRST) == 1
    assert table.read(start=FIRST)["title"].tolist() == ["x"]
    assert relations(server, "p") == []


def test_a_plain_server_offers_no_hypertables(server, tables):
    assert not has_timescale(tables.database)


@pytest.fixture
def with_extension(server):
    """The catalogue of a database with the extension, whose code is not here."""
    server.query(
        "postgres",
        "INSERT INTO pg_extension SELECT 999999, 'timescaledb', extowner, extnamespace, false, '2.17.2', NULL, NULL "
        "FROM pg_extension WHERE extname = 'plpgsql'",
    )
    yield
    server.query("postgres", "DELETE FROM pg_extension WHERE extname = 'timescaledb'")


def test_where_the_extension_is_a_hypertable_is_asked_for(server, tables, with_extension):
    assert has_timescale(tables.database)
    table = open_table(tables)
    with pytest.raises(StoreError, match=r"function create_hypertable\(.*\) does not exist"):
        table.write(make_rows([1]), FIRST)
    assert not table.exists()
    assert server.query("postgres", "SELECT to_regnamespace('workbench') IS NULL") == "t"


def test_with_a_hypertable_no_partitions_are_made(server, tables, with_extension, monkeypatch):
    asked = []

    def made(table, keys):
        asked.append((table, keys))
        return []

    monkeypatch.setattr(postgres_layout, "hypertable_statements", made)
    assert open_table(tables).write(make_rows([1, 2, 3]), FIRST) == 3
    assert open_table(tables).write(make_rows([1, 2, 4]), FIRST) == 1
    assert asked == [('workbench."own.bars"', list(KEYS))]
    assert (relations(server, "p"), relations(server, "r")) == ([], ["own.bars", "versions"])


def test_the_statements_of_a_hypertable():
    create, compress, policy = hypertable_statements('workbench."own.actions"', ["symbol", "time", "kind"])
    assert create == (
        "SELECT create_hypertable('workbench.\"own.actions\"', 'time', chunk_time_interval => INTERVAL '1 year', "
        "create_default_indexes => false)::text"
    )
    assert compress == (
        "ALTER TABLE workbench.\"own.actions\" SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol', "
        'timescaledb.compress_orderby = \'"time", "kind", "learned_at"\')'
    )
    assert policy == "SELECT add_compression_policy('workbench.\"own.actions\"', INTERVAL '90 days')::text"


def test_the_statements_of_a_table_and_of_a_year():
    create, index = table_statements('workbench."own.bars"', FULL_SCHEMA, KEYS, partitioned=True)
    assert create == (
        'CREATE TABLE workbench."own.bars" ("symbol" text COLLATE "C" NOT NULL, "time" timestamptz NOT NULL, '
        '"close" double precision, "volume" double precision, "note" text COLLATE "C", '
        '"learned_at" timestamptz NOT NULL, PRIMARY KEY ("symbol", "time", "learned_at")) PARTITION BY RANGE ("time")'
    )
    assert index == 'CREATE INDEX ON workbench."own.bars" ("time")'
    assert partition_statements('workbench."own.bars"', 2012)[1] == (
        'ALTER TABLE workbench."own.bars" ATTACH PARTITION workbench."own.bars.2012" '
        "FOR VALUES FROM ('2012-01-01 00:00:00+00') TO ('2013-01-01 00:00:00+00')"
    )
