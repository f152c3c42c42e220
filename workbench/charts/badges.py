"""Short facts as a page shows them: a badge, a count on a tile, a plain table; legible on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

from workbench.charts.theme import ACCENT, DOWN, MUTED, UP

Tone = Literal["good", "warning", "bad", "busy", "plain"]
TONES: dict[Tone, str] = {"good": UP, "warning": "#d08a17", "bad": DOWN, "busy": ACCENT, "plain": MUTED}
"""The color of each tone."""


def badge(text: str, tone: Tone = "plain") -> str:
    """Return a badge as HTML."""
    colour = TONES[tone]
    look = (
        "display:inline-block; padding:.12em .75em; border-radius:1em; font-weight:600; white-space:nowrap; "
        f"color:color-mix(in srgb, {colour} 70%, currentColor); "
        f"background:color-mix(in srgb, {colour} 14%, transparent); "
        f"border:1px solid color-mix(in srgb, {colour} 45%, transparent)"
    )
    return f"<span style='{look}'>{escape(text)}</span>"


def tiles(counts: Sequence[tuple[str, str, Tone]]) -> str:
    """Return numbers with what they count below them, side by side, as HTML: ``(number, name, tone)`` for each."""
    made = []
    for number, name, tone in counts:
        colour = TONES[tone]
        look = (
            "min-width:6.5em; padding:.55em 1em; border-radius:8px; "
            f"background:color-mix(in srgb, {colour} 9%, transparent); border-left:3px solid {colour}"
        )
        figure = f"<div style='font-size:1.7em; font-weight:650; line-height:1.15'>{escape(number)}</div>"
        made.append(f"<div style='{look}'>{figure}<div style='opacity:.72'>{escape(name)}</div></div>")
    return f"<div style='display:flex; flex-wrap:wrap; gap:.8em; margin:.6em 0'>{''.join(made)}</div>"


def bar(share: float, tone: Tone = "busy") -> str:
    """Return a bar that is full to a share of it, 0 to 1, as HTML."""
    width = f"{min(max(share, 0.0), 1.0):.0%}"
    empty = f"color-mix(in srgb, {MUTED} 25%, transparent)"
    full = f"display:block; height:100%; width:{width}; border-radius:3px; background:{TONES[tone]}"
    outer = (
        f"display:inline-block; width:5em; height:.5em; border-radius:3px; vertical-align:middle; background:{empty}"
    )
    return f"<span style='{outer}'><span style='{full}'></span></span>"


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, wide: int | None = None) -> str:
    """Return a table as HTML.

    Parameters
    ----------
    head : sequence of str
        Texts; escaped here.
    rows : sequence of sequence of str
        HTML; the caller has escaped it.
    wide : int, optional
        The column that takes more lines where the page is narrow; the others keep to one.
    """
    cell = "text-align:left; padding:.4em 1.1em .4em 0; vertical-align:top; "
    tops = "".join(f"<th style='{cell}white-space:nowrap'>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td style='{cell}{'' if place == wide else 'white-space:nowrap'}'>{each}</td>"
            for place, each in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{tops}</tr></thead><tbody>{body}</tbody></table>"


def pairs_table(pairs: Sequence[tuple[str, object]]) -> str:
    """Return names and what is known of each as HTML, one below the other; both escaped here."""
    head = "<tr><th style='text-align:left;font-weight:600;padding:3px 18px 3px 0;vertical-align:top'>"
    cell = "</th><td style='padding:3px 0;overflow-wrap:anywhere'>"
    cells = "".join(f"{head}{escape(name)}{cell}{escape(str(value))}</td></tr>" for name, value in pairs)
    return f"<table style='border-collapse:collapse;font-size:13.5px'>{cells}</table>"
