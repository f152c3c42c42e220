"""What a rule looks at, as lines that a picture shows: in the price's unit, or in one of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd
import xarray as xr

from workbench.alerts.bad import BadData
from workbench.alerts.composition import Composition
from workbench.alerts.conditions import Indicator, SignalChange
from workbench.alerts.missing import MissingData
from workbench.alerts.patterns import Pattern
from workbench.alerts.prices import Move, Price, Volume
from workbench.alerts.rules import AlertRule
from workbench.analytics.lines import Line, line
from workbench.analytics.studies import OVERLAYS
from workbench.backtest.strategy import find_strategy
from workbench.core.market import Adjustment

Lines = dict[str, pd.Series]
_LIKE_PRICES = frozenset({"close", "upper_band", "middle_band", "lower_band", "highest", "lowest", *OVERLAYS})
"""Lines and indicators in the price's unit."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rule looks at of one symbol, as it is drawn.

    Attributes
    ----------
    over : dict of str to pandas.Series
        Lines over the prices, by label.
    below : dict of str to dict
        For each further panel, by its unit, its lines by label.
    adjust : str, optional
        How the prices are adjusted that it looks at.
    pattern : Pattern, optional
        A rule on such.
    """

    over: Lines = field(default_factory=dict)
    below: dict[str, Lines] = field(default_factory=dict)
    adjust: Adjustment | None = None
    pattern: Pattern | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """One symbol's reading: its value and level by time, NaN where the rule does not look; and its bars."""

    value: pd.Series
    level: pd.Series
    bars: xr.Dataset


def seen_by(rule: AlertRule, by: Mapping[Adjustment, xr.Dataset], symbol: str) -> Seen:
    """Return what a rule looks at of one symbol.

    Raises
    ------
    InputError
        If it cannot look at these bars.
    """
    own = {adjust: bars.sel(symbol=[symbol]) for adjust, bars in by.items()}
    if isinstance(rule, Composition):
        return _seen_by_parts(rule, own, symbol)
    bars = own[rule.adjust]
    reading = rule.reading(bars, bars.indexes["time"][-1]).sel(symbol=symbol)
    value, level = (reading[name].where(reading["here"]).to_series() for name in ("value", "level"))
    return _SEEN.get(type(rule), _seen_plainly)(rule, Own(value, level, bars))


def _seen_by_parts(rule: Composition, own: Mapping[Adjustment, xr.Dataset], symbol: str) -> Seen:
    """Return what the parts look at; over the prices as far as it is in the same shares."""
    parts = [seen_by(part, own, symbol) for part in rule.rules]
    adjust = next((each.adjust for each in parts if each.over and each.adjust), rule.adjusts[0])
    over = {name: values for each in parts if each.adjust == adjust for name, values in each.over.items()}
    below = {unit: members for each in parts for unit, members in each.below.items()}
    pattern = next((each.pattern for each in parts if each.pattern), None)
    return Seen(over, below, adjust, pattern)


def _seen_price(rule: Price, own: Own) -> Seen:
    return Seen({f"level {rule.level:,.10g}": own.level}, adjust=rule.adjust)


def _seen_indicator(rule: Indicator, own: Own) -> Seen:
    other = str(rule.against) if rule.against else f"level {rule.level:,.10g}"
    both = {str(rule.line): own.value, other: own.level}
    if rule.indicator not in _LIKE_PRICES:
        return Seen(below={rule.indicator: both}, adjust=rule.adjust)
    both.pop("close", None)
    return Seen(both, adjust=rule.adjust)


def _seen_move(rule: Move, own: Own) -> Seen:
    signs = {"up": (1,), "down": (-1,), "either": (1, -1)}[rule.direction]
    limits = {f"limit {sign * rule.percent:+g} %": own.level * 0.0 + sign * rule.percent for sign in signs}
    bars = "1 bar" if rule.window == 1 else f"{rule.window} bars"
    return Seen(below={"move, %": {f"move in {bars}": own.value, **limits}}, adjust=rule.adjust)


def _seen_volume(rule: Volume, own: Own) -> Seen:
    both = {"volume": own.value, f"limit {rule.multiple:g} ×": own.level}
    return Seen(below={"× the mean": both}, adjust=rule.adjust)


def _seen_missing(rule: MissingData, own: Own) -> Seen:
    return Seen(below={"sessions": {"without a bar": own.value, "limit": own.level}}, adjust=rule.adjust)


def _seen_signal(rule: SignalChange, own: Own) -> Seen:
    found = find_strategy(rule.strategy)
    if found.crosses is None:
        return Seen(below={"strength": {rule.strategy: own.value}}, adjust=rule.adjust)
    specs = list(dict.fromkeys(found.crosses(**found.validate(rule.parameters))))
    watched = {_named(spec): line(own.bars, spec).isel(symbol=0).to_series() for spec in specs if spec[0] != "close"}
    if {spec[0] for spec in specs} <= _LIKE_PRICES:
        return Seen(watched, adjust=rule.adjust)
    return Seen(below={rule.strategy: watched}, adjust=rule.adjust)


def _named(spec: Line) -> str:
    name, *parameters = spec
    told = ", ".join(f"{each:g}" for each in parameters)
    return f"{name}({told})" if told else str(name)


def _seen_pattern(rule: Pattern, own: Own) -> Seen:  # noqa: ARG001 - as of every kind
    return Seen(adjust=rule.adjust, pattern=rule)


def _seen_bad(rule: BadData, own: Own) -> Seen:  # noqa: ARG001
    """Return nothing but the prices: it is they that look wrong."""
    return Seen(adjust=rule.adjust)


def _seen_plainly(rule: AlertRule, own: Own) -> Seen:
    """Return what a stranger's kind looks at, whose unit nobody knows."""
    return Seen(below={"value": {"found": own.value, "level": own.level}}, adjust=rule.adjust)


_SEEN: dict[type[AlertRule], Callable[..., Seen]] = {
    Price: _seen_price,
    Indicator: _seen_indicator,
    Move: _seen_move,
    Volume: _seen_volume,
    MissingData: _seen_missing,
    SignalChange: _seen_signal,
    Pattern: _seen_pattern,
    BadData: _seen_bad,
}
