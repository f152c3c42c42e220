import os
import subprocess
import sys
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.moments import Moments
from workbench.backtest.trials import TRIALS, Standing, Trial, TrialLedger, trial_of
from workbench.bench import Workbench
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
    print(ledger.record("shared idea", "sweep", [int(sys.argv[1]) + number / 64, float("nan")], n_bars=1).number)
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
    assert ledger.record("cross", "backtest", 0.05, n_bars=1).number == 1
    assert ledger.record("cross", "backtest", 0.05, n_bars=1).number == 2
    assert ledger.record("cross", "sweep", np.full((20, 30, 2), 0.01), n_bars=1).number == 1202
    assert ledger.record("other", "walk_forward", [0.1, 0.2], n_bars=1).number == 2
    assert ledger.standing("cross").number == 1202


def test_the_variance_is_that_of_all_ratios_together(ledger):
    draws = np.random.default_rng(3).normal(0.03, 0.02, 500)
    for part in np.split(draws, [1, 2, 40, 400]):
        standing = ledger.record("cross", "sweep", part, n_bars=1)
    assert standing == ledger.standing("cross")
    assert standing.variance == pytest.approx(np.var(draws, ddof=1), rel=1e-12)
    assert standing.mean == pytest.approx(draws.mean(), rel=1e-12)
    assert standing.best == draws.max()


def test_a_trial_without_a_ratio_counts_and_stays_out_of_the_variance(ledger):
    standing = ledger.record("cross", "sweep", [0.1, np.nan, 0.3, np.inf, -np.inf], n_bars=1)
    assert (standing.number, standing.measured, standing.best) == (5, 2, 0.3)
    assert standing.variance == pytest.approx(0.02)
    silent = ledger.record("silent", "backtest", np.nan, n_bars=1)
    assert (silent.number, silent.measured, silent.variance, silent.best) == (1, 0, 0.0, None)


def test_annual_ratios_are_brought_to_one_bar(own):
    standing = own.record("cross", "backtest", [1.0, 2.0], periods=252, n_bars=1)
    assert standing.mean == pytest.approx(1.5 / np.sqrt(252))
    assert standing.variance == pytest.approx(0.5 / 252)


def test_moments_far_from_zero_lose_no_digits():
    # Sums of squares cancel here: the variance of 4, 7, 13, 16 is 30 wherever they lie.
    far = 1e8 + np.array([4.0, 7.0, 13.0, 16.0])
    together = Moments.of(far[:1]) + Moments.of(far[1:])
    assert together.variance == 30.0
    assert Moments() + together == together == together + Moments()


def test_the_table_has_a_row_for_each_idea_and_the_events_one_for_each_record(ledger):
    ledger.record("first", "backtest", np.nan, run="/runs/1", n_bars=1)
    ledger.clock = lambda: MOMENT.replace(hour=13)
    ledger.record("second", "sweep", [0.1, 0.3], n_bars=1)
    ledger.clock = lambda: MOMENT.replace(hour=14)
    ledger.record("second", "cross_validation", [0.2], n_bars=1)
    table = ledger.table().set_index("hypothesis")
    assert list(table.index) == ["second", "first"]
    assert table["trials"].to_dict() == {"second": 3, "first": 1}
    assert (table.loc["second", "first"], table.loc["second", "last"]) == (
        MOMENT.replace(hour=13),
        MOMENT.replace(hour=14),
    )
    assert table.loc["second", ["mean_t", "variance_t", "best_t"]].tolist() == pytest.approx([0.2, 0.01, 0.3])
    assert table.loc["first", ["mean_t", "variance_t", "best_t"]].isna().all()
    events = ledger.events("second")
    assert events[["number", "kind", "count"]].to_numpy().tolist() == [[2, "sweep", 2], [3, "cross_validation", 1]]
    assert ledger.events("first")["run"].tolist() == ["/runs/1"]
    assert ledger.events("never").empty


def test_blanks_around_a_name_do_not_make_another_idea(own):
    own.record("  ein 'Einfall' %s ü ", "backtest", 0.1, n_bars=1)
    assert own.record("ein 'Einfall' %s ü", "backtest", 0.1, n_bars=1).number == 2


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "two\nlines", "nul\0", None, 7])
def test_what_is_no_name_is_told(own, name):
    with pytest.raises(ParameterError, match="is no name of an idea; give 1 to 200"):
        own.record(name, "backtest", 0.1, n_bars=1)
    assert own.table().empty


def test_a_record_that_cannot_be_kept_is_told(own):
    with pytest.raises(UnknownNameError, match="unknown kind of trial 'guess'"):
        own.record("cross", "guess", 0.1, n_bars=1)
    with pytest.raises(ParameterError, match="nothing to record for 'cross'"):
        own.record("cross", "sweep", [], n_bars=1)
    with pytest.raises(ParameterError, match="periods=0 must be positive"):
        own.record("cross", "sweep", 0.1, periods=0, n_bars=1)
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
    told = ledger.table().set_index("hypothesis").loc[standing.hypothesis]
    assert told["variance_t"] == pytest.approx(np.var(expected, ddof=1), rel=1e-12)
    assert standing.variance >= told["variance_t"] * (1 - 1e-12)
    events = ledger.events("shared idea")
    assert events["count"].cumsum().tolist() == events["number"].tolist()
    assert events["made"].is_monotonic_increasing


def test_a_trial_says_its_number_and_what_is_left():
    assert str(Trial("cross", 1204, 0.3141)) == "trial 1,204 of this idea; deflated Sharpe 0.31"
    assert str(Trial("cross", 1, float("nan"))) == "trial 1 of this idea; deflated Sharpe undefined"
    assert Trial("cross", 1, float("nan")).to_dict() == {"hypothesis": "cross", "number": 1, "deflated_sharpe": None}


def test_ratios_of_few_bars_and_of_many_are_kept_as_t_statistics(own):
    # Lo (2002): without skill the ratio's estimate has a variance of 1/n, so that the t-statistics' is 1 for any n.
    rng = np.random.default_rng(7)
    for n_bars in (250, 3000):
        returns = rng.standard_normal((n_bars, 2000))
        standing = own.record("noise", "sweep", returns.mean(axis=0) / returns.std(axis=0, ddof=1), n_bars=n_bars)
    assert standing.variance == pytest.approx(1, abs=4 * np.sqrt(2 / 4000))
    assert standing.variance_per_bar(3000) == standing.variance / 3000
    mixed = own.record("mixed", "sweep", [0.1, np.nan, 0.1], n_bars=[100, 5, 400])
    assert (mixed.mean, mixed.best, mixed.number) == (pytest.approx(1.5), pytest.approx(2), 3)


@pytest.mark.parametrize("n_bars", [0, -5, np.nan, [10, 0], [10, 20, 30], [[10, 20]]])
def test_bars_that_do_not_go_with_the_ratios_are_told(own, n_bars):
    with pytest.raises(ParameterError, match="n_bars"):
        own.record("cross", "sweep", [0.1, 0.2], n_bars=n_bars)
    assert own.standing("cross").number == 0


def test_a_walk_forward_between_two_validations_takes_no_proof_away(home):
    bench = Workbench(load_settings(home=home), clock=lambda: MOMENT)
    asked = {"fast": range(5, 30, 5), "slow": range(40, 200, 20), "progress": False}
    before = bench.validate("sma_cross", ["AAPL"], **asked)
    bench.walk_forward("sma_cross", ["AAPL"], train=250, test=250, **asked)
    after = bench.validate("sma_cross", ["AAPL"], **asked)
    assert after.n_trials > 10 * before.n_trials
    assert before.deflated > 0.99
    # Fourteen times as many trials cost something; by ratios of windows as they are nothing would be left.
    assert before.deflated - after.deflated < 0.1


def test_each_look_is_recorded_with_its_own_bars(home):
    bench = Workbench(load_settings(home=home), clock=lambda: MOMENT)
    asked = {"fast": [10, 20], "slow": [50]}
    swept = bench.sweep("sma_cross", ["AAPL", "FB"], progress=False, **asked)
    bars = bench.bars(["AAPL", "FB"])["close"].count("time")
    expected = (swept["sharpe"] * np.sqrt(bars / 252)).to_numpy()
    standing = bench.trials.standing("sma_cross")
    assert standing.number == 4
    assert (standing.mean, standing.best) == (pytest.approx(expected.mean()), pytest.approx(expected.max()))
    run = bench.backtest("sma_cross", ["FB"], hypothesis="one", fast=10, slow=50)
    own = run.statistics["sharpe"] * np.sqrt(int(bars.sel(symbol="FB")) / 252)
    assert bench.trials.standing("one").best == pytest.approx(own)
    folds = bench.cross_validate("sma_cross", ["FB"], hypothesis="folds", n_folds=6, progress=False, **asked)
    best = np.nanmax(folds.sharpes) * np.sqrt(len(folds.paths))
    assert bench.trials.standing("folds").best == pytest.approx(best)


def test_more_trials_leave_less_of_a_sharpe_ratio():
    returns = pd.Series(np.random.default_rng(1).normal(0.0006, 0.01, 1250))
    left = [trial_of(returns, Standing("cross", number, 0.0004 * 1250)).deflated_sharpe for number in (1, 2, 10, 1000)]
    assert left == sorted(left, reverse=True)
    assert left[0] - left[-1] > 0.3


def test_no_look_lowers_the_hurdle_however_often_it_is_repeated(ledger):
    returns = pd.Series(np.random.default_rng(3).normal(0.002, 0.02, 500))
    draws = np.random.default_rng(4).normal(0, 0.05, 98)
    before = trial_of(returns, ledger.record("h", "sweep", draws, n_bars=500)).deflated_sharpe
    for count in (1, 200, 5000):
        standing = ledger.record("h", "backtest", np.full(count, draws.max()), n_bars=500)
        now = trial_of(returns, standing).deflated_sharpe
        assert now <= before + 1e-12
        before = now
    assert ledger.standing("h") == standing
