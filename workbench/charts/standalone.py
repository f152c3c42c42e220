"""Pictures for a page of its own: one script that draws them all, and a place for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def embed(figures: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return what a page needs to draw pictures without asking anybody: a script, and an element for each.

    BokehJS itself is ``workbench.charts.notebook.bokehjs_html``, which the page carries once, before the script.

    Parameters
    ----------
    figures : mapping of str to HoloViews objects
        By a name of the page's.

    Returns
    -------
    script : str
        A script element; empty without figures.
    places : dict of str to str
        HTML of the element that each figure is drawn in.
    """
    if not figures:
        return "", {}
    from bokeh.embed import components

    from workbench.charts.theme import THEME

    script, places = components({name: rendered(figure) for name, figure in figures.items()}, theme=THEME)
    return str(script), dict(places)


def rendered(figure: Any) -> Any:
    """Return the Bokeh model of a HoloViews object, or of what is one already."""
    import holoviews as hv
    import holoviews.plotting.bokeh
    from bokeh.model import Model
    from bokeh.settings import settings

    # Serial ids start anew in every process and would clash where two pages, or outputs of a notebook, come together.
    settings.simple_ids.set_value(False)
    hv.Store.renderers["bokeh"].webgl = False
    return figure if isinstance(figure, Model) else hv.render(figure, backend="bokeh")
