import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.analytics.lines import crossings, past_return, scaled
from workbench.analytics.lines import line as line_of
from workbench.analytics.signals import check_signals, crossed_above, held, latest, make_signals, make_weights, side
from workbench.core.errors import StrategyError, UnknownNameError
from workbench.core.frames import ATTRS
from workbench.core.market import FIELDS

NAN = np.nan


def line(values):
    times = pd.date_range("2012-03-05", periods=len(values))
    return xr.DataArray(np.asarray(values, "float64")[:, None], {"time": times, "symbol": ["A"]}, ("time", "symbol"))


def bars_of(**closes):
    times = pd.bdate_range("2012-01-02", periods=len(next(iter(closes.values()))))
    values = np.column_stack(list(closes.values())).astype("float64")
    variables = dict.fromkeys(FIELDS, (("time", "symbol"), values))
    attrs = {**dict.fromkeys(ATTRS, ""), "fields": FIELDS}
    return xr.Dataset(variables, {"time": times, "symbol": list(closes)}, attrs)


def wave(count=120, seed=1):
    steps = np.random.default_rng(seed).normal(0, 0.02, count)
    return 100 * np.exp(np.cumsum(steps))


@pytest.mark.parametrize(
    ("first", "second", "crossed"),
    [
        ([1, 3, 3], [2, 2, 2], [0, 1, 0]),
        ([2, 3, 3], [2, 2, 2], [0, 1, 0]),  # from level
        ([3, 3, 3], [2, 2, 2], [0, 0, 0]),  # above from the start is no cross
        ([1, 2, 3], [2, 2, 2], [0, 0, 1]),
        ([3, 2, 3], [2, 2, 2], [0, 0, 1]),
        ([3, 1, 1], [2, 2, 2], [0, 0, 0]),
        ([NAN, 3, 3], [2, 2, 2], [0, 0, 0]),
        ([1, 3, 3], [NAN, 2, 2], [0, 0, 0]),
        ([1, NAN, NAN], [2, 2, 2], [0, 0, 0]),
        ([1, NAN, 3], [2, 2, 2], [0, 0, 1]),  # a bar without a value is passed over
        ([1, 1, 3], [2, NAN, 2], [0, 0, 1]),
        ([3, NAN, 3], [2, 2, 2], [0, 0, 0]),
    ],
)
def test_where_one_line_crosses_above_another(first, second, crossed):
    found = crossed_above(line(first), line(second))
    assert found.dtype == bool
    assert found[:, 0].astype(int).to_numpy().tolist() == crossed


@pytest.mark.parametrize(
    ("turn_first", "turn_second"),
    [
        (lambda first: first.T, lambda second: second),
        (lambda first: first, lambda second: second.T),
        (lambda first: first.T, lambda second: second.T),
        (lambda first: first, lambda second: second.isel(symbol=0, drop=True)),
        (lambda first: first.T, lambda second: second.isel(time=0, drop=True)),
        (lambda first: first, lambda second: 2.0),
    ],
)
def test_lines_laid_out_in_any_order_cross_at_the_same_bars(turn_first, turn_second):
    first = over([[1.0, 3.0, 1.0], [3.0, 1.0, 1.0], [3.0, 3.0, 1.0]])
    found = crossed_above(turn_first(first), turn_second(xr.full_like(first, 2)))
    assert found.dims == ("time", "symbol")
    assert found.to_numpy().astype(int).tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_a_line_of_times_alone_may_be_crossed_by_one_of_symbols_too():
    first = over([[1.0, 3.0], [3.0, 1.0]])
    found = crossed_above(xr.full_like(first, 2).isel(symbol=0, drop=True), first)
    assert found.to_numpy().astype(int).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("entry", "leave", "state"),
    [
        ([0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]),
        ([0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]),
        ([1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]),
    ],
)
def test_the_state_lasts_from_entry_to_exit(entry, leave, state):
    signals = xr.Dataset({"entry": line(entry).astype(bool), "exit": line(leave).astype(bool)})
    assert held(signals)[:, 0].to_numpy().tolist() == state


def over(values):
    """Values of shape (n_bars, n_symbols)."""
    values = np.asarray(values)
    times = pd.date_range("2012-03-05", periods=len(values))
    symbols = ["A", "B", "C"][: values.shape[1]]
    return xr.DataArray(values, {"time": times, "symbol": symbols}, ("time", "symbol"))


def cross(bars, fast=2, slow=4):
    a, b = ("sma", fast), ("sma", slow)
    entry, leave, lines = crossings(bars, (a, b, b, a))
    return make_signals(entry, leave, lines[a] - lines[b], {"gap": lines[a] / lines[b] - 1}, "gap is {gap:+.1%}")


def test_a_symbol_that_misses_sessions_keeps_its_signals():
    closes = wave(160)
    alone = cross(bars_of(A=closes))
    # Another symbol trades one session after each fifth one of A, on which A does not.
    places = np.arange(160) + np.arange(160) // 5
    gapped = np.full(places[-1] + 1, NAN)
    gapped[places] = closes
    beside = cross(bars_of(A=gapped, B=wave(len(gapped), seed=2))).isel(time=places, symbol=0)
    for name in ("entry", "exit"):
        assert np.flatnonzero(beside[name]).tolist() == np.flatnonzero(alone[name][:, 0]).tolist()


def test_flat_prices_are_no_signal():
    signals = cross(bars_of(A=[10.0] * 20))
    assert not signals["entry"].any()
    assert not signals["exit"].any()


def test_strength_is_cut_to_one():
    found = make_signals(over([[False]]), over([[False]]), over([[-3.0]]))
    assert found["strength"].item() == -1


@pytest.mark.parametrize(
    ("weights", "entry", "leave", "sides"),
    [
        ([[NAN, NAN], [0.5, NAN], [NAN, NAN]], [1, None], [None, None], [[0, 0], [1, 0], [1, 0]]),
        ([[0.5, 0.5], [NAN, 0.7], [0.1, 0.1]], [0, 0], [1, None], [[1, 1], [0, 1], [1, 1]]),
        ([[-0.5, 0.5], [0, 0], [NAN, NAN]], [None, 0], [None, 1], [[-1, 1], [0, 0], [0, 0]]),
        ([[0.5, -0.5], [-0.5, 0.5], [NAN, NAN]], [0, 1], [1, None], [[1, -1], [-1, 1], [-1, 1]]),
    ],
)
def test_weights_tell_where_they_become_and_stop_being_positive(weights, entry, leave, sides):
    signals = make_weights(over(weights), over(np.zeros((3, 2))))
    first = {name: [(np.flatnonzero(signals[name][:, i]).tolist() or [None])[0] for i in (0, 1)] for name in TURNS}
    assert first == {"entry": entry, "exit": leave}
    assert side(signals).to_numpy().tolist() == sides
    np.testing.assert_array_equal(signals["weight"], weights)


TURNS = ("entry", "exit")


def test_a_weight_that_ends_where_the_symbol_has_no_bar_is_left_at_its_next_one():
    bars = bars_of(A=[1, NAN, 1, 1], B=[1, 1, 1, NAN])
    weight = bars["close"].copy(data=[[0.5, 0.5], [0, 0.5], [NAN, NAN], [0, 0]])
    found = check_signals(make_weights(weight, weight * 0), bars, "mine")
    assert np.argwhere(found["entry"].to_numpy()).tolist() == [[0, 0], [0, 1]]
    # B has no bar any more at which it could be left.
    assert np.argwhere(found["exit"].to_numpy()).tolist() == [[2, 0]]


def test_a_short_weight_is_told_as_short():
    told = latest(make_weights(over([[NAN, NAN], [-0.5, 0.5], [NAN, NAN]]), over(np.ones((3, 2)))))
    assert told["state"].tolist() == ["short", "long"]
    assert told["since"].tolist() == [pd.Timestamp("2012-03-06")] * 2


def good(bars):
    flags = bars["close"] > 1e9
    return make_signals(flags, flags, bars["close"] * 0)


def dropped(signals, name):
    attrs = {key: value for key, value in signals.attrs.items() if key != name}
    return signals.drop_vars(name, errors="ignore").assign_attrs(attrs) if name in signals else strip(signals, attrs)


def strip(signals, attrs):
    bare = signals.copy()
    bare.attrs = attrs
    return bare


WRONG = {
    "no dataset": (lambda s: s.to_array(), "gave DataArray, not Signals; return wb.make_signals"),
    "none": (lambda s: None, "gave NoneType, not Signals"),
    "no exit": (lambda s: dropped(s, "exit"), "lack exit; return"),
    "no reason": (lambda s: dropped(s, "reason"), r"lack attrs\['reason'\]"),
    "no evidence": (lambda s: s.assign_attrs(evidence=("rsi",)), "lack rsi"),
    "open brace": (lambda s: s.assign_attrs(reason="{"), "reason of strategy 'mine' is no format string"),
    "strange reason": (lambda s: s.assign_attrs(reason="{entry.__class__}"), "which is no evidence of it"),
    "one symbol": (
        lambda s: s.isel(symbol=0),
        r"entry of strategy 'mine' must be over \(time, symbol\); its dims are: ti",
    ),
    "short": (lambda s: s.isel(time=slice(3)), "have 3 times that are not the 5 of the bars"),
    "other symbols": (lambda s: s.assign_coords(symbol=["A", "X"]), "have 2 symbols that are not the 2 of the bars"),
    "floats": (lambda s: s.assign(entry=s["entry"] * 1.0), "entry of strategy 'mine' is float64, not bool"),
    "text": (lambda s: s.assign(strength=s["strength"].astype(str)), "strength of strategy 'mine' is <U"),
    "endless": (lambda s: s.assign(weight=s["strength"] + np.inf), "weight of .* is infinite for A at 2012-01-02"),
    "astray": (
        lambda s: s.assign(exit=~s["exit"]),
        "has an exit for B at 2012-01-02 00:00:00, where the symbol has no",
    ),
}


@pytest.mark.parametrize(("spoil", "said"), WRONG.values(), ids=WRONG)
def test_what_is_not_signals_is_refused(spoil, said):
    bars = bars_of(A=[1, 2, 3, 4, 5], B=[NAN, 1, 2, 3, 4])
    check_signals(good(bars), bars, "mine")
    with pytest.raises(StrategyError, match=said):
        check_signals(spoil(good(bars)), bars, "mine")


def test_signals_in_another_order_are_laid_out_as_the_bars():
    bars = bars_of(A=[1, 2, 3, 4], B=[4, 3, 2, 1])
    signals = good(bars).assign(entry=bars["close"] > 3)
    for other in (signals.transpose("symbol", "time"), signals.isel(symbol=[1, 0]), signals.isel(time=[3, 1, 0, 2])):
        found = check_signals(other, bars, "mine")
        assert found["entry"].dims == ("time", "symbol")
        np.testing.assert_array_equal(found["entry"], bars["close"] > 3)


def test_entry_and_exit_on_one_bar_cancel_each_other():
    bars = bars_of(A=[1, 2, 3])
    found = check_signals(good(bars).assign(entry=bars["close"] > 1, exit=bars["close"] > 2), bars, "mine")
    assert found["entry"][:, 0].to_numpy().tolist() == [False, True, False]
    assert not found["exit"].any()


def test_an_unknown_line_is_told_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match="unknown line 'sme'; nearest known: sma"):
        line_of(bars_of(A=[1.0]), ("sme", 3))


def test_a_channel_is_that_of_the_own_bars_before():
    bars = bars_of(A=[1, 5, NAN, 2, 3, 1], B=[2, 3, 4, 5, 6, 7])
    np.testing.assert_array_equal(line_of(bars, ("highest", 2))[:, 0], [NAN, NAN, NAN, 5, 5, 3])
    np.testing.assert_array_equal(line_of(bars, ("lowest", 2))[:, 1], [NAN, NAN, 2, 3, 4, 5])


def test_a_bar_without_a_high_leaves_the_channel_as_it_was():
    bars = bars_of(A=[1, 5, 4, 2, 3, 1])
    bars["high"] = bars["high"].copy(data=[[1], [5], [NAN], [2], [3], [1]])
    np.testing.assert_array_equal(line_of(bars, ("highest", 2))[:, 0], [NAN, NAN, 5, 5, 5, 3])
    np.testing.assert_array_equal(line_of(bars, ("lowest", 2))[:, 0], [NAN, NAN, 1, 1, 2, 2])


def test_momentum_begins_at_zero_and_past_return_is_not_known():
    bars = bars_of(A=[NAN, 1, 2, 4, 2])
    np.testing.assert_array_equal(line_of(bars, ("momentum", 2, 0))[:, 0], [NAN, 0, 0, 3, 0])
    np.testing.assert_array_equal(past_return(bars, 1, 1)[:, 0], [NAN, NAN, NAN, 1, 1])


def test_a_value_in_a_unit_of_zero_is_zero():
    found = scaled(line([4, 4, NAN, 4]), line([2, 0, 0, NAN]))
    np.testing.assert_array_equal(found[:, 0], [2, 0, NAN, NAN])


@pytest.mark.parametrize(
    ("closes", "state", "since"),
    [
        ([10, 10, 10, 10, 9, 8, 9, 12], "enter", 7),
        ([10, 10, 10, 10, 9, 8, 9, 12, 13, 14], "long", 7),
        ([10, 10, 10, 10, 11, 12, 11, 8], "exit", 7),
        ([10, 10, 10, 10, 11, 12, 11, 8, 7, 6], "flat", 7),
    ],
)
def test_what_a_rule_says_today(closes, state, since):
    bars = bars_of(A=closes)
    told = latest(cross(bars)).loc["A"]
    assert told["state"] == state
    assert told["since"] == bars.indexes["time"][since]
    assert told["time"] == bars.indexes["time"][-1]
    fast, slow = np.mean(closes[-2:]), np.mean(closes[-4:])
    assert told["reason"] == f"gap is {fast / slow - 1:+.1%}"


def test_too_few_bars_are_told_and_the_others_are_answered():
    late = [NAN] * 18 + [10, 11]
    told = latest(cross(bars_of(A=wave(20), B=late)))
    assert told.loc["B", ["state", "reason"]].tolist() == ["flat", "not enough bars for the rule"]
    assert pd.isna(told.loc["B", "time"])
    assert told.loc["A", "reason"].startswith("gap is")


def test_a_symbol_that_stopped_trading_is_answered_at_its_last_bar():
    stopped = [*wave(20)[:15], *[NAN] * 5]
    bars = bars_of(A=wave(20), B=stopped)
    assert latest(cross(bars)).loc["B", "time"] == bars.indexes["time"][14]
