"""Which dashboards there are: Panel apps and Voilà notebooks of the workspace."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import nbformat

PANEL_URL = "workbench/panel"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page that a person opens.

    Attributes
    ----------
    name : str
        Unique, for commands.
    title, description : str
        For people.
    url : str
        Below the server's base URL.
    kind : {"panel", "voila"}
    path : Path
    """

    name: str
    title: str
    description: str
    url: str
    kind: str
    path: Path


def panel_apps(folder: Path) -> list[Dashboard]:
    """Return the Panel apps of a folder: every Python file that does not start with an underscore.

    Title and description are the first line and the rest of the module's docstring.
    """
    found = []
    for path in sorted(folder.glob("[!_.]*.py")):
        title, description = _split(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem)
        found.append(Dashboard(f"panel-{path.stem}", title, description, f"{PANEL_URL}/{path.stem}", "panel", path))
    return found


def voila_notebooks(folder: Path, root: Path) -> list[Dashboard]:
    """Return the Voilà notebooks of a folder; title and description come from the first Markdown cell.

    Parameters
    ----------
    folder : Path
    root : Path
        The server's root folder: an address is relative to it.
    """
    found = []
    for path in sorted(folder.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        text = next((cell.source for cell in cells if cell.cell_type == "markdown"), path.stem)
        title, description = _split(text.lstrip("# "))
        url = f"voila/render/{path.relative_to(root).as_posix()}"
        found.append(Dashboard(f"voila-{path.stem}", title, description, url, "voila", path))
    return found


def _split(text: str) -> tuple[str, str]:
    head, _, rest = text.strip().partition("\n")
    return head.strip().rstrip("."), " ".join(rest.split())
