"""``workbench reports …``: what runs have left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.parsing import as_json_option, json_object, many_option, open_bench, parameter_option, wait_option
from workbench.cli.printing import follow, print_runs, printable, run_values
from workbench.core.pairs import named

if TYPE_CHECKING:
    from workbench.jobs.comparison import RunComparison

TITLES = {"parameters": "Parameters", "data": "Data", "libraries": "Libraries", "about": "The runs"}


@click.group()
def reports() -> None:
    """Find, open and compare the reports that runs have left."""


@reports.command("list")
@click.argument("text", required=False)
@click.option("--schedule", help="Of the schedule with this name, removed ones included.")
@click.option("--notebook", help="The file's name.")
@click.option("-p", "parameter", nargs=2, multiple=True, metavar="NAME VALUE", help="Ran with this value.")
@click.option("--state", "states", multiple=True, help="Such as succeeded or failed; may repeat.")
@click.option("--since", help="Due on this day or later.")
@click.option("--until", help="Due on this day or before.")
@click.option("--most", default=50, show_default=True, type=click.IntRange(min=1), help="How many runs.")
@as_json_option
def list_reports(
    text: str | None, parameter: Iterable[tuple[str, str]], states: tuple[str, ...], as_json: bool, **wanted: Any
) -> None:
    """List the runs with TEXT in their name, notebook, parameters or reason, the last in front."""
    history = open_bench().history
    found = history.search(text=text, parameter=named(parameter), state=states or None, **wanted)
    if as_json:
        values = [{**run_values(run), "files": [str(path) for path in history.files(run.id)]} for run in found]
        click.echo(json.dumps(values, indent=2))
        return
    print_runs(history.frame(found))


@reports.command("open")
@click.argument("run")
@click.option("--print", "only_print", is_flag=True, help="Only print where it lies.")
def open_report(run: str, only_print: bool) -> None:
    """Open the HTML page of RUN, by its id or the beginning of it, in the browser."""
    bench = open_bench()
    page = bench.report(run)
    click.echo(page)
    if not (only_print or bench.settings.no_browser):
        import webbrowser

        webbrowser.open(page.as_uri())


@reports.command("compare")
@click.argument("one")
@click.argument("other")
@click.option("--output", type=click.Path(path_type=Path), help="Write the comparison, an HTML page, to this file.")
@as_json_option
def compare(one: str, other: str, output: Path | None, as_json: bool) -> None:
    """Say how the runs ONE and OTHER differ: parameters, data, libraries, and what each cell shows.

    Tables and pictures side by side are on the page that --output writes.
    """
    from workbench.core.errors import StoreError
    from workbench.core.files import replace_file

    found = open_bench().compare_runs(one, other)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        _print_comparison(found)
    if output is None:
        return
    try:
        replace_file(output, found.to_html())
    except OSError as error:
        raise StoreError(f"cannot write {output} ({error.strerror or error}); choose another --output") from error
    click.echo(str(output), err=as_json)


@reports.command("rerun")
@click.argument("run")
@parameter_option
@many_option
@wait_option
@as_json_option
def rerun(run: str, parameters: Iterable[tuple[str, str]], many: str | None, wait: bool, as_json: bool) -> None:
    """Run RUN again, with the same parameters or some that are changed."""
    again = open_bench().rerun(run, {**json_object(many), **named(parameters)})
    follow(again.id, wait, as_json)


@reports.command("prune")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@as_json_option
def prune(dry_run: bool, as_json: bool) -> None:
    """Remove the files that the schedules keep no longer; what ran stays in the history."""
    gone = open_bench().prune_reports(dry=dry_run)
    if as_json:
        click.echo(json.dumps({"pruned": gone, "dry_run": dry_run}))
        return
    for run in gone:
        click.echo(run)
    click.echo(f"the files of {len(gone)} runs {'would go' if dry_run else 'are gone'}")


def _print_comparison(found: RunComparison) -> None:
    """Print what differs between two runs: values side by side, and cells with their differing lines."""
    for which, run in (("before", found.before), ("after", found.after)):
        click.echo(
            f"{which:<6}  run {run.id[:8]} of {run.job.notebook.name}, {run.due:%Y-%m-%d %H:%M} UTC, {run.state}"
        )
    click.echo(found.summary)
    values = found.to_dict()
    for kind in ("parameters", "data", "libraries", "about"):
        if values[kind]:
            click.echo(f"\n{TITLES[kind]}")
        for name, (before, after) in values[kind].items():
            click.echo(f"  {printable(name)}: {_value(before)} -> {_value(after)}")
    for cell in values["cells"]:
        click.echo(f"\ncell {cell['after'] or cell['before']}, {cell['state']}")
        for line in _lines(cell):
            click.echo(f"  {printable(line)}")


def _lines(cell: dict[str, Any]) -> Iterator[str]:
    """Yield how a cell differs: its source, then what it shows."""
    yield from cell["source"]
    for each in cell["outputs"]:
        places = f", {each['changed']} places" if each["changed"] else ""
        yield f"{each['kind']}, {each['state']}{places}"
        yield from each["diff"]


def _value(value: str | None) -> str:
    return "none" if value is None else printable(value)
