import io

import pytest
from bokeh.models import Grid, Toolbar
from bokeh.resources import INLINE

from workbench.charts.page import Fast, page, pane


def test_a_page_has_its_title_and_asks_for_no_font():
    shown = io.StringIO()
    page("The market", ["choose here"], ["see there"]).save(shown, resources=INLINE)
    html = shown.getvalue()
    assert "The market" in html
    assert "choose here" in html
    assert "see there" in html
    for host in ("fonts.googleapis", "fonts.gstatic", "fast.design"):
        assert f"//{host}" not in html


def test_pages_do_not_share_what_they_show():
    first, second = page("a", ["x"], []), page("b", [], [])
    assert len(first.sidebar) == 1
    assert len(second.sidebar) == 0


def test_an_empty_pane_does_not_move_the_axes_of_another():
    empty = pane()
    assert empty.object is None
    assert not empty.linked_axes


@pytest.mark.parametrize("theme", ["default", "dark"])
def test_no_picture_on_a_page_has_a_logo(theme):
    looks = Fast(theme=theme).theme.bokeh_theme
    bar = Toolbar()
    looks.apply_to_model(bar)
    assert bar.logo is None
    grid = Grid()
    looks.apply_to_model(grid)
    assert grid.grid_line_alpha == 0.25
