"""Names and values as people write them, on the command line and on a magic's line."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from workbench.core.errors import ParameterError


def option(name: str) -> str:
    """Return the option of a name: ``"--stop-loss"`` for ``"stop_loss"``."""
    return f"--{name.replace('_', '-')}"


def named(pairs: Iterable[tuple[str, str]], options: Collection[str] = ()) -> dict[str, Any]:
    """Return pairs of a parameter's name and its text as a dict, which can be spread as keyword arguments.

    Parameters
    ----------
    pairs : iterable of (str, str)
    options : collection of str
        Names that are options and so no parameters.

    Raises
    ------
    ParameterError
        For a name given twice, or one that is an option.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ParameterError(f"parameter {name!r} is given twice; give it once")
        if name in options:
            raise ParameterError(
                f"{name!r} is an option, not a parameter of the strategy; write {option(name)} {value}"
            )
        found[name] = value
    return found
