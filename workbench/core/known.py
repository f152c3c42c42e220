"""Up to when this process may know: the limit that every read of data obeys.

The limit is the environment variable ``WORKBENCH_AS_OF`` and nothing else, and it is read at each read. So objects that
were made before it was set obey it, and runs, workers and commands that this process starts inherit it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.core.errors import DateRangeError, ParameterError, UnsupportedError

if TYPE_CHECKING:
    import pandas as pd

    from workbench.core.calendar import Moment

VARIABLE = "WORKBENCH_AS_OF"

LIFT = "lift the limit with bench.limit_as_of(None) or by unsetting WORKBENCH_AS_OF"

_STORING: ContextVar[bool] = ContextVar("storing", default=False)


def limit() -> pd.Timestamp | None:
    """Return the last moment of which this process may know, UTC, in microseconds; ``None`` without a limit.

    A date is its last moment, as ``as_of`` means it everywhere.

    Raises
    ------
    ParameterError
        If the variable holds no date.
    """
    text = os.environ.get(VARIABLE, "").strip()
    return _moment(text) if text else None


def set_limit(moment: Moment | None) -> None:
    """Set the limit, or lift it with ``None``.

    Raises
    ------
    DateRangeError
        If ``moment`` is no date.
    """
    if moment is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = last_moment(moment).isoformat()


def within(as_of: Moment | None, name: str = "as_of") -> Moment | None:
    """Return the ``as_of`` that a read must use: the one that it was given, else the limit.

    Parameters
    ----------
    as_of : date-like, optional
    name : str
        What an error calls it.

    Raises
    ------
    DateRangeError
        If it is later than the limit, or no date.
    """
    found = limit()
    if found is None or as_of is None:
        return found if as_of is None else as_of
    if last_moment(as_of) > found:
        raise DateRangeError(
            f"{name} {str(as_of)!r} is later than the limit {told(found)}; give an earlier one, or {LIFT}"
        )
    return as_of


def require_no_limit(what: str) -> None:
    """Raise under a limit, for a source that does not say since when its rows were known.

    Parameters
    ----------
    what : str
        The source, as the error begins.

    Raises
    ------
    UnsupportedError
    """
    found = None if _STORING.get() else limit()
    if found is not None:
        raise UnsupportedError(
            f"{what} does not say what was known by the limit {told(found)}; read what the store knew with bench.bars, "
            f"or {LIFT}"
        )


@contextmanager
def storing() -> Iterator[None]:
    """Let this thread read a source as it is, to store it: each row is kept with the moment at which it is learned."""
    token = _STORING.set(True)
    try:
        yield
    finally:
        _STORING.reset(token)


def last_moment(moment: Moment) -> pd.Timestamp:
    """Return the last moment of a date, or an instant itself: UTC, in microseconds, as the store keeps them.

    Raises
    ------
    DateRangeError
        If it is no date.
    """
    from workbench.core.calendar import instant

    return instant(moment, end_of_day=True).floor("us").as_unit("us")


def told(moment: pd.Timestamp) -> str:
    """Return a moment as errors write it."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


@lru_cache(maxsize=8)
def _moment(text: str) -> pd.Timestamp:
    try:
        return last_moment(text)
    except DateRangeError as error:
        raise ParameterError(f"{VARIABLE}={text!r} is no date; write it as 2012-03-01, or unset it") from error
