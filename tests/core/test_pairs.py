"""Names and values as people write them."""

import pytest

from workbench.core.errors import ParameterError
from workbench.core.pairs import named, option


def test_pairs_keep_their_order_and_their_texts():
    assert list(named([("slow", "100"), ("fast", "")], ["cash"]).items()) == [("slow", "100"), ("fast", "")]


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([("fast", "5"), ("fast", "5")], "parameter 'fast' is given twice; give it once"),
        (
            [("fast", "5"), ("stop_loss", "0.1")],
            "'stop_loss' is an option, not a parameter of the strategy; write --stop-loss 0.1",
        ),
    ],
)
def test_a_name_given_twice_or_that_is_an_option_is_refused(pairs, sentence):
    with pytest.raises(ParameterError) as told:
        named(pairs, ["cash", "stop_loss"])
    assert str(told.value) == sentence


def test_an_option_has_dashes():
    assert option("as_of") == "--as-of"
