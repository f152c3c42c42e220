"""The kernel process: IPython with a profile's namespace and magics, and with nothing of it listening on TCP.

With the ``ipc`` transport a kernel's channels are sockets in a private folder, but ipykernel still binds one TCP port,
for output of forked children. Here that port is left out; a forked child's output stays in the child.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ipykernel import kernelapp
from ipykernel.ipkernel import IPythonKernel

from workbench.core.errors import WorkbenchError
from workbench.lab.kernels.banner import banner
from workbench.lab.kernels.output import CuttingOutStream, PortlessIOPubThread, most_output
from workbench.lab.kernels.profiles import PROFILES, Profile

ASKING_AT_IMPORT = ("tqdm.auto", "tqdm.autonotebook")
"""What a notebook imports anew: while it is imported it chooses between text and widget."""

INTERRUPTED = "KeyboardInterrupt caught in kernel"
"""What ipykernel logs of an interrupt that comes between two cells."""


class WorkbenchKernel(IPythonKernel):
    """IPython that says in one line which data, device and date it works with."""

    profile: Profile

    @property
    def banner(self) -> str:  # type: ignore[override] # ipykernel's own is a property, too
        """What a console shows at the top."""
        shell: Any = self.shell
        return banner(shell.user_ns.get("bench"), self.profile)


class WorkbenchKernelApp(kernelapp.IPKernelApp):
    """ipykernel's application, without its hints for somebody who started it in a terminal."""

    def log_connection_info(self) -> None:
        """Say nothing: whoever starts it knows where it is."""


def start_kernel(profile: Profile, arguments: Sequence[str]) -> None:
    """Run a kernel until it is shut down.

    Parameters
    ----------
    profile : Profile
    arguments : sequence of str
        ipykernel's own, such as ``-f CONNECTION_FILE``.
    """
    sys.argv = [__file__, *arguments]
    kernelapp.IOPubThread = PortlessIOPubThread  # type: ignore[attr-defined]
    kernel_class = type("WorkbenchKernel", (WorkbenchKernel,), {"profile": profile})
    app: Any = WorkbenchKernelApp.instance(kernel_class=kernel_class)
    if most_output(os.environ) is not None:
        app.outstream_class = f"{CuttingOutStream.__module__}.{CuttingOutStream.__qualname__}"
    # Whoever shuts a kernel down interrupts it first: an idle one has no error to tell then.
    app.log.addFilter(lambda record: str(record.msg).rstrip(".") != INTERRUPTED)
    app.initialize(list(arguments))
    _look_again(app.shell)
    shell = app.shell
    shell.extension_manager.load_extension("workbench.lab.magics")
    for what, names in profile.prepare:
        _attempt(app, what, partial(_push, shell, names))
    _attempt(app, "guard of each cell", partial(profile.attend, shell))
    app.start()


def _push(shell: Any, names: Callable[[], Mapping[str, Any]]) -> None:
    shell.push(dict(names()), interactive=False)


def _attempt(app: Any, what: str, prepare: Callable[[], object]) -> None:
    """Prepare a part of the notebook; where that fails, the notebook says so, and the kernel runs without that part."""
    try:
        prepare()
    except WorkbenchError as error:
        _tell_once(app.shell, f"{error}; until then there is no {what} in this notebook")
    except Exception as error:  # a broken library, a disk: a kernel that ends would be started again and again
        app.log.exception("a part of the notebook could not be prepared: %s", what)
        _tell_once(app.shell, f"{type(error).__name__}: {error}; until then there is no {what} in this notebook")


def _look_again(shell: Any) -> None:
    """Let those look again that look for a notebook when they are imported: in a warm process there was none."""
    for name in ASKING_AT_IMPORT:
        sys.modules.pop(name, None)
    if pictures := sys.modules.get("plotly.io._renderers"):
        sys.modules["plotly.io"].renderers = importlib.reload(pictures).renderers  # type: ignore[attr-defined]
    if hvplot := sys.modules.get("hvplot"):
        # Its own way in a notebook: each cell that imports hvplot.pandas prepares the page, also when it is run again.
        loaded = hvplot._module_extensions
        shell.events.register("pre_run_cell", lambda _info: [sys.modules.pop(name, None) for name in loaded])


def _tell_once(shell: Any, sentence: str) -> None:
    """Say with the first cell what kept the namespace from being prepared: before it, nobody would see it."""

    def tell(_info: Any) -> None:
        shell.events.unregister("pre_run_cell", tell)
        print(sentence, file=sys.stderr)  # noqa: T201 - it goes to the notebook

    shell.events.register("pre_run_cell", tell)


def main() -> None:
    """Run a cold kernel; the arguments are ``--profile NAME -f CONNECTION_FILE``."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--profile", choices=PROFILES, default="workbench")
    chosen, rest = parser.parse_known_args()
    start_kernel(PROFILES[chosen.profile], rest)


if __name__ == "__main__":
    main()
