"""Rules that are made of rules: all of them, any of them, not one.

The parts look at the dataset and the symbols of the whole, each at bars with its own adjustment. At a time at which a
part's symbol has no bar while another part looks there (as one on missing data does), the part is taken as it was at
its last own bar. What is not known makes the whole unknown unless the others decide it (Kleene's strong logic: S. C.
Kleene, *Introduction to Metamathematics*, 1952, section 64), so that *not* of an unknown part does not hold.

``value`` is how many parts say yes, ``level`` how many must, ``gap`` how many are missing; ``value`` and ``gap`` are
NaN where the whole is unknown. The parts' own readings are variables ``0:value``, ``0:level``, ..., ``1:value``, ...
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from workbench.alerts.aligning import aligned, part_of
from workbench.alerts.faults import brief
from workbench.alerts.rules import AlertRule, find_kind, make_rule
from workbench.core.errors import InputError
from workbench.core.market import Adjustment

DEPTH = 4
"""How deep compositions may lie in each other."""
MOST = 64
"""How many rules a composition may have in it."""

_INHERITED = ("dataset", "symbols")


class Part(BaseModel):
    """A rule within a composition.

    Attributes
    ----------
    kind : str
    rule : AlertRule
        With the dataset and the symbols of the whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    rule: SerializeAsAny[AlertRule]

    @model_serializer(mode="plain")
    def _plain(self) -> dict[str, Any]:
        values = {name: value for name, value in self.rule.plain().items() if name not in _INHERITED}
        return {"kind": self.kind, **values}


class Composition(AlertRule):
    """What rules that are made of rules have in common."""

    word: ClassVar[str] = ""
    """What stands between the parts in words."""
    most: ClassVar[int] = MOST
    """Of how many parts it can be made."""

    parts: tuple[Part, ...]

    @field_validator("parts", mode="before")
    @classmethod
    def _made(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, Mapping) or not isinstance(given, Sequence) or isinstance(given, str | bytes):
            raise ValueError('it is no list of rules; write each as {"kind": "price", "when": "below", "level": 450}')
        if not 1 <= len(given) <= cls.most:
            raise ValueError(f"it is made of {len(given)} rules; give {'one' if cls.most == 1 else f'1 to {cls.most}'}")
        _check_size(given)
        if not all(name in info.data for name in _INHERITED):
            return ()  # whatever is wrong with these is told
        inherited = {name: info.data[name] for name in _INHERITED}
        return tuple(_part(each, inherited) for each in given)

    @property
    def rules(self) -> tuple[AlertRule, ...]:
        """The parts' rules."""
        return tuple(part.rule for part in self.parts)

    @property
    def adjusts(self) -> tuple[Adjustment, ...]:
        """What the bars are adjusted for that the parts look at."""
        return tuple(dict.fromkeys(adjust for rule in self.rules for adjust in rule.adjusts))

    @property
    def streamed(self) -> bool:
        """Whether all parts are."""
        return all(rule.streamed for rule in self.rules)

    @property
    def condition(self) -> str:
        """The rule in words."""
        return f" {self.word} ".join(_within(rule) for rule in self.rules)

    @property
    def widest_gap(self) -> float:
        """As many parts as it needs."""
        return float(self.needed)

    @property
    @abstractmethod
    def needed(self) -> int:
        """How many parts must say yes."""

    @abstractmethod
    def count(self, holds: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return how many parts say yes, NaN where that does not decide the whole.

        Parameters
        ----------
        holds, known : ndarray of bool
            Whether each part holds, and whether that is known, shape (n_parts, ...).

        Returns
        -------
        ndarray of float
            Shape (...).
        """

    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:
        """Return the reading of the same Bars for every part, whatever these ask for; see ``read``."""
        return self.read(dict.fromkeys(self.adjusts, bars), at)

    def read(self, by: Mapping[Adjustment, xr.Dataset], at: pd.Timestamp) -> xr.Dataset:
        """Return how many parts say yes, and what each of them says."""
        readings = [rule.read(by, at) for rule in self.rules]
        times = reduce(pd.Index.union, (each.indexes["time"] for each in readings))
        coords = {"time": times.to_numpy(), "symbol": readings[0]["symbol"].to_numpy()}
        columns: dict[str, Any] = {}
        looked = np.zeros((len(times), len(coords["symbol"])), dtype=bool)
        for place, each in enumerate(readings):
            own, looks = aligned(each.sel(symbol=coords["symbol"]), times)
            columns |= {f"{place}:{name}": values for name, values in own.items()}
            looked |= looks
        holds = np.stack([columns[f"{place}:holds"] for place in range(len(readings))])
        known = holds | ~np.isnan(np.stack([columns[f"{place}:value"] for place in range(len(readings))]))
        count = np.where(looked, self.count(holds, known), np.nan)
        whole = {
            "value": count,
            "level": np.full(count.shape, float(self.needed)),
            "holds": count >= self.needed,
            "gap": np.maximum(self.needed - count, 0.0),
            "here": looked,
        }
        variables = {name: (("time", "symbol"), values) for name, values in (whole | columns).items()}
        return xr.Dataset(variables, coords=coords, attrs={"parts": tuple(each.attrs for each in readings)})

    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:
        """Return what the parts found; see ``tell``."""
        return self.tell(row, dict.fromkeys(self.adjusts, bars))

    def tell(self, row: xr.Dataset, by: Mapping[Adjustment, xr.Dataset]) -> str:
        """Return what the parts found that decide it; where the whole does not hold, what all of them did."""
        told = [(bool(row[f"{place}:holds"]), self._told(row, place, by)) for place in range(len(self.parts))]
        yes, no = ([text for holds, text in told if holds is wanted] for wanted in (True, False))
        if bool(row["holds"]) or len(told) == 1:
            return " and ".join(yes or no)
        found = f"{len(yes)} of {len(told)} hold" + (f": {' and '.join(yes)}" if yes else "")
        return f"{found}; not: {' nor '.join(no)}"

    def distance(self, own: xr.Dataset) -> float:
        """Return how many usual changes away the parts are that are missing."""
        away = [
            rule.distance(part)
            for rule, part in ((rule, part_of(own, place)) for place, rule in enumerate(self.rules))
            if not bool(part["holds"][-1])
        ]
        return self.furthest(away)

    @abstractmethod
    def furthest(self, away: Sequence[float]) -> float:
        """Return how far the whole is, if its parts that do not hold are so far."""

    def _told(self, row: xr.Dataset, place: int, by: Mapping[Adjustment, xr.Dataset]) -> str:
        rule, own = self.rules[place], part_of(row, place)
        known = bool(own["holds"]) or not np.isnan(float(own["value"]))
        found = rule.tell(own, by) if known else f"{rule.condition}: not enough bars"
        return f"({found})" if isinstance(rule, Composition) else found


class AllOf(Composition):
    """Several rules at once: each of them holds."""

    word = "and"

    @property
    def needed(self) -> int:
        """All of them."""
        return len(self.parts)

    def count(self, holds: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return how many hold; one that does not decides it, whatever is unknown."""
        decided = (known & ~holds).any(axis=0) | holds.all(axis=0)
        return np.where(decided, holds.sum(axis=0), np.nan)

    def furthest(self, away: Sequence[float]) -> float:
        """Return the longest way."""
        return float(np.max(away)) if away else float("nan")


class AnyOf(Composition):
    """One of several rules holds."""

    word = "or"

    @property
    def needed(self) -> int:
        """One."""
        return 1

    def count(self, holds: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return how many hold; one that does decides it, whatever is unknown."""
        decided = holds.any(axis=0) | known.all(axis=0)
        return np.where(decided, holds.sum(axis=0), np.nan)

    def furthest(self, away: Sequence[float]) -> float:
        """Return the shortest way that is known."""
        return min((each for each in away if not np.isnan(each)), default=float("nan"))


class Not(Composition):
    """A rule that does not hold; it takes one part."""

    most = 1

    @property
    def condition(self) -> str:
        """The rule in words."""
        return f"not ({self.rules[0].condition})"

    @property
    def needed(self) -> int:
        """One."""
        return 1

    def count(self, holds: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return 1 where the part does not hold."""
        return np.where(known[0], ~holds[0], np.nan)

    def furthest(self, away: Sequence[float]) -> float:  # noqa: ARG002 - as every composition is asked
        """Return NaN: a rule that holds does not say how far it is from ceasing to."""
        return float("nan")


def _within(rule: AlertRule) -> str:
    return f"({rule.condition})" if isinstance(rule, AllOf | AnyOf) else rule.condition


def _part(given: Any, inherited: Mapping[str, Any]) -> Part:
    if isinstance(given, Part):
        return given
    values = {str(name): value for name, value in given.items()}
    kind = values.pop("kind", None)
    if not isinstance(kind, str):
        raise ValueError(f"{brief(given)} has no kind; give one such as 'price'")
    own = [name for name in _INHERITED if name in values]
    if own:
        raise ValueError(f"a part of kind {kind!r} has the {own[0]} of the whole; leave {own[0]} out")
    try:
        if find_kind(kind).on_bars:
            return Part(kind=kind, rule=make_rule(kind, {**values, **inherited}))
    except InputError as error:
        raise ValueError(str(error)) from error
    raise ValueError(f"a rule of kind {kind!r} looks at no bars, so that it is no part of others; add it by itself")


def _check_size(given: Sequence[Any]) -> None:
    """Raise where rules lie too deep in each other, or are too many, or are none; before any of them is made."""
    level, depth, count = list(given), 1, 0
    while level:
        count += len(level)
        if depth > DEPTH:
            raise ValueError(f"its rules lie more than {DEPTH} deep in each other; make it simpler")
        if count > MOST:
            raise ValueError(f"it has more than {MOST} rules in it; make it simpler")
        level, depth = [below for each in level for below in _parts(each)], depth + 1


def _parts(given: Any) -> Sequence[Any]:
    if isinstance(given, Part):
        return given.rule.parts if isinstance(given.rule, Composition) else ()
    if not isinstance(given, Mapping):
        raise ValueError(f'{brief(given)} is no rule; write it as {{"kind": "price", "when": "below", "level": 450}}')
    found = given.get("parts", ())
    return found if isinstance(found, list | tuple) else ()
