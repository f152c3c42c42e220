"""``workbench schedule …``: notebooks that run when they should."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.parsing import (
    as_json_option,
    json_object,
    many_option,
    open_bench,
    parameter_option,
    schedule_options,
    schedule_values,
    wait_option,
)
from workbench.cli.printing import (
    follow,
    plain,
    print_records,
    print_runs,
    printable,
    run_values,
    tell_if_unserved,
)
from workbench.core.errors import ParameterError
from workbench.core.pairs import named, option

if TYPE_CHECKING:
    import sqlalchemy as sa

    from workbench.core.settings import Settings
    from workbench.jobs.schedule import Schedule
    from workbench.jobs.schedules import Schedules


@click.group()
def schedule() -> None:
    """Run notebooks when they should, each due time once."""


@schedule.command("serve")
@click.option("--until-parent", is_flag=True, help="End when standard input does.")
def serve_schedules(until_parent: bool) -> None:
    """Run what is due, until Ctrl-C or SIGTERM; any number of these, and JupyterLab, may be up at once."""
    from workbench.alerts.firings import raise_alert
    from workbench.core.clock import utc_now
    from workbench.core.settings import load_settings
    from workbench.jobs.service import serve

    settings = load_settings()

    def alarm(connection: sa.Connection, key: str, subject: str, text: str) -> None:
        raise_alert(connection, key, subject, text, utc_now(), usual=settings.alert_channels)

    if not until_parent:  # what has one speaks for it
        _say_serving(settings)
    serve(settings, until_parent=until_parent, alarm=alarm)


@schedule.command("add")
@click.argument("notebook", type=click.Path(path_type=Path))
@click.argument("when")
@click.option("--pinned", is_flag=True, help="Run the notebook as it is now, not as it will be then.")
@schedule_options
@as_json_option
def add(notebook: Path, when: str, pinned: bool, as_json: bool, **options: Any) -> None:
    """Run NOTEBOOK again and again, WHEN it says.

    WHEN is a cron line, such as "30 17 * * MON-FRI" or @hourly, or a market trigger: "XNYS close + 20 min",
    "XNYS open - 10 min", "XNYS first session of the month, open + 30 min". Values may be relative dates: today,
    last_session, "last_session - 20 sessions".
    """
    given = schedule_values(options)
    if isinstance(given.get("ready"), dict) and "symbols" not in given["ready"]:
        lone, value = next(iter(given["ready"].items()))
        raise ParameterError(f"{option(lone)} {value} is said of what a run waits for; name it with --ready")
    bench = open_bench()
    parameters = {**json_object(options["many"]), **named(options["parameters"])}
    added = bench.schedule(notebook, when, parameters=parameters, mode="pinned" if pinned else "now", **given)
    _tell([added], as_json, "added")
    if not as_json:
        tell_if_unserved(bench.jobs)


@schedule.command("change")
@click.argument("which", metavar="NAME")
@click.option("--notebook", type=click.Path(path_type=Path), help="Another notebook.")
@click.option("--when", help="Another cron line or market trigger; a cron line keeps its zone.")
@click.option("--pinned/--not-pinned", default=None, help="Run the notebook as it is now, or as it will be then.")
@schedule_options
@as_json_option
def change(
    which: str, notebook: Path | None, when: str | None, pinned: bool | None, as_json: bool, **options: Any
) -> None:
    """Change the schedule NAME: what is not said stays as it is.

    -p changes or adds a parameter, -P gives all of them anew; --name gives another name. What was due by now is
    planned as it was. A pinned notebook stays as it was pinned, unless --notebook or --pinned is given.
    """
    bench = open_bench()
    given = schedule_values(options)
    if options["many"] is not None or options["parameters"]:
        kept = {} if options["many"] is not None else bench.jobs.get(which).schedule.parameters
        given["parameters"] = {**kept, **json_object(options["many"]), **named(options["parameters"])}
    own = {"notebook": notebook, "when": when, "mode": None if pinned is None else "pinned" if pinned else "now"}
    given |= {each: value for each, value in own.items() if value is not None}
    _tell([bench.change_schedule(which, **given)], as_json, "changed")


@schedule.command("list")
@as_json_option
def list_schedules(as_json: bool) -> None:
    """List the schedules: when, what is due next, how the last run ended."""
    bench = open_bench()
    table = bench.schedules()
    if as_json:
        click.echo(table.reset_index().to_json(orient="records", date_format="iso", indent=2))
        return
    table["state"] = table.pop("active").map({True: "active", False: "paused"})
    table["next"] = table["next"].map(lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC", na_action="ignore")
    print_records(table[["when", "notebook", "mode", "state", "next", "last", "fault"]].reset_index(), "no schedules")
    if table["next"].notna().any():
        tell_if_unserved(bench.jobs)


@schedule.command("pause")
@click.argument("names", metavar="NAME", nargs=-1, required=True)
@as_json_option
def pause(names: tuple[str, ...], as_json: bool) -> None:
    """Let schedules not be due until they are resumed."""
    bench = open_bench()
    _tell([bench.pause_schedule(name) for name in names], as_json, "paused")


@schedule.command("resume")
@click.argument("names", metavar="NAME", nargs=-1, required=True)
@as_json_option
def resume(names: tuple[str, ...], as_json: bool) -> None:
    """Let paused schedules be due from now on."""
    bench = open_bench()
    _tell([bench.resume_schedule(name) for name in names], as_json, "resumed")


@schedule.command("remove")
@click.argument("names", metavar="NAME", nargs=-1, required=True)
@as_json_option
def remove(names: tuple[str, ...], as_json: bool) -> None:
    """Remove schedules; runs that wait are cancelled, one at work goes on, and what ran stays in the history."""
    jobs = open_bench().jobs
    removed = [_removed(jobs, name) for name in names]
    if as_json:
        click.echo(
            json.dumps([{**each.model_dump(mode="json"), "cancelled": runs} for each, runs in removed], indent=2)
        )
        return
    for each, runs in removed:
        _tell([each], as_json, "removed")
        if runs:
            click.echo(f"cancelled {len(runs)} of its runs, which waited: {', '.join(run[:8] for run in runs)}")


@schedule.command("run-now")
@click.argument("name")
@parameter_option
@many_option
@click.option("--time-out", metavar="SPAN", help="How long an attempt at a notebook's path may take; 1 h.")
@wait_option
@as_json_option
def run_now(
    name: str,
    parameters: Iterable[tuple[str, str]],
    many: str | None,
    time_out: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Let a service run the schedule NAME, or a notebook by its path, now."""
    asked = open_bench().run_now(name, {**json_object(many), **named(parameters)}, time_out=time_out)
    follow(asked.id, wait, as_json)


@schedule.command("history")
@click.argument("name", required=False)
@click.option("--state", "states", multiple=True, help="Such as failed or skipped; may repeat.")
@click.option("--most", default=50, show_default=True, type=click.IntRange(min=1), help="How many runs.")
@click.option("--attempts", is_flag=True, help="List each attempt, too.")
@as_json_option
def history(name: str | None, states: tuple[str, ...], most: int, attempts: bool, as_json: bool) -> None:
    """List the runs of the schedule NAME, or all, the last in front: skips and retries with their reasons."""
    bench = open_bench()
    found = bench.history.search(schedule=name, state=states or None, most=most)
    if as_json:
        tried = {run.id: [plain(asdict(each)) for each in bench.history.attempts(run.id)] for run in found if attempts}
        click.echo(json.dumps([{**run_values(run), **_tried(tried.get(run.id))} for run in found], indent=2))
        return
    print_runs(bench.history.frame(found))
    for run in found if attempts else ():
        for each in bench.history.attempts(run.id):
            click.echo(
                f"{run.id[:8]}  attempt {each.n}: {each.state}{f', {printable(each.reason)}' if each.reason else ''}"
            )


@schedule.command("cancel")
@click.argument("run")
@click.option("--reason", default="cancelled by hand", show_default=True, help="What its row will say.")
def cancel(run: str, reason: str) -> None:
    """Cancel RUN, by its id or the beginning of it."""
    told = {"cancelled": "cancelled", "asked": "is asked to stop", None: "had ended already"}
    jobs = open_bench().jobs
    found = jobs.run(run)
    click.echo(f"run {found.id} {told[jobs.cancel(found.id, reason)]}")


def _removed(jobs: Schedules, name: str) -> tuple[Schedule, list[str]]:
    """Remove a schedule, and return it with the runs that were cancelled with it."""
    kept = jobs.get(name).schedule.id
    # What was due by now is planned with the removal: only the difference tells all of them.
    before, removed = jobs.ledger.runs(kept, ["cancelled"]), jobs.remove(kept)
    known = {run.id for run in before}
    return removed, [run.id for run in jobs.ledger.runs(kept, ["cancelled"]) if run.id not in known]


def _say_serving(settings: Settings) -> None:
    """Say on stderr that this process serves, and let each run say so that begins or ends."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("workbench.jobs.service").setLevel(logging.INFO)
    click.echo(f"serving {settings.home}: {settings.runs_at_once} runs at once; Ctrl-C ends it, runs go on", err=True)


def _tried(attempts: list[dict[str, Any]] | None) -> dict[str, Any]:
    return {} if attempts is None else {"attempts": attempts}


def _tell(schedules: list[Schedule], as_json: bool, what: str) -> None:
    if as_json:
        click.echo(json.dumps([each.model_dump(mode="json") for each in schedules], indent=2))
        return
    for each in schedules:
        click.echo(f"{what} {each.name}: {each.when}, {each.notebook}")
