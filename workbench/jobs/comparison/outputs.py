"""What a cell shows, as pieces that can be compared: texts, tables, pictures and drawings."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Literal

from nbformat import NotebookNode

from workbench.jobs.comparison.alignment import align, same_ends
from workbench.jobs.comparison.grids import Grid, GridDifference, subtract
from workbench.jobs.comparison.markup import shown_by

Kind = Literal["text", "table", "picture", "drawing"]

RASTER = ("image/png", "image/jpeg", "image/gif", "image/webp")
SVG = "image/svg+xml"
CONTEXT = 2
"""Lines around a change in a diff."""
MOST_LINES = 1000
"""So many lines from the first difference on are compared: the time that takes grows with their square."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")
_CELL_FILE = re.compile(r"ipykernel_\d+/\d+\.py")
# Names that Bokeh, Matplotlib and others make anew each time; short ones only where a name can stand, not within data.
_MADE_UP = re.compile(
    r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|(?<=[\"'#])(?:p\d{3,}|[a-zA-Z]{0,5}_?[0-9a-f]{8,32})(?=[\"')])"
)
_SVG_DATA = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of what a cell shows.

    Attributes
    ----------
    kind : {"text", "table", "picture", "drawing"}
        A drawing is made by scripts or is inline SVG.
    label : str
        Which text it is: ``stdout``, ``stderr``, ``error``, or ``""``.
    content : str
        The text, or the SHA-256 of a picture or a drawing.
    grid : Grid, optional
        The table.
    image : str, optional
        A picture as a ``data:`` address.
    """

    kind: Kind
    label: str
    content: str
    grid: Grid | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class PieceDifference:
    """A piece of the earlier run and its partner of the later one; one of them may be missing.

    Attributes
    ----------
    before, after : Piece, optional
    diff : tuple of str
        For texts: unified, without the names of files.
    table : GridDifference, optional
        For tables.
    """

    before: Piece | None
    after: Piece | None
    diff: tuple[str, ...] = ()
    table: GridDifference | None = None

    @property
    def kind(self) -> Kind:
        """What it is."""
        piece = self.after or self.before
        assert piece is not None  # noqa: S101 - a pair has at least one
        return piece.kind

    @property
    def state(self) -> str:
        """``same``, ``changed``, ``added`` or ``removed``."""
        if self.before is None or self.after is None:
            return "added" if self.before is None else "removed"
        return "same" if _key(self.before) == _key(self.after) else "changed"


def pieces_of(outputs: Sequence[NotebookNode]) -> list[Piece]:
    """Return what a cell shows.

    What is printed comes as one text for each stream, as a terminal would leave it. Of an output that is there in
    several forms one counts: HTML, then pictures, data of a chart, Markdown, plain text. Addresses in memory and names
    that are made anew each time are no difference.
    """
    pieces: list[Piece] = []
    streams: dict[str, int] = {}
    for output in outputs:
        if output.output_type == "stream":
            if output.name not in streams:
                streams[output.name] = len(pieces)
                pieces.append(Piece("text", output.name, ""))
            place = streams[output.name]
            pieces[place] = Piece("text", output.name, pieces[place].content + output.text)
        elif output.output_type == "error":
            told = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
            pieces.append(Piece("text", "error", told))
        else:
            pieces.extend(_displayed(output.get("data", {})))
    plain = [Piece("text", each.label, _plain(each.content)) if each.kind == "text" else each for each in pieces]
    return [each for each in plain if each.kind != "text" or each.content]


def compare_pieces(before: Sequence[Piece], after: Sequence[Piece]) -> list[PieceDifference]:
    """Return two cells' pieces side by side, in order."""
    pairs = align(before, after, _key, _likeness)
    return [_difference(None if i is None else before[i], None if j is None else after[j]) for i, j in pairs]


def diff_lines(before: str, after: str) -> tuple[str, ...]:
    """Return the unified diff of two texts, without the lines that name files; the last line says if it is cut."""
    old, new = before.splitlines(), after.splitlines()
    head, tail = same_ends(old, new)
    left_out = max(len(old), len(new)) - head - tail - MOST_LINES
    if left_out > 0:
        old, new = old[: head + MOST_LINES], new[: head + MOST_LINES]
    lines = tuple(unified_diff(old, new, lineterm="", n=CONTEXT))[2:]
    return (*lines, f"@@ {left_out:,} more lines are not compared @@") if left_out > 0 else lines


def _difference(before: Piece | None, after: Piece | None) -> PieceDifference:
    kind = (after or before or Piece("text", "", "")).kind
    if kind == "table":
        empty = Grid((), ())
        old, new = (before.grid if before else None) or empty, (after.grid if after else None) or empty
        return PieceDifference(before, after, table=subtract(old, new))
    if kind == "text":
        return PieceDifference(
            before, after, diff_lines(before.content if before else "", after.content if after else "")
        )
    return PieceDifference(before, after)


def _key(piece: Piece) -> tuple[object, ...]:
    return piece.kind, piece.label, piece.content, piece.grid


def _likeness(before: Piece, after: Piece) -> float:
    """Return how likely two pieces that differ are versions of one: what is of one kind stays a pair."""
    if (before.kind, before.label) != (after.kind, after.label):
        return 0.0
    if before.grid is not None and after.grid is not None:
        old, new = {*before.grid.columns}, {*after.grid.columns}
        return 0.5 + 0.5 * len(old & new) / max(len(old | new), 1)
    if before.kind == "text":
        old, new = {*before.content.splitlines()}, {*after.content.splitlines()}
        return 0.6 + 0.4 * len(old & new) / max(len(old | new), 1)
    return 0.75


def _displayed(data: Mapping[str, Any]) -> Iterator[Piece]:
    charts = [name for name in data if name.endswith("+json") and "vnd." in name and "widget" not in name]
    charts = [name for name in charts if "holoviews" not in name and "bokehjs" not in name]
    pictures = [name for name in (*RASTER, SVG) if name in data]
    if "text/html" in data:
        yield from _html(_text(data["text/html"]))
    elif pictures:
        yield _picture(pictures[0], _text(data[pictures[0]]))
    elif charts:
        yield Piece("drawing", "", _hash(_renamed(json.dumps(data[charts[0]], sort_keys=True))))
    else:
        for name in ("text/markdown", "text/latex", "application/json", "text/plain"):
            if name in data:
                told = data[name] if name != "application/json" else json.dumps(data[name], indent=1, sort_keys=True)
                yield Piece("text", "", _text(told))
                return


def _html(text: str) -> Iterator[Piece]:
    shown = shown_by(text)
    if shown.text:
        yield Piece("text", "", shown.text)
    for table in shown.tables:
        yield Piece("table", "", "", grid=table)
    for source in shown.images:
        found = re.fullmatch(r"data:(image/[a-z+]+);base64,(.*)", source, re.DOTALL)
        yield _picture(found[1], found[2]) if found else Piece("picture", "", _hash(source))
    if shown.scripts.strip():
        yield Piece("drawing", "", _hash(_renamed(shown.scripts)))


def _picture(mime: str, content: str) -> Piece:
    if mime == SVG and content.lstrip().startswith("<"):
        address = base64.b64encode(content.encode()).decode()
        return Piece("picture", "", _hash(_renamed(_SVG_DATA.sub("", content))), image=f"data:{SVG};base64,{address}")
    try:
        data = base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        return Piece("picture", "", _hash(content))
    image = f"data:{mime};base64,{base64.b64encode(data).decode()}" if mime in (*RASTER, SVG) else None
    return Piece("picture", "", hashlib.sha256(data).hexdigest(), image=image)


def _renamed(text: str) -> str:
    """Return a text whose made-up names are numbered in the order in which they come first."""
    names: dict[str, str] = {}
    return _MADE_UP.sub(lambda found: names.setdefault(found[0], f"#{len(names)}"), text)


def _plain(text: str) -> str:
    """Return a text as a terminal would leave it, without what is another one each time."""
    lines = (_last_written(line) for line in _ANSI.sub("", text).split("\n"))
    return _CELL_FILE.sub("ipykernel.py", _ADDRESS.sub("0x…", "\n".join(lines))).strip("\n")


def _last_written(line: str) -> str:
    written = line.rstrip("\r").split("\r")
    return next((part for part in reversed(written) if part), "").rstrip()


def _text(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
