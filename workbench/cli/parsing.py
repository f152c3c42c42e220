"""What the commands share: the bench, and texts of the command line as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from workbench.core.errors import ParameterError
from workbench.core.pairs import option

if TYPE_CHECKING:
    from workbench.bench import Workbench


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


def open_bench() -> Workbench:
    """Return the workbench of the settings."""
    from workbench.bench import open_workbench

    return open_workbench()


def values(name: str, text: str) -> list[str] | range:
    """Read ``5:55:5`` as a range whose end is left out, or ``10,20,50`` as a list."""
    if ":" not in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return range(*(int(part) for part in text.split(":")))
    except (ValueError, TypeError) as error:
        raise ParameterError(
            f"{text!r} is no range of whole numbers for {name!r}; write start:stop:step, such as 5:55:5, or 0.1,0.2"
        ) from error


def json_object(text: str | None) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is no text."""
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParameterError(
            f'-P is no JSON ({error}); write an object, such as \'{{"symbols": ["AAPL"]}}\''
        ) from error
    if not isinstance(value, dict):
        raise ParameterError(
            f"-P must be a JSON object, not {text}; write names and values, such as '{{\"year\": 2012}}'"
        )
    return value


def schedule_options(command: Any) -> Any:
    """Add the options that the commands which make and change a schedule have in common."""
    own = [
        click.option("--name", help="Its name; the notebook's where a new one has none."),
        click.option("--zone", help="Time zone of a cron line; UTC where a new one has none."),
        parameter_option,
        many_option,
        click.option(
            "--ready", multiple=True, metavar="SYMBOL", help="Wait for the session's bar of SYMBOL; may repeat."
        ),
        click.option("--dataset", help="The dataset of --ready; the settings' one by default."),
        click.option("--deadline", metavar="SPAN", help="How long to wait for it, then alert; '2 h' by default."),
        click.option(
            "--format", "formats", multiple=True, metavar="[ipynb|html|pdf]", help="What to leave; may repeat."
        ),
        click.option("--kernel", help="Instead of the notebook's own."),
    ]
    for name, (metavar, text) in POLICIES.items():
        own.append(click.option(option(name), name, type=int if name in WHOLE else str, metavar=metavar, help=text))
    endings = "[failed|timed out|limit|orphaned]"
    own.append(click.option("--retry-on", multiple=True, metavar=endings, help="After which endings; may repeat."))
    for each in reversed(own):
        command = each(command)
    return command


def schedule_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said with ``schedule_options``, by the names of ``bench.schedule``; parameters are left out."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    waits: dict[str, Any] = {name: given.pop(name) for name in ("ready", "dataset", "deadline") if name in given}
    if "ready" in waits:
        waits["symbols"] = waits.pop("ready")
    ready = {"ready": waits} if waits else {}
    return {**{name: value for name, value in given.items() if name not in ("parameters", "many")}, **ready}
