"""Two runs side by side: what went into them, and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from jinja2 import Environment, FileSystemLoader
from nbformat import NotebookNode

from workbench.data.uses import USES
from workbench.jobs.comparison.alignment import align, text_likeness
from workbench.jobs.comparison.outputs import PieceDifference, compare_pieces, diff_lines, pieces_of
from workbench.jobs.framing import framed
from workbench.jobs.history import History
from workbench.jobs.matching import text_of
from workbench.jobs.records import RunRecord
from workbench.jobs.source import parse_notebook, read_text

ADDED_BY_PAPERMILL = {"injected-parameters", "papermill-error-cell-tag"}
"""Tags of cells that are not the notebook's own: the parameters stand by themselves, and errors at their cells."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A value of both runs, as a text; ``None`` where a run has no such value."""

    name: str
    before: str | None
    after: str | None

    @property
    def same(self) -> bool:
        """Whether both have the same value."""
        return self.before == self.after


@dataclass(frozen=True, slots=True)
class CellDifference:
    """A cell of the earlier run and its partner of the later one.

    Attributes
    ----------
    before, after : int, optional
        Its number in each notebook, from 1 on; one of them is missing for a cell that was removed or added.
    kind : {"code", "markdown", "raw"}
    source : str
        The later one's, or that of a cell that was removed.
    source_diff : tuple of str
        Unified; empty where the source is the same, or the cell has no partner.
    outputs : tuple of PieceDifference
    """

    before: int | None
    after: int | None
    kind: str
    source: str
    source_diff: tuple[str, ...]
    outputs: tuple[PieceDifference, ...]

    @property
    def state(self) -> str:
        """``same``, ``changed``, ``added`` or ``removed``."""
        if self.before is None or self.after is None:
            return "added" if self.before is None else "removed"
        changed = self.source_diff or any(each.state != "same" for each in self.outputs)
        return "changed" if changed else "same"


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs, the first the earlier one of the words.

    Attributes
    ----------
    before, after : RunRecord
    about : tuple of Difference
        When they were due, how they ended, which notebook they ran.
    parameters : tuple of Difference
        As the notebooks had them: those that were not given by their defaults.
    data : tuple of Difference
        The version of each dataset that was read, its bars and its symbols.
    libraries : tuple of Difference
        Versions of the workbench and of the packages that numbers depend on.
    cells : tuple of CellDifference
        In order.
    """

    before: RunRecord
    after: RunRecord
    about: tuple[Difference, ...]
    parameters: tuple[Difference, ...]
    data: tuple[Difference, ...]
    libraries: tuple[Difference, ...]
    cells: tuple[CellDifference, ...]

    def __repr__(self) -> str:
        return f"<RunComparison {self.before.id[:8]} and {self.after.id[:8]}: {self.summary}>"

    def _repr_html_(self) -> str:
        return self.framed(height=640)

    @property
    def same(self) -> bool:
        """Whether both runs show the same, cell for cell; what went into them may differ."""
        return all(cell.state == "same" for cell in self.cells)

    @property
    def summary(self) -> str:
        """What differs, and what neither run came to, in a sentence without a full stop."""
        parts = [self._states] if self._states else []
        for name in ("parameters", "data", "libraries"):
            changed = [each.name for each in getattr(self, name) if not each.same]
            if changed:
                parts.append(f"{name} differ ({', '.join(changed)})")
        count = sum(cell.state != "same" for cell in self.cells)
        cells = f"{count} of {len(self.cells)} cells differ" if count else "all cells show the same"
        return "; ".join([*parts, cells])

    @property
    def _states(self) -> str:
        """How the runs ended, unless both succeeded: two that failed alike show the same, and show little."""
        before, after = self.before.state, self.after.state
        if before != after:
            return f"states differ ({before}, {after})"
        return "" if before == "succeeded" else f"the state of both is {before}"

    def to_dict(self) -> dict[str, Any]:
        """Return what differs as plain values that JSON can hold."""
        kinds = ("about", "parameters", "data", "libraries")
        values = {
            kind: {each.name: [each.before, each.after] for each in getattr(self, kind) if not each.same}
            for kind in kinds
        }
        cells = [_told_cell(cell) for cell in self.cells if cell.state != "same"]
        return {"before": self.before.id, "after": self.after.id, "same": self.same, **values, "cells": cells}

    def to_html(self) -> str:
        """Return a page of its own, without scripts, in the colours that the reader's browser prefers."""
        loader = FileSystemLoader(Path(__file__).parent)
        template = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(
            "compare.html.j2"
        )
        return template.render(comparison=self)

    def framed(self, *, height: int = 760, dark: bool | None = None) -> str:
        """Return the page in a frame, for another page; see ``workbench.jobs.framing.framed``."""
        return framed(self.to_html(), scripts=False, height=height, dark=dark)


def compare_runs(history: History, before: str, after: str) -> RunComparison:
    """Compare what two runs left.

    Cells are paired by their sources; those between equal ones by how much of their sources is the same. Texts are
    compared line by line, tables are subtracted (later less earlier), pictures and drawings compared by hash.

    Parameters
    ----------
    history : History
    before, after : str
        The runs' ids.

    Raises
    ------
    UnknownNameError
        If there is no such run.
    InputError
        If one has no executed notebook, or none any more.
    """
    runs = history.run(before), history.run(after)
    books = [_read(history.notebook(run)) for run in (before, after)]
    versions = [_versions(book) for book in books]
    return RunComparison(
        *runs,
        about=_differences(*map(_about, runs)),
        parameters=_differences(*(_parameters(history, run) for run in (before, after))),
        data=_differences(*(_data(history, run) for run in runs)),
        libraries=_differences(*versions),
        cells=tuple(_cells(*map(_own_cells, books))),
    )


def _read(path: Path) -> NotebookNode:
    return parse_notebook(read_text(path), path)


def _own_cells(book: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in book.cells if not ADDED_BY_PAPERMILL & {*cell.metadata.get("tags", [])}]


def _cells(before: Sequence[NotebookNode], after: Sequence[NotebookNode]) -> list[CellDifference]:
    pairs = align(before, after, lambda cell: (cell.cell_type, cell.source), _likeness)
    return [_cell(before, i, after, j) for i, j in pairs]


def _likeness(before: NotebookNode, after: NotebookNode) -> float:
    return text_likeness(before.source, after.source) if before.cell_type == after.cell_type else 0.0


def _cell(
    before: Sequence[NotebookNode], i: int | None, after: Sequence[NotebookNode], j: int | None
) -> CellDifference:
    old, new = None if i is None else before[i], None if j is None else after[j]
    either = new if new is not None else old
    assert either is not None  # noqa: S101 - a pair has at least one
    outputs = compare_pieces(*(pieces_of(cell.get("outputs", []) if cell else []) for cell in (old, new)))
    return CellDifference(
        before=None if i is None else i + 1,
        after=None if j is None else j + 1,
        kind=either.cell_type,
        source=either.source,
        source_diff=diff_lines(old.source, new.source) if old is not None and new is not None else (),
        outputs=tuple(outputs),
    )


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Difference, ...]:
    return tuple(Difference(name, before.get(name), after.get(name)) for name in {**after, **before})


def _about(run: RunRecord) -> dict[str, str]:
    seconds = (run.finished - run.started).total_seconds() if run.started and run.finished else None
    told = {
        "due": _moment(run.due),
        "state": run.state,
        "reason": run.reason,
        "notebook": str(run.job.notebook),
        "its text (SHA-256)": run.sha256,
        "kernel": run.job.kernel,
        "data as of": _moment(run.as_of) if run.as_of else None,
        "took": f"{seconds:.1f} s" if seconds is not None else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _parameters(history: History, run: str) -> dict[str, str]:
    return {name: text_of(value) for name, value in history.parameters(run).items()}


def _versions(book: NotebookNode) -> dict[str, str]:
    kept = book.metadata.get("trii_workbench", {})
    code = {"workbench": str(kept["code"])} if "code" in kept else {}
    return {**code, **{name: str(version) for name, version in dict(kept.get("libraries", {})).items()}}


def _data(history: History, run: RunRecord) -> dict[str, str]:
    """Return what a run read, as the ledger of uses has it: by its executed notebook, in its folder."""
    folder = history.place(run.folder)
    if folder is None:
        return {}
    mine = sa.select(USES).where(USES.c.link.startswith(f"{folder}/", autoescape=True)).order_by(USES.c.id)
    with history.database.reading() as connection:
        rows = connection.execute(mine).all()
    found: dict[str, str] = {}
    for name in dict.fromkeys(row.dataset for row in rows):
        read = [row for row in rows if row.dataset == name]
        first, last = min(row.first for row in read), max(row.last for row in read)
        found[name] = ", ".join(sorted({row.version for row in read}))
        found[f"{name}: bars"] = f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
        found[f"{name}: adjusted"] = ", ".join(sorted({row.adjustment for row in read}))
        found[f"{name}: symbols"] = ", ".join(sorted({symbol for row in read for symbol in row.symbols}))
    return found


def _told_cell(cell: CellDifference) -> dict[str, Any]:
    outputs = [
        {
            "kind": each.kind,
            "state": each.state,
            "diff": list(each.diff),
            "changed": each.table.changed if each.table else None,
        }
        for each in cell.outputs
        if each.state != "same"
    ]
    return {
        "before": cell.before,
        "after": cell.after,
        "state": cell.state,
        "source": list(cell.source_diff),
        "outputs": outputs,
    }


def _moment(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
