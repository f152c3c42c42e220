"""Further notebooks that take too much; the first ones are in ``tests/jobs/test_limits.py``."""

from __future__ import annotations

import pytest
from run_office import (
    HOLD,
    Office,
    assert_stopped_for_what_it_printed,
    assert_stopped_for_what_it_wrote,
    left_of,
    stopped,
)


@pytest.mark.slow
def test_a_bomb_of_forks_is_stopped(tmp_path, notebook):
    office = Office(tmp_path / "home", run_processes=16)
    # Bounded, should it not be: each process forks at most twelve times.
    run = stopped(office, notebook, "import os\nfor _ in range(12): os.fork()\n" + HOLD)
    assert run.state == "limit"
    assert "more than the 16 allowed" in run.reason


@pytest.mark.slow
def test_one_that_takes_memory_is_stopped(tmp_path, notebook):
    office = Office(tmp_path / "home", run_memory="1GiB")
    run = stopped(
        office, notebook, "import time\nheld = []\nwhile True: held.append(b'x' * (64 << 20)); time.sleep(0.02)"
    )
    assert run.state == "limit"
    assert run.reason.startswith("its processes held 1.")
    assert run.reason.endswith(" of memory, more than the 1.0 GiB allowed; load less or raise run_memory")


@pytest.mark.slow
def test_what_processes_share_is_counted_once(tmp_path, notebook):
    office = Office(tmp_path / "home", run_memory="1GiB")
    cell = "import os, time\nheld = b'x' * (300 << 20)\nfor _ in range(6):\n    if os.fork() == 0: time.sleep(300)\n"
    attempt = office.starting(notebook(cell + "time.sleep(3)"))
    assert office.ended(attempt).state == "succeeded"
    assert left_of(attempt.run) == []


@pytest.mark.slow
def test_another_ones_kernel_that_prints_without_end_is_stopped_too(tmp_path, notebook):
    office = Office(tmp_path / "home", run_output="2MiB", run_memory="3GiB")
    run = stopped(
        office, lambda *cells, **name: notebook(*cells, kernel="python3", **name), "while True: print('x' * 100_000)"
    )
    assert run.state == "limit"
    assert "more than the 2 MiB allowed" in run.reason


@pytest.mark.slow
@pytest.mark.parametrize("where", ["os.environ['WORKBENCH_RUN_FOLDER']", "'.'"])
def test_one_that_fills_its_folder_or_the_notebooks_is_stopped(tmp_path, notebook, where):
    assert_stopped_for_what_it_wrote(tmp_path, notebook, where)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        "while True: print('x' * 100_000)",
        "import subprocess\nsubprocess.run(['yes'])",
        "import os\nwhile True: os.write(1, b'x' * 100_000)",
        "from IPython.display import HTML, display\ndisplay(HTML('x' * 100_000_000))",
        "from IPython.display import HTML, display\nwhile True: display(HTML('x' * 100_000))",
    ],
)
def test_one_that_prints_in_another_way_is_stopped_before_it_takes_memory(tmp_path, notebook, cell):
    assert_stopped_for_what_it_printed(tmp_path, notebook, cell)
