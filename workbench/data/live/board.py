"""What processes that share a stream know of each other, in Redis: who leads, who wants what, and what was said last.

Keys, all under ``workbench:live:NAME:`` and all with an expiry: ``leader`` (the leader's token, for the time of its
lease), ``reign`` (how many leaders there were), ``wanted`` (a sorted set of symbols by when the wish expires), ``last``
(a hash of the last quote per symbol), ``heard`` (when a leader last heard the source), and the channel ``events``.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import SecretStr

from workbench.core.errors import CredentialError, FailureError, ParameterError, ProviderError, WorkbenchError
from workbench.data.live.wire import Message, message_from_json, quote_from_json, quote_to_json
from workbench.data.providers.base import Quote

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub
    from redis.exceptions import RedisError

REMEMBERED = 24 * 3600 * 1000
"""Milliseconds for which quotes and the count of leaders outlive the last of them."""

MISSING = "sharing through Redis needs the package redis; install trii-workbench[servers]"

# Each runs in Redis as one step. All compare the token first: a leader that was asleep beyond its lease does nothing.
_RENEW = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('pexpire', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0"
_PUBLISH = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] ~= '' then redis.call('set', KEYS[3], ARGV[3], 'px', ARGV[4]) end
for place = 5, #ARGV, 2 do redis.call('hset', KEYS[2], ARGV[place], ARGV[place + 1]) end
redis.call('pexpire', KEYS[2], ARGV[4])
redis.call('publish', KEYS[4], ARGV[2])
return 1
"""
# The server's own clock, so that the machines need not agree on the time.
_WANT = """
local now = redis.call('time')
local milliseconds = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('zremrangebyscore', KEYS[1], '-inf', milliseconds)
for place = 2, #ARGV do redis.call('zadd', KEYS[1], 'gt', milliseconds + ARGV[1], ARGV[place]) end
redis.call('pexpire', KEYS[1], ARGV[1])
return redis.call('zrange', KEYS[1], 0, -1)
"""


class Board:
    """One process's view of a stream's keys.

    Parameters
    ----------
    redis : redis.asyncio.Redis
    name : str
        The stream's name.
    lease : float
        Seconds after which a silent leader is one no more; a wish that is not renewed is forgotten after three
        times that.
    """

    def __init__(self, redis: Redis, name: str, lease: float) -> None:
        self.reign = 0
        self._redis = redis
        self._token = secrets.token_hex(16)
        self._lease = int(lease * 1000)
        self._keys = {part: f"workbench:live:{name}:{part}" for part in ("leader", "reign", "wanted", "last", "heard")}
        self._channel = f"workbench:live:{name}:events"

    async def want(self, symbols: Collection[str]) -> frozenset[str]:
        """Say again which symbols this process wants; return those that anyone wants."""
        found = await self._redis.eval(_WANT, 1, self._keys["wanted"], str(3 * self._lease), *symbols)
        return frozenset(str(symbol) for symbol in found)

    async def take(self) -> bool:
        """Try to become the leader; return whether this process leads, and count its reign."""
        if not await self._redis.set(self._keys["leader"], self._token, nx=True, px=self._lease):
            return False
        self.reign = int(await self._redis.incr(self._keys["reign"]))
        await self._redis.pexpire(self._keys["reign"], REMEMBERED)
        return True

    async def renew(self) -> bool:
        """Lengthen the lease; return whether this process still leads."""
        return bool(await self._redis.eval(_RENEW, 1, self._keys["leader"], self._token, str(self._lease)))

    async def release(self) -> None:
        """Stop leading, so that another can at once."""
        await self._redis.eval(_RELEASE, 1, self._keys["leader"], self._token)

    async def publish(self, message: Message, quotes: Sequence[Quote], heard: datetime | None) -> bool:
        """Tell all processes, and keep the quotes for those to come; return whether this process still leads."""
        keys = [self._keys["leader"], self._keys["last"], self._keys["heard"], self._channel]
        given = [message.model_dump_json(), heard.isoformat() if heard else "", str(REMEMBERED)]
        pairs = [text for quote in quotes for text in (quote.symbol, quote_to_json(quote))]
        return bool(await self._redis.eval(_PUBLISH, len(keys), *keys, self._token, *given, *pairs))

    async def last_heard(self) -> datetime | None:
        """Return when a leader last heard the source, ``None`` where that is long ago."""
        text = await self._redis.get(self._keys["heard"])
        return datetime.fromisoformat(str(text)) if text else None

    async def last_quotes(self, symbols: Collection[str]) -> list[Quote]:
        """Return the last quotes of some symbols, of those that have one."""
        texts = await self._redis.hmget(self._keys["last"], list(symbols)) if symbols else []
        quotes = []
        for text in filter(None, texts):
            try:
                quotes.append(quote_from_json(str(text)))
            except ValueError:
                # Not one of ours; the next quote takes its place.
                continue
        return [quote for quote in quotes if quote is not None]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[PubSub]:
        """Hear what leaders say from now on."""
        pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
        try:
            await pubsub.subscribe(self._channel)
            yield pubsub
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    @staticmethod
    async def heard(pubsub: PubSub, timeout: float) -> Message | None:
        """Return the next message; ``None`` after the time, or for what is no message of ours."""
        heard = await pubsub.get_message(timeout=timeout)
        return message_from_json(heard["data"]) if heard and heard["type"] == "message" else None


@asynccontextmanager
async def connected(url: SecretStr) -> AsyncIterator[Redis]:
    """Open a Redis, and say in our words, without the address, what goes wrong with it.

    Raises
    ------
    ParameterError
        If the address is none.
    CredentialError
        If Redis refuses the password.
    ProviderError
        If it does not answer.
    FailureError
        Without the package redis.
    """
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
    except ImportError as error:
        raise FailureError(MISSING) from error
    try:
        # One try more at once, for a connection that broke while idle; longer waits are the feed's.
        redis = Redis.from_url(
            url.get_secret_value(),
            decode_responses=True,
            encoding_errors="replace",
            retry=Retry(NoBackoff(), 1),
            socket_timeout=5,
            socket_connect_timeout=5,
        )
    except ValueError:
        raise ParameterError("redis_url is no address of a Redis; write redis://host:6379/0") from None
    try:
        yield redis
    except RedisError as error:
        raise told(error) from None
    finally:
        await redis.aclose()


def told(error: RedisError) -> WorkbenchError:
    """Return what went wrong with a Redis in our words, without its address."""
    kind = type(error).__name__
    # The library tells a refused password as a lost connection; only the server's words differ.
    if any(word in str(error).lower() for word in ("auth", "password", "permission")):
        return CredentialError(f"Redis refuses the user or password ({kind}); check WORKBENCH_REDIS_URL")
    return ProviderError(f"Redis does not answer ({kind}); check WORKBENCH_REDIS_URL")
