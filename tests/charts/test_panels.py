import holoviews as hv
import numpy as np
import pandas as pd

from workbench.charts.panels import line, lines, panel, stack
from workbench.charts.theme import LINES

SERIES = pd.Series([1.0, 3.0, 2.0], index=pd.date_range("2012-03-05", periods=3))


def test_a_line_holds_the_series():
    drawn = line(SERIES, "close", "#112233", "price")
    assert drawn.label == "close"
    assert [str(dimension) for dimension in drawn.dimensions()] == ["time", "price"]
    np.testing.assert_array_equal(drawn.dimension_values("price"), SERIES)
    np.testing.assert_array_equal(drawn.dimension_values("time"), SERIES.index)


def test_every_line_has_a_color_of_its_own_and_they_begin_again():
    drawn = lines({str(number): SERIES for number in range(len(LINES) + 1)}, "price")
    colors = [each.opts.get().kwargs["color"] for each in drawn]
    assert colors == [*LINES, LINES[0]]


def test_a_panel_is_as_high_as_asked_for():
    plot = hv.render(panel([line(SERIES, "a", "#112233", "price")], 210, "price", title="a title"))
    assert (plot.height, plot.sizing_mode) == (210, "stretch_width")
    assert plot.title.text == "a title"
    assert plot.yaxis[0].axis_label == "price"


def test_stacked_panels_share_time_and_only_the_last_names_it():
    parts = [panel([line(SERIES, name, "#112233", name)], 100, name) for name in ("one", "two", "three")]
    figures = [child[0] for child in hv.render(stack(parts)).children]
    assert len(figures) == 3
    assert len({id(figure.x_range) for figure in figures}) == 1
    assert [figure.xaxis[0].major_label_text_font_size == "0pt" for figure in figures] == [True, True, False]
