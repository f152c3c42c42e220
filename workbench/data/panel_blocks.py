"""Panels that are larger than memory: read from the store and written to Zarr one block of symbols at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from workbench.core.calendar import Moment
from workbench.core.clock import Clock, utc_now
from workbench.core.errors import DateRangeError, StoreError
from workbench.core.market import FIELDS, Adjustment
from workbench.data.panel import chunk_sizes, encoding, open_panel, panel_name, place


class BarReader(Protocol):
    """What Bars are read from; ``workbench.data.market.MarketData`` is one."""

    def symbols(self, dataset: str) -> list[str]:
        """Return the symbols of a dataset, sorted."""
        ...

    def bars(
        self,
        symbols: Sequence[str] | str | None,
        start: Moment | None,
        end: Moment | None,
        *,
        dataset: str,
        adjust: Adjustment,
        as_of: Moment | None = None,
    ) -> xr.Dataset:
        """Return Bars."""
        ...


class _ChangedError(Exception):
    """The dataset got another version while its blocks were read."""


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of the reader, block by block; ``lenient`` where symbols without bars are left out."""

    reader: BarReader
    start: Moment | None
    end: Moment | None
    dataset: str
    adjust: Adjustment
    as_of: Moment | None
    lenient: bool

    def bars(self, block: Sequence[str]) -> xr.Dataset | None:
        try:
            return self.reader.bars(
                block, self.start, self.end, dataset=self.dataset, adjust=self.adjust, as_of=self.as_of
            )
        except DateRangeError:
            if not self.lenient:
                raise
        if len(block) == 1:
            return None
        found = [bars for symbol in block if (bars := self.bars([symbol])) is not None]
        if not found:
            return None
        together = xr.concat(found, "symbol", join="outer", combine_attrs="override")
        return together.assign_attrs(_together([bars.attrs for bars in found]))

    def bars_of(self, version: str, block: Sequence[str]) -> xr.Dataset | None:
        """Return the Bars of a block if the dataset still has this version, or is asked as of a moment."""
        bars = self.bars(block)
        if bars is not None and bars.attrs["version"] != version and self.as_of is None:
            raise _ChangedError
        return bars


def panel(
    reader: BarReader,
    symbols: Sequence[str] | str | None,
    start: Moment | None,
    end: Moment | None,
    *,
    dataset: str,
    adjust: Adjustment,
    as_of: Moment | None,
    folder: Path,
    chunks: Mapping[str, int] | None = None,
    clock: Clock = utc_now,
) -> xr.Dataset:
    """Return a lazy panel of any size: its Bars are read and written one block of symbols at a time.

    A block has as many symbols as a chunk, and the blocks are read twice: for the times that all of them span, and for
    their fields. They are all of one version: where the dataset changes in between, the panel is made anew as of the
    present moment. A panel that lies in ``folder`` already is not made again.

    Parameters
    ----------
    reader : BarReader
        ``MarketData``.
    symbols, start, end, dataset, adjust, as_of
        As ``MarketData.bars`` takes them.
    folder : Path
        Where panels lie.
    chunks : mapping of str to int, optional
        Bars and symbols in a chunk.
    clock : callable

    Returns
    -------
    xarray.Dataset
        Equal to ``reader.bars(...)`` of the same arguments, with Dask arrays.

    Raises
    ------
    StoreError
        If the panel cannot be written or read.
    InputError
        As ``MarketData.bars`` does.
    """
    named = [symbols] if isinstance(symbols, str) else symbols
    wanted = list(dict.fromkeys(named)) if named is not None else reader.symbols(dataset)
    question = _Question(reader, start, end, dataset, adjust, as_of, lenient=symbols is None)
    try:
        return open_panel(_write(question, wanted, folder, chunks))
    except _ChangedError:
        question = replace(question, as_of=clock())
    try:
        return open_panel(_write(question, wanted, folder, chunks))
    except _ChangedError as error:
        raise StoreError(f"dataset {dataset!r} changed while its panel was written; give an earlier as_of") from error


def _write(question: _Question, wanted: list[str], folder: Path, chunks: Mapping[str, int] | None) -> Path:
    size = chunk_sizes({"symbol": len(wanted)}, chunks)["symbol"]
    blocks = [wanted[first : first + size] for first in range(0, len(wanted), size)] or [wanted]
    first = next((bars for block in blocks if (bars := question.bars(block)) is not None), None)
    if first is None:
        raise DateRangeError(f"no symbol of dataset {question.dataset!r} has bars in this range; choose another one")
    known = "latest" if question.as_of is None else str(question.as_of)
    path = folder / panel_name(first.attrs, known, [question.start, question.end, question.lenient, *wanted])

    def fill(beside: Path) -> None:
        found, times, attrs = [], first.indexes["time"][:0], first.attrs
        for block in blocks:
            bars = question.bars_of(first.attrs["version"], block)
            if bars is not None:
                found.append(_names(bars))
                times, attrs = times.union(bars.indexes["time"]), _together([attrs, bars.attrs])
        symbols = [symbol for block in found for symbol in block]
        sizes = chunk_sizes({"time": len(times), "symbol": len(symbols)}, chunks)
        _write_empty(beside, times, symbols, attrs, sizes)
        _write_fields(beside, question, found, times, attrs["version"])

    return place(path, fill)


def _write_empty(
    beside: Path, times: pd.Index, symbols: Sequence[str], attrs: Mapping[str, Any], sizes: Mapping[str, int]
) -> None:
    """Write the axes and the attributes, and what says that there are fields."""
    import dask.array

    shape = (len(times), len(symbols))
    nothing = dask.array.full(shape, np.nan, chunks=(sizes["time"], sizes["symbol"]))  # type: ignore[no-untyped-call]
    coords = {"time": times.to_numpy(dtype="datetime64[ns]"), "symbol": np.asarray(symbols, dtype=object)}
    whole = xr.Dataset(dict.fromkeys(FIELDS, (("time", "symbol"), nothing)), coords=coords, attrs=dict(attrs))
    whole.to_zarr(beside, mode="w-", zarr_format=2, consolidated=True, encoding=encoding(sizes), compute=False)


def _write_fields(
    beside: Path, question: _Question, blocks: Sequence[list[str]], times: pd.Index, version: str
) -> None:
    first = 0
    for block in blocks:
        bars = question.bars_of(version, block)
        if bars is None or _names(bars) != block:
            raise _ChangedError
        fields = bars[list(FIELDS)].reindex(time=times).drop_vars(["time", "symbol"])
        fields.to_zarr(beside, region={"time": slice(0, len(times)), "symbol": slice(first, first + len(block))})
        first += len(block)


def _names(bars: xr.Dataset) -> list[str]:
    return [str(symbol) for symbol in bars["symbol"].to_numpy()]


def _together(attrs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the attributes of Bars that belong together: known as of the latest of their moments."""
    return {**attrs[0], "as_of": max((each["as_of"] for each in attrs), key=pd.Timestamp)}
