"""TRII Workbench: open investment research in Jupyter.

>>> import workbench as wb
>>> bench = wb.open()  # doctest: +SKIP

The names below are imported on first use, so that ``import workbench`` costs nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.analytics.signals import crossed_above, make_signals, make_weights
    from workbench.backtest.currency import convert
    from workbench.backtest.diff import diff
    from workbench.backtest.strategies.combined import combine
    from workbench.backtest.strategies.outside import signals_from, target_weights
    from workbench.backtest.strategy import strategy
    from workbench.bench import Workbench, open_workbench
    from workbench.bench import open_workbench as open
    from workbench.core.errors import WorkbenchError

__all__ = [
    "Workbench",
    "WorkbenchError",
    "combine",
    "convert",
    "crossed_above",
    "diff",
    "make_signals",
    "make_weights",
    "open",
    "open_workbench",
    "signals_from",
    "strategy",
    "target_weights",
]

_HOMES = {
    "Workbench": ("workbench.bench", "Workbench"),
    "WorkbenchError": ("workbench.core.errors", "WorkbenchError"),
    "combine": ("workbench.backtest.strategies.combined", "combine"),
    "convert": ("workbench.backtest.currency", "convert"),
    "crossed_above": ("workbench.analytics.signals", "crossed_above"),
    "diff": ("workbench.backtest.diff", "diff"),
    "make_signals": ("workbench.analytics.signals", "make_signals"),
    "make_weights": ("workbench.analytics.signals", "make_weights"),
    "open": ("workbench.bench", "open_workbench"),
    "open_workbench": ("workbench.bench", "open_workbench"),
    "signals_from": ("workbench.backtest.strategies.outside", "signals_from"),
    "strategy": ("workbench.backtest.strategy", "strategy"),
    "target_weights": ("workbench.backtest.strategies.outside", "target_weights"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
