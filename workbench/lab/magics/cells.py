"""The cell of ``%%backtest``: run in the notebook, and searched for the strategy that it defines."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from workbench.core.errors import ParameterError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from workbench.backtest.strategy import Strategy


def strategy_of(shell: InteractiveShell, cell: str) -> Strategy:
    """Run a cell in the notebook's namespace and return the one strategy that it defines.

    Parameters
    ----------
    shell : InteractiveShell
    cell : str
        A function decorated with ``wb.strategy``, or a plain one of Bars and of parameters with types and defaults;
        beside what it needs.

    Raises
    ------
    ParameterError
        If the cell defines no strategy or several, or the function cannot be one.
    """
    __tracebackhide__ = True
    source = shell.transform_cell(cell)
    # Known by a name to linecache, so that a traceback shows the cell's lines.
    name = shell.compile.cache(source, shell.execution_count, raw_code=cell)
    tree = shell.transform_ast(shell.compile.ast_parse(source, filename=name))
    _execute(shell.compile(tree, name, "exec"), shell.user_ns)
    return defined(tree, shell.user_ns)


def _execute(code: CodeType, namespace: dict[str, Any]) -> None:
    __tracebackhide__ = True
    exec(code, namespace)  # noqa: S102 - the notebook's own cell


def defined(tree: ast.Module, namespace: Mapping[str, Any]) -> Strategy:
    """Return the one strategy among what a module's top level has bound.

    Raises
    ------
    ParameterError
    """
    from workbench.backtest.strategy import Strategy, strategy

    bound = {name: namespace[name] for name in _bound(tree) if name in namespace}
    made = {id(value): value for value in bound.values() if isinstance(value, Strategy)}
    if not made:
        plain = [value for name, value in bound.items() if isinstance(value, FunctionType) and not name.startswith("_")]
        rules = [value for value in plain if _takes_bars(value)] if len(plain) > 1 else plain
        made = {id(rule): strategy(rule) for rule in rules}
    if not made:
        raise ParameterError("the cell defines no strategy; write a function of bars that returns wb.make_signals(...)")
    if len(made) > 1:
        names = ", ".join(each.name for each in made.values())
        raise ParameterError(
            f"the cell defines {len(made)} strategies ({names}); decorate the one that is meant, alone"
        )
    return next(iter(made.values()))


def _bound(tree: ast.Module) -> list[str]:
    names: dict[str, None] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            names[statement.name] = None
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names |= {target.id: None for target in targets if isinstance(target, ast.Name)}
    return list(names)


def _takes_bars(function: FunctionType) -> bool:
    return next(iter(inspect.signature(function).parameters), "") == "bars"
