"""When a rule fires: once as it begins to hold, and again only once it was released."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.alerts.latch import Latch, fires, firing_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "release", "expected"),
    [
        # A rule "above 10": it holds above 10, and its gap is 10 less the value.
        ([9, 11, 12, 9.5, 11, 8, 11], 0, [1, 4, 6]),
        # With a release of 1, 9.5 is not far enough away; 8 is, and so would exactly 9 be.
        ([9, 11, 12, 9.5, 11, 8, 11], 1, [1, 6]),
        ([11, 9, 11], 1, [0, 2]),
        ([11, 9.01, 11], 1, [0]),
        # At the level it does not hold; its gap is 0, which is enough for a release of 0 alone.
        ([11, 10, 11], 0, [0, 2]),
        ([11, 10, 11], 0.01, [0]),
        ([11, 12, 13], 0, [0]),
        ([9, 8, 7], 0, []),
        ([], 0, []),
    ],
)
def test_a_level_with_hysteresis(values, release, expected):
    value = np.array(values, dtype="float64")
    holds, gap = value > 10, np.maximum(10 - value, 0.0)
    assert np.flatnonzero(fires(holds, gap, release)).tolist() == expected


def test_a_cross_counts_again_after_its_way_back():
    # Closes 9, 11, 12, 9.8, 11, 8, 11 cross above 10 at the second, the fifth and the seventh.
    holds = np.array([0, 1, 0, 0, 1, 0, 1], dtype=bool)
    # On the far side nothing says how far the next cross is.
    gap = np.array([1, 0, NAN, 0.2, 0, 2, 0])
    assert np.flatnonzero(fires(holds, gap, 0)).tolist() == [1, 4, 6]
    assert np.flatnonzero(fires(holds, gap, 1)).tolist() == [1, 6]


def test_a_bar_of_which_nothing_is_known_changes_nothing():
    holds, gap = np.array([1, 0, 1, 0, 1], dtype=bool), np.array([0, NAN, 0, 1, 0])
    known = np.array([1, 0, 1, 1, 1], dtype=bool)
    assert np.flatnonzero(fires(holds, gap, 0, known)).tolist() == [0, 4]
    assert np.flatnonzero(fires(holds, gap, 0)).tolist() == [0, 2, 4]
    assert firing_of(holds, gap, 0, known).tolist() == [0, -1, 0, -1, 4]


def test_each_symbol_is_by_itself():
    holds = np.array([[1, 0], [0, 1], [1, 1]], dtype=bool)
    gap = np.array([[0, 1], [0.5, 0], [0, 0]])
    assert fires(holds, gap, 1).tolist() == [[True, False], [False, True], [False, False]]
    assert fires(holds, gap, 0).tolist() == [[True, False], [False, True], [True, False]]


def test_every_bar_that_holds_belongs_to_a_firing():
    holds = np.array([0, 1, 1, 0, 1, 0, 1], dtype=bool)
    gap = np.array([1, 0, 0, 0.5, 0, 2, 0])
    assert firing_of(holds, gap, 1).tolist() == [-1, 1, 1, -1, 1, -1, 6]
    assert firing_of(holds[:0], gap[:0], 1).tolist() == []


BARS = st.lists(
    st.tuples(st.booleans(), st.one_of(st.just(NAN), st.floats(0, 3)), st.sampled_from([-1, 1])), max_size=40
)


def by_hand(bars, release):
    """Return at which bars a latch fires, as the definition says it."""
    armed, fired, before = True, [], None
    for place, (holds, gap, side) in enumerate(bars):
        if holds and (armed or side != before):
            fired.append(place)
            armed = False
        elif not holds and not armed:
            armed = release == 0 or gap >= release
        before = side if holds else before
    return fired


@pytest.mark.parametrize("has_sides", [False, True])
@given(bars=BARS, release=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_history_at_once_and_step_by_step_agree(has_sides, bars, release):
    holds, gap, side = (
        np.array([each[place] for each in bars], dtype=kind) for place, kind in enumerate(("bool", "float64", "int64"))
    )
    latch, stepped = Latch.of(np.array([release])), []
    for place in range(len(bars)):
        one = slice(place, place + 1)
        fired, let_go = latch.step(holds[one], gap[one], side=side[one] if has_sides else None)
        stepped += [place] * len(fired)
        # What fires anew without having been let go before is let go by that.
        assert len(let_go) <= 1
    expected = by_hand([(each, far, which if has_sides else 1) for each, far, which in bars], release)
    assert np.flatnonzero(fires(holds, gap, release, side=side if has_sides else None)).tolist() == stepped == expected


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.floats(0, 3)), max_size=60))
def test_many_latches_in_one_are_as_many_by_themselves(steps):
    release = np.array([0.0, 0.5, 1.0, 2.0, 3.0])
    many, fired, loose = Latch.of(release), [], []
    for which, holds, gap in steps:
        one, other = many.step(np.array([holds]), np.array([gap]), np.array([which]))
        fired, loose = fired + one.tolist(), loose + other.tolist()
    for which in range(5):
        own = [(holds, gap, 1) for each, holds, gap in steps if each == which]
        expected = len(by_hand(own, release[which]))
        assert fired.count(which) == expected
        assert expected - 1 <= loose.count(which) <= expected


def test_a_step_says_what_fired_and_what_was_let_go():
    latch = Latch.of(np.array([0.0, 1.0, 0.0]))
    fired, loose = latch.step(np.array([True, True, False]), np.array([0.0, 0.0, 5.0]))
    assert (fired.tolist(), loose.tolist()) == ([0, 1], [])
    fired, loose = latch.step(np.array([False, False]), np.array([0.5, 0.5]), np.array([1, 0]))
    assert (fired.tolist(), loose.tolist()) == ([], [0])
    assert latch.armed.tolist() == [True, False, True]
