from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    kind=st.sampled_from(["fixed", "percent", "volatility", "kelly"]),
    value=st.floats(0, 1, exclude_min=True),
    window=st.integers(2, 10**6),
    scale=st.sampled_from([1.0, 1e3, 1e9, 1e300]),
)
def test_what_is_written_of_a_size_is_the_same_size_again(kind, value, window, scale):
    size = Sizing(kind, value * scale if kind == "fixed" else value)
    if kind in ("volatility", "kelly"):
        size = Sizing(kind, value, window)
    assert Sizing.read(str(size)) == size


def test_no_digit_of_a_size_is_lost():
    assert str(Sizing.read("fixed:1234567.89")) == "fixed:1234567.89"
    assert str(Sizing("fixed", 1e16)) == "fixed:1e+16"


def test_numbers_of_any_kind_are_taken_as_plain_ones():
    terms = Terms(
        Costs(np.float64(0.001), np.float32(0.5), np.int64(0)),
        np.int64(100_000),
        sizing=Sizing("kelly", np.float32(0.5), np.int64(20)),
        stops=Stops(np.float32(0.5), Fraction(1, 4)),
    )
    told = terms.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["size"] == "kelly:0.5:20"
    assert (told["cash"], told["stop_loss"], told["take_profit"], told["slippage"]) == (100_000, 0.5, 0.25, 0.5)
    assert {type(value) for value in told.values()} <= {int, float, str, bool}


@pytest.mark.parametrize(
    "given",
    [
        lambda no: Terms(Costs(0.0, 0.0), no),
        lambda no: Costs(no, 0.0),
        lambda no: Costs(0.0, 0.0, no),
        lambda no: Sizing("fixed", no),
        lambda no: Sizing("kelly", 0.5, no),
        lambda no: Stops(profit=no),
    ],
)
@pytest.mark.parametrize("no", [True, np.True_, "0.1", 0.5j, float("nan"), [0.1]], ids=repr)
def test_what_is_no_number_is_refused(given, no):
    with pytest.raises(ParameterError):
        given(no)


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
