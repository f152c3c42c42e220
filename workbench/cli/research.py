"""``workbench backtest``, ``sweep``, ``validate``, ``signals``, ``trials`` and ``strategies``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import click

from workbench.cli.parsing import open_bench, values
from workbench.core.errors import FailureError
from workbench.core.pairs import named

Command = Callable[..., None]
Decorator = Callable[[Command], Command]

SPAN: list[Decorator] = [
    click.option("--start", help="First day, such as 2005 or 2005-03-01."),
    click.option("--end", help="Last day, included."),
    click.option("--dataset", help="The dataset that the symbols are in."),
    click.option(
        "--adjust", default="all", show_default=True, metavar="[none|splits|all]", help="What to take out of prices."
    ),
    click.option("--as-of", help="What was known at this moment only."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
]
TERMS: list[Decorator] = [
    click.option("--commission", type=float, help="Fraction of each order; 0.001 is 10 basis points."),
    click.option("--slippage", type=float, help="Fraction of the price."),
    click.option("--borrow", type=float, help="What borrowed shares cost a year, as a fraction."),
    click.option("--cash", type=float, help="Starting cash."),
    click.option("--direction", metavar="[long|both]", help="Turn short, too, or not; the strategy's own by default."),
    click.option(
        "--fill",
        default="next_open",
        show_default=True,
        metavar="[next_open|next_close]",
        help="The price that fills an order.",
    ),
    click.option("--size", metavar="SIZE", help="all, fixed:10000, percent:0.5, volatility:0.15 or kelly:0.5."),
    click.option("--stop-loss", type=float, help="Close a position this far against it; 0.1 is 10 %."),
    click.option("--take-profit", type=float, help="Close it this far in its favour."),
    click.option("--trailing-stop", type=float, help="Close it this far from its best price."),
    click.option("--shared", is_flag=True, help="One account for all symbols."),
    click.option("--hypothesis", help="The idea under which the trials are counted; the strategy by default."),
]
parameter_option = click.option(
    "-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter of the strategy."
)
grid_option = click.option(
    "-p",
    "grid",
    nargs=2,
    multiple=True,
    metavar="NAME VALUES",
    help="Values: start:stop:step, the stop left out, or 10,20,50.",
)


def with_options(*groups: list[Decorator]) -> Decorator:
    """Add the options that several commands share."""

    def add(command: Command) -> Command:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return add


@click.command()
@click.argument("strategy")
@click.argument("symbols", nargs=-1, required=True)
@parameter_option
@click.option("--benchmark", help="A symbol to compare with, or dataset/symbol; buying and holding by default.")
@click.option("--check", is_flag=True, help="First make sure that the strategy does not look ahead.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the tear sheet, an HTML page, to this file.")
@with_options(TERMS, SPAN)
def backtest(
    strategy: str,
    symbols: tuple[str, ...],
    parameters: Iterable[tuple[str, str]],
    check: bool,
    report: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Run STRATEGY on SYMBOLS, after costs, against buying and holding."""
    bench, own = open_bench(), named(parameters, asked)
    if check:
        span = {name: asked[name] for name in ("start", "end", "dataset", "adjust", "as_of")}
        found = bench.check_lookahead(strategy, list(symbols), **span, **own)
        if not found.passed:
            raise FailureError(str(found))
        click.echo(str(found), err=True)
    result = bench.backtest(strategy, list(symbols), **asked, **own)
    click.echo(result.to_json() if as_json else repr(result))
    if report:
        click.echo(str(result.report(report)), err=as_json)


@click.command()
@click.argument("strategy")
@click.argument("symbols", nargs=-1, required=True)
@grid_option
@click.option("--statistic", default="sharpe", show_default=True, help="What to rank by.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="How many points to print.")
@with_options(TERMS, SPAN)
def sweep(
    strategy: str,
    symbols: tuple[str, ...],
    grid: Iterable[tuple[str, str]],
    statistic: str,
    top: int,
    as_json: bool,
    **asked: Any,
) -> None:
    """Run STRATEGY on SYMBOLS over a grid of parameters and print the best points."""
    from workbench.backtest.statistics import NAMES, best_end
    from workbench.core.errors import UnknownNameError

    if statistic not in NAMES:
        raise UnknownNameError("statistic", statistic, NAMES)
    found = open_bench().sweep(strategy, list(symbols), progress=not as_json, **asked, **_axes(grid, asked))
    ranked = found.to_dataframe().dropna(subset=[statistic])
    table = ranked.sort_values(statistic, ascending=best_end(statistic) == "lowest").head(top)
    if as_json:
        click.echo(table.reset_index().to_json(orient="records", indent=2))
        return
    columns = list(dict.fromkeys([statistic, "total_return", "max_drawdown", "trades"]))
    click.echo(table[columns].to_string(float_format="{:.4g}".format))


@click.command()
@click.argument("strategy")
@click.argument("symbols", nargs=-1, required=True)
@grid_option
@with_options(TERMS, SPAN)
def validate(
    strategy: str, symbols: tuple[str, ...], grid: Iterable[tuple[str, str]], as_json: bool, **asked: Any
) -> None:
    """Say whether the best of a grid is skill or luck."""
    found = open_bench().validate(strategy, list(symbols), progress=not as_json, **asked, **_axes(grid, asked))
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else repr(found))


@click.command()
@click.argument("symbols", nargs=-1, required=True)
@click.option("--strategy", "strategies", multiple=True, help="A strategy; all that fit by default.")
@with_options(SPAN)
def signals(symbols: tuple[str, ...], strategies: tuple[str, ...], as_json: bool, **span: Any) -> None:
    """Print what strategies say of SYMBOLS at the last close, and on which day that was."""
    table = open_bench().signals(list(symbols), list(strategies) or None, **span)
    if as_json:
        click.echo(table.to_json(orient="records", date_format="iso", indent=2))
        return
    table["date"] = table["time"].dt.strftime("%Y-%m-%d")
    columns = ["date", "symbol", "strategy", "state", "strength", "reason"]
    click.echo(table[columns].to_string(index=False, float_format="{:+.2f}".format, na_rep="-"))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def trials(as_json: bool) -> None:
    """List how often each idea was tried.

    The columns that end in _t are of t-statistics: the Sharpe ratio per bar times the square root of its bars.
    """
    table = open_bench().trials.table()
    if as_json:
        click.echo(table.to_json(orient="records", date_format="iso", indent=2))
        return
    if table.empty:
        click.echo("no trials yet")
        return
    click.echo(table.to_string(index=False, float_format="{:.4g}".format))
    click.echo("_t: of the t-statistics, the Sharpe ratio per bar times the square root of its bars")


@click.command()
@click.argument("name", required=False)
def strategies(name: str | None) -> None:
    """List the strategies with their defaults, or the parameters of the strategy NAME with their ranges."""
    from workbench.backtest.strategy import find_strategy

    if name is not None:
        found = find_strategy(name)
        click.echo(f"{found.description}\n{found.table().to_string()}")
        return
    for each, strategy in open_bench().strategies().items():
        chosen = ", ".join(f"{key}={value}" for key, value in strategy.validate({}).items())
        click.echo(f"{each}({chosen})\n    {strategy.description}")


def _axes(grid: Iterable[tuple[str, str]], options: Collection[str]) -> dict[str, Any]:
    return {name: values(name, text) for name, text in named(grid, options).items()}
