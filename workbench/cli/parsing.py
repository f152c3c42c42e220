"""What the commands share: the bench, and texts of the command line as values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workbench.core.errors import ParameterError

if TYPE_CHECKING:
    from workbench.bench import Workbench


def open_bench() -> Workbench:
    """Return the workbench of the settings."""
    from workbench.bench import open_workbench

    return open_workbench()


def values(name: str, text: str) -> list[str] | range:
    """Read ``5:55:5`` as a range whose end is left out, or ``10,20,50`` as a list."""
    if ":" not in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return range(*(int(part) for part in text.split(":")))
    except (ValueError, TypeError) as error:
        raise ParameterError(
            f"{text!r} is no range of whole numbers for {name!r}; write start:stop:step, such as 5:55:5, or 0.1,0.2"
        ) from error


def json_object(text: str | None) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is no text."""
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParameterError(
            f'-P is no JSON ({error}); write an object, such as \'{{"symbols": ["AAPL"]}}\''
        ) from error
    if not isinstance(value, dict):
        raise ParameterError(
            f"-P must be a JSON object, not {text}; write names and values, such as '{{\"year\": 2012}}'"
        )
    return value
