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
    import holoviews as hv
    import holoviews.plotting.bokeh
    from bokeh.embed import components
    from bokeh.settings import settings

    from workbench.charts.theme import THEME

    # Serial ids start anew in every process and would clash where two pages are put together.
    settings.simple_ids.set_value(False)
    hv.Store.renderers["bokeh"].webgl = False
    models = {name: hv.render(figure, backend="bokeh") for name, figure in figures.items()}
    script, places = components(models, theme=THEME)
    return str(script), dict(places)
