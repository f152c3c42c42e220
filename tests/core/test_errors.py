import re

import pytest

from workbench.core import errors
from workbench.core.errors import UnknownNameError, WorkbenchError


def tree(root):
    return {root.__name__} | {name for child in root.__subclasses__() for name in tree(child)}


def test_the_drawing_names_every_error_of_the_room():
    drawn = set(re.findall(r"\b[A-Z]\w+Error\b", errors.__doc__))
    assert drawn == {name for name in tree(WorkbenchError) if hasattr(errors, name)}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DateRangeError, 2),
        (errors.ParameterError, 2),
        (errors.CatalogError, 2),
        (errors.UnknownNameError, 2),
        (errors.UnsupportedError, 2),
        (errors.CredentialError, 2),
        (errors.DataError, 1),
        (errors.StoreError, 1),
        (errors.ProviderError, 1),
        (errors.RateLimitError, 1),
        (errors.RunError, 1),
        (errors.ServerError, 1),
    ],
)
def test_a_users_mistake_ends_with_two_and_a_failure_with_one(error, code):
    assert issubclass(error, WorkbenchError)
    assert error.exit_code == code


@pytest.mark.parametrize(
    ("name", "known", "told"),
    [
        ("APPL", ["AAPL", "IBM", "MSFT"], "unknown symbol 'APPL'; nearest known: AAPL"),
        ("aapl", ["AAPL", "IBM"], "unknown symbol 'aapl'; nearest known: AAPL"),
        ("zzz", ["MSFT", "AAPL"], "unknown symbol 'zzz'; nearest known: AAPL, MSFT"),
        ("zzz", [], "unknown symbol 'zzz'; nearest known: none"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_known(name, known, told):
    assert str(UnknownNameError("symbol", name, known)) == told


def test_an_unknown_name_says_where_it_was_looked_for():
    assert "in dataset 'x'; nearest" in str(UnknownNameError("symbol", "A", ["AA"], where="dataset 'x'"))


def test_a_used_up_plan_is_a_failure_of_the_provider():
    assert issubclass(errors.RateLimitError, errors.ProviderError)
    assert not issubclass(errors.CredentialError, errors.ProviderError)


def test_a_long_list_of_known_names_is_cut_short():
    known = [f"name{number:02}" for number in range(30)]
    assert str(UnknownNameError("dataset", "zzz", known)).endswith("nearest known: " + ", ".join(known[:8]))


@pytest.mark.parametrize("name", [None, 5, ["AAPL"]])
def test_a_name_that_is_no_text_is_told_all_the_same(name):
    assert str(UnknownNameError("symbol", name, ["AAPL"])).startswith(f"unknown symbol {name!r}; nearest known: ")
