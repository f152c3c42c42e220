"""One catalog file: YAML of plain values, checked against the schema of ``workbench.data.entries``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from workbench.core.errors import CatalogError
from workbench.data.entries import CatalogFile

LARGEST = 100_000
"""Values in a file, at most; aliases in YAML can make a short file endless."""


class _Loader(yaml.SafeLoader):
    """YAML of plain values, in which a key stands once."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.YAMLError(f"{key.value!r} stands twice in one place, line {key.start_mark.line + 1}")
            seen.add(str(key.value))
        return node


def read_catalog_file(path: Path) -> CatalogFile:
    """Read and check a file.

    Raises
    ------
    CatalogError
        If it cannot be read or an entry breaks the schema; the message names the entry and the fault.
    """
    content = _content(path)
    try:
        return CatalogFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        told = first["msg"].removeprefix("Value error, ")
        raise CatalogError(f"catalog {path}: {where}: {told}; mend or remove this entry") from error


def _content(path: Path) -> Any:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
        _check_size(content)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise CatalogError(f"catalog {path} cannot be read ({' '.join(str(error).split())}); mend the file") from error
    return content


def _check_size(content: Any) -> None:
    waiting, seen = [content], 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if seen > LARGEST:
            raise ValueError(f"it has more than {LARGEST} values")
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set):
            waiting += value
