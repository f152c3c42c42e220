"""The data catalog: intake V2 files, checked against our own schema before intake sees them, merged and shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from intake.readers.entry import Catalog

from workbench.core.errors import CatalogError, UnknownNameError
from workbench.data.catalog_file import read_catalog_file
from workbench.data.entries import AssetClass, EntryInterval, EntryMetadata, Kind, Layout

__all__ = [
    "DataCatalog",
    "EntryMetadata",
    "Layout",
    "catalog_files",
    "load_catalog",
    "merge_catalogs",
]

OURS = {
    "intake.readers.readers:PandasCSV": "workbench.data.readers:StoredCSV",
    "intake.readers.readers:PandasParquet": "workbench.data.readers:StoredParquet",
}
"""The readers that obey the limit of the process, in the place of intake's own, which a file names."""

SHOWN = ("kind", "asset_class", "interval", "currency", "adjustment", "fields", "description", "source", "licence")


class DataCatalog:
    """Entries by name: ``catalog["us_macro"].read()``, ``catalog["yahoo_1d"].read(symbol="AAPL")``.

    Parameters
    ----------
    intake : intake.readers.entry.Catalog
        Entries that have passed the schema.
    """

    def __init__(self, intake: Catalog) -> None:
        self.intake = intake

    def __getitem__(self, name: str) -> Any:
        return self.intake[self._known(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._abouts)

    def __len__(self) -> int:
        return len(self._abouts)

    def __contains__(self, name: object) -> bool:
        return name in self._abouts or name in self.intake.aliases

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return f"<DataCatalog of {len(self)}: {', '.join(self)}>"

    @property
    def entries(self) -> dict[str, Any]:
        """The entries as intake has them."""
        found: dict[str, Any] = self.intake.entries
        return found

    @cached_property
    def _abouts(self) -> dict[str, EntryMetadata]:
        return {name: EntryMetadata.model_validate(entry.metadata) for name, entry in self.entries.items()}

    def _known(self, name: str, kind: Kind | None = None) -> str:
        own = self.intake.aliases.get(name, name)
        known = [key for key, about in self._abouts.items() if kind in (None, about.kind)]
        if own not in known:
            raise UnknownNameError(f"{kind} dataset" if kind else "dataset", name, known)
        return str(own)

    def entry(self, name: str) -> Any:
        """Return an entry as intake has it: reader, arguments and user parameters.

        Raises
        ------
        UnknownNameError
            If there is no such entry.
        """
        return self.entries[self._known(name)]

    def about(self, name: str, kind: Kind | None = None) -> EntryMetadata:
        """Return what an entry says about itself.

        Parameters
        ----------
        name : str
            The dataset's name.
        kind : {"bars", "series", "feed"}, optional
            Look among entries of this kind only.

        Raises
        ------
        UnknownNameError
            If there is no such entry.
        """
        return self._abouts[self._known(name, kind)]

    def search(
        self,
        text: str = "",
        *,
        interval: str | None = None,
        asset_class: str | None = None,
        licence: str | None = None,
        kind: str | None = None,
    ) -> DataCatalog:
        """Return the entries that match all of what is given.

        Parameters
        ----------
        text : str
            Words that occur in the name, the description, the kind, the source or the licence, in either case.
        interval, asset_class, kind : str, optional
            As the entries have them; an entry of the asset class ``"any"`` matches each.
        licence : str, optional
            Words of the licence, in either case.

        Returns
        -------
        DataCatalog
            Perhaps an empty one.

        Raises
        ------
        UnknownNameError
            If no entry can have such an interval, asset class or kind, or none has such a licence.
        """
        _check("interval", interval, get_args(EntryInterval))
        _check("asset class", asset_class, get_args(AssetClass))
        _check("kind", kind, get_args(Kind))
        licences = {about.licence for about in self._abouts.values()}
        if licence and not any(_has(licence, known) for known in licences):
            raise UnknownNameError("licence", licence, licences)
        found = [
            name
            for name, about in self._abouts.items()
            if _has(text, name, about.description, about.source, about.licence, about.kind)
            and interval in (None, about.interval)
            and (asset_class is None or about.asset_class in (asset_class, "any"))
            and _has(licence or "", about.licence)
            and kind in (None, about.kind)
        ]
        return self._only(found)

    def _only(self, names: list[str]) -> DataCatalog:
        whole = self.intake
        aliases = {alias: name for alias, name in whole.aliases.items() if name in names}
        entries = {name: whole.entries[name] for name in names}
        return DataCatalog(Catalog(entries=entries, aliases=aliases, data=whole.data, metadata=whole.metadata))

    def table(self) -> pd.DataFrame:
        """Return one row per entry: kind, asset class, interval, currency, fields, description, source and licence."""
        rows = [about.model_dump(include=set(SHOWN)) for about in self._abouts.values()]
        table = pd.DataFrame(rows, index=pd.Index(list(self._abouts), name="dataset"), columns=list(SHOWN))
        return table.assign(fields=[", ".join(about.fields) for about in self._abouts.values()])

    def _repr_html_(self) -> str:
        return _page(self)


def _check(word: str, value: str | None, known: Iterable[str]) -> None:
    if value is not None and value not in known:
        raise UnknownNameError(word, value, known)


def _has(text: str, *places: str) -> bool:
    whole = " ".join(places).casefold()
    return all(word in whole for word in text.casefold().split())


def _page(catalog: DataCatalog) -> str:
    """Return a table in HTML whose colours are those of the page around it, light or dark."""
    line = "border-bottom:1px solid color-mix(in srgb, currentColor 18%, transparent)"
    cell = f"padding:.45em .9em;text-align:left;vertical-align:top;background:none;{line}"
    faint = "opacity:.7;font-size:.92em"
    heads = "".join(
        f'<th scope="col" style="{cell};font-weight:600;opacity:.7;white-space:nowrap">{head}</th>'
        for head in ("Dataset", "Kind", "Assets", "Interval", "About")
    )
    rows = []
    for name in catalog:
        about = catalog.about(name)
        plain = "".join(
            f'<td style="{cell};white-space:nowrap">{escape(text)}</td>'
            for text in (about.kind, about.asset_class, about.interval)
        )
        rows.append(
            f'<tr style="background:none"><th scope="row" style="{cell};font-weight:600;white-space:nowrap">'
            f'<code style="background:none;color:inherit">{escape(name)}</code></th>{plain}'
            f'<td style="{cell};white-space:normal;min-width:16em">{escape(about.description)}'
            f'<div style="{faint}">{escape(about.source)} · {escape(about.licence)}</div></td></tr>'
        )
    count = "No dataset" if not rows else "1 dataset" if len(rows) == 1 else f"{len(rows)} datasets"
    return (
        f'<div style="color:inherit;overflow-x:auto;max-width:100%"><div style="{faint};padding:.3em 0">{count}</div>'
        f'<table style="color:inherit;border-collapse:collapse;border:0;margin:0;table-layout:auto">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def catalog_files(folder: Path) -> list[Path]:
    """Return the catalog files of a folder, ``*.yaml`` and ``*.yml``, sorted; none where there is no folder."""
    return sorted(path for pattern in ("*.yaml", "*.yml") for path in folder.glob(pattern))


def load_catalog(path: Path) -> DataCatalog:
    """Read one catalog file.

    Raises
    ------
    CatalogError
        If the file cannot be read or an entry breaks the schema; the message names the entry and the fault.
    """
    content = read_catalog_file(path).model_dump()
    for entry in content["entries"].values():
        entry["reader"] = OURS.get(entry["reader"], entry["reader"])
    return DataCatalog(Catalog.from_dict(content))


def merge_catalogs(paths: Iterable[Path]) -> DataCatalog:
    """Read several catalog files into one; a name may occur once.

    Raises
    ------
    CatalogError
        If a file is at fault, or two of them have an entry of the same name.
    """
    merged = Catalog()
    for path in paths:
        catalog = load_catalog(path).intake
        twice = sorted(_names(merged) & _names(catalog))
        if twice:
            raise CatalogError(f"catalog {path} has a name {twice[0]!r} that another catalog has too; rename one")
        merged += catalog
        merged.data.update(catalog.data)
    return DataCatalog(merged)


def _names(catalog: Catalog) -> set[str]:
    return {*catalog.entries, *catalog.data, *catalog.aliases}
