"""What a notebook declares, and which values are let through."""

from __future__ import annotations

from contextlib import suppress

import nbformat
import pytest

from workbench.core.errors import ParameterError, UnknownNameError
from workbench.jobs.parameters import check_parameters, declared_parameters

CELL = """
symbols: list[str] = ["AAPL"]
windows: list[int] = [20, 100]
fast: int = 20
level: float = 0.5
dry: bool = False
name: str = ""
limit: int | None = None
weights: dict[str, float] = {}
plain = 3
words = "text"
"""


def book(cell=CELL):
    code = nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]})
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A"), code])


def test_names_types_and_defaults_are_read_without_running_the_cell():
    found = declared_parameters(book("import os\nos.abort()\nfast: int = 20\nwords = 'a'\n"))
    assert [(item.name, item.type, item.default) for item in found.values()] == [("fast", int, 20), ("words", str, "a")]


def test_only_the_cell_with_the_tag_declares():
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("fast = 3")])
    assert declared_parameters(other) == {}


def test_a_parameters_cell_that_is_no_python_is_told():
    with pytest.raises(ParameterError, match="no valid Python"):
        declared_parameters(book("fast = = 3"))


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("symbols", ["MSFT", "IBM"], ["MSFT", "IBM"]),
        ("symbols", "MSFT,IBM", ["MSFT", "IBM"]),
        ("symbols", " MSFT , IBM ", ["MSFT", "IBM"]),
        ("symbols", "MSFT", ["MSFT"]),
        ("symbols", '["MSFT", "a,b"]', ["MSFT", "a,b"]),
        ("symbols", [], []),
        ("windows", "[5, 10]", [5, 10]),
        ("windows", "5,10", [5, 10]),
        ("fast", 5, 5),
        ("fast", "5", 5),
        ("level", "0.25", 0.25),
        ("level", 1, 1.0),
        ("dry", True, True),
        ("dry", "true", True),
        ("name", "5", "5"),
        ("name", "", ""),
        ("name", '["a"]', '["a"]'),
        ("limit", "7", 7),
        ("limit", "null", None),
        ("limit", None, None),
        ("weights", '{"AAPL": 0.5}', {"AAPL": 0.5}),
        ("plain", "4", 4),
        ("words", "4", "4"),
    ],
)
def test_a_value_arrives_in_its_declared_type(name, given, expected):
    found = check_parameters(book(), {name: given}, "a.ipynb")[name]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("symbols", 5),
        ("symbols", [5]),
        ("symbols", {"a": 1}),
        ("windows", "five,ten"),
        ("windows", [1.5]),
        ("fast", "many"),
        ("fast", 2.5),
        ("fast", "2.5"),
        ("fast", True),
        ("fast", None),
        ("fast", ""),
        ("level", "high"),
        ("dry", "perhaps"),
        ("dry", 1),
        ("name", 5),
        ("name", None),
        ("limit", "x"),
        ("weights", '{"AAPL": "much"}'),
        ("weights", "AAPL"),
        ("plain", "x"),
    ],
)
def test_a_value_of_another_type_is_refused(name, given):
    with pytest.raises(ParameterError) as told:
        check_parameters(book(), {name: given}, "a.ipynb")
    assert name in str(told.value)
    assert repr(given) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "name",
    [
        "slow",
        "Fast",
        "fast ",
        "",
        "x; import os",
        "fast = 1; import os; os.abort() #",
        "fast\nimport os",
        "__import__('os').abort()",
        "symbols[0]",
        "symbols.append",
    ],
)
def test_a_name_that_is_not_declared_is_refused(name):
    with pytest.raises(UnknownNameError, match=r"in a\.ipynb"):
        check_parameters(book(), {name: 1}, "a.ipynb")


def test_the_nearest_name_is_told():
    with pytest.raises(UnknownNameError, match="nearest known: fast"):
        check_parameters(book(), {"fsat": 1}, "a.ipynb")


@pytest.mark.parametrize("cell", ["x = {[1]: 2}", "x: None | None = 1", "x: dict[str] = {}", "x: list[int, str] = []"])
def test_what_python_itself_would_refuse_is_a_parameter_of_any_type(cell):
    made = nbformat.v4.new_notebook()
    made.cells.append(nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]}))
    assert list(declared_parameters(made)) == ["x"]
    with suppress(ParameterError):
        check_parameters(made, {"x": "1"}, "a.ipynb")
