"""One look for every picture: no background of its own and mid-tone ink, so that it reads on light and dark pages."""

from __future__ import annotations

from bokeh.themes import Theme

UP = "#1a9c82"
DOWN = "#d9514e"
INK = "#7b8794"
GRID = "#8a94a0"
ACCENT = "#3d7dd8"
MUTED = "#9aa4af"
LINES = ("#3d7dd8", "#e0912f", "#8b62c9", "#2aa3b8", "#c2588f", "#7c9a35")
DIVERGING = ("#b23a48", "#d9817a", "#e9e4dc", "#7fb7c9", "#25759c")

THEME = Theme(
    json={
        "attrs": {
            "Plot": {"background_fill_alpha": 0, "border_fill_alpha": 0, "outline_line_color": None},
            "Axis": {
                "axis_label_text_color": INK,
                "axis_label_text_font_style": "normal",
                "axis_line_color": GRID,
                "axis_line_alpha": 0.4,
                "major_label_text_color": INK,
                "major_label_text_font_size": "11px",
                "major_tick_line_color": GRID,
                "major_tick_line_alpha": 0.4,
                "minor_tick_line_color": None,
            },
            "Grid": {"grid_line_color": GRID, "grid_line_alpha": 0.18},
            "Title": {"text_color": INK, "text_font_size": "13px", "text_font_style": "bold"},
            "Legend": {
                "background_fill_alpha": 0,
                "border_line_alpha": 0,
                "label_text_color": INK,
                "label_text_font_size": "11px",
            },
            "BaseColorBar": {
                "background_fill_alpha": 0,
                "major_label_text_color": INK,
                "title_text_color": INK,
                "major_tick_line_color": None,
                "bar_line_color": None,
                "title": "",
            },
            "Toolbar": {"autohide": True, "logo": None},
        }
    }
)
