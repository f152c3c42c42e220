import pytest

from workbench.analytics import indicators
from workbench.analytics.studies import OSCILLATORS, OVERLAYS, STUDIES, study_lines
from workbench.core.errors import UnknownNameError


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
    ],
)
def test_lines_by_their_labels(bars, names, over, below):
    overlays, oscillators = study_lines(bars, names)
    assert list(overlays) == over
    assert {name: list(lines) for name, lines in oscillators.items()} == below


def test_a_line_is_the_indicator_that_its_label_says(bars):
    overlays, oscillators = study_lines(bars, STUDIES)
    assert overlays["SMA 100"].equals(indicators.sma(bars, 100))
    assert overlays["EMA 20"].equals(indicators.ema(bars, 20))
    assert overlays["Bollinger lower"].equals(indicators.bollinger(bars)["lower"])
    assert oscillators["RSI"]["RSI 14"].equals(indicators.rsi(bars, 14))
    assert oscillators["MACD"]["signal"].equals(indicators.macd(bars)["signal"])
    assert oscillators["ATR"]["ATR 14"].equals(indicators.atr(bars, 14))


def test_a_study_that_needs_highs_is_left_out_where_there_are_none(bench):
    closes = bench.bars(dataset="sp500_index")
    assert set(study_lines(closes, STUDIES)[1]) == {"RSI", "MACD"}


def test_an_unknown_study_is_told(bars):
    with pytest.raises(UnknownNameError, match="unknown indicator 'bolinger'; nearest known: bollinger"):
        study_lines(bars, ["sma", "bolinger"])
