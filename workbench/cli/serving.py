"""``workbench run``, ``lab`` and ``apps``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from workbench.cli.parsing import json_object, open_bench
from workbench.core.pairs import named


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter of the notebook.")
@click.option("-P", "many", metavar="JSON", help="Parameters as a JSON object.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder for the executed notebook and its report.")
@click.option("--show-code", is_flag=True, help="Show the cells' source in the report.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def run(
    notebook: Path,
    parameters: Iterable[tuple[str, str]],
    many: str | None,
    output: Path | None,
    show_code: bool,
    as_json: bool,
) -> None:
    """Run NOTEBOOK with parameters; keep it beside an HTML report."""
    given = {**json_object(many), **named(parameters)}
    done = open_bench().run(notebook, given, output=output, progress=not as_json, show_code=show_code)
    if as_json:
        click.echo(json.dumps({"run": done.id, "executed": str(done.executed), "report": str(done.report)}))
        return
    click.echo(f"{done.executed}\n{done.report}")


def server_options(command: Any) -> Any:
    """Add the options that both servers share."""
    port = click.option("--port", type=click.IntRange(1, 65535), help="A free one from 8888 on by default.")
    prefix = click.option("--base-url", default="/", show_default=True, help="A prefix, such as /user/x/.")
    return port(prefix(command))


@click.command()
@server_options
def lab(port: int | None, base_url: str) -> None:
    """Start JupyterLab with the workbench's kernel, notebooks, dashboards and reports."""
    from workbench.core.settings import load_settings
    from workbench.lab.server import serve_lab

    serve_lab(load_settings(), port=port, base_url=base_url, say=click.echo)


@click.command()
@server_options
def apps(port: int | None, base_url: str) -> None:
    """Serve every dashboard to people who only look, with an index page."""
    from workbench.core.settings import load_settings
    from workbench.lab.server import serve_apps

    serve_apps(load_settings(), port=port, base_url=base_url, say=click.echo)
