import holoviews as hv
import numpy as np
import pandas as pd
import pytest

from workbench.charts.performance import backtest_picture
from workbench.charts.theme import DOWN, UP


@pytest.fixture(scope="module")
def picture(bench):
    bars = bench.bars(["AAPL", "IBM"], "2012", "2012")
    times = bars.indexes["time"]
    rows = [
        ("AAPL", "long", times[5], 410.0, times[20], 430.0, "closed"),
        ("AAPL", "long", times[30], 500.0, times[-1], 520.0, "open"),
        ("IBM", "long", times[7], 180.0, times[9], 181.0, "closed"),
    ]
    columns = ["symbol", "direction", "entry_time", "entry_price", "exit_time", "exit_price", "status"]
    equity = pd.Series(np.linspace(100, 120, len(times)), index=times)
    depth = pd.Series(-0.01, index=times)
    values = {"rule": equity, "buy and hold": equity * 1.1}
    depths = {"rule": depth, "buy and hold": depth * 2}
    return backtest_picture(bars, "AAPL", pd.DataFrame(rows, columns=columns), values, depths)


def marks(picture):
    upper, *_ = picture
    return {part.label: part for part in upper if isinstance(part, hv.Points)}


def test_only_this_symbols_entries_and_finished_exits_are_marked(picture):
    assert marks(picture)["entry"].dimension_values("value").tolist() == [410, 500]
    assert marks(picture)["exit"].dimension_values("value").tolist() == [430]
    assert marks(picture)["entry"].opts.get().kwargs["color"] == UP
    assert marks(picture)["exit"].opts.get().kwargs["color"] == DOWN


def test_equity_and_drawdown_stand_beside_buy_and_hold(picture):
    _, equity, depth = picture
    assert [part.label for part in equity] == ["buy and hold", "rule"]
    assert equity.get(1).dimension_values("equity")[-1] == 120
    assert [part.label for part in depth] == ["buy and hold", "rule"]
    assert depth.get(0).dimension_values("drawdown")[0] == -0.02


def test_a_backtest_without_trades_is_drawn(bench):
    bars = bench.bars("IBM", "2012-12", "2012-12")
    flat = pd.Series(1.0, index=bars.indexes["time"])
    empty = pd.DataFrame(columns=["symbol", "direction", "entry_time", "entry_price", "status"])
    drawn = backtest_picture(bars, "IBM", empty, {"a": flat, "b": flat}, {"a": flat - 1, "b": flat - 1})
    assert marks(drawn) == {}
    assert len(hv.render(drawn).children) == 3
