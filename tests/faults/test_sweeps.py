"""Sweeps that are killed, interrupted, torn and doubled: the same figures as one that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from workbench.backtest.trials import TrialLedger
from workbench.bench import Workbench
from workbench.core.clock import utc_now
from workbench.core.database import open_database
from workbench.core.settings import load_settings

PROGRAM = str(Path(sys.executable).with_name("workbench"))
LONGEST = 120
"""Seconds that anything here may take."""

# More cells than one full block, so that finished blocks are kept; both make 16 blocks or more.
SWEEPS = {
    "through the engine": {
        "symbols": ["AAPL"],
        "start": "2012",
        "end": "2012",
        "fast": list(range(2, 10)),
        "slow": list(range(30, 35)),
        "size": "percent:0.5",
    },
    "compiled": {"symbols": ["AAPL", "IBM"], "fast": list(range(2, 152)), "slow": list(range(202, 402))},
}

# Imports once; each line that it reads starts a process that sweeps, and dies of it as any other.
SERVER = """
import json, os, signal, sys, traceback
import numpy as np
import exchange_calendars, vectorbt, workbench.backtest.run, workbench.backtest.sweeps.sweep, workbench.data.market
from workbench.bench import Workbench
from workbench.core.settings import load_settings
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        print(os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1]), flush=True)
        continue
    worker = os.fork()
    if worker == 0:
        code = 1
        try:
            symbols = asked["grid"].pop("symbols")
            bench = Workbench(load_settings(home=asked["home"]))
            found = bench.sweep("sma_cross", symbols, progress=False, **asked["grid"])
            np.save(asked["to"], found.to_array().to_numpy())
            code = 0
        except KeyboardInterrupt:
            code = 130
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    print(worker, flush=True)
"""


class Sweepers:
    """Starts processes that sweep."""

    def __init__(self, server):
        self.server = server
        assert server.stdout.readline() == "ready\n"

    def _ask(self, **asked):
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def start(self, home, case, to=None):
        """Start a sweep and return its process; its figures go to a file."""
        return self._ask(home=str(home), grid=SWEEPS[case], to=str(to or home / "figures.npy"))

    def reap(self, process):
        """Wait for a process and return its exit code, negative for a signal."""
        return self._ask(wait=process)

    def killed(self, home, case, blocks, by=signal.SIGKILL):
        """Start a sweep and kill it once so many blocks are kept; return how it ended."""
        process = self.start(home, case)
        reached = wait_for_more(home, blocks - 1, process)
        os.kill(process, by)
        assert reached, "no block was kept in time"
        return self.reap(process)


@contextmanager
def sweepers():
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield Sweepers(server)
        finally:
            server.stdin.close()


@pytest.fixture(scope="module")
def start():
    with sweepers() as ready:
        yield ready


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The figures of each sweep when nobody disturbs it, by another home."""
    bench = Workbench(load_settings(home=tmp_path_factory.mktemp("undisturbed")))
    found = {}
    for case, grid in SWEEPS.items():
        asked = dict(grid)
        found[case] = bench.sweep("sma_cross", asked.pop("symbols"), progress=False, **asked).to_array().to_numpy()
        # Figures that are all alike would be equal to anything.
        assert len(np.unique(found[case][0])) > 30
    return found


@pytest.fixture
def filled(tmp_path):
    """A home with the sample in it."""
    Workbench(load_settings(home=tmp_path)).bars(["AAPL", "IBM"])
    return tmp_path


def wait_for(true, within=LONGEST):
    end = time.monotonic() + within
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.001)
    return found


def wait_for_more(home, blocks, process):
    """Wait until more blocks than these are kept, or the process has ended."""
    return wait_for(lambda: len(kept(home)) > blocks or not alive(process))


def alive(process):
    """Whether a process runs; one that waits to be reaped does not."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def kept(home):
    """What is kept of a sweep: each finished block's file, and which writing of it this is."""
    found = {}
    for path in home.glob("sweeps/*/*.npy"):
        try:
            found[path.name] = (path.stat().st_ino, path.stat().st_mtime_ns)
        except FileNotFoundError:
            continue
    return found


def left(home):
    return [str(path) for path in (home / "sweeps").rglob("*")]


def trials(home):
    database = open_database(load_settings(home=home))
    try:
        return TrialLedger(database, utc_now).standing("sma_cross").number
    finally:
        database.close()


def assert_right(home, expected, file="figures.npy"):
    np.testing.assert_array_equal(np.load(home / file), expected)
    assert left(home) == []


# ---------------------------------------------------------------- kill -9


@pytest.mark.parametrize("case", SWEEPS)
def test_a_killed_sweep_goes_on_where_it_was_in_the_next_process(filled, start, undisturbed, case):
    assert start.killed(filled, case, 2) == -signal.SIGKILL
    first = kept(filled)
    assert len(first) >= 2
    assert start.killed(filled, case, len(first) + 2) == -signal.SIGKILL
    second = kept(filled)
    # The second process wrote blocks of its own and none of the first's again.
    assert len(second) >= len(first) + 2
    assert {name: second[name] for name in first} == first
    assert len({path.parent for path in filled.glob("sweeps/*/*.npy")}) == 1
    assert trials(filled) == 0
    assert start.reap(start.start(filled, case)) == 0
    assert_right(filled, undisturbed[case])
    # Counted once, by the process that came to the end.
    assert trials(filled) == undisturbed[case][0].size


def test_what_is_kept_is_read_and_not_computed_again(filled, start, undisturbed):
    """Blocks of another sweep's figures, whole and signed, show up in the result: so they were not computed."""
    case = "through the engine"
    start.killed(filled, case, 4)
    (first, second), written = sorted(filled.glob("sweeps/*/*.npy"))[:2], len(kept(filled))
    first.write_bytes(second.read_bytes())
    assert start.reap(start.start(filled, case)) == 0
    found = np.load(filled / "figures.npy")
    # A block is two points, laid out one after the other.
    points = found.reshape(len(found), -1)
    expected = undisturbed[case].reshape(len(found), -1).copy()
    assert written >= 4
    expected[:, :2] = expected[:, 2:4]
    np.testing.assert_array_equal(points, expected)


def test_a_torn_block_is_computed_again_and_the_others_are_not(filled, start, undisturbed):
    case = "through the engine"
    start.killed(filled, case, 4)
    before = kept(filled)
    torn = sorted(filled.glob("sweeps/*/*.npy"))[1]
    os.truncate(torn, torn.stat().st_size // 2)
    size = torn.stat().st_size
    start.killed(filled, case, len(before) + 1)
    after = kept(filled)
    assert torn.stat().st_size > size
    assert after[torn.name] != before[torn.name]
    assert {name: after[name] for name in before if name != torn.name} == {
        name: value for name, value in before.items() if name != torn.name
    }
    assert start.reap(start.start(filled, case)) == 0
    assert_right(filled, undisturbed[case])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_killed_sweeps_all_come_to_the_right_end(tmp_path, undisturbed, capsys):
    choose, found = random.Random(time.time_ns()), {"kills": 0, "midway": 0, "again": 0, "wrong": 0}
    with sweepers() as start:
        for turn in range(5):
            case, home = list(SWEEPS)[turn % 2], tmp_path / f"home{turn}"
            Workbench(load_settings(home=home)).bars(["AAPL", "IBM"])
            before = {}
            for _ in range(4):
                process = start.start(home, case)
                # Killed once there is something new, and then at any moment of the next block.
                wait_for_more(home, len(before), process)
                time.sleep(choose.uniform(0, 0.1 if case == "through the engine" else 0.01))
                os.kill(process, signal.SIGKILL)
                midway = start.reap(process) == -signal.SIGKILL
                after = kept(home)
                found["kills"] += 1
                found["midway"] += midway
                found["again"] += sum(after.get(name) != value for name, value in before.items()) if midway else 0
                before = after
            assert start.reap(start.start(home, case)) == 0
            same = np.array_equal(np.load(home / "figures.npy"), undisturbed[case], equal_nan=True)
            found["wrong"] += not same or left(home) != []
    with capsys.disabled():
        print(f"\n{json.dumps(found)}")
    assert (found["kills"], found["again"], found["wrong"]) == (20, 0, 0)
    assert found["midway"] >= 10


# ---------------------------------------------------------------- Ctrl-C


def test_an_interrupted_command_ends_with_130_and_leaves_no_process_and_what_was_done(filled, undisturbed):
    case, asked = "through the engine", SWEEPS["through the engine"]
    grid = [word for name in ("fast", "slow") for word in ("-p", name, ",".join(map(str, asked[name])))]
    span = ["--start", asked["start"], "--end", asked["end"], "--size", asked["size"]]
    process = subprocess.Popen(
        [PROGRAM, "sweep", "sma_cross", *asked["symbols"], *grid, *span, "--json"],
        env={**os.environ, "WORKBENCH_HOME": str(filled)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_for(lambda: len(kept(filled)) >= 3 or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    out, error = process.communicate(timeout=LONGEST)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in error
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    before = kept(filled)
    assert len(before) >= 3
    assert trials(filled) == 0
    # The bench goes on with what the command began.
    chosen = dict(asked)
    found = Workbench(load_settings(home=filled)).sweep("sma_cross", chosen.pop("symbols"), progress=False, **chosen)
    np.testing.assert_array_equal(found.to_array().to_numpy(), undisturbed[case])
    assert left(filled) == []


def test_an_interrupt_among_threads_is_a_keyboard_interrupt(filled, start, undisturbed):
    case = "compiled"
    assert start.killed(filled, case, 2, by=signal.SIGINT) == 130
    assert len(kept(filled)) >= 2
    assert start.reap(start.start(filled, case)) == 0
    assert_right(filled, undisturbed[case])


# ---------------------------------------------------------------- two at once


@pytest.mark.parametrize("case", SWEEPS)
def test_two_processes_with_the_same_sweep_at_once_both_come_to_the_right_end(filled, start, undisturbed, case):
    both = [start.start(filled, case, filled / f"figures{number}.npy") for number in range(2)]
    assert [start.reap(process) for process in both] == [0, 0]
    for number in range(2):
        assert_right(filled, undisturbed[case], f"figures{number}.npy")
    assert trials(filled) == 2 * undisturbed[case][0].size
