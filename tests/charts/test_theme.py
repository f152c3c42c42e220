import re

import pytest
from bokeh.models import Title
from bokeh.plotting import figure

from workbench.charts import theme

COLORS = [theme.UP, theme.DOWN, theme.INK, theme.GRID, theme.ACCENT, theme.MUTED, *theme.LINES, *theme.DIVERGING]


def luminance(color):
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    dark, light = sorted([luminance(first), luminance(second)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("color", COLORS)
def test_a_color_is_six_digits(color):
    assert re.fullmatch(r"#[0-9a-f]{6}", color)


@pytest.mark.parametrize("color", [theme.UP, theme.DOWN, theme.INK, theme.ACCENT, *theme.LINES])
@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_ink_is_seen_on_light_and_on_dark_pages(color, page):
    # WCAG 2.1, 1.4.11 asks 3:1 of graphics; the lines come close to it on both.
    assert contrast(color, page) > 2.4


def test_the_theme_gives_a_figure_no_background():
    plot = figure(title=Title(text="x"))
    for part in plot.references():
        theme.THEME.apply_to_model(part)
    assert plot.background_fill_alpha == 0
    assert plot.border_fill_alpha == 0
    assert plot.title.text_color == theme.INK
