"""``workbench data …``: datasets, what they hold, and where they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.parsing import open_bench
from workbench.core.errors import ProviderError
from workbench.core.pairs import named

if TYPE_CHECKING:
    import pandas as pd

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
dataset_option = click.option("--dataset", help="The dataset; the settings' one by default.")


@click.group()
def data() -> None:
    """Datasets: find, fetch, check and compare them."""


@data.command("list")
@click.option("--catalog", type=click.Path(path_type=Path), help="A catalog file, instead of the installed ones.")
@as_json_option
def list_datasets(catalog: Path | None, as_json: bool) -> None:
    """List the datasets of the catalog."""
    from workbench.data.catalog import load_catalog

    _print_catalog((load_catalog(catalog) if catalog else open_bench().catalog).table(), as_json)


@data.command("search")
@click.argument("text", default="")
@click.option("--interval", help="Such as 1d, 1h, 1m, 1q.")
@click.option("--asset-class", help="Such as equity, index, macro.")
@click.option("--licence", help="A part of the licence's name.")
@click.option("--kind", help="bars, series or feed.")
@as_json_option
def search(text: str, as_json: bool, **wanted: Any) -> None:
    """List the datasets whose name, description, source or licence has TEXT."""
    _print_catalog(open_bench().catalog.search(text, **wanted).table(), as_json)


@data.command("providers")
@as_json_option
def providers(as_json: bool) -> None:
    """List the providers: what each offers, and whether its key is there."""
    from workbench.data.providers.opening import provider_table

    table = provider_table(open_bench().settings)
    if as_json:
        click.echo(table.to_json(orient="index", indent=2))
        return
    for name, row in table.iterrows():
        key = {"": "", "missing": "   (its key is missing)", "there": "   (its key is there)"}[row["key"]]
        click.echo(f"{name:<14} {row['offers']}{key}\n{'':<15}{row['description']}; {row['licence']}")


@data.command("lookup")
@click.argument("provider")
@click.argument("text")
@as_json_option
def lookup(provider: str, text: str, as_json: bool) -> None:
    """Ask PROVIDER for symbols that match TEXT."""
    _print_table(open_bench().market.provider(provider).search(text), as_json)


@data.command("load")
@click.argument("dataset")
@as_json_option
def load(dataset: str, as_json: bool) -> None:
    """Read a dataset again; rows that are stored already are left alone."""
    written = open_bench().market.load(dataset)
    if as_json:
        counts = {"bars": written.bars, "actions": written.actions, "quarantined": written.quarantined}
        click.echo(json.dumps({"dataset": dataset, **counts}))
        return
    click.echo(
        f"{dataset}: {written.bars} bars and {written.actions} actions added, {written.quarantined} rows kept out"
    )


@data.command("fetch")
@click.argument("provider")
@click.argument("symbols", nargs=-1)
@click.option("--start", help="First day; ten years back (1d), 60 days (1h) or 5 days (1m) by default.")
@click.option("--end", help="Last day, included; the last session that has ended by default.")
@click.option("--interval", default="1d", show_default=True, metavar="[1d|1h|1m]", help="The length of a bar.")
@click.option("--universe", help="A file of symbols, or a universe by its name.")
@click.option("--dataset", help="Where to; PROVIDER_INTERVAL by default.")
@click.option("--again", is_flag=True, help="Ask for everything anew, to learn what was restated.")
@as_json_option
def fetch(provider: str, symbols: tuple[str, ...], universe: str | None, as_json: bool, **options: Any) -> None:
    """Bring the sessions of SYMBOLS that are missing from PROVIDER into the store.

    Ends with 1 unless everything that was asked for has arrived; what has arrived is kept.
    """
    bench = open_bench()
    asked = [*symbols, *(bench.market.universes.symbols(universe) if universe else [])]
    done = bench.market.fetch(provider, asked, progress=not as_json, **options)
    if as_json:
        click.echo(json.dumps(done.to_dict(), indent=2))
    else:
        for each in done.arrivals:
            told = each.error or (f"{each.missing} sessions still to come" if each.missing else f"{each.bars} bars")
            click.echo(f"{each.symbol:<10} {each.state:<11} {told if each.state != 'up to date' else ''}".rstrip())
        click.echo(f"{done.dataset}: {done.added} bars added, {done.quarantined} rows kept out")
    if not done.complete:
        raise click.exceptions.Exit(1)


@data.command("quote")
@click.argument("provider")
@click.argument("symbols", nargs=-1, required=True)
@as_json_option
def quote(provider: str, symbols: tuple[str, ...], as_json: bool) -> None:
    """Ask PROVIDER for the latest price of SYMBOLS."""
    found = open_bench().market.quotes(provider, symbols)
    _print_table(found.reset_index(), as_json)
    lacking = [symbol for symbol in symbols if symbol not in found.index]
    if lacking:
        raise ProviderError(f"{provider} has no quote of {', '.join(lacking)}; look them up: workbench data lookup")


@data.command("symbols")
@click.argument("dataset", required=False)
@as_json_option
def symbols(dataset: str | None, as_json: bool) -> None:
    """List the symbols of a dataset."""
    found = open_bench().symbols(dataset)
    click.echo(json.dumps(found) if as_json else "\n".join(found))


@data.command("check")
@click.argument("dataset", required=False)
@click.argument("symbols", nargs=-1)
@as_json_option
def check(dataset: str | None, symbols: tuple[str, ...], as_json: bool) -> None:
    """Look over DATASET: missing sessions, jumps, stale runs, bars without volume, rows that were kept out."""
    bench = open_bench()
    found = bench.market.review.check(dataset or bench.settings.dataset, list(symbols) or None)
    _print_table(found, as_json, empty="nothing odd")


@data.command("quarantine")
@click.argument("dataset")
@click.option(
    "--state", default="open", show_default=True, metavar="[open|accepted|fixed|replaced]", help="What became of them."
)
@as_json_option
def quarantine(dataset: str, state: Any, as_json: bool) -> None:
    """List the rows of DATASET that were kept out, with the reason."""
    rows = open_bench().market.review.quarantine(dataset).rows(state)
    _print_table(rows.drop(columns=["session", "learned_at"]).reset_index(), as_json, empty="no rows")


@data.command("accept")
@click.argument("dataset")
@click.argument("ids", nargs=-1, required=True)
def accept(dataset: str, ids: tuple[str, ...]) -> None:
    """Store rows of the quarantine as they are."""
    added = open_bench().market.review.quarantine(dataset).accept(list(ids))
    click.echo(f"{dataset}: {added} bars added")


@data.command("fix")
@click.argument("dataset")
@click.argument("identity", metavar="ID")
@click.option(
    "-p", "values", nargs=2, multiple=True, required=True, metavar="FIELD VALUE", help="Such as: -p close 12.5"
)
def fix(dataset: str, identity: str, values: tuple[tuple[str, str], ...]) -> None:
    """Store a row of the quarantine with other values."""
    added = open_bench().market.review.quarantine(dataset).fix(identity, named(values))
    click.echo(f"{dataset}: {added} bars added")


@data.command("reconcile")
@click.argument("one")
@click.argument("other")
@click.argument("symbols", nargs=-1)
@click.option("--tolerance", default=1e-4, show_default=True, type=float, help="Relative difference that is none.")
@as_json_option
def reconcile(one: str, other: str, symbols: tuple[str, ...], tolerance: float, as_json: bool) -> None:
    """Compare two datasets; a symbol that they name differently is written ONE:OTHER."""
    _print_table(open_bench().market.review.reconcile(one, other, list(symbols), tolerance=tolerance), as_json)


@data.command("revisions")
@click.argument("symbol")
@dataset_option
@as_json_option
def revisions(symbol: str, dataset: str | None, as_json: bool) -> None:
    """List what has changed of SYMBOL, and when it was learned."""
    _print_table(open_bench().revisions(symbol, dataset), as_json, empty="nothing was restated")


@data.command("impact")
@dataset_option
@as_json_option
def impact(dataset: str | None, as_json: bool) -> None:
    """List the runs and results that used rows which were restated since."""
    _print_table(open_bench().impact(dataset), as_json, empty="no result is touched")


@data.group()
def universe() -> None:
    """Universes: who was a member of an index, and when."""


@universe.command("load")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
def universe_load(name: str, path: Path) -> None:
    """Read the memberships of universe NAME from a CSV file: symbol, start, end."""
    loaded = open_bench().market.universes.load(name, path)
    told = f"{loaded.memberships} memberships, {loaded.changed} of them new or changed, {loaded.withdrawn} withdrawn"
    click.echo(f"{name}: {told}")


@universe.command("show")
@click.argument("name")
@click.option("--as-of", help="The day; today by default.")
@click.option("--known", help="Answer with the edition that was the newest then.")
@as_json_option
def universe_show(name: str, as_of: str | None, known: str | None, as_json: bool) -> None:
    """List the members of universe NAME on a day."""
    found = open_bench().universe(name, as_of=as_of, known=known)
    click.echo(json.dumps(found) if as_json else "\n".join(found))


def _print_catalog(table: pd.DataFrame, as_json: bool) -> None:
    if as_json:
        click.echo(table.to_json(orient="index", indent=2))
        return
    width = max((len(str(name)) for name in table.index), default=0)
    for name, row in table.iterrows():
        click.echo(f"{name:<{width}} {row['kind']:<6} {row['interval']:<5} {row['fields']}")
        click.echo(f"{'':<{width}} {row['description']}")


def _print_table(table: pd.DataFrame, as_json: bool, empty: str = "nothing found") -> None:
    if as_json:
        click.echo(table.to_json(orient="records", date_format="iso", indent=2))
    elif table.empty:
        click.echo(empty)
    else:
        click.echo(table.to_string(index=False, float_format="{:.6g}".format))
