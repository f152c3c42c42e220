"""The tear sheet: a backtest on one HTML page that needs no other file and no other host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.backtest.figures import NOTHING, figure, plain, words
from workbench.backtest.statistics import returns_of
from workbench.backtest.tearsheet.parts import (
    MONTHS,
    cost_rows,
    monthly_returns,
    rolling_sharpe,
    rolling_volatility,
    terms_line,
    trade_rows,
)
from workbench.core.calendar import WITHIN_SESSION, periods_per_year
from workbench.core.code_hash import code_hash
from workbench.core.errors import InputError, StoreError
from workbench.core.files import replace_file
from workbench.risk.measures import drawdowns

if TYPE_CHECKING:
    from workbench.backtest.result import BacktestResult

TRADES = 50
"""How many trades are listed."""
TILES = ("total_return", "annual_return", "sharpe", "max_drawdown", "volatility", "trades")
_FEW = 20
"""Returns without which a distribution is no picture."""


def report(result: BacktestResult, path: str | Path | None = None, *, validation: Any = None) -> Path:
    """Write a backtest's tear sheet.

    Parameters
    ----------
    result : BacktestResult
    path : str or Path, optional
        The file, or an existing folder to put it in; the present folder where ``None``. A file that is there is
        replaced in one step.
    validation : object or sequence of objects, optional
        What was found about the strategy elsewhere and can show itself in a notebook, such as a ``Validation`` or a
        ``WalkForward``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    place = Path(path) if path is not None else Path()
    if place.is_dir():
        place = place / f"{_slug(result)}.html"
    page = report_html(result, validation=validation)
    try:
        return replace_file(place, page)
    except OSError as error:
        raise StoreError(f"cannot write {place} ({error.strerror}); give a path in a folder that exists") from error


def report_html(result: BacktestResult, *, validation: Any = None) -> str:
    """Return a backtest's tear sheet as HTML; see ``report``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from workbench.charts.notebook import bokehjs_html
    from workbench.charts.standalone import embed

    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["figure"] = lambda value, name: figure(name, value)
    figures, even = _pictures(result)
    script, places = embed(figures)
    context = {
        "heading": _heading(result),
        "tiles": [(words(name), figure(name, result.statistics[name])) for name in TILES],
        "figures": _statistics(result),
        "relative": [(words(name), figure(name, value)) for name, value in result.relative.items()],
        "even": even,
        "months": MONTHS,
        "monthly": _monthly(result),
        "window": _window(result),
        "costs": _costs(result),
        "currency": result.bars.attrs["currency"],
        "trades": trade_rows(result.trades, TRADES, daily=_is_daily(result)),
        "trade_count": len(result.trades),
        "open_count": int((result.trades["status"] == "open").sum()),
        "signals": _signals(result),
        "validation": _validation(result, validation),
        "provenance": _provenance(result),
        "bokehjs": bokehjs_html(),
        "script": script,
        "places": places,
    }
    return environment.get_template("page.html").render(context)


def _heading(result: BacktestResult) -> dict[str, str]:
    times = result.equity.index
    chosen = ", ".join(f"{name} {plain(value)}" for name, value in result.parameters.items())
    return {
        "strategy": result.strategy,
        "description": result.rule.description,
        "parameters": chosen,
        "symbols": ", ".join(result.symbols),
        "span": f"{times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}",
        "bars": f"{len(times):,} bar{'' if len(times) == 1 else 's'}",
        "terms": terms_line(result.terms, result.bars.attrs["currency"]),
        "trial": str(result.trial) if result.trial else "",
        "benchmark": result.benchmark_name,
        "made": f"{result.provenance.created:%Y-%m-%d %H:%M UTC}",
    }


def _pictures(result: BacktestResult) -> tuple[dict[str, Any], bool]:
    """Return the pictures that have something to show, and whether the scale of equity is even."""
    if len(result.equity) < 2:
        return {}, True
    from workbench.charts.tearsheet import distribution_picture, growth_picture, rolling_picture

    names = (result.strategy, result.benchmark_name if result.benchmark_name != result.strategy else "benchmark")
    equity = dict(zip(names, (result.equity, result.benchmark_equity), strict=True))
    returns = {name: returns_of(values, result.terms.cash) for name, values in equity.items()}
    depths = {name: pd.Series(drawdowns(values), index=values.index) for name, values in returns.items()}
    growth, even = growth_picture(equity, depths, result.bars.attrs["currency"])
    figures: dict[str, Any] = {"growth": growth}
    window, periods = _window(result), _periods(result)
    if window:
        sharpes = {name: rolling_sharpe(values, window, periods) for name, values in returns.items()}
        if any(values.notna().any() for values in sharpes.values()):
            spreads = {name: rolling_volatility(values, window, periods) for name, values in returns.items()}
            figures["rolling"] = rolling_picture(sharpes, spreads)
    moved = result.returns[result.returns != 0]
    if len(moved) >= _FEW and moved.min() < moved.max():
        figures["distribution"] = distribution_picture(result.returns)
    return figures, even


def _window(result: BacktestResult) -> int | None:
    """Return the bars of a year, for figures over a window that moves; ``None`` for less than a year and a bit."""
    window = round(_periods(result))
    return window if len(result.equity) > window + 20 else None


def _periods(result: BacktestResult) -> float:
    return periods_per_year(result.bars.attrs["interval"], result.bars.attrs["calendar"])


def _is_daily(result: BacktestResult) -> bool:
    return result.bars.attrs["interval"] not in WITHIN_SESSION


def _statistics(result: BacktestResult) -> list[tuple[str, str, str]]:
    return [
        (words(name), figure(name, value), figure(name, result.benchmark[name]))
        for name, value in result.statistics.items()
    ]


def _monthly(result: BacktestResult) -> list[dict[str, Any]]:
    """Return a row for each year: its months and total as text, each with how deep its colour is, -1 to 1."""
    table = monthly_returns(result.returns)
    months = table.drop(columns="year")
    # A month among the largest is fully coloured; one outlier does not pale the others.
    scale = float(np.nanquantile(np.abs(months.to_numpy()), 0.95)) or 1.0
    widest = float(np.nanmax(np.abs(table["year"].to_numpy()))) or 1.0
    return [
        {
            "year": year,
            "months": [_cell(value, scale) for value in months.loc[year]],
            "total": _cell(table.loc[year, "year"], widest),
        }
        for year in table.index
    ]


def _cell(value: float, scale: float) -> dict[str, Any]:
    if np.isnan(value):
        return {"text": "", "side": "", "depth": 0}
    depth = round(70 * min(abs(value) / scale, 1.0))
    return {"text": f"{100 * value:z.1f}", "side": "up" if value > 0 else "down", "depth": depth}


def _costs(result: BacktestResult) -> list[tuple[str, str, str, str]]:
    return [
        (name, f"{money:,.0f}", f"{100 * of_cash:.2f} %", NOTHING if np.isnan(of_gain) else f"{100 * of_gain:.1f} %")
        for name, money, of_cash, of_gain in cost_rows(result)
    ]


def _signals(result: BacktestResult) -> list[dict[str, str]]:
    """Return what the rule says at each symbol's last bar."""
    from workbench.analytics.signals import latest

    table = latest(result.signals).reset_index()
    return [
        {
            "symbol": str(row["symbol"]),
            "state": str(row["state"]),
            "since": NOTHING if pd.isna(row["since"]) else f"{row['since']:%Y-%m-%d}",
            "strength": NOTHING if pd.isna(row["strength"]) else f"{row['strength']:+.2f}",
            "reason": str(row["reason"]),
        }
        for row in table.to_dict("records")
    ]


def _validation(result: BacktestResult, given: Any) -> list[tuple[str, str]]:
    """Return what is known about luck, as text and HTML: the trial, an interval, and what was given."""
    rows: list[tuple[str, Any]] = []
    if result.trial:
        rows.append(("trial", str(result.trial)))
    interval = _interval(result)
    if interval:
        rows.append(("Sharpe ratio", interval))
    parts: Sequence[Any] = given if isinstance(given, list | tuple) else [] if given is None else [given]
    return [*rows, *((_title(part), _shown(part)) for part in parts)]


def _interval(result: BacktestResult) -> str:
    from workbench.backtest.validation.bootstrap import bootstrap_interval

    try:
        found = bootstrap_interval(result.returns.to_numpy(), "sharpe", periods=_periods(result))
    except InputError:  # too few returns, or none that vary
        return ""
    return (
        f"{found.estimate:.2f}; {found.confidence:.0%} of {found.n_resamples:,} stationary-bootstrap resamples lie "
        f"from {found.low:.2f} to {found.high:.2f}"
    )


def _shown(part: Any) -> Any:
    """Return what an object shows of itself in a notebook; anything else is text, and escaped."""
    from markupsafe import Markup

    if isinstance(part, pd.DataFrame):
        return Markup(part.to_html(border=0, float_format=lambda value: f"{value:.4g}"))  # noqa: S704 - escapes
    shown = getattr(part, "_repr_html_", None)
    return Markup(shown()) if callable(shown) else str(part)  # noqa: S704 - as Jupyter does


def _title(part: Any) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(part).__name__).lower() if not isinstance(part, str) else "note"


def _provenance(result: BacktestResult) -> list[tuple[str, list[tuple[str, str]]]]:
    story = result.provenance
    data = [(words(name), plain(value)) for name, value in story.data.items() if not isinstance(value, Mapping)]
    chosen = [(words(name), plain(value)) for name, value in story.parameters.items()]
    code = [
        ("workbench", story.code),
        ("rule", code_hash(result.rule.rule) or "cannot be read"),
        ("made", plain(story.created)),
    ]
    return [("data", data), ("parameters", chosen), ("code", [*code, *story.libraries.items()])]


def _slug(result: BacktestResult) -> str:
    """Return a name for the file: the strategy, up to three symbols, and the last day."""
    names = [result.strategy, *result.symbols[:3], f"{result.equity.index[-1]:%Y-%m-%d}"]
    return re.sub(r"[^\w.-]+", "-", "-".join(names)).strip("-.")
