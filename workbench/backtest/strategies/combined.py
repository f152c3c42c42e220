"""Several strategies made into one, whose parameters are all of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import xarray as xr
from pydantic import BaseModel, ConfigDict, Field, create_model

from workbench.analytics.combine import How, combine_signals, part_weights
from workbench.backtest.strategy import Strategy, find_strategy

Threshold = Annotated[float, Field(gt=0, le=1, description="share of the weights that must be long")]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False, description="weight of the part in the score")]


def combine(
    strategies: Sequence[str | Strategy],
    how: How = "all",
    weights: Sequence[float] | None = None,
    threshold: float = 0.5,
) -> Strategy:
    """Make one strategy of several; see ``workbench.analytics.combine.combine_signals``.

    Parameters
    ----------
    strategies : sequence of str or Strategy
        The parts. One that is given twice is called ``name_2`` the second time.
    how : {"all", "any", "vote", "weighted"}
        When they are long together.
    weights : sequence of float, optional
        One for each part, for ``weighted``; equal where not given.
    threshold : float
        For ``weighted``.

    Returns
    -------
    Strategy
        Its parameters are the parts' own, with the part's name and two underscores in front, such as
        ``sma_cross__fast``; for ``weighted`` also ``threshold`` and each part's ``weight__sma_cross``. A part that
        gives target weights is long where its weight is positive; how much is lost.

    Raises
    ------
    UnknownNameError, ParameterError
        For an unknown strategy or way of combining, or weights that do not fit.
    """
    parts = dict(_named([find_strategy(each) for each in strategies]))
    part_weights(list(parts), how, weights, threshold)
    own: dict[str, float] = {}
    if how == "weighted":
        given = [1.0] * len(parts) if weights is None else weights
        own = {"threshold": threshold, **{f"weight__{name}": each for name, each in zip(parts, given, strict=True)}}

    def shares(values: Mapping[str, Any]) -> list[float] | None:
        return [values[f"weight__{name}"] for name in parts] if own else None

    def rule(bars: xr.Dataset, **values: Any) -> xr.Dataset:
        found = {name: part.signals(bars, **_own(name, values)) for name, part in parts.items()}
        here = bars["close"].notnull()
        return combine_signals(found, here, how, shares(values), values.get("threshold", threshold))

    def check(values: Mapping[str, Any]) -> str | None:
        for name, part in parts.items():
            fault = part.check(_own(name, values)) if part.check else None
            if fault:
                return f"{name}: {fault}"
        return "all weights are 0; give at least one above" if own and not any(shares(values) or ()) else None

    return Strategy(
        f"{how}({', '.join(parts)})",
        f"Long while {_SAID[how]} of {', '.join(parts)}.",
        rule,
        _parameters(parts, own),
        check=check,
        direction="both" if all(part.direction == "both" for part in parts.values()) else "long",
        symbols=max(part.symbols for part in parts.values()),
        fields=tuple(dict.fromkeys(field for part in parts.values() for field in part.fields)),
    )


_SAID = {"all": "every one", "any": "at least one", "vote": "more than half", "weighted": "enough, by their weights,"}


def _named(parts: Sequence[Strategy]) -> Iterator[tuple[str, Strategy]]:
    taken: set[str] = set()
    for part in parts:
        plain = "".join(letter if letter.isalnum() else "_" for letter in part.name).strip("_")
        name, number = plain, 2
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name)
        yield name, part


def _parameters(parts: Mapping[str, Strategy], own: Mapping[str, float]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        f"{name}__{parameter}": (field.annotation, field)
        for name, part in parts.items()
        for parameter, field in part.parameters.model_fields.items()
    }
    kinds = {name: Threshold if name == "threshold" else Weight for name in own}
    fields |= {name: (kinds[name], float(value)) for name, value in own.items()}
    # A part's parameter may begin with "model_", which pydantic keeps for itself otherwise.
    config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    model: type[BaseModel] = create_model("combined_parameters", __config__=config, **fields)
    return model


def _own(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    start = f"{name}__"
    return {key.removeprefix(start): value for key, value in values.items() if key.startswith(start)}
