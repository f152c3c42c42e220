"""Whether what a process has loaded is still what is installed."""

from __future__ import annotations

import os
import sys
import sysconfig
import types

import pytest

from workbench.lab.kernels.freshness import changed, stamps


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder that is taken for the folder of installed packages."""
    folder = tmp_path / "site-packages"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "module.py").write_text("")
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(folder))
    return folder


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """A file of a checkout that this process has loaded."""
    file = tmp_path / "checkout" / "mine.py"
    file.parent.mkdir()
    file.write_text("answer = 41")
    module = types.ModuleType("mine")
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, "mine", module)
    return file


def later(path):
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def test_nothing_has_changed_where_nobody_changed_anything(installed, loaded):
    assert changed(stamps()) is None


@pytest.mark.parametrize("change", [lambda file: file.write_text("answer = 4200"), later, lambda file: file.unlink()])
def test_a_loaded_file_that_is_changed_or_removed_is_noticed(installed, loaded, change):
    before = stamps()
    change(loaded)
    assert changed(before) == str(loaded)


def test_installing_and_removing_a_package_are_noticed(installed, loaded):
    before = stamps()
    (installed / "another-1.0.dist-info").mkdir()
    assert changed(before) == str(installed)
    before = stamps()
    (installed / "another-1.0.dist-info").rmdir()
    later(installed)
    assert changed(before) == str(installed)


def test_a_file_that_is_not_loaded_makes_no_difference(installed, loaded):
    before = stamps()
    (loaded.parent / "other.py").write_text("")
    (installed / "package" / "module.py").write_text("cached = True")
    assert changed(before) is None


@pytest.mark.parametrize(
    ("variables", "file"),
    [
        ({}, "home/.bokeh/bokeh.yaml"),
        ({}, "home/.config/dask/dask.yaml"),
        ({}, "home/.config/matplotlib/matplotlibrc"),
        ({"XDG_CONFIG_HOME": "own"}, "own/matplotlib/matplotlibrc"),
        ({"MPLCONFIGDIR": "own"}, "own/matplotlibrc"),
        ({"MATPLOTLIBRC": "own"}, "own/matplotlibrc"),
        ({"MATPLOTLIBRC": "own/plain"}, "own/plain"),
        ({"DASK_CONFIG": "own"}, "own/dask.yaml"),
        ({"DASK_CONFIG": "own/plain.yaml"}, "own/plain.yaml"),
        ({"DASK_ROOT_CONFIG": "own"}, "own/dask.yaml"),
    ],
    ids=str,
)
def test_settings_that_libraries_read_are_noticed_when_they_come_change_and_go(
    installed, tmp_path, monkeypatch, variables, file
):
    for name in ("XDG_CONFIG_HOME", "MPLCONFIGDIR", "MATPLOTLIBRC", "DASK_CONFIG", "DASK_ROOT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, place in {"HOME": "home", **variables}.items():
        monkeypatch.setenv(name, str(tmp_path / place))
    file = tmp_path / file
    file.parent.mkdir(parents=True, exist_ok=True)
    before = stamps()
    file.write_text("one: 1\n")
    later(file.parent)
    assert changed(before)
    before = stamps()
    # Written in place: the folder's time stays.
    file.write_text("one: 22\n")
    assert changed(before) == str(file)
    before = stamps()
    file.unlink()
    assert changed(before) in {str(file), str(file.parent)}
