from __future__ import annotations

import pytest

from workbench.backtest.terms import Costs, Sizing, Stops, Terms
from workbench.core.errors import ParameterError, UnknownNameError
from workbench.core.settings import load_settings


@pytest.fixture
def settings(home):
    return load_settings(commission=0.002, slippage=0.001, borrow=0.03, cash=5_000)


def test_terms_come_from_the_settings_where_nothing_is_given(settings):
    terms = Terms.agreed(settings, commission=None, direction=None)
    assert terms == Terms(Costs(0.002, 0.001, 0.03), 5_000)
    assert terms.plain


def test_what_is_given_takes_the_place_of_the_settings(settings):
    terms = Terms.agreed(settings, commission=0, cash=10, size="percent:0.5", trailing_stop=0.1, shared=True)
    assert terms.costs == Costs(0, 0.001, 0.03)
    assert (terms.cash, terms.sizing, terms.shared) == (10, Sizing("percent", 0.5), True)
    assert terms.stops == Stops(trailing=0.1)
    assert not terms.plain


def test_everything_chosen_is_told_in_plain_values(settings):
    told = Terms.agreed(settings, size="kelly:0.5:252", stop_loss=0.1, direction="both").to_dict()
    assert told == {
        "direction": "both",
        "fill": "next_open",
        "cash": 5_000,
        "size": "kelly:0.5:252",
        "shared": False,
        "stop_loss": 0.1,
        "commission": 0.002,
        "slippage": 0.001,
        "borrow": 0.03,
    }


@pytest.mark.parametrize(
    "text", ["all", "fixed:10000", "percent:0.5", "volatility:0.15:63", "volatility:0.2:20", "kelly:0.5:63"]
)
def test_a_size_is_written_as_it_is_read(text):
    assert str(Sizing.read(text)) == text
    assert Sizing.read(Sizing.read(text)) == Sizing.read(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("half", "unknown sizing 'half'"),
        ("percent", "'percent' is not complete"),
        ("all:1", "'all:1' is not complete"),
        ("fixed:10:5", "is not complete"),
        ("percent:much", "has no number"),
        ("percent:1.5", "at most 1"),
        ("percent:0", "above 0"),
        ("percent:nan", "out of range"),
        ("fixed:-1", "an amount of money"),
        ("fixed:inf", "an amount of money"),
        ("volatility:0.15:1", "give at least 2"),
        ("volatility:0.15:2.5", "has no number"),
    ],
)
def test_a_size_that_is_none_is_refused(text, said):
    with pytest.raises((ParameterError, UnknownNameError), match=said):
        Sizing.read(text)


@pytest.mark.parametrize(
    ("stops", "said"),
    [
        ({"loss": 0}, "loss=0"),
        ({"loss": 1}, "loss=1"),
        ({"profit": -0.1}, "profit=-0.1"),
        ({"trailing": "0.1"}, "trailing='0.1'"),
        ({"loss": 0.1, "trailing": 0.2}, "do not go together"),
    ],
)
def test_a_stop_that_is_none_is_refused(stops, said):
    with pytest.raises(ParameterError, match=said):
        Stops(**stops)


def test_no_stop_is_no_stop():
    assert not Stops()
    assert Stops(profit=3.0)


@pytest.mark.parametrize("costs", [(-0.1, 0), (0, 1), (0, 0, 1), ("0.1", 0), (float("nan"), 0)])
def test_costs_out_of_range_are_refused(costs):
    with pytest.raises(ParameterError, match="out of range"):
        Costs(*costs)
