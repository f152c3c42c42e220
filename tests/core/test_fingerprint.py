import functools
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from types import FunctionType

import numpy as np
import pytest

from workbench.core.fingerprint import code_hash

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
def test_what_changes_no_answer_keeps_the_fingerprint(change):
    assert code_hash(SAME[change]) == code_hash(made(RULE))


@pytest.mark.parametrize("change", OTHER)
def test_what_may_change_an_answer_changes_the_fingerprint(change):
    assert code_hash(OTHER[change]) != code_hash(made(RULE))


def test_a_fingerprint_is_the_same_in_every_process():
    code = f"""
        from workbench.core.fingerprint import code_hash
        scope = {{"__name__": "stranger"}}
        exec(compile({RULE!r}, "three.py", "exec"), scope)
        print(code_hash(scope["rule"]))
    """
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == code_hash(made(RULE))


def test_a_function_that_has_run_hot_keeps_its_fingerprint():
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
    ],
)
def test_what_a_function_closes_over_is_part_of_it(value, other):
    assert code_hash(closing_over(value)) == code_hash(closing_over(value))
    assert code_hash(closing_over(value)) != code_hash(closing_over(other))


def test_an_address_is_no_part_of_it():
    class Thing:
        pass

    assert code_hash(closing_over(Thing())) == code_hash(closing_over(Thing()))


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
