"""A page of a notebook's making within another page: in a frame that can reach neither that one nor any host."""

from __future__ import annotations

from html import escape

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob: data:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; media-src data: blob:; worker-src blob:; form-action 'none'; base-uri 'none'"
)
"""What a report may load: itself."""
FILLING = "position: absolute; inset: 0; width: 100%; height: 100%; border: 0"


def framed(page: str, *, scripts: bool = True, height: int = 760, dark: bool | None = None) -> str:
    """Return the HTML of a frame that holds a page.

    The frame's origin is no one's: cookies, the server's pages and the page around it are closed to its scripts, and it
    opens no windows. Its content policy comes before everything of the page's own, so that nothing in it can loosen it.
    It lies within a frame of ours, whose policy keeps it from going to another address, which its own does not.

    Parameters
    ----------
    page : str
        HTML of any origin; it is not trusted.
    scripts : bool
        Let it run its scripts, for pictures that are drawn.
    height : int
        Pixels.
    dark : bool, optional
        The colours that the page is told to prefer; those of the browser where ``None``.

    Returns
    -------
    str
    """
    # A doctype of our own: a policy in front of the page's would have the browser read it as a page of the nineties.
    head = f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    look = f"width: 100%; height: {height}px; border: 0; border-radius: 4px"
    if dark is not None:
        look += f"; color-scheme: {'dark' if dark else 'light'}"
    allowed = "allow-scripts" if scripts else ""
    within = f'<iframe sandbox="{allowed}" srcdoc="{escape(head + page)}" style="{FILLING}"></iframe>'
    around = f'{head}<meta name="color-scheme" content="light dark">{within}'
    return f'<iframe sandbox="{allowed}" srcdoc="{escape(around)}" style="{look}"></iframe>'
