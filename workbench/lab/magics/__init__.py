"""The magics of the TRII kernels: ``%asof``, ``%backtest``, ``%%backtest``, ``%catalog`` and ``%signals``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lab.magics.commands import WorkbenchMagics
from workbench.lab.magics.completion import complete_after
from workbench.lab.magics.sentences import fail_on_misuse

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["WorkbenchMagics", "load_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics to a shell: what ``%load_ext workbench.lab.magics`` calls."""
    magics = WorkbenchMagics(shell)
    shell.register_magics(magics)
    complete_after(shell, magics)
    fail_on_misuse(shell)
