from __future__ import annotations

import hashlib
import io
import itertools
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FunctionType
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pydantic import Field

import workbench as wb
from workbench.analytics import indicators
from workbench.analytics.lines import line
from workbench.analytics.signals import crossed_above
from workbench.backtest.run import backtest
from workbench.backtest.statistics import NAMES
from workbench.backtest.strategy import find_strategy, installed, strategy
from workbench.backtest.sweeps import compiled, simulated
from workbench.backtest.sweeps.cells import cell_bars, cell_parameters
from workbench.backtest.sweeps.compiled import CompiledWork
from workbench.backtest.sweeps.fingerprint import fingerprint
from workbench.backtest.sweeps.grid import Grid, read_grid
from workbench.backtest.sweeps.kept import KeptBlocks
from workbench.backtest.sweeps.paths import cell_equity
from workbench.backtest.sweeps.sweep import require_one_rule, sweep
from workbench.backtest.terms import Costs, Terms
from workbench.core.errors import InputError, ParameterError, StoreError, StrategyError, UnknownNameError

MOMENT = datetime(2026, 1, 5, tzinfo=UTC)
TERMS = Terms(Costs(0.001, 0.0005, 0.01), 1000.0, "both")
SMA = find_strategy("sma_cross")


@pytest.fixture(scope="module")
def grid(bench):
    return bench.sweep("sma_cross", ["AAPL", "IBM"], fast=[10, 60], slow=range(50, 151, 50), progress=False)


def test_a_sweep_spans_the_grid_and_the_symbols(grid):
    assert dict(grid.sizes) == {"fast": 2, "slow": 3, "symbol": 2}
    assert tuple(grid.data_vars) == NAMES


def test_every_cell_is_the_backtest_of_its_parameters(bench, grid):
    for fast, slow in [(10, 50), (60, 100), (10, 150)]:
        for symbol in ("AAPL", "IBM"):
            alone = bench.backtest("sma_cross", [symbol], fast=fast, slow=slow).statistics
            cell = {name: float(grid[name].sel(fast=fast, slow=slow, symbol=symbol)) for name in NAMES}
            assert cell == pytest.approx(dict(alone), rel=1e-12)


def test_a_point_whose_parameters_do_not_go_together_is_nan(grid):
    assert np.isnan(grid["sharpe"].sel(fast=60, slow=50)).all()
    assert grid["sharpe"].sel(fast=10, slow=50).notnull().all()


def test_a_single_value_is_no_axis_and_texts_are_typed(bench):
    found = bench.sweep("sma_cross", ["AAPL"], fast=["10", "20"], slow=100, progress=False)
    assert dict(found.sizes) == {"fast": 2, "symbol": 1}
    assert found["fast"].to_numpy().tolist() == [10, 20]
    assert float(found["slow"]) == 100


@pytest.mark.parametrize(
    ("grid", "error", "said"),
    [
        ({"fst": [1]}, UnknownNameError, "parameter 'fst'"),
        ({"fast": []}, ParameterError, "no values for 'fast'"),
        ({"fast": [1]}, ParameterError, "fast=1 is not valid"),
        ({"fast": [5, "5"]}, ParameterError, "fast=5 twice"),
        ({"fast": [200], "slow": [50, 100]}, ParameterError, "no point of the grid is valid.*fast must be below slow"),
        ({"fast": range(10**9)}, ParameterError, "1,000,000,000 cells .* more than the 20,000,000"),
        ({"fast": np.arange(2, 2000), "slow": range(2, 20_000)}, ParameterError, "cells .*1,998 fast x 19,998 slow"),
        ({"fast": itertools.count(2)}, ParameterError, "more than the 20,000,000"),
    ],
)
def test_a_grid_that_is_not_valid_is_refused(bench, grid, error, said):
    with pytest.raises(error, match=said):
        bench.sweep("sma_cross", ["AAPL"], progress=False, **grid)


def test_a_grid_too_large_is_refused_before_it_is_enumerated(bars, monkeypatch):
    monkeypatch.setattr(Grid, "points", lambda *given: pytest.fail("enumerated"))
    with pytest.raises(ParameterError, match="1,500,000,000 cells"):
        sweep(bars, SMA, {"fast": range(2, 1002), "slow": range(2, 500_002)}, TERMS, progress=False)


@strategy
def breakout(bars, window: Annotated[int, Field(ge=2)] = 20):
    "Long above an average, told without lines."
    average = indicators.sma(bars, window)
    return wb.make_signals(bars["close"] > average, bars["close"] < average, bars["close"] / average - 1)


@strategy
def fragile(bars, window: Annotated[int, Field(ge=2)] = 20):
    "Cannot count to seven."
    1 // (window - 7)
    return breakout.rule(bars, window)


@strategy
def halves(bars, window: Annotated[int, Field(ge=2)] = 20):
    "Half of the account in each of the symbols that is above its average."
    signals = breakout.rule(bars, window)
    weight = (signals["strength"] > 0).astype(float) / 2
    return signals.assign(weight=weight.where(signals["strength"].notnull()))


def fails_at_seven(window):
    1 // (window - 7)
    return ("sma", window), ("close",), ("close",), ("sma", window)


@strategy
def above_its_average(bars, window: Annotated[int, Field(ge=2)] = 20):
    "Long from a cross above an average to one below, as ``fails_at_seven`` tells it in lines."
    close, average = bars["close"], indicators.sma(bars, window)
    return wb.make_signals(crossed_above(average, close), crossed_above(close, average), close / average - 1)


CASES = {
    "compiled": ("sma_cross", {"fast": [5, 20], "slow": 60}, {}),
    "compiled, short too, borrowed": ("rsi_reversion", {"window": [5, 14], "low": [20, 40]}, {"direction": "both"}),
    "through the engine": (breakout, {"window": [5, 50]}, {"direction": "both"}),
    "sized and stopped": ("sma_cross", {"fast": [5, 20]}, {"size": "percent:0.5", "stop_loss": 0.05}),
    "a basket of weights": (halves, {"window": [5, 50]}, {}),
    "one account": ("sma_cross", {"fast": [5, 20]}, {"shared": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_any_cell_opens_as_the_backtest_of_its_parameters(bench, bars, case):
    name, grid, chosen = CASES[case]
    found, terms = find_strategy(name), Terms.agreed(bench.settings, **chosen)
    pair = bars.sel(symbol=["FB", "IBM"])
    cells = sweep(pair, found, grid, terms, progress=False)
    at_work = ["basket"] if case in ("a basket of weights", "one account") else ["FB", "IBM"]
    assert cells["symbol"].to_numpy().tolist() == at_work
    for symbol in at_work:
        for place in range(2):
            chosen = {
                str(dim): cells[dim].to_numpy()[place % cells.sizes[dim]] for dim in cells.dims if dim != "symbol"
            }
            values = cell_parameters(cells, **chosen, symbol=symbol)
            alone = backtest(cell_bars(pair, symbol), found, values, terms, created=MOMENT).statistics
            cell = {name: float(cells[name].sel(**chosen, symbol=symbol)) for name in NAMES}
            assert cell == pytest.approx(dict(alone), rel=1e-9, abs=1e-9, nan_ok=True)


def test_a_cell_needs_a_value_for_each_axis_and_one_that_is_on_it(grid):
    assert cell_parameters(grid, fast=10, slow=50) == {"fast": 10, "slow": 50}
    assert cell_parameters(grid.sel(fast=10), slow=50) == {"fast": 10, "slow": 50}
    for chosen, error, said in [
        ({"fast": 10}, ParameterError, "no slow; give one of 50, 100, 150"),
        ({"fast": 11, "slow": 50}, ParameterError, "fast=11 is not on"),
        ({"fast": 10, "slow": 50, "symbol": "MSFT"}, ParameterError, "symbol='MSFT' is not on"),
        ({"fast": 10, "slow": 50, "signal": 3}, UnknownNameError, "parameter 'signal'"),
    ]:
        with pytest.raises(error, match=said):
            cell_parameters(grid, **chosen)
    with pytest.raises(UnknownNameError, match="symbol 'MSFT'"):
        cell_bars(xr.Dataset(coords={"symbol": ["IBM"]}), "MSFT")


def test_a_rule_that_fails_names_the_point(bars):
    with pytest.raises(StrategyError, match=r"at window=7: .*ZeroDivisionError"):
        sweep(bars, fragile, {"window": [5, 7]}, TERMS, progress=False)
    told_in_lines = replace(above_its_average, crosses=fails_at_seven)
    with pytest.raises(StrategyError, match="failed at window=7: ZeroDivisionError"):
        sweep(bars, told_in_lines, {"window": [5, 7]}, TERMS, progress=False)


def backwards(fast, slow):
    return ("sma", slow), ("sma", fast), ("sma", fast), ("sma", slow)


def one_bar_more(fast, slow):
    return ("sma", fast), ("sma", slow), ("sma", slow + 1), ("sma", fast)


@pytest.mark.parametrize(
    ("crosses", "said"), [(backwards, "an entry by its crosses"), (one_bar_more, "an exit by its rule for AAPL")]
)
@pytest.mark.parametrize("way", [sweep, cell_equity])
def test_crosses_that_tell_something_else_than_the_rule_are_refused(bars, way, crosses, said):
    shown = {"progress": False} if way is sweep else {}
    with pytest.raises(StrategyError, match=rf"'sma_cross' has {said}.* at 20\d\d-.*fast=10, slow=50"):
        way(bars, replace(SMA, crosses=crosses), {"fast": [60, 10], "slow": [50]}, TERMS, **shown)


def test_crosses_are_held_against_the_rule_where_there_are_bars(bars):
    with pytest.raises(StrategyError, match="for IBM at"):
        sweep(bars.sel(symbol=["FB", "IBM"]), replace(SMA, crosses=backwards), {"fast": 5}, TERMS, progress=False)


@pytest.mark.parametrize("name", [name for name, each in installed().items() if each.crosses])
def test_the_crosses_of_what_is_installed_tell_its_rule(bars, name):
    found = find_strategy(name)
    for symbol in ("AAPL", "FB", "IBM"):
        require_one_rule(bars.sel(symbol=[symbol]), found, found.crosses, read_grid(found, {}, 1))


def test_bars_too_few_for_any_point_are_told(bars):
    for way in (SMA, replace(SMA, crosses=None)):
        with pytest.raises(InputError, match="30 bars are too few for any point of the grid of strategy 'sma_cross'"):
            sweep(bars.isel(time=slice(0, 30)), way, {"fast": [5, 10], "slow": 60}, TERMS, progress=False)


def test_an_axis_too_long_is_refused_whatever_the_other_sizes(monkeypatch):
    monkeypatch.setattr("workbench.backtest.sweeps.grid.CELLS", 100)
    with pytest.raises(ParameterError, match="101 values for 'window', more than the 100 cells"):
        read_grid(breakout, {"window": np.arange(5, 106)}, 0)


def test_a_symbol_with_too_few_bars_for_a_rule_is_nan_however_it_is_run(bars):
    short = bars.isel(time=slice(0, 80))
    assert short["close"].sel(symbol="FB").isnull().all()
    for way in (SMA, replace(SMA, crosses=None)):
        found = sweep(short, way, {"fast": [5], "slow": [20, 100]}, TERMS, progress=False)
        assert found["total_return"].notnull().sel(slow=20).to_numpy().tolist() == [True, False, True]
        assert all(found[name].sel(slow=100).isnull().all() for name in NAMES)


def test_lines_that_do_not_fit_in_at_once_are_computed_again(bars, monkeypatch):
    chosen = {"fast": range(5, 25), "slow": range(40, 60)}
    whole = sweep(bars, SMA, chosen, TERMS, progress=False)
    monkeypatch.setattr(compiled, "LINES_BYTES", 8 * bars.sizes["time"] * 6)
    monkeypatch.setattr(compiled, "ENOUGH_LINES", 3)
    xr.testing.assert_identical(sweep(bars, SMA, chosen, TERMS, progress=False), whole)


@pytest.mark.parametrize("room", [16, 30])
def test_few_lines_are_computed_again_where_there_is_no_room_for_all(bars, monkeypatch, room):
    chosen = {"fast": range(5, 25), "slow": range(40, 60)}
    whole = sweep(bars, SMA, chosen, TERMS, progress=False)
    computed = []
    monkeypatch.setattr(compiled, "line", lambda part, spec: computed.append(spec) or line(part, spec))
    monkeypatch.setattr(compiled, "LINES_BYTES", 8 * bars.sizes["time"] * 3 * room)
    monkeypatch.setattr(compiled, "ENOUGH_LINES", room)
    monkeypatch.setattr(compiled, "LEAST", 1200)
    xr.testing.assert_identical(sweep(bars, SMA, chosen, TERMS, progress=False), whole)
    assert len(set(computed)) == 40
    assert len(computed) <= 2 * 40


@pytest.fixture
def in_small_blocks(monkeypatch):
    """Many blocks, done one after the other."""
    monkeypatch.setattr(compiled, "LEAST", 30)
    monkeypatch.setattr(compiled, "MOST", 30)
    monkeypatch.setattr(compiled.CompiledWork, "threads", 1)


def interrupted_after(monkeypatch, count):
    """Let a sweep be interrupted in the block after ``count``; say which were run."""
    run, ran = CompiledWork.run, []

    def stopping(self, block):
        if len(ran) == count:
            raise KeyboardInterrupt
        ran.append(block.number)
        return run(self, block)

    monkeypatch.setattr(CompiledWork, "run", stopping)
    return ran


WIDE = {"fast": range(5, 15), "slow": range(40, 50)}


def test_a_sweep_that_was_stopped_goes_on_where_it_was(bars, tmp_path, monkeypatch, in_small_blocks):
    with monkeypatch.context() as patch:
        interrupted_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            sweep(bars, SMA, WIDE, TERMS, progress=False, folder=tmp_path)
    files = sorted(path.name for path in tmp_path.glob("*/*"))
    assert len(files) == 4
    with monkeypatch.context() as patch:
        ran = interrupted_after(patch, 1000)
        again = sweep(bars, SMA, WIDE, TERMS, progress=False, folder=tmp_path)
        assert ran == list(range(4, 10))
    assert not list(tmp_path.iterdir())
    xr.testing.assert_identical(again, sweep(bars, SMA, WIDE, TERMS, progress=False))


@pytest.mark.parametrize("harm", ["torn", "empty", "foreign", "pickled", "of another shape"])
def test_a_file_that_is_not_what_was_kept_is_computed_again(bars, tmp_path, monkeypatch, in_small_blocks, harm):
    with monkeypatch.context() as patch:
        interrupted_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            sweep(bars, SMA, WIDE, TERMS, progress=False, folder=tmp_path)
    files = sorted(tmp_path.glob("*/*"))
    whole = files[1].read_bytes()
    wrong = {
        "torn": whole[: len(whole) // 2],
        "empty": b"",
        "foreign": b"nothing of ours" * 10,
        "pickled": signed(np.array([{}], dtype=object)),
        "of another shape": signed(np.zeros((12, 1, 3))),
    }
    files[1].write_bytes(wrong[harm])
    with monkeypatch.context() as patch:
        ran = interrupted_after(patch, 1000)
        again = sweep(bars, SMA, WIDE, TERMS, progress=False, folder=tmp_path)
        assert ran == [1, *range(3, 10)]
    xr.testing.assert_identical(again, sweep(bars, SMA, WIDE, TERMS, progress=False))


def signed(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest()


def test_an_interrupt_among_threads_leaves_none_behind(bars, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "LEAST", 30)
    monkeypatch.setattr(compiled, "MOST", 30)
    monkeypatch.setattr(KeptBlocks, "write", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        sweep(bars, SMA, WIDE, TERMS, progress=False, folder=tmp_path)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sweep")]


def test_an_abandoned_sweep_is_forgotten_when_another_starts(bars, tmp_path, monkeypatch, in_small_blocks):
    day = 24 * 3600
    now = tmp_path.stat().st_mtime
    ages = {"a" * 64: 31, "b" * 64: 29, "somebody-elses": 1000}
    for name, age in ages.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "000000-0-1-0-1.npy").write_bytes(b"")
        os.utime(tmp_path / name, (now - age * day, now - age * day))
    interrupted_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        sweep(bars, SMA, WIDE, TERMS, progress=False, folder=tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left & set(ages) == {"b" * 64, "somebody-elses"}
    assert len(left) == 3


def test_a_sweep_of_one_block_writes_nothing(bars, tmp_path):
    sweep(bars, SMA, {"fast": [5, 10], "slow": [50, 60]}, TERMS, progress=False, folder=tmp_path / "sweeps")
    assert not (tmp_path / "sweeps").exists()


def test_a_folder_that_cannot_be_written_to_is_told(bars, tmp_path, in_small_blocks):
    blocked = tmp_path / "sweeps"
    blocked.write_text("a file")
    with pytest.raises(StoreError, match="cannot keep the sweep's progress"):
        sweep(bars, SMA, WIDE, TERMS, progress=False, folder=blocked)


def test_whatever_could_change_a_figure_changes_the_fingerprint(bars):
    points = read_grid(breakout, {"window": [5, 7]}, 3)
    names = {"as it is": fingerprint(bars, breakout, points, TERMS)}
    assert fingerprint(bars.copy(deep=True), breakout, points, TERMS) == names["as it is"]
    names["another value"] = fingerprint(bars.assign(close=bars["close"] * (1 + 1e-15)), breakout, points, TERMS)
    names["other symbols"] = fingerprint(bars.assign_coords(symbol=["A", "B", "C"]), breakout, points, TERMS)
    names["another grid"] = fingerprint(bars, breakout, read_grid(breakout, {"window": [5, 8]}, 3), TERMS)
    names["other terms"] = fingerprint(bars, breakout, points, TERMS.with_cash(1.0))
    for number in (20, 21):
        rule = FunctionType(breakout.rule.__code__, {**breakout.rule.__globals__, "indicators": number})
        names[f"a module's value of {number}"] = fingerprint(bars, replace(breakout, rule=rule), points, TERMS)
    names["another rule"] = fingerprint(bars, replace(breakout, rule=fragile.rule), points, TERMS)
    names["other lines"] = fingerprint(bars, replace(breakout, crosses=fails_at_seven), points, TERMS)
    assert len(set(names.values())) == len(names)


def following(table):
    """Follow what a table says, as the strategies of ``signals_from`` do, at a level."""

    @strategy
    def follow(bars, level: float = 0.0):
        said = bars["close"].copy(data=np.broadcast_to(table.to_numpy(), bars["close"].shape))
        said = said.where(bars["close"].notnull())
        return wb.make_signals(said > level, said <= level, np.sign(said - level))

    return follow


def test_a_sweep_is_not_resumed_from_the_blocks_of_another_table(bars, tmp_path, monkeypatch):
    values = np.random.default_rng(4).normal(size=(bars.sizes["time"], 1))
    changed = values.copy()
    changed[100:361] *= -1
    one, two = pd.DataFrame(values), pd.DataFrame(changed)
    assert repr(one) == repr(two)
    grid = {"level": np.linspace(-1, 1, 20)}
    monkeypatch.setattr(simulated, "CELLS", 9)
    with monkeypatch.context() as patch:
        write, written = KeptBlocks.write, []

        def stopping(store, block, figures):
            if len(written) == 3:
                raise KeyboardInterrupt
            written.append(block.number)
            write(store, block, figures)

        patch.setattr(KeptBlocks, "write", stopping)
        with pytest.raises(KeyboardInterrupt):
            sweep(bars, following(one), grid, TERMS, progress=False, folder=tmp_path)
    assert len(list(tmp_path.glob("*/*"))) == 3
    found = sweep(bars, following(two), grid, TERMS, progress=False, folder=tmp_path)
    xr.testing.assert_identical(found, sweep(bars, following(two), grid, TERMS, progress=False))
    assert len(list(tmp_path.glob("*/*"))) == 3
    again = sweep(bars, following(one.copy()), grid, TERMS, progress=False, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    assert not again.equals(found)


def test_a_rule_that_holds_what_cannot_be_read_is_never_resumed(bars):
    points = read_grid(breakout, {"window": [5, 7]}, 3)
    with Path(__file__).open() as file:
        odd = replace(breakout, rule=lambda bars, window: breakout.rule(bars, len(file.name)))
        assert fingerprint(bars, odd, points, TERMS) != fingerprint(bars, odd, points, TERMS)


@pytest.mark.parametrize("name", ["sma_cross", "candlestick", "rotation", "volatility_target"])
def test_a_strategy_that_has_run_keeps_its_fingerprint(bars, name):
    points = read_grid(find_strategy(name), {}, 3)
    before = fingerprint(bars, find_strategy(name), points, TERMS)
    find_strategy(name).signals(bars)
    assert fingerprint(bars, find_strategy(name), points, TERMS) == before


def test_a_heat_map_needs_two_parameters_and_a_known_statistic(bench, grid):
    assert "best" in bench.heat_map(grid, "sharpe").opts.get("plot").kwargs["title"]
    with pytest.raises(UnknownNameError, match="statistic 'sharp'"):
        bench.heat_map(grid, "sharp")
    with pytest.raises(InputError, match="two parameters"):
        bench.heat_map(grid.sel(fast=10), "sharpe")
