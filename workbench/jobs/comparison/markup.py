"""What an HTML output shows: its text, its tables, its pictures and its scripts; nothing of it is executed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from workbench.jobs.comparison.grids import Grid

_BLOCKS = {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "section", "article", "details"}
_CELLS = {"td", "th"}
_WIDEST = 1000
"""No cell spans more columns or rows than that, whatever it says."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The parts of an HTML output.

    Attributes
    ----------
    text : str
        Outside of tables, a line for each block.
    tables : tuple of Grid
    images : tuple of str
        The sources of ``img``.
    scripts : str
        All scripts and inline SVG, as they are written.
    """

    text: str
    tables: tuple[Grid, ...]
    images: tuple[str, ...]
    scripts: str


@dataclass(slots=True)
class _Cell:
    head: bool
    columns: int
    rows: int
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


@dataclass(slots=True)
class _Table:
    rows: list[list[_Cell]] = field(default_factory=list)
    heading: int = 0
    in_head: bool = False


def shown_by(html: str) -> Shown:
    """Return the parts of an HTML output; broken markup is read as far as it goes."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.texts).splitlines())
    tables = tuple(_grid(table) for table in reader.tables if table.rows)
    return Shown("\n".join(filter(None, lines)), tables, tuple(reader.images), "".join(reader.scripts))


class _Reader(HTMLParser):
    """Collects the parts; a table within a table is text of the outer one."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.tables: list[_Table] = []
        self.images: list[str] = []
        self.scripts: list[str] = []
        self._depth = 0
        self._drawing = 0
        self._silent: str | None = None
        self._open: _Cell | None = None

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Pass over a section; of one that HTML does not know, ``<![`` itself is text."""
        try:
            return super().parse_marked_section(i, report)
        except AssertionError:
            self.handle_data("<![")
            return i + 3

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a part."""
        given = {name: value or "" for name, value in attrs}
        if tag == "svg" or self._drawing:
            self._drawing += tag == "svg"
            self.scripts.append(self.get_starttag_text() or "")
        elif tag in ("script", "style"):
            self._silent = tag
        elif tag == "img":
            self.images.append(given.get("src", ""))
        elif tag == "table":
            self._depth += 1
            if self._depth == 1:
                self.tables.append(_Table())
            elif self._open is not None:
                self._open.texts.append(" ")
        elif self._depth == 1:
            self._begin_in_table(tag, given)
        elif self._open is not None:
            self._open.texts.append(" ")
        elif tag in _BLOCKS:
            self.texts.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag that closes itself; only within a drawing that means anything."""
        if self._drawing:
            self.scripts.append(self.get_starttag_text() or "")
        elif tag != "svg":
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """End a part."""
        if self._drawing:
            self.scripts.append(f"</{tag}>")
            self._drawing -= tag == "svg"
        elif tag == self._silent:
            self._silent = None
        elif tag == "table" and self._depth:
            self._depth -= 1
            self._open = self._open if self._depth else None
        elif tag == "thead" and self._depth == 1:
            self.tables[-1].in_head = False
        elif tag in _CELLS and self._depth == 1:
            self._open = None
        elif tag in _BLOCKS and not self._depth:
            self.texts.append("\n")

    def handle_data(self, data: str) -> None:
        """Take text."""
        if self._drawing or self._silent == "script":
            self.scripts.append(data)
        elif self._silent:
            return
        elif self._open is not None:
            self._open.texts.append(data)
        elif not self._depth:
            self.texts.append(data)

    def _begin_in_table(self, tag: str, given: dict[str, str]) -> None:
        table = self.tables[-1]
        if tag == "thead":
            table.in_head = True
        elif tag in ("tbody", "tfoot"):
            table.in_head = False
        elif tag == "tr":
            table.rows.append([])
            table.heading += table.in_head
            self._open = None
        elif tag in _CELLS:
            if not table.rows:
                table.rows.append([])
            self._open = _Cell(tag == "th", _span(given.get("colspan")), _span(given.get("rowspan")))
            table.rows[-1].append(self._open)
        elif self._open is not None and tag in _BLOCKS:
            self._open.texts.append(" ")


def _span(text: str | None) -> int:
    return min(max(int(text), 1), _WIDEST) if text and re.fullmatch(r"\d{1,6}", text) else 1


def _grid(table: _Table) -> Grid:
    """Return a table with every place filled: a cell that spans several stands in each of them."""
    placed = list(_placed(table.rows))
    heading = table.heading or (1 if table.rows[0] and all(cell.head for cell in table.rows[0]) else 0)
    width = max((len(row) for row in placed), default=0)
    filled = [[(cell.text, cell.head) for cell in row] + [("", False)] * (width - len(row)) for row in placed]
    heads, body = filled[:heading], filled[heading:]
    columns = tuple(" / ".join(dict.fromkeys(filter(None, (row[place][0] for row in heads)))) for place in range(width))
    names = columns if heading else tuple(str(place + 1) for place in range(width))
    count = 0
    while body and count < width and all(row[count][1] for row in body):
        count += 1
    return Grid(names, tuple(tuple(text for text, _ in row) for row in body), count)


def _placed(rows: list[list[_Cell]]) -> Iterator[list[_Cell]]:
    """Yield each row with the cells that reach into it from above (HTML, 4.9.12 Forming a table)."""
    above: dict[int, tuple[_Cell, int]] = {}
    for row in rows:
        line: list[_Cell] = []
        below: dict[int, tuple[_Cell, int]] = {}
        own = deque(row)
        while own or len(line) in above:
            if len(line) in above:
                cell, left = above[len(line)]
                wide = 1
            else:
                cell = own.popleft()
                left, wide = cell.rows, cell.columns
            if left > 1:
                below.update(dict.fromkeys(range(len(line), len(line) + wide), (cell, left - 1)))
            line += [cell] * wide
        above = below
        yield line
