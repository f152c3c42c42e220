"""What every table of facts must keep, wherever it lies. A new place adds a subclass of ``FactTableContract``."""

import traceback
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from postgres_server import PASSWORD
from s3_server import SECRET
from table_writer import FIRST, INSTANT, KEYS, SCHEMA, make_rows, open_table, open_tables, writers

from workbench.core.errors import InputError, StoreError, WorkbenchError

LATER = FIRST + pd.Timedelta(days=1)
TICK = pd.Timedelta(microseconds=1)
NAMES = [*SCHEMA.names, "learned_at"]
FULL_SCHEMA = SCHEMA.append(pa.field("learned_at", INSTANT))


def at(day):
    return pd.Timestamp(f"{day} 21:00", tz="UTC")


ASKED = [
    ({"symbols": ["C", "A"]}, 24),
    ({"symbols": ["B"]}, 12),
    ({"symbols": ["Z", "A"]}, 12),
    ({"symbols": pd.Index(["A"])}, 12),
    ({"symbols": ["Z"]}, 0),
    ({"symbols": []}, 0),
    ({"start": at("2013-01-01")}, 12),
    ({"start": at("2020-01-01")}, 0),
    ({"end": at("2012-12-24")}, 3),
    ({"start": at("2012-12-25") - TICK, "end": at("2012-12-26")}, 6),
    ({"start": at("2012-12-25") + TICK, "end": at("2012-12-26") - TICK}, 0),
    ({"symbols": ["A"], "start": at("2012-12-31"), "end": at("2013-01-01")}, 2),
]

BAD = {
    "text_for_number": {"close": [1.0, "a text", 3.0]},
    "number_for_text": {"symbol": ["A", 5, "A"]},
    "no_symbol": {"symbol": ["A", None, "A"]},
    "no_time": {"time": [at("2012-12-24"), pd.NaT, at("2012-12-26")]},
}


class FactTableContract:
    """Facts: ``place`` describes an empty place, ``unreachable`` one that does not answer; ``secret`` is in both."""

    secret = "no secret"

    @pytest.fixture
    def place(self):
        raise NotImplementedError

    @pytest.fixture
    def unreachable(self):
        raise NotImplementedError

    @pytest.fixture
    def tables(self, place):
        tables = open_tables(place)
        yield tables
        if hasattr(tables, "close"):
            tables.close()

    @pytest.fixture
    def table(self, tables):
        return open_table(tables)

    # What is there

    def test_a_table_that_was_never_written_is_empty(self, table, tables):
        assert (table.version(), table.exists(), table.symbols()) == (None, False, [])
        for found in (table.read(), table.history()):
            assert found.empty
            assert list(found.columns) == NAMES
            assert found.attrs["version"] == 0

    def test_an_empty_write_makes_the_table_and_adds_no_version(self, table):
        assert table.write(make_rows([]), FIRST) == 0
        assert (table.version(), table.exists()) == (None, True)
        assert table.read().empty

    def test_what_was_written_is_read_back_sorted(self, table):
        assert table.write(pd.concat([make_rows([3, 4], "B"), make_rows([1, 2], "A")]), FIRST) == 4
        found = table.read()
        assert found["symbol"].tolist() == ["A", "A", "B", "B"]
        assert found["close"].tolist() == [1, 2, 3, 4]
        assert found["time"].tolist() == [at("2012-12-24"), at("2012-12-25")] * 2
        assert (found["learned_at"] == FIRST).all()
        assert found.index.tolist() == [0, 1, 2, 3]

    def test_symbols_are_sorted_by_their_characters(self, table):
        names = ["b", "B", "^GSPC", "A", "BRK-B", "BRK.B", "EURUSD=X", "Z", "a"]
        table.write(pd.concat([make_rows([1], name) for name in names]), FIRST)
        assert table.symbols() == sorted(names)
        assert table.read()["symbol"].tolist() == sorted(names)

    def test_columns_have_the_order_and_types_of_the_schema(self, table):
        expected = FULL_SCHEMA.empty_table().to_pandas().dtypes
        pd.testing.assert_series_equal(table.read().dtypes, expected)
        table.write(make_rows([1, 2]), FIRST)
        pd.testing.assert_series_equal(table.read().dtypes, expected)
        pd.testing.assert_series_equal(table.history().dtypes, expected)

    def test_every_type_comes_back_as_it_was(self, tables):
        columns = {
            "symbol": (pa.string(), ["A", "B"]),
            "day": (pa.date32(), [pd.Timestamp("2012-03-05").date(), None]),
            "count": (pa.int64(), [2**40, 1]),
            "small": (pa.int32(), [1, 2]),
            "flag": (pa.bool_(), [True, False]),
            "number": (pa.float64(), [0.1, np.inf]),
            "text": (pa.string(), ["Ünï 'quoted' \"text\"; --\n\t", None]),
            "moment": (INSTANT, [FIRST + TICK, None]),
        }
        schema = pa.schema([(name, kind) for name, (kind, _) in columns.items()])
        rows = pd.DataFrame({name: pd.Series(values, dtype=object) for name, (_, values) in columns.items()})
        table = tables.table("own", "types", schema, ("symbol",))
        assert table.write(rows, FIRST) == 2
        expected = pa.Table.from_pandas(rows, schema=schema, preserve_index=False).to_pandas()
        pd.testing.assert_frame_equal(table.read().drop(columns="learned_at"), expected, check_flags=False)
        assert table.write(rows, LATER) == 0

    def test_the_index_and_further_columns_of_the_rows_do_not_matter(self, table):
        rows = make_rows([1, 2]).set_index(pd.Index(["x", "x"])).assign(extra="?")
        assert table.write(rows[rows.columns[::-1]], FIRST) == 2
        assert list(table.read().columns) == NAMES
        assert table.read()["close"].tolist() == [1, 2]

    def test_tables_and_datasets_do_not_mix(self, tables):
        open_table(tables, "b").write(make_rows([1]), FIRST)
        open_table(tables, "a_b").write(make_rows([2]), FIRST)
        open_table(tables, "b", "a_bars").write(make_rows([3]), FIRST)
        assert open_table(tables, "b").read()["close"].tolist() == [1]
        assert open_table(tables, "a_b").read()["close"].tolist() == [2]

    def test_names_as_long_as_a_catalog_allows_do_not_mix(self, tables):
        long = ["a" * 63 + "b", "a" * 63 + "c"]
        for number, name in enumerate(long):
            assert open_table(tables, name).write(make_rows([number]), FIRST) == 1
        assert [open_table(tables, name).read()["close"].tolist() for name in long] == [[0], [1]]

    @pytest.mark.parametrize(
        "name", ["", "../up", "a/b", "A", "1a", "a-b", 'a"; DROP SCHEMA workbench; --', "a" * 65, "é"]
    )
    def test_a_name_that_could_leave_its_place_is_refused(self, tables, name):
        for names in ((name, "bars"), ("own", name)):
            with pytest.raises(InputError, match="small letters, digits and _"):
                tables.table(*names, SCHEMA, KEYS)

    # What was learned, and when

    def test_writing_the_same_rows_again_adds_nothing(self, table):
        rows = make_rows([1, np.nan, 3])
        assert table.write(rows, FIRST) == 3
        version = table.version()
        assert table.write(rows, LATER) == 0
        assert table.version() == version

    def test_the_version_grows_with_each_write_that_adds_rows(self, table):
        versions = [0]
        for close in (1, 2, 2, 3):
            table.write(make_rows([close]), FIRST)
            assert table.read().attrs["version"] == table.version()
            versions.append(table.version())
        grown = np.diff(versions) > 0
        assert grown.tolist() == [True, True, False, True]

    @pytest.mark.parametrize(
        ("before", "after", "added"),
        [
            ([1, 2], [1, 2, 3], 1),
            ([1, 2], [1, 5], 1),
            ([1, np.nan], [1, 5], 1),
            ([1, 5], [1, np.nan], 1),
            ([1, np.nan], [1, np.nan], 0),
            ([0.0], [-0.0], 0),
            ([np.inf], [-np.inf], 1),
            ([1, 2], [1], 0),
        ],
    )
    def test_only_what_is_new_or_differs_is_added(self, table, before, after, added):
        table.write(make_rows(before), FIRST)
        assert table.write(make_rows(after), LATER) == added
        latest = (after + before[len(after) :])[: max(len(before), len(after))]
        np.testing.assert_array_equal(table.read()["close"], latest)

    def test_a_changed_value_is_kept_beside_the_old_one(self, table):
        table.write(make_rows([1, 2]), FIRST)
        table.write(make_rows([1, 5]), LATER)
        found = table.history()
        assert found["close"].tolist() == [1, 2, 5]
        assert found["learned_at"].tolist() == [FIRST, FIRST, LATER]
        assert found["time"].tolist() == [at("2012-12-24"), at("2012-12-25"), at("2012-12-25")]

    @pytest.mark.parametrize("column", ["volume", "note"])
    def test_a_change_in_any_column_is_a_change(self, table, column):
        rows = make_rows([1, 2])
        table.write(rows, FIRST)
        for value in (None, rows[column][0], {"volume": 5.0, "note": "late"}[column]):
            changed = rows.assign(**{column: [rows[column][0], value]})
            expected = int(value != rows[column][0] or table.read()[column].isna().any())
            assert table.write(changed, LATER) == expected
            assert table.write(changed, LATER) == 0

    def test_as_of_answers_with_what_was_known_then(self, table):
        table.write(make_rows([1, 2]), FIRST)
        table.write(make_rows([1, 5, 6]), LATER)
        known = {FIRST - TICK: [], FIRST: [1, 2], LATER - TICK: [1, 2], LATER: [1, 5, 6], LATER + TICK: [1, 5, 6]}
        assert {moment: table.read(as_of=moment)["close"].tolist() for moment in known} == known

    def test_an_instant_in_another_zone_is_the_same_instant(self, table):
        table.write(make_rows([1, 2]), FIRST.tz_convert("Asia/Tokyo"))
        assert table.read()["learned_at"].tolist() == [FIRST] * 2
        assert len(table.read(as_of=FIRST.tz_convert("America/New_York"))) == 2
        first = at("2012-12-25").tz_convert("Asia/Tokyo")
        assert table.read(start=first, end=first)["close"].tolist() == [2]

    def test_a_correction_back_to_the_first_value_is_kept(self, table):
        for day, close in enumerate([1, 2, 1]):
            assert table.write(make_rows([close]), FIRST + pd.Timedelta(days=day)) == 1
        assert table.read()["close"].tolist() == [1]
        assert table.read(as_of=LATER)["close"].tolist() == [2]

    @pytest.mark.parametrize("back", [pd.Timedelta(0), pd.Timedelta(hours=1)], ids=["stands_still", "goes_back"])
    def test_what_is_learned_later_reads_as_later_even_if_the_clock(self, table, back):
        for close in (1, 5, 3):
            assert table.write(make_rows([close]), FIRST - back * close) == 1
            assert table.read()["close"].tolist() == [close]
        moments = table.history()["learned_at"]
        assert moments.is_monotonic_increasing
        assert moments.is_unique
        assert table.history()["close"].tolist() == [1, 5, 3]

    def test_of_rows_with_one_key_the_last_counts(self, table):
        doubled = pd.concat([make_rows([1, 7]), make_rows([2])])
        assert table.write(doubled, FIRST) == 2
        assert table.read()["close"].tolist() == [2, 7]
        assert table.write(doubled, LATER) == 0

    # Asking for a part

    @pytest.fixture
    def filled(self, table):
        table.write(pd.concat([make_rows(np.arange(12.0), name) for name in "ABC"]), FIRST)
        table.write(make_rows([100], "B"), LATER)
        return table

    @pytest.mark.parametrize(
        ("asked", "expected"),
        ASKED,
    )
    def test_only_what_was_asked_for_is_read(self, filled, asked, expected):
        found = filled.read(**asked)
        assert len(found) == expected
        assert set(found["symbol"]) <= set(asked.get("symbols", "ABC"))
        assert found["time"].between(asked.get("start", at("2000-01-01")), asked.get("end", at("2099-01-01"))).all()
        assert list(found.columns) == NAMES

    def test_filters_and_as_of_go_together(self, filled):
        first = {"symbols": ["B"], "end": at("2012-12-24")}
        assert filled.read(**first)["close"].tolist() == [100]
        assert filled.read(**first, as_of=FIRST)["close"].tolist() == [0]
        assert filled.read(**first, as_of=FIRST - TICK).empty
        assert filled.history(**first)["close"].tolist() == [0, 100]
        assert filled.history(["A", "B"], start=at("2013-01-04"))["symbol"].tolist() == ["A", "B"]

    @pytest.mark.parametrize("columns", [["close"], ["note", "close"], []])
    def test_only_the_columns_asked_for_are_read(self, filled, columns):
        found = filled.read(["A"], columns=columns)
        assert list(found.columns) == [*KEYS, *columns, "learned_at"]
        assert len(found) == 12

    @pytest.mark.parametrize("asked", [{}, {"symbols": ["B", "C"]}, {"as_of": FIRST}, {"symbols": ["Z"]}])
    def test_a_panel_is_the_rows_laid_out_wide(self, filled, asked):
        panel = filled.panel(["close"], **asked)
        rows = filled.read(**asked)
        wide = rows.pivot(index="time", columns="symbol", values="close")
        assert panel.symbols == list(wide.columns)
        np.testing.assert_array_equal(panel.fields["close"], wide.to_numpy(dtype=float))
        assert panel.version == filled.version()
        assert panel.learned == (rows["learned_at"].max() if len(rows) else None)

    def test_a_key_of_three_columns_and_one_without_a_time(self, tables):
        actions = pa.schema(
            [("symbol", pa.string()), ("time", INSTANT), ("kind", pa.string()), ("value", pa.float64())]
        )
        rows = make_rows([1, 2]).rename(columns={"close": "value"})
        both = pd.concat([rows.assign(kind="split"), rows.assign(kind="dividend")])
        table = tables.table("own", "actions", actions, ("symbol", "time", "kind"))
        assert [table.write(both, FIRST), table.write(both, LATER)] == [4, 0]
        assert table.read()["kind"].tolist() == ["dividend", "split"] * 2
        findings = pa.schema([("symbol", pa.string()), ("date", pa.string()), ("reason", pa.string())])
        table = tables.table("own", "findings", findings, ("symbol", "date", "reason"))
        found = pd.DataFrame({"symbol": ["B", "A"], "date": "2012-03-05", "reason": "high below low"})
        assert [table.write(found, FIRST), table.write(found, LATER)] == [2, 0]
        assert table.read()["symbol"].tolist() == ["A", "B"]

    # All or none, with others beside

    @pytest.mark.parametrize(
        "spoil",
        BAD.values(),
        ids=BAD,
    )
    def test_a_write_with_a_bad_row_in_the_middle_writes_none(self, table, spoil):
        table.write(make_rows([7]), FIRST)
        before = table.history()
        bad = make_rows([1, 2, 3]).assign(**{name: pd.Series(v, dtype=object) for name, v in spoil.items()})
        with pytest.raises(WorkbenchError) as caught:
            table.write(bad, LATER)
        assert "\n" not in str(caught.value)
        pd.testing.assert_frame_equal(table.history(), before)
        assert table.write(make_rows([1, 2, 3]), LATER) == 3

    def test_a_large_load_is_whole(self, table):
        rows = pd.concat([make_rows(np.arange(10_000.0), f"S{number:02}", "1990-01-01") for number in range(20)])
        assert table.write(rows, FIRST) == 200_000
        assert len(table.read(columns=["close"])) == 200_000
        assert table.write(rows, LATER) == 0
        assert len(table.symbols()) == 20

    def test_two_threads_writing_at_once_store_every_row_once(self, table):
        batches = [("A", [1, 2, 3]), ("A", [1, 2, 3]), ("B", [1, 2]), ("C", [4]), ("C", [4]), ("A", [1, 2, 3, 4])]
        with ThreadPoolExecutor(2) as pool:
            done = [pool.submit(table.write, make_rows(closes, symbol), FIRST) for symbol, closes in batches]
            added = [each.result() for each in done]
        assert sum(added) == len(table.history()) == 7
        assert not table.history().duplicated(["symbol", "time"]).any()

    def test_two_processes_writing_at_once_store_every_row_once(self, place, table):
        shared, closes = "AAA", list(range(40))
        with writers(place, 2) as (one, other):
            for writer, own in ((one, "ONE"), (other, "TWO")):
                writer.tell(symbol=shared, closes=closes, step=10)
                writer.tell(symbol=own, closes=closes, step=20)
            added = sum(writer.added() for writer in (one, other, one, other))
        found = table.history()
        assert added == len(found) == 120
        assert not found.duplicated(["symbol", "time"]).any()
        assert table.symbols() == ["AAA", "ONE", "TWO"]

    def test_another_process_sees_what_was_written(self, place, table):
        with writers(place, 1) as (writer,):
            for number in range(3):
                writer.tell(symbol="A", closes=[number], step=1)
                assert writer.added() == 1
                assert table.read()["close"].tolist() == [number]
                assert table.write(make_rows([number + 0.5]), LATER) == 1

    # A place that does not answer

    def test_a_place_that_cannot_be_reached_is_told_in_one_sentence(self, unreachable):
        table = open_table(open_tables(unreachable))
        questions = [table.read, table.version, table.history, lambda: table.write(make_rows([1]), FIRST)]
        for ask in questions:
            with pytest.raises(StoreError) as caught:
                ask()
            assert "\n" not in str(caught.value)
            assert self.secret not in "".join(traceback.format_exception(caught.value))

    def test_nothing_that_is_printed_has_the_secret(self, place, tables, table):
        assert self.secret not in f"{tables!r} {table!r}"


class TestDeltaInAFolder(FactTableContract):
    @pytest.fixture
    def place(self, tmp_path):
        return {"root": str(tmp_path / "store")}

    @pytest.fixture
    def unreachable(self, tmp_path):
        log = tmp_path / "own" / "bars" / "_delta_log"
        log.mkdir(parents=True)
        (log / f"{0:020}.json").write_text("garbage\n")
        return {"root": str(tmp_path)}


class TestDeltaOnS3(FactTableContract):
    secret = SECRET

    @pytest.fixture
    def place(self, s3_server, tmp_path):
        bucket = s3_server.create_bucket("tables")
        return {"root": f"{bucket}/{tmp_path.name}", "options": s3_server.storage_options}

    @pytest.fixture(params=["no_bucket", "no_server"])
    def unreachable(self, s3_server, request):
        if request.param == "no_bucket":
            return {"root": "s3://not-there/x", "options": s3_server.storage_options}
        gone = {**s3_server.storage_options, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        return {"root": "s3://tables/x", "options": {**gone, "max_retries": "1", "retry_timeout": "1s"}}


class TestPostgres(FactTableContract):
    secret = PASSWORD

    @pytest.fixture
    def place(self, postgres_server):
        postgres_server.query("postgres", "DROP SCHEMA IF EXISTS workbench CASCADE")
        return {"url": postgres_server.url()}

    @pytest.fixture(params=["no_server", "no_socket", "wrong_password", "no_database"])
    def unreachable(self, postgres_server, request):
        return {
            "no_server": {"url": f"postgresql://someone:{PASSWORD}@127.0.0.1:1/x"},
            "no_socket": {"url": f"postgresql://someone:{PASSWORD}@/x?host=/nowhere"},
            "wrong_password": {"url": postgres_server.url(password=f"{PASSWORD}-at-all")},
            "no_database": {"url": postgres_server.url("not_there")},
        }[request.param]
