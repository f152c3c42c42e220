"""The process that looks after alerts: what it does at once, what no fault keeps it from, and how it ends."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from workbench.alerts.evaluate import NamedRule
from workbench.alerts.rules import make_rule
from workbench.alerts.serving import Service
from workbench.core.errors import InputError, ProviderError, StoreError


def named(name):
    values = {"dataset": "d", "symbols": ["A"], "when": "above", "level": 1.0}
    return NamedRule(name, "price", make_rule("price", values), name)


def send_until(stop):
    stop.wait()


class Running:
    """A service in a thread of its own."""

    def __init__(self, *parts, **more):
        self.service = Service(*parts, **more)
        self.thread = threading.Thread(target=self.service.run)

    def __enter__(self):
        self.thread.start()
        return self.service

    def __exit__(self, *error):
        self.service.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def test_rules_are_evaluated_at_once_and_again_at_each_interval():
    rules, evaluated = [named("a"), named("b")], []
    with Running(lambda: rules, evaluated.append, send_until, every=1.0):
        wait_until(lambda: len(evaluated) >= 2)
    assert evaluated[:2] == [rules, rules]


@pytest.mark.parametrize("fault", [InputError("its data are gone"), ZeroDivisionError("a plugin's")])
def test_a_rule_with_a_fault_keeps_no_other_from_being_evaluated(fault, caplog):
    rules, evaluated = [named("a"), named("b"), named("c")], []

    def evaluate(some):
        if any(each.name == "b" for each in some):
            raise fault
        evaluated.extend(each.name for each in some)

    Service(lambda: rules, evaluate, send_until).evaluate()
    assert evaluated == ["a", "c"]
    assert [record.getMessage() for record in caplog.records] == [
        f"rule 'b' cannot be evaluated: {fault if isinstance(fault, InputError) else repr(fault)}"
    ]


def test_records_that_cannot_be_read_are_told_and_asked_again(caplog):
    asked, evaluated = [], []

    def rules():
        asked.append(1)
        if len(asked) == 1:
            raise StoreError("the server is restarted")
        return []

    with Running(rules, evaluated.append, send_until, every=1.0):
        wait_until(lambda: evaluated)
    assert "the rules cannot be read: the server is restarted" in caplog.text


def test_a_stream_that_cannot_be_watched_yet_is_tried_again_while_the_rest_goes_on():
    tried, evaluated, ended = [], [], []

    class Watched:
        def stop(self):
            ended.append(1)

    def watch():
        tried.append(1)
        if len(tried) == 1:
            raise ProviderError("nobody answers")
        return Watched()

    with Running(list, evaluated.append, send_until, watch=watch):
        wait_until(lambda: len(tried) == 2)
        assert evaluated == [[]]
    assert ended == [1]


def test_the_sender_may_end_what_it_is_at():
    done = []

    def send(stop):
        stop.wait()
        time.sleep(0.2)
        done.append(1)

    with Running(list, len, send):
        pass
    assert done == [1]


SCRIPT = """
import sys
from workbench.alerts.serving import serve
from workbench.core.settings import load_settings
serve(
    load_settings(),
    rules=list,
    evaluate=lambda rules: print("evaluated", flush=True),
    until_parent=sys.argv[1] == "parent",
)
"""


@pytest.fixture
def start(home):
    started = []

    def go(until):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, until],
            env={**os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "evaluated\n"
        return process

    yield go
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_when_it_is_asked_to(start, number):
    process = start("signal")
    process.send_signal(number)
    assert process.wait(20) == 0
    assert process.stderr.read() == ""


def test_the_process_ends_with_the_one_that_holds_its_input(start):
    process = start("parent")
    process.stdin.close()
    assert process.wait(20) == 0
