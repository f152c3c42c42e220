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


def figure_widget(figure: Any) -> Any:
    """Return a Jupyter widget that shows a HoloViews object or a Bokeh model, and see to it that BokehJS is there."""
    from jupyter_bokeh.widgets import BokehModel

    from workbench.charts.theme import THEME

    model = rendered(figure)
    # The widget has no theme of its own: dress each part.
    for part in model.references():
        THEME.apply_to_model(part)
    _carry_bokehjs()
    return BokehModel(model)


def figure_html(figure: Any) -> str:
    """Return HTML that draws a HoloViews object or a Bokeh model, and see to it that BokehJS is in the notebook."""
    from bokeh.embed.notebook import notebook_content

    from workbench.charts.theme import THEME

    model = rendered(figure)
    _carry_bokehjs()
    script, div, _ = notebook_content(model, theme=THEME)
    return f"{div}\n<script>{script}</script>"


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

    publish_display_data({"text/html": bokehjs_html(), "text/plain": ""})


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
