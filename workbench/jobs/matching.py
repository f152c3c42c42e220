"""Whether a row of a run is what somebody looks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa


def text_of(value: Any) -> str:
    """Return a parameter's value as people write it: a list's items after commas, a text without quotes."""
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    return value if isinstance(value, str) else str(value)


def is_notebook(row: sa.Row[Any], notebook: str | Path | None) -> bool:
    """Say whether a run's notebook is the one that is meant by its name or its path; ``None`` is any."""
    if notebook is None:
        return True
    path = Path(row.notebook)
    return str(notebook) in (str(path), path.name, path.stem)


def has_parameters(row: sa.Row[Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether a run was given all these values; see ``History.search``."""
    return all(
        any(name in given and _is_value(given[name], value) for given in (row.resolved or {}, row.parameters))
        for name, value in wanted.items()
    )


def _is_value(given: Any, wanted: Any) -> bool:
    if given == wanted and isinstance(given, bool) == isinstance(wanted, bool):
        return True
    told = text_of(wanted).casefold()
    return text_of(given).casefold() == told or (
        isinstance(given, list) and any(_is_value(item, wanted) for item in given)
    )


def has_text(row: sa.Row[Any], text: str | None) -> bool:
    """Say whether a text is in what a run tells of itself; an empty one always is."""
    if not text:
        return True
    wanted = text.casefold()
    given = {**row.parameters, **(row.resolved or {})}
    parameters = " ".join(f"{name}={text_of(value)}" for name, value in given.items())
    told = (row.name, Path(row.notebook).name, parameters, row.reason or "")
    return row.id.startswith(wanted) or any(wanted in each.casefold() for each in told)
