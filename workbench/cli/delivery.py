"""``workbench alerts …``, on alerts and messages: history, acknowledging, silences, channels, the service."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.parsing import as_json_option, open_bench
from workbench.cli.printing import plain, print_records, tell_if_unserved
from workbench.core.errors import ParameterError

if TYPE_CHECKING:
    from workbench.alerts.firings import Alert
    from workbench.core.settings import Settings

SERVE = "workbench alerts serve"
most_option = click.option("--most", default=50, show_default=True, type=click.IntRange(min=1), help="How many.")


@click.command("history")
@click.option("--rule", help="Only those of a rule, by its name or id.")
@click.option("--symbol", help="Only those of a symbol.")
@click.option("--source", help="Only those from there: rule, run, schedule, parity.")
@click.option("--since", help="Only those raised from this day or moment on (UTC).")
@click.option("--until", help="Only those raised up to this day or moment (UTC).")
@click.option("--open", "unseen", is_flag=True, help="Only those that nobody has acknowledged.")
@most_option
@as_json_option
def history(as_json: bool, unseen: bool, rule: str | None, **wanted: Any) -> None:
    """List the alerts, the newest first: what was found, who has seen it, and why one was not told."""
    bench = open_bench()
    found = bench.alerts.list(acknowledged=False if unseen else None, rule=rule, **wanted)
    if as_json:
        click.echo(json.dumps([alert_values(each) for each in found], indent=2))
        return
    rows = [(each.id, f"{each.raised:%Y-%m-%d %H:%M}", each.priority, _standing(each), each.subject) for each in found]
    _print(rows, ["alert", "raised (UTC)", "priority", "state", "subject"], "no alerts")


@click.command("ack")
@click.argument("alerts", nargs=-1, type=int)
@click.option("--all", "every", is_flag=True, help="All that nobody has acknowledged.")
@click.option("--by", help="Who has seen them; the user of this machine by default.")
@as_json_option
def acknowledge(alerts: tuple[int, ...], every: bool, by: str | None, as_json: bool) -> None:
    """Note that somebody has seen ALERTS, by their numbers: what would have been escalated is not."""
    if bool(alerts) == every:
        raise ParameterError("ack needs the numbers of alerts, or --all; `workbench alerts history --open` lists them")
    bench = open_bench()
    count = bench.acknowledge(
        [each.id for each in bench.alerts.list(acknowledged=False, most=100_000)] if every else alerts, by
    )
    click.echo(json.dumps({"acknowledged": count}) if as_json else f"acknowledged {count}")


@click.command("silence")
@click.argument("until", required=False)
@click.option("--rule", help="By its name or id.")
@click.option("--symbol")
@click.option("--source", help="Where alerts come from: rule, run, schedule, parity.")
@click.option("--reason", default="", help="Why; the alerts that are held say so.")
@click.option("--end", metavar="ID", help="End a silence, by its id or the beginning of it.")
@as_json_option
def silence(until: str | None, reason: str, end: str | None, as_json: bool, **about: str | None) -> None:
    """Make no message of some alerts UNTIL a moment (UTC), or for a length of time such as "2 h".

    Without it, list the silences that are in force.
    """
    bench = open_bench()
    if end is not None:
        ids = [each.id for each in bench.silences.list() if each.id.startswith(end)]
        bench.silences.remove(ids[0] if len(ids) == 1 else end)
    elif until is not None:
        bench.silence(until, reason=reason, **about)
    elif any(about.values()):
        raise ParameterError("a silence needs its end; write it as '2 h' or '2026-03-01 09:00'")
    found = bench.silences.list()
    if as_json:
        click.echo(json.dumps([plain(asdict(each)) for each in found], indent=2))
        return
    rules = {str(each.id): each.name for each in bench.alert_rules.list()}
    rows = [(each.id[:8], _told(each.about, rules), f"{each.until:%Y-%m-%d %H:%M}", each.reason) for each in found]
    _print(rows, ["silence", "about", "until (UTC)", "reason"], "no silences")


@click.command("channels")
@as_json_option
def channels(as_json: bool) -> None:
    """List where messages can go; addresses are shown without what is secret in them."""
    found = open_bench().channels().reset_index()
    if as_json:
        click.echo(found.to_json(orient="records", indent=2))
        return
    found["usual"] = found["usual"].map({True: "yes", False: ""})
    print_records(found, "no channels")


@click.command("test")
@click.argument("channel")
@as_json_option
def test_channel(channel: str, as_json: bool) -> None:
    """Send a real message over CHANNEL, at once and without repeating it, and say what became of it."""
    sent = open_bench().test_channel(channel)
    click.echo(json.dumps(sent, indent=2) if as_json else f"{sent['state']}, {sent['where']}: {sent['subject']}")


@click.command("messages")
@click.option("--state", "states", multiple=True, metavar="[gathering|sending|waiting|sent|failed]", help="May repeat.")
@most_option
@as_json_option
def messages(states: tuple[str, ...], most: int, as_json: bool) -> None:
    """List the messages, the newest first: what waits, what was sent, and why what failed did."""
    bench = open_bench()
    found = bench.messages(state=states, most=most).reset_index()
    if as_json:
        click.echo(found.to_json(orient="records", date_format="iso", indent=2))
        return
    found["next (UTC)"] = found["not_before"].dt.strftime("%Y-%m-%d %H:%M:%S").where(found["settled"].isna())
    columns = ["message", "channel", "topic", "state", "alerts", "attempts", "next (UTC)", "error"]
    print_records(found[columns], "no messages")
    if found["settled"].isna().any():
        tell_if_unserved(bench.alert_services, SERVE)


@click.command("serve")
@click.option("--stream", metavar="NAME", help="Watch rules on a live stream, too, such as yahoo.")
@click.option("--every", default="5 min", show_default=True, metavar="SPAN", help="How often all rules are evaluated.")
@click.option("--until-parent", is_flag=True, help="End when standard input does.")
def serve(stream: str | None, every: str, until_parent: bool) -> None:
    """Watch the rules and send what is to be told, until Ctrl-C or SIGTERM; any number of these may be up at once."""
    bench = open_bench()
    if not until_parent:  # what has one speaks for it
        _say_serving(bench.settings, stream)
    bench.serve_alerts(stream=stream, every=every, until_parent=until_parent)


COMMANDS = (history, acknowledge, silence, channels, test_channel, messages, serve)


def alert_values(alert: Alert) -> dict[str, Any]:
    """Return an alert as JSON values."""
    return {**plain(asdict(alert)), "source": alert.source}


def _print(rows: list[tuple[Any, ...]], columns: list[str], empty: str) -> None:
    import pandas as pd

    print_records(pd.DataFrame(rows, columns=columns), empty)


def _standing(alert: Alert) -> str:
    """Return what became of an alert, in words."""
    held = f"not told: {alert.held}" if alert.held else ""
    if alert.acknowledged is not None:
        return ", ".join(part for part in (f"known to {alert.acknowledged_by}", held) if part)
    return held or "open"


def _told(about: Mapping[str, str], rules: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {rules.get(value, value)}" for name, value in about.items())


def _say_serving(settings: Settings, stream: str | None) -> None:
    """Say on stderr that this process serves, and what it cannot do while it does."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    live = f", and on the stream {stream}" if stream else ""
    click.echo(f"watching the alert rules of {settings.home}{live}; Ctrl-C ends it", err=True)
