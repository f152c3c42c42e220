"""TA-Lib's functions on Bars, one at a time or many in a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

import numpy as np
import xarray as xr

from workbench.analytics.indicators.panel import Panel, over_symbols
from workbench.analytics.indicators.planning import Given, Plan, plan
from workbench.analytics.indicators.reference import describe, function_of, names
from workbench.core.errors import ParameterError
from workbench.core.machine import cores


def compute(name: str, bars: xr.Dataset, **given: Given) -> xr.Dataset:
    """Return one of TA-Lib's functions on all symbols, each on its own bars.

    A symbol's own bars are those at which everything that the function reads has a value. The result is NaN at all
    others, and until the function has seen enough bars; a value uses its own bar and those before it.

    Parameters
    ----------
    name : str
        One of ``names()``, such as ``"ADX"``.
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    **given
        The function's parameters (see ``describe``), the others at their defaults; a kind of moving average by its
        number or its name. Where the function reads any series, also what it is: ``field="close"`` for one,
        ``first="high"`` and ``second="low"`` for two (``BETA``, ``CORREL``, ``ADD``, ...), ``periods`` for ``MAVP``,
        which has no default. Each is a field of the bars, or a DataArray with the times of the bars, their symbols,
        or both.

    Returns
    -------
    xarray.Dataset
        One float64 variable over ``(time, symbol)`` for each of the function's outputs, in the order of
        ``describe(name).outputs``; an output without a name of its own has the function's in small letters. Whole
        numbers are given as float64 too, NaN where not known. Where TA-Lib divides by zero, a value may be infinite.
        In memory a symbol's values lie side by side.

    Raises
    ------
    UnknownNameError
        For an unknown function, with the nearest names.
    ParameterError
        For a parameter that the function does not have, or that is out of its range.
    InputError
        If the source of the bars lacks a field that the function reads.
    """
    return _run(plan(name, given), Panel(bars))()


def compute_many(
    bars: xr.Dataset,
    chosen: Iterable[str] | None = None,
    parameters: Mapping[str, Mapping[str, Given]] | None = None,
    *,
    workers: int | None = None,
    progress: bool = False,
) -> Iterator[tuple[str, xr.Dataset]]:
    """Stream functions over all symbols: each is handed over as soon as it is there and is then forgotten.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    chosen : iterable of str, optional
        Names of functions; by default all for which the bars have what they read (``MAVP`` only with its periods).
    parameters : mapping of str to mapping, optional
        For a function's name, what ``compute`` would be given.
    workers : int, optional
        Threads, by default one for each core (TA-Lib computes outside of Python's lock). Besides the result handed
        over, at most ``workers + 1`` others are in memory.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    iterator of (str, xarray.Dataset)
        In the order in which they are done. It may be left or interrupted at any time.

    Raises
    ------
    UnknownNameError, ParameterError, InputError
        As ``compute``, before anything is computed.
    """
    threads = cores() if workers is None else workers
    if threads < 1:
        raise ParameterError(f"workers={workers} cannot compute anything; give at least 1")
    given = {name.upper(): dict(own) for name, own in (parameters or {}).items()}
    wanted = _computable(bars, given) if chosen is None else list(chosen)
    plans = [plan(name, given.get(name.upper(), {})) for name in wanted]
    strangers = set(given) - {one.about.name for one in plans}
    if strangers:
        raise ParameterError(
            f"parameters are given for {', '.join(sorted(strangers))}, which is not computed; add it to the names"
        )
    panel = Panel(bars)
    for one in plans:
        panel.rows(one.inputs, one.about.name)
    return _stream(plans, panel, threads, progress)


def _computable(bars: xr.Dataset, given: Mapping[str, Mapping[str, Given]]) -> list[str]:
    has = set(bars.attrs["fields"])
    found = []
    for name in names():
        about = describe(name)
        own = given.get(name, {})
        choosable = {free: own.get(free, default) for free, default in about.choosable.items()}
        reads = {field for field in (*about.inputs, *choosable.values()) if isinstance(field, str)}
        if reads <= has and all(values is not None for values in choosable.values()):
            found.append(name)
    return found


def _stream(plans: list[Plan], panel: Panel, threads: int, progress: bool) -> Iterator[tuple[str, xr.Dataset]]:
    from tqdm.auto import tqdm

    left = iter(plans)
    running: dict[Future[xr.Dataset], str] = {}
    pool = ThreadPoolExecutor(threads, thread_name_prefix="indicators")
    with tqdm(total=len(plans), desc="indicators", unit="function", disable=not progress) as bar:
        try:
            while True:
                for one in islice(left, threads + 1 - len(running)):
                    running[pool.submit(_run(one, panel))] = one.about.name
                if not running:
                    return
                wait(running, return_when=FIRST_COMPLETED)
                bar.update()
                yield _taken_out(running)
        finally:
            pool.shutdown(cancel_futures=True)


def _taken_out(running: dict[Future[xr.Dataset], str]) -> tuple[str, xr.Dataset]:
    """Return a result that is there; nothing but the caller holds on to it then."""
    future = next(future for future in running if future.done())
    return running.pop(future), future.result()


def _run(chosen: Plan, panel: Panel) -> Callable[[], xr.Dataset]:
    """Return the computation, with its inputs laid out."""
    name = chosen.about.name
    rows = panel.rows(chosen.inputs, name)
    own = panel.own(chosen.inputs, rows)
    function, numbers = function_of(name), list(chosen.numbers.values())

    def apply(*series: np.ndarray) -> Any:
        return function(*series, *numbers)

    return lambda: over_symbols(panel, rows, own, chosen.about.outputs, apply, chosen.head)
