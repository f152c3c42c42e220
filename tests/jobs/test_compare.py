"""Two runs side by side, by figures that can be checked by hand."""

from __future__ import annotations

import base64
import json
from decimal import Decimal

import matplotlib as mpl
import nbformat
import numpy as np
import pandas as pd
import pytest
from past_runs import displayed, executed, printed

from workbench.core.errors import InputError, UnknownNameError
from workbench.jobs.comparison import compare_runs
from workbench.jobs.comparison.alignment import align, text_likeness
from workbench.jobs.comparison.grids import Grid, number_of, subtract
from workbench.jobs.comparison.markup import shown_by
from workbench.jobs.comparison.outputs import compare_pieces, diff_lines, pieces_of

PIXEL = base64.b64encode(b"\x89PNG one").decode()
OTHER_PIXEL = base64.b64encode(b"\x89PNG two").decode()


def compared(past, before, after):
    """The comparison of two executed notebooks."""
    return compare_runs(past.history, past.ran(book=before), past.ran(book=after))


def states(comparison):
    return [(cell.before, cell.after, cell.state) for cell in comparison.cells]


# Cells


def test_a_cell_that_was_put_in_moves_no_other_one_out_of_its_pair(past):
    before = executed(("a = 1", [printed("1")]), ("b = 2", [printed("2")]), ("c = 3", [printed("3")]))
    after = executed(("a = 1", [printed("1")]), "import new", ("b = 2", [printed("2")]), ("c = 3", [printed("4")]))
    found = compared(past, before, after)
    assert states(found) == [(1, 1, "same"), (None, 2, "added"), (2, 3, "same"), (3, 4, "changed")]
    assert found.cells[3].outputs[0].diff == ("@@ -1 +1 @@", "-3", "+4")
    assert found.cells[3].source_diff == ()
    assert not found.same
    assert found.summary == "2 of 4 cells differ"


def test_an_edited_cell_keeps_its_partner(past):
    before = executed("x = load('A')\nshow(x)", "y = 5 * rate", "z = 1")
    after = executed("z = 0", "x = load('B')\nshow(x)", "y = 6 * rate", "z = 1")
    found = compared(past, before, after)
    assert states(found) == [(None, 1, "added"), (1, 2, "changed"), (2, 3, "changed"), (3, 4, "same")]
    assert found.cells[1].source_diff == ("@@ -1,2 +1,2 @@", "-x = load('A')", "+x = load('B')", " show(x)")


def test_cells_that_papermill_added_are_not_the_notebooks(past):
    before = executed(("x", [printed("1")]), parameters="window: int = 10")
    after = executed(("x", [printed("1")]), parameters="window: int = 10", injected="window = 20")
    marker = nbformat.v4.new_markdown_cell(
        "An Exception was encountered", metadata={"tags": ["papermill-error-cell-tag"]}
    )
    after.cells.insert(0, marker)
    assert compared(past, before, after).same


def test_text_and_code_are_no_pair(past):
    before, after = executed("price"), executed()
    after.cells.append(nbformat.v4.new_markdown_cell("price"))
    assert {cell.state for cell in compared(past, before, after).cells} == {"added", "removed"}


# What went in


def test_parameters_data_and_libraries_that_differ_are_named(past):
    declared = "window: int = 10\nsymbols: list = ['AAPL']\n"
    one = past.ran(parameters={"window": 20}, book=executed("1", parameters=declared))
    book = executed("1", parameters=declared)
    two = past.ran(parameters={"symbols": ["AAPL", "IBM"]}, book=book)
    book.metadata["trii_workbench"]["libraries"] = {"numpy": "2.5.0", "pandas": "3.1.1", "xarray": "1"}
    nbformat.write(book, past.history.notebook(two))
    past.used(one)
    past.used(two, version="1.2", symbols=("AAPL", "IBM"))
    found = compare_runs(past.history, one, two)
    told = {each.name: (each.before, each.after) for each in (*found.parameters, *found.data, *found.libraries)}
    assert told == {
        "window": ("20", "10"),
        "symbols": ("AAPL", "AAPL, IBM"),
        "us_equities": ("us_equities@1.1", "us_equities@1.2"),
        "us_equities: bars": ("2025-01-02 to 2026-01-05", "2025-01-02 to 2026-01-05"),
        "us_equities: adjusted": ("all", "all"),
        "us_equities: symbols": ("AAPL", "AAPL, IBM"),
        "workbench": ("0.1.0", "0.1.0"),
        "numpy": ("2.4.6", "2.5.0"),
        "pandas": ("3.1.1", "3.1.1"),
        "xarray": (None, "1"),
    }
    assert found.summary == (
        "parameters differ (window, symbols); data differ (us_equities, us_equities: symbols); "
        "libraries differ (numpy, xarray); all cells show the same"
    )
    assert found.same
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["parameters"] == {"window": ["20", "10"], "symbols": ["AAPL", "AAPL, IBM"]}
    page = found.to_html()
    assert page.index(">Parameters ") < page.index(">Data ") < page.index(">Libraries ") < page.index(">Cells ")


def test_a_run_whose_neighbour_has_a_longer_id_does_not_get_its_data(past):
    one, two = past.ran(), past.ran()
    past.used(two)
    assert compare_runs(past.history, one, one).data == ()


def test_runs_that_did_not_succeed_are_not_the_same_without_a_word(past):
    def ran(window, **how):
        return past.ran(parameters={"window": window}, book=executed("1", parameters="window: int = 10"), **how)

    failed, again = ran(20, ended="failed", reason="cell 1"), ran(30, ended="failed", reason="cell 1")
    found = compare_runs(past.history, failed, again)
    assert found.summary == "the state of both is failed; parameters differ (window); all cells show the same"
    assert "The state of both is failed; parameters differ" in found.to_html()
    found = compare_runs(past.history, failed, ran(20))
    assert found.summary == "states differ (failed, succeeded); all cells show the same"


def test_runs_that_cannot_be_compared_are_told(past):
    ran, waits = past.ran(), past.due()
    with pytest.raises(InputError, match="has no notebook yet"):
        compare_runs(past.history, ran, waits)
    with pytest.raises(UnknownNameError, match="unknown run"):
        compare_runs(past.history, "none", ran)
    past.history.notebook(ran).write_text("{")
    with pytest.raises(InputError, match="is no notebook"):
        compare_runs(past.history, ran, ran)


# Outputs


def test_what_changes_each_time_is_no_difference():
    one = [printed("at 0x7fd3b9199150\n"), printed("10%\r50%\r100%\n\x1b[31mred\x1b[0m", "stderr")]
    two = [printed("at 0x7f0011223344\n"), printed("100%\nred", "stderr")]
    assert [each.state for each in compare_pieces(pieces_of(one), pieces_of(two))] == ["same", "same"]


def test_a_stream_in_pieces_is_one_text():
    one, two = [printed("a\nb\nc\n")], [printed("a\n"), printed("x", "stderr"), printed("b\nc\n")]
    first, second = compare_pieces(pieces_of(one), pieces_of(two))
    assert (first.state, second.state, second.after.label) == ("same", "added", "stderr")


def test_pictures_are_known_by_their_bytes():
    one, two = [displayed(PIXEL, "image/png")], [displayed(PIXEL + "\n", "image/png")]
    [same] = compare_pieces(pieces_of(one), pieces_of(two))
    [changed] = compare_pieces(pieces_of(one), pieces_of([displayed(OTHER_PIXEL, "image/png")]))
    [within] = compare_pieces(pieces_of([displayed(f'<img src="data:image/png;base64,{PIXEL}">')]), pieces_of(one))
    assert (same.state, changed.state, within.state) == ("same", "changed", "same")
    assert changed.after.image == f"data:image/png;base64,{OTHER_PIXEL}"


def svg(values):
    import io

    from matplotlib.figure import Figure

    figure, page = Figure(), io.StringIO()
    figure.subplots().plot(values)
    with mpl.rc_context({"svg.hashsalt": None}):
        figure.savefig(page, format="svg")
    return page.getvalue()


def test_matplotlibs_svg_is_compared_by_what_it_draws():
    one, again, other = svg([1, 2, 3]), svg([1, 2, 3]), svg([1, 2, 4])
    assert one != again
    read = [pieces_of([displayed(each, "image/svg+xml")]) for each in (one, again, other)]
    assert compare_pieces(read[0], read[1])[0].state == "same"
    assert compare_pieces(read[0], read[2])[0].state == "changed"


def bokeh(values):
    from bokeh.embed import components
    from bokeh.plotting import figure

    plot = figure()
    plot.line([1, 2, 3], np.array(values, dtype=float))
    return "".join(components(plot))


def test_bokehs_drawings_are_compared_by_what_they_draw():
    one, again, other = bokeh([1, 2, 3]), bokeh([1, 2, 3]), bokeh([1, 2, 4])
    assert one != again
    read = [pieces_of([displayed(each)]) for each in (one, again, other)]
    assert compare_pieces(read[0], read[1])[0].state == "same"
    assert compare_pieces(read[0], read[2])[0].state == "changed"


def test_an_error_is_a_text():
    def failed(value):
        return [nbformat.v4.new_output("error", ename="E", evalue=value, traceback=[f"\x1b[0;31mE\x1b[0m: {value}"])]

    [found] = compare_pieces(pieces_of(failed("no A")), pieces_of(failed("no B")))
    assert (found.after.label, found.diff[1:]) == ("error", ("-E: no A", "+E: no B"))


# Tables


def table_of(frame):
    [grid] = shown_by(frame.to_html() if isinstance(frame, pd.DataFrame) else frame).tables
    return grid


def test_a_frames_table_is_read_as_pandas_reads_it():
    columns = pd.MultiIndex.from_tuples([("price", "open"), ("price", "close"), ("", "volume")])
    index = pd.MultiIndex.from_tuples([("A", 1), ("A", 2), ("B", 1)], names=["symbol", "day"])
    frame = pd.DataFrame([[1.5, 2.5, 3], [4.5, 5.5, 6], [7.5, 8.5, 9]], index=index, columns=columns)
    grid = table_of(frame)
    assert grid.heads == 2
    assert grid.columns == ("symbol", "day", "price / open", "price / close", "volume")
    assert [row[:2] for row in grid.rows] == [("A", "1"), ("A", "2"), ("B", "1")]
    assert [[float(text) for text in row[2:]] for row in grid.rows] == frame.to_numpy().tolist()


def test_subtracting_tables_is_what_pandas_subtracts():
    generator = np.random.default_rng(7)
    one = pd.DataFrame(generator.normal(size=(6, 4)).round(3), index=list("abcdef"), columns=list("wxyz"))
    two = (one + generator.normal(size=(6, 4)).round(3)).round(3).loc[list("fabdeg"[:5])][list("zwx")]
    found = subtract(table_of(one), table_of(two)).frame()
    expected = (two - one).reindex(index=found.index, columns=found.columns)
    pd.testing.assert_frame_equal(found, expected, atol=1e-12, check_index_type=False, check_column_type=False)
    assert set(found.index) == set("abcdef")
    assert set(found.columns) == set("wxyz")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("44.9 %", ("44.9", "%")),
        ("+1,234.50", ("1234.50", "")),
        ("−0.5", ("-0.5", "")),
        ("-$5", ("-5", "$")),
        ("12 bp", ("12", "bp")),
        ("3 USD", ("3", "USD")),
        ("1e-3", ("0.001", "")),
        (".5", ("0.5", "")),
        ("007", None),
        ("1,23", None),
        ("2026-01-05", None),
        ("12:30", None),
        ("nan", None),
        ("–", None),
        ("", None),
        ("5 apples", None),
        ("1e9999999999", None),
    ],
)
def test_numbers_are_told_from_other_texts(text, number):
    assert number_of(text) == (None if number is None else (Decimal(number[0]), number[1]))


def test_differences_are_exact_and_keep_their_unit():
    one, two = (
        Grid(("", "return"), (("A", "44.9 %"), ("B", "1 %")), 1),
        Grid(("", "return"), (("A", "45.2 %"), ("B", "$1")), 1),
    )
    [[_, first], [_, second]] = subtract(one, two).rows
    assert (first.difference, first.unit) == (Decimal("0.3"), "%")
    assert (second.difference, second.same) == (None, False)


def test_rows_are_paired_by_the_columns_that_tell_them_apart():
    columns = ("symbol", "strategy", "strength")
    one = Grid(columns, (("A", "x", "1"), ("A", "y", "2"), ("B", "x", "3")))
    two = Grid(columns, (("A", "y", "5"), ("A", "x", "1"), ("C", "x", "4")))
    found = subtract(one, two)
    told = {(row[0].after or row[0].before, row[1].after or row[1].before): row[2].difference for row in found.rows}
    assert told == {("A", "x"): 0, ("A", "y"): 3, ("B", "x"): None, ("C", "x"): None}
    # In the order of the later one; what is gone follows what it followed.
    assert [row[0].after or row[0].before for row in found.rows] == ["A", "B", "A", "C"]


def test_rows_without_a_name_are_paired_by_what_is_the_same():
    one = Grid(("a", "b"), (("1", "5"), ("1", "6"), ("1", "7")))
    two = Grid(("a", "b"), (("1", "5"), ("1", "7")))
    found = subtract(one, two)
    assert [(row[1].before, row[1].after) for row in found.rows] == [("5", "5"), ("6", None), ("7", "7")]


@pytest.mark.parametrize(
    ("page", "columns", "rows"),
    [
        ("<table><tr><td>1<td>2<tr><td>3</table>", ("1", "2"), (("1", "2"), ("3", ""))),
        ("<table><tr><th>a<th>b<tr><td rowspan=2>1<td>2<tr><td>3</table>", ("a", "b"), (("1", "2"), ("1", "3"))),
        ("<table><tr><th>a<th>b<tr><td colspan=2>x</table>", ("a", "b"), (("x", "x"),)),
        ("<table><tr><th>a<tr><td>1<table><tr><td>in</table></table>", ("a",), (("1 in",),)),
        ("<table><tr><th>a<tr><td rowspan=99999999>1", ("a",), (("1",),)),
        ("<table><tr><th>a<tr><td>1<![x[y]]><td>2</table>", ("a", ""), (("1<![x[y]]>", "2"),)),
        ("<table><tr><th>&lt;b&gt;<tr><td>x<br>y", ("<b>",), (("x y",),)),
    ],
)
def test_tables_are_read_as_they_are_shown(page, columns, rows):
    [grid] = shown_by(page).tables
    assert (grid.columns, grid.rows) == (columns, rows)


def test_a_page_is_taken_apart():
    shown = shown_by(
        "<h1>Head</h1><style>p {}</style><p>a <b>b</b></p><table></table><script>x < 1</script><svg><g/></svg>"
    )
    assert (shown.text, shown.tables, shown.scripts) == ("Head\na b", (), "x < 1<svg><g/></svg>")


# Alignment


def test_every_item_is_in_one_pair_and_in_order():
    generator = np.random.default_rng(3)
    for _ in range(200):
        before, after = ("".join(generator.choice(list("abcd"), size)) for size in generator.integers(0, 9, 2))
        pairs = list(align(before, after, str, lambda a, b: 0.6 if {a, b} == {"a", "b"} else 0.0))
        assert [i for i, _ in pairs if i is not None] == list(range(len(before)))
        assert [j for _, j in pairs if j is not None] == list(range(len(after)))
        for i, j in pairs:
            assert i is None or j is None or before[i] == after[j] or {before[i], after[j]} == {"a", "b"}


def test_the_likest_are_a_pair():
    pairs = list(align(["load prices", "draw chart"], ["load the prices", "other", "draw a chart"], str, text_likeness))
    assert pairs == [(0, 0), (None, 1), (1, 2)]


def test_long_texts_and_tables_are_compared_as_far_as_that_takes_no_time():
    same = [f"line {number}" for number in range(3000)]
    old, new = (
        "\n".join([*same, *(f"{number} {each if number % 2 else ''}" for number in range(20_000)), *same])
        for each in "ab"
    )
    lines = diff_lines(old, new)
    assert lines[:3] == ("@@ -3000,1002 +3000,1002 @@", " line 2999", " 0 ")
    assert lines[3:5] == ("-1 a", "+1 b")
    assert lines[-1] == "@@ 18,999 more lines are not compared @@"
    assert diff_lines(old, old + "\nmore") == ("@@ -25999,2 +25999,3 @@", " line 2998", " line 2999", "+more")
    pairs = list(align(old.splitlines(), new.splitlines(), str, lambda a, b: 1 / 0))
    assert (pairs[0], pairs[-1], len(pairs)) == ((0, 0), (25_999, 25_999), 45_999)


# The page


def test_the_page_is_escaped_and_asks_for_nothing(past):
    hostile = "<script>alert(1)</script>\"'&lt;"
    declared = "note: str = ''\n"
    before = past.ran(
        parameters={"note": hostile}, book=executed((hostile, [printed(hostile)]), "f", parameters=declared)
    )
    shown = [printed(hostile + "2"), displayed(f"<table><tr><th>a<tr><td>&lt;script&gt;2</table>{hostile}")]
    shown.append(displayed('"><script>', "image/png"))
    after = past.ran(parameters={"note": "x"}, book=executed((hostile + "3", shown), parameters=declared))
    found = compare_runs(past.history, before, after)
    page = found.to_html()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "http" not in page
    assert found.framed().startswith('<iframe sandbox="" srcdoc="')
    assert found._repr_html_().count('"') == 6
