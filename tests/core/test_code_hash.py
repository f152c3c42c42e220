import enum
import functools
import os
import re
import subprocess
import sys
import textwrap
import threading
import types
from dataclasses import dataclass
from types import FunctionType

import numba
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.core.code_hash import _is_installed, code_hash

RULE = '''
def rule(bars, window=20, *, seed=1):
    """Say something."""
    def inner(x):
        return x in {"b", "a", "c"}
    return inner(bars["close"]) + window * 2
'''


def made(source, path="one.py", line=0, **names):
    """Return the function ``rule`` of a source that lies at some place."""
    scope = {"__name__": "stranger", **names}
    exec(compile("\n" * line + source, path, "exec"), scope)
    return scope["rule"]


SAME = {
    "another file": made(RULE, "/elsewhere/two.py"),
    "other lines": made(RULE, line=40),
    "another docstring": made(RULE.replace("Say something.", "Say nothing.")),
    "comments": made(RULE.replace("    return inner", "    # why\n\n    return inner")),
}
OTHER = {
    "a constant": made(RULE.replace("* 2", "* 3")),
    "a default": made(RULE.replace("window=20", "window=21")),
    "a keyword's default": made(RULE.replace("seed=1", "seed=2")),
    "a name": made(RULE.replace('"close"', '"open"')),
    "an operation": made(RULE.replace("+ window", "- window")),
    "an inner function": made(RULE.replace("return x in", "return x not in")),
    "a set": made(RULE.replace('"c"', '"d"')),
    "a type of constant": made(RULE.replace("* 2", "* 2.0")),
}


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_answer_keeps_the_hash(change):
    assert code_hash(SAME[change]) == code_hash(made(RULE))


@pytest.mark.parametrize("change", OTHER)
def test_what_may_change_an_answer_changes_the_hash(change):
    assert code_hash(OTHER[change]) != code_hash(made(RULE))


DATA = """
import functools
import numba
import numpy as np
import pandas as pd
import xarray as xr
from decimal import Decimal

TABLE = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]}, index=list("uv"))
TABLE["c"] = np.array([1, "1"], dtype=object)
ARRAY = xr.DataArray(np.arange(3.0), {"time": pd.date_range("2020", periods=3)}, ["time"])
LEVELS = {"slow": [1, 2], "fast": {"q", "r", "s"}}
KINDS = pd.Series(["a", None, "b"], dtype="category")
COUNTS = pd.Series([1, None], dtype="Int64")
STRANGE = np.array([None, "a", Decimal("1.5"), (1, 2)], dtype=object)
FUNCTIONS = {len, abs, np.add}

@functools.cache
def cached(x):
    return x + 1

@numba.njit
def compiled(x):
    return x + 2

class Level:
    def __init__(self, k):
        self.k = k

    @property
    def twice(self):
        return 2 * self.k

def rule(bars, level=Level(3)):
    return cached(TABLE), compiled(ARRAY), LEVELS, KINDS, COUNTS, STRANGE, FUNCTIONS, level.twice
"""


@pytest.mark.parametrize("source", [RULE, DATA], ids=["code", "data"])
def test_a_hash_is_the_same_in_every_process(source):
    code = f"""
        from workbench.core.code_hash import code_hash
        scope = {{"__name__": "stranger"}}
        exec(compile({source!r}, "three.py", "exec"), scope)
        print(code_hash(scope["rule"]))
    """
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == code_hash(made(source))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[1.0, 2.0]", "[1.0, 3.0]"),
        ('"b": ["x"', '"b": ["y"'),
        ('"b": [', '"d": ['),
        ('list("uv")', 'list("uw")'),
        ('[1, "1"]', '["1", 1]'),
        ("np.arange(3.0)", "np.arange(3.0) + 1"),
        ("periods=3)", "periods=3) + pd.Timedelta(1)"),
        ('"slow": [1, 2]', '"slow": [1, 3]'),
        ('"s"}', '"t"}'),
        ('["a", None, "b"]', '["a", None, "a"]'),
        ("[1, None]", "[2, None]"),
        ('Decimal("1.5")', 'Decimal("1.6")'),
        ("{len, abs, np.add}", "{len, abs, np.subtract}"),
        ("x + 1", "x + 3"),
        ("x + 2", "x + 3"),
        ("@numba.njit", "@numba.njit(fastmath=True)"),
        ("2 * self.k", "3 * self.k"),
        ("Level(3)", "Level(4)"),
    ],
)
def test_what_a_rule_of_a_notebook_names_is_part_of_it(before, after):
    assert before in DATA
    assert code_hash(made(DATA)) == code_hash(made(DATA)) != code_hash(made(DATA.replace(before, after)))


def test_a_function_that_has_run_hot_keeps_its_hash():
    rule = made("def rule(a, b=1):\n    return a + b\n")
    before = code_hash(rule)
    for number in range(5000):
        rule(number)
    assert code_hash(rule) == before


def closing_over(value):
    def rule(bars):
        return value

    return rule


@dataclass
class Pair:
    one: object
    two: object = print


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (20, 21),
        ([1, 2], [1, 3]),
        ({"a": 1}, {"a": 2}),
        (np.arange(5000), np.arange(5000) % 4999),
        (lambda x: x + 1, lambda x: x + 2),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (Pair(lambda x: x), Pair(lambda x: -x)),
        (len, abs),
        (pd.Series(np.arange(500.0)), pd.Series(np.where(np.arange(500) == 250, -1, np.arange(500.0)))),
        (pd.Series([1.0], name="a"), pd.Series([1.0], name="b")),
        (pd.Series([1]), pd.Series([1.0])),
        (pd.DataFrame({"a": np.zeros(500)}), pd.DataFrame({"b": np.zeros(500)})),
        (pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"a": [1], "b": [3]})),
        (pd.MultiIndex.from_tuples([(1, "a")]), pd.MultiIndex.from_tuples([(1, "b")])),
        (pd.date_range("2020", periods=2), pd.date_range("2020", periods=2, tz="UTC")),
        (xr.DataArray(np.zeros(500), dims="x"), xr.DataArray(np.zeros(500), dims="y")),
        (xr.DataArray([0], {"x": [1]}, ["x"]), xr.DataArray([0], {"x": [2]}, ["x"])),
        (xr.Dataset({"a": ("x", np.arange(500))}), xr.Dataset({"a": ("x", np.arange(500) % 499)})),
        (xr.Dataset({"a": 1}), xr.Dataset({"a": 1}).set_coords("a")),
        (np.array([1, "a"], dtype=object), np.array([2, "a"], dtype=object)),
        (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
        (types.SimpleNamespace(k=1), types.SimpleNamespace(k=2)),
        ({len, abs}, {len, max}),
        ([[1], [2]], [[1], [3]]),
        (np.random.default_rng(1), np.random.default_rng(2)),
        (np.random.default_rng(1).normal, np.random.default_rng(2).normal),
        (re.compile("a"), re.compile("b")),
        (numba.njit(lambda x: x + 1), numba.njit(lambda x: x + 2)),
        (numba.vectorize(lambda x: x + 1), numba.vectorize(lambda x: x + 2)),
        (enum.Enum("One", "a").a, enum.Enum("One", "b").b),
    ],
)
def test_what_a_function_closes_over_is_part_of_it(value, other):
    assert code_hash(closing_over(value)) == code_hash(closing_over(value))
    assert code_hash(closing_over(value)) != code_hash(closing_over(other))


class Slots:
    __slots__ = ("k",)

    def __init__(self, k):
        self.k = k


class Thing(Slots):
    """Keeps more than its slots, and a lock."""

    def __init__(self, k, name):
        super().__init__(k)
        self.name, self.lock = name, threading.Lock()


def test_an_object_counts_by_its_class_and_its_state_and_not_by_its_address():
    things = [Slots(1), Slots(2), Thing(1, "a"), Thing(2, "a"), Thing(1, "b"), object()]
    first = [code_hash(closing_over(each)) for each in things]
    again = [Slots(1), Slots(2), Thing(1, "a"), Thing(2, "a"), Thing(1, "b"), object()]
    assert [code_hash(closing_over(each)) for each in again] == first
    assert len({*first}) == len(first)
    assert None not in first


def test_what_cannot_be_read_has_no_hash(tmp_path):
    with (tmp_path / "file").open("w") as file:
        for value in (file, (each for each in ()), [{"deep": file}]):
            assert code_hash(closing_over(value)) is None


def test_a_rule_that_imports_what_is_not_loaded_has_no_hash_until_it_is(monkeypatch):
    rule = made("def rule(bars):\n    from lent import level\n    return level\n")
    assert code_hash(rule) is None
    found = []
    for level in (1, 1, 2):
        lent = types.ModuleType("lent")
        lent.level = level
        monkeypatch.setitem(sys.modules, "lent", lent)
        found.append(code_hash(rule))
    assert found[0] == found[1] != found[2]
    assert code_hash(made("def rule(bars):\n    import sched\n    return sched\n")) is not None


def test_a_module_of_ones_own_counts_by_what_is_named_of_it():
    def named(**members):
        lent = types.ModuleType("lent")
        lent.__dict__.update(members, lent=lent)
        return code_hash(made("def rule(bars):\n    return lent.level, lent.lent\n", lent=lent))

    assert named(level=1) == named(level=1, other=2) != named(level=2)


def test_a_function_of_a_file_of_ones_own_counts_by_what_it_does_and_an_installed_one_by_its_name(monkeypatch):
    def helped(by, place):
        lent = types.ModuleType("lent")
        lent.__file__ = place
        monkeypatch.setitem(sys.modules, "lent", lent)
        _is_installed.cache_clear()
        exec(f"def rule(x):\n    return x + {by}\n", lent.__dict__)
        return code_hash(made("def rule(bars):\n    return helper(bars)\n", helper=lent.rule))

    assert helped(1, "/project/lent.py") == helped(1, "/elsewhere/lent.py") != helped(2, "/project/lent.py")
    installed = "/venv/lib/python3.11/site-packages/lent.py"
    assert helped(1, installed) == helped(2, installed) != helped(1, "/project/lent.py")
    _is_installed.cache_clear()


def test_cycles_and_long_chains_have_an_end():
    ring, chain = [], []
    ring.append({"ring": ring})
    for _ in range(10_000):
        chain = [chain]
    assert len(code_hash(closing_over(ring))) == 16
    assert code_hash(closing_over(chain)) is None


def test_which_of_two_equal_objects_is_met_again_counts():
    one, two = [1], [2]
    assert code_hash(closing_over([one, two, one])) != code_hash(closing_over([one, two, two]))


def test_a_function_that_is_named_is_part_of_it_where_it_is_of_the_same_package():
    helper = made("def rule(x):\n    return x + 1\n")
    other = made("def rule(x):\n    return x + 2\n")
    source = "def rule(bars):\n    return helper(bars) + LEVEL\n"
    first = code_hash(made(source, helper=helper, LEVEL=3))
    assert first == code_hash(made(source, helper=helper, LEVEL=3))
    assert first != code_hash(made(source, helper=other, LEVEL=3))
    assert first != code_hash(made(source, helper=helper, LEVEL=4))


def test_functions_that_name_each_other_have_an_end():
    scope = {"__name__": "stranger"}
    exec("def rule(n):\n    return other(n)\ndef other(n):\n    return rule(n)\n", scope)
    assert len(code_hash(scope["rule"])) == 16


def test_a_wrapped_function_and_a_method_have_one_too():
    class Rule:
        def __call__(self, bars):
            return 1

        def rule(self, bars):
            return 2

    @functools.wraps(made(RULE))
    def wrapper(*args):
        return made(RULE)(*args)

    assert isinstance(wrapper, FunctionType)
    assert len({code_hash(wrapper), code_hash(Rule().rule), code_hash(Rule())}) == 3
