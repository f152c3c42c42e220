"""What became different between two backtests: data, code, parameters or terms, and what each did to the numbers.

The effects come from running again: the first result with the data of the second, then with its rule, its parameters
and its terms. The order matters where changes work together, and is always this one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench.backtest.changed_table import changed_table
from workbench.backtest.figures import figure, plain, words
from workbench.core.code_hash import code_hash
from workbench.core.errors import WorkbenchError
from workbench.core.market import FIELDS

if TYPE_CHECKING:
    from workbench.backtest.result import BacktestResult
    from workbench.backtest.strategy import Strategy
    from workbench.backtest.terms import Terms

Row = tuple[str, str, Any, Any]
"""Section, what, the value of the first and that of the second."""

PARTS = {"data": ("bars",), "code": ("rule",), "parameters": ("parameters",), "terms": ("terms",)}
"""The sections in the order in which they are changed, with what is put in for each."""
VERSIONS, REST = "versions", "not explained"
_NOT_KEPT = "effects cannot be told apart: an account that begins on {} does not keep the history before it"
_UNREAD = "the rules cannot be compared: both hold something that cannot be read, such as an open file or a connection"
_SAME = 1e-9
_LEFT = "style='text-align:left'"
_CELL = "style='text-align:right;padding-left:16px'"


@dataclass(frozen=True, repr=False)
class Diff:
    """What changed between two backtests.

    Attributes
    ----------
    first, second : str
        What the results are of.
    changes : pandas.DataFrame
        Columns ``section`` (``data``, ``code``, ``parameters``, ``terms``), ``what``, ``a`` and ``b``; empty where
        nothing changed.
    figures : pandas.DataFrame
        The statistics: columns ``a``, ``b`` and ``change``, shape (12, 3).
    effects : pandas.DataFrame
        How much of the change comes from each section, shape (12, n_steps); where they are finite, the columns add
        up to ``change``. Sections that can only be changed together share a column. ``versions`` is what other
        versions of the workbench and its libraries did, ``not explained`` is what is left.
    notes : tuple of str
        Why a step could not be run, or the rules could not be compared.
    """

    first: str
    second: str
    changes: pd.DataFrame
    figures: pd.DataFrame
    effects: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def sections(self) -> list[str]:
        """The sections in which something changed."""
        return list(dict.fromkeys(self.changes["section"]))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; what is not finite becomes ``None``."""
        changes = [
            {name: value if name in ("section", "what") else plain(value) for name, value in row.items()}
            for row in self.changes.to_dict("records")
        ]
        tables = {"figures": self.figures, "effects": self.effects}
        return {
            "a": self.first,
            "b": self.second,
            "changes": changes,
            **{name: _finite(table) for name, table in tables.items()},
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        lines = [f"a: {self.first}", f"b: {self.second}", "", f"{self._sentence()}"]
        lines += [f"  {row.section}: {row.what}: {plain(row.a)} → {plain(row.b)}" for row in self._rows()]
        lines += ["", _written(self.figures, self.effects).to_string()]
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(row.section)}</td><td>{escape(row.what)}</td>"
            f"<td {_CELL}>{escape(plain(row.a))}</td><td {_CELL}>{escape(plain(row.b))}</td></tr>"
            for row in self._rows()
        )
        head = f"<tr><th {_LEFT}>section</th><th {_LEFT}>what</th><th {_CELL}>a</th><th {_CELL}>b</th></tr>"
        changed = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>" if rows else ""
        written = _written(self.figures, self.effects)
        titles = "".join(f"<th {_CELL}>{escape(str(name))}</th>" for name in written)
        body = "".join(
            f"<tr><th {_LEFT}>{escape(words(str(name)))}</th>"
            + "".join(f"<td {_CELL}>{escape(value)}</td>" for value in row)
            + "</tr>"
            for name, row in zip(written.index, written.to_numpy(), strict=True)
        )
        notes = "".join(f"<div><small>{escape(note)}</small></div>" for note in self.notes)
        return (
            f"<div><div>a: {escape(self.first)}</div><div>b: {escape(self.second)}</div>"
            f"<strong>{escape(self._sentence())}</strong>{changed}"
            f"<table><thead><tr><th></th>{titles}</tr></thead><tbody>{body}</tbody></table>{notes}</div>"
        )

    def _rows(self) -> Iterator[Any]:
        return self.changes.itertuples(index=False)

    def _sentence(self) -> str:
        names = self.sections
        unread = _UNREAD in self.notes
        if names:
            return f"what changed: {', '.join(names)}" + (", and perhaps code" if unread else "")
        if unread:
            return "data, parameters and terms are the same, code cannot be compared"
        moved = REST in self.effects
        return "data, code, parameters and terms are the same" + (", the numbers are not" if moved else "")


@dataclass(frozen=True)
class _Setup:
    """Everything that a backtest is run from."""

    bars: xr.Dataset
    rule: Strategy
    parameters: Mapping[str, Any]
    terms: Terms


def diff(a: BacktestResult, b: BacktestResult) -> Diff:
    """Return what changed from one backtest to another, and what that did to the numbers.

    Parameters
    ----------
    a, b : BacktestResult

    Returns
    -------
    Diff
    """
    rows = [*_data_rows(a, b), *_code_rows(a, b)]
    rows += _mapping_rows("parameters", a.parameters, b.parameters)
    rows += _mapping_rows("terms", _terms_of(a), _terms_of(b))
    changes = pd.DataFrame(rows, columns=["section", "what", "a", "b"])
    first, second = pd.Series(dict(a.statistics)), pd.Series(dict(b.statistics))
    figures = pd.DataFrame({"a": first, "b": second, "change": _change(first, second)})
    partial = next((found for found in (_since(a), _since(b)) if found), None)
    if partial:
        effects, notes = pd.DataFrame(index=second.index), [_NOT_KEPT.format(partial)]
    else:
        effects, notes = _effects(a, b, changes)
    if _is_unread(a, b):
        notes = [_UNREAD, *notes]
    return Diff(_heading(a), _heading(b), changes, figures, effects, tuple(notes))


def _data_rows(a: BacktestResult, b: BacktestResult) -> Iterator[Row]:
    yield from _mapping_rows("data", a.provenance.data, b.provenance.data)
    if a.bars.sizes["time"] != b.bars.sizes["time"]:
        yield "data", "bars", a.bars.sizes["time"], b.bars.sizes["time"]
    one, two = xr.align(a.bars, b.bars, join="inner")
    left, right = (
        bars[list(FIELDS)].to_dataarray("field").transpose("time", "symbol", "field").to_numpy() for bars in (one, two)
    )
    different = np.argwhere((left != right) & ~(np.isnan(left) & np.isnan(right)))
    if len(different):
        row, column, field = different[0]
        place = f"{FIELDS[field]} of {one['symbol'].to_numpy()[column]} on {one.indexes['time'][row]:%Y-%m-%d}"
        was, became = (float(found[row, column, field]) for found in (left, right))
        yield "data", f"{len(different):,} values of the same bars, first {place}", was, became


def _code_rows(a: BacktestResult, b: BacktestResult) -> Iterator[Row]:
    one, two = ({"strategy": each.strategy, "rule": code_hash(each.rule.rule) or "cannot be read"} for each in (a, b))
    yield from _mapping_rows("code", one, two)
    if one["rule"] != two["rule"]:
        yield from (("code", "table", *told) for told in changed_table(a.rule, b.rule))
    yield from _mapping_rows("code", _versions(a), _versions(b))


def _is_unread(a: BacktestResult, b: BacktestResult) -> bool:
    return code_hash(a.rule.rule) is None and code_hash(b.rule.rule) is None


def _versions(result: BacktestResult) -> dict[str, str]:
    return {"workbench": result.provenance.code, **result.provenance.libraries}


def _terms_of(result: BacktestResult) -> dict[str, Any]:
    since = _since(result)
    return {**result.terms.to_dict(), **({} if since is None else {"since": since})}


def _since(result: BacktestResult) -> str | None:
    """Return where the account begins, if the signals are from longer history than the result keeps."""
    found: str | None = result.provenance.parameters.get("since")
    return found


def _mapping_rows(section: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Row]:
    for name in dict.fromkeys([*a, *b]):
        one, two = a.get(name), b.get(name)
        if one != two:
            yield section, words(name), one, two


def _effects(a: BacktestResult, b: BacktestResult, changes: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Go from ``a`` to ``b`` in steps; return what each did to the statistics, and why some could not be run."""
    setup, goal = _setup(a), _setup(b)
    now, aim = pd.Series(dict(a.statistics)), pd.Series(dict(b.statistics))
    effects: dict[str, pd.Series] = {}
    notes: list[str] = []
    pending: list[str] = []
    changed = {*changes["section"], *(["code"] if _is_unread(a, b) else [])}
    steps = [VERSIONS] if _versions(a) != _versions(b) else []
    for step in [*steps, *(name for name in PARTS if name in changed)]:
        pending.append(step)
        setup = replace(setup, **{part: getattr(goal, part) for part in PARTS.get(step, ())})
        try:
            found = _statistics(setup, b)
        except WorkbenchError as error:
            notes.append(f"{' and '.join(pending)} alone cannot be changed: {error}")
            continue
        effects[" and ".join(pending)] = _change(now, found)
        now, pending = found, []
    left = _change(now, aim)
    if pending or (left.abs() > _SAME * aim.abs().clip(lower=1)).any():
        effects[REST] = left
    return pd.DataFrame(effects, index=aim.index), notes


def _setup(result: BacktestResult) -> _Setup:
    return _Setup(result.bars, result.rule, dict(result.parameters), result.terms)


def _statistics(setup: _Setup, b: BacktestResult) -> pd.Series:
    from workbench.backtest.run import backtest

    found = backtest(setup.bars, setup.rule, setup.parameters, setup.terms, created=b.provenance.created)
    return pd.Series(dict(found.statistics))


def _change(before: pd.Series, after: pd.Series) -> pd.Series:
    """Return ``after - before``; no change where both are undefined or the same infinity."""
    same = (before == after) | (before.isna() & after.isna())
    return (after - before).mask(same, 0.0)


def _written(figures: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Return both tables as text; the effects only where there are several to tell apart."""
    shown = figures.join(effects) if len(effects.columns) > 1 or REST in effects else figures
    columns = {
        name: [figure(str(row), value, signed=name not in ("a", "b")) for row, value in shown[name].items()]
        for name in shown
    }
    return pd.DataFrame(columns, index=shown.index)


def _heading(result: BacktestResult) -> str:
    chosen = ", ".join(f"{name}={plain(value)}" for name, value in result.parameters.items())
    times = result.equity.index
    return f"{result.strategy}({chosen}) on {', '.join(result.symbols)}, {times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}"


def _finite(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    return {
        str(name): {str(row): float(value) if math.isfinite(value) else None for row, value in table[name].items()}
        for name in table
    }
