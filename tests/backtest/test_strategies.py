from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

from workbench.backtest.strategies import find_strategy, strategy
from workbench.core.errors import ParameterError, UnknownNameError


@pytest.mark.parametrize(
    ("name", "given", "error", "said"),
    [
        ("sma_cross", {"fst": 3}, UnknownNameError, "parameter 'fst' in strategy 'sma_cross'; nearest known: fast"),
        ("sma_cross", {"fast": "x"}, ParameterError, "fast='x' is not valid"),
        ("sma_cross", {"fast": 1}, ParameterError, "fast=1 is not valid"),
        ("sma_cross", {"fast": 2.5}, ParameterError, "fast=2.5 is not valid"),
        ("sma_cross", {"fast": 100, "slow": 100}, ParameterError, "fast must be below slow"),
        ("macd", {"fast": 30}, ParameterError, "fast must be below slow"),
        ("rsi_reversion", {"low": 80}, ParameterError, "low must be below high"),
        ("rsi_reversion", {"high": 101}, ParameterError, "high=101 is not valid"),
    ],
)
def test_parameters_that_are_not_valid_are_refused(name, given, error, said):
    with pytest.raises(error, match=said):
        find_strategy(name).validate(given)


def test_texts_are_typed_and_defaults_filled_in():
    assert find_strategy("sma_cross").validate({"fast": "15"}) == {"fast": 15, "slow": 100}


def test_an_unknown_strategy_is_told_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match="unknown strategy 'sma_cros'; nearest known: sma_cross"):
        find_strategy("sma_cros")


def test_a_function_becomes_a_strategy_that_the_bench_runs(bench):
    @strategy
    def always(bars, window: Annotated[int, Field(ge=2)] = 20):
        """Enter on the first bar."""
        signals = find_strategy("sma_cross").signals(bars)
        entry = signals["entry"].copy(data=signals["entry"].to_numpy() & False)
        entry[0] = True
        return signals.assign(entry=entry, exit=entry & False)

    result = bench.backtest(always, ["AAPL"], window=5)
    assert result.strategy == "always"
    assert result.provenance.parameters["window"] == 5
    assert result.statistics["total_return"] == pytest.approx(result.benchmark["total_return"])


def test_a_parameter_without_a_type_or_a_default_is_refused():
    with pytest.raises(ParameterError, match="needs a type and a default"):

        @strategy
        def bare(bars, window):
            return bars
