"""The parity badge, and the signals that differ, as a notebook shows them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from workbench.charts.badges import Tone, badge, plain_table

if TYPE_CHECKING:
    from workbench.backtest.parity import Comparison, Parity

MOST = 20
"""How many signals a table shows; the badge counts all."""


def parity_html(parity: Parity) -> str:
    """Return the badge, green where all agree and amber where one does not, with what differs below it."""
    compared = parity.count("agrees") + parity.count("differs")
    tone: Tone = "plain" if not compared else "good" if parity.holds else "warning"
    parts = [f"<p style='margin:.5em 0'>{badge(str(parity), tone)}</p>"]
    if not parity.holds:
        parts.append(_differing(list(reversed(parity.differing))))
    reasons = {each.cause: each for each in parity.comparisons if each.outcome == "not compared"}
    parts += [f"<p><small>Not compared: {escape(reason)}</small></p>" for reason in list(reasons)[:3]]
    return "".join(parts)


def _differing(found: list[Comparison]) -> str:
    rows = [_row(each) for each in found[:MOST]]
    table = plain_table(["Bar (UTC)", "Strategy", "Symbol", "Reported", "Now", "Why", "Run"], rows, wide=6)
    left = len(found) - len(rows)
    return f"{table}<p><small>{left:,} more</small></p>" if left else table


def _row(each: Comparison) -> list[str]:
    from workbench.backtest.parity import in_words

    told = each.told
    given = ", ".join(f"{name}={value}" for name, value in told.parameters.items())
    return [
        f"{told.session:%Y-%m-%d %H:%M}",
        f"{escape(told.strategy)}<br><small>{escape(given)}</small>",
        f"<b>{escape(told.symbol)}</b>",
        escape(in_words(told.said)),
        escape(in_words(each.now)),
        badge(each.cause, "warning"),
        f"<small>{escape(told.run or '–')}</small>",
    ]
