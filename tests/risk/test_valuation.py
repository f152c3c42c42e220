"""QuantLib's evaluation date: held, given back, shared between threads, and kept in a kernel."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
import QuantLib as ql  # noqa: N813 (its own documentation's name for it)
from IPython.core.interactiveshell import InteractiveShell

from workbench.core import known
from workbench.core.errors import DateRangeError, FailureError
from workbench.risk.pricing import names
from workbench.risk.pricing.valuation import EvaluationDateGuard, evaluation_date, guard, quantlib_date

SETTINGS = ql.Settings.instance()


def now() -> str:
    return SETTINGS.evaluationDate.ISO()


def floats() -> bool:
    """Say whether the date is the machine's day: that of two zones, 26 hours apart, is never the same."""
    days = []
    for zone in ("AAA-14", "BBB+12"):
        os.environ["TZ"] = zone
        time.tzset()
        days.append(now())
    return days[0] != days[1]


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    SETTINGS.resetEvaluationDate()
    yield
    SETTINGS.resetEvaluationDate()
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "day",
    [
        date(2019, 1, 7),
        "2019-01-07",
        "2019-01-07T23:59:59",
        datetime(2019, 1, 7, 15),
        pd.Timestamp("2019-01-07"),
        pd.Timestamp("2019-01-07 21:00", tz="UTC"),
        np.datetime64("2019-01-07"),
        ql.Date(7, 1, 2019),
    ],
)
def test_a_day_is_a_day_however_it_is_written(day):
    with evaluation_date(day) as today:
        assert now() == "2019-01-07"
        assert today == ql.Date(7, 1, 2019)


def test_an_instant_counts_by_its_day_in_utc():
    late_in_new_york = datetime(2019, 1, 7, 20, tzinfo=timezone(timedelta(hours=-5)))
    assert quantlib_date(late_in_new_york).ISO() == "2019-01-08"
    assert quantlib_date(pd.Timestamp("2019-01-08 08:00", tz="Asia/Tokyo")).ISO() == "2019-01-07"


@pytest.mark.parametrize(
    "day",
    ["2019-02-30", "2019", "tomorrow", "now", "", None, 2019, 20190107, True, float("nan"), pd.NaT, ql.Date(), [1]],
)
def test_what_is_no_day_is_refused_and_changes_nothing(day):
    with pytest.raises(DateRangeError, match="is no date; write it as 2012-03-01"), evaluation_date(day):
        pass
    assert floats()


@pytest.mark.parametrize("day", ["1900-12-31", "2200-01-01", date(9999, 12, 31), pd.Timestamp("1800-01-01")])
def test_a_day_that_quantlib_does_not_have_is_refused_with_those_that_it_has(day):
    with pytest.raises(DateRangeError, match="none of QuantLib's dates; give one from 1901-01-01 to 2199-12-31"):
        quantlib_date(day)


@pytest.mark.parametrize("day", ["1901-01-01", "2199-12-31"])
def test_the_first_and_the_last_of_quantlibs_days_can_be_held(day):
    with evaluation_date(day):
        assert now() == day


def test_a_date_that_was_set_is_set_again_after_the_block():
    SETTINGS.evaluationDate = ql.Date(3, 3, 2020)
    with evaluation_date("2019-01-07"):
        pass
    assert now() == "2020-03-03"
    assert not floats()


def test_a_date_that_floated_floats_again_after_the_block():
    assert floats()
    with evaluation_date("2019-01-07"):
        assert not floats()
    assert floats()


def test_todays_date_that_was_set_does_not_float_after_the_block():
    SETTINGS.evaluationDate = ql.Date.todaysDate()
    with evaluation_date("2019-01-07"):
        pass
    assert not floats()


def test_an_error_in_the_block_gives_the_date_back_and_is_passed_on():
    with pytest.raises(KeyError, match="mine"), evaluation_date("2019-01-07"):
        raise KeyError("mine")
    assert floats()


def test_a_listener_that_fails_does_not_keep_the_date():
    def fail() -> None:
        raise ValueError("mine")

    curve = ql.FlatForward(0, ql.NullCalendar(), 0.05, ql.Actual365Fixed())
    listener = ql.Observer(fail)
    listener.registerWith(curve)
    with pytest.raises(RuntimeError, match="could not notify") as caught, evaluation_date("2019-01-07"):
        pass
    # Also while a debugger, or here `caught`, keeps the frames of the error.
    assert floats()
    assert caught.traceback
    listener.unregisterWith(curve)
    with evaluation_date("2020-03-03"), ThreadPoolExecutor(1) as pool:
        pool.submit(enter_and_leave, "2020-03-03").result(10)
    assert floats()


def enter_and_leave(day: str) -> None:
    with evaluation_date(day, patience=0.05):
        pass


def test_blocks_nest_and_each_gives_back_its_own():
    with evaluation_date("2019-01-07"):
        with evaluation_date("2020-03-03"):
            with evaluation_date("2020-03-03"):
                SETTINGS.evaluationDate = ql.Date(1, 1, 2001)
            assert now() == "2020-03-03"
        assert now() == "2019-01-07"
    assert floats()


def test_a_date_changed_by_hand_inside_is_what_the_inner_block_gives_back():
    with evaluation_date("2019-01-07"):
        SETTINGS.evaluationDate = ql.Date(1, 1, 2001)
        with evaluation_date("2020-03-03"):
            pass
        assert now() == "2001-01-01"
    assert floats()


def test_blocks_that_are_left_in_the_wrong_order_still_give_everything_back():
    first, second = evaluation_date("2019-01-07"), evaluation_date("2020-03-03")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert now() == "2020-03-03"
    with evaluation_date("2021-05-05"):
        pass
    assert now() == "2020-03-03"
    second.__exit__(None, None, None)
    assert floats()


@pytest.mark.parametrize(
    "name", ["includeReferenceDateEvents", "enforcesTodaysHistoricFixings", "includeTodaysCashFlows"]
)
def test_a_setting_that_decides_on_cash_flows_is_given_back_with_the_date(name):
    before = getattr(SETTINGS, name)
    with evaluation_date("2019-01-07"):
        setattr(SETTINGS, name, True)
    assert getattr(SETTINGS, name) is before
    assert before is not True


def test_a_price_is_that_of_the_day_which_is_held():
    curve = ql.FlatForward(0, ql.NullCalendar(), 0.05, ql.Actual365Fixed())
    bond = ql.ZeroCouponBond(0, ql.NullCalendar(), 100.0, ql.Date(7, 1, 2021))
    bond.setPricingEngine(ql.DiscountingBondEngine(ql.YieldTermStructureHandle(curve)))
    for day, years in (("2019-01-07", 731 / 365), ("2020-01-07", 366 / 365)):
        with evaluation_date(day):
            assert bond.NPV() == pytest.approx(100 * np.exp(-0.05 * years), rel=1e-12)


def test_a_fixing_after_the_date_is_not_used_though_it_is_known():
    curve = ql.FlatForward(ql.Date(7, 1, 2019), 0.01, ql.Actual360())
    index = ql.Sofr(ql.YieldTermStructureHandle(curve))
    index.addFixing(ql.Date(9, 1, 2019), 0.09)
    try:
        with evaluation_date("2019-01-07"):
            assert index.fixing(ql.Date(9, 1, 2019)) == pytest.approx(0.01, abs=1e-5)
        with evaluation_date("2019-01-10"):
            assert index.fixing(ql.Date(9, 1, 2019)) == 0.09
    finally:
        index.clearFixings()


def test_threads_with_days_of_their_own_take_turns_and_none_sees_anothers():
    def price(number: int) -> bool:
        day = date(2019, 1, 1) + timedelta(days=number % 7)
        with evaluation_date(day):
            seen = [now()]
            time.sleep(0.001)
            return {*seen, now()} == {day.isoformat()}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(price, range(100)))
    assert floats()


def test_threads_hold_the_same_day_together_and_the_last_one_gives_it_back():
    inside, leave = threading.Barrier(2), threading.Event()

    def hold() -> None:
        with evaluation_date("2019-01-07"):
            inside.wait(10)
            leave.wait(10)

    thread = threading.Thread(target=hold)
    with evaluation_date("2019-01-07"):
        thread.start()
        inside.wait(10)
        with evaluation_date("2019-01-07"):
            pass
        assert now() == "2019-01-07"
    assert now() == "2019-01-07"
    leave.set()
    thread.join(10)
    assert floats()


def test_a_thread_that_would_wait_too_long_for_its_day_is_refused():
    with ThreadPoolExecutor(1) as pool, evaluation_date("2019-01-07"):
        with pytest.raises(FailureError, match="held at 2019-01-07 elsewhere and cannot be 2020-03-03 at once"):
            pool.submit(enter_and_leave, "2020-03-03").result(10)
        assert now() == "2019-01-07"
    assert floats()


@pytest.mark.parametrize("day", ["2019-01-07", "2020-03-03"])
def test_a_date_with_another_nested_inside_is_shared_with_no_thread(day):
    # Its day would change while the other thread is inside, when this one leaves the inner block.
    with ThreadPoolExecutor(1) as pool, evaluation_date("2019-01-07"):
        with evaluation_date("2020-03-03"), pytest.raises(FailureError, match="held at 2020-03-03 elsewhere"):
            pool.submit(enter_and_leave, day).result(10)
        pool.submit(enter_and_leave, "2019-01-07").result(10)
    assert floats()


def test_another_day_cannot_be_nested_while_a_thread_shares_this_one():
    inside, leave = threading.Barrier(2), threading.Event()

    def hold() -> None:
        with evaluation_date("2019-01-07"):
            inside.wait(10)
            leave.wait(10)

    thread = threading.Thread(target=hold)
    with evaluation_date("2019-01-07"):
        thread.start()
        inside.wait(10)
        with pytest.raises(FailureError), evaluation_date("2020-03-03", patience=0.05):
            pass
        leave.set()
        with evaluation_date("2020-03-03", patience=10):
            assert now() == "2020-03-03"
    thread.join(10)
    assert floats()


def test_a_task_that_waits_for_another_of_its_own_thread_is_refused_at_once():
    async def hold(day: str, other: str) -> str:
        with evaluation_date(day):
            await asyncio.sleep(0)
            return await asyncio.create_task(enter(other))

    async def enter(day: str) -> str:
        with evaluation_date(day, patience=3600):
            return now()

    assert asyncio.run(hold("2019-01-07", "2019-01-07")) == "2019-01-07"
    with pytest.raises(FailureError):
        asyncio.run(hold("2019-01-07", "2020-03-03"))
    assert floats()


class Kernel:
    """A shell of its own whose as-of limit, clock and told lines are at hand."""

    def __init__(self) -> None:
        self.shell = InteractiveShell()
        self.moment = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
        self.limit: datetime | None = None
        self.guard = guard(self.shell, lambda: self.limit, lambda: self.moment)
        self.shell.user_ns |= names()

    def run(self, cell: str):
        result = self.shell.run_cell(cell)
        result.raise_error()
        return result.result


@pytest.fixture
def kernel():
    return Kernel()


def test_a_kernel_starts_at_the_clocks_day(kernel):
    assert now() == "2026-11-22"
    assert not floats()
    assert kernel.run("ql.Settings.instance().evaluationDate.ISO()") == "2026-11-22"


def test_a_kernels_date_follows_the_turn_of_the_day_and_the_limit(kernel):
    kernel.moment += timedelta(hours=1)
    assert kernel.run("ql.Settings.instance().evaluationDate.ISO()") == "2026-11-23"
    kernel.limit = datetime(2019, 1, 7, 23, 59, 59, 999999, tzinfo=UTC)
    assert kernel.run("ql.Settings.instance().evaluationDate.ISO()") == "2019-01-07"
    kernel.limit = None
    assert kernel.run("ql.Settings.instance().evaluationDate.ISO()") == "2026-11-23"


def test_the_limit_of_the_process_is_the_kernels_date_and_one_that_is_no_date_is_told(monkeypatch):
    said: list[str] = []
    watch = EvaluationDateGuard(known.limit, lambda: datetime(2026, 11, 22, tzinfo=UTC), said.append)
    monkeypatch.setenv("WORKBENCH_AS_OF", "2019-01-07")
    watch.before_cell(None)
    assert now() == "2019-01-07"
    monkeypatch.setenv("WORKBENCH_AS_OF", "soon")
    watch.before_cell(None)
    assert now() == "2019-01-07"
    assert len(said) == 1
    assert said[0].startswith("the evaluation date stays as it is: ")


def test_a_kernel_whose_limit_is_no_date_hears_so_before_each_cell_and_is_guarded(monkeypatch, capsys):
    monkeypatch.setenv("WORKBENCH_AS_OF", "soon")
    shell = InteractiveShell()
    guard(shell, known.limit, lambda: datetime(2026, 11, 22, tzinfo=UTC))
    assert now() == "2026-11-22"
    shell.push(names(), interactive=False)
    told = "the evaluation date stays as it is: WORKBENCH_AS_OF='soon' is no date; "
    assert capsys.readouterr().err == ""
    for _ in range(2):
        shell.run_cell("1").raise_error()
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(told)
    shell.run_cell("ql.Settings.instance().evaluationDate = ql.Date(3, 3, 2020)").raise_error()
    assert "it is 2026-11-22 again" in capsys.readouterr().err
    monkeypatch.setenv("WORKBENCH_AS_OF", "2019-01-07")
    assert shell.run_cell("ql.Settings.instance().evaluationDate.ISO()").result == "2019-01-07"
    assert capsys.readouterr().err == ""


def test_a_cell_that_changes_the_date_is_told_so_in_one_line_and_keeps_its_results(kernel, capsys):
    found = kernel.run("ql.Settings.instance().evaluationDate = ql.Date(3, 3, 2020); kept = 1; kept + 1")
    assert found == 2
    assert kernel.shell.user_ns["kept"] == 1
    assert now() == "2026-11-22"
    assert capsys.readouterr().err.splitlines() == [
        "this cell left the evaluation date at 2020-03-03; it is 2026-11-22 again: hold another one with "
        "`with evaluation_date(day):`"
    ]


def test_a_cell_that_fails_after_changing_the_date_is_put_right_too(kernel, capsys):
    with pytest.raises(ZeroDivisionError):
        kernel.run("ql.Settings.instance().evaluationDate = ql.Date(3, 3, 2020); 1 / 0")
    assert now() == "2026-11-22"
    assert "it is 2026-11-22 again" in capsys.readouterr().err


def test_a_cell_that_holds_a_date_properly_is_told_nothing(kernel, capsys):
    cell = "with evaluation_date('2019-01-07'):\n    seen = ql.Settings.instance().evaluationDate.ISO()\nseen"
    assert kernel.run(cell) == "2019-01-07"
    assert now() == "2026-11-22"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("line", ["evaluationDate = ql.Date()", "resetEvaluationDate()"])
def test_a_cell_cannot_leave_the_date_floating(kernel, line):
    kernel.run(f"ql.Settings.instance().{line}")
    assert not floats()
    assert now() == "2026-11-22"


def test_a_kernel_leaves_a_date_alone_that_a_thread_still_holds_and_says_so(kernel, capsys):
    inside, leave = threading.Barrier(2), threading.Event()

    def hold() -> None:
        with evaluation_date("2019-01-07"):
            inside.wait(10)
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    kernel.run("pass")
    assert now() == "2019-01-07"
    assert capsys.readouterr().err.splitlines() == [
        "this cell starts at the evaluation date 2019-01-07, which an open block holds, not at 2026-11-22"
    ]
    leave.set()
    thread.join(10)
    kernel.run("pass")
    assert now() == "2026-11-22"


def test_a_day_can_be_begun_by_hand_and_the_next_cell_begins_at_its_own():
    watch = EvaluationDateGuard(lambda: None, lambda: datetime(2026, 11, 22, tzinfo=UTC))
    assert watch.begin("2019-01-07") == date(2019, 1, 7)
    assert now() == "2019-01-07"
    with pytest.raises(DateRangeError):
        watch.begin("2300-01-01")
    assert now() == "2019-01-07"
    assert watch.begin() == date(2026, 11, 22)


def test_importing_the_workbench_and_its_pricing_does_not_load_quantlib():
    check = "import sys, workbench, workbench.cli, workbench.risk.pricing; print('QuantLib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "False\n"


def test_without_quantlib_one_sentence_says_what_to_install():
    check = """
import sys
sys.modules["QuantLib"] = None
from workbench.core.errors import FailureError
from workbench.risk import pricing
try:
    pricing.names()
except FailureError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert said == "pricing with QuantLib needs QuantLib; install it with: pip install 'trii-workbench[pricing]'\n"


def test_importing_quantlib_starts_no_thread_and_a_forked_child_has_a_date_of_its_own():
    check = """
import os
import workbench.risk.pricing.conventions, workbench.risk.pricing.valuation as valuation
import QuantLib as ql  # noqa: N813 (its own documentation's name for it)
assert len(os.listdir("/proc/self/task")) == 1, os.listdir("/proc/self/task")
settings = ql.Settings.instance()
with valuation.evaluation_date("2019-01-07"):
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        print(settings.evaluationDate.ISO())
    else:
        with valuation.evaluation_date("2020-03-03"):
            os._exit(settings.evaluationDate.ISO() != "2020-03-03")
"""
    # Threads that NumPy and Arrow would start.
    quiet = "background_thread:false"
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": quiet, "_RJEM_MALLOC_CONF": quiet}
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, env=env)
    assert (done.stdout, done.stderr) == ("2019-01-07\n", "")
