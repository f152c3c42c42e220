import pytest
import yaml

from workbench.core.errors import CatalogError, UnknownNameError
from workbench.data.catalog import catalog_table, entry_metadata, load_catalog, merge_catalogs

OWN = ("entries", "own")


def test_a_sound_catalog_loads(write_catalog):
    catalog = load_catalog(write_catalog())
    about = entry_metadata(catalog, "own")
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


def test_an_unknown_dataset_is_told_with_the_nearest(bench):
    with pytest.raises(UnknownNameError, match=r"unknown dataset 'us_equity'.*us_equities"):
        entry_metadata(bench.catalog, "us_equity")


def test_a_series_is_no_dataset_of_bars(bench):
    assert entry_metadata(bench.catalog, "vix").kind == "series"
    with pytest.raises(UnknownNameError, match="unknown bars dataset 'vix'"):
        entry_metadata(bench.catalog, "vix", kind="bars")


def test_the_table_has_every_entry_of_the_sample(bench):
    table = catalog_table(bench.catalog)
    assert set(table.index) == set(bench.catalog.entries)
    assert table.loc["sp500_index", "fields"] == "close"
    assert table.loc["us_equities", "adjustment"] == "none"
    assert not table.drop(columns="fields").isna().any().any()


def test_every_entry_of_the_sample_can_be_read_and_has_its_fields(bench):
    for name, entry in bench.catalog.entries.items():
        about = entry_metadata(bench.catalog, name)
        columns = {column.lower() for column in bench.catalog[name].read().columns}
        per_symbol = about.layout and not (about.layout.symbol or about.layout.fixed_symbol)
        assert per_symbol or {field.lower() for field in about.fields} <= columns, (name, entry)
