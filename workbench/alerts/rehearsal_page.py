"""A rehearsal in a sentence, and as a notebook shows it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from workbench.charts.badges import badge, plain_table, tiles

if TYPE_CHECKING:
    from workbench.alerts.rehearsal import Rehearsal

SHOWN = 10
"""How many firings a page lists, the last ones."""


def sentence(found: Rehearsal) -> str:
    """Return what a rule would have told, in a sentence."""
    rule = found.rule.rule
    span = f"from {found.start:%Y-%m-%d} to {found.end:%Y-%m-%d}"
    about = f"{rule.condition}, on {_some(rule.symbols)}"
    if not len(found):
        nearest = f"; the nearest was {found.nearest}" if found.nearest else ""
        return f"{about}: would not have fired {span} ({_counted(found.bars, 'bar')}){nearest}"
    held = len(found) - int(found.table["told"].sum())
    kept = f", {held:,} of them held back by the cool-down" if held else ""
    month = "" if np.isnan(found.per_month) else f", {_number(found.per_month)} a month"
    told = f"{_counted(len(found.messages), 'message')}{month}"
    return f"{about}: would have fired {_times(len(found))} {span}{kept}, and told of it in {told}"


def rehearsal_html(found: Rehearsal) -> str:
    """Return a rehearsal as HTML: its sentence, its figures, its picture and the last firings."""
    name, told = found.rule.name, escape(str(found))
    title = "" if name == found.rule.rule.condition else f"<b>{escape(name)}</b>: "
    head = f"<p style='margin:.3em 0'>{title}{told}.</p>{_unknown(found)}"
    if not len(found):
        return head
    from workbench.charts.notebook import figure_html

    monthly = found.monthly
    counts = [
        (f"{len(found):,}", "firings", "plain"),
        (f"{len(found.messages):,}", "messages", "busy"),
        (_number(found.per_month), "messages a month", "busy"),
        (f"{monthly.max():,}", f"most in a month ({monthly.idxmax():%b %Y})", "warning"),
    ]
    picture = found.plot()
    drawn = figure_html(picture) if picture is not None else ""
    return f"{head}{tiles(counts)}{drawn}{_last(found)}"  # type: ignore[arg-type]


def _last(found: Rehearsal) -> str:
    rows = []
    for each in found.table.iloc[: -SHOWN - 1 : -1].itertuples():
        mark = badge("told", "good") if each.told else badge(str(each.held), "plain")
        rows.append(
            [f"{each.time:%Y-%m-%d %H:%M}", f"<b>{escape(str(each.symbol))}</b>", escape(str(each.found)), mark]
        )
    left = len(found) - len(rows)
    more = f"<p style='opacity:.72'>and {left:,} before; <code>.table</code> has all of them</p>" if left > 0 else ""
    return plain_table(["Bar (UTC)", "Symbol", "Found", "Became of it"], rows, wide=2) + more


def _unknown(found: Rehearsal) -> str:
    if not found.unknown:
        return ""
    why: dict[str, list[str]] = {}
    for symbol, reason in found.unknown.items():
        why.setdefault(reason, []).append(symbol)
    told = "; ".join(f"{', '.join(symbols)}: {reason}" for reason, symbols in why.items())
    return f"<p style='margin:.3em 0;opacity:.72'>Nothing can be said of {escape(told)}.</p>"


def _some(names: tuple[str, ...], most: int = 4) -> str:
    return (
        ", ".join(names) if len(names) <= most else f"{', '.join(names[: most - 1])} and {len(names) - most + 1:,} more"
    )


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"
