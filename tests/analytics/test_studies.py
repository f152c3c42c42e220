import numpy as np
import pytest

from workbench.analytics import indicators
from workbench.analytics.studies import OSCILLATORS, OVERLAYS, STUDIES, study_lines
from workbench.core.errors import UnknownNameError
from workbench.core.market import PRICES

CLOSES_ARE_ENOUGH = {"sma", "ema", "bollinger", "rsi", "macd", "volatility"}


def test_every_study_is_drawn_in_one_place():
    assert (*OVERLAYS, *OSCILLATORS) == STUDIES
    assert len(set(STUDIES)) == len(STUDIES)


@pytest.mark.parametrize(
    ("names", "over", "below"),
    [
        ([], [], {}),
        (["sma", "rsi"], ["SMA 20", "SMA 100"], {"RSI": ["RSI 14"]}),
        (["macd", "ema"], ["EMA 20"], {"MACD": ["MACD", "signal"]}),
        (["bollinger", "atr"], ["Bollinger upper", "Bollinger lower"], {"ATR": ["ATR 14"]}),
        (["ichimoku", "adx"], ["conversion", "base", "cloud A", "cloud B"], {"ADX": ["ADX 14", "+DI 14", "-DI 14"]}),
        (["donchian", "stochastic"], ["Donchian upper", "Donchian lower"], {"STOCHASTIC": ["%K", "%D"]}),
        (["supertrend", "vwap", "obv"], ["SuperTrend", "VWAP"], {"OBV": ["OBV"]}),
    ],
)
def test_lines_by_their_labels(bars, names, over, below):
    overlays, oscillators = study_lines(bars, names)
    assert list(overlays) == over
    assert {name: list(lines) for name, lines in oscillators.items()} == below


def test_a_window_in_a_label_is_asked_for_and_not_a_default(bars, monkeypatch):
    asked = []
    compute = indicators.compute

    def noted(name, given, **parameters):
        asked.append((name, parameters))
        return compute(name, given, **parameters)

    monkeypatch.setattr(indicators, "compute", noted)
    study_lines(bars, ["cci", "mfi", "adx"])
    assert asked == [(name, {"timeperiod": 14}) for name in ("CCI", "MFI", "ADX", "PLUS_DI", "MINUS_DI")]


def test_a_line_is_the_indicator_that_its_label_says(bars):
    overlays, oscillators = study_lines(bars, STUDIES)
    assert overlays["SMA 100"].equals(indicators.sma(bars, 100))
    assert overlays["EMA 20"].equals(indicators.ema(bars, 20))
    assert overlays["Bollinger lower"].equals(indicators.bollinger(bars)["lower"])
    assert overlays["Donchian upper"].equals(indicators.donchian(bars, 20)["upper"])
    assert overlays["Keltner lower"].equals(indicators.keltner(bars)["lower"])
    assert overlays["SuperTrend"].equals(indicators.supertrend(bars)["supertrend"])
    assert overlays["cloud A"].equals(indicators.ichimoku(bars)["cloud_a"])
    assert overlays["VWAP"].equals(indicators.vwap(bars))
    assert oscillators["RSI"]["RSI 14"].equals(indicators.rsi(bars, 14))
    assert oscillators["MACD"]["signal"].equals(indicators.macd(bars)["signal"])
    assert oscillators["ATR"]["ATR 14"].equals(indicators.atr(bars, 14))
    assert oscillators["CCI"]["CCI 14"].equals(indicators.compute("CCI", bars, timeperiod=14)["cci"])
    assert oscillators["MFI"]["MFI 14"].equals(indicators.compute("MFI", bars, timeperiod=14)["mfi"])
    assert oscillators["ADX"]["ADX 14"].equals(indicators.compute("ADX", bars, timeperiod=14)["adx"])
    assert oscillators["ADX"]["-DI 14"].equals(indicators.compute("MINUS_DI", bars, timeperiod=14)["minus_di"])
    assert oscillators["VOLATILITY"]["volatility 20"].equals(indicators.realised_volatility(bars, 20))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_a_value_on_the_last_bar(bars, name):
    overlays, oscillators = study_lines(bars, [name])
    lines = overlays or oscillators[name.upper()]
    assert bool(overlays) == (name in OVERLAYS)
    assert all(np.isfinite(line.isel(time=-1)).all() for line in lines.values())


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_near_the_prices(bars, name):
    for line in study_lines(bars, [name])[0].values():
        ratio = (line / bars["close"]).to_numpy()
        assert 0.3 < np.nanmin(ratio) <= np.nanmax(ratio) < 3


def test_no_two_studies_share_a_label(bars):
    labels = [label for name in OVERLAYS for label in study_lines(bars, [name])[0]]
    assert len(set(labels)) == len(labels)


def test_a_study_is_left_out_where_there_is_not_what_it_reads(bench, bars):
    overlays, oscillators = study_lines(bench.bars(dataset="sp500_index"), STUDIES)
    closes = {name for name in STUDIES if (OVERLAYS | OSCILLATORS)[name].reads == ("close",)}
    assert closes == CLOSES_ARE_ENOUGH
    assert set(oscillators) == {"RSI", "MACD", "VOLATILITY"}
    assert not {"SuperTrend", "VWAP"} & set(overlays)
    without_volume = bars.assign_attrs(fields=PRICES)
    overlays, oscillators = study_lines(without_volume, STUDIES)
    assert set(STUDIES) - {"vwap", "obv", "mfi"} == {
        name for name in STUDIES if set((OVERLAYS | OSCILLATORS)[name].reads) <= set(PRICES)
    }
    assert "SuperTrend" in overlays
    assert not {"OBV", "MFI"} & set(oscillators)


def test_an_unknown_study_is_told(bars):
    with pytest.raises(UnknownNameError, match="unknown indicator 'bolinger'; nearest known: bollinger"):
        study_lines(bars, ["sma", "bolinger"])
