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
from workbench.core.errors import InputError, ProviderError
from workbench.core.market import FIELDS, PRICES
from workbench.data.actions import COLUMNS
from workbench.data.entries import EntryMetadata
from workbench.data.providers.base import History, Provider
from workbench.data.stamps import bar_ends, days_of, sessions_between

PATIENCE = pd.Timedelta(days=7)
"""A session older than this that the source does not have is not asked for again."""

DELAY = pd.Timedelta(hours=1)
"""A source may tell the last bars of a session so much later."""

NOISE = 1e-6
"""Prices that differ by less, relatively, are one price: undoing a split leaves rounding behind."""

PAID_NOISE = 1e-4
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
    tells_actions : bool
        Whether the source tells splits and dividends, so that one that it lacks is one that is none.
    """

    rows: pd.DataFrame
    actions: pd.DataFrame
    covered: tuple[Span, ...]
    missing: int
    tells_actions: bool


def missing_spans(calendar: str, wanted: Span, covered: Sequence[Span]) -> list[Span]:
    """Return the spans of sessions in ``wanted`` that no span of ``covered`` has, in order."""
    sessions = sessions_between(calendar, wanted.first, wanted.last)
    known = np.zeros(len(sessions), dtype=bool)
    for span in covered:
        known[sessions.searchsorted(span.first) : sessions.searchsorted(span.last, side="right")] = True
    # A run of missing sessions starts where ``known`` falls and ends where it rises.
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(np.int8)))
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


def ask(provider: Provider, about: EntryMetadata, symbol: str, spans: Sequence[Span], now: pd.Timestamp) -> Batch:
    """Ask for one symbol's missing spans and bring the answers to the store's form.

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
    rows, actions, covered, missing = [], [], [], 0
    for span in spans:
        history, facts = _answer(provider, about, symbol, span, now)
        days = days_of(history.bars["time"], about.interval, about.calendar)
        bars = stamped(history, symbol, about)
        # A row of no session goes on to quarantine; a bar that has not ended yet was not asked for.
        asked = days.isna() | ((days >= span.first) & (days <= span.last) & (bars["time"] <= now).to_numpy())
        # A row without a close is no answer yet: some sources have one until the bar is there.
        told = asked & bars["close"].notna().to_numpy()
        sessions = sessions_between(about.calendar, span.first, span.last)
        answered = _answered(days[told].dropna(), bars["time"][told].max(), about.calendar, now)
        settled = _settled(sessions, answered, now)
        missing += len(sessions) - len(settled)
        if len(settled):
            covered.append(Span(settled[0], settled[-1]))
        rows.append(bars[asked])
        actions.append(facts)
    return Batch(pd.concat(rows), pd.concat(actions), tuple(covered), missing, tells_actions(provider, about))


def tells_actions(provider: Provider, about: EntryMetadata) -> bool:
    """Say whether splits and dividends are asked for: the option ``actions = "no"`` does without, where it can."""
    needed = provider.adjustment != about.adjustment
    return "actions" in provider.offers() and (needed or provider.access.options.get("actions") != "no")


def _answered(days: pd.DatetimeIndex, latest: pd.Timestamp, calendar: str, now: pd.Timestamp) -> pd.Timestamp | None:
    """Return the last session that the source has told whole; its latest bars may come with a delay."""
    if days.empty:
        return None
    close = session_closes(calendar, pd.DatetimeIndex([days.max()]))[0]
    whole = days if latest >= close or now - close > DELAY else days[days < days.max()]
    return None if whole.empty else whole.max()


def _settled(sessions: pd.DatetimeIndex, answered: pd.Timestamp | None, now: pd.Timestamp) -> pd.DatetimeIndex:
    """Return the sessions that the source has answered for, or that are too old to wait for."""
    old = sessions[sessions < now.tz_localize(None) - PATIENCE]
    latest = max([day for day in (answered, old[-1] if len(old) else None) if day is not None], default=None)
    return sessions[:0] if latest is None else sessions[sessions <= latest]


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
        raise type(error)(f"{error} (asked for splits and dividends; {option} takes bars without them)") from error


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
