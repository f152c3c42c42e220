"""Every function of TA-Lib on Bars, against TA-Lib called on a symbol's own bars."""

import math

import numpy as np
import pytest
import talib
import xarray as xr
from talib import abstract

from workbench.analytics import indicators
from workbench.analytics.indicators import computing
from workbench.core.errors import InputError, ParameterError, UnknownNameError

NAMES = sorted(talib.get_functions())


@pytest.fixture(scope="module")
def holed(bars):
    """Apple with a hole, Facebook from late on, IBM delisted half-way; 420 sessions."""
    cut = bars.sel(time=slice("2011-11-01", "2013-07-05")).copy(deep=True)
    for field in cut.data_vars:
        cut[field].loc[{"symbol": "AAPL", "time": cut["time"][200:203]}] = np.nan
        cut[field].loc[{"symbol": "IBM", "time": cut["time"][250:]}] = np.nan
    assert 100 < int(cut["close"].sel(symbol="FB").isnull().sum()) < 200
    return cut


def periods_of(bars):
    values = 2 + np.arange(bars.sizes["time"]) % 20
    return xr.DataArray(values.astype(float), {"time": bars["time"]}, ["time"])


def own_arrays(bars, symbol):
    own = bars["close"].sel(symbol=symbol).notnull().to_numpy()
    arrays = {field: bars[field].sel(symbol=symbol).to_numpy()[own] for field in bars.data_vars}
    return own, arrays | {"periods": periods_of(bars).to_numpy()[own]}


def directly(name, arrays, **parameters):
    function = abstract.Function(name)
    function.set_parameters(parameters)
    found = function(arrays)
    series = found if isinstance(found, list) else [found]
    head = np.arange(len(series[0])) < function.lookback
    return [np.where(head, np.nan, one) if one.dtype.kind == "i" else one for one in series]


def test_every_function_of_ta_lib_is_there():
    assert indicators.names() == NAMES
    assert len(NAMES) >= 158
    assert sorted(name for group in indicators.groups() for name in indicators.names(group)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_function_is_ta_libs_on_each_symbols_own_bars(holed, name):
    given = {"periods": periods_of(holed)} if name == "MAVP" else {}
    found = indicators.compute(name, holed, **given)
    assert tuple(found.data_vars) == indicators.describe(name).outputs
    assert dict(found.sizes) == dict(holed.sizes)
    for symbol in ("AAPL", "FB", "IBM"):
        own, arrays = own_arrays(holed, symbol)
        for line, expected in zip(found.data_vars.values(), directly(name, arrays), strict=True):
            values = line.sel(symbol=symbol).to_numpy()
            assert np.isnan(values[~own]).all()
            np.testing.assert_array_equal(values[own], expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_description_is_ta_libs_own(name):
    about, info = indicators.describe(name), abstract.Function(name).info
    assert {one.name: one.default for one in about.parameters} == dict(info["parameters"])
    assert all(type(one.default) is type(info["parameters"][one.name]) for one in about.parameters)
    assert (about.name, about.title, about.group) == (name, info["display_name"], info["group"])
    assert len(about.outputs) == len(info["output_names"])
    for said in (about.title, *about.outputs, *about.choosable, *(f"{one.name}=" for one in about.parameters)):
        assert said in about.doc


@pytest.mark.parametrize("name", NAMES)
def test_the_ends_of_a_parameters_range_are_where_ta_lib_begins_to_refuse(name):
    about = indicators.describe(name)
    beside = {"minperiod": {"maxperiod": 100_000}, "maxperiod": {"minperiod": 1}}
    for one in about.parameters:
        beyond = 1 if isinstance(one.default, int) else 1e-6
        for end, step in ((one.minimum, -beyond), (one.maximum, beyond)):
            function = abstract.Function(name)
            function.set_parameters(beside.get(one.name, {}) | {one.name: end})
            assert function.lookback >= 0
            outside = end + step if abs(end) < 1e30 else end * 1.01
            function.set_parameters({one.name: outside})
            assert function.lookback == -1


@pytest.mark.parametrize(
    ("name", "given", "plain"),
    [
        ("ADX", {"timeperiod": 5}, {"timeperiod": 5}),
        ("adx", {"timeperiod": np.int64(5)}, {"timeperiod": 5}),
        ("BBANDS", {"matype": "ema", "nbdevup": 1}, {"matype": 1, "nbdevup": 1.0}),
        ("MA", {"matype": "RMA", "timeperiod": 7}, {"matype": 13, "timeperiod": 7}),
        ("KC", {"nbdev": 1.5, "atrperiod": 5}, {"nbdev": 1.5, "atrperiod": 5}),
        ("CDLDARKCLOUDCOVER", {"penetration": 0.3}, {"penetration": 0.3}),
        ("SUPERTREND", {"multiplier": 2, "timeperiod": 7}, {"multiplier": 2.0, "timeperiod": 7}),
    ],
)
def test_parameters_reach_the_function(holed, name, given, plain):
    found = indicators.compute(name, holed, **given)
    own, arrays = own_arrays(holed, "AAPL")
    for line, expected in zip(found.data_vars.values(), directly(name.upper(), arrays, **plain), strict=True):
        np.testing.assert_array_equal(line.sel(symbol="AAPL").to_numpy()[own], expected)
    assert not found.equals(indicators.compute(name, holed))


def test_any_field_can_be_read(holed):
    found = indicators.compute("SMA", holed, timeperiod=3, field="volume")["sma"]
    assert float(found.sel(symbol="FB")[-1]) == pytest.approx(float(holed["volume"].sel(symbol="FB")[-3:].mean()))


def test_two_series_may_be_a_field_and_another_symbol(holed):
    market = holed["close"].sel(symbol="AAPL", drop=True)
    found = indicators.compute("CORREL", holed, first="close", second=market, timeperiod=10)["correl"]
    both = np.flatnonzero((holed["close"].sel(symbol="FB") * market).notnull())[-10:]
    pair = [holed["close"].sel(symbol=symbol)[both].to_numpy() for symbol in ("FB", "AAPL")]
    assert float(found.sel(symbol="FB")[-1]) == pytest.approx(np.corrcoef(*pair)[0, 1])
    assert np.isnan(found.sel(symbol="FB")[200:203]).all()


def test_each_symbol_may_have_series_of_its_own(holed):
    other = holed["close"] * 2 + 1
    found = indicators.compute("ADD", holed, first="close", second=other)["add"]
    np.testing.assert_array_equal(found, holed["close"] + other)


def test_whole_numbers_are_not_known_at_the_head(holed):
    found = indicators.compute("CDLMORNINGSTAR", holed)["cdlmorningstar"].sel(symbol="AAPL").to_numpy()
    head = abstract.Function("CDLMORNINGSTAR").lookback
    assert head > 0
    assert np.isnan(found[:head]).all()
    assert set(found[head:200]) <= {-100.0, 0.0, 100.0}


def test_a_swing_is_told_at_the_bar_that_confirms_it(holed):
    found = indicators.compute("FRACTAL", holed)["swinghigh"].sel(symbol="AAPL").to_numpy()[:200]
    high = holed["high"].sel(symbol="AAPL").to_numpy()[:200]
    confirmed = np.flatnonzero(found == 100)
    assert len(confirmed) > 10
    for bar in confirmed:
        assert high[bar - 2] == high[bar - 4 : bar + 1].max()


@pytest.mark.parametrize(
    ("name", "given", "error", "says"),
    [
        ("ADXX", {}, UnknownNameError, "unknown indicator 'ADXX'; nearest known: ADX"),
        (7, {}, UnknownNameError, "unknown indicator 7"),
        ("ADX", {"window": 5}, ParameterError, "ADX has no parameter 'window'; it takes: timeperiod"),
        ("ADX", {"field": "open"}, ParameterError, "ADX has no parameter 'field'; it takes: timeperiod"),
        ("CDLDOJI", {"penetration": 1.0}, ParameterError, "it takes: no parameters"),
        ("ADX", {"timeperiod": 1}, ParameterError, "timeperiod=1; give a whole number from 2 to 100000"),
        ("ADX", {"timeperiod": -(2**31)}, ParameterError, "timeperiod=-2147483648"),
        ("ADX", {"timeperiod": 10**12}, ParameterError, "timeperiod=1000000000000"),
        ("ADX", {"timeperiod": 14.5}, ParameterError, "timeperiod=14.5; give a whole number"),
        ("ADX", {"timeperiod": "14"}, ParameterError, "timeperiod='14'"),
        ("ADX", {"timeperiod": True}, ParameterError, "timeperiod=True"),
        ("ADX", {"timeperiod": None}, ParameterError, "timeperiod=None"),
        ("BBANDS", {"nbdevup": math.nan}, ParameterError, "nbdevup=nan; give a number from"),
        ("BBANDS", {"nbdevup": math.inf}, ParameterError, "nbdevup=inf"),
        ("MA", {"matype": "HULL"}, ParameterError, "matype='HULL'; give a whole number from 0 to 13, or one of: SMA"),
        ("MAVP", {}, ParameterError, "MAVP cannot read periods=None; give a field or a DataArray"),
        ("MAVP", {"periods": 5}, ParameterError, "periods=5"),
        ("MAVP", {"periods": "close", "minperiod": 9, "maxperiod": 4}, ParameterError, "minperiod=9, maxperiod=4"),
        ("SMA", {"field": "price"}, ParameterError, "'price'; give a DataArray or one of: open"),
    ],
)
def test_what_cannot_be_computed_is_told(holed, name, given, error, says):
    with pytest.raises(error, match=says):
        indicators.compute(name, holed, **given)


@pytest.mark.parametrize("wrong", ["time", "symbol", "dims"])
def test_values_of_other_bars_are_told(holed, wrong):
    values = {
        "time": holed["close"][1:],
        "symbol": holed["close"].assign_coords(symbol=["AAPL", "FB", "MSFT"]),
        "dims": xr.DataArray(1.0),
    }
    with pytest.raises(ParameterError, match="reindex them to the bars' time and symbol"):
        indicators.compute("SMA", holed, field=values[wrong])


def test_fields_that_the_source_lacks_are_told(bench):
    closes = bench.bars(dataset="sp500_index")
    with pytest.raises(InputError, match="'sp500_index' has no high, low, volume, which MFI needs"):
        indicators.compute("MFI", closes)


def test_an_unknown_group_is_told():
    with pytest.raises(UnknownNameError, match="nearest known: Momentum Indicators"):
        indicators.names("Momentum")


def test_a_stream_gives_what_each_gives_alone(holed):
    found = dict(indicators.compute_many(holed, workers=2))
    assert sorted(found) == [name for name in NAMES if name != "MAVP"]
    for name in ("ADX", "HT_SINE", "CDLDOJI", "SUPERTREND", "OBV"):
        assert found[name].identical(indicators.compute(name, holed))


def test_a_stream_takes_parameters_and_small_letters(holed):
    periods = periods_of(holed)
    own = {"MAVP": {"periods": periods}, "adx": {"timeperiod": 5}}
    found = dict(indicators.compute_many(holed, ["adx", "MAVP"], own, workers=1))
    assert found["ADX"].equals(indicators.compute("ADX", holed, timeperiod=5))
    assert found["MAVP"].equals(indicators.compute("MAVP", holed, periods=periods))
    assert "MAVP" in dict(indicators.compute_many(holed, parameters={"MAVP": {"periods": periods}}))


def test_a_stream_of_closes_holds_what_closes_are_enough_for(bench):
    closes = bench.bars(dataset="sp500_index", start="2010")
    found = {name for name, _ in indicators.compute_many(closes)}
    assert {"SMA", "RSI", "MACD"} <= found
    assert not {"ATR", "OBV", "ADD", "CDLDOJI"} & found


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stream_runs_only_a_little_ahead(holed, workers, monkeypatch):
    started = []

    def counted(*arguments):
        started.append(arguments)
        return over_symbols(*arguments)

    over_symbols = computing.over_symbols
    monkeypatch.setattr(computing, "over_symbols", counted)
    for taken, _ in enumerate(indicators.compute_many(holed, workers=workers), start=1):
        assert len(started) <= taken + workers
    assert len(started) == 200


def test_a_stream_may_be_left(holed):
    stream = indicators.compute_many(holed, workers=2)
    next(stream)
    stream.close()
    assert list(stream) == []


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"chosen": ["ADX", "NONE"]}, UnknownNameError, "unknown indicator 'NONE'"),
        ({"chosen": ["ADX"], "parameters": {"ADX": {"timeperiod": 0}}}, ParameterError, "timeperiod=0"),
        ({"chosen": ["ADX"], "parameters": {"RSI": {}}}, ParameterError, "given for RSI, which is not computed"),
        ({"chosen": ["MAVP"]}, ParameterError, "periods=None"),
        ({"workers": 0}, ParameterError, "workers=0 cannot compute anything; give at least 1"),
    ],
)
def test_a_stream_tells_before_it_computes(holed, arguments, error, says):
    with pytest.raises(error, match=says):
        indicators.compute_many(holed, **arguments)


def test_a_stream_tells_what_the_source_lacks_before_it_computes(bench):
    with pytest.raises(InputError, match="which ATR needs"):
        indicators.compute_many(bench.bars(dataset="sp500_index"), ["SMA", "ATR"])


def test_a_stream_shows_how_far_it_is(holed, capsys):
    list(indicators.compute_many(holed, ["SMA", "EMA"], progress=True))
    assert "2/2" in capsys.readouterr().err


def test_ta_libs_own_settings_are_left_alone(holed):
    list(indicators.compute_many(holed, ["EMA", "RSI", "HA"]))
    assert [talib.get_unstable_period(name) for name in ("EMA", "RSI", "HA")] == [0, 0, 0]
    assert talib.get_compatibility() == 0
    assert abstract.ADX.parameters == {"timeperiod": 14}
