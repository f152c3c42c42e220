import pytest

from workbench.core.errors import DataError, InputError
from workbench.data.memberships import Membership, read_memberships, read_symbol_file

HEADER = "symbol,start,end\n"


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "given.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.mark.parametrize(
    "content",
    [
        "symbol,start,end\nA,2020-01-01,2020-02-01\nB,2021-01-01,\n",
        "\ufeffsymbol,start,end\r\nA,2020-01-01,2020-02-01\r\nB,2021-01-01,\r\n",
        " End , Symbol,START\n2020-02-01,A,2020-01-01\n\n , ,\n,B, 2021-01-01\n",
        'symbol,start,end\n"A","2020-01-01","2020-02-01"\n"B","2021-01-01",""',
    ],
)
def test_a_sound_file_is_read_in_its_order(write, content):
    assert read_memberships(write(content)) == [
        Membership("A", "2020-01-01", "2020-02-01"),
        Membership("B", "2021-01-01", ""),
    ]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("A,2020-13-01,", "line 2: start '2020-13-01' is no day"),
        ("A,20200101,", "line 2: start '20200101' is no day"),
        ("A,2020-01-01T00:00,", "line 2: start '2020-01-01T00:00' is no day"),
        ("A,2020-W01-1,", "is no day"),
        ("A,,", "line 2: start '' is no day"),
        ("A,2020-01-01,now", "line 2: end 'now' is no day"),
        ("A,2021-02-29,", "is no day"),
        ("A,2020-01-02,2020-01-01", "line 2: end 2020-01-01 is before start 2020-01-02"),
        ("../etc,2020-01-01,", r"line 2: '../etc' is no symbol"),
        (",2020-01-01,", "line 2: '' is no symbol"),
        ("A,2020-01-01", "line 2: 2 cells, not 3"),
        ("A,2020-01-01,,x", "line 2: 4 cells, not 3"),
        ("A,2020-01-01,\nA,2020-01-01,", "mend line 3: repeats line 2$"),
        ("A,2020-01-01,\nA,2021-01-01,", "mend line 3: A is a member already by line 2$"),
        ("A,2020-01-01,2020-02-01\nA,2020-02-01,", "mend line 3: A is a member already by line 2$"),
        ("A,2020-02-01,\nA,2020-01-01,2020-02-01", "mend line 2: A is a member already by line 3$"),
        # The first one lasts longer than the second.
        ("A,2020-01-01,2020-12-31\nA,2020-02-01,2020-02-02\nA,2020-05-01,", "line 4: A is a member already by line 2"),
        ("A,2020-01-01,\n\nB,x,\nC,y,", "mend line 4: start 'x' is no day; line 5: start 'y' is no day$"),
        ("\n".join(f"A{n},x," for n in range(13)), "line 11: start 'x' is no day; and 3 more$"),
        ("", "has no memberships; write one line for each"),
    ],
)
def test_every_fault_is_told_with_its_line(write, rows, fault):
    with pytest.raises(DataError, match=fault):
        read_memberships(write(HEADER + rows))


@pytest.mark.parametrize("rows", ["A,2020-01-01,2020-01-31\nA,2020-02-01,", "A,2020-01-01,2020-01-01\nB,2020-01-01,"])
def test_memberships_that_only_touch_are_sound(write, rows):
    assert len(read_memberships(write(HEADER + rows))) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "needs the columns symbol, start, end and no other; it has: none"),
        ("A,2020-01-01,\n", "it has: a, 2020-01-01, $"),
        ("symbol,start\nA,2020-01-01\n", "it has: symbol, start$"),
        ("symbol,start,end,weight\n", "it has: symbol, start, end, weight"),
        ("symbol,symbol,start,end\n", "it has: symbol, symbol, start, end"),
        ("symbol;start;end\n", "it has: symbol;start;end"),
        (b"symbol,start,end\n\xff\xfe,2020-01-01,\n", "is no CSV text .*; save it as CSV in UTF-8"),
        ('symbol,start,end\n"A,2020-01-01,\n', "is no CSV text"),
        (HEADER + "A" * 200_000 + ",2020-01-01,\n", "is no CSV text"),
        (b"PAR1\x00\x00", "it has: par1"),
    ],
)
def test_a_file_of_another_kind_is_refused(write, content, words):
    with pytest.raises(DataError, match=words):
        read_memberships(write(content))


@pytest.mark.parametrize("read", [read_memberships, read_symbol_file])
def test_a_file_that_is_not_there_is_told(tmp_path, read):
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "symbols"),
    [
        ("AAPL\nBRK-B\n", ["AAPL", "BRK-B"]),
        ("# mine, for now\n\n  MSFT # bought in May, sold in July\r\nAAPL\nMSFT", ["MSFT", "AAPL"]),
        ("\ufeffAAPL", ["AAPL"]),
        ("symbol\nAAPL\n", ["AAPL"]),
        ('name,Symbol\n"Apple, Inc.",AAPL\n"Ford",F\n', ["AAPL", "F"]),
        ("# a comment\nsymbol,start,end\nAAPL,1982-11-30,\n", ["AAPL"]),
        ("^GSPC\nEURUSD=X", ["^GSPC", "EURUSD=X"]),
    ],
)
def test_symbols_are_read_from_lines_or_a_column(write, content, symbols):
    assert read_symbol_file(write(content)) == symbols


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("AAPL\n../etc\nA B\n", "was not loaded; mend line 2: '../etc' is no symbol; line 3: 'A B' is no symbol$"),
        ("AAPL\nMSFT,IBM\n", "line 2: 2 cells, not 1"),
        ("AAPL,MSFT\n", "has no column symbol, but AAPL, MSFT; name one so, or write one symbol a line"),
        ("symbol,name\nAAPL,Apple, Inc.\n", "line 2: 3 cells, not 2"),
        ("name,symbol\nApple,\n", "line 2: '' is no symbol"),
        ("symbol\n", "has no symbols; write one a line"),
        ("# nothing\n", "has no symbols"),
        ("", "has no symbols"),
        (b"\xff\xfeA\x00", "is no CSV text"),
        ("x" * 300, "mend line 1: 'x{99}$"),
    ],
)
def test_what_is_no_symbol_is_told_with_its_line(write, content, words):
    with pytest.raises(DataError, match=words):
        read_symbol_file(write(content))
