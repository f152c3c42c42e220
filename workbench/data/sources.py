"""What sources say now: providers, series, quotes; under the limit of the process only what was known by then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench.core.errors import DateRangeError
from workbench.core.known import LIFT, limit, require_no_limit, storing, told
from workbench.core.settings import Settings
from workbench.data.catalog import DataCatalog
from workbench.data.providers.base import Provider, Table, quote_table
from workbench.data.providers.opening import open_provider
from workbench.data.store import BarStore

if TYPE_CHECKING:
    from workbench.data.live.quotes import QuoteCache


class Sources:
    """The sources behind the datasets of a catalog.

    Parameters
    ----------
    settings : Settings
    catalog : DataCatalog
    store : BarStore
    """

    def __init__(self, settings: Settings, catalog: DataCatalog, store: BarStore) -> None:
        self.settings = settings
        self.catalog = catalog
        self.store = store

    def provider(self, name: str, dataset: str | None = None) -> Provider:
        """Open a provider; with a dataset, over its table in the catalog.

        Raises
        ------
        UnsupportedError
            Under the limit of the process: a provider answers with what its source says now. One that was opened
            before the limit was set raises it at each question.
        """
        require_no_limit(f"provider {name!r}")
        return _obeying(self._source(name, dataset), f"provider {name!r}, opened before it was set,")

    def series(self, provider: str, name: str, start: date | None = None, end: date | None = None) -> pd.DataFrame:
        """Ask a provider for a series; under the limit of the process, for the values that were published by then.

        Raises
        ------
        UnsupportedError
            If there is a limit and the source does not say when its values were published.
        DateRangeError
            If none was published by the limit.
        """
        return _published(self._source(provider).series(name, start, end), f"series {name!r} of {provider!r}")

    def quotes(self, provider: str, symbols: Sequence[str] | str) -> pd.DataFrame:
        """Return the latest prices, at most a few seconds old; see ``workbench.data.providers.base.quote_table``.

        Raises
        ------
        UnsupportedError
            Under the limit of the process.
        """
        names = [symbols] if isinstance(symbols, str) else list(symbols)
        return quote_table(self._quotes.quotes(self.provider(provider), names))

    def _source(self, name: str, dataset: str | None = None) -> Provider:
        """Open a provider whose answers are stored, or cut by when they were known."""
        table = None
        if dataset is not None:
            table = Table(dataset, self.catalog.about(dataset), lambda: self._table(dataset))
        return open_provider(name, self.settings, self.store.clock, table)

    def _table(self, dataset: str) -> pd.DataFrame:
        with storing():
            rows: pd.DataFrame = self.catalog[dataset].read()
        return rows

    @cached_property
    def _quotes(self) -> QuoteCache:
        from workbench.data.live.quotes import open_quotes

        return open_quotes(self.settings.redis_url, clock=self.store.clock)


def _obeying(provider: Provider, what: str) -> Provider:
    for name in provider.offers():
        setattr(provider, name, _refused_under_a_limit(getattr(provider, name), what))
    return provider


def _refused_under_a_limit(question: Callable[..., Any], what: str) -> Callable[..., Any]:
    @wraps(question)
    def ask(*args: Any, **kwargs: Any) -> Any:
        require_no_limit(what)
        return question(*args, **kwargs)

    return ask


def _published(series: pd.DataFrame, name: str) -> pd.DataFrame:
    ends = limit()
    if ends is None:
        return series
    if "published" not in series or series["published"].isna().all():
        require_no_limit(name)
    # What does not say when it was published, such as what is older than an archive, is left out.
    found = series[series["published"] <= ends].reset_index(drop=True)
    if found.empty:
        raise DateRangeError(f"nothing of {name} was published by the limit {told(ends)}; {LIFT}")
    return found
