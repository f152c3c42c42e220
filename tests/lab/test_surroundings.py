"""Which warm process does for whom, and what a fork takes over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from workbench.core.files import socket_folder
from workbench.lab.kernels import surroundings
from workbench.lab.kernels.birth import blas_threads
from workbench.lab.kernels.meeting import clear, lock, meeting_folder, private_folder, sweep
from workbench.lab.kernels.surroundings import Circumstances, apart, surroundings_key

ENVIRONMENT = {"PATH": "/usr/bin", "HOME": "/home/me", "LANG": "C.UTF-8"}


def key(**variables):
    return surroundings_key("workbench", {**ENVIRONMENT, **variables})


def in_a_process(code):
    """Run code in a process of its own and return what it prints as JSON."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


@pytest.mark.parametrize(
    "variable",
    [
        *("TZ", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONPATH", "HOME", "LD_PRELOAD", "CUDA_VISIBLE_DEVICES"),
        *("MPLBACKEND", "MATPLOTLIBRC", "XDG_CONFIG_HOME", "NUMBA_NUM_THREADS", "DASK_SCHEDULER", "PLOTLY_RENDERER"),
    ],
)
def test_what_is_read_while_libraries_load_takes_another_warm_process(variable):
    assert key(**{variable: "another"}) != key()


@pytest.mark.parametrize("variable", ["WORKBENCH_SEED", "AWS_SECRET_ACCESS_KEY", "TMPDIR", "JPY_PARENT_PID", "PATH"])
def test_what_is_read_later_takes_the_same(variable):
    assert key(**{variable: "another"}) == key()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MPLBACKEND", "module://matplotlib_inline.backend_inline"),
        ("KMP_DUPLICATE_LIB_OK", "True"),
        ("KMP_INIT_AT_FORK", "FALSE"),
    ],
)
def test_an_asker_that_has_loaded_the_stack_itself_takes_the_same(variable, value):
    assert key(**{variable: value}) == key()


def test_where_the_system_tells_little_a_key_is_there_and_a_kernel_is_refused_in_a_sentence(monkeypatch):
    # Sandboxes such as gVisor leave out lines of a process's status.
    monkeypatch.setattr(surroundings, "_status", lambda _process: {})
    assert len(key()) == 32
    with pytest.raises(OSError, match="does not tell the umask"):
        Circumstances.here({}, None)


# ---------------------------------------------------------------- who asks


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("pass", None),
        ("ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)", "rights"),
        ("os.nice(10)", "niceness"),
        ("resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))", "hard limits"),
        ("os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])", "processors"),
    ],
)
def test_a_process_that_differs_from_this_one_is_told_apart(change, difference):
    if difference == "processors" and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one processor only")
    if difference == "rights" and "NoNewPrivs:\t1" in Path("/proc/self/status").read_text():
        pytest.skip("this process has given up new rights itself")
    code = f"import ctypes, os, resource\n{change}\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert apart(other.pid) == difference
        other.communicate(b"\n")


def test_a_process_of_another_control_group_is_told_apart(monkeypatch):
    mine, theirs = surroundings._inherited(os.getpid()), surroundings._inherited(os.getpid())
    theirs["control group"] = "0::/elsewhere\n"
    found = {1: theirs, os.getpid(): mine}
    monkeypatch.setattr(surroundings, "_inherited", found.__getitem__)
    assert apart(1) == "control group"


@pytest.mark.parametrize("pid", [0, 1 << 30], ids=["of another namespace", "gone"])
def test_a_process_that_cannot_be_seen_is_told_apart(pid):
    assert apart(pid) == "process, not to be looked at"


# ---------------------------------------------------------------- a fork's first and last moments


def test_an_interrupt_between_fork_and_settling_does_not_end_a_kernel():
    code = f"""
        import json, os, signal, socket
        from workbench.lab.kernels.birth import Birth, fork, settle
        from workbench.lab.kernels.surroundings import Circumstances
        values = json.loads({json.dumps(Circumstances.here(dict(os.environ), None).as_json())!r})
        handles = [os.open(os.devnull, os.O_WRONLY) for _ in range(2)]
        birth = Birth([], Circumstances(**values), *handles, socket.socket(), False)
        pid = fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGINT)
            settle(birth)
            os._exit(7 if signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, []) else 8)
        blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), blocked]))
    """
    assert in_a_process(code) == [7, False]


def test_the_end_of_a_fork_lets_idle_executors_go_and_loses_nothing(tmp_path):
    code = f"""
        import asyncio, atexit, os, sys, types
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from workbench.lab.kernels.birth import depart
        os.chdir({str(tmp_path)!r})
        executor = ThreadPoolExecutor(2)
        executor.submit(int).result()
        asyncio.run(asyncio.to_thread(int))
        atexit.register(Path("at the end").write_text, "done")
        unwritten = open("unwritten", "w")
        unwritten.write("kept")
        print("[1]")
        depart()
    """
    assert in_a_process(code) == [1]
    assert (tmp_path / "at the end").read_text() == "done"
    assert (tmp_path / "unwritten").read_text() == "kept"


def test_every_profile_has_its_own():
    assert surroundings_key("pytorch", ENVIRONMENT) != key()


@pytest.mark.parametrize(
    "change",
    [
        "os.nice(1)",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
        "resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))",
        "Path('/proc/self/oom_score_adj').write_text('500')",
        pytest.param(
            "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])",
            marks=pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one processor only"),
        ),
    ],
)
def test_what_a_process_cannot_shake_off_takes_another(change):
    before, same, after = in_a_process(f"""
        import json, os, resource
        from pathlib import Path
        from workbench.lab.kernels.surroundings import surroundings_key
        keys = [surroundings_key("workbench", {{}}) for _ in range(2)]
        {change}
        print(json.dumps([*keys, surroundings_key("workbench", {{}})]))
    """)
    assert before == same != after


def test_circumstances_are_taken_over_after_a_way_through_json(tmp_path):
    asked = json.dumps(Circumstances.here({"ONE": "\udcff", "TZ": "Asia/Tokyo"}, str(tmp_path)).as_json())
    found = in_a_process(f"""
        import json, os, resource, time
        from pathlib import Path
        from workbench.lab.kernels.surroundings import Circumstances
        values = json.loads({asked!r})
        values["umask"], values["limits"]["RLIMIT_STACK"] = 0o027, 1 << 20
        Circumstances(**values).take_over()
        Path("made").touch()
        mode = oct(Path("made").stat().st_mode & 0o777)
        hour = time.localtime(0).tm_hour
        print(json.dumps([dict(os.environ), os.getcwd(), mode, resource.getrlimit(resource.RLIMIT_STACK)[0], hour]))
    """)
    assert found == [{"ONE": "\udcff", "TZ": "Asia/Tokyo"}, str(tmp_path), "0o640", 1 << 20, 9]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OMP_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "1,4"},
        {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "2"},
        {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "1"},
        {"GOTO_NUM_THREADS": "1"},
        {"OPENBLAS_NUM_THREADS": "64"},
        {"OPENBLAS_NUM_THREADS": "0", "OMP_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "many"},
    ],
    ids=str,
)
def test_the_threads_of_blas_are_those_that_openblas_takes_itself(variables):
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    found = "[each['num_threads'] for each in threadpoolctl.threadpool_info()]"
    code = f"import json, numpy, threadpoolctl; print(json.dumps({found}))"
    told = subprocess.run([sys.executable, "-c", code], env={**clean, **variables}, capture_output=True, check=True)
    assert set(json.loads(told.stdout)) == {blas_threads(variables, len(os.sched_getaffinity(0)))}


# ---------------------------------------------------------------- where they meet


def test_the_folder_is_private_and_another_users_is_refused(tmp_path, monkeypatch):
    folder = meeting_folder({"WORKBENCH_HOME": str(tmp_path / "home")})
    assert private_folder(folder).stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    assert private_folder(folder).stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(PermissionError, match="belongs to another user"):
        private_folder(folder)


def test_what_killed_ones_have_left_is_swept_away_and_nothing_else(tmp_path):
    held = lock(tmp_path, "alive")
    assert lock(tmp_path, "alive") is None
    for name in ("alive.ready", "dead.ready", "dead.coming", "dead.lock", "notes"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["alive.lock", "alive.ready", "notes"]
    clear(tmp_path, "alive")
    os.close(held)
    again = lock(tmp_path, "alive")
    assert again is not None
    os.close(again)


def test_sockets_lie_where_only_this_user_can_enter():
    with socket_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
