"""What Tab offers after a magic: strategies, and the symbols that are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.core.errors import WorkbenchError
from workbench.core.plugins import available

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from workbench.lab.magics.commands import WorkbenchMagics


def complete_after(shell: InteractiveShell, magics: WorkbenchMagics) -> None:
    """Offer names after the magics."""

    def offer(_shell: Any, event: Any) -> list[str]:
        words = event.text_until_cursor.split()
        before = words[:-1] if event.symbol else words
        if not before:
            # Still at the magic itself.
            return []
        try:
            return _names(magics, before)
        except WorkbenchError:
            # Tab is no question that could be answered with an error.
            return []

    for name in ("%backtest", "%%backtest", "%signals"):
        shell.set_hook("complete_command", offer, str_key=name)


def _names(magics: WorkbenchMagics, before: list[str]) -> list[str]:
    from workbench.backtest.strategy import GROUP

    bench = magics.bench
    if before[-1] == "--dataset":
        return list(bench.catalog.search(kind="bars"))
    if before[-1] == "--strategy" or before == ["%backtest"]:
        return sorted(available(GROUP))
    if before[-1].startswith("-"):
        return []
    dataset = bench.settings.dataset
    if "--dataset" in before[:-1]:
        dataset = before[before.index("--dataset") + 1]
    # A dataset that is not stored would have to be loaded first.
    return bench.symbols(dataset) if bench.market.store.has(dataset) else []
