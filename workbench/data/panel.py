"""Panels: Bars on disk as a Zarr group, read lazily with Dask.

A panel is named by what determines its content, is written beside its place and renamed into it: it is there whole or
not at all, and it is never out of date. The format is Zarr 2, whose specification has consolidated metadata and texts.
Panels that are larger than memory are written by ``workbench.data.panel_blocks``.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import xarray as xr

from workbench.core.errors import StoreError
from workbench.core.market import FIELDS

CHUNKS: Mapping[str, int] = {"time": 16_384, "symbol": 64}
"""Bars and symbols in a chunk where nothing else is asked: 8 MiB of one field."""

ABANDONED = 86_400.0
"""Seconds after which a panel that is still being written is taken for one whose writer was killed."""


def write_panel(bars: xr.Dataset, folder: Path, chunks: Mapping[str, int] | None = None) -> Path:
    """Write Bars into a folder, unless they are there already.

    Parameters
    ----------
    bars : xarray.Dataset
        Shape (n_bars, n_symbols).
    folder : Path
        Made if need be.
    chunks : mapping of str to int, optional
        Bars (``time``) and symbols (``symbol``) in a chunk.

    Returns
    -------
    Path
        The panel, ``<dataset>@<version>-<adjustment>-<as_of>-<digest>.zarr``.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    span = [str(stamp) for stamp in bars["time"].to_numpy()[[0, -1]]] if bars.sizes["time"] else []
    path = folder / panel_name(bars.attrs, bars.attrs["as_of"], [*span, *map(str, bars["symbol"].to_numpy())])

    def fill(beside: Path) -> None:
        sizes = chunk_sizes(bars.sizes, chunks)
        bars.chunk(sizes).to_zarr(beside, mode="w-", zarr_format=2, consolidated=True, encoding=encoding(sizes))

    return place(path, fill)


def open_panel(path: Path, chunks: Mapping[str, int] | None = None) -> xr.Dataset:
    """Return a panel as Bars whose fields are Dask arrays, read when they are computed.

    Parameters
    ----------
    path : Path
        As ``write_panel`` returned it.
    chunks : mapping of str to int, optional
        Bars and symbols in a Dask chunk; as written where ``None``.

    Raises
    ------
    StoreError
        If there is no panel, or a damaged one.
    """
    try:
        panel = xr.open_zarr(path, chunks=dict(chunks or {}), consolidated=True)
        symbols = panel["symbol"].to_numpy().astype(object)
        attrs = {name: tuple(value) if isinstance(value, list) else value for name, value in panel.attrs.items()}
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(f"panel {path} cannot be read ({_brief(error)}); remove it and write it again") from error
    bars: xr.Dataset = panel.assign_coords(symbol=symbols).assign_attrs(attrs)
    return bars


def chunk_sizes(sizes: Mapping[Any, int], chunks: Mapping[str, int] | None) -> dict[str, int]:
    """Return the sizes of a chunk, no larger than the panel."""
    chosen = {**CHUNKS, **(chunks or {})}
    return {name: max(1, min(chosen[name], size)) for name, size in sizes.items()}


def encoding(sizes: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Return how xarray writes the variables."""
    fields: dict[str, dict[str, Any]] = {name: {"chunks": (sizes["time"], sizes["symbol"])} for name in FIELDS}
    # The default unit of xarray would lose the nanoseconds.
    return {**fields, "time": {"units": "nanoseconds since 1970-01-01", "dtype": "int64"}}


def panel_name(attrs: Mapping[str, Any], known: str, parts: Sequence[Any]) -> str:
    """Return the name of a panel: version, adjustment and ``as_of`` to read, and a digest of all that matters."""
    told = f"{attrs['version']}-{attrs['adjustment']}-{known}"
    digest = sha256(repr([attrs["dataset"], told, *map(str, parts)]).encode()).hexdigest()[:16]
    return f"{re.sub(r'[^A-Za-z0-9_.@-]+', '', told)[:120]}-{digest}.zarr"


def place(path: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a folder beside ``path`` and rename it; of two writers the first one's stays, both have the same."""
    if path.exists():
        return path
    try:
        with _beside(path) as folder:
            fill(folder)
            _to_disk(folder)
            try:
                folder.rename(path)
            except OSError:
                if not path.exists():
                    raise
    except OSError as error:
        raise StoreError(f"cannot write panel {path} ({_brief(error)}); check the disk and its rights") from error
    return path


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    folder = path.parent / f".{path.name}.{secrets.token_hex(6)}.part"
    folder.mkdir(parents=True)
    _sweep(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(own: Path) -> None:
    """Remove what writers left that were killed: by the clock of the file system itself, untouched for a day."""
    now = own.stat().st_mtime
    for left in own.parent.glob(".*.part"):
        with suppress(OSError):
            if now - max(path.stat().st_mtime for path in (left, *left.rglob("*"))) > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)


def _to_disk(folder: Path) -> None:
    """Have the files on the disk before their folder gets its name."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
