"""From an executed notebook to one HTML page that needs no other file and no other host."""

from __future__ import annotations

import json
from pathlib import Path
from types import CodeType
from typing import Any, Final

from jinja2 import BytecodeCache, FileSystemLoader
from jinja2.bccache import Bucket
from nbconvert import HTMLExporter
from nbformat import NotebookNode


class _Compiled(BytecodeCache):
    """The templates as this process has compiled them: nbconvert starts anew for each page, which takes 0.15 s."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give a template's code, if its text is still the same."""
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template's code."""
        if bucket.code is not None:
            self._codes[bucket.key, bucket.checksum] = bucket.code


_COMPILED: Final = _Compiled()


def report_html(notebook: NotebookNode, title: str, *, show_code: bool = False) -> str:
    """Return the report of an executed notebook.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        With outputs.
    title : str
        The page's title.
    show_code : bool
        Show the cells' source too.

    Returns
    -------
    str
        A page of its own; pictures carry their JavaScript with them. That of a run which stopped early says at its head
        which run it was, with which parameters, how it ended and why: a notebook that shows this itself may not have
        come so far.
    """
    exporter = HTMLExporter(
        exclude_input=not show_code,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        extra_loaders=[FileSystemLoader(Path(__file__).parent)],
    )
    exporter.template_file = "report.html.j2"
    exporter.environment.bytecode_cache = _COMPILED
    body, _ = exporter.from_notebook_node(
        notebook, resources={"metadata": {"name": title}, "stopped": _stopped(notebook)}
    )
    return str(body)


def _stopped(notebook: NotebookNode) -> dict[str, Any] | None:
    """Return what is said of a run that stopped early, all of it texts; ``None`` of any other."""
    about = notebook.metadata.get("trii_workbench", {})
    if about.get("state", "succeeded") == "succeeded":
        return None
    facts = [("run", about.get("run")), ("attempt", about.get("attempt")), ("due", about.get("due"))]
    facts += [("started", about.get("started")), ("finished", about.get("finished"))]
    facts += [(f"parameter {name}", _text(value)) for name, value in about.get("parameters", {}).items()]
    return {
        "name": str(about.get("name") or about.get("notebook") or ""),
        "state": str(about["state"]),
        "reason": str(about.get("reason") or ""),
        "facts": [(name, str(value)) for name, value in facts if value is not None],
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
