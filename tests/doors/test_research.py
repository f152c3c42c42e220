"""The bench's research: terms and parameters in one go, every look counted, any cell opened again."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pydantic import Field

import workbench as wb
from workbench.analytics import fundamentals, indicators, patterns
from workbench.backtest.run import backtest
from workbench.backtest.statistics import NAMES
from workbench.backtest.strategy import RESERVED, find_strategy, strategy
from workbench.backtest.terms import CHOICES, Terms
from workbench.bench import Workbench
from workbench.core.errors import InputError, ParameterError, StrategyError, UnknownNameError
from workbench.core.settings import load_settings

RANGE = {"start": "2010", "end": "2012"}
GRID = {"fast": [10, 60], "slow": [50, 100, 150]}
VALID = 5
"""Points of the grid: 60 goes with 100 and 150 only."""
MOMENT = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def own(tmp_path):
    """A bench with a home of its own, so that its trials can be counted."""
    opened = Workbench(load_settings(home=tmp_path / "own"), clock=lambda: MOMENT)
    yield opened
    opened.records.close()


@pytest.fixture(scope="module")
def three(bars):
    """Bars of three years of two symbols, read once."""
    return bars.sel(symbol=["AAPL", "IBM"], time=slice("2010", "2012"))


@strategy
def rising(bars, window: Annotated[int, Field(ge=1)] = 5):
    "Long above where it was."
    past = bars["close"] / bars["close"].shift(time=window) - 1
    return wb.make_signals(past > 0, past < 0, past)


# ---------------------------------------------------------------- terms and parameters


def test_terms_and_parameters_are_given_in_one_go(bench, bars):
    words = {"fast": "10", "slow": 50, "commission": 0.002, "slippage": 0.0, "borrow": 0.03, "cash": 5000}
    words |= {"direction": "both", "fill": "next_close", "size": "percent:0.5", "stop_loss": 0.1, "take_profit": 0.3}
    found = bench.backtest("sma_cross", ["AAPL", "IBM"], **RANGE, **words, shared=True)
    assert dict(found.parameters) == {"fast": 10, "slow": 50}
    terms = found.terms.to_dict()
    assert {name: terms[name] for name in words if name not in found.parameters} == {
        name: value for name, value in words.items() if name not in found.parameters
    }
    assert terms["shared"] is True
    alone = backtest(found.bars, find_strategy("sma_cross"), found.parameters, found.terms, created=MOMENT)
    pd.testing.assert_series_equal(found.equity, alone.equity)


def test_what_is_not_given_comes_from_the_settings(tmp_path, three):
    settings = load_settings(home=tmp_path, commission=0.003, slippage=0.002, borrow=0.05, cash=777.0)
    terms = Workbench(settings).backtest("sma_cross", three).terms
    assert (terms.costs.commission, terms.costs.slippage, terms.costs.borrow, terms.cash) == (0.003, 0.002, 0.05, 777)


@pytest.mark.parametrize(
    ("word", "near"), [("comission", ""), ("stoploss", ""), ("fats", "fast"), ("trailing", ""), ("train", "")]
)
@pytest.mark.parametrize("method", ["backtest", "sweep", "cross_validate", "validate", "check_lookahead"])
def test_a_typo_is_named(own, three, method, word, near):
    with pytest.raises(UnknownNameError, match=f"unknown parameter '{word}' in strategy 'sma_cross'.*{near}"):
        getattr(own, method)("sma_cross", three, **{word: 5})
    assert own.trials.table().empty


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_parameter_with_a_word_of_every_backtest_is_refused(name):
    scope = {}
    exec(f"def clash(bars, {name}: int = 1):\n    'Clash.'", scope)  # a name cannot be a variable of a def
    with pytest.raises(ParameterError, match=f"parameter '{name}' of clash is a word of every backtest; rename it"):
        strategy(scope["clash"])


def test_all_terms_are_reserved():
    assert {"strategy", "symbols", "start", "as_of", "hypothesis", *CHOICES} <= RESERVED


def test_a_strategys_own_direction_is_the_default(bench):
    pair = bench.backtest("pairs", ["AAPL", "IBM"], **RANGE)
    assert pair.terms.direction == "both"
    assert (pair.holdings < 0).any().any()
    assert bench.backtest("sma_cross", "AAPL", **RANGE).terms.direction == "long"
    both = bench.backtest("sma_cross", "AAPL", **RANGE, direction="both")
    assert (both.holdings < 0).any().any()
    with pytest.raises(StrategyError, match="is short; allow it with direction='both'"):
        bench.backtest("pairs", ["AAPL", "IBM"], **RANGE, direction="long")
    swept = bench.sweep("pairs", ["AAPL", "IBM"], **RANGE, window=[60], progress=False)
    assert swept.attrs["direction"] == "both"
    assert float(swept["total_return"].squeeze()) == pytest.approx(pair.statistics["total_return"], rel=1e-9)


# ---------------------------------------------------------------- what it is run on


def test_a_benchmark_of_another_dataset(bench):
    found = bench.backtest("sma_cross", "AAPL", **RANGE, benchmark="sp500_index/SP500")
    closes = bench.bars("SP500", **RANGE, dataset="sp500_index")["close"].to_numpy()[:, 0]
    assert "SP500" in found.benchmark_name
    # Bought once after costs and held; the account begins with the first bar.
    moved = found.benchmark_equity.to_numpy()
    np.testing.assert_allclose(moved[2:] / moved[1:-1], closes[2:] / closes[1:-1], rtol=1e-6)
    held = bench.backtest("sma_cross", "AAPL", **RANGE)
    assert held.benchmark_name == "buy and hold"
    assert held.benchmark["total_return"] != found.benchmark["total_return"]
    assert dict(held.statistics) == pytest.approx(dict(found.statistics), nan_ok=True)


def test_a_benchmark_that_is_not_there_is_named_and_nothing_is_counted(own):
    with pytest.raises(UnknownNameError, match="SPX"):
        own.backtest("sma_cross", "AAPL", **RANGE, benchmark="SPX")
    with pytest.raises(UnknownNameError, match="unknown bars dataset 'nowhere'"):
        own.backtest("sma_cross", "AAPL", **RANGE, benchmark="nowhere/SPX")
    assert own.trials.table().empty


def test_bars_in_the_place_of_symbols(bench, bars):
    named = bench.backtest("sma_cross", ["AAPL", "IBM"], start="2010", end="2012", fast=10, slow=50)
    given = bench.backtest("sma_cross", bars.sel(symbol=["AAPL", "IBM"]), **RANGE, fast=10, slow=50)
    assert dict(given.statistics) == dict(named.statistics)
    assert given.bars.indexes["time"][0].year == 2010
    one, other = (
        bench.sweep("sma_cross", what, **RANGE, **GRID, progress=False)
        for what in (["AAPL", "IBM"], bars.sel(symbol=["AAPL", "IBM"]))
    )
    xr.testing.assert_equal(one, other)


def test_converted_bars_earn_the_currency_too(bench, three):
    apple = three.sel(symbol=["AAPL"])
    days = pd.date_range("2009-12-28", "2012-12-31")
    level = wb.convert(apple, {"EUR": pd.Series(1.25, days)}, "USD", {"AAPL": "EUR"})
    rates = pd.Series(np.linspace(1.0, 2.0, len(days)), days)
    rise = wb.convert(apple, {"EUR": rates}, "USD", {"AAPL": "EUR"})
    free = {"commission": 0.0, "slippage": 0.0}
    plain, same, more = (bench.backtest("sma_cross", each, **free) for each in (apple, level, rise))
    # At one rate all the time a return is the same in either currency.
    assert dict(same.statistics) == pytest.approx(dict(plain.statistics), rel=1e-9, nan_ok=True)
    # What is held from the first fill on earns what the price and the currency earn.
    fill, last = rates.asof("2010-01-04"), rates.asof("2012-12-31")
    assert 1 + more.benchmark["total_return"] == pytest.approx(
        (1 + plain.benchmark["total_return"]) * last / fill, rel=5e-3
    )
    assert more.bars.attrs["currency"] == "USD"


@pytest.mark.parametrize("word", ["as_of", "dataset"])
def test_bars_have_their_own_moment_and_dataset(own, three, word):
    for method in (own.backtest, own.sweep, own.validate, own.check_lookahead):
        with pytest.raises(ParameterError, match=f"{word}='2011-01-01' does not go with Bars"):
            method("sma_cross", three, **{word: "2011-01-01"})
    assert own.trials.table().empty


# ---------------------------------------------------------------- every look counts


def test_every_kind_of_look_is_counted(own, three):
    chosen = {**GRID, "progress": False}
    own.backtest("sma_cross", three)
    numbers = [own.trials.standing("sma_cross").number]
    own.sweep("sma_cross", three, **chosen)
    numbers.append(own.trials.standing("sma_cross").number)
    walked = own.walk_forward("sma_cross", three, train=252, test=126, **chosen)
    numbers.append(own.trials.standing("sma_cross").number)
    crossed = own.cross_validate("sma_cross", three, n_folds=6, **chosen)
    numbers.append(own.trials.standing("sma_cross").number)
    proved = own.validate("sma_cross", three, **chosen)
    numbers.append(own.trials.standing("sma_cross").number)
    # A cell for each symbol; an account of all symbols for each point, in each of three windows; and over all bars.
    assert len(walked.folds) == 3
    # In a window of 252 bars every pair of windows up to 150 says something.
    assert np.diff([0, *numbers]).tolist() == [1, VALID * 2, VALID * 3, VALID, VALID]
    assert (walked.n_trials, crossed.n_trials, proved.n_trials) == (VALID * 3, VALID, numbers[-1])
    kinds = own.trials.events("sma_cross")
    assert kinds["kind"].tolist() == ["backtest", "sweep", "walk_forward", "cross_validation", "sweep"]
    assert kinds["count"].tolist() == [1, 10, 15, 5, 5]


def test_what_only_looks_at_signals_or_opens_what_was_counted_counts_nothing(own, three):
    swept = own.sweep("sma_cross", three, **GRID, progress=False)
    before = own.trials.table()
    own.check_lookahead("sma_cross", three)
    own.signals(["AAPL"], ["macd"])
    with pytest.raises(ParameterError, match="run on Bars of your own; give them"):
        own.open_cell(swept, symbol="IBM", fast=10, slow=50)
    opened = own.open_cell(swept, bars=three, symbol="IBM", fast=10, slow=50)
    assert own.trials.table().equals(before)
    assert opened.trial.number == 10


def test_a_look_that_is_not_kept_is_counted_all_the_same(own, three):
    own.backtest("sma_cross", three, record=False)
    assert (len(own.uses.list()), own.trials.standing("sma_cross").number) == (0, 1)
    again = own.backtest("sma_cross", three)
    assert (len(own.uses.list()), again.trial.number) == (1, 2)


def test_trials_are_counted_under_their_hypothesis(own, three):
    first = own.backtest("sma_cross", three, hypothesis=" trend of 2010 ")
    second = own.backtest("macd", three, hypothesis="trend of 2010")
    own.backtest(rising, three)
    assert (first.trial.hypothesis, first.trial.number, second.trial.number) == ("trend of 2010", 1, 2)
    own.sweep("sma_cross", three, **GRID, hypothesis="trend of 2010", progress=False)
    assert dict(own.trials.table().set_index("hypothesis")["trials"]) == {"trend of 2010": 12, "rising": 1}
    with pytest.raises(ParameterError, match="is no name of an idea"):
        own.backtest("sma_cross", three, hypothesis="two\nlines")


def test_a_result_says_which_trial_it_is_and_what_is_left(own, three):
    apple = three.sel(symbol=["AAPL"])
    first = own.backtest("sma_cross", apple)
    assert first.trial.hypothesis == "sma_cross"
    assert repr(first).splitlines()[-1] == f"trial 1 of this idea; deflated Sharpe {first.trial.deflated_sharpe:.2f}"
    own.sweep("sma_cross", apple, **GRID, progress=False)
    last = own.backtest("sma_cross", apple)
    assert str(last.trial).startswith("trial 7 of this idea; deflated Sharpe ")
    # The same returns after more looks are worth less.
    assert last.statistics["sharpe"] == first.statistics["sharpe"]
    assert last.trial.deflated_sharpe < first.trial.deflated_sharpe
    never = own.backtest(rising, apple.isel(time=slice(0, 4)), window=3, hypothesis="too short")
    assert str(never.trial) in repr(never)


COUNTING = """
import sys
from workbench.bench import Workbench
from workbench.core.settings import load_settings
bench = Workbench(load_settings(home=sys.argv[1]))
bars = bench.bars("AAPL", start="2012", end="2012")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(4):
    print(bench.backtest("sma_cross", bars, fast=5, slow=20, hypothesis="shared idea").trial.number, flush=True)
"""


def test_trials_of_two_processes_are_counted_together(own):
    bars = own.bars("AAPL", start="2012", end="2012")
    chosen = {"fast": 5, "slow": 20, "hypothesis": "shared idea"}
    words = [sys.executable, "-c", COUNTING, str(own.settings.home)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("go\n")
        other.stdin.flush()
        ours = [own.backtest("sma_cross", bars, **chosen).trial.number for _ in range(4)]
        theirs = [int(number) for number in other.communicate(timeout=120)[0].split()]
    assert len(theirs) == 4
    assert sorted(ours + theirs) == list(range(1, 9))
    assert own.trials.standing("shared idea").number == 8


# ---------------------------------------------------------------- a cell as a full result


def assert_same(sweep, opened, **selection):
    cell = {name: float(sweep[name].sel(**selection).squeeze()) for name in NAMES}
    assert np.isfinite(cell["total_return"])
    assert cell == pytest.approx(dict(opened.statistics), rel=1e-9, abs=1e-12, nan_ok=True)


CELLS = {
    "several symbols": (
        ("sma_cross", ["AAPL", "FB", "IBM"], GRID),
        {**RANGE, "commission": 0.002},
        [{"symbol": "AAPL", "fast": 10, "slow": 50}, {"symbol": "FB", "fast": 60, "slow": 100}],
    ),
    "one symbol": (("macd", "IBM", {"fast": [5, 12]}), RANGE, [{"fast": 5}, {"fast": 12, "symbol": "IBM"}]),
    "one cell": (("macd", "IBM", {"fast": 5}), RANGE, [{}]),
    "sized, stopped and short": (
        ("sma_cross", ["AAPL", "IBM"], {"fast": [5, 20]}),
        {**RANGE, "size": "percent:0.5", "trailing_stop": 0.05, "direction": "both", "borrow": 0.1},
        [{"symbol": "IBM", "fast": 20}],
    ),
    "a basket of weights": (
        ("rotation", ["AAPL", "IBM", "MSFT"], {"top": [1, 2]}),
        RANGE,
        [{"top": 1}, {"top": 2, "symbol": "basket"}],
    ),
    "one account": (
        ("sma_cross", ["AAPL", "IBM"], {"fast": [5, 20]}),
        {**RANGE, "shared": True},
        [{"fast": 20, "symbol": "basket"}],
    ),
    "a pair": (("pairs", ["AAPL", "IBM"], {"entry": [1.5, 2.0]}), RANGE, [{"entry": 1.5}]),
    "closes only": (
        ("sma_cross", ["MTUM", "VLUE"], {"fast": [5, 20]}),
        {"dataset": "factor_etfs", "start": "2018", "end": "2020", "fill": "next_close"},
        [{"symbol": "VLUE", "fast": 5}],
    ),
    "as traded": (("sma_cross", "AAPL", {"fast": [5, 20]}), {**RANGE, "adjust": "splits"}, [{"fast": 5}]),
}


@pytest.mark.parametrize("case", CELLS)
def test_an_opened_cell_is_the_sweeps(bench, case):
    (name, symbols, grid), asked, cells = CELLS[case]
    swept = bench.sweep(name, symbols, **asked, **grid, progress=False)
    for selection in cells:
        opened = bench.open_cell(swept, **selection)
        axes = {key: value for key, value in selection.items() if key in swept.dims}
        assert_same(swept, opened, **axes)
        chosen = {key: value for key, value in asked.items() if key in CHOICES}
        direction = find_strategy(name).direction
        assert opened.terms == Terms.agreed(bench.settings, **{"direction": direction, **chosen})


def test_a_cell_of_a_selection_and_of_ones_own_rule_and_bars(bench, three):
    swept = bench.sweep(rising, three, window=[5, 20], progress=False)
    opened = bench.open_cell(swept.sel(symbol="IBM", window=20), strategy=rising, bars=three)
    assert_same(swept, opened, symbol="IBM", window=20)


def test_a_cell_belongs_to_the_idea_of_its_sweep(own, three):
    swept = own.sweep("sma_cross", three, **GRID, hypothesis="trend", progress=False)
    opened = own.open_cell(swept, bars=three, symbol="IBM", fast=10, slow=50)
    assert (opened.trial.hypothesis, opened.trial.number) == ("trend", VALID * 2)


@pytest.mark.parametrize(
    ("selection", "error", "said"),
    [
        ({"fast": 10, "slow": 50}, ParameterError, "the cell has no symbol; give one of AAPL, IBM"),
        ({"symbol": "AAPL", "fast": 10}, ParameterError, "the cell has no slow; give one of 50, 100, 150"),
        ({"symbol": "AAPL", "fast": 11, "slow": 50}, ParameterError, "fast=11 is not on the sweep's axis; .* 10, 60"),
        ({"symbol": "AAPL", "fats": 10}, UnknownNameError, "unknown parameter 'fats' in this sweep"),
        ({"symbol": "MSFT", "fast": 10, "slow": 50}, ParameterError, "symbol='MSFT' is not on the sweep's axis"),
        ({"symbol": "AAPL", "fast": 60, "slow": 50}, ParameterError, "fast must be below slow"),
    ],
)
def test_a_cell_that_is_not_there_is_told(bench, selection, error, said):
    swept = bench.sweep("sma_cross", ["AAPL", "IBM"], **RANGE, **GRID, progress=False)
    with pytest.raises(error, match=said):
        bench.open_cell(swept, **selection)


def test_a_cell_of_a_rule_that_is_not_installed_needs_it(bench, three):
    swept = bench.sweep(rising, three, window=[5, 20], progress=False)
    with pytest.raises(UnknownNameError, match="unknown strategy 'rising'"):
        bench.open_cell(swept, symbol="IBM", window=5)


def test_a_cell_needs_bars_with_its_symbol(bench, three):
    swept = bench.sweep("sma_cross", three, fast=[5, 10], progress=False)
    with pytest.raises(UnknownNameError, match="unknown symbol 'IBM' in these bars"):
        bench.open_cell(swept, bars=three.sel(symbol=["AAPL"]), symbol="IBM", fast=5)


# ---------------------------------------------------------------- where something was learned later


@pytest.fixture
def learned(tmp_path, bench, monkeypatch):
    """A bench over files of a source, one of whose closes was restated; and the moment before."""
    now = [MOMENT]
    folder = tmp_path / "files"
    folder.mkdir()
    prices = bench.bars("AAPL", adjust="none", start="2011", end="2012").sel(symbol="AAPL", drop=True).to_dataframe()
    prices = prices.set_axis(pd.DatetimeIndex(prices.index.normalize(), name="date"))
    prices.to_csv(folder / "AAPL.csv")
    monkeypatch.setenv("WORKBENCH_PROVIDERS__FILES__FOLDER", str(folder))
    opened = Workbench(load_settings(home=tmp_path / "home"), clock=lambda: now[0])
    assert opened.fetch("files", "AAPL", start="2011", end="2012", progress=False).complete

    def restate(day):
        changed = prices.copy()
        changed.loc[day, ["close", "high"]] += 300.0
        changed.to_csv(folder / "AAPL.csv")
        now[0] += timedelta(days=1)
        assert opened.fetch("files", "AAPL", again=True, start="2011", end="2012", progress=False).added == 1

    yield opened, restate
    opened.records.close()


def test_signals_as_of_a_moment_are_those_of_that_moment(learned):
    bench, restate = learned
    asked = {"symbols": "AAPL", "strategies": ["sma_cross", "donchian_breakout"], "dataset": "files_1d"}
    before = bench.signals(**asked)
    restate("2012-12-31")
    now, then = bench.signals(**asked), bench.signals(**asked, as_of=MOMENT)
    pd.testing.assert_frame_equal(then, before)
    states = dict(zip(now["strategy"], now["state"], strict=True))
    assert states["donchian_breakout"] in ("enter", "entry")
    assert dict(zip(then["strategy"], then["state"], strict=True))["donchian_breakout"] == "flat"
    assert not now["strength"].equals(then["strength"])


def test_a_cell_is_opened_on_what_its_sweep_knew(learned):
    bench, restate = learned
    asked = {"dataset": "files_1d", "fast": [5, 10], "slow": 50, "progress": False}
    before = bench.sweep("sma_cross", "AAPL", **asked)
    restate("2012-02-15")
    then, now = bench.sweep("sma_cross", "AAPL", **asked, as_of=MOMENT), bench.sweep("sma_cross", "AAPL", **asked)
    xr.testing.assert_equal(then, before)
    assert (abs(now["volatility"] - then["volatility"]) > 0.01).all()
    for swept in (before, then, now):
        assert_same(swept, bench.open_cell(swept, fast=5), fast=5)


# ---------------------------------------------------------------- signals, look-ahead


def test_signals_leave_out_the_strategies_that_do_not_fit(bench):
    alone = set(bench.signals("AAPL", **RANGE)["strategy"])
    two = set(bench.signals(["AAPL", "IBM"], **RANGE)["strategy"])
    closes = set(bench.signals(["MTUM", "VLUE"], dataset="factor_etfs")["strategy"])
    everything = set(bench.strategies())
    assert everything - two == set()
    assert two - alone == {"pairs", "rotation"}
    assert {"candlestick", "donchian_breakout"} == two - closes
    with pytest.raises(InputError, match="'pairs' needs 2 symbols"):
        bench.signals("AAPL", ["pairs"])


def test_the_check_for_look_ahead_takes_parameters_bars_and_rules(bench, three):
    @strategy
    def peek(bars, ahead: Annotated[int, Field(ge=0)] = 1):
        "Buy what rises tomorrow."
        rise = bars["close"].shift(time=-ahead) / bars["close"].shift(time=1 - ahead) - 1
        return wb.make_signals(rise > 0, rise < 0, rise.fillna(0.0))

    found = bench.check_lookahead(peek, three)
    assert not found.passed
    assert found.leak.symbol in ("AAPL", "IBM")
    assert bench.check_lookahead("sma_cross", ["AAPL"], **RANGE, fast=5, slow=20).passed
    assert dict(bench.check_lookahead("sma_cross", three, fast=5, slow=20).parameters) == {"fast": 5, "slow": 20}


# ---------------------------------------------------------------- indicators, patterns, accounts


def test_indicators_are_the_rooms(bench, three):
    assert bench.indicators().equals(indicators.table())
    assert "RSI" in bench.indicators("relative strength").index
    assert len(bench.indicators("relative strength")) < len(bench.indicators())
    xr.testing.assert_identical(
        bench.indicator("RSI", three, timeperiod=9), indicators.indicator("RSI", three, timeperiod=9)
    )
    assert not bench.indicator("RSI", three, timeperiod=9).equals(bench.indicator("RSI", three))
    with pytest.raises(UnknownNameError, match="unknown indicator 'RSII'"):
        bench.indicator("RSII", three)


def test_patterns_are_the_rooms(bench, three):
    found = bench.patterns(three)
    pd.testing.assert_frame_equal(found, patterns.table(patterns.find(three)))
    assert set(found["symbol"]) == {"AAPL", "IBM"}
    some = bench.patterns(three, ["double top", "double bottom"])
    assert set(some["pattern"]) <= {"double top", "double bottom"}
    assert len(some) == found["pattern"].isin(["double top", "double bottom"]).sum() > 0


def drawn(layout):
    """The names of patterns that a picture of prices shows."""
    told = [element for element in layout.traverse() if "pattern" in getattr(element, "vdims", ())]
    return {name for element in told for name in element.dimension_values("pattern")}


def test_candles_show_the_patterns_that_are_asked_for(bench, three):
    whole = bench.patterns(three.sel(symbol=["AAPL"]))
    name = whole["pattern"].value_counts().index[0]
    assert drawn(bench.candles(three, "AAPL", ())) == set()
    assert drawn(bench.candles(three, "AAPL", (), patterns=name)) == {name}
    assert drawn(bench.candles(three, "AAPL", (), patterns=name, start="2012-12-20")) == set()


YEAR = {"revenue": 1000, "net_income": 135, "total_assets": 1500, "equity": 800, "current_assets": 400}
YEAR |= {"current_liabilities": 250, "operating_cash_flow": 220, "capital_expenditure": 70, "shares": 100}
YEAR |= {"operating_income": 200, "income_tax": 45, "pretax_income": 180, "interest_expense": 20, "depreciation": 50}
YEAR |= {"cash_and_investments": 100, "short_term_debt": 50, "long_term_debt": 250}


def statements():
    columns = ["symbol", "frequency", "period_end", "known", "item", "value", "currency"]
    known = pd.Timestamp("2025-03-01", tz="UTC")
    later = pd.Timestamp("2026-01-06", tz="UTC")  # a day after the clock of the bench
    rows = [("MADE", "annual", "2024-12-31", known, item, float(value), "USD") for item, value in YEAR.items()]
    rows.append(("MADE", "annual", "2024-12-31", later, "current_assets", 800.0, "USD"))
    return pd.DataFrame(rows, columns=columns)


def test_fundamentals_are_as_known_now_or_at_a_moment(bench):
    told, names = statements(), ["current_ratio", "net_margin"]
    now = bench.fundamentals(told, names, basis="annual")
    pd.testing.assert_frame_equal(now.figures, fundamentals.snapshot(told, names, MOMENT, basis="annual").figures)
    assert now.figures.loc["MADE"].to_dict() == pytest.approx({"current_ratio": 1.6, "net_margin": 0.135})
    later = bench.fundamentals(told, names, "2026-02-01", basis="annual")
    assert later.figures.loc["MADE", "current_ratio"] == pytest.approx(3.2)


def test_a_value_by_cash_flows_is_the_rooms(bench):
    asked = {"growth": [0.05, 0.03], "discount_rate": 0.09, "terminal_growth": 0.02, "basis": "annual"}
    found = bench.cash_flow_value(statements(), "MADE", **asked)
    room = fundamentals.value_company(statements(), "MADE", MOMENT, [0.05, 0.03], 0.09, 0.02, basis="annual")
    for name in ("flows", "enterprise_value", "equity_value", "per_share"):
        np.testing.assert_array_equal(getattr(found, name), getattr(room, name))
    # 220 earned with cash, 20 of interest after 25 % of tax, 70 spent: 165, and 5 % and 3 % more a year.
    np.testing.assert_allclose(np.ravel(found.flows), [165 * 1.05, 165 * 1.05 * 1.03])
    with pytest.raises(InputError):
        bench.cash_flow_value(statements(), "MADE", "2024-01-01", **asked)
