"""The latest quotes through a cache: a provider is asked only for what is missing or too old, and once for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from workbench.core.clock import Clock, utc_now
from workbench.core.errors import FailureError, ParameterError
from workbench.core.market import check_symbol
from workbench.data.live.board import MISSING, told
from workbench.data.live.wire import quote_from_json, quote_to_json
from workbench.data.providers.base import Provider, Quote

if TYPE_CHECKING:
    from redis import Redis

Known = Mapping[str, Quote | None]
"""Quotes by symbol; ``None`` for a symbol of which the provider has none."""


class Shelf(Protocol):
    """Where quotes are kept for some seconds."""

    def read(self, provider: str, symbols: Collection[str]) -> Known:
        """Return what is kept of some symbols and is not too old."""

    def write(self, provider: str, quotes: Known) -> None:
        """Keep some quotes."""


class ProcessShelf:
    """Quotes in this process.

    Parameters
    ----------
    seconds : float
        How long a quote is kept.
    clock : callable
        The present instant.
    """

    def __init__(self, seconds: float, clock: Clock = utc_now) -> None:
        self._kept: dict[tuple[str, str], tuple[datetime, Quote | None]] = {}
        self._lock = threading.Lock()
        self._life, self._clock = timedelta(seconds=seconds), clock

    def read(self, provider: str, symbols: Collection[str]) -> Known:
        """Return what is kept of some symbols and is not too old."""
        now = self._clock()
        with self._lock:
            found = {symbol: self._kept.get((provider, symbol)) for symbol in symbols}
        return {symbol: kept[1] for symbol, kept in found.items() if kept and now < kept[0]}

    def write(self, provider: str, quotes: Known) -> None:
        """Keep some quotes, and forget what is too old."""
        now = self._clock()
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if now < kept[0]}
            self._kept |= {(provider, symbol): (now + self._life, quote) for symbol, quote in quotes.items()}


class RedisShelf:
    """Quotes in Redis, for all processes that have the same one; keys ``workbench:quotes:PROVIDER:SYMBOL``.

    Parameters
    ----------
    url : SecretStr
        Where Redis is; it may hold a password and is never shown.
    seconds : float
        How long a quote is kept.

    Raises
    ------
    ParameterError
        If the address is none.
    FailureError
        Without the package redis.
    """

    def __init__(self, url: SecretStr, seconds: float) -> None:
        try:
            from redis import Redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise FailureError(MISSING) from error
        try:
            # One try more at once, for a connection that broke while idle.
            self._redis: Redis = Redis.from_url(
                url.get_secret_value(), retry=Retry(NoBackoff(), 1), socket_timeout=5, socket_connect_timeout=5
            )
        except ValueError:
            raise ParameterError("redis_url is no address of a Redis; write redis://host:6379/0") from None
        self._milliseconds = max(int(seconds * 1000), 1)

    def read(self, provider: str, symbols: Collection[str]) -> Known:
        """Return what is kept of some symbols.

        Raises
        ------
        ProviderError
            If Redis does not answer.
        """
        names = list(symbols)
        texts = self._call(lambda: self._redis.mget([_key(provider, name) for name in names])) if names else []
        found: dict[str, Quote | None] = {}
        for name, text in zip(names, texts, strict=True):
            if text is not None:
                try:
                    found[name] = quote_from_json(text)
                except ValueError:
                    # Not one of ours; the provider is asked.
                    continue
        return found

    def write(self, provider: str, quotes: Known) -> None:
        """Keep some quotes."""
        pipeline = self._redis.pipeline(transaction=False)
        for symbol, quote in quotes.items():
            pipeline.set(_key(provider, symbol), quote_to_json(quote), px=self._milliseconds)
        self._call(pipeline.execute)

    def _call(self, command: Callable[[], object]) -> list[bytes | None]:
        from redis.exceptions import RedisError

        try:
            return command()  # type: ignore[return-value]
        except RedisError as error:
            raise told(error) from None


def _key(provider: str, symbol: str) -> str:
    return f"workbench:quotes:{provider}:{symbol}"


class QuoteCache:
    """The latest quotes, none older than some seconds.

    Threads that ask for the same symbol at the same time share one request.

    Parameters
    ----------
    shelf : Shelf
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._asked: dict[tuple[str, str], Future[Quote | None]] = {}
        self._lock = threading.Lock()

    def quotes(self, provider: Provider, symbols: Sequence[str]) -> list[Quote]:
        """Return the latest quote of each symbol that the provider knows, in the order asked.

        Raises
        ------
        InputError
            For a text that can be no symbol.
        UnsupportedError
            If the provider has no quotes.
        ProviderError
            If the provider does not answer; all who waited for the same request get it.
        """
        names = list(dict.fromkeys(check_symbol(symbol) for symbol in symbols))
        waited: dict[str, Future[Quote | None]] = {}
        with self._lock:
            # Looked up under the lock: between a look and a request another thread could ask for the same.
            found = dict(self._shelf.read(provider.name, names))
            missing = [name for name in names if name not in found]
            waited = {name: self._asked[key] for name in missing if (key := (provider.name, name)) in self._asked}
            mine = {name: Future[Quote | None]() for name in missing if name not in waited}
            self._asked |= {(provider.name, name): future for name, future in mine.items()}
        if mine:
            found |= self._ask(provider, mine)
        found |= {name: future.result() for name, future in waited.items()}
        return [quote for name in names if (quote := found[name]) is not None]

    def _ask(self, provider: Provider, mine: Mapping[str, Future[Quote | None]]) -> Known:
        try:
            answered = {quote.symbol: quote for quote in provider.quotes(list(mine))}
            quotes = {name: answered.get(name) for name in mine}
            self._shelf.write(provider.name, quotes)
        except BaseException as error:
            for future in mine.values():
                future.set_exception(error)
            raise
        else:
            for name, future in mine.items():
                future.set_result(quotes[name])
            return quotes
        finally:
            with self._lock:
                for name in mine:
                    del self._asked[provider.name, name]


def open_quotes(url: SecretStr | None = None, seconds: float = 5.0, clock: Clock = utc_now) -> QuoteCache:
    """Return a cache in this process, or in Redis where there is an address of one."""
    return QuoteCache(ProcessShelf(seconds, clock) if url is None else RedisShelf(url, seconds))
