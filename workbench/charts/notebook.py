"""Draw HoloViews and Bokeh objects in a notebook without asking any other host for JavaScript.

HoloViews and Bokeh load their JavaScript from a content-delivery network, and every setting of theirs still leaves a
request for some stylesheet. Here an IPython formatter renders the figure and the notebook carries BokehJS itself, once,
in the cell that first draws. The same outputs draw in JupyterLab, in Voilà and in an exported HTML page.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from workbench.charts.standalone import rendered

_carrier: tuple[str | None, str | None] | None = None
"""Message and cell of the output that carries BokehJS."""

_FIRST, _LATER, _CHANGED = "trii-first", "trii-later", "trii-changed"
_FIRST_GOES = f"""<style>
.jp-OutputArea:has(.{_LATER} .jp-OutputArea-child, .{_CHANGED}) .{_FIRST} {{ display: none; }}
.jp-OutputArea :is(.{_FIRST}, .{_LATER}) :is(td, th) {{ text-align: left; }}
</style>"""
"""In one cell's output, what was shown first goes in the moment in which a widget shows something else, or nothing."""


def register() -> bool:
    """Make the running kernel draw HoloViews and Bokeh objects offline; say whether there is one.

    Costs nothing until the first picture: neither Bokeh nor HoloViews is imported.
    """
    shell = _kernel_shell()
    if shell is None:
        return False
    # For a notebook that loads Panel or Bokeh by itself: inline there too.
    os.environ.setdefault("PANEL_INLINE", "true")
    os.environ.setdefault("BOKEH_RESOURCES", "inline")
    formatter = shell.display_formatter.mimebundle_formatter
    formatter.for_type_by_name("holoviews.core.dimension", "Dimensioned", mimebundle)
    formatter.for_type_by_name("bokeh.model.model", "Model", mimebundle)
    return True


def mimebundle(figure: Any, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
    """Return what a notebook shows for a HoloViews object or a Bokeh model: IPython's mimebundle protocol."""
    import holoviews as hv

    if hv.extension._loaded:
        # The notebook called pn.extension() or hv.extension(): Panel's JavaScript is there, and its widgets work.
        import panel as pn

        shown: Any = pn.panel(figure)
        return shown._repr_mimebundle_(include, exclude)  # type: ignore[no-any-return]
    return {"text/html": figure_html(figure), "text/plain": repr(figure)}, {}


def figure_html(figure: Any) -> str:
    """Return HTML that draws a HoloViews object or a Bokeh model, and see to it that BokehJS is in the notebook."""
    from bokeh.embed.notebook import notebook_content

    from workbench.charts.theme import THEME

    model = rendered(figure)
    _carry_bokehjs()
    script, div, _ = notebook_content(model, theme=THEME)
    # Room from the start: nothing below moves when BokehJS draws.
    return f'<div style="min-height: {_height(model)}px">{div}</div>\n<script>{script}</script>'


def _height(model: Any) -> int:
    """Return the pixels that a model takes at least from top to bottom; 0 where it does not say."""
    from bokeh.models import GridPlot

    if not isinstance(model, GridPlot):
        return int(getattr(model, "height", None) or 0)
    rows: dict[int, int] = {}
    for child, row, *_ in model.children:
        rows[row] = max(rows.get(row, 0), _height(child))
    return sum(rows.values())


class Place:
    """A place in a notebook, or on a Voilà page, for what changes there: a picture, or a table as HTML.

    What it shows first is plain HTML, which a page draws without waiting for its widgets to start; what follows comes
    through a widget and takes the place of the first.
    """

    def __init__(self) -> None:
        from ipywidgets import Output

        self._later = Output(_dom_classes=(_LATER,))
        self._shown = False

    def show(self, content: Any) -> None:
        """Show a HoloViews object, a Bokeh model or HTML; the first time in the output of the cell that asks for it.

        Parameters
        ----------
        content : HoloViews object, Bokeh model or str
            A string is put into the page as it is: what comes from people or data must be escaped in it.
        """
        self._put(content if isinstance(content, str) else figure_html(content))

    def clear(self) -> None:
        """Show nothing any more."""
        self._put("")

    def _put(self, html: str) -> None:
        if self._shown:
            shown = {"output_type": "display_data", "data": {"text/html": html}, "metadata": {}}
            self._later.outputs = (shown,) if html else ()
            self._later.add_class(_CHANGED)
            return
        self._shown = True
        from IPython.display import HTML, display

        display(HTML(f'<div class="{_FIRST}">{html}</div>{_FIRST_GOES}'), self._later)


def _carry_bokehjs() -> None:
    """Publish BokehJS in this cell unless another cell's output carries it.

    A cell that is run again loses its outputs, so the cell that carries BokehJS publishes it each time.
    """
    global _carrier
    shell = _kernel_shell()
    if shell is None:
        return
    parent = shell.kernel.get_parent("shell")
    message, cell = parent.get("header", {}).get("msg_id"), parent.get("metadata", {}).get("cellId")
    if _carrier is not None and (message == _carrier[0] or cell is None or cell != _carrier[1]):
        return
    _carrier = (message, cell)
    from IPython.display import publish_display_data

    # The mark lets a page that has BokehJS leave this output out.
    publish_display_data({"text/html": bokehjs_html(), "text/plain": ""}, {"bokehjs": True})


@cache
def bokehjs_html() -> str:
    """Return a script element with BokehJS, which does nothing on a page that has it."""
    from bokeh import __version__
    from bokeh.resources import Resources

    source = "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
    guard = f'if (!(window.Bokeh && window.Bokeh.version === "{__version__}"))'
    return f"<script>{guard} {{ (function () {{ {source}\n}}).call(window); }}</script>"


def _kernel_shell() -> Any:
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return shell if shell is not None and hasattr(shell, "kernel") else None
