"""Why values of a schedule cannot be used, in one sentence: what was given, and what may be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from workbench.core.spans import span_text

NAMED = (
    "take 1 to 63 letters of a to z, digits, dots, blanks, underscores and dashes, the first of them no blank or dash"
)
"""What a name may be, for an error."""

_KINDS = {
    "missing": "give it",
    "string_pattern_mismatch": NAMED,
    "string_too_short": "write something",
    "too_short": "give at least one",
    "string_type": "give a text",
    "tuple_type": "give a list",
    "path_type": "give a path",
    "finite_number": "give a finite number",
    "invalid-json-value": "give a value of JSON: a text, a number, true, false, null, or a list or an object of those",
}
"""What to do, by pydantic's kinds of errors."""


def sentence(error: ValidationError, model: type[BaseModel], what: str) -> str:
    """Return what is wrong with the first value that is.

    Parameters
    ----------
    error : pydantic.ValidationError
    model : type of BaseModel
        That was to be made.
    what : str
        What it is called, such as ``"policies"``.
    """
    first = error.errors()[0]
    kind, place = str(first["type"]), [str(part) for part in first["loc"]]
    if kind == "value_error":
        reason = str(first["msg"]).removeprefix("Value error, ")
        return f"the values of the {what} cannot be used: {reason}"
    # Parts of a union are pydantic's own, and the place within a list tells no more than the value does.
    name = ".".join(part for part in place if part.isidentifier() and part not in ("float", "int", "str"))
    if kind == "missing":
        return f"{name} of the {what} is missing; give it"
    field = _field(model, place)
    if kind == "extra_forbidden":
        near = get_close_matches(place[-1], field, n=3, cutoff=0.5) or sorted(field)
        return f"{name}={_shown(first['input'])} of the {what} is not known; nearest known: {', '.join(near)}"
    return f"{name}={_shown(first['input'])} of the {what} cannot be used; {_remedy(kind, first, field)}"


def _remedy(kind: str, error: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    if kind == "literal_error":
        return f"choose {error['ctx']['expected']}"
    if kind in _KINDS:
        return _KINDS[kind]
    if field.get("type") == "boolean":
        return "give true or false"
    if field.get("type") == "integer":
        return f"give a whole number from {field['minimum']} to {field['maximum']}"
    if (least := _bound(error, "ge", "gt")) is not None:
        return f"give {least}"
    if (most := _bound(error, "le", "lt")) is not None:
        return f"give {most} at most"
    message = str(error["msg"])
    return f"it must be otherwise: {message[:1].lower()}{message[1:]}"


def _bound(error: Mapping[str, Any], closed: str, opened: str) -> str | None:
    ctx = error.get("ctx") or {}
    if closed in ctx:
        return f"{ctx[closed]} or more" if closed == "ge" else str(ctx[closed])
    return f"more than {ctx[opened]}" if opened in ctx else None


def _field(model: type[BaseModel], place: list[str]) -> dict[str, Any]:
    """Return what the schema says of the field at a place; of an unknown one, the fields that there are."""
    schema = model.model_json_schema()
    found: dict[str, Any] = schema
    for part in place:
        fields = found.get("properties", {})
        if part not in fields:
            return dict(fields) or found
        found = fields[part]
        choices: list[dict[str, Any]] = [found, *found.get("anyOf", [])]
        if reference := next((each["$ref"] for each in choices if "$ref" in each), None):
            found = schema["$defs"][reference.rpartition("/")[2]]
    return found


def _shown(value: Any) -> str:
    return span_text(value) if isinstance(value, timedelta) else repr(value)[:80]
