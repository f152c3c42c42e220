"""Evaluations and alerts as a notebook shows them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from workbench.charts.badges import Tone, badge, bar, plain_table, tiles

if TYPE_CHECKING:
    import pandas as pd

    from workbench.alerts.evaluate import State, Verdict
    from workbench.alerts.evaluation import Evaluation, VerdictTable
    from workbench.alerts.firings import Alert

_TONES: dict[State, Tone] = {"fired": "bad", "near": "warning", "quiet": "good", "unknown": "plain"}


def counts_of(evaluation: Evaluation) -> str:
    """Return how many rules fired, nearly did, did not, and could not say, as HTML."""
    counts = [(str(len(evaluation.of(state))), state, tone) for state, tone in _TONES.items()]
    return tiles(counts)


def table_of(found: VerdictTable) -> str:
    """Return verdicts as an HTML table; those of alerts that are new are marked."""
    if not found.verdicts:
        return "<p style='opacity:.72'>Nothing.</p>"
    states = {each.state for each in found.verdicts}
    if states == {"fired"}:
        rows = [_fired(each, each.key in found.raised) for each in found.verdicts]
        return plain_table(["", "Symbol", "Rule", "Found", "Since", "Bar (UTC)"], rows, wide=3)
    if states == {"unknown"}:
        return plain_table(["Symbol", "Rule", "Why"], [[*_about(each), escape(each.found)] for each in found.verdicts])
    rows = [[*_about(each), escape(each.found), _distance(each), _bar(each.time)] for each in found.verdicts]
    return plain_table(["Symbol", "Rule", "Found", "How far", "Bar (UTC)"], rows, wide=2)


def alerts_html(alerts: Sequence[Alert]) -> str:
    """Return alerts as an HTML table, in their order, each with what has become of it."""
    if not alerts:
        return "<p style='opacity:.72'>None.</p>"
    told = [f"<b>{escape(each.subject)}</b><br>{escape(each.text)}" for each in alerts]
    rows = [
        [str(each.id), f"{each.raised:%Y-%m-%d %H:%M}", badge(each.source), text, _fate(each)]
        for each, text in zip(alerts, told, strict=True)
    ]
    return plain_table(["No.", "Raised (UTC)", "From", "Alert", "State"], rows, wide=3)


def _fate(alert: Alert) -> str:
    """Return a badge that says whether an alert waits for somebody."""
    if alert.acknowledged is not None:
        return badge(f"known to {alert.acknowledged_by}", "good")
    if alert.held is not None:
        return badge(f"not told: {alert.held}")
    if alert.escalated is not None:
        return badge("escalated", "bad")
    return badge("open" if alert.priority in ("low", "normal") else alert.priority, "warning")


def _about(verdict: Verdict) -> list[str]:
    rule, condition = escape(verdict.rule.name), escape(verdict.rule.rule.condition)
    told = rule if rule == condition else f"{rule}<br><small>{condition}</small>"
    return [f"<b>{escape(verdict.symbol)}</b>", told]


def _fired(verdict: Verdict, is_new: bool) -> list[str]:
    mark = badge("new", "bad") if is_new else badge("fired", "plain")
    return [mark, *_about(verdict), escape(verdict.found), _bar(verdict.since), _bar(verdict.time)]


def _bar(time: pd.Timestamp) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def _distance(verdict: Verdict) -> str:
    """Return a bar that is full where the rule holds, and the usual changes that are left."""
    if np.isnan(verdict.distance):
        return "–"
    tone: Tone = "warning" if verdict.state == "near" else "plain"
    return f"{bar(1 / (1 + verdict.distance), tone)} {verdict.distance:,.1f} usual changes"
