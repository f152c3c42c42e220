"""A provider out of a stranger's package: the files of a folder, with the bad days of a source on top.

It notes each question in ``asked.txt`` of its folder, one a line. Options beside those of ``files``: ``seconds`` that
an answer takes, ``late`` (a day from which on it has no bars yet). Symbols that begin with a word of ``FAULTS`` fail,
those of ``ODD_ACTIONS`` have an action that can be none.
"""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import yaml

from workbench.core.errors import CredentialError, ProviderError
from workbench.core.market import PRICES
from workbench.data.providers.base import History
from workbench.data.providers.files import FilesProvider

FAULTS = {
    "DOWN": lambda: ProviderError("provider 'stranger' answered 503 three times; try again later"),
    "ODD": lambda: ZeroDivisionError("secret=hunter2"),
    "KEY": lambda: CredentialError("provider 'stranger' refuses its key; set WORKBENCH_KEYS__STRANGER"),
}

ODD_ACTIONS = {
    "SPIN": ("2024-07-02", "spin-off", 1.0),
    "SPLIT": ("2024-07-02", "split", 0.0),
    "UNDATED": (None, "dividend", 1.0),
}


class StrangerProvider(FilesProvider):
    """See the module."""

    name = "stranger"
    description = "A folder of files that are slow to come"

    def history(self, symbol, start, end, interval="1d"):
        self.note("history", symbol, start, end)
        time.sleep(float(self.access.options.get("seconds", "0")))
        for word, fault in FAULTS.items():
            if symbol.startswith(word):
                raise fault()
        answer = super().history(symbol, start, end, interval)
        if symbol in ODD_ACTIONS:
            day, kind, value = ODD_ACTIONS[symbol]
            told = pd.DataFrame({"time": pd.DatetimeIndex([day]), "kind": kind, "value": value})
            answer = History(answer.bars, told, answer.currency)
        late = self.access.options.get("late")
        if late:
            bars = answer.bars[answer.bars["time"] < pd.Timestamp(late, tz=answer.bars["time"].dt.tz)]
            answer = History(bars, answer.actions, answer.currency)
        return answer

    def actions(self, symbol, start, end):
        self.note("actions", symbol, start, end)
        return FilesProvider.history(self, symbol, start, end).actions

    def note(self, *words):
        with (self.folder / "asked.txt").open("a") as notes:
            notes.write(" ".join(str(word) for word in words) + "\n")


def install(folder: Path) -> Path:
    """Leave the package in a folder as an installer would; with it and this file's folder on the path it is there."""
    facts = folder / "stranger-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    points = "[workbench.providers]\nstranger = stranger_provider:StrangerProvider\n"
    (facts / "entry_points.txt").write_text(points)
    return folder


def write_entry(home: Path, provider: str = "stranger", interval: str = "1d", **changes: str) -> str:
    """Write a catalog with the dataset of a provider's bars into a home; return the dataset's name."""
    name = f"{provider}_{interval}"
    metadata = {
        "kind": "bars",
        "description": "Bars of a stranger",
        "source": "A stranger",
        "licence": "none",
        "asset_class": "any",
        "interval": interval,
        "currency": "USD",
        "calendar": "XNYS",
        "provider": provider,
        "fields": ["open", "high", "low", "close", "volume"],
        **changes,
    }
    entry = {
        "reader": "workbench.data.readers:ServedParquet",
        "output_instance": "pandas:DataFrame",
        "kwargs": {"url": f"workbench://bars/{name}", "parameters": {"symbol": "A"}},
        "user_parameters": {},
        "metadata": metadata,
    }
    content = {"version": 2, "metadata": {}, "user_parameters": {}, "aliases": {name: name}, "data": {}}
    path = home / "catalogs" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**content, "entries": {name: entry}}))
    return name


def write_daily(folder: Path, symbol: str, closes: dict, **columns: object) -> None:
    """Write a file of daily bars whose prices are all the close."""
    folder.mkdir(parents=True, exist_ok=True)
    prices = {name: list(closes.values()) for name in PRICES}
    rows = pd.DataFrame({"date": list(closes), **prices})
    rows.assign(volume=1000, **columns).to_csv(folder / f"{symbol}.csv", index=False)


def asked(folder: Path) -> list[str]:
    """Return what the provider was asked since the last look."""
    notes = folder / "asked.txt"
    lines = notes.read_text().splitlines() if notes.exists() else []
    notes.unlink(missing_ok=True)
    return lines
