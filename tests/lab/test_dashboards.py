"""Which files are dashboards, and what is told of them."""

from __future__ import annotations

import ast

import nbformat
import pytest

from workbench.core.files import shipped
from workbench.lab.dashboards import panel_apps, voila_notebooks


def notebook(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)


def test_a_panel_app_tells_title_and_description_in_its_docstring(tmp_path):
    (tmp_path / "risk.py").write_text('"""Risk.\n\nHow much can be lost,\nand how soon.\n"""\nraise SystemExit\n')
    (board,) = panel_apps(tmp_path)
    assert (board.name, board.title, board.kind) == ("panel-risk", "Risk", "panel")
    assert board.description == "How much can be lost, and how soon."
    assert board.url == "workbench/panel/risk"
    assert board.path == tmp_path / "risk.py"


def test_an_app_without_a_docstring_is_called_by_its_file(tmp_path):
    (tmp_path / "risk.py").write_text("x = 1\n")
    (board,) = panel_apps(tmp_path)
    assert (board.title, board.description) == ("risk", "")


def test_private_and_hidden_files_are_no_apps(tmp_path):
    for name in ("_shared.py", ".hidden.py", "notes.txt", "b.py", "a.py"):
        (tmp_path / name).write_text("")
    assert [board.path.name for board in panel_apps(tmp_path)] == ["a.py", "b.py"]


def test_a_voila_notebook_tells_title_and_description_in_its_first_markdown_cell(tmp_path):
    cells = (
        nbformat.v4.new_code_cell("1"),
        nbformat.v4.new_markdown_cell("## Watch\n\nPrices\nand rules."),
        nbformat.v4.new_markdown_cell("# Other"),
    )
    notebook(tmp_path / "notebooks" / "dashboards" / "watch.ipynb", *cells)
    (board,) = voila_notebooks(tmp_path / "notebooks" / "dashboards", tmp_path)
    assert (board.name, board.title, board.kind) == ("voila-watch", "Watch", "voila")
    assert board.description == "Prices and rules."
    assert board.url == "voila/render/notebooks/dashboards/watch.ipynb"


def test_an_address_is_relative_to_the_servers_root(tmp_path):
    notebook(tmp_path / "watch.ipynb")
    (board,) = voila_notebooks(tmp_path, tmp_path)
    assert (board.title, board.url) == ("watch", "voila/render/watch.ipynb")


def test_an_address_is_quoted(tmp_path):
    notebook(tmp_path / "50% #1.ipynb")
    (board,) = voila_notebooks(tmp_path, tmp_path)
    assert board.url == "voila/render/50%25%20%231.ipynb"


def test_no_folder_no_dashboards(tmp_path):
    assert panel_apps(tmp_path / "none") == []
    assert voila_notebooks(tmp_path / "none", tmp_path) == []


def test_what_lab_leaves_while_it_saves_is_no_dashboard(tmp_path):
    (tmp_path / ".~watch.ipynb").write_text("")
    notebook(tmp_path / "watch.ipynb", nbformat.v4.new_markdown_cell("# Watch"))
    assert [board.title for board in voila_notebooks(tmp_path, tmp_path)] == ["Watch"]


@pytest.mark.parametrize("content", ["def broken(:\n", "\x00"])
def test_a_broken_app_does_not_hide_the_others(tmp_path, content):
    (tmp_path / "broken.py").write_text(content)
    (tmp_path / "risk.py").write_text('"""Risk."""\n')
    assert "Risk" in [board.title for board in panel_apps(tmp_path)]


def test_a_broken_notebook_does_not_hide_the_others(tmp_path):
    (tmp_path / "broken.ipynb").write_text('{"cells": [')
    notebook(tmp_path / "watch.ipynb", nbformat.v4.new_markdown_cell("# Watch"))
    assert "Watch" in [board.title for board in voila_notebooks(tmp_path, tmp_path)]


def test_the_shipped_dashboards():
    apps, notebooks = shipped("apps"), shipped("notebooks") / "dashboards"
    boards = [*panel_apps(apps), *voila_notebooks(notebooks, notebooks)]
    kinds = [(board.title, board.kind) for board in boards]
    assert kinds == [("Alerts", "panel"), ("Market", "panel"), ("Reports", "panel"), ("Market watch", "voila")]
    assert all(len(board.description) > 20 for board in boards)
    assert all(ast.parse(app.read_text()) for app in apps.glob("*.py"))
