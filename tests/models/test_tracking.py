"""What training records lies in the home, whole, and nowhere else; MLflow and TensorBoard read it back themselves."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

from workbench.core.errors import FailureError, ParameterError, StoreError
from workbench.core.settings import load_settings
from workbench.models.tracking import ready

MOMENT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_DISABLE_TELEMETRY", "_MLFLOW_SERVER_ARTIFACT_ROOT")

BEGIN = """
import json, os, sys
asked = []
sys.addaudithook(lambda event, found: asked.append(event) if event in ("socket.connect", "socket.getaddrinfo",
    "socket.listen") else None)
os.umask(0o027)
from workbench.core.settings import load_settings
from workbench.models.tracking import ready
tracking = ready(load_settings())
"""

WRITE = """
mlflow = tracking.mlflow()
number = int(sys.argv[1])
mlflow.set_experiment(f"training {number}")
with mlflow.start_run() as run:
    mlflow.log_params({"units": 8, "seed": number})
    for step, loss in enumerate([0.5, 0.25, 0.125]):
        mlflow.log_metric("loss", loss + number, step=step)
    mlflow.log_text(f"weights of {number}", "model/note.txt")
print(json.dumps([run.info.run_id, asked]))
"""

READ = """
import mlflow
found = {}
for run in mlflow.search_runs(search_all_experiments=True, output_format="list"):
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    text = mlflow.artifacts.load_text(run.info.artifact_uri + "/model/note.txt")
    found[run.info.run_id] = [run.info.status, run.data.params, [each.value for each in history], text]
with mlflow.start_run():
    mlflow.log_text("in the default experiment", "note.txt")
print(json.dumps([found, asked]))
"""


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    """No variable of MLflow's is set, and none is left."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A home in which two processes began at once, and then a third one read and wrote."""
    root = tmp_path_factory.mktemp("tracking")
    for name in ("work", "user"):
        (root / name).mkdir()
    # A test's or a CI's variables would switch MLflow's reports off by themselves.
    reasons = (*VARIABLES, "CI", "PYTEST_CURRENT_TEST", "GITHUB_ACTIONS", "DO_NOT_TRACK", "XDG_CONFIG_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in reasons}
    # A space and a number sign have a meaning in addresses.
    environment |= {"WORKBENCH_HOME": str(root / "my home #1"), "HOME": str(root / "user")}

    def start(script, *arguments):
        command = [sys.executable, "-c", BEGIN + script, *arguments]
        return subprocess.Popen(command, env=environment, cwd=root / "work", stdout=subprocess.PIPE, text=True)

    writers = [start(WRITE, str(number)) for number in (1, 2)]
    runs = [json.loads(each.communicate(timeout=120)[0]) for each in writers]
    found = json.loads(start(READ).communicate(timeout=120)[0])
    return root, runs, found


def test_what_two_processes_wrote_at_once_is_read_by_a_third(written):
    _, runs, (found, _) = written
    assert found == {
        run: ["FINISHED", {"units": "8", "seed": str(n)}, [0.5 + n, 0.25 + n, 0.125 + n], f"weights of {n}"]
        for n, (run, _) in enumerate(runs, start=1)
    }


def test_no_process_asks_the_network_or_listens(written):
    _, runs, (_, asked) = written
    assert [*(each for _, each in runs), asked] == [[], [], []]


def test_everything_lies_in_the_home_with_the_users_umask(written):
    root, _, _ = written
    files = [path for path in root.rglob("*") if path.is_file()]
    assert [path for path in files if not path.is_relative_to(root / "my home #1" / "mlflow")] == []
    assert {path.name for path in files} == {"tracking.sqlite", "tracking.lock", "note.txt"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o640}
    folders = [path for path in (root / "my home #1").rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o750}


def test_the_database_keeps_the_rollback_journal(written):
    # SQLite 3.7.0 to 3.51.2 can corrupt a write-ahead log.
    connection = sqlite3.connect(written[0] / "my home #1" / "mlflow" / "tracking.sqlite")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_being_ready_sets_the_environment_and_creates_nothing(tmp_path):
    home = tmp_path / "home"
    tracking = ready(load_settings(home=home))
    assert tracking.uri == f"sqlite:///{home}/mlflow/tracking.sqlite"
    assert tracking.tensorboard == home / "tensorboard"
    assert [os.environ[name] for name in VARIABLES] == [tracking.uri, "true", f"file://{home}/mlflow/artifacts"]
    assert ready(load_settings(home=home)) == tracking
    assert list(tmp_path.iterdir()) == []


def test_a_server_of_the_users_own_is_kept(monkeypatch, tmp_path):
    address = "https://me:hunter2@mlflow.example.org"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    tracking = ready(load_settings(home=tmp_path))
    assert tracking.uri == address
    assert "hunter2" not in repr(tracking)
    assert [os.environ.get(name) for name in VARIABLES] == [address, "false", None]


def test_a_database_url_with_a_password_does_not_reach_mlflow(tmp_path):
    tracking = ready(load_settings(home=tmp_path, database_url="postgresql://user:secret@host/name"))
    assert tracking.uri.startswith("sqlite:")
    assert not any("secret" in value for value in os.environ.values())


@pytest.mark.parametrize("name", ["100%", "what?"])
def test_a_home_that_sqlites_address_cannot_name_is_told(tmp_path, name):
    with pytest.raises(ParameterError, match=r"set WORKBENCH_HOME to one without '%' or '[?]'"):
        ready(load_settings(home=tmp_path / name))


def test_a_curve_is_read_back_by_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracking = ready(load_settings(home=tmp_path), clock=lambda: MOMENT)
    before = set(threading.enumerate())
    with tracking.writer("lstm") as writer:
        for step, loss in enumerate([0.5, 0.25, 0.125]):
            writer.add_scalar("loss", loss, step)
    assert set(threading.enumerate()) <= before
    folder = tmp_path / "tensorboard" / "lstm-20260105T120000Z"
    assert writer.get_logdir() == str(folder)
    events = EventAccumulator(str(folder)).Reload()
    assert [(each.step, each.value) for each in events.Scalars("loss")] == [(0, 0.5), (1, 0.25), (2, 0.125)]


def test_each_writer_has_a_folder_of_its_own(tmp_path):
    tracking = ready(load_settings(home=tmp_path), clock=lambda: MOMENT)
    for _ in range(3):
        tracking.writer("lstm", flush_secs=1).close()
    stem = "lstm-20260105T120000Z"
    assert sorted(each.name for each in tracking.tensorboard.iterdir()) == [stem, f"{stem}-2", f"{stem}-3"]


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a b", ".hidden", "x" * 101, "naïve", "a\n"])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path, name):
    with pytest.raises(ParameterError, match="is no name of a TensorBoard log; use letters"):
        ready(load_settings(home=tmp_path)).writer(name)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_is_told(tmp_path):
    home = tmp_path / "home"
    home.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot write .*tensorboard .*; set WORKBENCH_HOME to a writable folder"):
        ready(load_settings(home=home)).writer("lstm")


@pytest.mark.parametrize(
    ("module", "call"),
    [("mlflow", lambda tracking: tracking.mlflow()), ("tensorboard", lambda tracking: tracking.writer("lstm"))],
)
def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch, tmp_path, module, call):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FailureError, match=rf"needs {module}; install it with: pip install 'trii-workbench\[models\]'"):
        call(ready(load_settings(home=tmp_path)))
    assert list(tmp_path.iterdir()) == []
