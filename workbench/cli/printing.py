"""What the commands on schedules and runs print: tables, a run and how it ended, and whether a service is up."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.parsing import open_bench

if TYPE_CHECKING:
    import pandas as pd

    from workbench.alerts.services import AlertServices
    from workbench.jobs.records import RunRecord
    from workbench.jobs.schedules import Schedules


def tell_if_unserved(services: Schedules | AlertServices, command: str = "workbench schedule serve") -> None:
    """Say so on stderr where no service is up: what is due would wait for one."""
    if not services.served():
        click.echo(f"no service is up; start one: {command} (JupyterLab brings one along)", err=True)


def follow(run: str, wait: bool, as_json: bool) -> None:
    """Print a run; with ``wait`` how it ended, and end with 1 unless it succeeded."""
    jobs = open_bench().jobs
    if wait or not as_json:
        tell_if_unserved(jobs)
    # As long as the run may take: its attempts have a time-out of their own, and Ctrl-C ends the wait.
    found = jobs.wait(run, math.inf) if wait else jobs.ledger.run(run)
    if as_json:
        click.echo(json.dumps(run_values(found), indent=2))
    else:
        click.echo(f"run {found.id} {found.state}{f': {printable(found.reason)}' if found.reason else ''}")
    if wait and found.state != "succeeded":
        raise click.exceptions.Exit(1)


def run_values(run: RunRecord) -> dict[str, Any]:
    """Return a run as JSON values; its job's own beside the run's."""
    job = run.job.model_dump(mode="json", exclude={"sha256"})
    own = {name: value for name, value in asdict(run).items() if name != "job"}
    return {**job, "pin": run.job.sha256, **plain(own)}


def print_runs(frame: pd.DataFrame) -> None:
    """Print runs as a table."""
    if frame.empty:
        click.echo("no runs")
        return
    table = frame.reset_index()
    table["run"] = table["run"].str[:8]
    table["due (UTC)"] = table["due"].dt.strftime("%Y-%m-%d %H:%M:%S")
    print_records(table[["run", "name", "kind", "due (UTC)", "state", "attempt", "seconds", "reason"]], "no runs")


def print_records(table: pd.DataFrame, empty: str) -> None:
    """Print a table without its index, texts on the left, nothing where there is nothing."""
    if table.empty:
        click.echo(empty)
        return
    texts = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    rows = [[str(name) for name in table.columns], *texts]
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.columns))]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN and NaT are not themselves
        return ""
    return printable(f"{value:.1f}" if isinstance(value, float) else str(value))


def printable(text: str) -> str:
    """Return a text that may hold what a notebook printed as one line, with nothing that a terminal obeys."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return a record's values as those of JSON."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
