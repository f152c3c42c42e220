"""Kernels that are forked from a warm process, through Jupyter's own clients: as good as cold ones."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import nbformat
import papermill
import psutil
import pytest
import zmq
from jupyter_client.manager import AsyncKernelManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from kernel_state import STATE
from kernels_at_work import LONG, descriptors, gone, kernels_at_work, listening, private_megabytes, wait_for
from traitlets.config import Config

from workbench.lab.kernels import pool, provisioner
from workbench.lab.kernels.asking import ask_for_kernel
from workbench.lab.kernels.pool import Keeper, WarmPool
from workbench.lab.kernels.provisioner import COMMAND, WarmProvisioner

IDLE_MEGABYTES = 120
SECRET = "hunter2"
HANGS = """
import socket, sys, time
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
time.sleep(1000)
"""
NUMBERS = """
import json, random, uuid, numba, numpy as np
@numba.njit
def drawn():
    return np.random.random()
print(json.dumps([random.random(), np.random.random(), np.random.default_rng().random(), drawn(), uuid.uuid4().hex]))
"""
PARALLEL = """
import json, numba, numpy as np
@numba.njit(parallel=True)
def total(values):
    found = 0.0
    for place in numba.prange(values.size):
        found += values[place]
    return found
print(json.dumps(total(np.arange(1000.0))))
"""
TRAINING = """
import json
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
x = torch.randn(2000, 4)
y = x @ torch.tensor([[1.0], [2.0], [3.0], [4.0]])
for _ in range(200):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
print(json.dumps([loss.item(), torch.get_num_threads(), [round(each) for each in model.weight.flatten().tolist()]]))
"""
CHILDREN = """
import json, math, multiprocessing, subprocess, sys
found = []
for method in ("fork", "spawn", "forkserver"):
    with multiprocessing.get_context(method).Pool(1) as pool:
        found.append(pool.map(math.sqrt, [16.0], 1))
print(json.dumps([*found, subprocess.check_output([sys.executable, "-c", "print(6 * 7)"], text=True)]))
"""
PICTURES = {
    "import matplotlib.pyplot as plt; plt.plot([1, 2]); None": ["display_data image/png text/plain"],
    "import plotly.graph_objects as go; go.Figure().show()": ["display_data application/vnd.plotly.v1+json"],
    "from tqdm.auto import tqdm; print(tqdm.__mro__[1].__name__)": ["tqdm_notebook"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with kernels_at_work(tmp_path_factory.mktemp("warm") / LONG) as place:
        place.keep(AWS_SECRET_ACCESS_KEY=SECRET)
        yield place


@pytest.fixture(scope="module")
def neighbour(place):
    """A kernel that no other one may harm."""
    session = place.start()
    session.run("kept = 41")
    yield session
    assert session.run("kept + 1") == "42"


def outputs(session, code):
    """Return the kinds of what a cell shows, and its text."""
    seen = []

    def hear(message):
        content, kind = message["content"], message["msg_type"]
        if kind in ("display_data", "execute_result"):
            seen.append(" ".join([kind, *sorted(content["data"])]))
        elif kind in ("stream", "error"):
            seen.append(content.get("text", content.get("evalue")).strip())

    session.client.execute_interactive(code, output_hook=hear, timeout=60)
    return seen


# ---------------------------------------------------------------- a kernel's life


def test_a_kernel_is_forked_from_the_warm_process_and_has_the_bench(place, neighbour):
    assert neighbour.warm
    assert psutil.Process(neighbour.pid).ppid() == place.warm_pid()
    assert neighbour.run("dict(bench.bars(['AAPL', 'IBM'], start='2010').sizes)['symbol']") == "2"
    assert neighbour.run("import sys; 'vectorbt' in sys.modules, wb.__name__") == "(True, 'workbench')"
    assert neighbour.run("input('how many? ')", answer="3") == "'3'"


def test_an_interrupt_ends_a_cell_and_nothing_else(place, neighbour):
    session = place.start()
    busy = "import time\nprint('busy', flush=True)\nwhile True: time.sleep(0.01)"
    name = session.client.execute(busy, stop_on_error=False)
    while session.client.get_iopub_msg(timeout=60)["content"].get("text") != "busy\n":
        pass
    session.manager.interrupt_kernel()
    while (reply := session.client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != name:
        pass
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert session.run("1 + 1") == "2"
    session.end()


def test_an_interrupt_while_a_kernel_starts_does_not_end_it(place):
    manager = place.manager()
    manager.start_kernel(env=place.environment())
    for _ in range(20):
        manager.interrupt_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    client.stop_channels()
    manager.shutdown_kernel()


def test_a_restart_forgets_what_was_there_and_is_warm_again(place):
    session = place.start()
    session.run("kept = 1")
    before = session.pid
    session.manager.restart_kernel(now=True)
    session.client.wait_for_ready(timeout=60)
    assert session.warm
    assert session.pid != before
    assert gone(before)
    assert session.run("kept") == "NameError: name 'kept' is not defined"
    session.end()


def test_a_shutdown_leaves_no_process_no_socket_and_no_descriptor(place):
    before = descriptors(os.getpid()), descriptors(place.warm_pid())
    for _ in range(3):
        session = place.start()
        sockets, connection = Path(session.manager.ip).parent, Path(session.manager.connection_file)
        assert any(each.is_socket() for each in sockets.iterdir())
        session.end()
        assert gone(session.pid)
        assert not sockets.exists()
        assert not connection.exists()
        session.client.context.term()
        session.manager.context.destroy()
    wait_for(lambda: descriptors(place.warm_pid()) == before[1], "the warm process to close a kernel's descriptors")
    assert descriptors(os.getpid()) <= before[0]


def test_a_manager_starts_a_second_kernel_after_the_first(place):
    session = place.start()
    manager = session.manager
    session.end()
    # It closed its own with the first kernel.
    manager.context = zmq.Context()
    manager.start_kernel(env=place.environment())
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    client.stop_channels()
    sockets = Path(manager.ip).parent
    manager.shutdown_kernel()
    assert not sockets.exists()


def test_a_kernel_that_hangs_is_ended_with_its_children(place):
    session = place.start()
    session.manager.shutdown_wait_time = 1.0
    child = int(session.run("import subprocess; print(subprocess.Popen(['sleep', '1000']).pid)"))
    hang = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('hangs', flush=True)\nwhile True: pass"
    session.client.execute(hang)
    while session.client.get_iopub_msg(timeout=60)["content"].get("text") != "hangs\n":
        pass
    session.end()
    assert gone(session.pid)
    wait_for(lambda: gone(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE, "its child to end")


def test_a_killed_kernel_is_seen_and_harms_no_other(place, neighbour):
    session = place.start()
    process = session.manager.provisioner.process
    os.kill(session.pid, signal.SIGKILL)
    wait_for(lambda: not session.manager.is_alive(), "the manager to see it")
    assert process.returncode == -signal.SIGKILL
    assert neighbour.run("kept") == "41"
    session.end(now=True)


def test_a_kernel_out_of_memory_says_so_and_harms_no_other(place, neighbour):
    session = place.start()
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))"
    assert session.run(f"{limited}\nbytearray(64 << 30)").startswith("MemoryError")
    assert session.run("1 + 1") == "2"
    assert neighbour.run("kept") == "41"
    session.end(now=True)


def test_a_server_brings_a_killed_kernel_back(place):
    often = Config({"KernelRestarter": {"time_to_dead": 0.2}})

    async def live():
        managers = AsyncMappingKernelManager(
            default_kernel_name="trii-workbench", log=place.logger, allow_tracebacks=True, config=often
        )
        managers.root_dir = str(place.home.parent)
        name = await managers.start_kernel(env=place.environment())
        manager = managers.get_kernel(name)
        before = manager.provisioner.pid
        os.kill(before, signal.SIGKILL)
        while not manager.has_kernel or manager.provisioner.pid in (before, None):
            await asyncio.sleep(0.05)
        after = manager.provisioner.pid
        warm = psutil.Process(after).ppid() == place.warm_pid()
        await managers.shutdown_kernel(name, now=True)
        return warm, gone(after)

    assert asyncio.run(asyncio.wait_for(live(), 60)) == (True, True)


@pytest.mark.parametrize("independent", [False, True])
def test_a_kernel_ends_with_who_started_it_unless_it_is_independent(place, independent):
    code = f"""
import json, os, time
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name="trii-workbench")
manager.start_kernel(env=json.loads(os.environ["KERNEL"]), independent={independent})
client = manager.client(); client.start_channels(); client.wait_for_ready(timeout=60)
print(json.dumps([manager.provisioner.pid, manager.connection_file, manager.ip]), flush=True)
time.sleep(1000)
"""
    environment = {**os.environ, "KERNEL": json.dumps(place.environment())}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as asker:
        pid, connection, address = json.loads(asker.stdout.readline())
        asker.kill()
    assert psutil.Process(pid).ppid() == place.warm_pid()
    if independent:
        # It had its chance: the others notice at once.
        with pytest.raises(psutil.TimeoutExpired):
            psutil.Process(pid).wait(1)
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: gone(pid), "the kernel to end")
    Path(connection).unlink(missing_ok=True)
    for each in Path(address).parent.iterdir():
        each.unlink()
    Path(address).parent.rmdir()


def test_papermill_runs_on_a_forked_kernel(place, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(place.home))
    cell = nbformat.v4.new_code_cell("import os, vectorbt\nprint(os.getppid())")
    source, done = tmp_path / "one.ipynb", tmp_path / "done.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), source)
    papermill.execute_notebook(source, done, kernel_name="trii-workbench", progress_bar=False)
    assert nbformat.read(done, 4).cells[-1].outputs[0].text.strip() == str(place.warm_pid())


def test_a_start_that_is_cancelled_leaves_no_kernel(place, monkeypatch):
    asked, go_on, brought = threading.Event(), threading.Event(), []

    def slowly(*given, **options):
        asked.set()
        go_on.wait(60)
        brought.append(ask_for_kernel(*given, **options))
        return brought[0]

    async def cancel():
        start = asyncio.ensure_future(place.manager(kind=AsyncKernelManager).start_kernel(env=place.environment()))
        await asyncio.to_thread(asked.wait, 60)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        go_on.set()

    monkeypatch.setattr(provisioner, "ask_for_kernel", slowly)
    asyncio.run(cancel())
    wait_for(lambda: gone(brought[0].pid), "the kernel to end")
    assert brought[0].returncode == -signal.SIGKILL


def test_the_number_of_a_kernel_that_has_ended_is_sent_nothing(monkeypatch):
    sent = []
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append((group, number)))
    ours = WarmProvisioner()
    ours.process, ours.pgid = SimpleNamespace(poll=lambda: None), 12
    asyncio.run(ours.send_signal(signal.SIGINT))
    ours.process = SimpleNamespace(poll=lambda: 0, send_signal=lambda number: sent.append(number))
    for send in (ours.kill, ours.terminate, lambda: ours.send_signal(signal.SIGINT)):
        asyncio.run(send())
    assert sent == [(12, signal.SIGINT)]


# ---------------------------------------------------------------- its pool


def test_no_secret_can_be_read_from_what_a_kernel_was_started_with(place):
    session = place.start(variables={"AWS_SECRET_ACCESS_KEY": SECRET})
    assert session.warm
    assert session.run("import os; os.environ['AWS_SECRET_ACCESS_KEY']") == f"'{SECRET}'"
    started_with = Path(f"/proc/{session.pid}/environ").read_bytes()
    assert b"PATH=" in started_with
    assert SECRET.encode() not in started_with
    session.end()


@pytest.fixture
def keeper(tmp_path):
    keeper = Keeper("workbench", "key", {"WORKBENCH_HOME": str(tmp_path)}, logging.Logger("pool"))
    yield keeper
    keeper.close()


def test_a_warm_process_that_hangs_while_it_imports_is_ended(keeper):
    path = keeper.folder / "key.coming"
    with subprocess.Popen([sys.executable, "-c", HANGS, path.name], cwd=path.parent) as hangs:
        try:
            wait_for(path.is_socket, "the socket")
            keeper.start()
            wait_for(lambda: keeper.kill() or hangs.poll(), "its end")
            assert hangs.returncode == -signal.SIGKILL
            keeper.close()
        finally:
            hangs.kill()


def test_a_warm_process_that_is_started_while_the_server_ends_is_ended(keeper, monkeypatch):
    ended = []

    class Started:
        returncode = None

        def __init__(self, *_given, **_options):
            closing.start()
            # Long enough to get past it, were there nothing to wait for.
            closing.join(0.5)

        def poll(self):
            return 0 if ended else None

        def wait(self, _seconds=None):
            return self.poll()

        def terminate(self):
            ended.append(self)

    monkeypatch.setattr(pool.subprocess, "Popen", Started)
    monkeypatch.setattr(pool, "END_SECONDS", 0.1)
    closing = threading.Thread(target=keeper.close)
    keeper.start()
    keeper.join(60)
    closing.join(60)
    assert ended


def test_a_pool_that_is_closed_keeps_nothing(tmp_path):
    closed = WarmPool()
    closed.close()
    closed.keep("workbench", {"WORKBENCH_HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- many


def test_twenty_kernels_at_once_share_the_stack_and_draw_other_numbers(place):
    warm, zombies = place.warm_pid(), []
    before = descriptors(warm)
    sessions = place.start_many(20)
    assert {psutil.Process(each.pid).ppid() for each in sessions} == {warm}
    assert max(private_megabytes(each.pid) for each in sessions) < IDLE_MEGABYTES
    drawn = [each.tell(NUMBERS) for each in sessions[:4]]
    assert all(len(set(column)) == len(drawn) for column in zip(*drawn, strict=True))
    for each in sessions:
        each.end(now=True)
    wait_for(lambda: all(gone(each.pid) for each in sessions), "all to end")
    wait_for(lambda: descriptors(warm) == before, "the warm process to close their descriptors")
    zombies = [each.pid for each in psutil.Process(warm).children() if each.status() == psutil.STATUS_ZOMBIE]
    assert zombies == []


def test_nothing_listens_on_tcp(place, neighbour):
    before = listening(os.getpid())
    session = place.start()
    session.run("import panel as pn; pn.extension()")
    assert listening(session.pid) == listening(neighbour.pid) == listening(place.warm_pid()) == set()
    assert listening(os.getpid()) <= before
    assert session.manager.transport == "ipc"
    session.end()


# ---------------------------------------------------------------- as a cold one


@pytest.fixture(scope="module")
def states(place, tmp_path_factory):
    """What a forked and a cold kernel see of themselves, both started under unusual circumstances."""
    folder = tmp_path_factory.mktemp("folder")
    variables = {"TMPDIR": str(folder), "ONE_OF_MINE": "\udcff é"}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    mask = os.umask(0o027)
    resource.setrlimit(resource.RLIMIT_NOFILE, (700, hard))
    try:
        forked = place.start(variables=variables, cwd=str(folder))
        # A pipe is what a fork cannot give.
        cold = place.start(variables=variables, cwd=str(folder), stderr=subprocess.STDOUT)
    finally:
        os.umask(mask)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (forked.warm, cold.warm) == (True, False)
    found = forked.tell(STATE), cold.tell(STATE)
    yield forked, cold, *found
    forked.end()
    cold.end()


def test_a_forked_kernel_sees_what_a_cold_one_sees(states):
    *_, forked, cold = states
    assert cold["limits"]["RLIMIT_NOFILE"][0] == 700
    assert cold["status"][0] == "0027"
    assert cold["environment"]["ONE_OF_MINE"] == "\udcff é"
    assert cold["temporary"] == cold["folder"] == cold["environment"]["TMPDIR"]
    assert forked == cold


@pytest.mark.parametrize("code", [*PICTURES, "import hvplot.pandas", "import panel as pn; pn.extension()", "pn.Row(1)"])
def test_a_forked_kernel_shows_what_a_cold_one_shows(states, code):
    forked, cold, *_ = states
    shown = outputs(forked, code)
    assert shown == outputs(cold, code)
    assert shown
    assert shown == PICTURES.get(code, shown)


def test_a_forked_kernel_starts_processes_in_every_way(place):
    session = place.start()
    assert session.tell(CHILDREN) == [[4.0], [4.0], [4.0], "42\n"]
    session.end()


def test_numba_computes_in_parallel_in_forked_kernels(place):
    first, second = place.start(), place.start()
    assert [first.tell(PARALLEL), second.tell(PARALLEL)] == [499500.0, 499500.0]
    # What a process that has run threads of its own hands down is numba's own affair; a new kernel is not its child.
    third = place.start()
    assert third.tell(PARALLEL) == 499500.0
    for each in (first, second, third):
        each.end()


def test_two_profiles_and_torch_trains_in_forked_kernels(place):
    assert place.keep("pytorch") != place.warm_pid()
    sessions = [place.start("pytorch"), place.start("pytorch")]
    assert {psutil.Process(each.pid).ppid() for each in sessions} == {place.warm_pid("pytorch")}
    for session in sessions:
        loss, threads, weights = session.tell(TRAINING)
        assert loss < 1e-3
        assert threads == len(os.sched_getaffinity(0)) or "OMP_NUM_THREADS" in os.environ
        assert weights == [1, 2, 3, 4]
        assert session.tell(PARALLEL) == 499500.0
    assert place.start().run("'torch' in globals()") == "False"


# ---------------------------------------------------------------- what a fork cannot follow


@pytest.mark.parametrize(
    ("value", "forked"),
    [("false", False), ("0", False), ("OFF", False), ("no", False), ("1", True), ("nonsense", True), (None, True)],
)
def test_the_settings_of_a_kernel_say_whether_it_may_be_forked(monkeypatch, value, forked):
    monkeypatch.setattr(WarmProvisioner, "_ask", lambda *given: "a kernel")
    environment = {} if value is None else {"WORKBENCH_WARM_KERNELS": value}
    found = WarmProvisioner()._forked([*COMMAND, "workbench"], {"env": {"PATH": "", **environment}})
    assert found == ("a kernel" if forked else None)


@pytest.mark.parametrize("error", [KeyError("NoNewPrivs"), OSError("no /proc")])
def test_where_the_system_does_not_tell_its_surroundings_kernels_start_cold(place, monkeypatch, error):
    def nearly_linux(*_given):
        raise error

    del place.log[:]
    monkeypatch.setattr(provisioner, "surroundings_key", nearly_linux)
    monkeypatch.setattr(pool, "surroundings_key", nearly_linux)
    options = {"env": place.environment(), "cwd": None}
    assert WarmProvisioner(log=place.logger)._forked([*COMMAND, "workbench", "-f", "none"], options) is None
    assert [line.partition(":")[0] for line in place.log] == [
        "TRII Workbench kernels start cold",
        "the kernel starts cold",
    ]


@pytest.mark.parametrize(
    ("options", "variables", "told"),
    [
        ({"stdout": subprocess.DEVNULL}, {}, "its output goes to a pipe"),
        ({"close_fds": True}, {}, "a fork cannot follow the option 'close_fds'"),
        ({}, {"OMP_NUM_THREADS": "7"}, "there is no warm process"),
        ({}, {f"FILLS_{n}": "x" * 100_000 for n in range(4)}, "Message too long"),
    ],
)
def test_what_a_fork_cannot_follow_starts_cold_and_the_log_says_why(place, options, variables, told):
    del place.log[:]
    session = place.start(variables=variables, **options)
    assert not session.warm
    assert [line for line in place.log if line.startswith("the kernel starts cold") and told in line], place.log
    assert session.run("1 + 1") == "2"
    assert session.manager.transport == "ipc"
    assert listening(session.pid) == set()
    session.end(now=True)
