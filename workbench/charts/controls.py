"""What people press and fill in on a Panel page, and the line that answers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import panel as pn

from workbench.charts.page import pane
from workbench.core.errors import WorkbenchError

# As high as a choice beside it.
_FIELD = "input.bk-input { min-height: 34px; height: 34px; }"


def button(name: str, act: Callable[[Any], None], **look: Any) -> pn.widgets.Button:
    """Return a button that does something; ``look`` are further parameters of Panel's."""
    made = pn.widgets.Button(name=name, **{"sizing_mode": "fixed", "width": 170, **look})
    made.on_click(act)
    return made


def field(name: str, hint: str = "", width: int = 140) -> pn.widgets.TextInput:
    """Return a field for a line of text, with a hint while it is empty."""
    look = {"width": width, "sizing_mode": "fixed", "stylesheets": [_FIELD]}
    return pn.widgets.TextInput(name=name, placeholder=hint, **look)


def select(options: Sequence[str] | Mapping[str, Any], name: str = "", width: int = 110) -> pn.widgets.Select:
    """Return a list to choose from, as texts or as what each text stands for."""
    return pn.widgets.Select(name=name, options=options, width=width, sizing_mode="fixed")


def gap() -> pn.Spacer:
    """Return room between what does not belong together."""
    return pn.Spacer(width=24, sizing_mode="fixed")


class Notice:
    """What was done, or could not be, in a sentence; nothing at first.

    Parameters
    ----------
    then : callable
        Called after something was done.

    Attributes
    ----------
    view : panel.pane.Alert
    """

    def __init__(self, then: Callable[[], object]) -> None:
        self.then = then
        self.view = pn.pane.Alert(visible=False, margin=(0, 10))

    def attempt(self, act: Callable[[], object], done: str = "") -> None:
        """Do something; say so, or why it could not be done.

        Parameters
        ----------
        act : callable
        done : str
            What is said then, as plain text; nothing where it is empty.
        """
        try:
            act()
        except WorkbenchError as error:
            self.view.param.update(object=escape(str(error)), alert_type="warning", visible=True)
        else:
            self.view.param.update(object=escape(done), alert_type="success", visible=bool(done))
            self.then()


class Picture:
    """A picture; or, in a sentence, why there is none.

    Attributes
    ----------
    view : panel.Column
    """

    def __init__(self) -> None:
        # Hidden by what is around it: Panel 1.9.4 cannot hide a picture that it has drawn.
        self._pane, self._why = pane(), pn.pane.HTML(visible=False)
        self._drawn = pn.Column(self._pane, visible=False)
        self.view = pn.Column(self._why, self._drawn)

    def show(self, draw: Callable[[], Any]) -> None:
        """Show what is drawn, instead of what was there before."""
        self.clear()
        try:
            self._pane.object = draw()
        except WorkbenchError as error:
            self._why.param.update(
                object=f"<div style='opacity:.75'>No chart: {escape(str(error))}.</div>", visible=True
            )
        else:
            self._drawn.visible = True

    def clear(self) -> None:
        """Show nothing."""
        self._pane.object = None
        self._why.visible = self._drawn.visible = False
