"""Alerts, rules, messages and silences as the rows of a listing that people read, and one alert as they open it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

from workbench.charts.badges import Tone, badge

if TYPE_CHECKING:
    from workbench.alerts.evaluate import NamedRule, Verdict
    from workbench.alerts.history import Alert
    from workbench.alerts.messages import Message
    from workbench.alerts.silences import Silence
    from workbench.charts.listing import Cell

ALERT_HEAD = [("Raised (UTC)", "160px"), ("Alert", ""), ("Rule", "190px"), ("Priority", "92px"), ("State", "130px")]
RULE_HEAD = [("Rule", "190px"), ("Watches", ""), ("Symbols", "190px"), ("Tells", "150px"), ("State", "235px")]
MESSAGE_HEAD = [
    *(("Next or last (UTC)", "160px"), ("Channel", "100px"), ("Topic", "190px"), ("Alerts", "70px")),
    *(("Tried", "65px"), ("State", "105px"), ("Why", "")),
]
SILENCE_HEAD = [("Until (UTC)", "160px"), ("Silent is", ""), ("Reason", "")]

_PRIORITIES: dict[str, Tone] = {"urgent": "bad", "high": "warning", "normal": "busy", "low": "plain"}
_MESSAGES: dict[str, Tone] = {
    **{"sent": "good", "failed": "bad", "waiting": "warning"},
    **dict.fromkeys(("sending", "gathering"), "busy"),
}
_VERDICTS: dict[str, Tone] = {"fired": "bad", "near": "warning", "quiet": "good", "unknown": "plain"}


def alert_row(alert: Alert, names: Mapping[str, str]) -> list[Cell]:
    """Return an alert's cells, under ``ALERT_HEAD``; ``names`` are those of the rules that there are, by id."""
    rule = alert.source if alert.rule is None else names.get(alert.rule, "removed")
    priority = [(alert.priority, _PRIORITIES[alert.priority])]
    return [_moment(alert.raised), alert.subject, rule, priority, [_fate(alert)]]


def rule_row(named: NamedRule, verdicts: Sequence[Verdict], usual: Sequence[str], now: datetime) -> list[Cell]:
    """Return a rule's cells, under ``RULE_HEAD``.

    Parameters
    ----------
    named : NamedRule
    verdicts : sequence of Verdict
        What it said when somebody looked last; empty where nobody has.
    usual : sequence of str
        The channels of rules that name none.
    now : datetime
    """
    channels = ", ".join(usual if named.policy.channels is None else named.policy.channels)
    symbols = ", ".join(named.rule.symbols) or "–"
    return [named.name, named.rule.condition, symbols, channels, _said(named, verdicts, now)]


def message_row(message: Message) -> list[Cell]:
    """Return a message's cells, under ``MESSAGE_HEAD``."""
    when = message.settled or message.not_before
    state = [(message.state, _MESSAGES[message.state])]
    counts = [f"{message.alerts:,}", f"{message.attempts:,}"]
    return [_moment(when), message.channel, message.topic, *counts, state, message.error or message.subject]


def silence_row(silence: Silence, names: Mapping[str, str]) -> list[Cell]:
    """Return a silence's cells, under ``SILENCE_HEAD``; ``names`` are those of rules, by id."""
    about = ", ".join(f"{name} {names.get(value, value)}" for name, value in silence.about.items())
    return [_moment(silence.until), about, silence.reason or "–"]


def alert_html(alert: Alert) -> str:
    """Return what is known of an alert as HTML: what was found, how urgent it is, and what became of it."""
    known = ""
    if alert.acknowledged is not None:
        known = f"by {escape(alert.acknowledged_by or '')}, {_moment(alert.acknowledged)} UTC · "
    escalated = f" · others were told at {_moment(alert.escalated)} UTC" if alert.escalated else ""
    return (
        f"<div style='font-size:1.3em;font-weight:600;margin:12px 0 6px'>{escape(alert.subject)}</div>"
        f"<div style='margin-bottom:6px;white-space:pre-line;overflow-wrap:anywhere'>{escape(alert.text)}</div>"
        f"<div>{badge(alert.priority, _PRIORITIES[alert.priority])} {badge(*_fate(alert))} "
        f"<span style='opacity:.75'>{known}raised {_moment(alert.raised)} UTC{escalated}</span></div>"
    )


def message_html(message: Message) -> str:
    """Return the words of a message as HTML, and why it was not taken."""
    why = f"<div style='margin:8px 0'>Not taken: <b>{escape(message.error)}</b></div>" if message.error else ""
    subject = message.subject or "It still gathers alerts: its words are written when it is sent first."
    return (
        f"{why}<div style='font-weight:600;margin-bottom:6px'>{escape(subject)}</div>"
        f"<div style='white-space:pre-line;overflow-wrap:anywhere'>{escape(message.text)}</div>"
    )


def _moment(instant: datetime | None) -> str:
    return "–" if instant is None else f"{instant:%Y-%m-%d %H:%M:%S}"


def _fate(alert: Alert) -> tuple[str, Tone]:
    """Return what became of an alert."""
    if alert.acknowledged is not None:
        return "acknowledged", "good"
    if alert.held is not None:
        return alert.held, "plain"
    return ("escalated", "bad") if alert.escalated is not None else ("open", "warning")


def _said(named: NamedRule, verdicts: Sequence[Verdict], now: datetime) -> list[tuple[str, Tone]]:
    """Return what a rule says of its symbols, the most urgent first; or why it tells nobody."""
    if named.snoozed is not None and named.snoozed > now:
        return [(f"snoozed until {named.snoozed:%m-%d %H:%M} UTC", "plain")]
    if named.policy.expires is not None and named.policy.expires <= now:
        return [("expired", "plain")]
    counts = {state: sum(each.state == state for each in verdicts) for state in _VERDICTS}
    return [(f"{count} {state}", _VERDICTS[state]) for state, count in counts.items() if count] or [("armed", "busy")]
