"""What a fetch tells: for each symbol what became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["arrived", "up to date", "incomplete", "failed"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of one symbol.

    Attributes
    ----------
    symbol : str
    state : str
        ``"arrived"``; ``"up to date"``: nothing was missing, nothing was asked; ``"incomplete"``: sessions that the
        source should have are still to come; ``"failed"``: see ``error``.
    requests : int
        Spans that were asked for.
    bars, actions : int
        Rows that arrived, whether the store had them already or not.
    missing : int
        Sessions still to come.
    error : str
        One sentence, empty where all went well.
    """

    symbol: str
    state: State
    requests: int = 0
    bars: int = 0
    actions: int = 0
    missing: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch did.

    Attributes
    ----------
    provider, dataset : str
    arrivals : tuple of Arrival
        One per symbol, in the order asked.
    added, quarantined : int
        Bars that are new in the store, and rows that were put into quarantine.
    """

    provider: str
    dataset: str
    arrivals: tuple[Arrival, ...]
    added: int
    quarantined: int

    @property
    def complete(self) -> bool:
        """Say whether all that was asked for is there."""
        return all(each.state in ("arrived", "up to date") for each in self.arrivals)

    @property
    def requests(self) -> int:
        """Return how many spans were asked for."""
        return sum(each.requests for each in self.arrivals)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        symbols = [asdict(each) for each in self.arrivals]
        counts = {"added": self.added, "quarantined": self.quarantined, "requests": self.requests}
        return {
            "provider": self.provider,
            "dataset": self.dataset,
            "complete": self.complete,
            **counts,
            "symbols": symbols,
        }
