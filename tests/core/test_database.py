"""Every test runs on SQLite and on a real PostgreSQL, but those that are about one of them."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from postgres_server import PASSWORD, postgres
from sqlalchemy import Column, Integer, MetaData, Table, inspect, text
from sqlalchemy.exc import IntegrityError, StatementError

from workbench.core.database import FILE, Instant, open_database
from workbench.core.errors import ParameterError, StoreError
from workbench.core.migrations import FOLDER, revisions, upgrade
from workbench.core.settings import load_settings

OPEN = "from workbench.core.database import open_database; from workbench.core.settings import load_settings; "
MOMENT = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, tmp_path):
    """Settings with a database that was never opened."""
    url = None
    if request.param == "postgresql":
        started = request.getfixturevalue("postgres_server")
        url = started.create_database(f"d{time.monotonic_ns()}")
    return load_settings(home=tmp_path / "home", database_url=url)


@pytest.fixture
def database(settings):
    opened = open_database(settings)
    with opened.writing() as connection:
        connection.execute(text("CREATE TABLE notes (number INTEGER UNIQUE)"))
    yield opened
    opened.close()


def numbers(database):
    with database.reading() as connection:
        return sorted(connection.execute(text("SELECT number FROM notes")).scalars())


def processes(settings, script, count):
    """Start processes that run a script with these settings, and return them."""
    environment = {**os.environ, **settings.environment()}
    command = [sys.executable, "-c", script]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return [subprocess.Popen(command, env=environment, text=True, **pipes) for _ in range(count)]


def finish(started):
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_a_new_database_has_every_table(settings):
    database = open_database(settings)
    assert inspect(database.engine).has_table("uses")
    with database.reading() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == revisions()[-1]
    database.close()


def test_opening_again_changes_nothing_and_leaves_alembic_alone(settings):
    open_database(settings).close()
    code = f"{OPEN} import sys; open_database(load_settings()).close(); assert 'alembic' not in sys.modules"
    finish(processes(settings, code, 1))


def test_processes_that_open_a_new_database_at_once_all_succeed(settings):
    code = f"{OPEN} import alembic.command, pg8000.dbapi; print(flush=True); input(); open_database(load_settings())"
    started = processes(settings, code, 4)
    for process in started:
        process.stdout.readline()
    # All are ready: let them go on together.
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    finish(started)


def test_the_revisions_are_those_that_alembic_sees():
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(FOLDER))
    assert script.get_heads() == [revisions()[-1]]
    assert {found.revision for found in script.walk_revisions()} == set(revisions())


def test_a_migration_that_fails_leaves_the_database_as_it_was(settings, monkeypatch):
    def fail(connection):
        upgrade(connection)
        connection.execute(text("SELECT a FROM nowhere"))

    monkeypatch.setattr("workbench.core.database.upgrade", fail)
    with pytest.raises(StoreError, match="nowhere"):
        open_database(settings)
    monkeypatch.undo()
    database = open_database(settings)
    assert inspect(database.engine).has_table("uses")
    database.close()


def test_changes_are_kept_all_or_none(database):
    with database.writing() as connection:
        connection.execute(text("INSERT INTO notes VALUES (1)"))

    def add_and_fail():
        with database.writing() as connection:
            connection.execute(text("INSERT INTO notes VALUES (2)"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_and_fail()
    assert numbers(database) == [1]


def test_a_reader_can_change_nothing(database):
    with pytest.raises(StoreError, match=r"read-?only"), database.reading() as connection:
        connection.execute(text("INSERT INTO notes VALUES (1)"))
    with database.writing() as connection:
        connection.execute(text("INSERT INTO notes VALUES (2)"))
    assert numbers(database) == [2]


def test_a_broken_constraint_is_for_the_caller(database):
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(text("INSERT INTO notes VALUES (1), (1)"))
    assert numbers(database) == []


def test_writers_that_read_first_wait_for_each_other(database, settings):
    # Each adds the next number: two that read at once would add the same one, or find the file locked.
    lock = "c.execute(text('LOCK TABLE notes'))" if settings.database_url else "pass"
    code = f"""{OPEN}
from sqlalchemy import text
d = open_database(load_settings())
for _ in range(25):
    with d.writing() as c:
        {lock}
        n = c.execute(text("SELECT count(*) FROM notes")).scalar()
        c.execute(text("INSERT INTO notes VALUES (:n)"), {{"n": n}})
"""
    finish(processes(settings, code, 3))
    assert numbers(database) == list(range(75))


def test_a_killed_writer_leaves_whole_transactions(database, settings):
    code = f"""{OPEN}
from sqlalchemy import text
d, n = open_database(load_settings()), 0
while True:
    with d.writing() as c:
        for _ in range(10):
            c.execute(text(f"INSERT INTO notes VALUES ({{n}})"))
            n += 1
"""
    (writer,) = processes(settings, code, 1)
    deadline = time.monotonic() + 60
    while not numbers(database) and time.monotonic() < deadline:
        time.sleep(0.02)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    kept = numbers(database)
    assert kept == list(range(len(kept)))
    assert kept
    assert len(kept) % 10 == 0


def test_a_forked_process_and_its_parent_both_go_on(database):
    assert numbers(database) == []
    child = os.fork()
    if not child:
        status = 1
        try:
            for number in range(20):
                with database.writing() as connection:
                    connection.execute(text(f"INSERT INTO notes VALUES ({number})"))
            status = 0
        finally:
            os._exit(status)
    for number in range(20, 40):
        with database.writing() as connection:
            connection.execute(text(f"INSERT INTO notes VALUES ({number})"))
    assert os.waitpid(child, 0)[1] == 0
    assert numbers(database) == list(range(40))


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (MOMENT, MOMENT),
        (MOMENT.astimezone(timezone(timedelta(hours=-5))), MOMENT),
        (pd.Timestamp("2012-03-05 21:00:00.000001999", tz="Asia/Tokyo"), datetime(2012, 3, 5, 12, 0, 0, 1, UTC)),
        (datetime(9999, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)),
        (None, None),
    ],
)
def test_an_instant_comes_back_in_utc(database, given, read):
    moments = Table("moments", MetaData(), Column("id", Integer), Column("at", Instant))
    with database.writing() as connection:
        moments.create(connection)
        connection.execute(moments.insert(), {"id": 1, "at": given})
        if given is not None:
            assert connection.execute(moments.select().where(moments.c.at <= given)).one().id == 1
        found = connection.execute(moments.select()).one().at
    assert found == read
    assert read is None or found.tzinfo is UTC


def test_an_instant_without_a_zone_is_refused(database):
    moments = Table("moments", MetaData(), Column("at", Instant))
    moments.create(database.engine.execution_options(writes=True))
    with pytest.raises(StatementError, match="no time zone"), database.writing() as connection:
        connection.execute(moments.insert(), {"at": datetime(2026, 1, 5)})


def test_a_database_of_a_later_version_is_left_alone(database, settings):
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v9999'"))
    with pytest.raises(StoreError, match=r"later version of the workbench \(revision 'v9999'\)"):
        open_database(settings)


def test_only_the_owner_can_read_the_file(home):
    before = os.umask(0)
    try:
        open_database(load_settings())
    finally:
        os.umask(before)
    assert (home / FILE).stat().st_mode & 0o777 == 0o600


def test_a_write_ahead_log_is_never_started(home):
    database = open_database(load_settings())
    with database.reading() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "delete"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough" * 100, b"SQLite format 3\x00" + b"\xff" * 9000]
)
def test_a_damaged_file_is_told_and_kept(home, content):
    home.mkdir()
    (home / FILE).write_bytes(content)
    with pytest.raises(StoreError, match=r"are damaged .*; put back a copy"):
        open_database(load_settings())
    assert (home / FILE).read_bytes() == content


def test_a_folder_in_the_place_of_the_file_is_told(home):
    (home / FILE).mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot write the records in .* \(Is a directory\)"):
        open_database(load_settings())


def test_a_home_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(StoreError, match=r"cannot write the records in .*; set WORKBENCH_HOME to a writable folder"):
        open_database(load_settings(home=tmp_path / "taken" / "home"))


def test_a_file_that_vanished_is_not_replaced_by_an_empty_one(home):
    database = open_database(load_settings())
    (home / FILE).unlink()
    with pytest.raises(StoreError, match="unable to open"), database.reading():
        pass
    assert not (home / FILE).exists()


def test_a_home_whose_name_has_signs_of_an_address_works(tmp_path):
    home = tmp_path / "a b?mode=ro#%41"
    open_database(load_settings(home=home))
    assert [item.name for item in home.iterdir()] == [FILE]


def test_a_file_that_stays_locked_is_told(home, monkeypatch):
    open_database(load_settings())
    monkeypatch.setattr("workbench.core.database.PATIENCE", 0.1)
    database = open_database(load_settings())
    holder = sqlite3.connect(home / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="stayed busy for"), database.writing():
        pass
    holder.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://user:hidden@127.0.0.1:1/name", "cannot read or write .*'name' at 127.0.0.1:1 "),
        ("postgresql://user:hidden@/name?host=/nowhere", "at /nowhere/.s.PGSQL.5432 "),
        ("postgresql://user:hidden@127.0.0.1:1/name?sslmode=verify-full", "at 127.0.0.1:1 "),
    ],
)
def test_a_server_that_cannot_be_reached_is_told_without_the_password(url, words):
    with pytest.raises(StoreError, match=words) as told:
        open_database(load_settings(database_url=url))
    assert "hidden" not in everything_said(told.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong-but-hidden"}, "password authentication failed"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
    ],
)
def test_what_the_server_refuses_is_told_without_the_password(request, change, words):
    server = request.getfixturevalue("postgres_server")
    with pytest.raises(StoreError, match=words) as told:
        open_database(load_settings(database_url=server.url(**change)))
    said = everything_said(told.value)
    assert PASSWORD not in said
    assert "hidden" not in said


def everything_said(error):
    """The texts of an error and of all that led to it."""
    texts = []
    while error is not None:
        texts.append(f"{error} {error!r}")
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://user:hidden@host/name", "begins with 'mysql'; write postgresql://user:password@host"),
        ("hidden", "is no address"),
        ("postgresql://user:hidden@host:port/name", "is no address"),
        ("postgresql://user:hidden@host/name?port=hidden", "is no address"),
        ("postgresql://user:hidden@host/name?options=x", "has 'options'; known: host, port, sslmode="),
        ("postgresql://user:hidden@host/name?sslmode=some", "has 'sslmode=some'"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_the_password(url, words):
    with pytest.raises(ParameterError, match=words) as told:
        open_database(load_settings(database_url=url))
    assert "hidden" not in str(told.value)
    assert "hidden" not in everything_said(told.value)


def test_a_restarted_server_is_found_again(tmp_path):
    with postgres() as server:
        database = open_database(load_settings(home=tmp_path, database_url=server.url()))
        server.stop()
        with pytest.raises(StoreError, match="check the server"), database.reading():
            pass
        server.start()
        with database.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM uses")).scalar() == 0
        database.close()
