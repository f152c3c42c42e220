import re
import subprocess
import sys

import pytest

from workbench.charts.candles import candlesticks
from workbench.charts.notebook import Place, bokehjs_html, figure_html, mimebundle, register


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


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *things: shown.extend(things))
    return shown


def test_room_is_kept_for_each_row_of_a_figure(bench):
    bars = bench.bars("IBM", "2013", "2013")
    panels = [360, 90, 110]  # price, volume and RSI, as ``workbench.charts.candles`` has them
    assert f"min-height: {sum(panels)}px" in figure_html(bench.candles(bars, "IBM"))


def test_a_place_shows_the_first_as_html_and_later_ones_through_its_widget(figure, displayed):
    place = Place()
    place.show("<p>one</p>")
    first, widget = displayed
    assert "<p>one</p>" in first.data
    assert widget.outputs == ()
    place.show(figure)
    assert len(displayed) == 2
    (output,) = widget.outputs
    assert "data-root-id" in output["data"]["text/html"]
    place.clear()
    assert widget.outputs == ()
    assert widget._dom_classes[-1] == "trii-changed"


def test_a_place_that_was_empty_at_first_can_be_filled(displayed):
    place = Place()
    place.clear()
    _, widget = displayed
    place.show("<p>two</p>")
    assert widget.outputs[0]["data"]["text/html"] == "<p>two</p>"


def test_without_a_kernel_nothing_is_registered():
    assert register() is False


def test_registering_imports_no_picture_library():
    code = "import sys, workbench.charts.notebook as n; n.register(); print({'bokeh', 'holoviews'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
