"""What a rule says at each symbol's last bar: fired, near, quiet, or not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workbench.alerts.latch import firing_of, released
from workbench.alerts.policy import Policy
from workbench.alerts.rules import AlertRule
from workbench.core.errors import ParameterError, WorkbenchError
from workbench.core.market import Adjustment

State = Literal["fired", "near", "quiet", "unknown"]


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A rule with its name; ``id`` is ``None`` for one that is not kept.

    Attributes
    ----------
    name, kind : str
    rule : AlertRule
    id : str, optional
    created : datetime, optional
    policy : Policy
        How it is told, when it fires again, and until when it looks at all.
    snoozed : datetime, optional
        Until when it tells nobody.
    """

    name: str
    kind: str
    rule: AlertRule
    id: str | None = None
    created: datetime | None = None
    policy: Policy = field(default_factory=Policy)
    snoozed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says of one symbol.

    Attributes
    ----------
    rule : NamedRule
    symbol : str
    state : {"fired", "near", "quiet", "unknown"}
        ``fired`` where the rule holds at the symbol's last bar, or held within the lookback.
    found : str
        What was found, in words; for ``unknown``, why nothing was.
    distance : float
        How many usual changes away the rule is: 0 where it holds, NaN where that cannot be said.
    since : pandas.Timestamp
        For ``fired``, the bar at which the rule fired: the first at which it held since it was last released, UTC
        without a zone; else ``NaT``. See ``workbench.alerts.latch``.
    time : pandas.Timestamp
        The bar that was looked at; ``NaT`` where there is none. For ``fired``, the last one at which the rule held.
    is_last : bool
        Whether that is the symbol's last bar.
    version : str
        The version of the data.
    released : pandas.Timestamp
        The symbol's last bar, if the rule does not hold there and is far enough away to fire again; else ``NaT``.
        Where a rule that is ``momentary`` holds at it, the bar before: what was found by then is over.
    """

    rule: NamedRule
    symbol: str
    state: State
    found: str
    distance: float = float("nan")
    since: pd.Timestamp = field(default_factory=lambda: pd.NaT)  # type: ignore[assignment]
    time: pd.Timestamp = field(default_factory=lambda: pd.NaT)  # type: ignore[assignment]
    is_last: bool = True
    version: str = ""
    released: pd.Timestamp = field(default_factory=lambda: pd.NaT)  # type: ignore[assignment]

    @property
    def key(self) -> str | None:
        """The alert's key: one for each time that the rule begins to hold; ``None`` where nothing is to be told.

        What held before the rule was there, and does so no more, nobody asked to be told.
        """
        if self.state != "fired" or self.rule.id is None or not (self.is_last or self._began_later()):
            return None
        return f"rule:{self.rule.id}:{self.symbol}:{self.since.isoformat()}"

    def _began_later(self) -> bool:
        created = self.rule.created
        return created is not None and self.since.tz_localize("UTC") >= created

    @property
    def subject(self) -> str:
        """The alert's subject."""
        return f"{self.symbol}: {self.rule.rule.condition}"

    @property
    def text(self) -> str:
        """What was found and when, in words."""
        day = f"{self.time:%Y-%m-%d %H:%M} UTC"
        since = f", since {self.since:%Y-%m-%d}" if self.since < self.time else ""
        data = f", data {self.version}" if self.version else ""
        return f"{self.found}; {day}{since}; rule {self.rule.name!r}{data}"


def judge(named: NamedRule, by: Mapping[Adjustment, xr.Dataset], at: pd.Timestamp, lookback: int = 1) -> list[Verdict]:
    """Return what a rule says of each of its symbols.

    Parameters
    ----------
    named : NamedRule
    by : mapping of str to xarray.Dataset
        Bars with the rule's symbols among them by what they are adjusted for, each of the rule's ``adjusts``, shape
        (n_bars, n_symbols).
    at : pandas.Timestamp
        The moment, UTC without a zone; bars that closed later are left out.
    lookback : int
        At how many of a symbol's last bars the rule may have fired, at least 1.

    Returns
    -------
    list of Verdict
        In the order of the rule's symbols: one for each time that the rule held within the lookback, or one that says
        how far it is from that. A rule that cannot look at the bars gives ``unknown``, with the reason; so does one
        whose policy expired before the last bar. At a bar after that it never fires.

    Raises
    ------
    ParameterError
        For a lookback of less than a bar.
    """
    check_lookback(lookback)
    rule, bars = named.rule, by[named.rule.adjusts[0]]
    absent = [symbol for symbol in rule.symbols if symbol not in bars.indexes["symbol"]]
    there = [symbol for symbol in rule.symbols if symbol not in absent]
    found = [Verdict(named, symbol, "unknown", "no bars of it") for symbol in absent]
    if there:
        own = {adjust: by[adjust].sel(time=slice(None, at), symbol=there) for adjust in rule.adjusts}
        try:
            reading = rule.read(own, at)
            version = str(bars.attrs["version"])
            for symbol in there:
                found += verdicts(named, symbol, reading.sel(symbol=symbol), own, lookback, version)
        except WorkbenchError as error:
            found += [Verdict(named, symbol, "unknown", str(error)) for symbol in there]
        except Exception as error:  # a stranger's kind that is broken holds up no other rule
            said = f"a rule of kind {named.kind!r} failed: {type(error).__name__}: {error}"
            found += [Verdict(named, symbol, "unknown", said) for symbol in there]
    return sorted(found, key=lambda verdict: rule.symbols.index(verdict.symbol))


def check_lookback(lookback: int) -> None:
    """Raise for a lookback of less than a bar.

    Raises
    ------
    ParameterError
    """
    if lookback < 1:
        raise ParameterError(f"lookback={lookback} looks at no bar; give at least 1")


def verdicts(
    named: NamedRule,
    symbol: str,
    reading: xr.Dataset,
    by: Mapping[Adjustment, xr.Dataset],
    lookback: int,
    version: str = "",
) -> list[Verdict]:
    """Return what a rule says of one symbol, by its reading of that symbol, shape (n_bars,); see ``judge``."""
    own = own_rows(named, reading)
    if not own.sizes["time"]:
        return [Verdict(named, symbol, "unknown", "no bars of it")]
    times = own.indexes["time"]
    firing = firings_of(named, own)
    same: dict[str, Any] = {"version": version, "released": _released(named, own, firing)}
    fired = []
    for begin, end in _reaching(firing, lookback):
        said, is_last = named.rule.tell(own.isel(time=end), by), end == len(times) - 1
        fired.append(Verdict(named, symbol, "fired", said, 0.0, times[begin], times[end], is_last, **same))
    return fired or [_not_fired(named, symbol, own, by, same)]


def own_rows(named: NamedRule, reading: xr.Dataset) -> xr.Dataset:
    """Return the rows of a symbol's reading at which the rule looks, shape (n_own_bars,); none holds after it expired.

    ``holds`` and ``gap`` of these are what ``workbench.alerts.latch`` takes.
    """
    own = reading.isel(time=np.flatnonzero(reading["here"].to_numpy()))
    late = _expired(named, own.indexes["time"])
    return own.assign(holds=own["holds"] & ~late, gap=own["gap"].where(~late)) if late.any() else own


def firings_of(named: NamedRule, own: xr.Dataset) -> NDArray[np.int64]:
    """Return, for each of a symbol's ``own_rows``, at which of them the rule fired for that one to hold; else -1.

    See ``workbench.alerts.latch``; without a release, each bar of a rule that is ``momentary`` is a firing.
    """
    if _each_by_itself(named):
        return np.where(own["holds"].to_numpy(), np.arange(own.sizes["time"]), -1)
    holds, gap = own["holds"].to_numpy(), own["gap"].to_numpy()
    side = own["direction"].to_numpy() if "direction" in own else None
    return firing_of(holds, gap, named.policy.release, _known(own), side)


def _each_by_itself(named: NamedRule) -> bool:
    return named.rule.momentary and not named.policy.release


def _expired(named: NamedRule, times: pd.Index) -> NDArray[np.bool_]:
    if named.policy.expires is None:
        return np.zeros(len(times), dtype=bool)
    return np.asarray(times > pd.Timestamp(named.policy.expires).tz_convert(None))


def _released(named: NamedRule, own: xr.Dataset, firing: NDArray[np.int64]) -> pd.Timestamp:
    """Return up to when what was before the last bar is over; ``NaT`` where it goes on."""
    last, times = own.isel(time=[-1]), own.indexes["time"]
    if released(last["holds"].to_numpy(), last["gap"].to_numpy(), named.policy.release, _known(last))[0]:
        return pd.Timestamp(times[-1])
    is_new = len(times) > 1 and firing[-1] == len(times) - 1
    is_over = is_new and (_each_by_itself(named) or _has_turned(own))
    return pd.Timestamp(times[-2]) if is_over else pd.NaT  # type: ignore[return-value]


def _has_turned(own: xr.Dataset) -> bool:
    """Say whether the rule held on the other side when it held before the last bar."""
    held = np.flatnonzero(own["holds"].to_numpy()[:-1])
    return "direction" in own and bool(len(held)) and bool(own["direction"][held[-1]] != own["direction"][-1])


def _known(own: xr.Dataset) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = own["holds"].to_numpy() | own["value"].notnull().to_numpy()
    return known


def _reaching(firing: NDArray[np.int64], lookback: int) -> list[tuple[int, int]]:
    """Return the first and the last bar of each firing that holds at some of the last ``lookback`` bars."""
    ends = {int(begin): place for place, begin in enumerate(firing.tolist()) if begin >= 0}
    return [(begin, end) for begin, end in ends.items() if end >= len(firing) - lookback]


def _not_fired(
    named: NamedRule, symbol: str, own: xr.Dataset, by: Mapping[Adjustment, xr.Dataset], same: dict[str, Any]
) -> Verdict:
    row, time = own.isel(time=-1), own.indexes["time"][-1]
    expires = named.policy.expires
    if expires is not None and _expired(named, own.indexes["time"][-1:])[0]:
        return Verdict(named, symbol, "unknown", f"expired at {expires:%Y-%m-%d %H:%M} UTC", time=time)
    if np.isnan(float(row["value"])):
        return Verdict(named, symbol, "unknown", "not enough bars", time=time)
    distance = named.rule.distance(own)
    state: State = "near" if distance <= named.rule.near else "quiet"
    return Verdict(named, symbol, state, named.rule.tell(row, by), distance, time=time, **same)


def groups_of(rules: Sequence[NamedRule]) -> dict[tuple[str, Adjustment], list[NamedRule]]:
    """Return rules by the datasets and the adjustments that they look at: each of these reads its bars once.

    A rule that looks at several is in several groups, one that looks at no bars in none.
    """
    groups: dict[tuple[str, Adjustment], list[NamedRule]] = {}
    for each in rules:
        for adjust in each.rule.adjusts:
            groups.setdefault((each.rule.dataset, adjust), []).append(each)
    return groups
