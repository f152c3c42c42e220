"""Yahoo Finance's stream of prices.

Yahoo documents no interface. The address, the messages and the fields are those that the library yfinance uses
(``yfinance.live`` and ``yfinance.pricing_pb2``): a JSON object whose ``message`` is a Protocol Buffers message of type
``PricingData`` in Base64. A symbol that Yahoo does not know is met with silence.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import numpy as np

from workbench.data.live.base import Event
from workbench.data.live.websocket import UnreadableError, WebSocketStream
from workbench.data.providers.base import Quote


class YahooStream(WebSocketStream):
    """Prices of Yahoo Finance as they change; many exchanges' are delayed by 15 minutes or more."""

    name = "yahoo"
    description = "Yahoo Finance's stream of prices, without a key"
    licence = "personal use only, by the terms of Yahoo"
    url = "wss://streamer.finance.yahoo.com/?version=2"
    keep_alive = 15.0
    # It says nothing while no trades are made; a dead connection is known by its unanswered pings.
    silence = None

    def subscribe(self, symbols: Collection[str]) -> str:
        """Return the message that asks for symbols."""
        return json.dumps({"subscribe": list(symbols)})

    def unsubscribe(self, symbols: Collection[str]) -> str:
        """Return the message that asks for them no more."""
        return json.dumps({"unsubscribe": list(symbols)})

    def greeting(self) -> str:
        """Return the subscription again: Yahoo forgets one that is not repeated."""
        return self.subscribe(sorted(self.wanted))

    def read(self, message: str | bytes) -> Iterator[Event | None]:
        """Yield the quote of a message of type ``pricing``."""
        try:
            content = json.loads(message)
        except ValueError:
            raise UnreadableError("no JSON") from None
        if not isinstance(content, dict) or content.get("type", "pricing") != "pricing":
            yield None
            return
        quote = _quote(content.get("message"))
        yield quote if quote.symbol in self.wanted else None


def _quote(text: object) -> Quote:
    from google.protobuf.message import DecodeError
    from yfinance.pricing_pb2 import PricingData

    pricing = PricingData()
    try:
        pricing.ParseFromString(base64.b64decode(str(text), validate=True))
    except (ValueError, DecodeError):
        raise UnreadableError("no pricing data") from None
    price = _decimal(pricing.price)
    if not (pricing.id and pricing.time > 0 and math.isfinite(price) and price > 0):
        raise UnreadableError("no symbol, time or price")
    try:
        time = datetime.fromtimestamp(pricing.time / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise UnreadableError("no time") from None
    return Quote(
        symbol=pricing.id,
        time=time,
        price=price,
        source=YahooStream.name,
        currency=pricing.currency or None,
        volume=float(pricing.day_volume) if pricing.day_volume > 0 else None,
        previous_close=_previous_close(price, _decimal(pricing.previous_close), _decimal(pricing.change)),
    )


def _previous_close(price: float, previous: float, change: float) -> float | None:
    """Return the close before: as given, else out of the change since then. Zero stands for a field not sent."""
    if previous > 0:
        return previous
    since = round(price - change, 6)
    return since if change and math.isfinite(since) and since > 0 else None


def _decimal(value: float) -> float:
    """Return the shortest decimal that is this 32-bit number: 187.44, not 187.44000244140625."""
    return float(str(np.float32(value)))
