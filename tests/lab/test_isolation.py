"""Nothing of the user's own Jupyter and IPython is read or changed by a started server and its kernels."""

from __future__ import annotations

import json
import os

import httpx
import pytest
from kernel_channel import Channel
from workbench_server import serving

from workbench.lab.isolation import own_jupyter

CONFIGURATIONS = (
    ".jupyter/jupyter_config.py",
    ".jupyter/jupyter_server_config.py",
    ".jupyter/jupyter_lab_config.py",
    ".jupyter/jupyter_notebook_config.py",
    ".jupyter/voila.py",
    ".ipython/profile_default/ipython_config.py",
    ".ipython/profile_default/ipython_kernel_config.py",
    ".ipython/profile_default/startup/00-trap.py",
    ".config/jupyter/jupyter_server_config.py",
    "jupyter_server_config.py",
    "voila.py",
)


def set_traps(user):
    """Lay out a user's Jupyter in which every file leaves a mark and raises when it is run."""
    for name in CONFIGURATIONS:
        path = user / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(user / 'sprung')!r}, 'a').write({name!r})\nraise RuntimeError('trap {name}')\n")
    (user / ".jupyter/jupyter_server_config.json").write_text('{"ServerApp": {"token": "stolen", "password": "x"}}')
    settings = user / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"theme": "Foreign Theme"}')
    for root in (user / ".local/share/jupyter", user / "path"):
        kernel = root / "kernels" / "foreign" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        kernel.write_text(json.dumps({"argv": ["false"], "display_name": "Foreign", "language": "python"}))
    # One that would take the place of the workbench's own kernel.
    double = user / ".local/share/jupyter/kernels/trii-workbench/kernel.json"
    double.parent.mkdir()
    double.write_text(json.dumps({"argv": ["false"], "display_name": "Double", "language": "python"}))


def contents(user):
    """Everything in the user's folders for Jupyter, with the time of its last change."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for name in (".jupyter", ".ipython", ".local", ".config/jupyter", "path")
        for path in [user / name, *(user / name).rglob("*")]
    }


@pytest.fixture(scope="module")
def trapped(tmp_path_factory):
    """A lab server of a user whose Jupyter is full of traps; what was there before; its API."""
    folder = tmp_path_factory.mktemp("trapped")
    set_traps(folder / "user")
    before = contents(folder / "user")
    environment = {
        "JUPYTER_TOKEN": "stolen",
        "JUPYTER_PATH": str(folder / "user/path"),
        "JUPYTER_CONFIG_DIR": str(folder / "user/.jupyter"),
        "IPYTHONDIR": str(folder / "user/.ipython"),
    }
    with serving("lab", folder, **environment) as server:
        headers = {"Authorization": f"token {server.token}"}
        with httpx.Client(base_url=f"{server.base}api", headers=headers, timeout=30) as api:
            yield server, folder / "user", before, api


def test_foreign_kernels_are_not_offered(trapped):
    *_, api = trapped
    specs = api.get("/kernelspecs").json()
    assert specs["default"] == "trii-workbench"
    assert {name: spec["spec"]["display_name"] for name, spec in specs["kernelspecs"].items()} == {
        "trii-workbench": "TRII Workbench",
        "trii-pytorch": "TRII PyTorch",
        "trii-quantlib": "TRII QuantLib",
    }


def test_the_users_token_and_settings_do_not_count(trapped):
    server, *_, api = trapped
    assert server.token != "stolen"
    assert httpx.get(f"{server.base}api/contents?token=stolen").status_code == 403
    theme = httpx.get(
        f"{server.base}lab/api/settings/@jupyterlab/apputils-extension:themes", headers=dict(api.headers), timeout=30
    )
    assert theme.status_code == 200
    assert "Foreign" not in theme.text


def test_a_kernel_runs_and_no_trap_was_sprung(trapped):
    server, user, before, api = trapped
    kernel = api.post("/kernels", json={"name": "trii-workbench"}).json()["id"]
    channel = Channel(server, kernel)
    try:
        code = "import workbench, os; print(get_ipython().ipython_dir, os.environ['JUPYTER_CONFIG_DIR'])"
        answers = channel.answers(channel.execute(code), until="stream")
        places = answers[-1]["content"]["text"].split()
    finally:
        channel.close()
    assert places == [str(server.home / "jupyter/ipython"), str(server.home / "jupyter/config")]
    assert api.put("/contents/note.ipynb", json={"type": "notebook"}).status_code == 201
    assert not (user / "sprung").exists()
    assert contents(user) == before


def test_sockets_lie_in_a_private_folder_that_is_removed(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("JUPYTER", "IPYTHON"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with own_jupyter(tmp_path / "state") as sockets:
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert os.environ["JUPYTER_RUNTIME_DIR"] == str(sockets)
    assert not sockets.exists()


def test_a_long_temporary_folder_does_not_make_socket_paths_too_long(tmp_path, monkeypatch):
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with own_jupyter(tmp_path / "state") as sockets:
        assert len(f"{sockets}/kernel-00000000-0000-0000-0000-000000000000-ipc-5") <= 107
    assert list(long.iterdir()) == []
