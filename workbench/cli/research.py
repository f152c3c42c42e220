"""``workbench backtest``, ``sweep`` and ``strategies``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from workbench.cli.parsing import named, open_bench, values


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


@click.command()
@click.argument("strategy")
@click.argument("symbols", nargs=-1, required=True)
@click.option("-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter of the strategy.")
@engine_options
def backtest(
    strategy: str, symbols: tuple[str, ...], parameters: Iterable[tuple[str, str]], as_json: bool, **engine: Any
) -> None:
    """Run STRATEGY on SYMBOLS, after costs, against buy-and-hold."""
    result = open_bench().backtest(strategy, list(symbols), **engine, **named(parameters, engine))
    click.echo(result.to_json() if as_json else repr(result))


@click.command()
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
    axes: dict[str, Any] = {name: values(name, text) for name, text in named(grid, engine).items()}
    found = open_bench().sweep(strategy, list(symbols), progress=not as_json, **engine, **axes)
    ranked = found.to_dataframe().dropna(subset=[statistic])
    table = ranked.sort_values(statistic, ascending=best_end(statistic) == "lowest").head(top)
    if as_json:
        click.echo(table.reset_index().to_json(orient="records", indent=2))
        return
    columns = list(dict.fromkeys([statistic, "total_return", "max_drawdown", "trades"]))
    click.echo(table[columns].to_string(float_format="{:.4g}".format))


@click.command()
def strategies() -> None:
    """List the strategies with their parameters and defaults."""
    for name, strategy in open_bench().strategies().items():
        chosen = ", ".join(f"{key}={value}" for key, value in strategy.validate({}).items())
        click.echo(f"{name}({chosen})\n    {strategy.description}")
