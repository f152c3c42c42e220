"""What kernels import ahead is fit to be forked, and each opens with what it promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from importlib.util import find_spec

import pytest
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from workbench.bench import Workbench
from workbench.core.errors import FailureError
from workbench.core.known import VARIABLE
from workbench.lab.kernels.profiles import PROFILES, READ_AHEAD

VARIABLES = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "_RJEM_MALLOC_CONF": "background_thread:false",
}
"""What a warm process is started with: without them libraries start threads of their own."""

IMPORTING = """
import importlib, json, os, sys

user, seen = sys.argv[1], []

def watch(event, given):
    if event == "open" and str(given[0]).startswith(user):
        seen.append(os.path.relpath(given[0], user))
    elif event in ("socket.connect", "sqlite3.connect", "subprocess.Popen", "os.system"):
        seen.append(f"{event} {given}")

sys.addaudithook(watch)
from workbench.lab.kernels.profiles import PROFILES

for profile in PROFILES.values():
    if profile.installed:
        for name in profile.modules:
            importlib.import_module(name)
        profile.ahead()
torch = sys.modules.get("torch")
told = {
    "threads": [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")],
    "open": sorted(os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if int(name) > 2
                   and os.path.exists(f"/proc/self/fd/{name}")),
    "seen": seen,
    "cuda": bool(torch and torch.cuda.is_initialized()),
    "polars": "polars" in sys.modules,
}
print(json.dumps(told))
"""

USERS = {
    ".bokeh/bokeh.yaml": "{}",
    ".config/dask/own.yaml": "{}",
    ".config/matplotlib/matplotlibrc": "",
    ".numba_config.yaml": "{}",
    ".netrc": "",
}
"""What libraries might read of a user."""

SPECS = resources.files("workbench.lab") / "share" / "jupyter" / "kernels"

OPENING = """
import json

from workbench.lab.kernels.profiles import PROFILES

told = {}
for profile in PROFILES.values():
    if profile.installed:
        begun = {name: value for _, part in profile.prepare for name, value in part().items()}
        told[profile.name] = [type(begun["bench"]).__name__, *sorted(begun)]
print(json.dumps(told))
"""

PROMISED = {
    "workbench": ["bench", "wb"],
    "pytorch": ["bench", "device", "seed", "torch", "tracking", "wb"],
    "quantlib": ["bench", "conventions", "conventions_table", "evaluation_date", "ql", "wb"],
}

BROKEN = """
import sys

from workbench.core.errors import ParameterError
from workbench.lab.kernels.kernel import start_kernel
from workbench.lab.kernels.profiles import Profile

def fail(error):
    raise error

parts = (
    ("tracking", lambda: fail(ParameterError("a home with %; choose another"))),
    ("torch", lambda: fail(ImportError("libtorch.so is damaged"))),
    ("rest", lambda: {"bench": 7}),
)
attend = lambda shell: fail(OSError("no disk"))
start_kernel(Profile("own", "Own", (), parts, lambda: "cpu", attend=attend), sys.argv[1:])
"""


def test_importing_ahead_starts_no_thread_and_reads_of_the_user_only_what_is_declared(tmp_path):
    # A setting that cannot be read, were it read.
    (tmp_path / "workbench.toml").write_text("no = [toml")
    for name, text in USERS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = sorted(tmp_path.rglob("*"))
    own = {"HOME": tmp_path, "WORKBENCH_HOME": tmp_path / "home", "WORKBENCH_CASH": "nothing"}
    names = ("PATH", "VIRTUAL_ENV", "LANG", "COVERAGE_PROCESS_START")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    environment |= {**VARIABLES, **{name: str(value) for name, value in own.items()}}
    # What a warm process runs with: the folder of its starter is not on its path.
    command = [sys.executable, "-P", "-c", IMPORTING, str(tmp_path)]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert len(told["threads"]) == 1, told["threads"]
    assert [path for path in told["open"] if path.startswith(("socket:", str(tmp_path)))] == []
    assert [name for name in told["seen"] if not name.startswith(READ_AHEAD)] == []
    assert not told["cuda"]
    assert not told["polars"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_profile_has_a_kernelspec_of_its_own(profile):
    spec = json.loads((SPECS / f"trii-{profile.name}" / "kernel.json").read_text())
    own = ["--profile", profile.name, "-f", "{connection_file}"]
    assert spec["argv"] == ["python", "-m", "workbench.lab.kernels.kernel", *own]
    assert spec["display_name"] == profile.title
    assert spec["metadata"] == {"debugger": False, "kernel_provisioner": {"provisioner_name": "trii-warm"}}
    assert (SPECS / f"trii-{profile.name}" / "logo-svg.svg").read_text().startswith("<svg ")


def test_every_kernelspec_has_a_profile():
    assert {path.name for path in SPECS.iterdir()} == {f"trii-{name}" for name in PROFILES}


def test_a_kernel_opens_with_what_its_profile_promises(home):
    # A process of its own: making PyTorch deterministic changes the whole process.
    told = subprocess.run([sys.executable, "-c", OPENING], capture_output=True, text=True, check=True).stdout
    installed = [each.name for each in PROFILES.values() if each.installed]
    assert json.loads(told) == {name: [Workbench.__name__, *PROMISED[name]] for name in installed}
    assert not home.exists()


def test_what_cannot_be_prepared_is_told_and_takes_only_its_own_away(tmp_path):
    manager = KernelManager(connection_file=str(tmp_path / "kernel.json"))
    manager._kernel_spec = KernelSpec(argv=[sys.executable, "-c", BROKEN, "-f", "{connection_file}"])
    with (tmp_path / "log").open("w") as log:
        manager.start_kernel(stdout=log, stderr=log)
    client = manager.client()
    client.start_channels()
    try:
        # Its banner is part of what it answers: here ``bench`` is no bench.
        client.wait_for_ready(timeout=60)
        said = []
        client.execute_interactive("print(bench)", output_hook=lambda each: said.append(each["content"]), timeout=60)
        client.execute_interactive("1", output_hook=lambda each: said.append(each["content"]), timeout=60)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    texts = "".join(each["text"] for each in said if "text" in each).splitlines()
    assert sorted(texts) == [
        "7",
        "ImportError: libtorch.so is damaged; until then there is no torch in this notebook",
        "OSError: no disk; until then there is no guard of each cell in this notebook",
        "a home with %; choose another; until then there is no tracking in this notebook",
    ]
    told = (tmp_path / "log").read_text()
    assert "Traceback" in told
    assert "could not be prepared: torch" in told
    assert "no tracking" not in told


def test_a_limit_that_is_no_date_leaves_quantlib_guarded(monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "nonsense")
    shell = InteractiveShell()
    registered = shell.events.callbacks
    before = {name: len(registered[name]) for name in ("pre_run_cell", "post_run_cell")}
    PROFILES["quantlib"].attend(shell)
    assert {name: len(registered[name]) - count for name, count in before.items()} == dict.fromkeys(before, 1)
    registered["pre_run_cell"][-1](None)
    assert "WORKBENCH_AS_OF='nonsense' is no date" in capsys.readouterr().err
    monkeypatch.setenv(VARIABLE, "2012-03-01")
    registered["pre_run_cell"][-1](None)
    assert PROFILES["quantlib"].prepare[1][1]()["ql"].Settings.instance().evaluationDate.ISO() == "2012-03-01"


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("pytorch", "torch", "models"), ("quantlib", "QuantLib", "pricing")]
)
def test_a_missing_extra_is_told_with_what_to_install(name, module, extra, home, monkeypatch):
    for loaded in [each for each in sys.modules if each.startswith(("workbench.models", "workbench.risk.pricing"))]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        FailureError, match=rf"needs {module}; install it with: pip install 'trii-workbench\[{extra}\]'"
    ):
        PROFILES[name].prepare[1][1]()
    assert not home.exists()


def test_a_profile_whose_extra_is_missing_is_not_installed():
    needed = {name for each in PROFILES.values() for name in each.needs}
    for each in PROFILES.values():
        assert each.installed is all(find_spec(name) for name in each.needs)
    assert needed == {"torch", "tensorboard", "QuantLib"}
    assert PROFILES["workbench"].installed
