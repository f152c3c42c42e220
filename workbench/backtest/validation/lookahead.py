"""The look-ahead check: run a rule again with less future, and with another one, and see whether its past changes.

A rule may use what was known at a bar's close and nothing later. Two experiments, at several bars each:

- history *ends* at the bar: shifts, centred windows, fills from behind and labels of periods that are not over show in
  the last bars;
- history goes on with *other* prices after the bar: whatever is measured over the whole sample (a mean, a quantile, a
  highest price) shows everywhere, and so does a rule that treats a missing tomorrow as no signal.

Passing is no proof: a leak that acts on few bars can lie between the cuts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workbench.backtest.strategy import Strategy, find_strategy
from workbench.backtest.validation.histories import Future, choose_cuts, histories
from workbench.core.calendar import WITHIN_SESSION
from workbench.core.errors import InputError, ParameterError, StrategyError

RELATIVE = 1e-9
"""Numbers that are this near to each other are the same."""
ROUNDING = 1e-12
"""So is a difference below this share of the largest value: what is left of it after a subtraction is rounding."""
COLUMNS = ["variable", "symbol", "time", "with_future", "without", "history_ends", "future", "changed"]
_FIRST = ("entry", "exit", "weight", "strength")


@dataclass(frozen=True, slots=True)
class Leak:
    """A value that changed.

    Attributes
    ----------
    variable, symbol : str
    time : pandas.Timestamp
        The bar of the value.
    with_future, without : bool or float
        The value on all bars, and on history without its true future.
    history_ends : pandas.Timestamp
        The last true bar of that history.
    future : {"cut off", "replaced"}
    daily : bool
        Whether a day says which bar it is.
    """

    variable: str
    symbol: str
    time: pd.Timestamp
    with_future: Any
    without: Any
    history_ends: pd.Timestamp
    future: Future
    daily: bool = True

    def __str__(self) -> str:
        form = "%Y-%m-%d" if self.daily else "%Y-%m-%d %H:%M UTC"
        ends = f"{self.history_ends:{form}}"
        when = f"when history ends {ends}" if self.future == "cut off" else f"when prices after {ends} are others"
        return (
            f"{self.variable} of {self.symbol} on {self.time:{form}} is {_value(self.with_future)} with the future "
            f"and {_value(self.without)} {when}"
        )


@dataclass(frozen=True, repr=False)
class LookAheadCheck:
    """What the check of a rule found.

    Attributes
    ----------
    strategy : str
    parameters : mapping
    cuts : int
        Bars at which the future was taken away.
    cut_off, replaced : int
        Runs without the true future that gave an answer, by what was done to it; one of each for every cut, if none
        failed.
    leaks : pandas.DataFrame
        The first value that changed, for each run, variable and symbol, earliest first: columns ``variable``,
        ``symbol``, ``time``, ``with_future``, ``without``, ``history_ends``, ``future`` (``"cut off"`` or
        ``"replaced"``) and ``changed`` (how many values did).
    error : str, optional
        What the first run that failed said.
    daily : bool
        Whether a day says which bar it is.
    """

    strategy: str
    parameters: Mapping[str, Any]
    cuts: int
    cut_off: int
    replaced: int
    leaks: pd.DataFrame
    error: str | None = None
    daily: bool = True

    @property
    def compared(self) -> int:
        """Runs that gave an answer, of ``runs``."""
        return self.cut_off + self.replaced

    @property
    def runs(self) -> int:
        """Runs without the true future, two for each cut."""
        return 2 * self.cuts

    @property
    def passed(self) -> bool:
        """Whether no value changed, and at least one run of each kind gave an answer to compare."""
        return self.leaks.empty and self.cut_off > 0 and self.replaced > 0

    @cached_property
    def leak(self) -> Leak | None:
        """The earliest value that changed; ``None`` where none did."""
        if self.leaks.empty:
            return None
        first = {name: self.leaks[name].iloc[0] for name in COLUMNS[:-1]}
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in first.items()}
        return Leak(**plain, daily=self.daily)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        told = {"strategy": self.strategy, "parameters": dict(self.parameters), "passed": self.passed}
        runs = {"cuts": self.cuts, "runs": self.runs, "cut_off": self.cut_off, "replaced": self.replaced}
        return {**told, **runs, "error": self.error, "leaks": len(self.leaks), "told": str(self)}

    def __repr__(self) -> str:
        return f"{self._said()}; {self._failed()}" if self.compared < self.runs else self._said()

    def _said(self) -> str:
        if self.leak:
            return f"strategy {self.strategy!r} looks ahead: {self.leak}"
        if not self.passed:
            kind = "cut off" if not self.cut_off else "replaced"
            return f"strategy {self.strategy!r} is not checked: it gave no answer with the future {kind}"
        return (
            f"strategy {self.strategy!r} was not seen to look ahead: nothing changed in {self.compared} runs "
            f"whose future was cut off or replaced at {self.cuts} bars"
        )

    def _failed(self) -> str:
        return f"{self.runs - self.compared} of {self.runs} runs failed: {self.error}"

    def _repr_html_(self) -> str:
        return f"<div>{'✓' if self.passed else '✗'} {escape(repr(self))}</div>"


def check_lookahead(
    strategy: str | Strategy,
    bars: xr.Dataset,
    parameters: Mapping[str, Any] | None = None,
    *,
    cuts: int = 30,
    seed: int = 0,
    progress: bool = False,
) -> LookAheadCheck:
    """Look for values of a rule's Signals that change when the future does.

    Every variable over time is compared: ``entry``, ``exit``, ``strength``, ``weight`` and the evidence. The bars at
    which the future is taken away are drawn from those where the rule fires, those that close highest or lowest of 20
    bars, and all.

    Parameters
    ----------
    strategy : str or Strategy
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    parameters : mapping, optional
        The strategy's parameters; its defaults where ``None``.
    cuts : int
        At how many bars; the rule runs twice for each.
    seed : int
        Of the bars that are drawn and of the prices that are put in the future's place.
    progress : bool
        Show a bar.

    Returns
    -------
    LookAheadCheck
        A run in which the rule fails, such as for too few bars, is counted and told; without an answer both with the
        future cut off and with another one the rule has not passed. Numbers are the same when they are within 1e-9 of
        each other, relatively; NaN equals NaN. A variable that is missing from an answer has changed.

    Raises
    ------
    UnknownNameError, ParameterError
        For a strategy, parameters or a number of cuts that are not valid.
    StrategyError
        If the rule fails on all bars, or gives another answer each time that it is asked.
    InputError
        If there are too few bars, or the rule fails on every shortened history.
    """
    from tqdm.auto import tqdm

    if not isinstance(cuts, int) or cuts < 1:
        raise ParameterError(f"cuts={cuts!r} is out of range; give a number of bars, such as 30")
    found = find_strategy(strategy)
    values = found.validate(parameters or {})
    whole = found.signals(bars, **values)
    if not _compare(whole, found.signals(bars, **values)).empty:
        raise StrategyError(f"strategy {found.name!r} answers differently each time; give its randomness a seed")
    if not (whole["strength"].notnull().any() or whole["entry"].any() or whole["exit"].any()):
        raise InputError(f"{bars.sizes['time']} bars are too few for strategy {found.name!r}; give a longer range")
    generator = np.random.default_rng(seed)
    ends = choose_cuts(bars, whole, cuts, generator)
    tables, compared = [], dict.fromkeys(get_args(Future), 0)
    error = None
    for history_ends, future, other in tqdm(
        histories(bars, ends, generator), total=2 * len(ends), desc=found.name, unit="run", disable=not progress
    ):
        answer = _answer(found, other, values)
        if isinstance(answer, str):
            error = error or answer
            continue
        compared[future] += 1
        kept = slice(history_ends + 1)
        changed = _compare(whole.isel(time=kept), answer.isel(time=kept))
        tables.append(changed.assign(history_ends=bars.indexes["time"][history_ends], future=future))
    if not any(compared.values()):
        raise InputError(f"strategy {found.name!r} failed on every changed history; give more bars or mend it: {error}")
    counts = (len(ends), compared["cut off"], compared["replaced"])
    daily = bars.attrs["interval"] not in WITHIN_SESSION
    return LookAheadCheck(found.name, values, *counts, _sorted(tables), error, daily)


def _answer(strategy: Strategy, bars: xr.Dataset, values: Mapping[str, Any]) -> xr.Dataset | str:
    """Return what the rule says; the error where it fails, as it may on other bars than those that it was given."""
    try:
        return strategy.signals(bars, **values)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _compare(whole: xr.Dataset, part: xr.Dataset) -> pd.DataFrame:
    """Return the first value that differs for each variable and symbol."""
    rows: list[tuple[Any, ...]] = []
    for name, variable in whole.data_vars.items():
        dims = set(variable.dims)
        if "time" not in dims or dims - {"time", "symbol"}:
            continue
        true = _wide(variable)
        if name in part and dims == set(part[name].dims):
            other = _wide(part[name]).reindex_like(true)
            different = _different(true.to_numpy(), other.to_numpy())
        else:
            other = pd.DataFrame("missing", true.index, true.columns)
            different = true.notna().to_numpy()
        for column in np.flatnonzero(different.any(axis=0)).tolist():
            row = int(different[:, column].argmax())
            values = (true.iloc[row, column], other.iloc[row, column])
            rows.append((str(name), true.columns[column], true.index[row], *values, int(different[:, column].sum())))
    return pd.DataFrame(rows, columns=[*COLUMNS[:5], "changed"])


def _wide(variable: xr.DataArray) -> pd.DataFrame:
    """Return a variable as a frame, shape (n_bars, n_symbols)."""
    columns = variable.indexes.get("symbol", ["all symbols"])
    values = variable.transpose("time", ...).to_numpy().reshape(variable.sizes["time"], -1)
    return pd.DataFrame(values, index=variable.indexes["time"], columns=columns)


def _different(true: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    if true.dtype.kind not in "fiu" or other.dtype.kind not in "fiu":
        unequal: NDArray[np.bool_] = (true != other) & ~(pd.isna(true) & pd.isna(other))
        return unequal
    finite = np.where(np.isfinite(true), np.abs(true), 0.0)
    rounding = ROUNDING * finite.max(axis=0, initial=0.0)
    near: NDArray[np.bool_] = np.isclose(other, true, rtol=RELATIVE, atol=rounding, equal_nan=True)
    return ~near


def _sorted(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the earliest value first, and what the engine acts on before what only tells why."""
    filled = [table for table in tables if not table.empty]
    if not filled:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(filled, ignore_index=True)
    order = {name: place for place, name in enumerate(_FIRST)}
    rank = table["variable"].map(lambda name: order.get(name, len(order)))
    ranked = table.assign(rank=rank).sort_values(["time", "rank", "history_ends", "future"], ignore_index=True)
    return ranked[COLUMNS]


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
