"""The contract of a provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pandas as pd
from intake.readers.entry import Catalog


@dataclass(frozen=True, slots=True)
class History:
    """What a provider knows of a dataset.

    Attributes
    ----------
    bars : pandas.DataFrame
        Columns ``symbol``, ``time`` (UTC, aware; the session's close, ``NaT`` where a row's date is no session),
        ``date`` (as the source wrote it) and ``open high low close volume`` (float64, NaN where the source has none),
        as the source gives them.
    actions : pandas.DataFrame
        Columns ``symbol``, ``time`` (the ex-date's bar), ``kind`` (``"split"`` or ``"dividend"``), ``value`` (the
        ratio, or currency per share in the shares of ``bars``).
    """

    bars: pd.DataFrame
    actions: pd.DataFrame


class Provider(Protocol):
    """A source of market data."""

    def history(self, catalog: Catalog, dataset: str) -> History:
        """Return everything that the source has of a dataset."""
        ...
