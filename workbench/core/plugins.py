"""The one door for plugins: entry points. Built-ins come through it like a stranger's package.

Groups: ``workbench.providers`` and ``workbench.streams`` (market data), ``workbench.strategies``,
``workbench.alert_rules``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from workbench.core.errors import FailureError, UnknownNameError


@contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """Import what an extra brings; without it, say what to install.

    Raises
    ------
    FailureError
    """
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"{purpose} needs {error.name}; install it with: pip install 'trii-workbench[{name}]'"
        raise FailureError(message) from error


def available(group: str) -> dict[str, EntryPoint]:
    """Return the plugins of a group by name, none of them loaded.

    A package that is installed while this process runs is seen by the next one.
    """
    return dict(_installed(group, tuple(sys.path)))


@cache
def _installed(group: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:  # noqa: ARG001 - where they are looked for
    # Reading what every installed package says of itself takes some 25 ms.
    return {point.name: point for point in entry_points(group=group)}


def load(group: str, kind: str, name: str) -> Any:
    """Load one plugin.

    Parameters
    ----------
    group : str
        The entry-point group, such as ``"workbench.strategies"``.
    kind : str
        The word for it in an error, such as ``"strategy"``.
    name : str
        The plugin's name.

    Raises
    ------
    UnknownNameError
        If no installed package offers it.
    FailureError
        If it cannot be imported.
    """
    points = available(group)
    if name not in points:
        raise UnknownNameError(kind, name, points)
    try:
        return points[name].load()
    except Exception as error:
        message = f"{kind} {name!r} cannot be loaded from {points[name].value} ({error}); repair or remove its package"
        raise FailureError(message) from error
