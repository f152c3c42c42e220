"""From a provider to the store: ask for the sessions that are missing, bring rows to one form, store them.

What a source was asked for is remembered (``coverage``), so that an up-to-date symbol costs no request and a fetch that
was stopped goes on where it was. Only sessions that have ended are asked for. Prices are stored as traded: where a
provider's prices arrive adjusted for splits, the splits are put back, so that one split later does not turn the bars
that are stored already into bars of another measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from workbench.core.calendar import session_closes
from workbench.core.errors import InputError, ProviderError, RateLimitError
from workbench.core.market import FIELDS, PRICES
from workbench.data.actions import COLUMNS
from workbench.data.entries import EntryMetadata
from workbench.data.providers.base import History, Provider
from workbench.data.quality import inspect
from workbench.data.stamps import bar_ends, days_of, sessions_between

PATIENCE = pd.Timedelta(days=7)
"""A session older than this that the source does not have is not asked for again."""

DELAY = pd.Timedelta(minutes=30)
"""So long after its close a session may still change, or lack its last bars: many sources are 15 minutes late."""

NOISE = 1e-6
"""Prices that differ by less, relatively, are one price: undoing a split leaves rounding behind."""

PAID_NOISE = 1e-3
"""The same for dividends, which arrive with few digits: a 28th of 2.65 is told as 0.0946."""


@dataclass(frozen=True, slots=True)
class Span:
    """Days from ``first`` to ``last``, both included, without a zone."""

    first: pd.Timestamp
    last: pd.Timestamp


@dataclass(frozen=True, slots=True)
class Batch:
    """What one symbol's answers came to.

    Attributes
    ----------
    rows, actions : pandas.DataFrame
        As ``BarStore.write`` takes them.
    covered : tuple of Span
        The days that need not be asked for again.
    missing : int
        Sessions that were asked for, are still to come from the source, and did not.
    spoken : tuple of Span
        The spans for which bars came and splits and dividends are told, so that one that is lacking is none.
    """

    rows: pd.DataFrame
    actions: pd.DataFrame
    covered: tuple[Span, ...]
    missing: int
    spoken: tuple[Span, ...]


def missing_spans(calendar: str, wanted: Span, covered: Sequence[Span]) -> list[Span]:
    """Return the spans of sessions in ``wanted`` that no span of ``covered`` has, in order."""
    sessions = sessions_between(calendar, wanted.first, wanted.last)
    known = np.zeros(len(sessions), dtype=bool)
    for span in covered:
        known[sessions.searchsorted(span.first) : sessions.searchsorted(span.last, side="right")] = True
    return runs(sessions, ~known)


def runs(sessions: pd.DatetimeIndex, chosen: np.ndarray) -> list[Span]:
    """Return the spans of neighbouring sessions that are chosen."""
    # A run starts where ``chosen`` rises and ends where it falls.
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return [Span(sessions[start], sessions[stop - 1]) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def check_basis(provider: Provider, about: EntryMetadata) -> None:
    """Raise where a provider's prices cannot be brought to what the dataset keeps.

    Raises
    ------
    InputError
    """
    arrive, kept = provider.adjustment, about.adjustment
    if arrive == kept:
        return
    if (arrive, kept) != ("splits", "none"):
        raise InputError(
            f"provider {provider.name!r} adjusts its prices for {arrive}, the dataset keeps them adjusted for {kept}; "
            f"set adjustment: {arrive} in its catalog entry"
        )
    if "actions" not in provider.offers():
        raise InputError(
            f"provider {provider.name!r} adjusts its prices for splits and does not tell which; "
            f"set adjustment: splits in its catalog entry"
        )


def ask(
    provider: Provider,
    about: EntryMetadata,
    symbol: str,
    spans: Sequence[Span],
    now: pd.Timestamp,
    known: bool = False,
) -> Batch:
    """Ask for one symbol's missing spans and bring the answers to the store's form.

    ``known`` says that the source has told bars of the symbol before. Its silence about old sessions is then an answer,
    such as that of a company that was not listed yet; silence about a symbol of which it never told anything is none.

    Raises
    ------
    InputError
        If the provider's prices cannot be brought to what the dataset keeps.
    ProviderError
        If they are adjusted for a split that can be none.
    WorkbenchError
        What the provider raises.
    """
    check_basis(provider, about)
    rows, actions, covered, spoken, missing = [], [], [], [], 0
    for span in spans:
        history, facts = _answer(provider, about, symbol, span, now)
        days = days_of(history.bars["time"], about.interval, about.calendar)
        bars = stamped(history, symbol, about)
        # A row of no session goes on to quarantine; a bar that has not ended yet was not asked for.
        asked = days.isna() | ((days >= span.first) & (days <= span.last) & (bars["time"] <= now).to_numpy())
        # A row that cannot be trusted is no answer yet: a source may mend it.
        told = asked & (inspect(bars, about.currency) == "").to_numpy()
        known |= bool(told.any())
        sessions = sessions_between(about.calendar, span.first, span.last)
        settled = _whole(days[told].dropna(), bars["time"][told].max(), about, now)
        if known:
            # Not listed yet before the first bar, and holes that are old enough.
            begun = days[told].min() if told.any() else sessions[0]
            settled = settled.union(sessions[(sessions < begun) | (sessions < now.tz_localize(None) - PATIENCE)])
        covered += runs(sessions, sessions.isin(settled))
        missing += len(sessions) - int(sessions.isin(settled).sum())
        if told.any() and tells_actions(provider, about):
            spoken.append(span)
        rows.append(bars[asked])
        actions.append(facts)
    return Batch(pd.concat(rows), pd.concat(actions), tuple(covered), missing, tuple(spoken))


def tells_actions(provider: Provider, about: EntryMetadata) -> bool:
    """Say whether splits and dividends are asked for: the option ``actions = "no"`` does without, where it can."""
    needed = provider.adjustment != about.adjustment
    return "actions" in provider.offers() and (needed or provider.access.options.get("actions") != "no")


def _whole(days: pd.DatetimeIndex, latest: pd.Timestamp, about: EntryMetadata, now: pd.Timestamp) -> pd.DatetimeIndex:
    """Return the days that the source has told whole: the newest may still change, or lack its latest bars."""
    if days.empty:
        return days
    close = session_closes(about.calendar, pd.DatetimeIndex([days.max()]))[0]
    ended = now - close >= DELAY or (about.interval != "1d" and latest >= close)
    return days.unique() if ended else days[days < days.max()].unique()


def _answer(
    provider: Provider, about: EntryMetadata, symbol: str, span: Span, now: pd.Timestamp
) -> tuple[History, pd.DataFrame]:
    """Return bars as the dataset keeps them, and the actions of the span."""
    first, last = span.first.date(), span.last.date()
    history = provider.history(symbol, first, last, about.interval)
    facts = history.actions
    undo = provider.adjustment != about.adjustment
    if facts is None or (undo and now.date() > last):
        # To put splits back, those after the span are needed too.
        until = now.date() if undo else last
        facts = _actions(provider, symbol, first, until) if tells_actions(provider, about) else no_actions()
    facts = facts.assign(value=pd.to_numeric(facts["value"], errors="coerce").astype("float64"))
    if undo:
        _check_splits(facts, provider.name, symbol)
        own = pd.DatetimeIndex(history.bars["time"]).tz_localize(None).normalize()
        days = days_of(history.bars["time"], about.interval, about.calendar)
        history, facts = with_splits(history, facts, days.where(days.notna(), own))
    days = pd.DatetimeIndex(facts["time"])
    # One without a date goes on to quarantine.
    inside = facts[days.isna() | ((days >= span.first) & (days <= span.last))]
    times = _ex_sessions(inside["time"], about.calendar, span)
    return history, inside.assign(time=times, symbol=symbol)[list(COLUMNS)]


def _actions(provider: Provider, symbol: str, first: date, until: date) -> pd.DataFrame:
    try:
        return provider.actions(symbol, first, until)
    except ProviderError as error:
        # Bars without their splits would be taken for adjusted: only whoever says so gets them.
        option = f"WORKBENCH_PROVIDERS__{provider.name.upper()}__ACTIONS=no"
        kind = RateLimitError if isinstance(error, RateLimitError) else ProviderError
        raise kind(f"{error} (asked for splits and dividends; {option} takes bars without them)") from error


def _ex_sessions(days: pd.Series, calendar: str, span: Span) -> pd.DatetimeIndex:
    """Return the close of each ex-date's session, or of the next one where it is none."""
    sessions = sessions_between(calendar, span.first, span.last)
    own = pd.DatetimeIndex(days)
    place = np.where(own.notna(), sessions.searchsorted(own), 0)
    return bar_ends(pd.Series(sessions[place].where(own.notna())), "1d", calendar)


def _check_splits(actions: pd.DataFrame, provider: str, symbol: str) -> None:
    splits = actions[actions["kind"] == "split"]
    wrong = splits[~(np.isfinite(splits["value"]) & (splits["value"] > 0) & splits["time"].notna())]
    if len(wrong):
        day, value = wrong[["time", "value"]].iloc[0]
        raise ProviderError(
            f"provider {provider!r} tells of a split of {symbol} by {value} on {day}, which no price can be freed of; "
            f"fetch it from another provider"
        )


def no_actions() -> pd.DataFrame:
    """Return an empty table of actions."""
    return pd.DataFrame({"time": pd.DatetimeIndex([]), "kind": pd.Series(dtype="str"), "value": pd.Series(dtype=float)})


def with_splits(history: History, actions: pd.DataFrame, days: pd.DatetimeIndex) -> tuple[History, pd.DataFrame]:
    """Return prices, volumes and dividends as they were, from ones that arrived adjusted for splits.

    A price before the ex-dates of splits ``s1, s2, ...`` was ``s1 * s2 * ...`` times the adjusted one, a volume that
    much less.

    Parameters
    ----------
    history : History
    actions : pandas.DataFrame
        All actions from the first bar to today; see ``Provider.actions``.
    days : pandas.DatetimeIndex
        The day of each bar on its exchange, without a zone, shape (n_bars,). A bar without one stays as it is.
    """
    splits = actions[actions["kind"] == "split"].sort_values("time")
    if splits.empty:
        return history, actions
    # What is left to happen after each day: the product of the later ratios.
    ratios = splits["value"].to_numpy(dtype="float64")
    later = np.append(np.cumprod(ratios[::-1])[::-1], 1.0)
    ex = pd.DatetimeIndex(splits["time"])

    def factor(days: pd.DatetimeIndex) -> np.ndarray:
        return later[np.where(days.isna(), len(ratios), ex.searchsorted(days, side="right"))]

    bars = history.bars
    times = factor(days)
    # Volumes arrive as whole shares of today: after a reverse split such a one was several of then.
    raw = bars.assign(volume=bars["volume"] / times, rounding=0.5 / times)
    raw = raw.assign(**{field: bars[field] * times for field in PRICES})
    paid = actions["value"] * factor(pd.DatetimeIndex(actions["time"]))
    facts = actions.assign(value=actions["value"].where(actions["kind"] == "split", paid))
    return History(raw, history.actions, history.currency), facts


def stamped(history: History, symbol: str, about: EntryMetadata) -> pd.DataFrame:
    """Return a provider's bars as the store takes them: with their end in UTC, the source's label and the currency.

    ``rounding`` is how far a volume may be off by the splits that were put back (shares).
    """
    bars = history.bars.reset_index(drop=True)
    rows = bars[[*FIELDS]].astype("float64")
    return rows.assign(
        symbol=symbol,
        time=bar_ends(bars["time"], about.interval, about.calendar),
        date=bars["time"].astype("str").fillna("no date"),
        currency=history.currency,
        rounding=bars.get("rounding", 0.0),
    )


def settle_noise(rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows`` with the known value in the place of one that differs from it by rounding only."""
    if known.empty or rows.empty:
        return rows
    keys = ["symbol", "time"]
    before = rows[keys].merge(known[[*keys, *FIELDS]], on=keys, how="left").set_index(rows.index)
    slack = {field: NOISE * before[field].abs() for field in FIELDS}
    slack["volume"] = slack["volume"].clip(lower=rows["rounding"])
    same = {field: (rows[field] - before[field]).abs() <= slack[field] for field in FIELDS}
    return rows.assign(**{field: rows[field].mask(same[field], before[field]) for field in FIELDS})


def settle_paid(actions: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Return ``actions`` with the known value in the place of one that differs from it by rounding only."""
    keys = ["symbol", "time", "kind"]
    before = actions[keys].merge(known[[*keys, "value"]], on=keys, how="left").set_index(actions.index)["value"]
    same = (actions["value"] - before).abs() <= PAID_NOISE * before
    return actions.assign(value=actions["value"].mask(same, before))
