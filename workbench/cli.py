"""``workbench …``: parses, calls the bench, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from workbench.core.errors import ParameterError, RunError, WorkbenchError

if TYPE_CHECKING:
    from workbench.bench import Workbench

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="trii-workbench", prog_name="workbench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error (may stand anywhere).")
def cli(debug: bool) -> None:
    """TRII Workbench: investment research in Jupyter."""


@cli.group()
def data() -> None:
    """Datasets: list them and their symbols, load them into the store."""


@data.command("list")
@click.option("--catalog", type=click.Path(path_type=Path), help="A catalog file, instead of the installed ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def data_list(catalog: Path | None, as_json: bool) -> None:
    """List the datasets of the catalog."""
    if catalog is None:
        table = _bench().datasets()
    else:
        from workbench.data.catalog import catalog_table, load_catalog

        table = catalog_table(load_catalog(catalog))
    if as_json:
        click.echo(table.to_json(orient="index", indent=2))
        return
    for name, row in table.iterrows():
        click.echo(f"{name:<14} {row['kind']:<7} {row['interval']:<4} {row['fields']}\n{'':<15}{row['description']}")


@data.command("load")
@click.argument("dataset")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def data_load(dataset: str, as_json: bool) -> None:
    """Read a dataset again; rows that are stored already are left alone."""
    written = _bench().market.load(dataset)
    if as_json:
        counts = {"bars": written.bars, "actions": written.actions, "quarantined": written.quarantined}
        click.echo(json.dumps({"dataset": dataset, **counts}))
        return
    click.echo(
        f"{dataset}: {written.bars} bars and {written.actions} actions added, {written.quarantined} rows kept out"
    )


@data.command("symbols")
@click.argument("dataset", required=False)
def data_symbols(dataset: str | None) -> None:
    """List the symbols of a dataset."""
    click.echo("\n".join(_bench().symbols(dataset)))


def engine_options(command: Any) -> Any:
    """Add the options that a backtest and a sweep share."""
    options = [
        click.option("--start", help="First day, such as 2005 or 2005-03-01."),
        click.option("--end", help="Last day, included."),
        click.option("--dataset", help="The dataset that the symbols are in."),
        click.option(
            "--adjust",
            default="all",
            show_default=True,
            metavar="[none|splits|all]",
            help="What to take out of prices.",
        ),
        click.option("--commission", type=float, help="Fraction of each order; 0.001 is 10 basis points."),
        click.option("--slippage", type=float, help="Fraction of the price."),
        click.option("--cash", type=float, help="Starting cash."),
        click.option(
            "--direction", default="long", show_default=True, metavar="[long|both]", help="Turn short, too, or not."
        ),
        click.option(
            "--fill",
            default="next_open",
            show_default=True,
            metavar="[next_open|next_close]",
            help="The price that fills an order.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@cli.command()
@click.argument("strategy")
@click.argument("symbols", nargs=-1, required=True)
@click.option("-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter of the strategy.")
@engine_options
def backtest(
    strategy: str, symbols: tuple[str, ...], parameters: Iterable[tuple[str, str]], as_json: bool, **engine: Any
) -> None:
    """Run STRATEGY on SYMBOLS, after costs, against buy-and-hold."""
    result = _bench().backtest(strategy, list(symbols), **engine, **_named(parameters, engine))
    click.echo(result.to_json() if as_json else repr(result))


@cli.command()
@click.argument("strategy")
@click.argument("symbols", nargs=-1, required=True)
@click.option(
    "-p",
    "grid",
    nargs=2,
    multiple=True,
    metavar="NAME VALUES",
    help="Values: start:stop:step, the stop left out, or 10,20,50.",
)
@click.option("--statistic", default="sharpe", show_default=True, help="What to rank by.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="How many points to print.")
@engine_options
def sweep(
    strategy: str,
    symbols: tuple[str, ...],
    grid: Iterable[tuple[str, str]],
    statistic: str,
    top: int,
    as_json: bool,
    **engine: Any,
) -> None:
    """Run STRATEGY on SYMBOLS over a grid of parameters and print the best points."""
    from workbench.backtest.statistics import NAMES, best_end
    from workbench.core.errors import UnknownNameError

    if statistic not in NAMES:
        raise UnknownNameError("statistic", statistic, NAMES)
    axes: dict[str, Any] = {name: _values(name, text) for name, text in _named(grid, engine).items()}
    found = _bench().sweep(strategy, list(symbols), progress=not as_json, **engine, **axes)
    ranked = found.to_dataframe().dropna(subset=[statistic])
    table = ranked.sort_values(statistic, ascending=best_end(statistic) == "lowest").head(top)
    if as_json:
        click.echo(table.reset_index().to_json(orient="records", indent=2))
        return
    columns = list(dict.fromkeys([statistic, "total_return", "max_drawdown", "trades"]))
    click.echo(table[columns].to_string(float_format="{:.4g}".format))


@cli.command()
def strategies() -> None:
    """List the strategies with their parameters and defaults."""
    for name, strategy in _bench().strategies().items():
        chosen = ", ".join(f"{key}={value}" for key, value in strategy.validate({}).items())
        click.echo(f"{name}({chosen})\n    {strategy.description}")


@cli.command()
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
    given = {**_json_object(many), **_named(parameters, ())}
    done = _bench().run(notebook, given, output=output, progress=not as_json, show_code=show_code)
    if as_json:
        click.echo(json.dumps({"run": done.id, "executed": str(done.executed), "report": str(done.report)}))
        return
    click.echo(f"{done.executed}\n{done.report}")


def server_options(command: Any) -> Any:
    """Add the options that both servers share."""
    port = click.option("--port", type=click.IntRange(1, 65535), help="A free one from 8888 on by default.")
    prefix = click.option("--base-url", default="/", show_default=True, help="A prefix, such as /user/x/.")
    return port(prefix(command))


@cli.command()
@server_options
def lab(port: int | None, base_url: str) -> None:
    """Start JupyterLab with the workbench's kernel, notebooks, dashboards and reports."""
    from workbench.core.settings import load_settings
    from workbench.lab.server import serve_lab

    serve_lab(load_settings(), port=port, base_url=base_url, say=click.echo)


@cli.command()
@server_options
def apps(port: int | None, base_url: str) -> None:
    """Serve every dashboard to people who only look, with an index page."""
    from workbench.core.settings import load_settings
    from workbench.lab.server import serve_apps

    serve_apps(load_settings(), port=port, base_url=base_url, say=click.echo)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and end the process: 0 done, 1 a failure, 2 a user's mistake, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        cli.main([word for word in given if word != "--debug"], prog_name="workbench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except RunError as error:
        click.echo("\n".join(f"    {line}" for line in error.cell.splitlines()), err=True)
        _tell(error, str(error), debug)
        sys.exit(error.exit_code)
    except WorkbenchError as error:
        _tell(error, str(error), debug)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except Exception as error:
        _tell(error, f"unexpected {type(error).__name__}: {error}; run it again with --debug to see where", debug)
        sys.exit(1)
    sys.exit(0)


def _tell(error: BaseException, sentence: str, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    click.echo(f"Error: {sentence}", err=True)


def _bench() -> Workbench:
    from workbench.bench import open_workbench

    return open_workbench()


def _named(pairs: Iterable[tuple[str, str]], reserved: Iterable[str]) -> dict[str, Any]:
    """Return ``-p`` pairs as a dict.

    Raises
    ------
    ParameterError
        For a name given twice, or one that is an option.
    """
    named: dict[str, Any] = {}
    for name, value in pairs:
        if name in named:
            raise ParameterError(f"parameter {name!r} is given twice; give it once")
        if name in reserved:
            raise ParameterError(f"{name!r} is an option, not a parameter of the strategy; write --{name} {value}")
        named[name] = value
    return named


def _values(name: str, text: str) -> list[str] | range:
    """Read ``5:55:5`` as a range whose end is left out, or ``10,20,50`` as a list."""
    if ":" not in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return range(*(int(part) for part in text.split(":")))
    except (ValueError, TypeError) as error:
        raise ParameterError(f"{text!r} is no range for {name!r}; write start:stop:step, such as 5:55:5") from error


def _json_object(text: str | None) -> dict[str, Any]:
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
