"""Runs whose kernel is forked from the warm process of a server of the same home: told and kept as cold runs are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import psutil
import pytest
from kernels_at_work import wait_for
from workbench_server import serving

from workbench.bench import Workbench
from workbench.core.errors import WorkbenchError
from workbench.core.settings import load_settings

WORKBENCH = str(Path(sys.executable).with_name("workbench"))
LOADED = datetime(2013, 3, 4, 12, tzinfo=UTC)
PARENT = "import psutil; print('forked' if psutil.Process().parent().name() == 'trii-warm' else 'cold')"
FAILURES = {
    "a failed cell": ("1 / 0", "cell 1 of small.ipynb failed with ZeroDivisionError: division by zero; "),
    "a killed kernel": ("import os\nos.kill(os.getpid(), 9)", "the kernel of small.ipynb died ("),
    "a kernel that ends": ("import os\nos._exit(3)", "the kernel of small.ipynb died ("),
    "a date to come": (
        "%asof 2199-01-01",
        "cell 1 of small.ipynb failed with DateRangeError: '2199-01-01' is still to come; give a day up to ",
    ),
    "no date": (
        "%asof soon",
        "cell 1 of small.ipynb failed with DateRangeError: 'soon' is no date; write it as 2012-03-01; ",
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A ``workbench lab`` with the sample stored, whose warm process is ready."""
    folder = tmp_path_factory.mktemp("warm")
    Workbench(load_settings(home=folder / "home"), clock=lambda: LOADED).symbols()
    with serving("lab", folder) as server:
        wait_for(lambda: list((server.home / "kernels").glob("*.ready")), "the warm process")
        yield server


@pytest.fixture(scope="module")
def cold(server):
    """A home with the same data and without a server."""
    folder = server.home.with_name("cold")
    shutil.copytree(server.home / "store", folder / "store")
    return folder


@pytest.fixture
def command(server, notebook, tmp_path):
    """Run ``workbench run`` beside the server, as its user; return how it ended."""

    def ran(*cells, home=None, name="small.ipynb", **variables):
        kept = {each: value for each, value in os.environ.items() if not each.startswith(("XDG_", "JUPYTER"))}
        own = {"HOME": str(server.home.with_name("user")), "WORKBENCH_HOME": str(home or server.home), **variables}
        words = [WORKBENCH, "run", "--json", str(notebook(*cells, name=name)), "--output", str(tmp_path / "out")]
        return subprocess.run(words, env={**kept, **own}, capture_output=True, text=True, timeout=120)

    return ran


@pytest.fixture
def run(server, notebook, tmp_path, monkeypatch):
    """Run a notebook in this process with a home's bench."""
    monkeypatch.setenv("HOME", str(server.home.with_name("user")))
    monkeypatch.setenv("WORKBENCH_AS_OF", "")
    for name in [name for name in os.environ if name.startswith(("XDG_", "JUPYTER"))]:
        monkeypatch.delenv(name)

    def ran(*cells, home=None, limit=None):
        bench = Workbench(load_settings(home=home or server.home))
        bench.limit_as_of(limit)
        return bench.run(notebook(*cells), output=tmp_path / "out", progress=False)

    return ran


def printed(done):
    assert done.returncode == 0, done.stderr
    return shown(json.loads(done.stdout)["executed"])


def shown(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def kernels(server):
    return [process.pid for process in server.processes() if process.name() == "trii-kernel"]


def test_a_run_beside_a_server_is_forked_and_one_without_starts_cold(command, cold, server, tmp_path):
    for home, kind in ((None, "forked"), (cold, "cold")):
        done = command(PARENT, home=home)
        assert printed(done) == f"{kind}\n"
        assert done.stderr == ""
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".html", ".html", ".ipynb", ".ipynb"]
    assert not (cold / "kernels").exists()
    assert kernels(server) == []


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_alike_warm_and_cold(run, cold, server, tmp_path, name):
    cell, sentence = FAILURES[name]
    parent, told = tmp_path / "parent", []
    for home, kind in ((None, "forked"), (cold, "cold")):
        mark = "import pathlib, psutil\nfrom contextlib import redirect_stdout\n"
        mark += f"with pathlib.Path({str(parent)!r}).open('w') as said, redirect_stdout(said):\n    {PARENT}\n"
        with pytest.raises(WorkbenchError) as failed:
            run(mark + cell, home=home)
        assert parent.read_text() == f"{kind}\n"
        kept = sorted(path.suffix for path in (tmp_path / "out").iterdir())
        told.append((type(failed.value), str(failed.value).partition(str(tmp_path))[0], kept))
        assert sentence in str(failed.value)
        assert "\n" not in str(failed.value)
        shutil.rmtree(tmp_path / "out")
    assert told[0] == told[1]
    assert kernels(server) == []


@pytest.mark.parametrize("cell", ["1 / 0", "%nothing_known", "import os; os.kill(os.getpid(), 9)"])
def test_the_command_tells_a_failure_of_a_forked_kernel_in_a_sentence(command, cell):
    done = command(cell)
    *shown, said = done.stderr.splitlines()
    assert said.startswith("Error: ")
    # Before the sentence comes the cell, where it is the cell that failed.
    assert shown == ([] if "kill" in cell else [f"    {cell}"])
    assert (done.returncode, done.stdout) == (1, "")


def test_runs_at_once_have_a_kernel_each(command, server):
    cells = [PARENT, "import os\nprint(os.getpid())\nassert bench.symbols()[0] == 'AAPL'"]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda number: command(*cells, name=f"{number}.ipynb"), range(4)))
    told = [printed(each).split() for each in done]
    assert [kind for kind, _ in told] == ["forked"] * 4
    assert len({pid for _, pid in told}) == 4
    assert wait_for(lambda: not any(psutil.pid_exists(int(pid)) for _, pid in told), "the end of the kernels")


def test_the_limit_of_the_environment_reaches_the_runs_kernel(command, run):
    cell = "print(bench.as_of, bench.bars('AAPL').attrs['as_of'])"
    said = "forked\n2013-04-30 23:59:59.999999+00:00 2013-04-30T23:59:59.999999+00:00\n"
    assert printed(command(PARENT, cell, WORKBENCH_AS_OF="2013-04-30")) == said
    assert shown(run(PARENT, cell, limit="2013-04-30").executed) == said
    # The next kernel of the same warm process has none.
    assert shown(run(PARENT, "print(bench.as_of)").executed) == "forked\nNone\n"
