import os
import re
from datetime import date
from itertools import pairwise

import intake
import pytest
import yaml
from intake.readers.user_parameters import BaseUserParameter

from workbench.core.errors import CatalogError, InputError, UnknownNameError
from workbench.core.files import shipped
from workbench.core.market import INTERVALS
from workbench.core.plugins import load
from workbench.data.catalog import catalog_files, load_catalog, merge_catalogs

OWN = ("entries", "own")


def test_a_sound_catalog_loads(write_catalog):
    catalog = load_catalog(write_catalog())
    about = catalog.about("own")
    assert (about.kind, about.currency, about.adjustment) == ("bars", "USD", "none")
    assert about.layout.symbol == "Symbol"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((("version",), 1), "version"),
        ((("plugins",), {}), "plugins"),
        (((*OWN, "reader"), "os:system"), "entries.own.reader"),
        (((*OWN, "reader"), "intake.readers.readers:PythonModule"), "entries.own.reader"),
        ((("data", "own_file", "datatype"), "intake.readers.datatypes:Python"), "data.own_file.datatype"),
        (((*OWN, "metadata", "currency"), "dollars"), "entries.own.metadata.currency"),
        (((*OWN, "metadata", "interval"), "5m"), "entries.own.metadata.interval"),
        (((*OWN, "metadata", "licence"), ...), "entries.own.metadata.licence"),
        (((*OWN, "metadata", "colour"), "red"), "entries.own.metadata.colour"),
        (((*OWN, "metadata", "description"), "short"), "entries.own.metadata.description"),
        (((*OWN, "metadata", "fields"), []), "entries.own.metadata.fields"),
        (((*OWN, "metadata", "fields"), ["vwap"]), "needs a layout and fields out of open, high"),
        (((*OWN, "metadata", "layout"), ...), "needs a layout"),
        (((*OWN, "metadata", "layout", "formula"), "close*2"), "layout.formula"),
        (((*OWN, "user_parameters"), {"x": 1}), "entries.own.user_parameters"),
        ((("aliases",), {"mine": "nobody"}), "alias 'mine' leads to 'nobody'"),
        (((*OWN, "kwargs", "args"), ["{data(elsewhere)}"]), r"\{data\(elsewhere\)\}"),
        (((*OWN, "kwargs", "args"), ["{func(os:system)}"]), "is a template"),
        (((*OWN, "kwargs", "nested"), {"deep": [{"{env(HOME)}": 1}]}), "is a template"),
        ((("data", "own_file", "kwargs", "url"), "https://x.invalid/{env(SECRET)}"), "is a template"),
        ((("data", "own_file", "kwargs", "url"), "a {data(own_file)}"), "is a template"),
        ((("data", "own_file", "user_parameters"), {"x": 1}), "data.own_file.user_parameters"),
    ],
)
def test_what_breaks_the_schema_is_named(write_catalog, change, told):
    path = write_catalog(change)
    with pytest.raises(CatalogError, match=told) as caught:
        load_catalog(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "optional",
    [("aliases",), ("user_parameters",), ("metadata",), (*OWN, "user_parameters"), ("data", "own_file", "metadata")],
)
def test_what_the_schema_does_not_ask_for_may_be_left_out(write_catalog, tmp_path, optional):
    (tmp_path / "own.csv").write_text("Date,Symbol,Close\n2012-03-05,A,1\n")
    path = write_catalog((optional, ...), url=tmp_path / "own.csv")
    assert load_catalog(path)["own"].read()["Close"].item() == 1


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/b", ""])
def test_the_name_of_a_dataset_cannot_lead_out_of_the_store(write_catalog, name):
    path = write_catalog()
    content = yaml.safe_load(path.read_text())
    content["entries"][name] = content["entries"].pop("own")
    content["aliases"] = {name: name}
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(CatalogError):
        load_catalog(path)


@pytest.mark.parametrize(
    "content", [b"", b"[1, 2]", b"version: [2", b"a: \xff\xfe", b"!!python/object/apply:os.getcwd []"]
)
def test_a_file_that_is_no_catalog_is_named(tmp_path, content):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=str(path)):
        load_catalog(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CatalogError, match=r"nowhere\.yaml cannot be read"):
        load_catalog(tmp_path / "nowhere.yaml")


def test_catalogs_come_together(write_catalog, tmp_path):
    (tmp_path / "own.csv").write_text("Date,Symbol,Open,High,Low,Close,Volume\n2012-03-05,A,1,1,1,1,1\n")
    merged = merge_catalogs([write_catalog(url=tmp_path / "own.csv")])
    assert merged["own"].read()["Close"].tolist() == [1]


def test_a_dataset_of_two_catalogs_is_refused(write_catalog):
    paths = [write_catalog(), write_catalog(file="again.yaml")]
    with pytest.raises(CatalogError, match=r"again\.yaml has a name 'own' that another catalog has too"):
        merge_catalogs(paths)


def test_a_catalog_cannot_change_the_data_of_another(write_catalog, tmp_path):
    (tmp_path / "first.csv").write_text("Date,Symbol,Close\n2012-03-05,A,1\n")
    (tmp_path / "second.csv").write_text("Date,Symbol,Close\n2012-03-05,A,2\n")
    first = write_catalog(url=tmp_path / "first.csv", data="shared")
    second = write_catalog(file="second.yaml", url=tmp_path / "second.csv", data="shared")
    second.write_text(second.read_text().replace("own", "other"))
    with pytest.raises(CatalogError, match="shared"):
        merge_catalogs([first, second])


ADDRESS = {
    "reader": "workbench.data.readers:ServedParquet",
    "kwargs": {"url": "workbench://history/yahoo", "parameters": {"symbol": "{symbol}", "start": "2020"}},
    "user_parameters": {
        "symbol": {
            "cls": "workbench.data.readers:Parameter",
            "form": "symbol",
            "description": "One symbol",
            "default": "AAPL",
        }
    },
}
SERVED = [
    *(((*OWN, key), value) for key, value in ADDRESS.items()),
    ((*OWN, "metadata", "kind"), "feed"),
    ((*OWN, "metadata", "provider"), "yahoo"),
    ((*OWN, "metadata", "layout"), ...),
]
PARAMETERS = (*OWN, "kwargs", "parameters")
SYMBOL = (*OWN, "user_parameters", "symbol")
URL = (*OWN, "kwargs", "url")


def test_an_entry_with_user_parameters_loads(write_catalog):
    catalog = load_catalog(write_catalog(*SERVED))
    told = {"url": "workbench://history/yahoo", "parameters": {"symbol": "AAPL", "start": "2020"}}
    assert catalog["own"].kwargs == told
    assert catalog.entry("own").user_parameters["symbol"].default == "AAPL"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((URL, "file:///etc/passwd"), "is no address"),
        ((URL, "https://x.invalid/a.parquet"), "is no address"),
        ((URL, "workbench://orders/yahoo"), "unknown kind of address 'orders'"),
        ((URL, "workbench://history/../secret"), "is no name of a dataset or provider"),
        ((URL, "workbench://history/{env(HOME)}"), "is no name of a dataset or provider"),
        ((URL, "workbench://history/yahoo::file:///etc/passwd"), "is no name of a dataset or provider"),
        ((URL, "workbench://history/fred"), "provider 'yahoo' differs from 'fred'"),
        ((URL, "workbench://bars/own?adjust=none"), "is no name of a dataset or provider"),
        ((URL, ["workbench://history/yahoo"]), "kwargs|url"),
        (((*OWN, "kwargs", "storage_options"), {"auto_mkdir": True}), "storage_options"),
        (((*PARAMETERS, "symbol"), "{func(posix:system)}"), "is no symbol"),
        (((*PARAMETERS, "symbol"), "{data(own_file)}"), "is no symbol"),
        (((*PARAMETERS, "symbol"), "{start}"), "is no symbol"),
        (((*PARAMETERS, "symbol"), "{symbol.__class__}"), "is no symbol"),
        (((*PARAMETERS, "symbol"), "x{symbol}"), "is no symbol"),
        (((*PARAMETERS, "symbol"), ["{symbol}"]), "symbol"),
        (((*PARAMETERS, "start"), "{start}"), "'start' is to be declared in user_parameters"),
        (((*PARAMETERS, "start"), 2020), "start"),
        (((*PARAMETERS, "start"), "yesterday"), "'yesterday' is no date"),
        (((*PARAMETERS, "adjust"), "all"), "'adjust' is no parameter of history; it takes symbol, start"),
        (((*PARAMETERS, "interval"), "5m"), "unknown interval '5m'"),
        (((*SYMBOL, "cls"), "intake.readers.user_parameters:SimpleUserParameter"), "user_parameters.symbol.cls"),
        (((*SYMBOL, "cls"), "os:system"), "user_parameters.symbol.cls"),
        (((*SYMBOL, "default"), "env(HOME)"), "'env[(]HOME[)]' is no symbol"),
        (((*SYMBOL, "default"), "func(posix:system)"), "is no symbol"),
        (((*SYMBOL, "form"), "formula"), "form 'formula' is none of symbol"),
        (((*SYMBOL, "form"), "text"), "'symbol' has the form 'text'; its form is its own name"),
        (((*SYMBOL, "pattern"), "(a+)+$"), "user_parameters.symbol.pattern"),
        (((*OWN, "user_parameters"), {}), "'symbol' is to be declared in user_parameters"),
        (((*OWN, "metadata", "kind"), "series"), "of kind 'bars' without a layout, or of kind 'feed'"),
        (((*OWN, "metadata", "kind"), "bars"), "has the url workbench://bars/own"),
        (((*OWN, "metadata", "layout"), {"date": "Date"}), "of kind 'bars' without a layout, or of kind 'feed'"),
        (((*OWN, "reader"), "intake.readers.readers:PandasParquet"), "only an entry with the reader"),
    ],
)
def test_an_address_that_breaks_the_schema_is_named(write_catalog, change, told):
    path = write_catalog(*SERVED, change)
    with pytest.raises(CatalogError, match=told) as caught:
        load_catalog(path)
    assert "own" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (((*OWN, "metadata", "kind"), "feed"), "kind 'feed' without a layout needs the reader"),
        (((*OWN, "metadata", "interval"), "1h"), "that reads a table has daily bars"),
        ((("data", "own_file", "kwargs", "url"), "workbench://bars/own/A.parquet"), "is not on this machine"),
        ((("data", "own_file", "kwargs", "url"), "simplecache::https://x.invalid/a"), "is not on this machine"),
        ((("data", "own_file", "kwargs", "url"), "{data(own_file)}"), "is a template"),
        ((("data", "own_file", "kwargs", "url"), "data(own)"), "is a template"),
        (((*OWN, "kwargs", "args"), ["data(own)"]), "is a template"),
        (((*OWN, "metadata", "source"), "data(own_file)"), "is a template"),
        ((("metadata", "name"), "{data(own)}"), "is a template"),
        (
            (("data", "own"), {"datatype": "intake.readers.datatypes:CSV", "kwargs": {}}),
            "'own' is the name of something else",
        ),
        ((("aliases", "own_file"), "own"), "'own_file' is the name of something else"),
    ],
)
def test_no_entry_reaches_what_is_not_its_own(write_catalog, change, told):
    with pytest.raises(CatalogError, match=told):
        load_catalog(write_catalog(change))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: &a [x]\nb: &b [*a, *a]\nversion: 2\nversion: 3\n", "'version' stands twice in one place, line 4"),
        ("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in pairwise("abcdefgh")
        ), "more than 100000 values"),
        ("a: &a [*a]\n", "more than 100000 values"),
        ("a: " + "[" * 5000, "cannot be read"),
        ("a: 2020-13-45\n", "cannot be read"),
    ],
)  # fmt: skip
def test_yaml_that_lies_or_never_ends_is_refused(tmp_path, content, told):
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(CatalogError, match=told):
        load_catalog(path)


@pytest.mark.parametrize("name", ["us_equities", "bokeh_stocks"])
def test_an_alias_cannot_take_the_place_of_another_catalogs_name(write_catalog, name):
    own = write_catalog((("aliases", name), "own"))
    with pytest.raises(CatalogError, match=f"has a name '{name}' that another catalog has too"):
        merge_catalogs([*catalog_files(shipped("catalogs")), own])


def test_the_files_of_a_folder_are_those_of_both_endings(write_catalog, tmp_path):
    paths = [write_catalog(file="a.yml"), write_catalog(file="b.yaml")]
    (tmp_path / "c.txt").touch()
    assert catalog_files(tmp_path) == paths
    assert catalog_files(tmp_path / "nowhere") == []


@pytest.fixture(scope="module")
def catalog():
    """The shipped catalogs, merged."""
    return merge_catalogs(catalog_files(shipped("catalogs")))


def test_an_unknown_dataset_is_told_with_the_nearest(catalog):
    with pytest.raises(UnknownNameError, match=r"unknown dataset 'us_equity'.*us_equities"):
        catalog.about("us_equity")
    with pytest.raises(UnknownNameError, match=r"unknown dataset 'us_equity'.*us_equities"):
        catalog["us_equity"]


def test_a_series_is_no_dataset_of_bars(catalog):
    assert catalog.about("vix").kind == "series"
    with pytest.raises(UnknownNameError, match="unknown bars dataset 'vix'"):
        catalog.about("vix", kind="bars")


def test_the_catalog_is_a_collection_of_names(catalog):
    assert len(catalog) == len(list(catalog)) == len(catalog.table())
    assert {"us_equities", "yahoo_1d", "fred_series"} <= set(catalog)
    assert "us_equities" in catalog
    assert "bokeh_stocks" not in catalog
    assert catalog._ipython_key_completions_() == list(catalog)
    assert "us_equities" in repr(catalog)


def test_an_entry_is_read_by_its_name(catalog):
    assert len(catalog["us_macro"].read()) == 203


def test_an_alias_leads_to_its_entry(write_catalog):
    catalog = load_catalog(write_catalog((("aliases",), {"mine": "own"})))
    assert catalog.about("mine") == catalog.about("own")
    assert "mine" in catalog
    assert catalog["mine"].kwargs["args"][0].url == "file:///nowhere.csv"


def test_the_table_has_every_entry(catalog):
    table = catalog.table()
    assert list(table.index) == list(catalog)
    assert table.loc["sp500_index", "fields"] == "close"
    assert table.loc["us_equities", "adjustment"] == "none"
    assert not table.isna().any().any()


def test_the_store_has_a_dataset_for_each_provider_and_interval(catalog):
    stored = {name: about for name in catalog if (about := catalog.about(name)).kind == "bars" and not about.layout}
    assert set(stored) == {
        f"{source}_{interval}"
        for source in ("yahoo", "alpha_vantage", "twelve_data", "files")
        for interval in INTERVALS
    }
    for name, about in stored.items():
        assert name == f"{about.provider}_{about.interval}"
        assert about.adjustment == "none"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"text": "VOLATILITY INDEX"}, ["vix"]),
        ({"text": "apple daily"}, ["us_equities", "aapl_recent"]),
        ({"text": "crude"}, ["wti"]),
        ({"text": "nothing has this"}, []),
        ({"text": "", "interval": "1q", "kind": "series"}, ["us_macro"]),
        ({"asset_class": "commodity", "kind": "series"}, ["wti"]),
        ({"licence": "bsd-3"}, ["sp500_stocks", "sp500_index", "factor_etfs"]),
        ({"text": "yahoo", "interval": "1h"}, ["yahoo_1h"]),
        ({"interval": "1w"}, []),
    ],
)
def test_a_search_finds(catalog, asked, found):
    assert sorted(catalog.search(**asked)) == sorted(found)


def test_a_source_of_any_asset_class_is_found_by_each(catalog):
    assert "yahoo_history" in catalog.search(asset_class="equity")
    assert "us_macro" not in catalog.search(asset_class="equity")


def test_what_was_found_can_be_searched_shown_and_read(catalog):
    found = catalog.search("skfolio").search(asset_class="index")
    assert list(found.table().index) == ["sp500_index"]
    assert len(found["sp500_index"].read()) == 8313
    with pytest.raises(UnknownNameError):
        found["vix"]


@pytest.mark.parametrize(
    "asked", [{"interval": "5m"}, {"asset_class": "bonds"}, {"kind": "table"}, {"licence": "WTFPL"}]
)
def test_a_search_for_what_cannot_be_is_told(catalog, asked):
    with pytest.raises(UnknownNameError, match=next(iter(asked.values()))):
        catalog.search(**asked)


def test_an_empty_catalog_has_a_table_and_a_picture(catalog):
    empty = catalog.search("nothing has this")
    assert (len(empty), empty.table().shape) == (0, (0, 9))
    assert "No dataset" in empty._repr_html_()


def test_the_picture_shows_every_entry_as_plain_text(write_catalog, catalog):
    shown = catalog._repr_html_()
    assert all(f">{name}<" in shown for name in catalog)
    evil = "<script>alert('a & b')</script> \" onload=x"
    change = [((*OWN, "metadata", name), evil) for name in ("description", "source", "licence")]
    page = load_catalog(write_catalog(*change))._repr_html_()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#x27;a &amp; b&#x27;)") == 3


@pytest.mark.parametrize("name", ["sample", "store", "providers"])
def test_intake_alone_opens_what_is_shipped(name):
    opened = intake.open_catalog(str(shipped("catalogs") / f"{name}.yaml"))
    ours = load_catalog(shipped("catalogs") / f"{name}.yaml")
    assert sorted(opened) == sorted(ours)
    assert all(opened[entry].kwargs == ours[entry].kwargs for entry in ours if not ours.about(entry).layout)


@pytest.mark.parametrize("value", ["env(HOME)", "{env(HOME)}", "func(posix:system)", "data(yahoo_1d)", "pickle64(gA)"])
def test_a_users_value_is_never_a_template_of_intake(value, tmp_path):
    stock = {"default": "AAPL", "cls": "intake.readers.user_parameters:BaseUserParameter", "description": ""}
    assert intake.readers.user_parameters.set_values(
        {"symbol": BaseUserParameter.from_dict(stock)}, {"symbol": "env(HOME)", "at": "{symbol}"}
    ) == {"at": os.environ["HOME"]}, "intake no longer expands values: our own parameter class can go"

    for name, parameter in (("store", "symbol"), ("store", "start"), ("providers", "text"), ("providers", "name")):
        opened = intake.open_catalog(str(shipped("catalogs") / f"{name}.yaml"))
        entry = {"symbol": "yahoo_1d", "start": "yahoo_1d", "text": "gdelt_news", "name": "fred_series"}[parameter]
        with pytest.raises(InputError, match=re.escape(repr(value))):
            opened(**{parameter: value})[entry]
        with pytest.raises(InputError, match=re.escape(repr(value))):
            opened[entry].read(**{parameter: value})
        with pytest.raises(InputError, match=re.escape(repr(value))):
            load_catalog(shipped("catalogs") / f"{name}.yaml")[entry](**{parameter: value}).read()


def test_a_users_value_is_taken_in_each_of_intakes_ways():
    opened = intake.open_catalog(str(shipped("catalogs") / "store.yaml"))
    assert opened(symbol="MSFT", start=date(2020, 1, 2))["yahoo_1h"].kwargs["parameters"] == {
        "symbol": "MSFT",
        "start": "2020-01-02",
        "end": "",
        "adjust": "all",
        "as_of": "",
    }
    assert opened["yahoo_1h"].kwargs["parameters"]["symbol"] == "AAPL"


def test_every_entry_of_the_sample_can_be_read_and_has_its_fields(catalog):
    for name in load_catalog(shipped("catalogs") / "sample.yaml"):
        about = catalog.about(name)
        columns = {column.lower() for column in catalog[name].read().columns}
        per_symbol = about.layout and not (about.layout.symbol or about.layout.fixed_symbol)
        assert per_symbol or {field.lower() for field in about.fields} <= columns, name


def test_every_feed_is_a_method_that_its_provider_has(catalog):
    for name in catalog.search(kind="feed"):
        about = catalog.about(name)
        provider = load("workbench.providers", "provider", about.provider)
        assert name.removeprefix(f"{about.provider}_") in provider.offers(), name
        assert about.licence == provider.licence, name


def test_every_method_of_a_source_is_a_feed(catalog):
    for source in {catalog.about(name).provider for name in catalog.search(kind="feed")}:
        provider = load("workbench.providers", "provider", source)
        assert {f"{source}_{method}" for method in provider.offers()} <= set(catalog), source
