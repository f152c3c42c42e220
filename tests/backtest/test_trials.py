import os
import subprocess
import sys
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from server_fixtures import postgres_server  # noqa: F401

from workbench.backtest.moments import Moments
from workbench.backtest.trials import TRIALS, Standing, Trial, TrialLedger, trial_of
from workbench.core.database import open_database
from workbench.core.errors import ParameterError, UnknownNameError
from workbench.core.settings import load_settings

MOMENT = datetime(2026, 1, 5, 12, 0, 0, 5, UTC)

WRITER = """
import sys
from workbench.backtest.trials import TrialLedger
from workbench.core.clock import utc_now
from workbench.core.database import open_database
from workbench.core.settings import load_settings
ledger = TrialLedger(open_database(load_settings()), utc_now)
for number in range(60):
    print(ledger.record("shared idea", "sweep", [int(sys.argv[1]) + number / 64, float("nan")]).number)
"""


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
    yield TrialLedger(database, lambda: MOMENT)
    database.close()


@pytest.fixture
def own(tmp_path):
    """A ledger in a file of its own."""
    return TrialLedger(open_database(load_settings(home=tmp_path / "own")), lambda: MOMENT)


def test_every_look_counts_also_a_repeated_one(ledger):
    assert ledger.standing("cross") == Standing("cross", 0, 0.0)
    assert ledger.record("cross", "backtest", 0.05).number == 1
    assert ledger.record("cross", "backtest", 0.05).number == 2
    assert ledger.record("cross", "sweep", np.full((20, 30, 2), 0.01)).number == 1202
    assert ledger.record("other", "walk_forward", [0.1, 0.2]).number == 2
    assert ledger.standing("cross").number == 1202


def test_the_variance_is_that_of_all_ratios_together(ledger):
    draws = np.random.default_rng(3).normal(0.03, 0.02, 500)
    for part in np.split(draws, [1, 2, 40, 400]):
        standing = ledger.record("cross", "sweep", part)
    assert standing == ledger.standing("cross")
    assert standing.variance == pytest.approx(np.var(draws, ddof=1), rel=1e-12)
    assert standing.mean == pytest.approx(draws.mean(), rel=1e-12)
    assert standing.best == draws.max()


def test_a_trial_without_a_ratio_counts_and_stays_out_of_the_variance(ledger):
    standing = ledger.record("cross", "sweep", [0.1, np.nan, 0.3, np.inf, -np.inf])
    assert (standing.number, standing.measured, standing.best) == (5, 2, 0.3)
    assert standing.variance == pytest.approx(0.02)
    silent = ledger.record("silent", "backtest", np.nan)
    assert (silent.number, silent.measured, silent.variance, silent.best) == (1, 0, 0.0, None)


def test_annual_ratios_are_brought_to_one_bar(own):
    standing = own.record("cross", "backtest", [1.0, 2.0], periods=252)
    assert standing.mean == pytest.approx(1.5 / np.sqrt(252))
    assert standing.variance == pytest.approx(0.5 / 252)


def test_moments_far_from_zero_lose_no_digits():
    # Sums of squares cancel here: the variance of 4, 7, 13, 16 is 30 wherever they lie.
    far = 1e8 + np.array([4.0, 7.0, 13.0, 16.0])
    together = Moments.of(far[:1]) + Moments.of(far[1:])
    assert together.variance == 30.0
    assert Moments() + together == together == together + Moments()


def test_the_table_has_a_row_for_each_idea_and_the_events_one_for_each_record(ledger):
    ledger.record("first", "backtest", np.nan, run="/runs/1")
    ledger.clock = lambda: MOMENT.replace(hour=13)
    ledger.record("second", "sweep", [0.1, 0.3])
    ledger.clock = lambda: MOMENT.replace(hour=14)
    ledger.record("second", "cross_validation", [0.2])
    table = ledger.table().set_index("hypothesis")
    assert list(table.index) == ["second", "first"]
    assert table["trials"].to_dict() == {"second": 3, "first": 1}
    assert (table.loc["second", "first"], table.loc["second", "last"]) == (
        MOMENT.replace(hour=13),
        MOMENT.replace(hour=14),
    )
    assert table.loc["second", ["mean", "variance", "best"]].tolist() == pytest.approx([0.2, 0.01, 0.3])
    assert table.loc["first", ["mean", "variance", "best"]].isna().all()
    events = ledger.events("second")
    assert events[["number", "kind", "count"]].to_numpy().tolist() == [[2, "sweep", 2], [3, "cross_validation", 1]]
    assert ledger.events("first")["run"].tolist() == ["/runs/1"]
    assert ledger.events("never").empty


def test_blanks_around_a_name_do_not_make_another_idea(own):
    own.record("  ein 'Einfall' %s ü ", "backtest", 0.1)
    assert own.record("ein 'Einfall' %s ü", "backtest", 0.1).number == 2


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "two\nlines", "nul\0", None, 7])
def test_what_is_no_name_is_told(own, name):
    with pytest.raises(ParameterError, match="is no name of an idea; give 1 to 200"):
        own.record(name, "backtest", 0.1)
    assert own.table().empty


def test_a_record_that_cannot_be_kept_is_told(own):
    with pytest.raises(UnknownNameError, match="unknown kind of trial 'guess'"):
        own.record("cross", "guess", 0.1)
    with pytest.raises(ParameterError, match="nothing to record for 'cross'"):
        own.record("cross", "sweep", [])
    with pytest.raises(ParameterError, match="periods=0 must be positive"):
        own.record("cross", "sweep", 0.1, periods=0)
    assert own.standing("cross").number == 0


def test_the_migrations_make_the_tables_that_are_written(ledger):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with ledger.database.reading() as connection:
        own = {"include_name": lambda name, kind, _: name in ("trials", "hypotheses") or kind != "table"}
        assert compare_metadata(MigrationContext.configure(connection, opts=own), TRIALS.metadata) == []


def test_processes_that_record_at_once_lose_no_count_and_share_no_number(ledger, settings):
    environment = {**os.environ, **settings.environment()}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(writer)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for writer in range(4)
    ]
    numbers = []
    for process in started:
        told, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        numbers += [int(line) for line in told.split()]
    assert sorted(numbers) == list(range(2, 2 * 240 + 1, 2))
    standing = ledger.standing("shared idea")
    expected = [writer + number / 64 for writer in range(4) for number in range(60)]
    assert (standing.number, standing.measured) == (480, 240)
    assert standing.mean == pytest.approx(np.mean(expected), rel=1e-12)
    assert standing.variance == pytest.approx(np.var(expected, ddof=1), rel=1e-12)
    events = ledger.events("shared idea")
    assert events["count"].cumsum().tolist() == events["number"].tolist()
    assert events["made"].is_monotonic_increasing


def test_a_trial_says_its_number_and_what_is_left():
    assert str(Trial("cross", 1204, 0.3141)) == "trial 1,204 of this idea; deflated Sharpe 0.31"
    assert str(Trial("cross", 1, float("nan"))) == "trial 1 of this idea; deflated Sharpe undefined"
    assert Trial("cross", 1, float("nan")).to_dict() == {"hypothesis": "cross", "number": 1, "deflated_sharpe": None}


def test_more_trials_leave_less_of_a_sharpe_ratio():
    returns = pd.Series(np.random.default_rng(1).normal(0.0006, 0.01, 1250))
    left = [trial_of(returns, Standing("cross", number, 0.0004)).deflated_sharpe for number in (1, 2, 10, 1000)]
    assert left == sorted(left, reverse=True)
    assert left[0] - left[-1] > 0.3
