"""Catalogs and histories to write with: small, and ours to spoil."""

from copy import deepcopy

import pandas as pd
import pytest
import yaml

EMPTY = {"metadata": {}, "user_parameters": {}}
ENTRY = {
    "reader": "intake.readers.readers:PandasCSV",
    "kwargs": {"args": ["{data(own_file)}"], "parse_dates": ["Date"]},
    "output_instance": "pandas:DataFrame",
    "metadata": {
        "kind": "bars",
        "description": "A small dataset for a test",
        "source": "a test",
        "licence": "none",
        "asset_class": "equity",
        "interval": "1d",
        "currency": "USD",
        "calendar": "XNYS",
        "fields": ["open", "high", "low", "close", "volume"],
        "layout": {"date": "Date", "symbol": "Symbol"},
    },
}


@pytest.fixture
def write_catalog(tmp_path):
    """Write a catalog with one dataset ``own`` over the file ``own_file``, changed at a path of keys."""

    def write(*changes, file="own.yaml", url="file:///nowhere.csv", data="own_file"):
        content = deepcopy(
            {
                "version": 2,
                "aliases": {"own": "own"},
                "entries": {"own": {**ENTRY, "user_parameters": {}}},
                "data": {data: {"datatype": "intake.readers.datatypes:CSV", "kwargs": {"url": str(url)}, **EMPTY}},
                **EMPTY,
            }
        )
        content["entries"]["own"]["kwargs"]["args"] = [f"{{data({data})}}"]
        for keys, value in changes:
            place = content
            for key in keys[:-1]:
                place = place[key]
            if value is ...:
                del place[keys[-1]]
            else:
                place[keys[-1]] = deepcopy(value)
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture
def make_rows():
    """Sound rows of one symbol on sessions of 2012, as a provider gives them."""

    def make(closes, symbol="A", first="2012-03-05"):
        days = pd.bdate_range(first, periods=len(closes))
        frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), closes), dtype="float64")
        return frame.assign(
            symbol=symbol, date=days, time=(days + pd.Timedelta(hours=21)).tz_localize("UTC"), volume=1e3
        )

    return make
