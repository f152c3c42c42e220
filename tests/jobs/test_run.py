"""Runs through Papermill with a real kernel: what is left behind, and what is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import psutil
import pytest

from workbench.bench import Workbench
from workbench.core.errors import FailureError, InputError, RunError, StoreError, UnknownNameError
from workbench.core.settings import load_settings
from workbench.jobs.limits import Limits, Watch
from workbench.jobs.run import Assignment, run

MOMENT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
NASTY = "it's \"quoted\"\n{braces} $HOME \\n \\ # 'x'); import os; os.abort() \t é … \U0001f600 ''' \"\"\""


def names(folder):
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


def test_a_run_leaves_notebook_and_report_side_by_side_and_nothing_else(notebook, output):
    source = notebook(
        "print('sum', fast + 1)", "from IPython.display import HTML\nHTML('<i>drawn</i>')", parameters="fast: int = 2"
    )
    before = source.read_bytes()
    done = run(source, {"fast": "40"}, output, clock=lambda: MOMENT, progress=False)
    assert done.executed.name.startswith("small-20260105-120000-")
    assert names(output) == sorted([done.executed.name, done.report.name])
    assert (done.executed.stem, done.executed.suffix, done.report.suffix) == (done.report.stem, ".ipynb", ".html")
    assert (done.parameters, done.started, done.finished) == ({"fast": 40}, MOMENT, MOMENT)
    executed = nbformat.read(done.executed, as_version=4)
    nbformat.validate(executed)
    assert any("sum 41" in output.get("text", "") for cell in executed.cells for output in cell.get("outputs", []))
    about = executed.metadata["trii_workbench"]
    assert (about["state"], about["parameters"], about["run"]) == ("succeeded", {"fast": 40}, done.id)
    page = done.report.read_text()
    assert "sum 41" in page
    assert "<i>drawn</i>" in page
    assert source.read_bytes() == before
    assert names(source.parent) == ["small.ipynb"]


def test_texts_and_lists_arrive_intact(notebook, output):
    cell = "import json\nprint(json.dumps([text, items, table, flag, nothing]))"
    declared = "text: str = ''\nitems: list[str] = []\ntable: dict[str, float] = {}\nflag: bool = False\n"
    declared += "nothing: int | None = 1"
    given = {"text": NASTY, "items": [NASTY, ""], "table": {NASTY: 0.1}, "flag": True, "nothing": None}
    done = run(notebook(cell, parameters=declared), given, output, progress=False)
    (printed,) = [item.text for cell in nbformat.read(done.executed, 4).cells for item in cell.get("outputs", [])]
    assert json.loads(printed) == list(given.values())


def test_a_failed_cell_is_a_failed_run_that_names_the_cell_and_keeps_the_notebook(notebook, output):
    source = notebook("print('first')", "x = 1\n1 / 0  # here", "print('never')")
    with pytest.raises(RunError) as told:
        run(source, {}, output, clock=lambda: MOMENT, progress=False)
    (executed,) = output.glob("*.ipynb")
    assert names(output) == sorted([executed.name, f"{executed.stem}.html"])
    said = str(told.value)
    assert said.startswith("cell 2 of small.ipynb failed with ZeroDivisionError: division by zero; ")
    assert str(executed) in said
    assert told.value.cell == "x = 1\n1 / 0  # here"
    cells = nbformat.read(executed, as_version=4)
    assert cells.metadata["trii_workbench"]["state"] == "failed"
    assert any("first" in item.get("text", "") for cell in cells.cells for item in cell.get("outputs", []))
    assert not [cell for cell in cells.cells if cell.source == "print('never')" and cell.outputs]
    head = executed.with_suffix(".html").read_text().partition("<header")[2].partition("</header>")[0]
    for words in (cells.metadata["trii_workbench"]["run"], "failed", "cell 2 of small.ipynb failed with ZeroDivision"):
        assert words in head


@pytest.fixture
def assigned(notebook, output, monkeypatch):
    """What a scheduled run is told of a notebook, with a cell that succeeds or fails."""
    # In a process of its own a run ends all that it has started; this process has started the tests' servers.
    monkeypatch.setattr("workbench.jobs.limits.end_own", lambda: 0)

    def made(*cells, **own):
        source = notebook(*cells)
        watch = Watch(Limits(timedelta(minutes=2), 8 << 30, 8 << 30, 8 << 30, 100), output)
        return source, Assignment(source.read_text(), watch, **own)

    return made


def test_what_breaks_papermill_leaves_a_scheduled_run_its_notebook(assigned, output, monkeypatch):
    def broken(source, target, *_, **__):
        Path(target).write_text("{")
        raise TypeError("no such\nthing")

    monkeypatch.setattr("workbench.jobs.execution.papermill.execute_notebook", broken)
    source, assignment = assigned("print('kept')")
    with pytest.raises(FailureError, match=r"small\.ipynb was not executed to its end \(TypeError: no such thing\);"):
        run(source, {}, output, progress=False, assignment=assignment)
    assert names(output) == ["small.html", "small.ipynb"]
    executed = nbformat.read(output / "small.ipynb", as_version=4)
    assert executed.metadata["trii_workbench"]["state"] == "failed"
    assert "TypeError: no such thing" in executed.cells[0].outputs[0].text
    with pytest.raises(TypeError):
        run(source, {}, output, progress=False)


def test_the_notebooks_own_failure_is_told_also_where_its_report_cannot_be_printed(assigned, output, monkeypatch):
    def broken(*_):
        raise FailureError("the report could not be printed")

    monkeypatch.setattr("workbench.jobs.run.print_pdf", broken)
    source, assignment = assigned("1 / 0", formats=("ipynb", "pdf"))
    with pytest.raises(RunError, match="ZeroDivisionError"):
        run(source, {}, output, progress=False, assignment=assignment)
    source, assignment = assigned("1", formats=("ipynb", "pdf"))
    with pytest.raises(FailureError, match="could not be printed"):
        run(source, {}, output, progress=False, assignment=assignment)


def test_a_report_that_cannot_be_made_does_not_take_the_notebook_with_it(assigned, output, monkeypatch):
    monkeypatch.setattr("workbench.jobs.run.report_html", lambda *_, **__: 1 / 0)
    source, assignment = assigned("1")
    with pytest.raises(ZeroDivisionError):
        run(source, {}, output, progress=False, assignment=assignment)
    assert names(output) == ["small.ipynb"]
    source, assignment = assigned("1", formats=("ipynb",))
    run(source, {}, output, progress=False, assignment=assignment)


def test_a_kernel_that_is_not_there_is_told_in_one_sentence(notebook, output):
    with pytest.raises(FailureError) as told:
        run(notebook("1", kernel="elsewhere"), {}, output, progress=False)
    assert "'elsewhere'" in str(told.value)
    assert "\n" not in str(told.value)
    assert names(output) == []


def test_a_kernel_that_dies_is_told_and_leaves_nothing(notebook, output):
    with pytest.raises(FailureError, match=r"the kernel of small\.ipynb died"):
        run(notebook("import os\nos._exit(1)"), {}, output, progress=False)
    assert names(output) == []


def test_a_parameter_that_is_not_declared_runs_nothing(notebook, output, tmp_path):
    trap = tmp_path / "trap"
    name = f"x; open({str(trap)!r}, 'w')"
    with pytest.raises(UnknownNameError):
        run(notebook("1", parameters="fast: int = 2"), {name: 1}, output, progress=False)
    assert not trap.exists()
    assert names(output) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": 5}', "\x00\x01"])
def test_a_file_that_is_no_notebook_is_told(tmp_path, output, content):
    path = tmp_path / "no.ipynb"
    path.write_text(content)
    with pytest.raises(InputError, match=r"is no notebook") as told:
        run(path, {}, output, progress=False)
    assert "\n" not in str(told.value)
    assert names(output) == []


def test_an_output_that_is_a_file_is_told(notebook, output):
    output.write_text("mine")
    with pytest.raises(StoreError, match="cannot write to"):
        run(notebook("1"), {}, output, progress=False)
    assert output.read_text() == "mine"


def test_the_kernel_listens_on_no_port_and_works_in_the_notebooks_folder(notebook, output):
    cell = (
        "import os, psutil\n"
        "print([c.laddr for c in psutil.Process().net_connections('inet') if c.status == 'LISTEN'], os.getcwd())"
    )
    source = notebook(cell)
    done = run(source, {}, output, progress=False)
    assert f"[] {source.parent}" in done.report.read_text()


@pytest.mark.parametrize("when", ["while a cell runs", "early"])
def test_a_killed_run_leaves_no_half_file(notebook, output, home, tmp_path, when):
    started = tmp_path / "started"
    source = notebook(f"open({str(started)!r}, 'w').close()\nprint('x' * 100_000)", "import time\ntime.sleep(60)")
    command = [str(Path(sys.executable).with_name("workbench")), "run", str(source), "--output", str(output)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    waited_for = started if when == "while a cell runs" else output
    for _ in range(300):
        if waited_for.exists():
            break
        time.sleep(0.1)
    assert waited_for.exists()
    kernels = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert [path for path in output.iterdir() if not path.name.startswith(".")] == []
    _, left = psutil.wait_procs(kernels, timeout=5)
    for kernel in left:
        kernel.kill()
    assert left == [], "the kernel outlived its run"


def test_the_kernel_has_the_settings_of_the_bench(notebook, output, tmp_path):
    bench = Workbench(load_settings(home=tmp_path / "its own", commission=0.02))
    cell = "import workbench as wb; own = wb.open().settings; print(own.home, own.commission)"
    done = bench.run(notebook(cell), output=output, progress=False)
    (printed,) = [item.text for cell in nbformat.read(done.executed, 4).cells for item in cell.get("outputs", [])]
    assert printed == f"{tmp_path / 'its own'} 0.02\n"
