"""Streams by name, from the settings: with their keys, and shared through Redis where there is one."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from workbench.core.calendar import Moment
from workbench.core.clock import Clock, utc_now
from workbench.core.credentials import find_key
from workbench.core.plugins import load
from workbench.core.settings import Settings
from workbench.data.live.base import GROUP, Stream
from workbench.data.live.feed import Feed
from workbench.data.live.replay import ReplayStream
from workbench.data.live.shared import SharedStream
from workbench.data.providers.base import Access


def open_stream(settings: Settings, name: str, clock: Clock = utc_now, interval: float = 1.0) -> Stream:
    """Return a live stream.

    Parameters
    ----------
    settings : Settings
        Keys, options (those of the provider of the same name) and ``redis_url``.
    name : str
        As registered under ``workbench.streams``.
    clock : callable
        The present instant.
    interval : float
        Seconds between two updates of a symbol, for a shared stream.

    Raises
    ------
    UnknownNameError
        If no installed package offers it.
    CredentialError
        Without the key that it needs.
    """
    found = load(GROUP, "stream", name)
    key = find_key(settings, name) if found.needs_key else None
    stream: Stream = found(Access(key=key, options=settings.providers.get(name, {}), clock=clock))
    if settings.redis_url is None:
        return stream
    return SharedStream(stream, settings.redis_url, interval=interval)


def replay(bars: xr.Dataset, speed: float | None, start: Moment | None, clock: Clock = utc_now) -> ReplayStream:
    """Return a stream of stored bars; see ``ReplayStream``."""
    return ReplayStream(Access(clock=clock), bars, speed=speed, start=start)


def open_feed(stream: Stream, symbols: Sequence[str], interval: float, clock: Clock = utc_now) -> Feed:
    """Return a feed; a stream that waits for its reader is not slowed down besides."""
    return Feed(stream, symbols, interval=0.0 if stream.lossless else interval, clock=clock)
