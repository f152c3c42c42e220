"""Twelve Data's stream of prices.

The address, ``subscribe``, ``subscribe-status``, ``price`` and ``heartbeat`` are those of "Real-time price" in
https://twelvedata.com/docs#websocket (as of March 2026).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote as quoted

from workbench.core.credentials import how_to_give
from workbench.core.errors import CredentialError, ProviderError, RateLimitError, UnknownNameError
from workbench.data.live.base import Event, Gap
from workbench.data.live.websocket import UnreadableError, WebSocketStream
from workbench.data.providers.base import Access, Quote

UNAUTHORIZED = ("apikey", "api key", "authoriz", "plan")
"""A refusal with one of these words is about the key, not about the symbol."""


class TwelveDataStream(WebSocketStream):
    """Prices of Twelve Data as they change.

    Raises
    ------
    CredentialError
        Without a key.
    """

    name = "twelve_data"
    description = "Twelve Data's stream of prices, by the key's plan"
    licence = "by the plan, see https://twelvedata.com/terms"
    needs_key = True
    url = "wss://ws.twelvedata.com/v1/quotes/price"
    keep_alive = 10.0
    silence = 45.0

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        if access.key is None:
            raise CredentialError(f"stream {self.name!r} needs a key; {how_to_give(self.name)}")
        self._key = access.key

    def address(self) -> str:
        """Return where to connect, with the key."""
        return f"{super().address()}?apikey={quoted(self._key.get_secret_value(), safe='')}"

    def subscribe(self, symbols: Collection[str]) -> str:
        """Return the message that asks for symbols."""
        return json.dumps({"action": "subscribe", "params": {"symbols": ",".join(symbols)}})

    def unsubscribe(self, symbols: Collection[str]) -> str:
        """Return the message that asks for them no more."""
        return json.dumps({"action": "unsubscribe", "params": {"symbols": ",".join(symbols)}})

    def greeting(self) -> str:
        """Return the heartbeat; the source answers it."""
        return json.dumps({"action": "heartbeat"})

    def read(self, message: str | bytes) -> Iterator[Event | None]:
        """Yield the quote of a ``price``, the refusals of a ``subscribe-status``, and ``None`` for the rest."""
        try:
            content = json.loads(message)
        except ValueError:
            raise UnreadableError("no JSON") from None
        if not isinstance(content, dict):
            raise UnreadableError("no object")
        if content.get("event") == "price":
            quote = _quote(content)
            yield quote if quote.symbol in self.wanted else None
        elif content.get("event") == "subscribe-status":
            yield from self._status(content)
        elif content.get("status") == "error":
            raise self._refused(content)
        else:
            yield None

    def _status(self, content: Mapping[str, Any]) -> Iterator[Event | None]:
        refused = {str(item.get("symbol")): self._said(item) for item in _objects(content.get("fails"))}
        accepted = _objects(content.get("success"))
        if content.get("status") == "error" and not refused:
            raise self._refused(content)
        if refused and not accepted and self.wanted <= set(refused):
            said = " ".join(refused.values())
            if any(word in said.lower() for word in UNAUTHORIZED):
                raise CredentialError(f"{self.name} refuses every symbol ({said}); check the key and its plan")
            raise UnknownNameError("symbol", min(refused), (), where=self.name)
        yield None
        now = self.access.clock()
        for symbol in sorted(self.wanted & set(refused)):
            yield Gap(self.name, (symbol,), now, None, f"{symbol} is refused ({refused[symbol] or 'no reason given'})")

    def _refused(self, content: Mapping[str, Any]) -> Exception:
        said, code = self._said(content), content.get("code")
        if code in (401, 403) or any(word in said.lower() for word in UNAUTHORIZED):
            return CredentialError(f"{self.name} refuses the key ({said}); check the key and its plan")
        if code == 429:
            return RateLimitError(f"{self.name} takes no more requests for now ({said}); it is asked again")
        return ProviderError(f"{self.name} answers with an error ({said}); it is asked again")

    def _said(self, content: Mapping[str, Any]) -> str:
        """Return the source's own words, without the key."""
        words = content.get("message") or content.get("messages") or ""
        said = "; ".join(map(str, words)) if isinstance(words, list) else str(words)
        return said.replace(self._key.get_secret_value(), "***")[:200]


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _quote(content: Mapping[str, Any]) -> Quote:
    try:
        price, seconds = float(content["price"]), float(content["timestamp"])
        volume = None if content.get("day_volume") is None else float(content["day_volume"])
        time = datetime.fromtimestamp(seconds, UTC)
        symbol = str(content["symbol"])
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise UnreadableError("no symbol, time or price") from None
    if not (math.isfinite(price) and price > 0 and (volume is None or math.isfinite(volume))):
        raise UnreadableError("a price or a volume that is none")
    currency = content.get("currency")
    return Quote(
        symbol=symbol,
        time=time,
        price=price,
        source=TwelveDataStream.name,
        currency=currency if isinstance(currency, str) and currency else None,
        volume=volume,
    )
