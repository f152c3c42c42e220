"""``workbench alerts …``: rules that are watched, rehearsed before they are armed, and what came of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.delivery import COMMANDS, SERVE
from workbench.cli.parsing import as_json_option, json_object, many_option, open_bench
from workbench.cli.printing import print_records, printable, tell_if_unserved
from workbench.core.errors import ParameterError
from workbench.core.pairs import named, option

if TYPE_CHECKING:
    import pandas as pd

    from workbench.alerts.book import RuleBook
    from workbench.alerts.evaluate import NamedRule
    from workbench.alerts.rehearsal import Rehearsal

POLICIES = {
    "priority": ("[low|normal|high|urgent]", "Urgent ones do not wait for the end of quiet hours; normal."),
    "group": ("TOPIC", "What its messages are gathered under; the rule's name."),
    "window": ("SPAN", "At most one message per channel and topic in this; 5 min."),
    "cool_down": ("SPAN", "After an alert none of the same rule and symbol for this; 0."),
    "release": ("NUMBER", "How far the value must go back before the rule fires again; 0."),
    "expires": ("MOMENT", "When the rule ends, or after how long."),
    "quiet": ("HH:MM-HH:MM", "No message in these hours of the day."),
    "zone": ("ZONE", "The time zone of --quiet; UTC."),
    "escalate_after": ("SPAN", "Tell others unless it was acknowledged by then."),
}
MONTHS = 36
"""A longer rehearsal tells its messages by the year."""

RESERVED = {"symbols": "--symbol", "dataset": "--dataset", "policy": "the options of this command"}


def rule_options(command: Any) -> Any:
    """Add what says which rule, and how it is told."""
    for name, (metavar, text) in reversed(POLICIES.items()):
        kind = float if name == "release" else str
        command = click.option(option(name), name, type=kind, metavar=metavar, help=text)(command)
    for decorate in (
        click.option("--escalate-to", multiple=True, metavar="CHANNEL", help="Whom; may repeat."),
        click.option("--channel", "channels", multiple=True, metavar="CHANNEL", help="Where to; may repeat."),
        many_option,
        click.option(
            "-p",
            "parameters",
            nargs=2,
            multiple=True,
            metavar="NAME VALUE",
            help="What the kind takes; JSON or a text.",
        ),
        click.option("--dataset", help="The settings' one by default."),
        click.option(
            "-S", "--symbol", "symbols", multiple=True, metavar="SYMBOL", help="Each is watched by itself; may repeat."
        ),
    ):
        command = decorate(command)
    return command


@click.group()
def alerts() -> None:
    """Watch rules, and tell people once when they fire."""


@alerts.command("add")
@click.argument("name")
@click.argument("kind")
@rule_options
@as_json_option
def add(name: str, kind: str, as_json: bool, **given: Any) -> None:
    """Keep a rule of a KIND under a NAME.

    \b
    workbench alerts add "Apple over 600" price --symbol AAPL -p when above -p level 600 --channel mail
    workbench alerts add "Oversold" indicator --symbol IBM -p indicator rsi -p when below -p level 30
    workbench alerts add "Both" all --symbol AAPL -p parts '[{"kind": "price", ...}, {"kind": "move", ...}]'
    """  # noqa: D301 - what click takes for a list that is left as it is
    values, policy = _divided(given)
    _check_names(kind, values)
    bench = open_bench()
    _tell([bench.arm(kind, name, policy=policy, **values)], as_json, "added")
    if not as_json:
        tell_if_unserved(bench.alert_services, SERVE)


@alerts.command("list")
@click.option("--kinds", is_flag=True, help="List the kinds of rules instead.")
@as_json_option
def list_rules(kinds: bool, as_json: bool) -> None:
    """List the rules: what they watch, where they tell, until when they are snoozed."""
    bench = open_bench()
    book = bench.alert_rules
    if kinds:
        found = book.kinds()
        click.echo(json.dumps(found, indent=2) if as_json else "\n".join(f"{name:<10} {found[name]}" for name in found))
    elif as_json:
        _tell(book.list(), as_json, "")
    else:
        table = book.table().reset_index().drop(columns=["dataset", "created"])
        table["snoozed"] = table["snoozed"].map(lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC", na_action="ignore")
        print_records(table, "no rules")
        if len(table):
            tell_if_unserved(bench.alert_services, SERVE)


@alerts.command("rehearse")
@click.argument("rule", metavar="NAME|KIND")
@click.option("--start", help="First day of the rehearsal; earlier bars are known to the rule.")
@click.option("--end", help="Last day.")
@rule_options
@as_json_option
def rehearse(rule: str, start: str | None, end: str | None, as_json: bool, **given: Any) -> None:
    """Say when a rule would have fired, and how many messages a month that makes.

    NAME is a rule that is kept; a KIND takes the options of `workbench alerts add`, and nothing is kept.
    """
    values, policy = _divided(given)
    bench = open_bench()
    meant = _meant(bench.alert_rules, rule, bool(values or policy))
    if isinstance(meant, str):
        _check_names(meant, values)
    done = bench.rehearse(meant, start=start, end=end, policy=policy or None, **values)
    if as_json:
        click.echo(json.dumps({"rule": rule_values(done.rule), **rehearsal_values(done)}, indent=2))
        return
    click.echo(str(done))
    if len(done):
        table = done.table.rename(columns={"time": "bar (UTC)", "held": "not told"})
        print_records(table[["bar (UTC)", "symbol", "found", "not told"]], "")
        for span, count in _counted(done.monthly):
            click.echo(f"{span}  {'█' * min(count, 60)} {count}")


@alerts.command("snooze")
@click.argument("name")
@click.argument("until")
@as_json_option
def snooze(name: str, until: str, as_json: bool) -> None:
    """Let the rule NAME tell nobody UNTIL a moment (UTC), for a length of time such as "2 h", or not any more: off."""
    _tell([open_bench().snooze(name, None if until == "off" else until)], as_json, "snoozed")


@alerts.command("remove")
@click.argument("names", metavar="NAME", nargs=-1, required=True)
@as_json_option
def remove(names: tuple[str, ...], as_json: bool) -> None:
    """Remove rules; the alerts that they raised stay."""
    book = open_bench().alert_rules
    found = [book.get(name) for name in names]
    for each in found:
        book.remove(str(each.id))
    _tell(found, as_json, "removed")


for command in COMMANDS:
    alerts.add_command(command)


def _meant(book: RuleBook, text: str, has_values: bool) -> str | NamedRule:
    """Return the rule that is kept under a name; or the kind, which comes first where values are given."""
    is_kept = text in {each.name for each in book.list()}
    if (text in book.kinds() and (has_values or not is_kept)) or (has_values and not is_kept):
        return text
    return book.get(text)


def _divided(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the kind takes, and the policy, of the options."""
    values = {**json_object(given.pop("many")), **_read(given.pop("parameters"))}
    for name in sorted(RESERVED.keys() & values.keys()):
        raise ParameterError(f"{name!r} is given by {RESERVED[name]}; leave out -p {name}")
    values |= {name: value for name in ("symbols", "dataset") if (value := given.pop(name))}
    return values, {name: value for name, value in given.items() if value not in (None, ())}


def _check_names(kind: str, values: Mapping[str, Any]) -> None:
    """Raise where a parameter is a policy's: the kind does not take it, and it would mean something else."""
    from workbench.alerts.policy import Policy
    from workbench.alerts.rules import find_kind

    taken = find_kind(kind).model_fields
    for name in values:
        if name in Policy.model_fields and name not in taken:
            wanted = option("channel" if name == "channels" else name)
            raise ParameterError(f"{name!r} says how a rule is told, not what it watches; write {wanted} instead of -p")


def _counted(monthly: pd.Series) -> list[tuple[str, int]]:
    """Return the messages of each month, or of each year where there are more than two."""
    counts = Counter[str]()
    for month, count in monthly.items():
        counts[f"{month:%Y-%m}" if len(monthly) <= MONTHS else f"{month:%Y}"] += int(count)
    return [*counts.items()]


def _read(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return parameters with what is JSON as its value, and anything else as the text that it is."""
    return {name: _value(text) for name, text in named(pairs).items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _tell(rules: list[NamedRule], as_json: bool, what: str) -> None:
    if as_json:
        click.echo(json.dumps([rule_values(each) for each in rules], indent=2))
        return
    for each in rules:
        until = f", until {each.snoozed:%Y-%m-%d %H:%M} UTC" if what == "snoozed" and each.snoozed else ""
        parts = [f"{what} {each.name}", ", ".join(each.rule.symbols), f"{each.rule.condition}{until}"]
        click.echo(printable(": ".join(part for part in parts if part)))


def rule_values(named: NamedRule) -> dict[str, Any]:
    """Return a rule as JSON values."""
    return {
        "id": named.id,
        "name": named.name,
        "kind": named.kind,
        "condition": named.rule.condition,
        "definition": named.rule.plain(),
        "policy": named.policy.plain(),
        "snoozed": named.snoozed and named.snoozed.isoformat(),
        "created": named.created and named.created.isoformat(),
    }


def rehearsal_values(done: Rehearsal) -> dict[str, Any]:
    """Return a rehearsal as JSON values."""
    frames = {"firings": done.table, "messages": done.messages}
    texts = {name: json.loads(frame.to_json(orient="records", date_format="iso")) for name, frame in frames.items()}
    monthly = {f"{month:%Y-%m}": int(count) for month, count in done.monthly.items()}
    per_month = None if done.per_month != done.per_month else done.per_month  # NaN of a single bar
    span = {"start": done.start.isoformat(), "end": done.end.isoformat(), "bars": done.bars}
    return {**span, **texts, "monthly": monthly, "per_month": per_month, "unknown": dict(done.unknown)}
