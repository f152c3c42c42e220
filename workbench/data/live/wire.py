"""Quotes and gaps as JSON, for what several processes share; what comes in is checked before it is believed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from workbench.data.live.base import Gap
from workbench.data.providers.base import Quote

Name = Annotated[str, Field(min_length=1, max_length=64)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)


class _Quote(_Strict):
    symbol: Name
    time: AwareDatetime
    price: Number
    source: Name
    currency: Name | None = None
    volume: Number | None = None
    previous_close: Number | None = None


class _Gap(_Strict):
    source: Name
    symbols: tuple[Name, ...]
    since: AwareDatetime
    until: AwareDatetime | None
    reason: str = Field(max_length=1000)


class Message(_Strict):
    """What a leader says at once.

    Attributes
    ----------
    reign, number : int
        Which leader since the beginning, and its how many-th message: a number left out is a message missed.
    time : datetime
        When it was said.
    """

    reign: int
    number: int
    time: AwareDatetime
    quotes: tuple[_Quote, ...] = ()
    gaps: tuple[_Gap, ...] = ()

    @classmethod
    def of(cls, reign: int, number: int, time: datetime, quotes: list[Quote], gaps: list[Gap]) -> Message:
        """Return a message that tells some quotes and gaps."""
        told = tuple(map(_Quote.model_validate, quotes)), tuple(map(_Gap.model_validate, gaps))
        return cls(reign=reign, number=number, time=time, quotes=told[0], gaps=told[1])

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among all messages."""
        return self.reign, self.number

    def events(self) -> list[Gap | Quote]:
        """Return what it tells, gaps first."""
        gaps = [Gap(**dict(gap)) for gap in self.gaps]
        return [*gaps, *(Quote(**dict(quote)) for quote in self.quotes)]


def quote_to_json(quote: Quote | None) -> str:
    """Return a quote as JSON; ``null`` stands for a symbol that the source does not know."""
    return "null" if quote is None else _Quote.model_validate(quote).model_dump_json(exclude_none=True)


def quote_from_json(text: str | bytes) -> Quote | None:
    """Read one quote.

    Raises
    ------
    ValueError
        If it is none.
    """
    return None if text in ("null", b"null") else Quote(**dict(_Quote.model_validate_json(text)))


def message_from_json(text: str | bytes) -> Message | None:
    """Read a leader's message; ``None`` for what is none."""
    try:
        return Message.model_validate_json(text)
    except ValidationError:
        return None
