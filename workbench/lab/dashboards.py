"""Which dashboards there are: Panel apps and Voilà notebooks of the workspace."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import nbformat

PANEL_URL = "workbench/panel"
GALLERY = "panel-reports"
"""The app that shows what has run, and can run it again."""
ALERTS = "panel-alerts"
"""The app that shows rules, alerts and messages, and acknowledges or silences them."""
NOT_FOR_VIEWERS = (GALLERY, ALERTS)
"""Apps that change things are nothing for people who only look."""

SHOWN = "[!_.]*"
"""Not what starts with an underscore or a dot: editors save beside a file under such a name."""


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


def panel_apps(folder: Path, say: Callable[[str], None] = print) -> list[Dashboard]:
    """Return the Panel apps of a folder: every Python file that does not start with an underscore.

    Title and description are the first line and the rest of the module's docstring. A file that is no valid Python is
    left out, since it would keep the others from being served, and ``say`` is told.
    """
    found = []
    for path in sorted(folder.glob(SHOWN + ".py")):
        try:
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        except (OSError, SyntaxError, ValueError) as error:
            say(f"left out the app {path} ({error}); mend it and start again")
            continue
        title, description = _split(docstring or path.stem)
        url = f"{PANEL_URL}/{quote(path.stem)}"
        found.append(Dashboard(f"panel-{path.stem}", title, description, url, "panel", path))
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
    for path in sorted(folder.glob(SHOWN + ".ipynb")):
        title, description = _split((_first_text(path) or path.stem).lstrip("# "))
        url = f"voila/render/{quote(path.relative_to(root).as_posix())}"
        found.append(Dashboard(f"voila-{path.stem}", title, description, url, "voila", path))
    return found


def _first_text(path: Path) -> str | None:
    """Return a notebook's first Markdown cell; a file that is no notebook is listed by its name."""
    try:
        cells = nbformat.read(path, as_version=4).cells
        return next((cell.source for cell in cells if cell.cell_type == "markdown"), None)
    except (OSError, ValueError, AttributeError, TypeError, nbformat.ValidationError):
        return None


def _split(text: str) -> tuple[str, str]:
    head, _, rest = text.strip().partition("\n")
    return head.strip().rstrip("."), " ".join(rest.split())
