"""The data catalog: intake V2 files, checked against our own schema before intake sees them.

An intake entry may name any importable function and any template, so a catalog is code. Here an entry may use the
readers of ``Reader`` and refer to data of the same file, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import yaml
from intake.readers.entry import Catalog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workbench.core.errors import CatalogError, UnknownNameError
from workbench.core.market import FIELDS, Adjustment
from workbench.data.actions import Reference

Reader = Literal["intake.readers.readers:PandasCSV", "intake.readers.readers:PandasParquet"]
Datatype = Literal["intake.readers.datatypes:CSV", "intake.readers.datatypes:Parquet"]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""A dataset's name: it is also the name of a folder in the store."""

_REFERENCE = re.compile(r"\{data\((\w+)\)\}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Layout(_Strict):
    """How a source's table becomes rows of symbol, time and fields.

    A table with ``symbol`` (a column) or ``fixed_symbol`` has one column per field; one with neither has one column
    per symbol, and its cells are closes.
    """

    date: str
    symbol: str | None = None
    fixed_symbol: str | None = None
    adjusted_close: str | None = Field(default=None, description="column with splits and dividends taken out")
    adjusted_close_decimals: int | None = Field(default=None, description="to how many decimals it is rounded")
    adjusted_by: Reference = Field(default="ex_close", description="which close a dividend was related to")


class EntryMetadata(_Strict):
    """What every entry says about itself."""

    kind: Literal["bars", "series"]
    description: str = Field(min_length=10)
    source: str
    licence: str
    asset_class: Literal["equity", "etf", "index", "volatility", "commodity", "macro"]
    interval: Literal["1d", "1w", "1mo", "1q"]
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    calendar: str = Field(pattern=r"^[A-Z]{4}$", description="an exchange by its ISO 10383 code, such as XNYS")
    provider: str = "sample"
    fields: tuple[str, ...] = Field(min_length=1)
    adjustment: Adjustment = "none"
    layout: Layout | None = None

    @model_validator(mode="after")
    def _bars_are_complete(self) -> EntryMetadata:
        if self.kind == "bars" and (self.layout is None or not set(self.fields) <= set(FIELDS)):
            raise ValueError(f"an entry of kind 'bars' needs a layout and fields out of {', '.join(FIELDS)}")
        if self.kind == "bars" and self.interval != "1d":
            raise ValueError("an entry of kind 'bars' has daily bars; keep others as kind 'series'")
        return self


class _Data(_Strict):
    datatype: Datatype
    kwargs: dict[str, Any]
    metadata: dict[str, Any] = {}
    user_parameters: dict[str, Any] = Field(default={}, max_length=0)


class _Entry(_Strict):
    reader: Reader
    kwargs: dict[str, Any]
    metadata: EntryMetadata
    output_instance: Literal["pandas:DataFrame"] = "pandas:DataFrame"
    user_parameters: dict[str, Any] = Field(default={}, max_length=0)


class _CatalogFile(_Strict):
    version: Literal[2]
    entries: dict[Name, _Entry]
    data: dict[Name, _Data] = {}
    metadata: dict[str, Any] = {}
    aliases: dict[str, str] = {}
    user_parameters: dict[str, Any] = Field(default={}, max_length=0)

    @model_validator(mode="after")
    def _aliases_lead_to_entries(self) -> _CatalogFile:
        for alias, name in self.aliases.items():
            if name not in self.entries:
                raise ValueError(f"alias {alias!r} leads to {name!r}, which is no entry")
        return self

    @model_validator(mode="after")
    def _no_templates(self) -> _CatalogFile:
        kwargs = {name: item.kwargs for name, item in self.data.items()}
        kwargs |= {name: item.kwargs for name, item in self.entries.items()}
        for name, values in kwargs.items():
            for text in _strings(values):
                found = _REFERENCE.fullmatch(text)
                if "{" in text and not (found and found[1] in self.data):
                    raise ValueError(f"{name}: {text!r} is a template; only {{data(name)}} of this file is allowed")
                if "::" in text or ("://" in text and not text.startswith(("package://", "file://"))):
                    raise ValueError(f"{name}: {text!r} is not on this machine; name a file, or package://")
        return self


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(key)
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def load_catalog(path: Path) -> Catalog:
    """Read one catalog file.

    Raises
    ------
    CatalogError
        If the file cannot be read or an entry breaks the schema; the message names the entry and the fault.
    """
    try:
        content = _CatalogFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogError(f"catalog {path} cannot be read ({' '.join(str(error).split())}); mend the file") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CatalogError(f"catalog {path}: {where}: {first['msg']}; mend or remove this entry") from error
    return Catalog.from_dict(content.model_dump())


def merge_catalogs(paths: Iterable[Path]) -> Catalog:
    """Read several catalog files into one; a name may occur once.

    Raises
    ------
    CatalogError
        If a file is at fault, or two of them have an entry of the same name.
    """
    merged = Catalog()
    for path in paths:
        catalog = load_catalog(path)
        twice = sorted({*merged.entries, *merged.data} & {*catalog.entries, *catalog.data})
        if twice:
            raise CatalogError(f"catalog {path} has a name {twice[0]!r} that another catalog has too; rename one")
        merged += catalog
        merged.data.update(catalog.data)
    return merged


def entry_metadata(catalog: Catalog, name: str, kind: Literal["bars", "series"] | None = None) -> EntryMetadata:
    """Return what an entry says about itself.

    Parameters
    ----------
    catalog : intake.readers.entry.Catalog
    name : str
        The dataset's name.
    kind : {"bars", "series"}, optional
        Look among entries of this kind only.

    Raises
    ------
    UnknownNameError
        If there is no such entry.
    """
    every = {key: EntryMetadata.model_validate(entry.metadata) for key, entry in catalog.entries.items()}
    known = {key: value for key, value in every.items() if kind in (None, value.kind)}
    if name not in known:
        raise UnknownNameError(f"{kind} dataset" if kind else "dataset", name, known)
    return known[name]


def catalog_table(catalog: Catalog) -> pd.DataFrame:
    """Return one row per entry: kind, asset class, interval, currency, fields, description, source and licence."""
    shown = ["kind", "asset_class", "interval", "currency", "adjustment", "fields", "description", "source", "licence"]
    rows = {name: EntryMetadata.model_validate(entry.metadata).model_dump() for name, entry in catalog.entries.items()}
    table = pd.DataFrame.from_dict(rows, orient="index")[shown].rename_axis("dataset")
    return table.assign(fields=table["fields"].map(", ".join))
