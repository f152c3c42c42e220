"""Files of memberships and of symbols: read whole and checked, or refused with the lines at fault.

A file of memberships is a CSV with the columns ``symbol``, ``start`` and ``end``: the first and the last day, both
included, as ``2012-03-01``; an empty ``end`` is a membership that goes on. A symbol that left and came back has one row
for each time.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from workbench.core.errors import DataError, InputError
from workbench.core.market import check_symbol

FIELDS = ("symbol", "start", "end")
TOLD = 10
"""How many faults of a file an error lists."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_COMMENT = re.compile(r"(^|\s)#.*")


@dataclass(frozen=True, slots=True)
class Membership:
    """One stay of a symbol in a universe: ``start`` to ``end`` as ``2012-03-01``, both included; ``""`` goes on."""

    symbol: str
    start: str
    end: str

    @property
    def key(self) -> tuple[str, str]:
        """The symbol and the first day, which no other membership of a universe has."""
        return self.symbol, self.start

    def covers(self, day: str) -> bool:
        """Say whether the symbol is a member on a day."""
        return self.start <= day and (not self.end or day <= self.end)


def read_memberships(path: Path) -> list[Membership]:
    """Read and check a file of memberships.

    Raises
    ------
    InputError
        If the file is not there.
    DataError
        For a file with faults: each with its line.
    """
    place = f"universe file {path}"
    lines = _lines(path, place)
    header = [cell.strip().lower() for cell in lines[0][1]] if lines else []
    if sorted(header) != sorted(FIELDS):
        given = ", ".join(header) or "none"
        raise DataError(f"{place} needs the columns symbol, start, end and no other; it has: {given}")
    faults: list[str] = []
    found: dict[str, list[tuple[int, Membership]]] = {}
    for number, cells in lines[1:]:
        try:
            member = _membership(header, cells)
        except InputError as error:
            faults.append(f"line {number}: {_what(error)}")
        else:
            found.setdefault(member.symbol, []).append((number, member))
    faults += [fault for own in found.values() for fault in _overlaps(own)]
    if not faults and not found:
        raise DataError(f"{place} has no memberships; write one line for each, such as AAPL,1982-11-30,")
    _refuse(place, faults)
    return [member for own in found.values() for _, member in own]


def read_symbol_file(path: Path) -> list[str]:
    """Read symbols from a file: one on each line, or a CSV with a column ``symbol``; ``#`` begins a comment.

    Returns
    -------
    list of str
        In the order of the file, each once.

    Raises
    ------
    InputError
        If the file is not there.
    DataError
        For a file with faults: each with its line.
    """
    place = f"symbol file {path}"
    lines = _lines(path, place, comments=True)
    header = [cell.strip() for cell in lines[0][1]] if lines else []
    names = [cell.lower() for cell in header]
    if "symbol" in names:
        column, lines = names.index("symbol"), lines[1:]
    elif len(header) > 1:
        raise DataError(
            f"{place} has no column symbol, but {', '.join(header)}; name one so, or write one symbol a line"
        )
    else:
        column = 0
    found: dict[str, None] = {}
    faults = []
    for number, cells in lines:
        try:
            _same_length(header, cells)
            found[check_symbol(cells[column].strip())] = None
        except InputError as error:
            faults.append(f"line {number}: {_what(error)}")
    if not faults and not found:
        raise DataError(f"{place} has no symbols; write one a line")
    _refuse(place, faults)
    return list(found)


def _lines(path: Path, place: str, *, comments: bool = False) -> list[tuple[int, list[str]]]:
    """Return the lines that are not blank as cells, with their numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader((_COMMENT.sub("", line) for line in stream) if comments else stream, strict=True)
            return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except OSError as error:
        raise InputError(f"cannot read {place} ({error.strerror}); name a file that is there") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{place} is no CSV text ({error}); save it as CSV in UTF-8") from error


def _membership(header: list[str], cells: list[str]) -> Membership:
    _same_length(header, cells)
    row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    for name in ("start", "end"):
        if not (_is_day(row[name]) or (name == "end" and not row[name])):
            raise InputError(f"{name} {row[name]!r} is no day")
    if row["end"] and row["end"] < row["start"]:
        raise InputError(f"end {row['end']} is before start {row['start']}")
    return Membership(check_symbol(row["symbol"]), row["start"], row["end"])


def _same_length(header: list[str], cells: list[str]) -> None:
    if len(cells) != len(header):
        raise InputError(f"{len(cells)} cells, not {len(header)}")


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


def _overlaps(own: list[tuple[int, Membership]]) -> Iterator[str]:
    """Yield a fault for each stay of a symbol that begins before the one before it is over."""
    (earlier, reach), *others = sorted(own, key=lambda each: (each[1].start, each[0]))
    for number, member in others:
        if member == reach:
            yield f"line {number}: repeats line {earlier}"
        elif reach.covers(member.start):
            yield f"line {number}: {member.symbol} is a member already by line {earlier}"
        if not member.end or (reach.end and member.end > reach.end):
            earlier, reach = number, member


def _refuse(place: str, faults: list[str]) -> None:
    if faults:
        ordered = sorted(faults, key=lambda fault: int(fault.split()[1].rstrip(":")))
        more = f"; and {len(faults) - TOLD} more" if len(faults) > TOLD else ""
        raise DataError(f"{place} was not loaded; mend {'; '.join(ordered[:TOLD])}{more}")


def _what(error: InputError) -> str:
    """Return an error without its remedy, which all lines share."""
    return str(error).partition(";")[0][:100]
