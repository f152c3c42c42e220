"""PostgreSQL with writers killed in the middle, restarted under its clients, full, forked, and without rights."""

import multiprocessing
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from postgres_server import PASSWORD
from table_writer import FIRST, KEYS, SCHEMA, Writer, make_rows, open_table

from workbench.core.errors import InputError, StoreError
from workbench.data.tables.postgres import PostgresTables

LATER = FIRST + pd.Timedelta(days=1)
KILLS = 10
SYMBOLS = "ABCDEF"
STEP = 8_000
"""Rows of one write, large enough that a kill meets it in its copy, its insert and its commit."""


@pytest.fixture
def url(postgres_server):
    postgres_server.query("postgres", "DROP SCHEMA IF EXISTS workbench CASCADE")
    return postgres_server.url()


@pytest.fixture
def tables(url):
    tables = PostgresTables(url)
    yield tables
    tables.close()


@pytest.fixture
def table(tables):
    return open_table(tables)


def whole_writes(server):
    """Return how many writes there are, each with STEP rows of one symbol; the version counts them."""
    # One statement: the server may still finish the commit of a writer that is gone.
    parts = 'SELECT count(*) FROM workbench."own.bars" GROUP BY symbol, close'
    found = server.query("postgres", f"SELECT version FROM workbench.versions UNION ALL ({parts})")
    version, *counts = [int(line) for line in found.splitlines()]
    assert counts == [STEP] * version
    return version


def test_a_writer_killed_in_the_middle_leaves_nothing_torn(postgres_server, url, table):
    moments = random.Random(7)
    table.write(make_rows([]), FIRST)
    finished = []
    for turn in range(KILLS):
        writer = Writer({"url": url})
        try:
            writer.wait_until_ready()
            for symbol in SYMBOLS:
                writer.tell(symbol=symbol, closes=[turn] * STEP, step=STEP)
            writer.added()  # its first write is done: it is at its second or third when it is killed
            time.sleep(moments.uniform(0, 0.2))
        finally:
            writer.end()
        finished.append(whole_writes(postgres_server) - sum(finished))
    assert 0 < sum(finished) < KILLS * len(SYMBOLS), "no kill came in the middle"
    # The dead left no lock behind, and what they did not bring can be brought.
    for symbol in SYMBOLS:
        assert table.write(make_rows([KILLS] * STEP, symbol), LATER) == STEP
    assert (table.read()["close"] == KILLS).all()
    assert len(table.read()) == len(SYMBOLS) * STEP


def test_a_server_that_was_restarted_is_reached_again(postgres_server, tables, table):
    table.write(make_rows([1, 2]), FIRST)
    with ThreadPoolExecutor(3) as pool:
        # Several connections lie idle when the server goes.
        list(pool.map(lambda _: table.read(), range(9)))
    postgres_server.stop()
    try:
        with pytest.raises(StoreError, match="cannot connect to the database postgres of /") as caught:
            table.read()
        with pytest.raises(StoreError, match="cannot connect"):
            table.write(make_rows([1, 2, 3]), LATER)
        assert PASSWORD not in str(caught.value)
    finally:
        postgres_server.start()
    assert table.read()["close"].tolist() == [1, 2]
    assert table.write(make_rows([1, 2, 3]), LATER) == 1


def test_a_connection_cut_in_the_middle_of_a_write_writes_none(postgres_server, tables, table):
    table.write(make_rows([1]), FIRST)
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "

    def write():
        with tables.database.transaction("write all") as session:
            session.run("DELETE FROM workbench.versions")
            postgres_server.query("postgres", f"{cut}'postgres'")
            session.run("DELETE FROM workbench.versions")

    with pytest.raises(StoreError, match=r"cannot write all in the database postgres .*terminating conn") as caught:
        write()
    assert "\n" not in str(caught.value)
    assert table.version() == 1


def test_a_writer_that_keeps_the_table_busy_is_told_and_readers_do_not_wait(tables, table, monkeypatch):
    monkeypatch.setattr("workbench.data.tables.postgres.LOCK_SECONDS", 0.1)
    table.write(make_rows([1]), FIRST)
    with tables.database.transaction("hold the table") as session:
        session.run("UPDATE workbench.versions SET version = 7")
        with pytest.raises(StoreError, match="stayed busy; stop other writers"):
            table.write(make_rows([2]), LATER)
        assert table.read()["close"].tolist() == [1]
        assert table.version() == 1


def test_a_full_disk_is_told_and_nothing_is_torn(postgres_server, url, table):
    table.write(make_rows([1]), FIRST)
    # A limit on temporary files stands for the disk: the copied rows do not fit into memory and then not on disk.
    limited = PostgresTables(
        f"{url}&options=-c%20temp_file_limit%3D64kB%20-c%20work_mem%3D64kB%20-c%20enable_hashjoin%3Doff"
    )
    with pytest.raises(StoreError, match="temp_file_limit"):
        open_table(limited).write(make_rows(np.arange(50_000.0), "B"), LATER)
    limited.close()
    assert len(table.history()) == 1


def test_a_user_without_rights_is_told_what_failed(postgres_server, url, table):
    table.write(make_rows([1]), FIRST)
    postgres_server.query("postgres", f"DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    reader = PostgresTables(url.replace("//workbench:", "//reader:"))
    try:
        with pytest.raises(StoreError, match="permission denied for schema workbench"):
            open_table(reader).read()
        grant = "GRANT USAGE ON SCHEMA workbench TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA workbench TO reader"
        postgres_server.query("postgres", grant)
        assert open_table(reader).read()["close"].tolist() == [1]
        with pytest.raises(StoreError, match="permission denied for table"):
            open_table(reader).write(make_rows([2]), LATER)
    finally:
        reader.close()
        postgres_server.query("postgres", "DROP OWNED BY reader; DROP ROLE reader")
    assert table.read()["close"].tolist() == [1]


def test_a_forked_process_has_connections_of_its_own(tables, table):
    table.write(make_rows([1]), FIRST)
    here = backend(tables)
    queue = multiprocessing.get_context("fork").SimpleQueue()
    child = os.fork()
    if not child:
        try:
            queue.put((backend(tables), table.read()["close"].tolist()))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    theirs, read = queue.get()
    assert read == [1]
    assert theirs != here
    assert backend(tables) == here, "the child has ended its parent's session"


def backend(tables):
    with tables.database.transaction("ask") as session:
        return session.run("SELECT pg_backend_pid() AS pid")["pid"][0].as_py()


def test_idle_connections_are_few_and_can_be_closed(postgres_server, tables, table):
    def connected():
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
        return int(postgres_server.query("postgres", count))

    table.write(make_rows([1]), FIRST)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: table.read(), range(40)))
    assert 1 <= connected() <= 4
    tables.close()
    for _ in range(100):
        if not connected():
            break
        time.sleep(0.02)
    assert connected() == 0
    assert table.read()["close"].tolist() == [1]


MALFORMED = [
    "postgresql://user:pa/ss@host/name",
    "postgresql://user:pa@ss@host/name",
    "postgresql://user:pa#ss@host/name",
    "postgresql://user:pa?ss@host/name",
    "postgresql://user:pa%ss@host/name",
    "postgresql://user:pa-ss/name",
    "postgresql://user:pass@[host/name",
    "postgresql://user:pass@host:pass/name",
    "mysql://user:pass@host/name",
    "pass",
]


@pytest.mark.parametrize("address", MALFORMED)
def test_an_address_that_is_not_valid_is_refused_without_its_password(address):
    with pytest.raises(InputError, match="postgresql://user:password@host/name") as caught:
        PostgresTables(address)
    assert "pa" not in str(caught.value).replace("password", "")
    assert "ss" not in str(caught.value).replace("password", "").replace("address", "")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("postgresql://user:pa%40ss@host:5432/name", "the database name of host:5432"),
        ("postgres://user@[::1]:5432/name", "the database name of [::1]:5432"),
        ("postgresql://host1,host2:5433/name?user=u&password=secret", "the database name of host1,host2:5433"),
        ("postgresql:///name?host=/run/pg", "the database name of /run/pg"),
        ("postgresql://", "the database by default of this machine"),
    ],
)
def test_a_database_is_called_by_its_hosts_and_name(address, name):
    assert repr(PostgresTables(address)) == f"PostgresTables({name!r})"


def test_a_table_whose_partitions_were_made_by_two_at_once_is_whole(tables):
    years = [f"{year}-06-01" for year in range(1990, 2020)]
    with ThreadPoolExecutor(4) as pool:
        done = [
            pool.submit(tables.table("own", "bars", SCHEMA, KEYS).write, make_rows([1, 2], symbol, first), FIRST)
            for first in years
            for symbol in "AB"
        ]
        assert sum(each.result() for each in done) == 120
    assert len(open_table(tables).read()) == 120
