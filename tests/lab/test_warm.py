"""The warm process: killed, stopped, outdated, out of memory, shared by two servers, and when nobody needs it."""

from __future__ import annotations

import errno
import json
import os
import selectors
import signal
import socket
import subprocess
import sys

import psutil
import pytest
from kernels_at_work import descriptors, gone, kernels_at_work, wait_for

from workbench.lab.kernels import asking
from workbench.lab.kernels.pool import WarmPool
from workbench.lab.kernels.surroundings import surroundings_key
from workbench.lab.kernels.warm import Warm

COLD = "the kernel starts cold"
ASKING = """
import os, sys
from pathlib import Path
from workbench.lab.kernels.asking import NotWarmError, ask_for_kernel
from workbench.lab.kernels.surroundings import Circumstances
os.nice(1)
try:
    ask_for_kernel(Path(sys.argv[1]), sys.argv[2], [], Circumstances.here({}, None), (1, 2), bound=True)
except NotWarmError as error:
    print(error)
"""
LIGHT = """
import importlib, sys, threading, time
if "workbench.lab.kernels.warm" in sys.orig_argv:
    load = importlib.import_module
    def import_module(name, package=None):
        return None if sys._getframe(1).f_globals["__name__"] == "__main__" else load(name, package)
    importlib.import_module = import_module
"""
"""What an interpreter with this ``sitecustomize`` runs as it starts: the warm process imports nothing ahead."""
THREAD = "    threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()\n"
KEYS = """
import importlib, json, os
from workbench.lab.kernels.profiles import PROFILES
from workbench.lab.kernels.surroundings import surroundings_key
installed = [each for each in PROFILES.values() if each.installed]
for each in installed:
    for module in each.modules:
        importlib.import_module(module)
    for _, names in each.prepare:
        names()
print(json.dumps({each.name: surroundings_key(each.name, os.environ) for each in installed}))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with kernels_at_work(tmp_path_factory.mktemp("warm") / "home") as place:
        place.keep()
        yield place


@pytest.fixture
def warm(place):
    """The warm process that is there now, and an empty log."""
    pid = place.warm_pid()
    del place.log[:]
    return pid


def told(place, *words):
    return [line for line in place.log if all(word in line for word in words)]


def assert_cold_then_warm_again(place, before, *words):
    """The next kernel starts cold and the log says so; another warm process comes, and the kernel after is warm."""
    session = place.start()
    assert not session.warm
    assert told(place, COLD, *words), place.log
    assert session.run("1 + 1") == "2"
    session.end(now=True)
    after = place.warm_pid(other_than=before)
    assert told(place, "the warm process of TRII Workbench kernels is gone"), place.log
    assert gone(before)
    again = place.start()
    assert again.warm
    assert psutil.Process(again.pid).ppid() == after
    again.end(now=True)


def test_killed_it_comes_back_and_its_kernels_live_on_and_what_the_dead_have_left_is_taken_away(place, warm):
    session = place.start()
    session.run("kept = 41")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(place.folder / "dead.ready"))
    (place.folder / "dead.lock").touch()
    os.kill(warm, signal.SIGKILL)
    wait_for(lambda: gone(warm), "the warm process to end")
    assert_cold_then_warm_again(place, warm)
    assert session.run("kept + 1") == "42"
    mine = place.keeper().key
    assert sorted(each.name for each in place.folder.iterdir()) == [f"{mine}.lock", f"{mine}.ready"]
    # A restart leads to the new one.
    session.manager.restart_kernel(now=True)
    session.client.wait_for_ready(timeout=60)
    assert psutil.Process(session.pid).ppid() == place.warm_pid()
    session.end()
    assert gone(session.pid)


def test_stopped_it_is_replaced(place, warm, monkeypatch):
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.3)
    os.kill(warm, signal.SIGSTOP)
    assert_cold_then_warm_again(place, warm, "does not answer")


def test_two_servers_of_one_home_share_it_and_the_last_one_leaves_no_process_no_socket_and_no_thread(
    place, warm, tmp_path
):
    (tmp_path / "sitecustomize.py").write_text(LIGHT)
    first, second = WarmPool(log=place.logger), WarmPool(log=place.logger)
    environment = place.environment(PYTHONPATH=str(tmp_path))
    for each in (first, second):
        each.keep("workbench", environment)
    keepers = [*first._keepers.values(), *second._keepers.values()]
    wait_for(lambda: all(each.pid for each in keepers), "both to hold one")
    (shared,) = {each.pid for each in keepers}
    # Ctrl-C in a terminal goes to the server and to all that belong to it.
    assert os.getpgid(shared) == shared
    first.close()
    assert not gone(shared)
    second.close()
    wait_for(lambda: gone(shared), "it to end")
    assert not any(each.is_alive() for each in keepers)
    assert {each.stem for each in place.folder.iterdir()} == {place.keeper().key}


def test_closed_while_it_imports_it_leaves_nothing(place, warm):
    pool = WarmPool(log=place.logger)
    before = set(place.folder.iterdir())
    pool.keep("workbench", place.environment(OMP_NUM_THREADS="3"))
    (keeper,) = pool._keepers.values()
    wait_for(lambda: (place.folder / f"{keeper.key}.coming").exists(), "it to begin")
    process = keeper.process
    pool.close()
    assert process.poll() is not None
    assert not keeper.is_alive()
    assert set(place.folder.iterdir()) == before


def test_one_whose_imports_start_threads_is_given_up(place, warm, tmp_path, capfd):
    (tmp_path / "sitecustomize.py").write_text(LIGHT + THREAD)
    variables = {"PYTHONPATH": str(tmp_path)}
    place.pool.keep("workbench", place.environment(**variables))
    wait_for(lambda: not place.keeper(**variables).is_alive(), "it to be given up")
    assert told(place, "kernels start cold until the server is started again"), place.log
    assert "the imports of TRII Workbench started 1 threads" in capfd.readouterr().err


def test_where_there_is_no_place_for_its_socket_kernels_start_cold(place, warm, tmp_path):
    (tmp_path / "home").write_text("a file")
    variables = {"WORKBENCH_HOME": str(tmp_path / "home")}
    place.pool.keep("workbench", place.environment(**variables))
    assert told(place, "TRII Workbench kernels start cold", "Not a directory"), place.log
    session = place.start(variables=variables)
    assert not session.warm
    assert session.run("1 + 1").endswith("2")
    session.end(now=True)


def test_an_asker_that_has_gone_gets_no_kernel(place, warm):
    key = place.keeper().key
    before = set(psutil.Process(warm).children())
    os.kill(warm, signal.SIGSTOP)
    connection = asking.connect(place.folder, key)
    socket.send_fds(connection, [json.dumps(request()).encode()], [1, 2])
    connection.close()
    os.kill(warm, signal.SIGCONT)
    # A later one is answered after it.
    session = place.start()
    assert session.warm
    assert {each.pid for each in psutil.Process(warm).children()} - {each.pid for each in before} == {session.pid}
    session.end(now=True)


# ---------------------------------------------------------------- what it is asked


def request(**changes):
    """Return a request for a kernel; a change to ``None`` leaves something out."""
    circumstances = asking.Circumstances.here({}, None).as_json()
    asked = {"ask": "kernel", "arguments": [], "bound": False, "circumstances": circumstances, **changes}
    return {name: value for name, value in asked.items() if value is not None}


@pytest.fixture
def line(tmp_path):
    """A warm process of nothing, and both ends of a connection to it."""
    asker, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    warm = Warm(asked, tmp_path, 0, {}, {})
    warm.asking.add(asked)
    warm.selector.register(asked, selectors.EVENT_READ, warm._hear)
    with asker, asked, warm.selector:
        yield warm, asker, asked


def refusal(line, packet, handles=(1, 2)):
    """Return why a request is refused; whatever came with it must be closed again."""
    warm, asker, asked = line
    before = descriptors(os.getpid())
    socket.send_fds(asker, [packet], list(handles))
    assert warm._hear(asked) is None
    assert descriptors(os.getpid()) <= before
    return json.loads(asker.recv(1000))["refused"]


def no_fork():
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def test_without_memory_for_a_fork_it_says_so(line, monkeypatch):
    monkeypatch.setattr(os, "fork", no_fork)
    said = refusal(line, json.dumps(request()).encode())
    assert said == "the warm process cannot fork (Cannot allocate memory)"


def test_older_than_the_environment_it_says_so_and_ends(line, monkeypatch):
    monkeypatch.setattr(os, "fork", no_fork)
    line[0].before = {"/gone": (1, 1)}
    assert refusal(line, json.dumps(request()).encode()) == "the warm process is older than /gone"
    assert line[0].ending == "/gone has changed"


@pytest.mark.parametrize(
    ("packet", "handles"),
    [
        (b"nonsense", (1, 2)),
        (b"\xff", ()),
        (b"[" * 50_000, ()),
        (b"[]", ()),
        (b"{}", (1,)),
        (json.dumps(request(arguments=None)).encode(), (1, 2)),
        (json.dumps(request(bound=None)).encode(), (1, 2)),
        (json.dumps(request(circumstances={"environment": {}})).encode(), (1, 2)),
        (json.dumps(request(circumstances={"environment": 3})).encode(), (1, 2)),
        (json.dumps(request()).encode(), (1,)),
        (json.dumps(request()).encode(), ()),
    ],
)
def test_what_is_no_request_is_refused_and_ends_nothing(line, monkeypatch, packet, handles):
    monkeypatch.setattr(os, "fork", no_fork)
    warm, asker, asked = line
    assert refusal(line, packet, handles).startswith("the warm process cannot read what it is asked (")
    assert not warm.ending
    # It is let go of.
    assert asker.recv(1) == b""
    assert asked not in warm.asking


def test_a_name_that_is_read_in_the_folder_gives_no_kernel_in_other_surroundings(place, warm):
    before = psutil.Process(warm).children()
    command = [sys.executable, "-c", ASKING, str(place.folder), place.keeper().key]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "the warm process is not in its asker's surroundings (niceness)\n"
    assert psutil.Process(warm).children() == before


def test_a_kernel_asks_for_the_warm_processes_that_its_server_keeps(place, warm):
    session = place.start()
    assert session.warm
    found = session.tell(KEYS)
    assert {"workbench"} <= found.keys()
    assert found == {name: surroundings_key(name, place.environment(name)) for name in found}
    session.end(now=True)
