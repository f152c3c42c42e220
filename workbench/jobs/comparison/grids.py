"""Tables of a page as they are written, and one subtracted from another."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from workbench.jobs.comparison.alignment import align

_Pair = tuple[int | None, int | None]

_NUMBER = re.compile(
    r"(?P<sign>[-+]?)(?P<lead>[$€£¥]?)(?P<digits>\d{1,3}(?:,\d{3})+|\d+|(?=\.\d))"
    r"(?P<rest>(?:\.\d*)?(?:[eE][-+]?\d{1,3})?)\s*(?P<unit>%|bps?|pp|[xkMBsdh]|ms|[A-Z]{3}|)"
)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as it is written.

    Attributes
    ----------
    columns : tuple of str
        The heads; the parts of a head of several rows after ``" / "``.
    rows : tuple of tuple of str
        As wide as the heads.
    heads : int
        How many of the first columns are heads of their rows.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    heads: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of two tables: what each says, and the later number less the earlier one with the numbers' unit.

    ``before`` or ``after`` is ``None`` where that table has no such place; ``difference`` where not both are numbers of
    one unit.
    """

    before: str | None
    after: str | None
    difference: Decimal | None = None
    unit: str = ""

    @property
    def same(self) -> bool:
        """Whether both say the same."""
        return self.before == self.after


@dataclass(frozen=True, slots=True)
class GridDifference:
    """Two tables, row by row and column by column.

    Attributes
    ----------
    columns : tuple of str
        Those of both, in the order of the later one.
    heads : int
        How many of the first columns are heads of their rows in both.
    rows : tuple of tuple of Entry
    """

    columns: tuple[str, ...]
    heads: int
    rows: tuple[tuple[Entry, ...], ...]

    @property
    def same(self) -> bool:
        """Whether the tables say the same at every place."""
        return all(entry.same for row in self.rows for entry in row)

    @property
    def changed(self) -> int:
        """How many places differ."""
        return sum(not entry.same for row in self.rows for entry in row)

    def frame(self) -> pd.DataFrame:
        """Return the later table less the earlier one; NaN where not both have a number of one unit."""
        body = [[_float(entry.difference) for entry in row[self.heads :]] for row in self.rows]
        heads = [tuple(_told(entry) for entry in row[: self.heads]) for row in self.rows]
        index = pd.Index([" / ".join(head) for head in heads]) if self.heads else None
        return pd.DataFrame(body, index=index, columns=list(self.columns[self.heads :]), dtype=float)


def number_of(text: str) -> tuple[Decimal, str] | None:
    """Return the number that a text is, and its unit; ``None`` for any other text.

    ``"-1,234.50"``, ``"+44.9 %"``, ``"$5"``, ``"12 bp"``, ``"3 USD"``; a minus may be the typographic one. Digits that
    begin with a zero (``"007"``) are no number, and neither are dates, ``nan`` and ``inf``.
    """
    found = _NUMBER.fullmatch(text.strip().replace("\N{MINUS SIGN}", "-"))
    if found is None:
        return None
    digits = found["digits"].replace(",", "")
    if len(digits) > 1 and digits.startswith("0"):
        return None
    return Decimal(f"{found['sign']}{digits or '0'}{found['rest']}"), found["lead"] + found["unit"]


def subtract(before: Grid, after: Grid) -> GridDifference:
    """Return ``after`` less ``before``.

    Columns are paired by their names. Rows are paired by their heads, or by the fewest first columns of text that tell
    all rows of a table apart; where there are none of either, rows that are the same are paired, and those between them
    by how much of them is the same.
    """
    columns = _columns(before, after)
    heads = before.heads if before.heads == after.heads else 0
    names = tuple(after.columns[j] if j is not None else before.columns[i or 0] for i, j in columns)
    rows = []
    for i, j in _rows(before, after, columns, heads):
        old, new = before.rows[i] if i is not None else None, after.rows[j] if j is not None else None
        rows.append(tuple(_entry(_at(old, a), _at(new, b)) for a, b in columns))
    return GridDifference(names, heads, tuple(rows))


def _columns(before: Grid, after: Grid) -> list[_Pair]:
    old, new = before.columns, after.columns
    if len({*old}) == len(old) and len({*new}) == len(new) and before.heads == after.heads:
        # The heads of rows stay in front, whatever they are called.
        heads = before.heads
        front: list[_Pair] = [(place, place) for place in range(heads)]
        rest = _merged(old[heads:], new[heads:])
        return front + [(_more(i, heads), _more(j, heads)) for i, j in rest]
    return [(_within(place, old), _within(place, new)) for place in range(max(len(old), len(new)))]


def _rows(before: Grid, after: Grid, columns: Sequence[_Pair], heads: int) -> list[_Pair]:
    shared = [(i, j) for i, j in columns if i is not None and j is not None]
    for width in range(heads or 1, len(shared) + 1):
        if width > heads and not _is_text(before, after, shared[width - 1]):
            break
        old = [tuple(row[i] for i, _ in shared[:width]) for row in before.rows]
        new = [tuple(row[j] for _, j in shared[:width]) for row in after.rows]
        if len({*old}) == len(old) and len({*new}) == len(new):
            return _merged(old, new)
    old, new = (
        [tuple(row[pair[side]] for pair in shared) for row in grid.rows] for side, grid in enumerate((before, after))
    )
    return list(align(old, new, lambda row: row, _row_likeness, least=0.0))


def _is_text(before: Grid, after: Grid, pair: tuple[int, int]) -> bool:
    written = [row[pair[side]] for side, grid in enumerate((before, after)) for row in grid.rows]
    return any(number_of(text) is None for text in written)


def _row_likeness(before: Sequence[str], after: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(before, after, strict=True)) / max(len(before), 1)


def _merged(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[_Pair]:
    """Pair what is equal, in the order of ``new``; what is in ``old`` alone follows what it followed there."""
    kept, gone, last = {*new}, defaultdict[int | None, list[_Pair]](list), None
    for place, key in enumerate(old):
        if key in kept:
            last = place
        else:
            gone[last].append((place, None))
    places = {key: place for place, key in enumerate(old)}
    pairs = [*gone[None]]
    for place, key in enumerate(new):
        pairs.append((places.get(key), place))
        if key in places:
            pairs += gone[places[key]]
    return pairs


def _entry(before: str | None, after: str | None) -> Entry:
    old, new = number_of(before or ""), number_of(after or "")
    if old is None or new is None or old[1] != new[1]:
        return Entry(before, after)
    return Entry(before, after, new[0] - old[0], new[1])


def _at(row: Sequence[str] | None, place: int | None) -> str | None:
    return None if row is None or place is None else row[place]


def _more(place: int | None, by: int) -> int | None:
    return None if place is None else place + by


def _within(place: int, row: Sequence[str]) -> int | None:
    return place if place < len(row) else None


def _told(entry: Entry) -> str:
    return entry.after if entry.after is not None else entry.before or ""


def _float(value: Decimal | None) -> float:
    return math.nan if value is None else float(value)
