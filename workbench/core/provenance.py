"""Where a figure comes from: data, code, parameters, moment."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

LIBRARIES = ("numpy", "pandas", "xarray", "ta-lib", "vectorbt")
"""The packages whose version can change a number."""


@cache
def code_version() -> str:
    """Return the version of the workbench."""
    return version("trii-workbench")


@cache
def library_versions() -> dict[str, str]:
    """Return the versions of the packages that numbers depend on, and of Python."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a figure was made from.

    Attributes
    ----------
    data : mapping
        Dataset, its version in the store, symbols, first and last bar, adjustment and ``as_of``.
    parameters : mapping
        Everything that was chosen: the strategy's parameters, costs, direction, fill.
    created : datetime
        When the figure was made, UTC.
    seed : int, optional
        The seed of whatever was random; ``None`` where nothing was.
    code : str
        Version of the workbench.
    libraries : mapping
        Versions of the packages that numbers depend on.
    """

    data: Mapping[str, Any]
    parameters: Mapping[str, Any]
    created: datetime
    seed: int | None = None
    code: str = field(default_factory=code_version)
    libraries: Mapping[str, str] = field(default_factory=library_versions)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {**asdict(self), "created": self.created.isoformat()}
