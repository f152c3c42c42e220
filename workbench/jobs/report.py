"""From an executed notebook to one HTML page that needs no other file and no other host."""

from __future__ import annotations

from pathlib import Path

from jinja2 import FileSystemLoader
from nbconvert import HTMLExporter
from nbformat import NotebookNode


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
        A page of its own; pictures carry their JavaScript with them.
    """
    exporter = HTMLExporter(
        exclude_input=not show_code,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        extra_loaders=[FileSystemLoader(Path(__file__).parent)],
    )
    exporter.template_file = "report.html.j2"
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return str(body)
