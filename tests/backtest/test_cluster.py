"""A sweep on a Dask cluster is the sweep."""

from __future__ import annotations

from typing import Annotated

import cloudpickle
import distributed
import numpy as np
import pytest
import xarray as xr
from pydantic import Field

import workbench as wb
from workbench.analytics import indicators
from workbench.backtest.strategy import find_strategy, strategy
from workbench.backtest.sweeps.compiled import CompiledWork
from workbench.backtest.sweeps.grid import read_grid
from workbench.backtest.sweeps.sweep import sweep
from workbench.backtest.terms import Costs, Terms
from workbench.core.errors import ParameterError, StrategyError

TERMS = Terms(Costs(0.001, 0.0005, 0.01), 1000.0, "both")
GRID = {"fast": range(5, 35), "slow": range(40, 70)}


@strategy
def uptrend(bars, window: Annotated[int, Field(ge=2)] = 20):
    "Long above an average."
    average = indicators.sma(bars, window)
    enter, leave = bars["close"] > average, bars["close"] < average
    return wb.make_signals(enter, leave, bars["close"] / average - 1)


@strategy
def fragile(bars, window: Annotated[int, Field(ge=2)] = 20):
    "Cannot count to seven."
    1 // (window - 7)
    return uptrend.rule(bars, window)


@pytest.fixture(scope="module")
def client():
    """Two workers in processes of their own, on this machine alone."""
    kind = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(**kind) as cluster, distributed.Client(cluster) as client:
        yield client


def test_a_cluster_gives_the_figures_of_this_machine(client, bars):
    cross = find_strategy("sma_cross")
    there = sweep(bars, cross, GRID, TERMS, progress=False, cluster=client)
    # Code that was compiled just now and code from the cache may round the last digit differently.
    xr.testing.assert_allclose(there, sweep(bars, cross, GRID, TERMS, progress=False), rtol=1e-12)
    assert there.attrs["strategy"] == "sma_cross"
    assert len(client.nthreads()) == 2


def test_a_cluster_itself_does_as_well_as_its_client(client, bars):
    cross = find_strategy("sma_cross")
    found = sweep(bars, cross, {"fast": [5, 10], "slow": 50}, TERMS, progress=False, cluster=client.cluster)
    assert found["sharpe"].notnull().all()
    assert client.status == "running"


def test_a_rule_of_a_notebook_runs_through_the_engine_on_workers(client, bars):
    there = sweep(bars, uptrend, {"window": [5, 20, 50]}, TERMS, progress=False, cluster=client)
    xr.testing.assert_identical(there, sweep(bars, uptrend, {"window": [5, 20, 50]}, TERMS, progress=False))


def test_a_rule_that_fails_on_a_worker_names_the_point(client, bars):
    with pytest.raises(StrategyError, match=r"at window=7: .*ZeroDivisionError"):
        sweep(bars, fragile, {"window": [5, 7]}, TERMS, progress=False, cluster=client)


def test_an_interrupt_cancels_what_has_not_begun(client, bars, monkeypatch):
    cancelled = []
    monkeypatch.setattr(client, "cancel", lambda futures, *rest: cancelled.extend(futures))
    monkeypatch.setattr("workbench.backtest.sweeps.compiled.LEAST", 30)
    monkeypatch.setattr("workbench.backtest.sweeps.blocks.PARTS", 90)
    cross = find_strategy("sma_cross")
    written = iter(range(3))

    def interrupted(self, block, figures):
        if next(written, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr("workbench.backtest.sweeps.compiled.CompiledWork.most", 1)
    monkeypatch.setattr("workbench.backtest.sweeps.kept.KeptBlocks.write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(bars, cross, GRID, TERMS, progress=False, cluster=client, folder="unused")
    assert cancelled


def test_what_is_no_cluster_is_refused(bars):
    with pytest.raises(ParameterError, match="cluster is a str, not a Dask cluster"):
        sweep(bars, find_strategy("sma_cross"), {"fast": [5]}, TERMS, progress=False, cluster="tcp://here:1")


def test_the_work_travels_without_the_lines_that_were_computed_here(bars):
    cross = find_strategy("sma_cross")
    work = CompiledWork(bars, read_grid(cross, GRID, 3), cross.crosses, TERMS)
    size = len(cloudpickle.dumps(work))
    figures = work.run(work.blocks()[0])
    assert len(cloudpickle.dumps(work)) == size
    np.testing.assert_array_equal(cloudpickle.loads(cloudpickle.dumps(work)).run(work.blocks()[0]), figures)
