"""Sweeps against vectorbt and backtesting.py, in one run on this machine: ``python tests/benchmarks/sweep.py --json``.

The case: AAPL, GOOG, IBM and MSFT from 2004-08-19 (2,148 bars), fast 5 to 54, slow 60 to 255 by 5, entries and exits on
crosses, commission 0.1 %, no slippage, fills at the next close: 8,000 backtests, warm, from bars in memory to the
statistics, indicators included.

- ``speedup_vs_vectorbt``: vectorbt's own moving averages, crosses, portfolio and statistics of the same case; with
  ``_total_return_alone`` it is asked for no other statistic, and we still give all.
- ``speedup_vs_backtesting``: backtesting.py is run on some of the 8,000, and its time for one is compared.
- ``max_abs_difference``: over every statistic that vectorbt defines as we do, over all 8,000.
- ``million_*``: 250 x 1,000 points of the four symbols in one call, in a fresh process; memory is the highest that was
  resident above that before the call, the result's 96 MB included. ``linearity``: its time for a backtest over that of
  a quarter of it.
- ``dask_two_vs_one``: 500,000 backtests of 20 stocks over 33 years (8,313 bars) on two worker processes of a thread
  each against one, warm; ``machine_two_vs_one``: the same of the bare kernel in two processes that share nothing, which
  is the most that its cores give; ``_million``: the million of above, so light that gathering it keeps a core busy.
- ``first_backtest_seconds``: one backtest in a fresh process, after imports.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import workbench as wb
from workbench.backtest.strategy import find_strategy
from workbench.backtest.sweeps.sweep import sweep
from workbench.backtest.terms import Costs, Terms

SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]
FAST, SLOW = range(5, 55), range(60, 260, 5)
TERMS = Terms(Costs(0.001, 0.0, 0.0), 100_000.0, fill="next_close")
LARGE = {"fast": range(5, 255), "slow": range(260, 1260)}
LONG = {"fast": range(5, 55), "slow": range(60, 560)}
SAME = {
    "total_return": "total_return",
    "max_drawdown": "max_drawdown",
    "annual_return": "annualized_return",
    "volatility": "annualized_volatility",
    "sharpe": "sharpe_ratio",
    "sortino": "sortino_ratio",
    "calmar": "calmar_ratio",
    "win_rate": "trades.win_rate",
    "profit_factor": "trades.profit_factor",
    "trades": "trades.count",
    "exposure": "position_coverage",
}
"""Ours, and how vectorbt calls it."""


def sample():
    with tempfile.TemporaryDirectory() as home:
        return wb.open(home=home).bars(SYMBOLS, start="2004-08-19")


def long_history():
    with tempfile.TemporaryDirectory() as home:
        return wb.open(home=home).bars(dataset="sp500_stocks")


def ours(bars, cluster=None, **grid):
    return sweep(bars, find_strategy("sma_cross"), grid, TERMS, progress=False, cluster=cluster)


def theirs(close, names):
    """Return vectorbt's statistics of the case, each of shape (8000,)."""
    import vectorbt as vbt

    fast = vbt.MA.run(close, list(np.repeat(FAST, len(SLOW))), short_name="fast")
    slow = vbt.MA.run(close, list(np.tile(SLOW, len(FAST))), short_name="slow")
    entries, exits = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
    shifted = {"entries": entries.vbt.fshift(1), "exits": exits.vbt.fshift(1)}
    portfolio = vbt.Portfolio.from_signals(close, **shifted, fees=0.001, freq="1D", init_cash=100_000)
    # A year of 252 bars, as ours.
    year = {"year_freq": "252 days"}
    needs_year = {"annual_return", "volatility", "sharpe", "sortino", "calmar"}
    found = {}
    for name in names:
        called = SAME[name]
        if called.startswith("trades."):
            found[name] = getattr(portfolio.trades.closed, called.removeprefix("trades."))()
        else:
            found[name] = getattr(portfolio, called)(**(year if name in needs_year else {}))
    return found


def one_by_one(bars, runs):
    """Return how long backtesting.py takes for one backtest, in seconds, over ``runs`` of the case."""
    from backtesting import Backtest, Strategy
    from backtesting.lib import crossover

    frame = bars.sel(symbol="AAPL", drop=True).to_dataframe().rename(columns=str.capitalize)

    def average(values, window):
        return np.convolve(values, np.full(window, 1 / window), mode="full")[: len(values)]

    class Cross(Strategy):
        fast, slow = 10, 60

        def init(self):
            self.quick = self.I(average, self.data.Close, self.fast)
            self.calm = self.I(average, self.data.Close, self.slow)

        def next(self):
            if crossover(self.quick, self.calm):
                self.buy()
            elif crossover(self.calm, self.quick):
                self.position.close()

    account = Backtest(frame, Cross, cash=100_000, commission=0.001, finalize_trades=True)
    points = [(fast, slow) for fast in FAST for slow in SLOW]
    chosen = [points[k] for k in np.linspace(0, len(points) - 1, runs).astype(int)]
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        account.run(fast=10, slow=60)  # warm
        started = time.perf_counter()
        for fast, slow in chosen:
            account.run(fast=fast, slow=slow)
    return (time.perf_counter() - started) / runs


def timed(function, *arguments, **named):
    started = time.perf_counter()
    found = function(*arguments, **named)
    return found, time.perf_counter() - started


def differences(found, peer):
    shape = (len(FAST), len(SLOW), len(SYMBOLS))
    apart = {}
    for name, series in peer.items():
        mine, other = found[name].to_numpy(), np.asarray(series).reshape(shape)
        both = np.isfinite(mine) & np.isfinite(other)
        apart[name] = float(np.abs(mine[both] - other[both]).max())
    return apart


MEMORY = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import sweep as case
bars = case.sample()
case.ours(bars, fast=[5, 6], slow=[100, 110])
def resident(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))
before = resident("VmRSS:")
quarter = {"fast": range(5, 68), "slow": case.LARGE["slow"]}
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
found, seconds = case.timed(case.ours, bars, **case.LARGE)
peak = resident("VmHWM:") - before
cells = found["sharpe"].size
del found
small, fewer = case.timed(case.ours, bars, **quarter)
linear = (seconds / cells) / (fewer / small["sharpe"].size)
print(json.dumps({"million_peak_mb": round(peak, 1), "million_seconds": round(seconds, 2),
                  "million_cells": cells, "linearity": round(linear, 2)}))
"""

FIRST = """
import time, tempfile
import workbench as wb, workbench.backtest.run
bench = wb.open(home=tempfile.mkdtemp())
bars = bench.bars(["AAPL"], start="2004-08-19")
started = time.perf_counter()
bench.backtest("sma_cross", ["AAPL"], start="2004-08-19")
print(time.perf_counter() - started)
"""


def fresh(program):
    """Run a program in a process of its own and return the last line that it prints."""
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


def on_workers(bars, grid, workers):
    """Return the seconds of a sweep on a cluster of ``workers`` processes, warm."""
    from distributed import Client, LocalCluster

    kind = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    kind["silence_logs"] = logging.ERROR
    with LocalCluster(**kind) as cluster, Client(cluster) as client:
        ours(bars, client, fast=range(5, 8), slow=grid["slow"])
        return timed(ours, bars, client, **grid)[1]


SPIN = """
import time
from workbench.backtest.sweeps import fused
import numpy as np
close = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, 8_000)))
lines = np.random.default_rng(1).normal(size=(64, 8_000)).cumsum(axis=1)
points = np.arange(64)[:, None].repeat(4, axis=1) + np.array([0, 1, 1, 0])
terms = fused.Terms(0.001, 0.0, 100_000.0, 0.0, 252.0, False)
nothing = np.empty((64, 0))
fused.run_points(close, close, lines, points % 64, terms, nothing)
print("ready", flush=True)
input()
started = time.perf_counter()
for _ in range(400):
    fused.run_points(close, close, lines, points % 64, terms, nothing)
print(time.perf_counter() - started)
"""


def machine(processes):
    """Return the seconds of the bare kernel in some processes at once: what this machine's cores can give at most."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([sys.executable, "-c", SPIN], **pipes) for _ in range(processes)]
    for each in running:
        each.stdout.readline()
    return max(float(each.communicate("go\n")[0]) for each in running)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    bars = sample()
    close = bars["close"].to_pandas()
    ours(bars, fast=FAST, slow=SLOW), theirs(close.iloc[:300], SAME)  # warm
    found, seconds = min((timed(ours, bars, fast=FAST, slow=SLOW) for _ in range(5)), key=lambda pair: pair[1])
    _, their_least = timed(theirs, close, ["total_return"])
    peer, their_seconds = timed(theirs, close, SAME)
    one = one_by_one(bars, 40)
    apart = differences(found, peer)
    del peer
    history = long_history()
    single, double = on_workers(history, LONG, 1), on_workers(history, LONG, 2)
    alone, together = machine(1), machine(2)
    light_single, light_double = on_workers(bars, LARGE, 1), on_workers(bars, LARGE, 2)
    figures = {
        "backtests": found["sharpe"].size,
        "seconds": round(seconds, 4),
        "vectorbt_seconds": round(their_seconds, 2),
        "speedup_vs_vectorbt_total_return_alone": round(their_least / seconds, 1),
        "backtesting_seconds_each": round(one, 4),
        "speedup_vs_vectorbt": round(their_seconds / seconds, 1),
        "speedup_vs_backtesting": round(one * found["sharpe"].size / seconds),
        "max_abs_difference": max(apart.values()),
        "differences": apart,
        **json.loads(fresh(MEMORY)),
        "dask_one_seconds": round(single, 2),
        "dask_two_seconds": round(double, 2),
        "dask_two_vs_one": round(single / double, 2),
        "machine_two_vs_one": round(2 * alone / together, 2),
        "dask_two_vs_one_million": round(light_single / light_double, 2),
        "first_backtest_seconds": round(float(fresh(FIRST)), 2),
    }
    print(json.dumps(figures) if as_json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
