"""Signals as a notebook shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

_COLOURS = {"enter": "#1f9d78", "long": "#1f9d78", "exit": "#d9514e", "short": "#d9514e"}
"""Mixed with the colour of the text, which is dark on a light page and light on a dark one: legible on both."""


@dataclass(frozen=True, repr=False)
class SignalTable:
    """What strategies say at each symbol's last bar.

    Attributes
    ----------
    table : pandas.DataFrame
        Columns ``symbol strategy state strength since reason time``; see ``Workbench.signals``.
    """

    table: pd.DataFrame

    def __repr__(self) -> str:
        if self.table.empty:
            return "no signals"
        shown = self.table.drop(columns="time")
        return shown.to_string(index=False, float_format="{:+.2f}".format, formatters={"since": _day})

    def _repr_html_(self) -> str:
        if self.table.empty:
            return "no signals"
        html: str = _styled(self.table).to_html()
        return html


def _styled(table: pd.DataFrame) -> Styler:
    shown = table.drop(columns="time")
    days = sorted({_day(moment) for moment in table["time"]})
    formats: dict[Any, Any] = {"strength": "{:+.2f}", "since": _day}
    whole: dict[str, Any] = {"text-align": "left", "padding": ".35em .9em", "vertical-align": "top"}
    return (
        shown.style.format(formats, na_rep="–", escape="html")
        .map(_shade, subset=["state"])
        .set_properties(**whole)
        # Where the page is narrow, the reason takes more lines, not a date.
        .set_properties(subset=[name for name in shown if name != "reason"], **{"white-space": "nowrap"})
        .set_table_styles([{"selector": "th, caption", "props": list(whole.items())}])
        .set_caption(f"At the close of {', '.join(days)}")
        .hide(axis="index")
    )


def _shade(state: Any) -> str:
    colour = _COLOURS.get(state)
    return f"font-weight: 600; color: {f'color-mix(in srgb, {colour} 65%, currentColor)' if colour else 'inherit'}"


def _day(moment: pd.Timestamp) -> str:
    # NaT is no moment, and the only one that differs from itself.
    return f"{moment:%Y-%m-%d}" if moment == moment else "–"
