"""Rules that are made of rules: what is known of them, what they say, and what is refused."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
import talib
import xarray as xr

from workbench.alerts.composition import DEPTH, MOST
from workbench.alerts.evaluate import NamedRule, judge
from workbench.alerts.policy import make_policy
from workbench.alerts.rules import make_rule
from workbench.core.calendar import session_closes
from workbench.core.errors import ParameterError

NAN = float("nan")
DAYS = pd.DatetimeIndex(["2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08", "2024-07-09"])


def small(closes):
    """Return Bars of symbols with these closes, one for each of ``DAYS``."""
    table = np.array(list(closes.values()), dtype="float64").T
    times = session_closes("XNYS", DAYS[: len(table)]).tz_localize(None).to_numpy()
    fields = dict.fromkeys(("open", "high", "low", "close"), (("time", "symbol"), table))
    attrs = {"dataset": "d", "version": "d@1", "interval": "1d", "currency": "USD", "calendar": "XNYS"}
    attrs |= {"adjustment": "all", "source": "s", "as_of": "2024-07-10", "fields": tuple(fields)}
    return xr.Dataset(fields, coords={"time": times, "symbol": np.array(list(closes), dtype=object)}, attrs=attrs)


def price(when, level):
    return {"kind": "price", "when": when, "level": level}


def read(kind, bars, *parts, symbols=("A",)):
    rule = make_rule(kind, {"dataset": "d", "symbols": symbols, "parts": list(parts)})
    by = bars if isinstance(bars, dict) else dict.fromkeys(rule.adjusts, bars)
    return rule, rule.read(by, pd.Timestamp("2024-07-09 20:00"))


def holds(kind, bars, *parts):
    return read(kind, bars, *parts)[1]["holds"].sel(symbol="A").to_numpy().astype(int).tolist()


def test_all_any_and_not_of_levels_by_hand():
    bars = small({"A": [9, 10.5, 11.5, 12.5, 9, NAN]})
    above, below = price("above", 10), price("below", 12)
    assert holds("all", bars, above, below) == [0, 1, 1, 0, 0, 0]
    assert holds("any", bars, price("above", 12), price("below", 10)) == [1, 0, 0, 1, 1, 0]
    assert holds("not", bars, above) == [1, 0, 0, 0, 1, 0]
    nested = {"kind": "any", "parts": [price("below", 10), {"kind": "not", "parts": [below]}]}
    assert holds("all", bars, nested, price("above", 9.5)) == [0, 0, 0, 1, 0, 0]


# Strong tables of three values: S. C. Kleene, Introduction to Metamathematics (1952), section 64.
T, F, U = True, False, None
CONJUNCTION = {(T, T): T, (T, F): F, (T, U): U, (F, F): F, (F, U): F, (U, U): U}
DISJUNCTION = {(T, T): T, (T, F): T, (T, U): T, (F, F): F, (F, U): U, (U, U): U}
NEGATION = {(T,): F, (F,): T, (U,): U}

# On a first close of 10 the mean of two bars is not known.
SAYING = {
    T: price("above", 5),
    F: price("above", 50),
    U: {"kind": "indicator", "indicator": "sma", "parameters": {"window": 2}, "when": "above", "level": 5},
}


@pytest.mark.parametrize(
    ("kind", "table", "parts"), [("all", CONJUNCTION, 2), ("any", DISJUNCTION, 2), ("not", NEGATION, 1)]
)
def test_what_is_not_known_is_kleenes_third_value(kind, table, parts):
    bars = small({"A": [10.0]})
    for given in itertools.product((T, F, U), repeat=parts):
        expected = table[given] if given in table else table[given[::-1]]
        _, reading = read(kind, bars, *(SAYING[each] for each in given))
        assert bool(reading["holds"].item()) is (expected is True), given
        assert bool(np.isnan(reading["value"].item())) is (expected is None), given
        assert bool(np.isnan(reading["gap"].item())) is (expected is None), given


def test_parts_look_at_bars_with_their_own_adjustment():
    # A split of 2 and a dividend of a tenth: the same days with and without the dividend.
    by = {"splits": small({"A": [50, 50, 45]}), "all": small({"A": [45, 45, 45]})}
    rule, reading = read(
        "all", by, price("above", 48), {"kind": "indicator", "indicator": "close", "when": "below", "level": 48}
    )
    assert rule.adjusts == ("splits", "all")
    assert reading["holds"].to_numpy().ravel().tolist() == [True, True, False]
    same = {"splits": by["all"], "all": by["all"]}
    assert not rule.read(same, pd.Timestamp("2024-07-09"))["holds"].any()


def test_a_price_and_an_indicator_at_once_on_the_sample(bench):
    by = {adjust: bench.bars(["IBM"], adjust=adjust) for adjust in ("splits", "all")}
    rsi = {"kind": "indicator", "indicator": "rsi", "when": "below", "level": 40}
    rule = make_rule("all", {"dataset": "d", "symbols": ["IBM"], "parts": [price("above", 100), rsi]})
    reading = rule.read(by, by["all"].indexes["time"][-1])
    plain, whole = (by[adjust]["close"].to_numpy()[:, 0] for adjust in ("splits", "all"))
    expected = (plain > 100) & (talib.RSI(whole, 14) < 40)
    assert expected.sum() > 50
    np.testing.assert_array_equal(reading["holds"].to_numpy()[:, 0], expected)


def test_a_part_without_a_bar_is_as_it_was_at_its_last_one():
    bars = small({"A": [12, 9, NAN, NAN, 12, 12], "B": [1, 1, 1, 1, 1, 1]})
    missing = {"kind": "missing", "sessions": 2}
    # Two sessions are missing at the fourth; the last close by then was below 10.
    assert holds("all", bars, price("below", 10), missing) == [0, 0, 0, 1, 0, 0]
    assert holds("all", bars, price("above", 10), missing) == [0] * 6
    # Nothing is said of the session without a bar where no part looks at it.
    _, reading = read("all", bars, price("below", 10), price("below", 11), symbols=("A", "B"))
    assert reading["here"].sel(symbol="A").to_numpy().tolist() == [True, True, False, False, True, True]
    # Before its first bar a part is not known.
    late = small({"A": [NAN, 9, 9, 9, 9, 9]})
    _, reading = read("any", late, price("below", 10), missing)
    assert reading["here"].to_numpy().ravel().tolist() == [False, True, True, True, True, True]


def test_a_part_that_waits_for_data_counts_from_when_its_grace_is_over():
    bars = small({"A": [12, 9, NAN]})
    missing = {"kind": "missing", "grace": 2}
    rule = make_rule("any", {"dataset": "d", "symbols": ["A"], "parts": [price("above", 20), missing]})
    at = bars.indexes["time"][-1]
    early, whole = (rule.read(dict.fromkeys(rule.adjusts, bars), at + pd.Timedelta(hours=hours)) for hours in (1, 2))
    held = whole["holds"].to_series().droplevel("symbol")
    assert held[held].index.tolist() == [at + pd.Timedelta(hours=2)]
    # What was said an hour after the close is said of it an hour later, too.
    xr.testing.assert_identical(whole.sel(time=slice(None, at + pd.Timedelta(hours=1))), early)
    # On the first evening the bar is not due yet.
    first = rule.read(dict.fromkeys(rule.adjusts, bars.isel(time=[0])), bars.indexes["time"][0])
    assert np.isnan(first["value"].item())
    assert first["here"].item()


def test_value_level_and_gap_count_parts():
    _, reading = read("all", small({"A": [9, 11, 13]}), price("above", 10), price("above", 12), price("above", 8))
    assert reading["value"].to_numpy().ravel().tolist() == [1, 2, 3]
    assert reading["level"].to_numpy().ravel().tolist() == [3, 3, 3]
    assert reading["gap"].to_numpy().ravel().tolist() == [2, 1, 0]


def verdict(kind, closes, *parts, **policy):
    rule = make_rule(kind, {"dataset": "d", "symbols": ["A"], "parts": list(parts)})
    named = NamedRule("mine", kind, rule, policy=make_policy(policy))
    bars = small({"A": closes})
    (found,) = judge(named, dict.fromkeys(rule.adjusts, bars), pd.Timestamp("2024-07-09 20:00"))
    return found


def test_how_far_the_whole_is_follows_from_how_far_its_parts_are():
    closes = [10, 11, 10, 11, 10, 11]  # a usual change is 1
    near, far = price("above", 12), price("above", 15)
    assert verdict("all", closes, near, far).distance == pytest.approx(4)
    assert verdict("any", closes, near, far).distance == pytest.approx(1)
    assert verdict("any", closes, near, far).state == "near"
    assert np.isnan(verdict("not", closes, price("above", 5)).distance)


def test_what_was_found_is_said_of_the_parts_that_decide_it():
    found = verdict("all", [9, 10, 11], price("above", 10), price("below", 12))
    assert found.found == "close 11.00 USD, +10.0% from 10 and close 11.00 USD, -8.3% from 12"
    assert found.subject == "A: close above 10 and close below 12"
    assert (
        verdict("any", [9, 10, 11], price("above", 10), price("above", 12)).found == "close 11.00 USD, +10.0% from 10"
    )
    quiet = verdict("all", [9, 10, 11], price("above", 10), price("above", 12))
    assert quiet.found == "1 of 2 hold: close 11.00 USD, +10.0% from 10; not: close 11.00 USD, -8.3% from 12"
    inner = {"kind": "any", "parts": [price("below", 5), price("above", 10)]}
    assert verdict("all", [11], inner, price("above", 1)).rule.rule.condition == (
        "(close below 5 or close above 10) and close above 1"
    )


def test_a_release_of_a_composition_counts_parts():
    above, below = price("above", 10), price("above", 12)
    closes = [13, 11, 13, 9, 13, 13]
    assert f"{verdict('all', closes, above, below).since:%d}" == "08"
    # At 11 one of both is missing, at 9 both are.
    assert f"{verdict('all', [*closes[:3]], above, below, release=2).since:%d}" == "01"
    assert f"{verdict('all', closes, above, below, release=2).since:%d}" == "08"


def test_a_composition_comes_back_as_it_was_kept():
    values = {
        "parts": [price("below", 5), {"kind": "not", "parts": [{"kind": "volume", "multiple": 2.0}]}],
        "near": 0.5,
    }
    rule = make_rule("any", {"dataset": "d", "symbols": ["A", "B"], **values})
    kept = rule.plain()
    assert "symbols" not in kept["parts"][0]
    assert make_rule("any", kept) == rule
    assert make_rule("any", rule.model_dump()) == rule
    assert rule.rules[1].rules[0].symbols == ("A", "B")


@pytest.mark.parametrize(
    ("parts", "streamed"),
    [
        ([price("below", 5), {"kind": "not", "parts": [{"kind": "move", "percent": 2}]}], True),
        ([price("below", 5), {"kind": "not", "parts": [{"kind": "volume"}]}], False),
    ],
)
def test_a_composition_is_streamed_if_all_of_it_is(parts, streamed):
    assert make_rule("any", {"dataset": "d", "symbols": ["A"], "parts": parts}).streamed is streamed


def nested(depth):
    made = price("below", 5)
    for _ in range(depth):
        made = {"kind": "not", "parts": [made]}
    return made


LEVEL = price("below", 5)


@pytest.mark.parametrize(
    ("kind", "parts", "said"),
    [
        ("all", "close > 5 and rsi < 30", "no list of rules"),
        ("all", ["close > 5"], "'close > 5' is no rule"),
        ("all", {"kind": "price"}, "no list of rules"),
        ("all", [], "made of 0 rules"),
        ("all", [{"when": "below", "level": 5}], "has no kind"),
        ("all", [{**LEVEL, "level": -3}], "level=-3"),
        ("all", [{**LEVEL, "code": "x"}], "code='x'"),
        ("all", [{**LEVEL, "symbols": ["B"]}], "leave symbols out"),
        ("all", [{**LEVEL, "dataset": "e"}], "leave dataset out"),
        ("all", [{"kind": "__import__('os')"}], "unknown kind"),
        ("all", [{"kind": "run"}], "looks at no bars"),
        ("all", [LEVEL, 7], "7 is no rule"),
        ("not", [LEVEL, LEVEL], "give one"),
        ("all", [LEVEL] * (MOST + 1), f"1 to {MOST}"),
        ("all", [{"kind": "any", "parts": [LEVEL] * 20}] * 4, f"more than {MOST} rules"),
        ("not", [nested(DEPTH)], f"more than {DEPTH} deep"),
        ("not", [nested(20_000)], f"more than {DEPTH} deep"),
    ],
)
def test_what_is_no_composition_is_refused_in_one_sentence(kind, parts, said):
    with pytest.raises(ParameterError, match=re.escape(said)) as refused:
        make_rule(kind, {"dataset": "d", "symbols": ["A"], "parts": parts})
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_composition_may_be_as_deep_as_is_said():
    assert make_rule("not", {"dataset": "d", "symbols": ["A"], "parts": [nested(DEPTH - 1)]})
