import re
import subprocess
import sys

import pytest

from workbench.charts.candles import candlesticks
from workbench.charts.notebook import bokehjs_html, figure_html, figure_widget, mimebundle, register


@pytest.fixture(scope="module")
def figure(bench):
    return candlesticks(bench.bars("IBM", "2013", "2013"), "IBM")


def test_a_figure_is_html_without_another_host(figure):
    html = figure_html(figure)
    assert "<script>" in html
    assert not re.findall(r"https?://", html)


def test_a_figure_is_drawn_anew_under_other_names(figure):
    roots = [re.findall(r'<div id="([^"]+)"', figure_html(figure)) for _ in range(2)]
    assert roots[0]
    assert roots[0] != roots[1]


def test_the_mimebundle_holds_html_and_a_plain_text(figure):
    data, _ = mimebundle(figure)
    assert set(data) == {"text/html", "text/plain"}


def test_bokehjs_is_carried_whole_and_only_runs_where_it_is_missing():
    html = bokehjs_html()
    assert len(html) > 500_000
    assert html.count("</script") == 1
    assert html.startswith("<script>if (!(window.Bokeh &&")


def test_a_widget_holds_the_figure_in_our_look(figure):
    widget = figure_widget(figure)
    title = next(part for part in widget._model.references() if type(part).__name__ == "Title" and part.text)
    assert title.text.startswith("IBM")
    assert title.text_font_size == "13px"


def test_without_a_kernel_nothing_is_registered():
    assert register() is False


def test_registering_imports_no_picture_library():
    code = "import sys, workbench.charts.notebook as n; n.register(); print({'bokeh', 'holoviews'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
