"""TRII Workbench: open investment research in Jupyter.

>>> import workbench as wb
>>> bench = wb.open()  # doctest: +SKIP

The names below are imported on first use, so that ``import workbench`` costs nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.analytics.signals import crossed_above, make_signals
    from workbench.backtest.strategies import strategy
    from workbench.bench import Workbench, open_workbench
    from workbench.bench import open_workbench as open
    from workbench.core.errors import WorkbenchError

__all__ = ["Workbench", "WorkbenchError", "crossed_above", "make_signals", "open", "open_workbench", "strategy"]

_HOMES = {
    "crossed_above": ("workbench.analytics.signals", "crossed_above"),
    "make_signals": ("workbench.analytics.signals", "make_signals"),
    "Workbench": ("workbench.bench", "Workbench"),
    "WorkbenchError": ("workbench.core.errors", "WorkbenchError"),
    "open": ("workbench.bench", "open_workbench"),
    "open_workbench": ("workbench.bench", "open_workbench"),
    "strategy": ("workbench.backtest.strategies", "strategy"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
