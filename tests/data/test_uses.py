import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from workbench.core.database import open_database
from workbench.core.settings import load_settings
from workbench.data.uses import USES, Use, UseLedger, use_of

USE = Use(
    kind="backtest",
    name="sma_cross AAPL, MSFT (fast=20, slow=100)",
    made=datetime(2026, 1, 5, 12, 0, 0, 5, UTC),
    dataset="us_equities",
    version="us_equities@1.1",
    symbols=("AAPL", "MSFT"),
    first=datetime(2012, 3, 5, 21, 0, tzinfo=UTC),
    last=datetime(2013, 3, 5, 21, 0, tzinfo=UTC),
    adjustment="all",
    known=datetime(2026, 1, 4, 1, 2, 3, 999999, UTC),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, tmp_path):
    url = None
    if request.param == "postgresql":
        started = request.getfixturevalue("postgres_server")
        url = started.create_database(f"d{time.monotonic_ns()}")
    return load_settings(home=tmp_path / "home", database_url=url)


@pytest.fixture
def ledger(settings):
    database = open_database(settings)
    yield UseLedger(database)
    database.close()


def test_what_is_recorded_is_read_back_as_it_was(ledger):
    linked = replace(USE, kind="run", name="notebooks/report 'ü'.ipynb", link="/reports/1", symbols=("BRK-B",))
    assert [ledger.record(use) for use in (USE, linked)] == [1, 2]
    assert ledger.list() == [replace(USE, id=1), replace(linked, id=2)]


def test_only_the_uses_of_one_dataset_are_listed(ledger):
    for dataset in ("a", "b", "a"):
        ledger.record(replace(USE, dataset=dataset))
    assert [use.id for use in ledger.list("a")] == [1, 3]
    assert ledger.list("c") == []


def test_the_migrations_make_the_table_that_is_written(ledger):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with ledger.database.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: name == "uses" or kind != "table"}
        )
        assert compare_metadata(context, USES.metadata) == []


def test_processes_that_record_at_once_lose_nothing(ledger, settings):
    code = """
import sys
from dataclasses import replace
from workbench.core.database import open_database
from workbench.core.settings import load_settings
from workbench.data.uses import UseLedger, Use
import datetime
now = datetime.datetime.now(datetime.UTC)
ledger = UseLedger(open_database(load_settings()))
for number in range(200):
    ledger.record(Use("sweep", f"{sys.argv[1]}-{number}", now, "d", "d@1", ("A",), now, now, "none", now))
"""
    environment = {**os.environ, **settings.environment()}
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(n)], env=environment, stderr=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    names = [use.name for use in ledger.list()]
    assert sorted(names) == sorted(f"{writer}-{number}" for writer in range(4) for number in range(200))
    for writer in range(4):
        own = [name for name in names if name.startswith(f"{writer}-")]
        assert own == [f"{writer}-{number}" for number in range(200)]


def test_the_use_of_bars_is_what_they_say_of_themselves(bars):
    use = use_of(bars, "backtest", "sma_cross", {"fast": 20, "slow": 100}, USE.made)
    assert (use.kind, use.name, use.made) == ("backtest", "sma_cross(fast=20, slow=100)", USE.made)
    assert use_of(bars, "run", "report.ipynb", {}, USE.made, "/runs/1").name == "report.ipynb"
    assert use.symbols == ("AAPL", "FB", "IBM")
    assert (use.dataset, use.version) == (bars.attrs["dataset"], bars.attrs["version"])
    assert use.adjustment == "all"
    assert use.known.isoformat() == bars.attrs["as_of"]
    assert use.first == datetime(2005, 1, 3, 21, 0, tzinfo=UTC)
    assert use.last.tzinfo is not None
    assert use.last.replace(tzinfo=None) == bars.indexes["time"][-1]
