"""On which terms orders are filled, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.core.errors import ParameterError, UnknownNameError
from workbench.core.market import DIRECTIONS, FILLS, Direction, Fill

if TYPE_CHECKING:
    from workbench.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of an order, as fractions of its value.

    Attributes
    ----------
    commission : float
        Paid on the value of every order; 0.001 is 10 basis points.
    slippage : float
        By how much a fill is worse than the bar's price: a buy pays ``price * (1 + slippage)``, a sale gets
        ``price * (1 - slippage)``.

    Raises
    ------
    ParameterError
        If one of them is negative or not below 1.
    """

    commission: float
    slippage: float

    def __post_init__(self) -> None:
        for name in ("commission", "slippage"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < 1:
                raise ParameterError(f"{name}={value!r} is out of range; give a fraction of the order, such as 0.001")


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

    Raises
    ------
    ParameterError, UnknownNameError
        For a value that is not one of these.
    """

    costs: Costs
    cash: float
    direction: Direction = "long"
    fill: Fill = "next_open"

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise UnknownNameError("direction", self.direction, DIRECTIONS)
        if self.fill not in FILLS:
            raise UnknownNameError("fill", self.fill, FILLS)
        if not isinstance(self.cash, int | float) or not 0 < self.cash < float("inf"):
            raise ParameterError(f"cash={self.cash!r} must be positive; give the starting cash, such as 100000")

    @classmethod
    def agreed(
        cls,
        settings: Settings,
        commission: float | None,
        slippage: float | None,
        cash: float | None,
        direction: Direction,
        fill: Fill,
    ) -> Terms:
        """Return the terms of the settings, with what is given in their place."""
        costs = Costs(
            settings.commission if commission is None else commission,
            settings.slippage if slippage is None else slippage,
        )
        return cls(costs, settings.cash if cash is None else cash, direction, fill)

    def to_dict(self) -> dict[str, float | str]:
        """Return plain values for a provenance."""
        costs = {"commission": self.costs.commission, "slippage": self.costs.slippage}
        return {"direction": self.direction, "fill": self.fill, "cash": self.cash, **costs}
