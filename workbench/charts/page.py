"""The frame of a Panel app: a sidebar and a column, light and dark, without a request to another host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import panel as pn
from bokeh.themes import Theme
from panel.theme import fast as panel_fast

from workbench.charts.theme import ACCENT

FONT = "system-ui, -apple-system, 'Segoe UI', Arial, sans-serif"
HEADER = "#16324f"
SIDEBAR_WIDTH = 300


class FastDefaultTheme(panel_fast.FastDefaultTheme):
    """Panel's light theme without a logo on pictures; the name stays, as below."""

    @property
    def bokeh_theme(self) -> Theme:
        """The look of pictures."""
        return _without_logo(self.style)


class FastDarkTheme(panel_fast.FastDarkTheme):
    """Panel's dark theme without a logo on pictures; the name stays, as below."""

    @property
    def bokeh_theme(self) -> Theme:
        """The look of pictures."""
        return _without_logo(self.style)


class Fast(panel_fast.Fast):
    """Panel's Fast design without the font that it loads from another host.

    Panel looks its files up by the class's name, so the name stays.
    """

    _resources = {  # type: ignore[assignment] # noqa: RUF012 - as Panel has it
        key: items for key, items in panel_fast.Fast._resources.items() if key != "font"
    }
    _themes = {"default": FastDefaultTheme, "dark": FastDarkTheme}  # noqa: RUF012 - as Panel has it


class FastListTemplate(pn.template.FastListTemplate):
    """Panel's page, which is dark from the start where the browser prefers that; its own switch says otherwise.

    The colours are made on the server, so the page is asked for again before it is shown. The name stays, as above.
    """

    _template = Path(__file__).with_name("page.html.j2")


def page(title: str, sidebar: Sequence[Any], main: Sequence[Any]) -> pn.template.FastListTemplate:
    """Return a page to serve.

    Parameters
    ----------
    title : str
    sidebar, main : sequence
        What Panel can show.
    """
    return FastListTemplate(  # type: ignore[no-untyped-call] # Panel's own has no types
        title=title,
        sidebar=list(sidebar),
        main=list(main),
        design=Fast,
        font=FONT,
        font_url="",
        accent_base_color=ACCENT,
        header_background=HEADER,
        sidebar_width=SIDEBAR_WIDTH,
        main_max_width="1400px",
    )


def _without_logo(style: panel_fast.FastStyle) -> Theme:
    looks = style.create_bokeh_theme()
    return Theme(json={"attrs": {**looks["attrs"], "Toolbar": {"logo": None}}})


def pane() -> pn.pane.HoloViews:
    """Return an empty pane for pictures; the page's own theme dresses them, and no pane moves another's axes."""
    return pn.pane.HoloViews(linked_axes=False, sizing_mode="stretch_width")
