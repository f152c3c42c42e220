"""Whether what a process has loaded is still what is installed."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from workbench.lab.kernels.profiles import READ_AHEAD

Stamps = dict[str, tuple[int, int]]


def stamps() -> Stamps:
    """Return time and size of what would change if the environment did.

    Installing or removing a package changes the folder of packages itself. Code outside of it (a checkout, a plugin
    that is being written) is looked at file by file, as far as this process has loaded it, and so are the settings that
    libraries read while they are imported.
    """
    installed = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    own = {file for file in files if file and not any(file.startswith(f"{folder}/") for folder in installed)}
    return {path: _stamp(path) for path in {*installed, sys.executable, *own, *_settings()}}


def changed(before: Stamps) -> str | None:
    """Return the first path that is no longer as it was, or ``None``."""
    return next((path for path, stamp in before.items() if _stamp(path) != stamp), None)


def _settings() -> Iterator[str]:
    """Name the files of settings, and the folders where another could be added.

    Source of the places that variables give: ``dask.config._get_paths`` and ``matplotlib.matplotlib_fname``.
    """
    told = {name: Path(value) for name, value in os.environ.items() if value}
    places = [
        *(Path.home() / name for name in READ_AHEAD),
        told.get("DASK_ROOT_CONFIG", Path("/etc/dask")),
        Path(sys.prefix, "etc", "dask"),
        *(told[name] for name in ("DASK_CONFIG", "MATPLOTLIBRC") if name in told),
        *(told[name] / "matplotlibrc" for name in ("MATPLOTLIBRC", "MPLCONFIGDIR") if name in told),
        *(told[name] / "matplotlib" / "matplotlibrc" for name in ("XDG_CONFIG_HOME",) if name in told),
    ]
    for place in places:
        yield str(place)
        # A file that is written anew does not change the time of its folder.
        yield from map(str, place.glob("*"))


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError:
        return (0, 0)
    # A folder's size says nothing of what lies in it.
    return found.st_mtime_ns, 0 if Path(path).is_dir() else found.st_size
