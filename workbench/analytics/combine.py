"""Signals of several rules made into one: all of them, any, most, or a weighted score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr

from workbench.analytics.signals import held, make_signals
from workbench.core.errors import ParameterError, UnknownNameError

How = Literal["all", "any", "vote", "weighted"]
HOWS: tuple[How, ...] = get_args(How)


def combine_signals(
    parts: Mapping[str, xr.Dataset],
    here: xr.DataArray,
    how: How = "all",
    weights: Sequence[float] | None = None,
    threshold: float = 0.5,
) -> xr.Dataset:
    """Enter where the parts taken together turn long, leave where they no longer are.

    Parameters
    ----------
    parts : mapping of str to xarray.Dataset
        Signals of the same times and symbols by the rule's name; for target weights, a positive one is long.
    here : xarray.DataArray of bool
        Where a symbol has a bar, shape (n_bars, n_symbols).
    how : {"all", "any", "vote", "weighted"}
        Long while every part is; while at least one is; while more than half of them are; while the score, the weights
        of the long parts over the weights of all, is at least ``threshold``. A part that has not seen enough bars is
        not long.
    weights : sequence of float, optional
        One for each part, 0 or more, for ``weighted``; equal where not given.
    threshold : float
        For ``weighted``: above 0, at most 1.

    Returns
    -------
    xarray.Dataset
        Signals. Strength is the weighted mean of the strengths of the parts that have one (the weakest for ``all``,
        the strongest for ``any``), NaN where none has; the evidence is each part's state and strength, and the score.

    Raises
    ------
    ParameterError, UnknownNameError
    """
    shares = part_weights(list(parts), how, weights, threshold)
    states = np.stack([held(signals).to_numpy() for signals in parts.values()])
    strengths = np.stack([signals["strength"].to_numpy() for signals in parts.values()])
    score = _weighted(shares, states)
    long = score >= _needed(how, len(parts), threshold) - 1e-9
    entry, leave = _turns(here, long)
    evidence = {"score": here.copy(data=score)}
    for name, state, strength in zip(parts, states, strengths, strict=True):
        evidence[name] = here.copy(data=np.where(state > 0, "long", "flat"))
        evidence[f"{name}_strength"] = here.copy(data=strength)
    told = ", ".join(f"{name} {{{name}}} ({{{name}_strength:+.2f}})" for name in parts)
    strength = here.copy(data=_strength(strengths, shares, how))
    return make_signals(entry, leave, strength, evidence, f"{_said(how, threshold)}: {{score:.0%}} long ({told})")


def part_weights(
    names: Sequence[str], how: str, weights: Sequence[float] | None = None, threshold: float = 0.5
) -> np.ndarray:
    """Return each part's share of the score, shape (n_parts,), their sum 1.

    Raises
    ------
    ParameterError, UnknownNameError
        For no parts, an unknown way of combining, weights that do not fit, or a threshold that is out of range.
    """
    if how not in HOWS:
        raise UnknownNameError("way of combining", how, HOWS)
    if not names:
        raise ParameterError("no strategies to combine; give at least one")
    if not 0 < threshold <= 1:
        raise ParameterError(f"threshold={threshold!r} is out of range; give a share above 0, at most 1")
    if weights is None:
        return np.full(len(names), 1 / len(names))
    if how != "weighted":
        raise ParameterError(f"weights do not go with how={how!r}; give how='weighted'")
    given = np.asarray(list(weights), dtype="float64")
    if given.shape != (len(names),) or not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise ParameterError(f"weights={list(weights)!r} do not fit; give {len(names)} numbers of 0 or more, not all 0")
    shares: np.ndarray = given / given.sum()
    return shares


def _needed(how: str, count: int, threshold: float) -> float:
    """Return the score from which on the parts together are long."""
    return {"all": 1.0, "any": 1 / count, "vote": (count // 2 + 1) / count}.get(how, threshold)


def _said(how: str, threshold: float) -> str:
    words = {"all": "all of them", "any": "any of them", "vote": "more than half of them"}
    return words.get(how, f"a score of {threshold:.0%}")


def _turns(here: xr.DataArray, long: np.ndarray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return where a state begins and ends, on a symbol's own bars."""
    own = here.to_numpy()
    state = pd.DataFrame(np.where(own, long, np.nan).astype("float64")).ffill().fillna(0.0).to_numpy() > 0
    before = np.vstack([np.zeros_like(state[:1]), state[:-1]])
    return here.copy(data=state & ~before & own), here.copy(data=before & ~state & own)


def _weighted(shares: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the weighted sum over the parts, added up part by part.

    The last digit of a matrix product may depend on how many bars there are; a past score may not.
    """
    total = np.zeros(values.shape[1:])
    for share, value in zip(shares, values, strict=True):
        total += share * value
    return total


def _strength(strengths: np.ndarray, shares: np.ndarray, how: str) -> np.ndarray:
    known = ~np.isnan(strengths)
    none = ~known.any(axis=0)
    if how in ("all", "any"):
        filled = np.where(known, strengths, np.inf if how == "all" else -np.inf)
        found = filled.min(axis=0) if how == "all" else filled.max(axis=0)
    else:
        total = _weighted(shares, known.astype("float64"))
        found = _weighted(shares, np.nan_to_num(strengths)) / np.where(total > 0, total, np.nan)
    return np.where(none, np.nan, found)
