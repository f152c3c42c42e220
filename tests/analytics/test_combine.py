import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.analytics.combine import combine_signals, part_weights
from workbench.analytics.signals import held, latest, make_signals, make_weights
from workbench.core.errors import ParameterError, UnknownNameError

NAN = np.nan
# Each row is a bar; 1 is long.
STATES = {
    "a": [0, 1, 1, 1, 0, 0, 1],
    "b": [0, 0, 1, 1, 1, 0, 1],
    "c": [0, 0, 0, 1, 1, 0, 0],
}


def over(values):
    times = pd.date_range("2012-03-05", periods=len(values))
    return xr.DataArray(np.asarray(values)[:, None], {"time": times, "symbol": ["A"]}, ("time", "symbol"))


def said(states, strength=0.5):
    turns = np.diff(states, prepend=0)
    values = np.full(len(states), strength)
    return make_signals(over(turns > 0), over(turns < 0), over(values))


PARTS = {
    name: said(states, strength) for (name, states), strength in zip(STATES.items(), (0.9, 0.3, -0.6), strict=True)
}
HERE = over(np.ones(7, dtype=bool))


@pytest.mark.parametrize(
    ("how", "options", "long"),
    [
        ("all", {}, [0, 0, 0, 1, 0, 0, 0]),
        ("any", {}, [0, 1, 1, 1, 1, 0, 1]),
        ("vote", {}, [0, 0, 1, 1, 1, 0, 1]),
        ("weighted", {"weights": [2, 1, 1], "threshold": 0.5}, [0, 1, 1, 1, 1, 0, 1]),
        ("weighted", {"weights": [2, 1, 1], "threshold": 0.51}, [0, 0, 1, 1, 0, 0, 1]),
        ("weighted", {"weights": [0, 0, 5], "threshold": 1.0}, [0, 0, 0, 1, 1, 0, 0]),
        ("weighted", {"threshold": 1 / 3}, [0, 1, 1, 1, 1, 0, 1]),
    ],
)
def test_states_are_taken_together(how, options, long):
    found = combine_signals(PARTS, HERE, how, **options)
    assert held(found)[:, 0].to_numpy().tolist() == long
    turns = np.diff(long, prepend=0)
    assert found["entry"][:, 0].to_numpy().tolist() == (turns > 0).tolist()
    assert found["exit"][:, 0].to_numpy().tolist() == (turns < 0).tolist()


def test_half_of_an_even_number_is_no_majority():
    two = {name: PARTS[name] for name in ("a", "c")}
    assert held(combine_signals(two, HERE, "vote"))[:, 0].to_numpy().tolist() == [0, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("how", "weights", "strength"),
    [("all", None, -0.6), ("any", None, 0.9), ("vote", None, 0.2), ("weighted", [2, 1, 1], 0.375)],
)
def test_strength_is_the_weakest_the_strongest_or_the_mean(how, weights, strength):
    np.testing.assert_allclose(combine_signals(PARTS, HERE, how, weights)["strength"], strength)


def test_a_part_that_is_not_known_yet_is_left_out_of_the_strength():
    parts = {**PARTS, "a": said(STATES["a"], NAN)}
    np.testing.assert_allclose(combine_signals(parts, HERE, "vote")["strength"], -0.15)
    assert combine_signals({"a": parts["a"]}, HERE)["strength"].isnull().all()


def test_the_reason_tells_every_part():
    told = latest(combine_signals(PARTS, HERE, "weighted", [2, 1, 1], 0.6)).loc["A"]
    assert told["reason"] == "a score of 60%: 75% long (a long (+0.90), b long (+0.30), c flat (-0.60))"
    assert told["state"] == "enter"


def test_a_state_turns_on_an_own_bar_only():
    here = over(np.array([1, 1, 1, 0, 1, 1, 1], dtype=bool))
    found = combine_signals(PARTS, here, "all")
    # The third part enters where there is no bar, and the first has left at the next one.
    assert not found["entry"].any()


def test_a_positive_weight_is_long():
    weights = make_weights(over([NAN, 0.5, NAN, -0.5, NAN, 0.2, NAN]), over(np.ones(7)))
    assert held(combine_signals({"w": weights}, HERE))[:, 0].to_numpy().tolist() == [0, 1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("how", "weights", "threshold", "error", "words"),
    [
        ("most", None, 0.5, UnknownNameError, "unknown way of combining 'most'"),
        ("all", [1, 1, 1], 0.5, ParameterError, "weights do not go with how='all'"),
        ("weighted", [1, 1], 0.5, ParameterError, r"weights=\[1, 1\] do not fit; give 3 numbers"),
        ("weighted", [1, -1, 1], 0.5, ParameterError, "do not fit"),
        ("weighted", [0, 0, 0], 0.5, ParameterError, "do not fit"),
        ("weighted", [1, NAN, 0], 0.5, ParameterError, "do not fit"),
        ("weighted", None, 0, ParameterError, "threshold=0 is out of range"),
        ("weighted", None, 1.1, ParameterError, "threshold=1.1 is out of range"),
    ],
)
def test_what_does_not_fit_is_refused(how, weights, threshold, error, words):
    with pytest.raises(error, match=words):
        combine_signals(PARTS, HERE, how, weights, threshold)


def test_nothing_to_combine_is_refused():
    with pytest.raises(ParameterError, match="no strategies to combine"):
        part_weights([], "all")
