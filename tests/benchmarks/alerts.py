"""Alert rules on a stream, against rule-engine in one run: ``python tests/benchmarks/alerts.py --json``.

1,000 made-up symbols of 260 daily bars with 110 rules each: prices above, below and at a cross, moves over 1 to 20
bars, and rules made of three others. Quotes walk at random; a few rules in a hundred thousand fire at each step.

- ``evaluations_per_second``: a rule at a symbol, from quotes as a feed tells them to what fired, in one process; each
  batch has a quote of every symbol. ``_one_quote``: a batch has one quote alone, which is the least that a feed tells.
- ``told_evaluations_per_second``: the same with what fired written to SQLite, with its messages; rules cross more often
  than any user's would.
- ``ratio_to_rule_engine``: rule-engine 5 on the same price rules, compiled once, one quote at a time; only whether they
  match, without a memory of what was told.
- ``memory_mb``: of the rules, with the bars that they look back on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tracemalloc
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import rule_engine
import xarray as xr

from workbench.alerts.evaluate import NamedRule
from workbench.alerts.rules import make_rule
from workbench.alerts.streaming import Watcher
from workbench.alerts.tables import RULES
from workbench.alerts.telling import write
from workbench.core.calendar import session_closes
from workbench.core.clock import utc_now
from workbench.core.database import open_database
from workbench.core.settings import load_settings
from workbench.data.providers.base import Quote

DATASET, SYMBOLS, BARS = "made_up", [f"S{number:04d}" for number in range(1000)], 260
START = datetime.fromisoformat("2026-03-02T15:00:00+00:00")


def made_up(seed=1):
    """Return bars of a random walk, as they are adjusted for splits and for all."""
    days = pd.bdate_range(end="2026-02-27", periods=BARS)
    days = days[session_closes("XNYS", days).notna()] if session_closes("XNYS", days).isna().any() else days
    times = pd.DatetimeIndex(session_closes("XNYS", days)).tz_convert(None).as_unit("ns")
    steps = np.random.default_rng(seed).normal(0, 0.02, (len(times), len(SYMBOLS)))
    close = (("time", "symbol"), 100 * np.exp(steps.cumsum(axis=0)))
    attrs = {"calendar": "XNYS", "interval": "1d", "currency": "USD"}
    bars = xr.Dataset({"close": close}, coords={"time": times.to_numpy(), "symbol": SYMBOLS}, attrs=attrs)
    return {(DATASET, adjust): bars for adjust in ("splits", "all")}


def rules_of():
    """Return 110 rules on every symbol."""
    given = {"dataset": DATASET, "symbols": SYMBOLS}
    sides = ("above", "below", "crosses above", "crosses below", "crosses")
    found = [("price", {"when": sides[n % 5], "level": 50.0 + 2 * n}) for n in range(50)]
    found += [("move", {"percent": 4.0 + n / 5, "window": 1 + n % 20}) for n in range(50)]
    parts = [
        {"kind": "price", "when": "above", "level": 120},
        {"kind": "move", "percent": 5, "window": 5},
        {"kind": "not", "parts": [{"kind": "price", "when": "crosses", "level": 130}]},
    ]
    found += [(("all", "any")[n % 2], {"parts": parts}) for n in range(10)]
    rules = [make_rule(kind, {**given, **values}) for kind, values in found]
    return [
        NamedRule(f"r{n}", kind, rule, f"id{n}") for n, ((kind, _), rule) in enumerate(zip(found, rules, strict=True))
    ]


def batches(bars, count, size, seed=2):
    """Return batches of quotes that walk at random from the last close on."""
    random = np.random.default_rng(seed)
    last = bars[DATASET, "splits"]["close"].to_numpy()[-1].copy()
    close, found = last.copy(), []
    for number in range(count):
        chosen = np.arange(number * size, (number + 1) * size) % len(SYMBOLS)
        last[chosen] *= np.exp(random.normal(0, 0.001, size))
        moment = START + timedelta(seconds=number)
        quotes = [Quote(SYMBOLS[c], moment, float(last[c]), "made up", "USD", None, float(close[c])) for c in chosen]
        found.append(quotes)
    return found


def speed(watcher, some, after=lambda step: None):
    """Return evaluations a second."""
    began, count = time.perf_counter(), 0
    for quotes in some:
        step = watcher.take(quotes)
        after(step)
        count += step.evaluated
    return count / (time.perf_counter() - began)


def peer(rules, some):
    """Return evaluations a second of rule-engine over the price rules that are above or below."""
    signs = {"above": ">", "below": "<"}
    plain = [each.rule for each in rules if each.kind == "price" and each.rule.when in signs]
    compiled = [rule_engine.Rule(f"price {signs[each.when]} {each.level}") for each in plain]
    began, count = time.perf_counter(), 0
    for quotes in some:
        for quote in quotes:
            facts = {"symbol": quote.symbol, "price": quote.price}
            count += sum(1 for each in compiled if each.matches(facts) or True)
    return count / (time.perf_counter() - began)


def told(rules, bars, quotes):
    """Return evaluations a second, and how many alerts they raised, with everything written down."""
    with tempfile.TemporaryDirectory() as home:
        database = open_database(load_settings(home=Path(home)))
        with database.writing() as connection:
            for each in rules:
                row = {"id": each.id, "name": each.name, "kind": each.kind, "definition": {}, "created": START}
                connection.execute(RULES.insert().values(policy={}, **row))
        raised = []
        watcher = Watcher(rules, bars)
        watcher.take(quotes[0])
        rate = speed(watcher, quotes[1:], lambda step: raised.append(write(database, step, utc_now, ("lab",))))
        return rate, sum(raised)


def measure():
    bars, rules = made_up(), rules_of()
    whole, single = batches(bars, 41, len(SYMBOLS)), batches(bars, 4000, 1, seed=3)
    watcher = Watcher(rules, bars)
    watcher.take(whole[0])
    rate = speed(watcher, whole[1:])
    watcher = Watcher(rules, bars)
    watcher.take(single[0])
    alone = speed(watcher, single[1:])
    theirs = peer(rules, whole[:2])
    written, raised = told(rules, bars, whole[:11])
    tracemalloc.start()
    kept = Watcher(rules, bars)
    memory = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    return {
        "evaluations_per_second": round(rate),
        "evaluations_per_second_one_quote": round(alone),
        "told_evaluations_per_second": round(written),
        "told_alerts": raised,
        "rule_engine_evaluations_per_second": round(theirs),
        "ratio_to_rule_engine": round(rate / theirs, 1),
        "rules_at_symbols": len(kept.cells),
        "memory_mb": round(memory),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    wanted = parser.parse_args()
    found = measure()
    print(json.dumps(found) if wanted.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
