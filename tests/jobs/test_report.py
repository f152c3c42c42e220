"""A report is one page that asks no other host for anything."""

from __future__ import annotations

import re

import nbformat
import pytest

from workbench.jobs.report import report_html

OUTSIDE = re.compile(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|@import|url\(\s*["']?(?:https?:)?//""")


@pytest.fixture
def executed():
    book = nbformat.v4.new_notebook()
    shown = nbformat.v4.new_output("display_data", {"text/html": "<b>drawn</b>", "text/plain": "x"})
    failed = nbformat.v4.new_output("error", ename="ValueError", evalue="no <b>", traceback=["ValueError: no <b>"])
    book.cells = [
        nbformat.v4.new_markdown_cell("# Head\n\nPrice is $5 and $6."),
        nbformat.v4.new_code_cell("secret_source = 1", outputs=[shown], execution_count=1),
        nbformat.v4.new_code_cell("raise ValueError", outputs=[failed], execution_count=2),
    ]
    return book


def test_it_shows_texts_outputs_and_errors_and_no_code(executed):
    page = report_html(executed, "Title & more")
    assert "<title>Title &amp; more</title>" in page
    assert "Head" in page
    assert "<b>drawn</b>" in page
    assert "ValueError" in page
    assert "secret_source" not in re.sub(r"<[^>]+>", "", page)


def test_code_is_shown_when_asked_for(executed):
    assert "secret_source" in re.sub(r"<[^>]+>", "", report_html(executed, "Title", show_code=True))


def test_it_refers_to_nothing_outside(executed):
    assert OUTSIDE.findall(report_html(executed, "Title")) == []


def test_text_of_an_error_is_no_markup(executed):
    assert "no <b>" not in report_html(executed, "Title")


def test_a_run_that_stopped_early_says_at_its_head_which_it_was_and_why(executed):
    about = {"run": "3f2a-1", "notebook": "daily", "attempt": 2, "state": "timed out", "reason": "it took <b>long</b>"}
    executed.metadata["trii_workbench"] = {**about, "parameters": {"symbols": ["AAPL", "<i>"], "day": "2026-01-05"}}
    head = report_html(executed, "Title").partition("<header")[2].partition("</header>")[0]
    words = [word for word in re.sub(r"<[^>]+>", "\n", head.partition(">")[2]).split("\n") if word.strip()]
    assert words[:3] == ["daily", "timed out", "it took &lt;b&gt;long&lt;/b&gt;"]
    assert words[3:7] == ["run", "3f2a-1", "attempt", "2"]
    assert words[7:] == ["parameter symbols", '["AAPL", "&lt;i&gt;"]', "parameter day", "2026-01-05"]
    executed.metadata["trii_workbench"]["state"] = "succeeded"
    assert "<header" not in report_html(executed, "Title")
