import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import market
from workbench.core.errors import InputError
from workbench.core.market import check_symbol


def test_prices_come_before_volume():
    assert market.FIELDS == ("open", "high", "low", "close", "volume")


def test_the_words_that_may_be_chosen():
    assert market.ADJUSTMENTS == ("none", "splits", "all")
    assert market.DIRECTIONS == ("long", "both")
    assert market.FILLS == ("next_open", "next_close")
    assert market.INTERVALS == ("1d", "1h", "1m")


@pytest.mark.parametrize(
    "symbol",
    ["A", "AAPL", "BRK-B", "BRK.B", "^GSPC", "EURUSD=X", "BTC-USD", "005930.KS", "CON_1", "a", "9988.HK", "A" * 32],
)
def test_what_sources_call_a_symbol_is_one(symbol):
    assert check_symbol(symbol) is symbol


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        " ",
        "A B",
        " A",
        "A ",
        "A\n",
        "A\x00",
        "A" * 33,
        ".",
        "..",
        ".A",
        "A..B",
        "../A",
        "A/B",
        "/etc/passwd",
        "A\\B",
        "C:",
        "-A",
        "--help",
        "=1+1",
        "_A",
        "A%2F",
        "A?x",
        "A&x",
        "A#x",
        "A;x",
        "A'x",
        'A"x',
        "A,B",
        "A:B",
        "A*",
        "$(A)",
        "{A}",
        "~",
        "ААPL",  # Cyrillic
        "ＡＡＰＬ",  # full width
        "AAPL\u200b",
        "A\u2024B",  # a dot that is none
        "A\u2215B",  # a slash that is none
        "\u0661",  # an Arabic one
        "é",
    ],
)
def test_what_could_lead_elsewhere_is_no_symbol(symbol):
    with pytest.raises(InputError, match="is no symbol; write letters, digits and") as caught:
        check_symbol(symbol)
    assert str(caught.value).startswith(repr(symbol))


@pytest.mark.parametrize("value", [None, 5, 1.5, True, b"AAPL", ["AAPL"], ("A",), float("nan")])
def test_what_is_no_text_is_no_symbol(value):
    with pytest.raises(InputError, match="is no symbol"):
        check_symbol(value)


@given(st.text(alphabet=st.sampled_from("Aa0.^=_-/\\ %:\n\u0410\u212a"), max_size=40))
def test_what_passes_is_one_name_of_a_file(text):
    try:
        symbol = check_symbol(text)
    except InputError:
        return
    assert symbol.isascii()
    assert 1 <= len(symbol) <= 32
    assert not set(symbol) & set("/\\ %:\n")
    assert ".." not in symbol
    assert symbol[0] not in ".-"
