"""Many symbols at once: ask in threads, store in batches, say for each symbol what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from workbench.core.errors import CredentialError, StoreError, WorkbenchError
from workbench.data.actions import withdrawn
from workbench.data.arrivals import Arrival, Fetched, State
from workbench.data.entries import EntryMetadata
from workbench.data.ingest import Batch, Span, ask, check_basis, missing_spans, settle_noise, settle_paid
from workbench.data.providers.base import Provider
from workbench.data.stamps import sessions_between
from workbench.data.store import BarStore

AT_ONCE = 8
BATCH = 100
PAUSE = 5.0
"""Seconds after which what has arrived is stored, however little it is."""

LOOK = 0.5
"""Seconds after which a fetch looks up from waiting: for an interrupt, and for what is to be stored."""


@dataclass
class _Waiting:
    """What has arrived and is not stored yet."""

    batches: dict[str, Batch] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    @property
    def is_due(self) -> bool:
        return len(self.batches) >= BATCH or time.monotonic() - self.since > PAUSE


class Fetch:
    """One fetch of a provider's bars into a dataset.

    Parameters
    ----------
    store : BarStore
    provider : Provider
    dataset : str
    about : EntryMetadata
        The dataset's entry.
    """

    def __init__(self, store: BarStore, provider: Provider, dataset: str, about: EntryMetadata) -> None:
        self.store = store
        self.provider = provider
        self.dataset = dataset
        self.about = about
        self.tables = store.tables(dataset)

    def run(self, symbols: Sequence[str], wanted: Span, *, again: bool = False, progress: bool = True) -> Fetched:
        """Ask for what is missing and store it.

        An interrupt, or an error that ends the fetch, cancels the requests that have not begun and stores what has
        arrived before it is raised again.

        Parameters
        ----------
        symbols : sequence of str
        wanted : Span
            Days of sessions that have ended.
        again : bool
            Ask for everything anew, so that what the source has restated since becomes known.
        progress : bool
            Show a progress bar on stderr.

        Raises
        ------
        CredentialError
            If the provider's key is not there or refused.
        InputError
            If its prices cannot be brought to what the dataset keeps.
        StoreError
            If the store cannot be written.
        """
        check_basis(self.provider, self.about)
        plans, stored = self._plans(symbols, wanted, again), {*self.tables.bars.symbols()}
        arrivals = {symbol: Arrival(symbol, "up to date") for symbol in symbols}
        waiting, added, quarantined = _Waiting(), 0, 0
        futures: dict[Future[Batch], str] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for name, spans in plans.items():
                    if spans:
                        futures[pool.submit(self._ask, name, spans, name in stored)] = name
                for future in _as_they_end(futures, progress, self.dataset):
                    if future is not None:
                        # Not kept: many minute bars are much.
                        symbol = futures.pop(future)
                        arrivals[symbol] = self._received(symbol, future, len(plans[symbol]), waiting)
                    if waiting.is_due:
                        added, quarantined, waiting = self._stored(waiting, added, quarantined)
            finally:
                # Whatever happened, what has arrived is kept.
                pool.shutdown(wait=False, cancel_futures=True)
                waiting.batches.update(self._left_over(futures))
                added, quarantined, _ = self._stored(waiting, added, quarantined)
        return Fetched(self.provider.name, self.dataset, tuple(arrivals.values()), added, quarantined)

    @staticmethod
    def _left_over(futures: Mapping[Future[Batch], str]) -> dict[str, Batch]:
        """Return what was answered and not looked at when the fetch ended early."""
        ended = [future for future in futures if future.done() and not future.cancelled()]
        return {futures[future]: future.result() for future in ended if future.exception() is None}

    def _plans(self, symbols: Sequence[str], wanted: Span, again: bool) -> dict[str, list[Span]]:
        if again:
            return {symbol: missing_spans(self.about.calendar, wanted, []) for symbol in symbols}
        known = self.tables.coverage.read(sorted(set(symbols)))
        spans: dict[str, list[Span]] = {}
        for symbol, first, last in zip(known["symbol"], _day(known["first"]), _day(known["last"]), strict=True):
            spans.setdefault(symbol, []).append(Span(first, last))
        return {symbol: missing_spans(self.about.calendar, wanted, spans.get(symbol, [])) for symbol in symbols}

    def _ask(self, symbol: str, spans: Sequence[Span], known: bool) -> Batch:
        return ask(self.provider, self.about, symbol, spans, pd.Timestamp(self.store.clock()), known)

    def _received(self, symbol: str, future: Future[Batch], requests: int, waiting: _Waiting) -> Arrival:
        try:
            batch = future.result()
        except (CredentialError, StoreError):
            raise
        except WorkbenchError as error:
            return Arrival(symbol, "failed", requests, error=str(error))
        except Exception as error:
            fault = f"provider {self.provider.name!r} broke with {type(error).__name__}; report it to its makers"
            return Arrival(symbol, "failed", requests, error=fault)
        waiting.batches[symbol] = batch
        state: State = "incomplete" if batch.missing else "arrived"
        return Arrival(symbol, state, requests, len(batch.rows), len(batch.actions), batch.missing)

    def _stored(self, waiting: _Waiting, added: int, quarantined: int) -> tuple[int, int, _Waiting]:
        """Write what waits; the coverage last, so that a stop in between only asks again."""
        if not waiting.batches:
            return added, quarantined, _Waiting()
        symbols = sorted(waiting.batches)
        rows = pd.concat([batch.rows for batch in waiting.batches.values()], ignore_index=True)
        actions = pd.concat([batch.actions for batch in waiting.batches.values()], ignore_index=True)
        times = rows["time"].dropna()
        if len(times):
            rows = settle_noise(rows, self.tables.bars.read(symbols, start=times.min(), end=times.max()))
        known = self.tables.actions.read(symbols)
        gone = withdrawn(_asked_for(known, waiting.batches), actions)
        if len(actions) and len(known):
            actions = settle_paid(actions, known)
        if len(gone):
            actions = pd.concat([actions, gone], ignore_index=True) if len(actions) else gone
        written = self.store.write(self.dataset, rows, actions, self.about.currency)
        self._cover(waiting.batches)
        return added + written.bars, quarantined + written.quarantined, _Waiting()

    def _cover(self, batches: Mapping[str, Batch]) -> None:
        spans = [(symbol, span.first, span.last) for symbol, batch in batches.items() for span in batch.covered]
        if not spans:
            return
        new = pd.DataFrame(spans, columns=["symbol", "first", "last"])
        for column in ("first", "last"):
            new[column] = pd.DatetimeIndex(new[column]).tz_localize("UTC")
        joined = _joined(
            pd.concat([self.tables.coverage.read(sorted(batches))[list(new.columns)], new]), self.about.calendar
        )
        self.tables.coverage.write(joined, pd.Timestamp(self.store.clock()))


def _asked_for(known: pd.DataFrame, batches: Mapping[str, Batch]) -> pd.DataFrame:
    """Return the known actions of the days that a source which tells actions has answered for."""
    days = _day(known["time"]).normalize()
    inside = np.zeros(len(known), dtype=bool)
    for symbol, batch in batches.items():
        for span in batch.spoken:
            inside |= (known["symbol"] == symbol).to_numpy() & (days >= span.first) & (days <= span.last)
    return known[inside]


def _joined(spans: pd.DataFrame, calendar: str) -> pd.DataFrame:
    """Let each span reach as far as those that it touches; it keeps its first day, which is its key."""
    ordered = spans.sort_values(["symbol", "first", "last"]).reset_index(drop=True)
    firsts, lasts = _day(ordered["first"]), _day(ordered["last"])
    sessions = sessions_between(calendar, firsts.min(), lasts.max())
    begins, ends = sessions.searchsorted(firsts), sessions.searchsorted(lasts, side="right")
    rows: list[list[Any]] = []
    reach = 0
    places = zip(begins.tolist(), ends.tolist(), strict=True)
    for (symbol, first, last), (begin, end) in zip(ordered.itertuples(index=False), places, strict=True):
        if rows and rows[-1][0] == symbol and begin <= reach:
            rows[-1][2] = max(rows[-1][2], last)
            reach = max(reach, end)
        else:
            rows.append([symbol, first, last])
            reach = end
    return pd.DataFrame(rows, columns=["symbol", "first", "last"])


def _day(stamps: pd.Series) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(stamps).tz_localize(None)


def _as_they_end(futures: Mapping[Future[Batch], str], progress: bool, dataset: str) -> Iterator[Future[Batch] | None]:
    """Yield each future as it ends, and ``None`` whenever none has for a while."""
    ended: SimpleQueue[Future[Batch]] = SimpleQueue()
    for each in futures:
        each.add_done_callback(ended.put)
    left = len(futures)
    with tqdm(total=left, desc=dataset, unit="symbol", disable=not (progress and futures)) as bar:
        while left:
            try:
                # A thread that waits without an end can be deaf to an interrupt.
                future = ended.get(timeout=LOOK)
            except Empty:
                yield None
                continue
            left -= 1
            yield future
            bar.update()
