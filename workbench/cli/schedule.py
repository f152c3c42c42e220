"""``workbench schedule …``: notebooks that run when they should."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.parsing import json_object, open_bench
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

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
parameter_option = click.option(
    "-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter of the notebook."
)
many_option = click.option("-P", "many", metavar="JSON", help="Parameters as a JSON object.")
wait_option = click.option("--wait", is_flag=True, help="Wait for its end; end with 1 unless it succeeded.")

POLICIES = {
    "catch_up": ("[skip|latest|all]", "Which due times are made up for that no service was there for; latest."),
    "window": ("SPAN", "How far back that reaches, such as '36 h'; a day."),
    "overlap": ("[skip|queue|cancel]", "What happens when the run before has not ended; skip."),
    "retries": ("NUMBER", "How often an attempt is repeated; 0."),
    "back_off": ("SPAN", "The pause before the first repetition, then twice as long; 1 min."),
    "longest_back_off": ("SPAN", "The longest pause; 1 h."),
    "time_out": ("SPAN", "How long an attempt may take; 1 h."),
    "priority": ("NUMBER", "0 to 9, lower goes first; 5."),
    "keep": ("NUMBER", "How many runs keep their files; 100."),
    "keep_for": ("SPAN", "How long a run keeps its files; '365 days'."),
}
WHOLE = ("retries", "priority", "keep")


def policy_options(command: Any) -> Any:
    """Add an option for each policy."""
    for name, (metavar, text) in reversed(POLICIES.items()):
        kind = int if name in WHOLE else str
        command = click.option(option(name), name, type=kind, metavar=metavar, help=text)(command)
    return click.option(
        "--retry-on",
        multiple=True,
        metavar="[failed|timed out|limit|orphaned]",
        help="After which endings; may repeat.",
    )(command)


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

    def alarm(connection: sa.Connection, key: str, subject: str, text: str) -> None:
        raise_alert(connection, key, subject, text, utc_now())

    settings = load_settings()
    if not until_parent:  # what has one speaks for it
        _say_serving(settings)
    serve(settings, until_parent=until_parent, alarm=alarm)


@schedule.command("add")
@click.argument("notebook", type=click.Path(path_type=Path))
@click.argument("when")
@click.option("--name", help="The notebook's by default.")
@click.option("--zone", help="Time zone of a cron line; UTC by default.")
@parameter_option
@many_option
@click.option("--pinned", is_flag=True, help="Run the notebook as it is now, not as it will be then.")
@click.option("--ready", multiple=True, metavar="SYMBOL", help="Wait for the session's bar of SYMBOL; may repeat.")
@click.option("--dataset", help="The dataset of --ready; the settings' one by default.")
@click.option("--deadline", metavar="SPAN", help="How long to wait for it, then alert; '2 h' by default.")
@click.option("--format", "formats", multiple=True, metavar="[ipynb|html|pdf]", help="What to leave; may repeat.")
@click.option("--kernel", help="Instead of the notebook's own.")
@policy_options
@as_json_option
def add(
    notebook: Path,
    when: str,
    name: str | None,
    zone: str | None,
    parameters: Iterable[tuple[str, str]],
    many: str | None,
    pinned: bool,
    ready: tuple[str, ...],
    dataset: str | None,
    deadline: str | None,
    formats: tuple[str, ...],
    kernel: str | None,
    as_json: bool,
    **policies: Any,
) -> None:
    """Run NOTEBOOK again and again, WHEN it says.

    WHEN is a cron line, such as "30 17 * * MON-FRI" or @hourly, or a market trigger: "XNYS close + 20 min",
    "XNYS open - 10 min", "XNYS first session of the month, open + 30 min". Values may be relative dates: today,
    last_session, "last_session - 20 sessions".
    """
    waits = {"symbols": ready, "dataset": dataset, "deadline": deadline}
    if not ready and (lone := next((each for each in ("dataset", "deadline") if waits[each]), None)):
        raise ParameterError(f"{option(lone)} {waits[lone]} is said of what a run waits for; name it with --ready")
    chosen = {each: value for each, value in policies.items() if value not in (None, ())}
    bench = open_bench()
    added = bench.schedule(
        notebook,
        when,
        name=name,
        zone=zone,
        parameters={**json_object(many), **named(parameters)},
        mode="pinned" if pinned else "now",
        ready={each: value for each, value in waits.items() if value} or None,
        formats=formats or ("ipynb", "html"),
        kernel=kernel,
        **chosen,
    )
    _tell([added], as_json, "added")
    if not as_json:
        tell_if_unserved(bench.jobs)


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
