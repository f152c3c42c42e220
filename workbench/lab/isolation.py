"""A Jupyter of its own: nothing of the user's Jupyter is read or written."""

from __future__ import annotations

import os
import site
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.core.files import socket_folder


@contextmanager
def own_jupyter(state: Path) -> Iterator[Path]:
    """Point Jupyter and IPython, in this process and its children, at folders under ``state``.

    Sockets lie in a fresh folder that only this user can enter; it is removed at the end.

    Yields
    ------
    Path
        The folder for sockets.
    """
    for name in [name for name in os.environ if name.startswith(("JUPYTER", "IPYTHON"))]:
        del os.environ[name]
    with socket_folder() as runtime:
        os.environ |= {
            "JUPYTER_CONFIG_DIR": str(state / "config"),
            "JUPYTER_DATA_DIR": str(state / "data"),
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTER_PLATFORM_DIRS": "0",
            "JUPYTERLAB_SETTINGS_DIR": str(state / "lab" / "user-settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(state / "lab" / "workspaces"),
            "IPYTHONDIR": str(state / "ipython"),
        }
        # jupyter_core looks into ~/.local only where Python would, too.
        site.ENABLE_USER_SITE = False
        for folder in ("config", "data", "ipython"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        yield runtime
