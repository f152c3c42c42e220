"""The parameters that a notebook declares, and values checked against them.

A notebook declares parameters as assignments in its cell with the tag ``parameters``, such as
``symbols: list[str] = ["AAPL"]``. Papermill escapes values but pastes *names* into code, so only declared names are let
through. Nothing of the notebook is executed here: the cell is parsed, and a type is one of a few known ones.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import GenericAlias
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from workbench.core.errors import ParameterError, UnknownNameError

if TYPE_CHECKING:
    from nbformat import NotebookNode

_TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "dict": dict,
    "None": None,
}
_STRICT = ConfigDict(strict=True)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a notebook: its name, type and default value."""

    name: str
    type: Any
    default: Any


def declared_parameters(notebook: NotebookNode) -> dict[str, Parameter]:
    """Return the parameters that a notebook declares, by name.

    Raises
    ------
    ParameterError
        If the parameters cell is no valid Python.
    """
    found: dict[str, Parameter] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or "parameters" not in cell.metadata.get("tags", []):
            continue
        try:
            body = ast.parse(cell.source).body
        except SyntaxError as error:
            raise ParameterError(
                f"the parameters cell is no valid Python ({error.msg}, line {error.lineno}); mend it"
            ) from error
        for statement in body:
            parameter = _parameter(statement)
            if parameter:
                found[parameter.name] = parameter
    return found


def check_parameters(notebook: NotebookNode, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the given values in their declared types.

    A text for a parameter that is no text is read as JSON, or split at commas for a list.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    given : mapping
        Values by name; texts come from a command line.
    where : str
        The notebook's name for an error.

    Raises
    ------
    UnknownNameError
        For a name that the notebook does not declare.
    ParameterError
        For a value that is not of the declared type.
    """
    declared = declared_parameters(notebook)
    values = {}
    for name, value in given.items():
        if name not in declared:
            raise UnknownNameError("parameter", name, declared, where=where)
        values[name] = _typed(declared[name], value, where)
    return values


def _parameter(statement: ast.stmt) -> Parameter | None:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        kind = _annotated(statement.annotation)
        return Parameter(statement.target.id, kind, _literal(statement.value))
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        default = _literal(statement.value)
        return Parameter(statement.targets[0].id, Any if default is None else type(default), default)
    return None


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return None


def _annotated(node: ast.expr) -> Any:
    """Return the type that an annotation names; ``Any`` for one that is not known."""
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.Name):
        return _TYPES.get(node.id, Any)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if (node.value.id, len(items)) in (("list", 1), ("dict", 2)):
            return GenericAlias(_TYPES[node.value.id], tuple(_annotated(item) for item in items))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        left, right = _annotated(node.left), _annotated(node.right)
        return left if left is right else left | right
    return Any


def _typed(parameter: Parameter, value: Any, where: str) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(parameter.type, config=None if parameter.type is Any else _STRICT)
    fault: ValidationError | None = None
    for candidate in _readings(parameter, value):
        try:
            return adapter.validate_python(candidate)
        except ValidationError as error:
            fault = fault or error
    name = getattr(parameter.type, "__name__", str(parameter.type))
    name = str(parameter.type) if "[" in str(parameter.type) else name
    raise ParameterError(
        f"parameter {parameter.name!r} of {where} is a {name}, not {value!r}; give such a value"
    ) from fault


def _readings(parameter: Parameter, value: Any) -> list[Any]:
    """Return what a value can mean, the likeliest first."""
    if not isinstance(value, str) or parameter.type is str:
        return [value]
    try:
        meant = [json.loads(value)]
    except json.JSONDecodeError:
        meant = []
    if str(parameter.type).startswith(("list", "<class 'list'")):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        meant += [parts, [_json_or_text(part) for part in parts]]
    return [*meant, value]


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
