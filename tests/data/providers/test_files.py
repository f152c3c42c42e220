import math
import os
import pickle
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from workbench.core.errors import DataError, InputError, ParameterError, UnknownNameError
from workbench.core.market import FIELDS
from workbench.data.providers.base import Access
from workbench.data.providers.cells import decimal_sign, read_numbers
from workbench.data.providers.files import FilesProvider
from workbench.data.quality import inspect

EVER = date(1900, 1, 1), date(2100, 1, 1)
HEADER = "Date,Open,High,Low,Close,Volume"
GOOD = "2012-03-01,10,11,9,10.5,1000"
OTHER = "2012-03-02,10.5,12,10,11.5,2000"


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "prices"
    place.mkdir()
    return place


@pytest.fixture
def read(folder):
    """The answer for a file with these lines, or this content."""

    def read_one(*lines, content=None, interval="1d", name="A.csv", **options):
        (folder / name).write_bytes("\n".join(lines).encode() if content is None else content)
        provider = FilesProvider(Access(options={"folder": str(folder), **options}))
        return provider.history("A", *EVER, interval)

    return read_one


def values(history, row=0):
    return history.bars.loc[row, list(FIELDS)].tolist()


def days(history):
    return [str(day.date()) if pd.notna(day) else None for day in history.bars["time"]]


def refused(history):
    """How many rows the quality checks keep apart."""
    rows = history.bars.assign(symbol="A")
    return int((inspect(rows) != "").sum())


SOUND = [10.0, 11.0, 9.0, 10.5, 1000.0]


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{GOOD}\n{OTHER}\n".encode(),
        f"{HEADER}\n{GOOD}\n{OTHER}\n".encode("utf-8-sig"),
        f"{HEADER}\r\n{GOOD}\r\n\r\n{OTHER}\r\n\r\n".encode(),
        f"{HEADER}\r{GOOD}\r{OTHER}".encode(),
        f"\n{HEADER}\n{GOOD},,\n{OTHER}\n".encode(),
        b"VOLUME, close ,Name,LOW,high,OPEN,dAtE\n1000,10.5,Odd,9,11,10,2012-03-01\n2000,11.5,B,10,12,10.5,2012-03-02",
        f"{HEADER};\n{GOOD};\n{OTHER};".replace(",", ";").encode(),
        b"Date;Open;High;Low;Close;Volume\n2012-03-01;10,0;11,0;9,0;10,5;1.000\n2012-03-02;10,5;12,0;10,0;11,5;2.000",
        f'{HEADER}\n{GOOD.replace(",1000", "")},"1,000"\n{OTHER}'.encode(),
        f'{HEADER},Note\n{GOOD},"two\nlines, and a comma"\n"2012-03-02\n",10.5,12,10,11.5,2000,'.encode(),
        f"{HEADER}\n{GOOD.replace('1000', '1 000')}\n{OTHER}".encode(),
    ],
    ids=[
        "plain", "byte-order mark", "CRLF and blank lines", "CR only", "blank first line and empty last cells",
        "other order and case, other columns", "semicolons", "semicolons and decimal comma", "quoted thousands",
        "quoted line ends", "spaces between thousands",
    ],
)  # fmt: skip
def test_sound_files_of_many_kinds_say_the_same(read, content):
    history = read(content=content)
    assert days(history) == ["2012-03-01", "2012-03-02"]
    assert values(history) == SOUND
    assert values(history, 1) == [10.5, 12.0, 10.0, 11.5, 2000.0]
    assert refused(history) == 0
    assert history.actions.empty
    assert history.currency is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty; write a header"),
        (b"\n\n  \n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", r"no UTF-8 text \(byte 0\)"),
        (f"{HEADER}\n{GOOD}".encode("utf-16"), "no UTF-8 text"),
        (f"{HEADER}\n{GOOD}\0".encode(), "is zero"),
        (b"Date,Open,High,Low,Volume\n2012-03-01,10,11,9,1000", "no column 'close', only date, open"),
        (b"Open,High,Low,Close\n10,11,9,10.5", "no column 'date'"),
        (b"Date,Open,Hihg,Low,Close\n2012-03-01,10,11,9,10.5", "no column 'high'.*add or rename"),
        (f"{HEADER},CLOSE\n{GOOD},11".encode(), "2 columns for 'close'; keep one"),
        (f"{HEADER}\n{GOOD}\n03/04/2012,10,11,9,10.5,1".encode(), "row 3: '03/04/2012' does not say .*2012-03-01"),
        (f"{HEADER}\n31.12.2012,10,11,9,10.5,1".encode(), "row 2.*year first"),
        (f"{HEADER}\n3/4/12,10,11,9,10.5,1".encode(), "row 2.*year first"),
        (f"{HEADER}\n{GOOD},5".encode(), "row 2: 7 cells, but the header has 6"),
        (f"{HEADER}\n2012-03-01,10,11,9,1,234.50,1000".encode(), "row 2: 7 cells.*quote numbers"),
        (f"{HEADER}\n{GOOD}\n2012-03-02,10.5,1".encode(), "row 3: 3 cells"),
        (f'{HEADER}\n"2012-03-01,10,11,9,10.5,1000\n{OTHER}'.encode(), "no sound CSV near line .*not closed"),
        (f'{HEADER}\n{"2012-03-01,10,11,9,10.5,1" + "0" * 200_000}'.encode(), "no sound CSV"),
        (b'Date,Close\n2012-03-01,"1,234"\n2012-03-02,"1,235"', "row 2: '1,234' has a comma.*FILES__DECIMAL"),
        (b'Date,Close\n2012-03-01,"12,5"\n2012-03-02,12.5', "rows 3 and 2: '12.5' and '12,5' have different decimal"),
        (f"{HEADER},Dividend\n{GOOD},lots".encode(), "row 2: 'lots' is no dividend"),
        (f"{HEADER},Split\n{GOOD},-2".encode(), "row 2: '-2' is no split"),
    ],
)  # fmt: skip
def test_what_would_have_to_be_guessed_is_an_error_with_place_and_remedy(read, folder, content, told):
    with pytest.raises(DataError, match=told) as error:
        read(content=content)
    assert "A.csv" in str(error.value)


@pytest.mark.parametrize("cell", ["nan", "NaN", "null", "None", "-", "--", "", "N/A", "#N/A"])
def test_a_missing_value_is_nan_and_its_row_is_kept_apart(read, cell):
    history = read(HEADER, f"2012-03-01,10,11,9,{cell},1000", OTHER)
    assert math.isnan(history.bars.loc[0, "close"])
    assert history.bars.loc[0, "open"] == 10
    assert refused(history) == 1


@pytest.mark.parametrize(
    "row",
    [
        HEADER,
        "Total,1,2,3,4,5",
        "2012-02-30,10,11,9,10.5,1000",
        "1330560000,10,11,9,10.5,1000",
        "2012-03-01x,10,11,9,10.5,1000",
        ",10,11,9,10.5,1000",
        "1 March 2012,10,11,9,10.5,1000",
    ],
)
def test_a_row_without_a_date_is_passed_on_for_the_quarantine(read, row):
    history = read(HEADER, GOOD, row, OTHER)
    assert days(history) == ["2012-03-01", None, "2012-03-02"]
    assert refused(history) == 1


@pytest.mark.parametrize("cell", ["ten", "$10", "1O", "10-11", "1,0,0", "0x1A", "1_000", "True", "=A1", "٣"])
@pytest.mark.parametrize("column", [1, 4, 5])
def test_a_row_with_a_cell_that_is_no_number_has_none_at_all(read, cell, column):
    cells = GOOD.split(",")
    cells[column] = f'"{cell}"'
    history = read(HEADER, ",".join(cells), OTHER)
    assert np.isnan(values(history)).all()
    assert values(history, 1) == [10.5, 12.0, 10.0, 11.5, 2000.0]
    assert refused(history) == 1


@pytest.mark.parametrize("cell", ["1e400", "1" + "0" * 400, "inf", "-Infinity"])
def test_a_number_too_large_for_a_float_is_kept_apart(read, cell):
    history = read(HEADER, f"2012-03-01,10,{cell},9,10.5,1000", OTHER)
    assert math.isinf(history.bars.loc[0, "high"])
    assert refused(history) == 1


def test_dates_of_several_kinds_that_start_with_the_year_may_stand_in_one_column(read):
    rows = [f"{day},10,11,9,10.5,1" for day in ("2012-03-01", "20120302", "2012/03/05", "2012-03-06 00:00:00")]
    assert days(read(HEADER, *rows)) == ["2012-03-01", "2012-03-02", "2012-03-05", "2012-03-06"]


def test_doubled_and_unsorted_rows_come_as_they_are(read):
    assert days(read(HEADER, OTHER, GOOD, OTHER)) == ["2012-03-02", "2012-03-01", "2012-03-02"]


def test_a_header_alone_is_a_file_without_bars(read):
    history = read(HEADER)
    assert history.bars.empty
    assert list(history.bars.columns) == ["time", *FIELDS]


def test_a_file_of_closes_only_has_nothing_else(read):
    assert values(read("date,close", "2012-03-01,10.5"))[3] == 10.5
    assert np.isnan(values(read("date,close", "2012-03-01,10.5"))).sum() == 4


@pytest.mark.parametrize(("decimal", "price"), [(".", 1234.0), (",", 1.234)])
def test_an_option_settles_what_a_comma_means(read, decimal, price):
    assert values(read("Date;Close", "2012-03-01;1,234", decimal=decimal))[3] == price


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.234,56", "7"], [1234.56, 7]),
        (["1,234.56", "1,235"], [1234.56, 1235]),
        (["1.234.567", "12,345"], [1234567, 12.345]),
        (["1'234.5", "1 234.5", "1\u00a0234.5", "1\u202f234.5"], [1234.5] * 4),
        (["1 234,567"], [1234.567]),
        (["0,125", "1.000"], [0.125, 1000]),
        (["1234,567"], [1234.567]),
        (["12.345", "12.346"], [12.345, 12.346]),
        (["1.5e3", "-2", "+3", ".5", "5."], [1500, -2, 3, 0.5, 5]),
    ],
)
def test_the_decimal_sign_follows_from_the_numbers(cells, numbers, tmp_path):
    table = pd.DataFrame({"close": cells})
    found, wrong = read_numbers(table["close"], decimal_sign(table, tmp_path))
    assert found.tolist() == pytest.approx(numbers)
    assert not wrong.any()


def test_dividends_and_splits_are_actions(read):
    history = read(f"{HEADER},Dividends,Stock Splits", f"{GOOD},0.25,0", f"{OTHER},0,2", "2012-03-05,6,6,6,6,1,,1")
    assert history.actions.to_dict("records") == [
        {"time": pd.Timestamp("2012-03-01"), "kind": "dividend", "value": 0.25},
        {"time": pd.Timestamp("2012-03-02"), "kind": "split", "value": 2.0},
    ]


def test_hourly_bars_lie_in_a_file_of_their_own_and_are_utc(read, folder):
    lines = ("time,close", "2012-03-01T09:30:00-05:00,1", "2012-03-01 15:30,2", "2012-03-01T16:30:00Z,3", "noon,4")
    history = read(*lines, name="A.1h.csv", interval="1h")
    hours = [str(time) for time in history.bars["time"][:3]]
    assert hours == [f"2012-03-01 {hour}:30:00+00:00" for hour in (14, 15, 16)]
    assert history.bars["time"].isna().tolist() == [False, False, False, True]
    provider = FilesProvider(Access(options={"folder": str(folder)}))
    with pytest.raises(UnknownNameError, match="'A'"):
        provider.history("A", *EVER)
    with pytest.raises(UnknownNameError, match=r"'A\.1h'"):
        provider.history("A.1h", *EVER)


def test_a_day_and_a_time_of_day_may_have_columns_of_their_own(read):
    history = read("Date,Time,Close", "2012-03-01,09:30,1", "2012-03-01,10:30,2", name="A.1m.csv", interval="1m")
    assert [str(time) for time in history.bars["time"]] == [f"2012-03-01 {h}:30:00+00:00" for h in ("09", "10")]


@pytest.mark.parametrize(
    "times",
    [
        pd.to_datetime(["2012-03-01", "2012-03-02"]),
        pd.to_datetime(["2012-03-01", "2012-03-02"]).tz_localize("America/New_York"),
        [date(2012, 3, 1), date(2012, 3, 2)],
        ["2012-03-01", "2012-03-02"],
        [20120301, 20120302],
    ],
)
def test_a_day_of_a_parquet_file_may_be_of_several_types(folder, times):
    pd.DataFrame({"date": times, "close": [1, 2]}).to_parquet(folder / "A.parquet")
    history = FilesProvider(Access(options={"folder": str(folder)})).history("A", *EVER)
    assert days(history) == ["2012-03-01", "2012-03-02"]
    assert history.bars["time"].dt.tz is None
    assert history.bars["close"].tolist() == [1.0, 2.0]


def test_an_hour_of_a_parquet_file_is_utc(folder):
    times = pd.to_datetime(["2012-03-01 09:30", "2012-03-01 10:30"])
    pd.DataFrame({"time": times.tz_localize("America/New_York"), "close": [1, 2]}).to_parquet(folder / "A.1h.parquet")
    pd.DataFrame({"time": times, "close": [1, 2]}).to_parquet(folder / "B.1h.parquet")
    provider = FilesProvider(Access(options={"folder": str(folder)}))
    assert str(provider.history("A", *EVER, "1h").bars["time"][0]) == "2012-03-01 14:30:00+00:00"
    assert str(provider.history("B", *EVER, "1h").bars["time"][0]) == "2012-03-01 09:30:00+00:00"


class Opened:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, (os.environ["TRACE"],))


def test_nothing_in_a_parquet_file_is_unpickled(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    payload = pickle.dumps(Opened())
    noted = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": payload}
    fields = [pa.field("date", pa.string()), pa.field("close", pa.float64(), metadata=noted)]
    schema = pa.schema(fields, metadata={"pandas": payload})
    parquet.write_table(pa.table([["2012-03-01"], [1.0]], schema=schema), folder / "A.parquet")
    history = FilesProvider(Access(options={"folder": str(folder)})).history("A", *EVER)
    assert history.bars["close"].tolist() == [1.0]
    assert not (tmp_path / "trace").exists()
    pickle.loads(payload)
    assert (tmp_path / "trace").exists()


def test_a_file_that_is_no_parquet_is_told(folder):
    (folder / "A.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match=r"A\.parquet cannot be read as Parquet .* write it again"):
        FilesProvider(Access(options={"folder": str(folder)})).history("A", *EVER)


def test_a_column_of_lists_is_no_column(folder):
    pd.DataFrame({"date": ["2012-03-01"], "close": [[1, 2]]}).to_parquet(folder / "A.parquet")
    with pytest.raises(DataError, match="no column 'close'"):
        FilesProvider(Access(options={"folder": str(folder)})).history("A", *EVER)


@pytest.mark.parametrize("symbol", ["../A", "/etc/passwd", "A/B", "..", "", "A\0", "A\\B", "~root", ".A", None])
def test_a_symbol_with_a_path_in_it_is_refused(folder, symbol):
    (folder.parent / "A.csv").write_text(f"{HEADER}\n{GOOD}")
    with pytest.raises(InputError, match="is no symbol"):
        FilesProvider(Access(options={"folder": str(folder)})).history(symbol, *EVER)


def test_a_link_may_lead_to_another_file_of_the_folder_and_nowhere_else(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "real.csv").write_text(f"{HEADER}\n{GOOD}")
    (folder / "A.csv").symlink_to(folder / "sub" / "real.csv")
    (folder.parent / "B.csv").write_text(f"{HEADER}\n{GOOD}")
    (folder / "B.csv").symlink_to(folder.parent / "B.csv")
    provider = FilesProvider(Access(options={"folder": str(folder)}))
    assert len(provider.history("A", *EVER).bars) == 1
    with pytest.raises(DataError, match=r"B\.csv leads out of its folder"):
        provider.history("B", *EVER)


def test_a_folder_or_pipe_with_the_name_of_a_file_is_none(folder):
    (folder / "A.csv").mkdir()
    os.mkfifo(folder / "B.csv")
    provider = FilesProvider(Access(options={"folder": str(folder)}))
    assert provider.search("").empty
    for symbol in ("A", "B"):
        with pytest.raises(UnknownNameError):
            provider.history(symbol, *EVER)


def test_two_files_for_one_symbol_are_told(read, folder):
    (folder / "A.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"A\.csv and A\.parquet are both A"):
        read(HEADER, GOOD)


def test_search_lists_symbols_and_leaves_other_files_alone(folder):
    for name in ("AAPL.csv", "MSFT.parquet", "AAPL.1h.csv", "ONLY.1m.csv", "notes.txt", "a b.csv", "BRK.B.csv"):
        (folder / name).write_text("")
    found = FilesProvider(Access(options={"folder": str(folder), "currency": "EUR"})).search("")
    assert found["symbol"].tolist() == ["AAPL", "BRK.B", "MSFT", "ONLY"]
    assert found["currency"].tolist() == ["EUR"] * 4


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "no folder ''; set WORKBENCH_PROVIDERS__FILES__FOLDER"),
        ({"folder": "/no/such/folder"}, "no folder '/no/such/folder'"),
        ({"folder": "/", "adjustment": "some"}, "'adjustment' of provider 'files' cannot be 'some'; choose none or"),
        ({"folder": "/", "decimal": ";"}, "'decimal' of provider 'files' cannot be ';'"),
    ],
)
def test_an_option_that_is_not_valid_is_told(options, told):
    with pytest.raises(ParameterError, match=told):
        FilesProvider(Access(options=options))


def test_the_options_say_what_the_prices_are(read, folder):
    assert read(HEADER, GOOD, currency="EUR").currency == "EUR"
    assert FilesProvider(Access(options={"folder": str(folder), "adjustment": "all"})).adjustment == "all"
