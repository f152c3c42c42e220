from workbench.core import market


def test_prices_come_before_volume():
    assert market.FIELDS == ("open", "high", "low", "close", "volume")


def test_the_words_that_may_be_chosen():
    assert market.ADJUSTMENTS == ("none", "splits", "all")
    assert market.DIRECTIONS == ("long", "both")
    assert market.FILLS == ("next_open", "next_close")
