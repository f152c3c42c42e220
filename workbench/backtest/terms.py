"""On which terms orders are filled: costs, size, stops, direction."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, get_args

from workbench.core.errors import ParameterError, UnknownNameError
from workbench.core.market import DIRECTIONS, FILLS, Direction, Fill

if TYPE_CHECKING:
    from workbench.core.settings import Settings

SizingKind = Literal["all", "fixed", "percent", "volatility", "kelly"]
SIZINGS: tuple[SizingKind, ...] = get_args(SizingKind)

COSTS = ("commission", "slippage", "borrow")
STOPS = {"stop_loss": "loss", "take_profit": "profit", "trailing_stop": "trailing"}
CHOICES = (*COSTS, "cash", "direction", "fill", "size", *STOPS, "shared")
"""The names under which a backtest is told its terms."""


def _plain(value: Any) -> Any:
    """Return a number as Python's own, so that it can be written down; NaN for what is none (as True is not)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return float("nan")
    return int(value) if isinstance(value, Integral) else float(value)


def _settle(terms: object, name: str, value: Any) -> None:
    """Give a frozen dataclass the plain number that it was told as another kind."""
    object.__setattr__(terms, name, value)


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs, as fractions.

    Attributes
    ----------
    commission : float
        Paid on the value of every order; 0.001 is 10 basis points.
    slippage : float
        By how much a fill is worse than the bar's price: a buy pays ``price * (1 + slippage)``, a sale gets
        ``price * (1 - slippage)``.
    borrow : float
        What borrowed shares cost a year, of their value: each bar that ends short is charged
        ``borrow / periods_per_year`` of the short's value at that close.

    Raises
    ------
    ParameterError
        If one of them is negative or not below 1.
    """

    commission: float
    slippage: float
    borrow: float = 0.0

    def __post_init__(self) -> None:
        for name in ("commission", "slippage", "borrow"):
            value = getattr(self, name)
            if not 0 <= _plain(value) < 1:
                raise ParameterError(f"{name}={value!r} is out of range; give a fraction, such as 0.001")
            _settle(self, name, _plain(value))


@dataclass(frozen=True, slots=True)
class Sizing:
    """How large a position an entry opens. Never more than the account can pay.

    Attributes
    ----------
    kind : {"all", "fixed", "percent", "volatility", "kelly"}
        ``all``: all of the account. ``fixed``: an amount of money. ``percent``: a fraction of the account's value.
        ``volatility``: the fraction that brings the position's volatility to a target a year, at most 1. ``kelly``: a
        fraction of Kelly's ``mean / variance`` of the symbol's returns over a window, 0 to 1.
    value : float
        The amount, the fraction, the target (0.15 is 15 % a year), or the fraction of Kelly's.
    window : int
        Bars of returns that ``volatility`` and ``kelly`` look back over.

    Raises
    ------
    ParameterError, UnknownNameError
    """

    kind: SizingKind = "all"
    value: float = 1.0
    window: int = 63

    def __post_init__(self) -> None:
        if self.kind not in SIZINGS:
            raise UnknownNameError("sizing", self.kind, SIZINGS)
        highest = sys.float_info.max if self.kind == "fixed" else 1.0
        if not 0 < _plain(self.value) <= highest:
            allowed = "an amount of money" if self.kind == "fixed" else "a fraction above 0, at most 1"
            raise ParameterError(f"sizing {self.kind}:{self.value!r} is out of range; give {allowed}")
        if not (_plain(self.window) >= 2 and isinstance(_plain(self.window), int)):
            raise ParameterError(f"a sizing window of {self.window!r} bars is too short; give at least 2")
        _settle(self, "value", float(self.value))
        _settle(self, "window", int(self.window))

    @classmethod
    def read(cls, text: str | Sizing) -> Sizing:
        """Read ``"all"``, ``"fixed:10000"``, ``"percent:0.5"``, ``"volatility:0.15"`` or ``"kelly:0.5:252"``.

        Raises
        ------
        ParameterError, UnknownNameError
        """
        if isinstance(text, Sizing):
            return text
        kind, *numbers = str(text).split(":")
        if kind not in SIZINGS:
            raise UnknownNameError("sizing", kind, SIZINGS)
        if len(numbers) != (0 if kind == "all" else 1) and not (kind in ("volatility", "kelly") and len(numbers) == 2):
            raise ParameterError(f"sizing {text!r} is not complete; write it as all, percent:0.5 or volatility:0.15:63")
        try:
            if kind == "all":
                return cls()
            return cls(kind, float(numbers[0]), *(int(number) for number in numbers[1:]))
        except ValueError as error:
            raise ParameterError(f"sizing {text!r} has no number; write it as percent:0.5") from error

    def __str__(self) -> str:
        if self.kind == "all":
            return self.kind
        # All digits: what is read from it again is the same size, and two sizes are never told alike.
        told = f"{self.kind}:{repr(self.value).removesuffix('.0')}"
        return f"{told}:{self.window}" if self.kind in ("volatility", "kelly") else told


@dataclass(frozen=True, slots=True)
class Stops:
    """At which distance from its entry's price a position is closed, as fractions of it; ``None`` for no such stop.

    Attributes
    ----------
    loss : float, optional
        Against the position: 0.1 closes a long position at 90 % of its entry's price.
    profit : float, optional
        In its favour.
    trailing : float, optional
        Against the position, from the best price since its entry.

    Raises
    ------
    ParameterError
        If one of them is not between 0 and 1, or both ``loss`` and ``trailing`` are given.
    """

    loss: float | None = None
    profit: float | None = None
    trailing: float | None = None

    def __post_init__(self) -> None:
        for name, highest in (("loss", 1.0), ("profit", float("inf")), ("trailing", 1.0)):
            value = getattr(self, name)
            if value is None:
                continue
            if not 0 < _plain(value) < highest:
                raise ParameterError(f"a stop of {name}={value!r} is out of range; give a fraction, such as 0.1")
            _settle(self, name, _plain(value))
        if self.loss is not None and self.trailing is not None:
            raise ParameterError(
                f"stop_loss={self.loss:g} and trailing_stop={self.trailing:g} do not go together; give one of them"
            )

    def __bool__(self) -> bool:
        return (self.loss, self.profit, self.trailing) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything that the engine needs to know besides bars and signals.

    Attributes
    ----------
    costs : Costs
    cash : float
        Starting cash, in the bars' currency.
    direction : {"long", "both"}
        Long only; or short, too, from an exit to the next entry.
    fill : {"next_open", "next_close"}
        Which price of the bar after the signal fills the order.
    sizing : Sizing
        How large a position an entry opens.
    stops : Stops
        When a position is closed without a signal.
    shared : bool
        All symbols draw on one account, instead of an equal share of the cash each.

    Raises
    ------
    ParameterError, UnknownNameError
        For a value that is not one of these.
    """

    costs: Costs
    cash: float
    direction: Direction = "long"
    fill: Fill = "next_open"
    sizing: Sizing = Sizing()
    stops: Stops = Stops()
    shared: bool = False

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise UnknownNameError("direction", self.direction, DIRECTIONS)
        if self.fill not in FILLS:
            raise UnknownNameError("fill", self.fill, FILLS)
        if not 0 < _plain(self.cash) < float("inf"):
            raise ParameterError(f"cash={self.cash!r} must be positive; give the starting cash, such as 100000")
        _settle(self, "cash", _plain(self.cash))

    @classmethod
    def agreed(cls, settings: Settings, **given: Any) -> Terms:
        """Return the terms of the settings, with what is given (and not ``None``) in their place.

        Parameters
        ----------
        settings : Settings
        given
            Out of ``CHOICES``.
        """
        chosen = {name: value for name, value in given.items() if value is not None}
        costs = Costs(*(chosen.pop(name, getattr(settings, name)) for name in COSTS))
        stops = Stops(**{field: chosen.pop(name, None) for name, field in STOPS.items()})
        sizing, cash = Sizing.read(chosen.pop("size", "all")), chosen.pop("cash", settings.cash)
        return cls(costs, cash, sizing=sizing, stops=stops, **chosen)

    @property
    def plain(self) -> bool:
        """Whether every entry takes all of an account of its own, without stops: what a compiled sweep can do."""
        return self.sizing.kind == "all" and not self.stops and not self.shared

    def with_cash(self, cash: float) -> Terms:
        """Return the same terms for another amount of cash."""
        return replace(self, cash=cash)

    def to_dict(self) -> dict[str, float | str | bool]:
        """Return plain values for a provenance; stops only where there are some."""
        distances = {name: getattr(self.stops, field) for name, field in STOPS.items()}
        stops = {name: distance for name, distance in distances.items() if distance is not None}
        how = {"direction": self.direction, "fill": self.fill, "cash": self.cash, "size": str(self.sizing)}
        return {**how, "shared": self.shared, **stops, **asdict(self.costs)}
