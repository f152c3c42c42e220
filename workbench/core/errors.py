"""Every error that the workbench raises on purpose.

::

    WorkbenchError
    ├── InputError                a request that cannot be answered as asked     (exit code 2)
    │   ├── UnknownNameError      a symbol, dataset, strategy, ... that is not there
    │   ├── DateRangeError        an empty or reversed range, a date that is none
    │   ├── ParameterError        a parameter unknown, mistyped or out of its range
    │   ├── UnsupportedError      something that this provider does not have
    │   ├── CredentialError       a key that is not there, or that is refused
    │   ├── CatalogError          a catalog that breaks its schema
    │   └── StrategyError         a strategy that raises, or gives something else than Signals
    └── FailureError              a sound request that could not be carried out  (exit code 1)
        ├── DataError             rows that break the rules of a frame
        ├── StoreError            a home or table that cannot be read or written
        ├── ProviderError         a source that does not answer, or not with what it documents
        │   └── RateLimitError    a source whose plan is used up for now
        ├── RunError              a notebook with a failed cell
        └── ServerError           a server that cannot start

A message is one sentence with the value at fault and, after a colon or semicolon, the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class WorkbenchError(Exception):
    """Root of the tree; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class InputError(WorkbenchError):
    """A request that cannot be answered as it was asked."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name that is not known, told with the nearest ones that are.

    Parameters
    ----------
    kind : str
        What the name should have been, such as ``"symbol"``.
    name : str
        The name as given.
    known : iterable of str
        The names that exist.
    where : str, optional
        The place that was searched, such as ``"dataset us_equities"``.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        names = sorted(known)
        lowered = {candidate.lower(): candidate for candidate in names}
        near = get_close_matches(str(name).lower(), lowered, n=3, cutoff=0.3)
        nearest = ", ".join(lowered[match] for match in near) or ", ".join(names[:8]) or "none"
        place = f" in {where}" if where else ""
        super().__init__(f"unknown {kind} {name!r}{place}; nearest known: {nearest}")


class DateRangeError(InputError):
    """An empty or reversed range, or a text that is no date."""


class ParameterError(InputError):
    """A parameter that is unknown, mistyped or out of its range."""


class UnsupportedError(InputError):
    """Something that this provider, stream or store does not have."""


class CredentialError(InputError):
    """A key that is not there, or that the source refuses; the key itself is never part of the text."""


class CatalogError(InputError):
    """A catalog file that breaks the schema of its entries."""


class StrategyError(InputError):
    """A strategy that raises, or that gives something else than Signals."""


class FailureError(WorkbenchError):
    """A sound request that could not be carried out."""


class DataError(FailureError):
    """Rows that break the rules of a frame."""


class StoreError(FailureError):
    """A home or a table that cannot be read or written."""


class ProviderError(FailureError):
    """A source of data that does not answer, or not with what it documents."""


class RateLimitError(ProviderError):
    """A source whose plan is used up for now."""


class RunError(FailureError):
    """A notebook run in which a cell failed.

    Attributes
    ----------
    cell : str
        The source of the cell.
    """

    def __init__(self, sentence: str, cell: str = "") -> None:
        super().__init__(sentence)
        self.cell = cell


class ServerError(FailureError):
    """A server that cannot start or stopped by itself."""
